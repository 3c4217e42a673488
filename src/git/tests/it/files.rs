//! An agent's files as accessed by its tools.

use git::files::{AgentFiles, Part};
use git::folder::Kind;

use super::*;

#[test]
fn a_tool_reaches_the_files_of_its_agent_and_no_others() {
    let bench = Bench::new();
    fs::write(bench.dir.path().join("master.key"), "secret").unwrap();
    symlink("../master.key", bench.path("link")).unwrap();
    symlink("..", bench.path("door")).unwrap();
    let files = AgentFiles::open(&bench.path("")).unwrap();

    let soul = files.read("SOUL.md", 3, 4).unwrap();
    assert_eq!(soul, Some(Part { bytes: b"kind".into(), total: 9, executable: false }));
    assert_eq!(files.read("no/such.md", 0, 9).unwrap(), None);
    assert_eq!(files.read("SOUL.md/x", 0, 9).unwrap(), None);
    for bad in ["link", "door/master.key", "scripts", "../master.key", "/etc/passwd", ".git/x"] {
        assert!(matches!(files.read(bad, 0, 9), Err(GitError::Path { .. })), "{bad}");
    }

    files.write(&File::new("new/deep/file.md", "text")).unwrap();
    assert_eq!(fs::read_to_string(bench.path("new/deep/file.md")).unwrap(), "text");
    files.write(&File::new("link", "a file now")).unwrap();
    assert_eq!(fs::read_to_string(bench.path("link")).unwrap(), "a file now");
    assert!(files.write(&File::new("door/evil", "x")).is_err());
    assert!(files.write(&File::new("scripts", "x")).is_err());
    assert!(files.write(&File::new("../evil", "x")).is_err());
    assert_eq!(fs::read_to_string(bench.dir.path().join("master.key")).unwrap(), "secret");
    assert!(!bench.dir.path().join("evil").exists());

    assert!(files.remove("new/deep/file.md").unwrap());
    assert!(!files.remove("new/deep/file.md").unwrap());
    assert!(files.remove("scripts").is_err());
    assert!(files.remove("door").unwrap());
    assert!(bench.dir.path().join("master.key").exists());
}

#[test]
fn a_folder_is_listed_with_what_each_name_is() {
    let bench = Bench::new();
    symlink("SOUL.md", bench.path("link")).unwrap();
    let files = AgentFiles::open(&bench.path("")).unwrap();
    let list = files.list("").unwrap().unwrap();
    let seen: Vec<_> = list.iter().map(|item| (item.name.as_str(), item.kind)).collect();
    assert_eq!(
        seen,
        [
            ("IDENTITY.md", Kind::File { bytes: 4, executable: false }),
            ("SOUL.md", Kind::File { bytes: 9, executable: false }),
            ("link", Kind::Other),
            ("memory", Kind::Folder),
            ("scripts", Kind::Folder),
        ]
    );
    let scripts = files.list("scripts").unwrap().unwrap();
    assert_eq!(scripts[0].kind, Kind::File { bytes: 10, executable: true });
    assert_eq!(files.list("nowhere").unwrap(), None);
    assert_eq!(files.list("SOUL.md").unwrap(), None);
}

#[test]
fn what_a_model_writes_as_a_path_is_understood_or_refused() {
    let bench = Bench::new();
    let files = AgentFiles::open(&bench.path("")).unwrap();
    let absolute = bench
        .path("memory/x.md")
        .canonicalize()
        .unwrap_or_else(|_| bench.path("memory").canonicalize().unwrap().join("x.md"));
    for (written, path) in [
        ("SOUL.md", "SOUL.md"),
        ("./memory//x.md", "memory/x.md"),
        ("a/../memory/./x.md", "memory/x.md"),
        (absolute.to_str().unwrap(), "memory/x.md"),
        (".", ""),
        ("", ""),
    ] {
        assert_eq!(files.relative(written).unwrap(), path, "{written}");
    }
    for bad in ["..", "a/../../b", "/etc/passwd", "/", "../ada/../../x", ".git/config"] {
        assert!(files.relative(bad).is_err(), "{bad}");
    }
}

#[test]
fn two_scans_tell_what_a_command_has_changed() {
    let bench = Bench::new();
    let files = AgentFiles::open(&bench.path("")).unwrap();
    let before = files.scan().unwrap();
    assert!(before.changes(&files.scan().unwrap()).is_empty());

    bench.write("SOUL.md", "Be kinder.\n");
    bench.write("new/file.md", "new");
    bench.write("scratch/left-out", "x");
    fs::remove_file(bench.path("IDENTITY.md")).unwrap();
    fs::set_permissions(bench.path("memory/.keep"), fs::Permissions::from_mode(0o755)).unwrap();
    let after = files.scan().unwrap();

    let changes = before.changes(&after);
    assert_eq!(changes, ["IDENTITY.md", "SOUL.md", "memory/.keep", "new/file.md"]);
    assert!(after.files().any(|file| file == ("new/file.md", 3)));
    assert_eq!(bench.commit(Paths::Only(&changes), "done").changed, changes);
}
