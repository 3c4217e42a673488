//! Restoring files to their state at a moment.

use git::moment::PutBack;
use git::snapshot::MAX_FILES;

use super::*;

/// Commits a note at a given second.
fn note(bench: &Bench, second: i64, text: &str) -> CommitId {
    bench.write("notes.md", text);
    commit(bench, second)
}

fn commit(bench: &Bench, second: i64) -> CommitId {
    let entry = Entry { author: &bench.author, message: "MC-1: Work", time: at(second) };
    let taken = bench.repo.commit_paths(&bench.ada, &bench.path(""), ALL, &entry).unwrap();
    taken.commit.unwrap()
}

fn put_back(bench: &Bench, to: CommitId) -> Result<PutBack, GitError> {
    let entry = |message| Entry { author: &bench.author, message, time: at(90) };
    let (keep, back) = (entry("Keep"), entry("Back"));
    bench.repo.put_back(&bench.ada, &bench.path(""), to, &keep, &back)
}

fn read(bench: &Bench, relative: &str) -> Option<String> {
    fs::read_to_string(bench.path(relative)).ok()
}

#[test]
fn the_newest_commit_that_is_not_younger_tells_what_was_there() {
    let bench = Bench::new();
    let first = bench.repo.head(&bench.ada).unwrap().unwrap();
    let [one, two, three] =
        [(10, "one"), (20, "two"), (30, "three")].map(|(at, text)| note(&bench, at, text));
    for (second, found) in [(2, first), (9, first), (10, one), (29, two), (30, three), (99, three)]
    {
        let then = bench.repo.as_of(&bench.ada, at(second)).unwrap();
        assert_eq!((then.commit, then.is_younger), (found, false), "{second}");
    }
    // The template is as old as that, but was never the agent's state.
    let then = bench.repo.as_of(&bench.ada, at(1)).unwrap();
    assert_eq!((then.commit, then.is_younger), (first, true));
    let none = Branch::agent("eve").unwrap();
    assert!(matches!(bench.repo.as_of(&none, at(9)), Err(GitError::NoBranch(_))));
}

#[test]
fn where_a_clock_jumped_the_newest_commit_counts_whose_time_fits() {
    let bench = Bench::new();
    let [one, _, three] =
        [(10, "one"), (50, "ahead"), (20, "three")].map(|(at, text)| note(&bench, at, text));
    let found = |second| bench.repo.as_of(&bench.ada, at(second)).unwrap().commit;
    assert_eq!([found(15), found(30), found(60)], [one, three, three]);
}

#[test]
fn folder_and_branch_are_what_they_were_and_nothing_is_lost() {
    let bench = Bench::new();
    bench.write("plan", "a file");
    bench.write("ideas/one.md", "one");
    let then = note(&bench, 10, "then");
    let files = bench.names();
    fs::remove_file(bench.path("plan")).unwrap();
    fs::remove_dir_all(bench.path("ideas")).unwrap();
    fs::remove_file(bench.path("SOUL.md")).unwrap();
    bench.write("plan/deep/a.md", "a folder now");
    bench.write("ideas", "a file now");
    bench.write("tmp/scratch", "of no commit");
    fs::set_permissions(bench.path("scripts/run"), fs::Permissions::from_mode(0o644)).unwrap();
    let later = note(&bench, 20, "later");
    bench.write("notes.md", "in no commit yet");

    let done = put_back(&bench, then).unwrap();
    assert!(done.commit.is_some() && done.kept.is_empty(), "{done:?}");
    assert_eq!(bench.names(), files);
    assert_eq!(read(&bench, "notes.md").as_deref(), Some("then"));
    assert_eq!(read(&bench, "plan").as_deref(), Some("a file"));
    assert_eq!(read(&bench, "ideas/one.md").as_deref(), Some("one"));
    assert_eq!(read(&bench, "SOUL.md").as_deref(), Some("Be kind.\n"));
    assert_eq!(read(&bench, "tmp/scratch").as_deref(), Some("of no commit"));
    assert!(fs::metadata(bench.path("scripts/run")).unwrap().permissions().mode() & 0o100 != 0);
    // Exactly that commit's tree, on top of later commits.
    let (was, now) = (At::Commit(then), At::Branch(bench.ada.clone()));
    assert!(bench.repo.diff_between(&was, &now).unwrap().is_empty());
    assert_eq!(bench.log(None)[..3], ["Back", "Keep", "MC-1: Work"]);
    assert!(bench.repo.is_on(&bench.ada, later).unwrap());
    assert_eq!(bench.commit(ALL, "nothing").commit, None, "the folder is what the branch says");
    assert_eq!(put_back(&bench, then).unwrap(), PutBack::default(), "it is there already");
}

#[test]
fn what_no_commit_has_stays_and_a_link_gives_way() {
    let bench = Bench::new();
    let then = note(&bench, 10, "then");
    let outside = bench.dir.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    fs::remove_file(bench.path("notes.md")).unwrap();
    symlink(&outside, bench.path("notes.md")).unwrap();
    bench.write("SOUL.md", "later");
    commit(&bench, 20);
    let large = fs::File::create(bench.path("SOUL.md")).unwrap();
    large.set_len(MAX_FILE + 1).unwrap();

    let done = put_back(&bench, then).unwrap();
    let why = "it is too large now".to_owned();
    assert_eq!(done.kept, [("SOUL.md".to_owned(), why)]);
    assert_eq!(fs::metadata(bench.path("SOUL.md")).unwrap().len(), MAX_FILE + 1);
    assert!(!fs::symlink_metadata(bench.path("notes.md")).unwrap().is_symlink());
    assert_eq!(read(&bench, "notes.md").as_deref(), Some("then"));
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
}

#[test]
fn a_folder_that_is_gone_is_made_anew() {
    let bench = Bench::new();
    let then = note(&bench, 10, "then");
    fs::remove_dir_all(bench.path("")).unwrap();
    assert!(put_back(&bench, then).unwrap().commit.is_some());
    assert_eq!(read(&bench, "notes.md").as_deref(), Some("then"));
    assert_eq!(read(&bench, "SOUL.md").as_deref(), Some("Be kind.\n"));
}

#[test]
fn nothing_goes_back_where_its_content_is_damaged() {
    let bench = Bench::new();
    bench.write("a.md", "whole");
    let then = note(&bench, 10, "damaged soon");
    let tree = bench.repo.tree(&At::Commit(then)).unwrap();
    let lost = &tree.iter().find(|file| file.path == "notes.md").unwrap().content;
    fs::remove_file(bench.path("a.md")).unwrap();
    let later = note(&bench, 20, "later");
    let objects = bench.dir.path().join("agents.git/objects");
    fs::remove_file(objects.join(&lost[..2]).join(&lost[2..])).unwrap();

    assert!(matches!(put_back(&bench, then), Err(GitError::Repository(_))));
    assert_eq!(read(&bench, "notes.md").as_deref(), Some("later"));
    assert_eq!(read(&bench, "a.md"), None);
    assert_eq!(bench.repo.head(&bench.ada).unwrap(), Some(later));
}

#[test]
fn what_is_beyond_the_limits_of_a_commit_stays_as_it_is() {
    let bench = Bench::new();
    let then = note(&bench, 10, "then");
    note(&bench, 20, "later");
    for n in 0..MAX_FILES {
        bench.write(&format!("a/{n:05}"), "");
    }
    bench.write("notes.md", "in no commit");

    let done = put_back(&bench, then).unwrap();
    let why = "its current content isn't in any commit".to_owned();
    assert_eq!(done.kept, [("notes.md".to_owned(), why)]);
    assert_eq!(read(&bench, "notes.md").as_deref(), Some("in no commit"));
}
