//! Transfer of a branch's new commits between two repositories of a workspace.

use git::pack::Moved;

use super::*;

/// A second repository.
fn other() -> (TempDir, AgentsRepo) {
    let dir = tempfile::tempdir().unwrap();
    let repo = AgentsRepo::open_or_init(&dir.path().join("agents.git")).unwrap();
    (dir, repo)
}

/// Transfers missing commits. Returns the result and the pack size.
fn bring(ada: &Branch, from: &AgentsRepo, to: &AgentsRepo) -> (Moved, usize) {
    let has = to.head(ada).unwrap();
    let (head, pack) = from.write_pack(ada, has).unwrap().unwrap();
    (receive(to, ada, head, &pack).unwrap(), pack.len())
}

/// Imports a pack and advances the branch.
fn receive(to: &AgentsRepo, ada: &Branch, head: CommitId, pack: &[u8]) -> std::io::Result<Moved> {
    to.take_in(head, pack)?;
    to.move_on(ada, head)
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

    // The branch advances on the other side.
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
    // The last pack contains everything, but its checksum is wrong.
    for bad in [&pack[..0], &pack[..pack.len() / 2], b"PACK\0\0\0\x02\0\0\0\0", &wrong] {
        assert!(receive(&there, &bench.ada, head, bad).is_err());
        assert_eq!(there.head(&bench.ada).unwrap(), None);
    }
    assert_eq!(receive(&there, &bench.ada, head, &pack).unwrap(), Moved::On);
}

#[test]
fn a_pack_that_is_short_and_becomes_large_is_refused_before_it_is_unpacked() {
    let bench = Bench::new();
    let (_dir, there) = other();
    let zeros = bench.dir.path().join("zeros");
    fs::write(&zeros, vec![0; usize::try_from(MAX_FILE).unwrap() + 1]).unwrap();
    bench.git(&["hash-object", "-w", zeros.to_str().unwrap()]);
    let (head, _) = bench.repo.write_pack(&bench.ada, None).unwrap().unwrap();
    let pack = packed(&bench);
    assert!(pack.len() < 100_000, "{} bytes of nothing", pack.len());
    let error = receive(&there, &bench.ada, head, &pack).unwrap_err().to_string();
    assert!(error.contains("more than there is room for"), "{error}");
    assert_eq!(there.head(&bench.ada).unwrap(), None);
    // A pack with an exaggerated object length is rejected too.
    let (head, pack) = bench.repo.write_pack(&bench.ada, None).unwrap().unwrap();
    let mut claims = pack[..12].to_vec();
    claims.extend([0xbf, 0xff, 0xff, 0xff, 0x7f]);
    claims.extend(&pack[12..]);
    let read = receive(&there, &bench.ada, head, &claims);
    assert!(read.is_err_and(|error| error.to_string().contains("too long")));
}

/// All objects of a repository as packed by the `git` program, without deltas.
fn packed(bench: &Bench) -> Vec<u8> {
    let into = bench.dir.path().join("all");
    let all = "git cat-file --batch-all-objects --batch-check='%(objectname)'";
    let pack = format!("{all} | git pack-objects -q --window=0 --stdout >{}", into.display());
    let done = Command::new("sh")
        .args(["-c", &pack])
        .env("GIT_DIR", bench.dir.path().join("agents.git"))
        .status()
        .unwrap();
    assert!(done.success());
    fs::read(into).unwrap()
}

#[test]
fn what_lies_in_a_folder_goes_there_without_a_commit_of_its_branch() {
    let bench = Bench::new();
    let (dir, there) = other();
    bring(&bench.ada, &bench.repo, &there);
    bench.write("new.md", "new\n");
    bench.write("key.md", "a key\n");
    fs::remove_file(bench.path("SOUL.md")).unwrap();
    let refuses = |path: &str, _: &[u8]| (path == "key.md").then_some("it holds a key");
    let lies = || bench.repo.as_it_lies(&bench.ada, &bench.path(""), &refuses).unwrap();
    let (now, left_out) = lies();
    assert_eq!((lies().0, left_out.len()), (now, 1), "the same is the same commit");
    let head = bench.repo.head(&bench.ada).unwrap().unwrap();
    assert_ne!(now, head);

    let pack = bench.repo.pack_of(now, Some(head)).unwrap();
    there.take_in(now, &pack).unwrap();
    assert_eq!(there.head(&bench.ada).unwrap(), Some(head), "no branch moves");
    let copy = dir.path().join("there");
    fs::create_dir_all(copy.join("old")).unwrap();
    fs::write(copy.join("old/gone.md"), "gone\n").unwrap();
    there.mirror(now, &copy).unwrap();
    let is_there = |path: &str| copy.join(path).exists();
    assert!(is_there("new.md") && is_there("IDENTITY.md"));
    assert!(!is_there("SOUL.md") && !is_there("key.md") && !is_there("old"));
}

#[test]
fn a_folder_goes_on_with_a_commit_but_for_what_was_changed_since() {
    let bench = Bench::new();
    bench.write("a.md", "a\n");
    bench.write("b.md", "b\n");
    bench.commit(ALL, "Before");
    let before = bench.repo.head(&bench.ada).unwrap().unwrap();
    bench.write("a.md", "a anew\n");
    bench.write("b.md", "b anew\n");
    bench.write("c/d.md", "d\n");
    fs::remove_file(bench.path("SOUL.md")).unwrap();
    bench.commit(ALL, "After");
    let after = bench.repo.head(&bench.ada).unwrap().unwrap();
    let paths = bench.repo.touched(before, after).unwrap();
    assert_eq!(paths, ["SOUL.md", "a.md", "b.md", "c/d.md"]);
    fs::remove_file(bench.path("c/d.md")).unwrap();
    bench.commit(ALL, "Away again");
    let last = bench.repo.head(&bench.ada).unwrap().unwrap();
    assert_eq!(
        bench.repo.touched(before, last).unwrap(),
        paths,
        "what came and went is one of them"
    );
    bench.write("c/d.md", "d\n");

    // Back, with one file that was changed meanwhile.
    bench.write("b.md", "mine\n");
    let dir = bench.path("");
    assert_eq!(bench.repo.astray(&dir, (after, before), &paths).unwrap(), ["b.md"]);
    assert_eq!(bench.repo.carry(&dir, (after, before), None).unwrap(), ["b.md"]);
    let text = |path: &str| fs::read_to_string(bench.path(path)).ok();
    assert_eq!(text("a.md").as_deref(), Some("a\n"));
    assert_eq!(text("b.md").as_deref(), Some("mine\n"));
    assert_eq!((text("SOUL.md").as_deref(), text("c/d.md")), (Some("Be kind.\n"), None));
    assert!(!bench.path("c").exists());
    // Only the named file.
    let only = ["a.md".to_owned()];
    assert!(bench.repo.carry(&dir, (before, after), Some(&only)).unwrap().is_empty());
    assert_eq!((text("a.md").as_deref(), text("c/d.md")), (Some("a anew\n"), None));
}

#[test]
fn a_branch_that_is_placed_stands_there_and_one_that_moves_on_goes_forward_alone() {
    let bench = Bench::new();
    let first = bench.repo.head(&bench.ada).unwrap().unwrap();
    bench.write("a.md", "a\n");
    bench.commit(ALL, "On");
    let second = bench.repo.head(&bench.ada).unwrap().unwrap();
    let kept = Branch::conflict("ada", &format!("2026-11-27-{}", second.short())).unwrap();
    bench.repo.place(&kept, first).unwrap();
    assert_eq!(bench.repo.move_on(&kept, second).unwrap(), Moved::On);
    assert_eq!(bench.repo.move_on(&kept, second).unwrap(), Moved::Stood);
    assert_eq!(bench.repo.move_on(&kept, first).unwrap(), Moved::Apart);
    let stranger = CommitId::from_bytes([7; 20]);
    assert!(bench.repo.place(&kept, stranger).is_err());
    assert!(bench.repo.move_on(&kept, stranger).is_err());
    assert_eq!(bench.repo.head(&kept).unwrap(), Some(second));
    bench.git(&["fsck", "--strict"]);
}

#[test]
fn a_folder_goes_on_before_its_branch_so_that_what_ended_in_between_is_done_again() {
    let bench = Bench::new();
    let (dir, there) = other();
    bring(&bench.ada, &bench.repo, &there);
    let folder = dir.path().join("ada");
    there.checkout(&bench.ada, &folder).unwrap();
    let old = there.head(&bench.ada).unwrap().unwrap();
    bench.write("new.md", "new\n");
    bench.commit(ALL, "Something new");
    let (new, pack) = bench.repo.write_pack(&bench.ada, Some(old)).unwrap().unwrap();
    there.take_in(new, &pack).unwrap();

    // If the folder cannot be written, the branch stays.
    fs::rename(&folder, dir.path().join("away")).unwrap();
    fs::write(&folder, "no folder").unwrap();
    there.bring_on(&bench.ada, &folder, new).unwrap_err();
    assert_eq!(there.head(&bench.ada).unwrap(), Some(old));
    fs::remove_file(&folder).unwrap();
    fs::rename(dir.path().join("away"), &folder).unwrap();

    // An interruption after the folder was updated.
    assert!(there.carry(&folder, (old, new), None).unwrap().is_empty());
    assert_eq!(there.bring_on(&bench.ada, &folder, new).unwrap(), Moved::On);
    assert_eq!(there.head(&bench.ada).unwrap(), Some(new));
    assert_eq!(fs::read_to_string(folder.join("new.md")).unwrap(), "new\n");
    assert_eq!(there.bring_on(&bench.ada, &folder, new).unwrap(), Moved::Stood);
    assert_eq!(there.bring_on(&bench.ada, &folder, old).unwrap(), Moved::Apart);
}
