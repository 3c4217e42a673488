//! Tests of agent files in their repository. Results are also read with the `git` program, where installed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use git::history::{At, Change, LogQuery};
use git::snapshot::{MAX_FILE, Paths, Snapshot};
use git::{AgentsRepo, Author, Branch, CommitId, Entry, File, GitError, Seeded};
use jiff::Timestamp;
use kernel::{AccountId, TypedId as _};
use tempfile::TempDir;

mod files;
mod moment;
mod pack;
mod revert;

/// All files of a folder.
const ALL: Paths<'static> = Paths::AllBut(&|| Ok(BTreeSet::new()));

struct Bench {
    dir: TempDir,
    repo: AgentsRepo,
    author: Author,
    ada: Branch,
}

impl Bench {
    /// A repository with a template and one agent, whose files are checked out.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = AgentsRepo::open_or_init(&dir.path().join("agents.git")).unwrap();
        let files = [
            File::new("SOUL.md", "Be kind.\n"),
            File::new("memory/.keep", ""),
            File { executable: true, ..File::new("scripts/run", "#!/bin/sh\n") },
        ];
        repo.ensure_template("default", &files, at(1)).unwrap();
        let author = Author::new("Mira", "mira@example.org");
        let entry = Entry { author: &author, message: "agent: Ada", time: at(2) };
        repo.create_agent_branch("ada", "default", &[File::new("IDENTITY.md", "Ada\n")], &entry)
            .unwrap();
        let ada = Branch::agent("ada").unwrap();
        repo.checkout(&ada, &dir.path().join("ada")).unwrap();
        Self { dir, repo, author, ada }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join("ada").join(relative)
    }

    fn write(&self, relative: &str, text: &str) {
        fs::create_dir_all(self.path(relative).parent().unwrap()).unwrap();
        fs::write(self.path(relative), text).unwrap();
    }

    fn commit(&self, paths: Paths<'_>, message: &str) -> Snapshot {
        let entry = Entry { author: &self.author, message, time: at(10) };
        self.repo.commit_paths(&self.ada, &self.path(""), paths, &entry).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let tree = self.repo.tree(&At::Branch(self.ada.clone())).unwrap();
        tree.into_iter().map(|file| file.path).collect()
    }

    fn log(&self, path: Option<&str>) -> Vec<String> {
        let query = LogQuery { path, before: None, limit: 50 };
        let log = self.repo.log(&self.ada, &query).unwrap();
        log.into_iter().map(|entry| entry.message).collect()
    }

    /// Output of the `git` program; `None` if it is not installed.
    fn git(&self, args: &[&str]) -> Option<String> {
        let done = Command::new("git")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .arg("--git-dir")
            .arg(self.dir.path().join("agents.git"))
            .args(args)
            .output()
            .ok()?;
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        Some(String::from_utf8(done.stdout).unwrap())
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

#[test]
fn an_agent_starts_with_the_files_of_its_template() {
    let bench = Bench::new();
    assert_eq!(bench.names(), ["IDENTITY.md", "SOUL.md", "memory/.keep", "scripts/run"]);
    assert_eq!(fs::read_to_string(bench.path("SOUL.md")).unwrap(), "Be kind.\n");
    let mode = |path| fs::metadata(bench.path(path)).unwrap().permissions().mode() & 0o111;
    assert!(mode("scripts/run") != 0 && mode("SOUL.md") == 0);
    assert!(!bench.path(".git").exists());
    assert_eq!(bench.log(None), ["agent: Ada", "template: As it comes with HQ"]);
    let branches: Vec<_> = bench.repo.branches().unwrap();
    assert_eq!(branches, [bench.ada.clone(), Branch::template("default").unwrap()]);
}

#[test]
fn git_itself_accepts_what_was_written() {
    let bench = Bench::new();
    bench.write("notes/ü b.md", "text\n");
    fs::remove_file(bench.path("SOUL.md")).unwrap();
    bench.commit(ALL, "done: Notes\n\nLong story.").commit.unwrap();
    let Some(checked) = bench.git(&["fsck", "--strict", "--full"]) else { return };
    assert!(!checked.contains("missing") && !checked.contains("dangling"), "{checked}");
    let log = bench.git(&["log", "--format=%an <%ae> %at %s", "agent/ada"]).unwrap();
    assert_eq!(
        log.lines().next().unwrap(),
        "Mira <mira@example.org> 1700000010 done: Notes",
        "{log}"
    );
    let files = bench.git(&["-c", "core.quotePath=off", "ls-tree", "-r", "agent/ada"]).unwrap();
    assert!(files.contains("100755 blob") && files.contains("notes/ü b.md"), "{files}");
    assert_eq!(bench.git(&["symbolic-ref", "HEAD"]).unwrap().trim(), "refs/heads/template/default");
}

#[test]
fn a_snapshot_holds_new_changed_and_removed_files_and_nothing_twice() {
    let bench = Bench::new();
    assert_eq!(bench.commit(ALL, "nothing").commit, None);

    bench.write("SOUL.md", "Be kind and brief.\n");
    bench.write("memory/2026-01-01.md", "A day.\n");
    fs::remove_file(bench.path("scripts/run")).unwrap();
    let taken = bench.commit(ALL, "learned: Brevity");
    assert_eq!(taken.changed, ["SOUL.md", "memory/2026-01-01.md", "scripts/run"]);
    assert!(taken.skipped.is_empty());
    assert_eq!(bench.repo.head(&bench.ada).unwrap(), taken.commit);
    assert_eq!(bench.commit(ALL, "again").commit, None);

    // Mode change only.
    fs::set_permissions(bench.path("SOUL.md"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(bench.commit(ALL, "mode").changed, ["SOUL.md"]);
}

#[test]
fn a_run_commits_the_paths_it_noted_and_no_others() {
    let bench = Bench::new();
    bench.write("SOUL.md", "changed by the run");
    bench.write("USER.md", "changed by a person");
    bench.write("out/a/b.md", "b");
    fs::remove_dir_all(bench.path("scripts")).unwrap();
    let noted = ["SOUL.md", "out", "scripts", "never/was.md"].map(String::from);
    let taken = bench.commit(Paths::Only(&noted), "done: Work");
    assert_eq!(taken.changed, ["SOUL.md", "out/a/b.md", "scripts/run"]);
    assert_eq!(bench.commit(ALL, "the rest").changed, ["USER.md"]);

    for bad in ["../master.key", "/etc/passwd", ".git/config", "a//b"] {
        let noted = [bad.to_owned()];
        let entry = Entry { author: &bench.author, message: "x", time: at(3) };
        let got = bench.repo.commit_paths(&bench.ada, &bench.path(""), Paths::Only(&noted), &entry);
        assert!(matches!(got, Err(GitError::Path { .. })), "{bad}");
    }
}

#[test]
fn what_others_will_commit_is_asked_for_when_the_folder_was_looked_at() {
    let bench = Bench::new();
    bench.write("notes/own.md", "own\n");
    bench.write("notes/theirs.md", "theirs\n");
    bench.write("SOUL.md", "theirs\n");
    let theirs = || {
        bench.write("notes/late.md", "written after the look\n");
        Ok(["notes/theirs.md", "SOUL.md"].map(String::from).into())
    };
    assert_eq!(bench.commit(Paths::AllBut(&theirs), "own").changed, ["notes/own.md"]);
    let left = bench.commit(ALL, "the rest").changed;
    assert_eq!(left, ["SOUL.md", "notes/late.md", "notes/theirs.md"]);

    bench.write("SOUL.md", "whose?\n");
    let entry = Entry { author: &bench.author, message: "x", time: at(9) };
    let unknown = || Err("the store is closed".into());
    let refused =
        bench.repo.commit_paths(&bench.ada, &bench.path(""), Paths::AllBut(&unknown), &entry);
    assert!(refused.unwrap_err().to_string().contains("the store is closed"));
    assert_eq!(bench.commit(ALL, "still there").changed, ["SOUL.md"]);
}

#[test]
fn a_file_can_become_a_folder_and_a_folder_a_file() {
    let bench = Bench::new();
    fs::remove_file(bench.path("SOUL.md")).unwrap();
    bench.write("SOUL.md/part.md", "one");
    fs::remove_dir_all(bench.path("scripts")).unwrap();
    bench.write("scripts", "no folder any more");
    let noted = ["SOUL.md/part.md", "scripts"].map(String::from);
    bench.commit(Paths::Only(&noted), "turned").commit.unwrap();
    let names = ["IDENTITY.md", "SOUL.md/part.md", "memory/.keep", "scripts"];
    assert_eq!(bench.names(), names);
    assert_eq!(bench.commit(ALL, "the same").commit, None);
}

#[test]
fn what_is_not_for_keeping_is_left_out() {
    let bench = Bench::new();
    for path in [
        "scratch/big",
        ".git/config",
        "a/.git/hooks/post-commit",
        "node_modules/x.js",
        ".env",
        "a/.env.local",
        "a/__pycache__/x.pyc",
        "state/cache",
        "x.pyc",
    ] {
        bench.write(path, "left out");
    }
    bench.write("kept/scratch/note.md", "kept");
    bench.write(".gitignore", "*");
    let taken = bench.commit(ALL, "done: All");
    assert_eq!(taken.changed, [".gitignore", "kept/scratch/note.md"]);
    let noted = [".env".to_owned(), "scratch/big".to_owned(), "node_modules".to_owned()];
    assert_eq!(bench.commit(Paths::Only(&noted), "noted").commit, None);
}

#[test]
fn links_sockets_pipes_and_large_files_are_left_out_and_told() {
    let bench = Bench::new();
    fs::write(bench.dir.path().join("master.key"), "secret").unwrap();
    fs::create_dir(bench.dir.path().join("elsewhere")).unwrap();
    fs::write(bench.dir.path().join("elsewhere/file"), "secret").unwrap();
    symlink("../master.key", bench.path("link")).unwrap();
    symlink("../elsewhere", bench.path("door")).unwrap();
    let _socket = UnixListener::bind(bench.path("socket")).unwrap();
    let pipe = Command::new("mkfifo").arg(bench.path("pipe")).status().unwrap();
    assert!(pipe.success());
    let large = fs::File::create(bench.path("large")).unwrap();
    large.set_len(MAX_FILE + 1).unwrap();
    // A file becomes a symlink to a secret.
    fs::remove_file(bench.path("SOUL.md")).unwrap();
    symlink("../master.key", bench.path("SOUL.md")).unwrap();

    let taken = bench.commit(ALL, "done: Tricks");
    let skipped: Vec<_> = taken.skipped.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(skipped, ["SOUL.md", "door", "large", "link", "pipe", "socket"]);
    assert_eq!(taken.changed, ["SOUL.md"]);
    let noted = ["link", "door/file", "large"].map(String::from);
    assert_eq!(bench.commit(Paths::Only(&noted), "noted").commit, None);
    assert!(!bench.names().iter().any(|name| name.starts_with("door") || name == "link"));
}

#[test]
fn of_some_files_those_are_told_that_would_stay_out_of_a_branch() {
    let bench = Bench::new();
    for (path, text) in [("SOUL.md", "a key"), ("other.md", "a key"), ("plain.md", "plain")] {
        bench.write(path, text);
    }
    fs::File::create(bench.path("large")).unwrap().set_len(MAX_FILE + 1).unwrap();
    let refuses = |_: &str, bytes: &[u8]| (bytes == b"a key").then_some("it holds a key");
    let paths = ["SOUL.md", "gone.md", "large", "plain.md"].map(String::from);
    let found = bench.repo.left_out(&bench.ada, &bench.path(""), &paths, &refuses).unwrap();
    let reasons: Vec<_> = found.iter().map(|one| (one.path.as_str(), one.why)).collect();
    assert_eq!(reasons, [("SOUL.md", "it holds a key"), ("large", "it is larger than 25 MiB")]);
}

#[test]
fn a_file_that_grew_too_large_keeps_its_last_version() {
    let bench = Bench::new();
    fs::File::create(bench.path("SOUL.md")).unwrap().set_len(MAX_FILE + 1).unwrap();
    let taken = bench.commit(ALL, "grown");
    assert_eq!((taken.commit, taken.skipped.len()), (None, 1));
    let soul = bench.repo.read_file(&At::Branch(bench.ada.clone()), "SOUL.md").unwrap().unwrap();
    assert_eq!(soul.bytes, b"Be kind.\n");
}

#[test]
fn the_history_can_be_asked_for_a_path_and_page_by_page() {
    let bench = Bench::new();
    for n in 0..5 {
        bench.write("memory/day.md", &format!("{n}\n"));
        bench.commit(ALL, &format!("memory: {n}"));
        bench.write("other.md", &format!("{n}\n"));
        bench.commit(ALL, &format!("done: {n}"));
    }
    let memory = ["memory: 4", "memory: 3", "memory: 2", "memory: 1", "memory: 0"];
    assert_eq!(bench.log(Some("memory/day.md")), memory);
    assert_eq!(bench.log(Some("memory"))[..5], memory);
    assert!(bench.log(Some("no/such/file")).is_empty());

    let page = |before: Option<CommitId>| {
        let query = LogQuery { path: None, before, limit: 5 };
        bench.repo.log(&bench.ada, &query).unwrap()
    };
    let first = page(None);
    let second = page(Some(first[4].id));
    let third = page(Some(second[4].id));
    assert_eq!((first.len(), second.len(), third.len()), (5, 5, 2));
    assert_eq!(first[4].message, "done: 2");
    assert_eq!(second[0].message, "memory: 2");
    assert_eq!(first[0].author, "Mira");
    assert_eq!(first[0].time, at(10));
    assert_eq!(bench.repo.commit(first[0].id).unwrap(), first[0]);
}

#[test]
fn a_diff_shows_lines_names_and_what_cannot_be_shown() {
    let bench = Bench::new();
    bench.write("SOUL.md", "Be kind.\nBe brief.\n");
    fs::rename(bench.path("IDENTITY.md"), bench.path("WHO.md")).unwrap();
    fs::remove_file(bench.path("scripts/run")).unwrap();
    fs::write(bench.path("picture"), [0_u8, 159, 146, 150]).unwrap();
    let id = bench.commit(ALL, "done").commit.unwrap();
    let diff = bench.repo.diff(id).unwrap();
    let seen: Vec<_> =
        diff.iter().map(|f| (f.path.as_str(), f.added, f.removed, f.is_text)).collect();
    assert_eq!(
        seen,
        [
            ("SOUL.md", 1, 0, true),
            ("WHO.md", 0, 0, true),
            ("picture", 0, 0, false),
            ("scripts/run", 0, 1, true),
        ]
    );
    assert_eq!(diff[0].hunks, "@@ -1 +1,2 @@\n Be kind.\n+Be brief.\n");
    assert_eq!(diff[1].change, Change::Renamed { from: "IDENTITY.md".into() });
    assert_eq!((&diff[2].change, &diff[3].change), (&Change::Added, &Change::Removed));

    let template = At::Branch(Branch::template("default").unwrap());
    let all = bench.repo.diff_between(&template, &At::Commit(id)).unwrap();
    assert_eq!(all.len(), 4);
    assert!(bench.repo.diff_between(&template, &template).unwrap().is_empty());
}

#[test]
fn a_file_is_read_as_it_was_in_an_older_commit() {
    let bench = Bench::new();
    let before = bench.repo.head(&bench.ada).unwrap().unwrap();
    bench.write("SOUL.md", "new");
    bench.commit(ALL, "soul: New");
    let read = |at: &At, path| bench.repo.read_file(at, path).unwrap().map(|f| f.bytes);
    assert_eq!(read(&At::Commit(before), "SOUL.md").unwrap(), b"Be kind.\n");
    assert_eq!(read(&At::Branch(bench.ada.clone()), "SOUL.md").unwrap(), b"new");
    assert_eq!(read(&At::Commit(before), "memory"), None);
    assert_eq!(read(&At::Commit(before), ""), None);
    assert_eq!(read(&At::Commit(before), "../SOUL.md"), None);
}

#[test]
fn a_template_follows_hq_until_a_person_changes_it() {
    let bench = Bench::new();
    let seed = |text: &str, second| {
        bench.repo.ensure_template("writer", &[File::new("SOUL.md", text)], at(second)).unwrap()
    };
    assert!(matches!(seed("one", 1), Seeded::Created(_)));
    assert_eq!(seed("one", 2), Seeded::Unchanged);
    assert!(matches!(seed("two", 3), Seeded::Updated(_)));

    let writer = Branch::template("writer").unwrap();
    let folder = bench.dir.path().join("writer");
    bench.repo.checkout(&writer, &folder).unwrap();
    fs::write(folder.join("SOUL.md"), "mine").unwrap();
    let entry = Entry { author: &bench.author, message: "soul: Mine", time: at(4) };
    bench.repo.commit_paths(&writer, &folder, ALL, &entry).unwrap();
    assert_eq!(seed("three", 5), Seeded::KeptTheirs);
    assert_eq!(
        bench.repo.read_file(&At::Branch(writer), "SOUL.md").unwrap().unwrap().bytes,
        b"mine"
    );
}

#[test]
fn names_that_are_taken_or_missing_are_told_apart() {
    let bench = Bench::new();
    let entry = Entry { author: &bench.author, message: "x", time: at(1) };
    let make = |slug, template| bench.repo.create_agent_branch(slug, template, &[], &entry);
    assert!(matches!(make("ada", "default"), Err(GitError::BranchExists(_))));
    assert!(matches!(make("eve", "nothing"), Err(GitError::NoBranch(_))));
    assert!(matches!(make("../eve", "default"), Err(GitError::Branch(_))));
    let outside = [File::new("../x", "y")];
    assert!(matches!(
        bench.repo.create_agent_branch("eve", "default", &outside, &entry),
        Err(GitError::Path { .. })
    ));
    let unknown = CommitId::parse(&"1".repeat(40)).unwrap();
    assert!(matches!(bench.repo.diff(unknown), Err(GitError::NoCommit(_))));
    // The id of a file's content is not a commit.
    let content = &bench.repo.tree(&At::Branch(bench.ada.clone())).unwrap()[0].content;
    let content = CommitId::parse(content).unwrap();
    assert!(matches!(bench.repo.tree(&At::Commit(content)), Err(GitError::NoCommit(_))));

    bench.repo.delete_branch(&bench.ada).unwrap();
    assert!(matches!(bench.repo.delete_branch(&bench.ada), Err(GitError::NoBranch(_))));
    assert!(make("ada", "default").is_ok());
}

#[test]
fn a_checkout_mends_files_and_follows_no_link() {
    let bench = Bench::new();
    bench.write("SOUL.md", "damaged");
    bench.write("extra.md", "stays");
    fs::remove_file(bench.path("IDENTITY.md")).unwrap();
    let folder = bench.path("");
    let written = bench.repo.checkout(&bench.ada, &folder).unwrap();
    assert_eq!(written, ["IDENTITY.md", "SOUL.md"]);
    assert_eq!(fs::read_to_string(bench.path("extra.md")).unwrap(), "stays");

    // A symlink to a file is replaced; a symlink to a folder is an error.
    let outside = bench.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "untouched").unwrap();
    fs::remove_file(bench.path("SOUL.md")).unwrap();
    symlink(outside.join("file"), bench.path("SOUL.md")).unwrap();
    bench.repo.checkout(&bench.ada, &folder).unwrap();
    assert!(!fs::symlink_metadata(bench.path("SOUL.md")).unwrap().is_symlink());
    fs::remove_dir_all(bench.path("scripts")).unwrap();
    symlink(&outside, bench.path("scripts")).unwrap();
    assert!(matches!(bench.repo.checkout(&bench.ada, &folder), Err(GitError::Disk { .. })));
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "untouched");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_repository_is_opened_again_after_a_crash() {
    let bench = Bench::new();
    let path = bench.dir.path().join("agents.git");
    fs::write(path.join("refs/heads/agent/ada.lock"), "half").unwrap();
    fs::write(path.join("packed-refs.lock"), "").unwrap();
    fs::create_dir(bench.dir.path().join("agents.git.new")).unwrap();

    let reopened = AgentsRepo::open_or_init(&path).unwrap();

    assert_eq!(reopened.head(&bench.ada).unwrap(), bench.repo.head(&bench.ada).unwrap());
    bench.write("SOUL.md", "after");
    let entry = Entry { author: &bench.author, message: "after", time: at(9) };
    let taken = reopened.commit_paths(&bench.ada, &bench.path(""), ALL, &entry).unwrap();
    assert!(taken.commit.is_some());
}

#[test]
fn configuration_of_the_host_and_of_the_repository_runs_nothing() {
    let bench = Bench::new();
    let path = bench.dir.path().join("agents.git");
    let proof = bench.dir.path().join("proof");
    let touch = format!("touch {}", proof.display());
    let mut config = fs::read_to_string(path.join("config")).unwrap();
    config.push_str(&format!(
        "[filter \"x\"]\n\tclean = {touch}\n\tsmudge = {touch}\n[core]\n\tfsmonitor = {touch}\n\
         \thooksPath = {}\n[diff \"x\"]\n\ttextconv = {touch}\n\tcommand = {touch}\n",
        bench.dir.path().display()
    ));
    fs::write(path.join("config"), config).unwrap();
    for hook in ["post-commit", "pre-commit", "reference-transaction"] {
        let file = bench.dir.path().join(hook);
        fs::write(&file, format!("#!/bin/sh\n{touch}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let repo = AgentsRepo::open_or_init(&path).unwrap();
    bench.write(".gitattributes", "* filter=x diff=x\n");
    bench.write("SOUL.md", "changed\r\n");
    let entry = Entry { author: &bench.author, message: "x", time: at(9) };
    let id = repo.commit_paths(&bench.ada, &bench.path(""), ALL, &entry).unwrap().commit;
    repo.diff(id.unwrap()).unwrap();
    fs::remove_file(bench.path("SOUL.md")).unwrap();
    repo.checkout(&bench.ada, &bench.path("")).unwrap();
    assert_eq!(fs::read(bench.path("SOUL.md")).unwrap(), b"changed\r\n");
    assert!(!proof.exists());
}

#[test]
fn an_author_cannot_break_a_commit() {
    let bench = Bench::new();
    let author = Author::new("Eve <x>\ncommitter Root", "eve@x>\n\nmessage");
    bench.write("SOUL.md", "eve");
    let entry = Entry { author: &author, message: "\0 \n", time: at(5) };
    let id = bench.repo.commit_paths(&bench.ada, &bench.path(""), ALL, &entry).unwrap();
    let logged = bench.repo.commit(id.commit.unwrap()).unwrap();
    assert_eq!(logged.author, "Eve xcommitter Root");
    assert_eq!(logged.email, "eve@xmessage");
    assert_eq!(logged.message, "Change");
    assert!(bench.git(&["fsck", "--strict"]).is_none_or(|out| !out.contains("error")));
    assert!(Path::new(&bench.path("SOUL.md")).exists());
}

#[test]
fn the_commit_of_a_person_has_their_name_and_no_address_of_theirs() {
    let (bench, account) = (Bench::new(), AccountId::from_bytes([7; 16]));
    let author = Author::person("Mira", account);
    bench.write("SOUL.md", "Be brief.\n");
    let entry = Entry { author: &author, message: "files: Shorter", time: at(5) };
    let taken = bench.repo.commit_paths(&bench.ada, &bench.path(""), ALL, &entry).unwrap();
    let logged = bench.repo.commit(taken.commit.unwrap()).unwrap();
    assert_eq!((logged.author.as_str(), logged.email), ("Mira", format!("{account}@people.hq")));
}

#[test]
fn two_writers_of_one_repository_lose_nothing() {
    let bench = Bench::new();
    let entry = Entry { author: &bench.author, message: "agent: Bob", time: at(2) };
    bench.repo.create_agent_branch("bob", "default", &[], &entry).unwrap();
    std::thread::scope(|scope| {
        for slug in ["ada", "bob", "ada", "bob"] {
            let bench = &bench;
            scope.spawn(move || {
                let branch = Branch::agent(slug).unwrap();
                let folder = tempfile::tempdir().unwrap();
                for n in 0..10 {
                    bench.repo.checkout(&branch, folder.path()).unwrap();
                    let name = format!("{:?}-{n}", std::thread::current().id());
                    fs::write(folder.path().join(&name), "x").unwrap();
                    let entry = Entry { author: &bench.author, message: &name, time: at(n) };
                    let noted = [name.clone()];
                    bench
                        .repo
                        .commit_paths(&branch, folder.path(), Paths::Only(&noted), &entry)
                        .unwrap();
                }
            });
        }
    });
    for slug in ["ada", "bob"] {
        let branch = Branch::agent(slug).unwrap();
        let files = bench.repo.tree(&At::Branch(branch)).unwrap();
        assert_eq!(files.iter().filter(|f| f.path.starts_with("ThreadId")).count(), 20, "{slug}");
    }
}
