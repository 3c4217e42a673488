//! What is new in a branch goes from one repository of a workspace to another.

use git::pack::Moved;

use super::*;

/// A repository elsewhere.
fn other() -> (TempDir, AgentsRepo) {
    let dir = tempfile::tempdir().unwrap();
    let repo = AgentsRepo::open_or_init(&dir.path().join("agents.git")).unwrap();
    (dir, repo)
}

/// Brings what is missing from one to the other; says what became of it, and how long it was.
fn bring(ada: &Branch, from: &AgentsRepo, to: &AgentsRepo) -> (Moved, usize) {
    let has = to.head(ada).unwrap();
    let (head, pack) = from.write_pack(ada, has).unwrap().unwrap();
    (to.read_pack(ada, head, &pack).unwrap(), pack.len())
}

#[test]
fn a_branch_goes_there_and_what_is_new_comes_back() {
    let bench = Bench::new();
    let (dir, there) = other();
    bench.write("large.txt", &"many words\n".repeat(9_000));
    bench.commit(ALL, "A large one");
    let (moved, whole) = bring(&bench.ada, &bench.repo, &there);
    assert_eq!(moved, Moved::On);
    assert_eq!(there.head(&bench.ada).unwrap(), bench.repo.head(&bench.ada).unwrap());
    assert_eq!(bring(&bench.ada, &bench.repo, &there), (Moved::Stood, 0));

    // It goes on there.
    let folder = dir.path().join("ada");
    there.checkout(&bench.ada, &folder).unwrap();
    fs::write(folder.join("new.md"), "new\n").unwrap();
    let entry = Entry { author: &bench.author, message: "Something new", time: at(20) };
    there.commit_paths(&bench.ada, &folder, ALL, &entry).unwrap();
    let (moved, part) = bring(&bench.ada, &there, &bench.repo);
    assert_eq!(moved, Moved::On);
    assert!(part < 1_000 && part < whole, "only what is new: {part} of {whole}");
    assert_eq!(bench.log(None)[0], "Something new");
    bench.git(&["fsck", "--strict"]);
}

#[test]
fn a_branch_that_went_two_ways_stays_as_it_is_on_both_sides() {
    let bench = Bench::new();
    let (dir, there) = other();
    bring(&bench.ada, &bench.repo, &there);
    bench.write("here.md", "here\n");
    bench.commit(ALL, "Here");
    let folder = dir.path().join("ada");
    there.checkout(&bench.ada, &folder).unwrap();
    fs::write(folder.join("there.md"), "there\n").unwrap();
    let entry = Entry { author: &bench.author, message: "There", time: at(20) };
    there.commit_paths(&bench.ada, &folder, ALL, &entry).unwrap();
    let heads = || (bench.repo.head(&bench.ada).unwrap(), there.head(&bench.ada).unwrap());
    let before = heads();
    assert_eq!(bring(&bench.ada, &bench.repo, &there).0, Moved::Apart);
    assert_eq!(bring(&bench.ada, &there, &bench.repo).0, Moved::Apart);
    assert_eq!(heads(), before);
}

#[test]
fn a_pack_that_is_damaged_or_too_small_moves_nothing() {
    let bench = Bench::new();
    let (_dir, there) = other();
    let (head, pack) = bench.repo.write_pack(&bench.ada, None).unwrap().unwrap();
    let mut wrong = pack.clone();
    *wrong.last_mut().unwrap() ^= 1;
    // The last one leaves all of it there, and is not believed all the same.
    for bad in [&pack[..0], &pack[..pack.len() / 2], b"PACK\0\0\0\x02\0\0\0\0", &wrong] {
        assert!(there.read_pack(&bench.ada, head, bad).is_err());
        assert_eq!(there.head(&bench.ada).unwrap(), None);
    }
    assert_eq!(there.read_pack(&bench.ada, head, &pack).unwrap(), Moved::On);
}
