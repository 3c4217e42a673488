//! Reverting files to their state before some commits.

use git::revert::{RecordedChange, Revert, Reverted};

use super::*;

fn take_back(bench: &Bench, commits: &[CommitId], noted: &[RecordedChange]) -> Reverted {
    let dir = bench.path("");
    let what =
        Revert { branch: &bench.ada, dir: &dir, commits, noted, only: None, mark: "Order: 1" };
    let entry = Entry { author: &bench.author, message: "Undo R-1\n\nOrder: 1", time: at(20) };
    bench.repo.revert(&what, &entry).unwrap()
}

#[test]
fn files_go_back_to_before_some_commits_where_they_are_as_those_left_them() {
    let bench = Bench::new();
    bench.write("notes.md", "one\n");
    bench.write("IDENTITY.md", "Ada Lovelace\n");
    let first = bench.commit(ALL, "MC-1: First").commit.unwrap();
    bench.write("notes.md", "one\ntwo\n");
    bench.write("plan.md", "a plan\n");
    fs::remove_file(bench.path("SOUL.md")).unwrap();
    let second = bench.commit(ALL, "MC-1: Second").commit.unwrap();
    bench.write("plan.md", "a better plan\n");
    let done = take_back(&bench, &[first, second], &[]);
    assert_eq!(done.restored, ["IDENTITY.md", "SOUL.md", "notes.md"]);
    assert_eq!(done.kept, [("plan.md".to_owned(), "it was changed since")]);
    assert!(!bench.path("notes.md").exists());
    assert_eq!(fs::read_to_string(bench.path("IDENTITY.md")).unwrap(), "Ada\n");
    assert_eq!(fs::read_to_string(bench.path("SOUL.md")).unwrap(), "Be kind.\n");
    assert_eq!(fs::read_to_string(bench.path("plan.md")).unwrap(), "a better plan\n");
    assert!(bench.log(None)[0].starts_with("Undo R-1"));
    // Interrupted before it was recorded, and repeated after other commits: the same files, the same commit.
    bench.write("other.md", "more\n");
    bench.commit(ALL, "MC-2: Order: 1").commit.unwrap();
    let repeated = take_back(&bench, &[first], &[]);
    assert_eq!(repeated.commit, done.commit);
    assert_eq!(bench.log(None).iter().filter(|one| one.starts_with("Undo")).count(), 1);
}

#[test]
fn a_file_that_another_committed_in_between_goes_back_to_theirs() {
    let bench = Bench::new();
    let mut commits = Vec::new();
    for text in ["own", "theirs", "own again"] {
        bench.write("notes.md", text);
        commits.extend(bench.commit(ALL, text).commit);
    }
    let done = take_back(&bench, &[commits[0], commits[2]], &[]);
    assert_eq!(done.restored, ["notes.md"]);
    assert_eq!(fs::read_to_string(bench.path("notes.md")).unwrap(), "theirs");
}

#[test]
fn what_was_never_committed_cannot_come_back_and_is_said_to_stay() {
    let bench = Bench::new();
    bench.write("notes.md", "made by the run");
    let commit = bench.commit(ALL, "Run").commit.unwrap();
    let noted = RecordedChange { path: "notes.md".into(), before: Some([9; 32]), after: None };
    let done = take_back(&bench, &[commit], &[noted]);
    assert_eq!(done.kept[0].1, "its previous content was never committed");
    assert!(done.commit.is_none() && bench.path("notes.md").exists());
}
