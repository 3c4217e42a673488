//! Archived data folders of older formats: each is opened, upgraded, checked and served. Also failed upgrades, outdated
//! programs, and downgrades.

mod added;
mod indexes;
mod maker;
mod power;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kernel::id::SystemIds;
use kernel::time::SystemClock;
use kernel::{Actor, Cause, Part};
use serde_json::Value;
use server::{migrations, schema};
use store::blob::check as blobs;
use store::migrate::{self, Migration, Piece, Progress, UpgradeError};
use store::{FORMAT, Faults, NoFaults, Options, Store, StoreError};

use crate::store::check;
use support::hq::{OWNER, Setup};
use support::program::{Program, command, run, run_json};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");

fn folder(format: u32) -> PathBuf {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures");
    fixtures.join(format!("format-{format}"))
}

fn archive(format: u32) -> PathBuf {
    folder(format).join("data.tar.gz")
}

/// Formats for which a data folder is archived.
fn formats() -> Vec<u32> {
    (1..=FORMAT).filter(|format| archive(*format).exists()).collect()
}

/// A data folder of the first format, unpacked.
fn first() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    maker::unpack(&archive(1), &data);
    (folder, data)
}

fn stores(data: &Path) -> [PathBuf; 2] {
    [data.join("system.redb"), data.join("workspaces/marlow-cargo/hq.redb")]
}

fn options(path: &Path) -> Options {
    Options {
        path: path.to_owned(),
        schema: schema::workspace(),
        cache: 4 << 20,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        reactor: None,
        faults: Arc::new(NoFaults),
    }
}

/// All files of a folder with their contents.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("a file"))
        })
        .collect();
    found.sort();
    found
}

/// `make fixture` archives the folder that this test creates, once per format; no kind of record may be missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a person asks for a new fixture")]
async fn a_folder_with_every_kind_of_record_can_be_made() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let made = temporary.path().join("data.tar.gz");
    let missing = maker::make(&made).await;
    let size = std::fs::metadata(&made).expect("an archive").len();
    assert!(size < 300 * 1024, "a fixture is small, this one has {size} bytes");
    let wanted = std::env::var("HQ_FIXTURE").is_ok_and(|word| word == "write");
    if wanted && !archive(FORMAT).exists() {
        assert!(missing.is_empty(), "let the maker make some: {missing:?}");
        std::fs::create_dir_all(folder(FORMAT)).expect("a folder");
        std::fs::copy(&made, archive(FORMAT)).expect("a copy");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_every_format_is_upgraded_fits_and_is_served() {
    assert_eq!(formats().first(), Some(&1), "the first format is kept for ever");
    for format in formats() {
        let packed = archive(format);
        let mut hq =
            Setup::default().data(move |data| maker::unpack(&packed, data)).unowned().await;
        let data = hq.data();
        let ws = hq.ws();
        for store in [&ws.store, &hq.running().app.system] {
            check::all_fits(store);
            // Entries written by the start itself may follow.
            let last = store.entries_after(store.head().seq.saturating_sub(9), 9);
            let step = last.expect("the feed");
            let step = step.iter().find(|entry| entry.cause == Cause::Migration(FORMAT));
            assert_eq!(step.is_some(), format < FORMAT);
            assert!(step.is_none_or(|entry| entry.actor == Actor::System(Part::Migration)));
        }
        let report = blobs::check(&ws.store, &ws.blobs).expect("a check");
        assert!(report.is_fine() && report.files >= 3, "{report:?}");
        assert_eq!(report.unreferenced, 0, "every file of the fixture is held");
        for file in stores(&data) {
            let kept = migrate::kept(&file).expect("a folder");
            assert_eq!(kept.len(), usize::from(format < FORMAT));
            for kept in kept {
                assert_eq!(kept.format, format);
                assert_eq!(migrate::format_of(&kept.path).expect("a store"), format);
            }
        }

        let mira = hq.nobody();
        let form = [("email", OWNER.1), ("password", OWNER.2)];
        let reply = mira.form("/login", &form).await;
        assert!(reply.location().is_some_and(|to| !to.starts_with("/login")), "{}", reply.text);
        for page in
            ["", "tasks", "tasks/MC-1", "review", "agents", "runs", "activity", "settings/usage"]
        {
            let reply = mira.get(&format!("/w/marlow-cargo/{page}")).await;
            assert_eq!(reply.status.as_u16(), 200, "{page}: {}", reply.text);
        }
        let tasks = mira.get("/w/marlow-cargo/tasks/MC-2").await;
        assert!(tasks.text.contains("Zoë’s task 🚲"), "{}", tasks.text);
        let file = tasks.attr(".deliv .thing a", "href");
        assert_eq!(mira.get(&file).await.text, "%PDF-1.4 a contract");

        let seq = ws.store.head().seq;
        drop(ws);
        hq.restart().await;
        assert!(hq.ws().store.head().seq >= seq, "it is upgraded once");
        hq.finish().await;
    }
}

/// A migration that does some of its work and then what the test specifies.
fn broken(run: migrate::Run) -> [Migration; 1] {
    [Migration { to: 2, name: "m0002_broken", describe: || "Breaking", run, moves: &[] }]
}

#[test]
fn an_upgrade_that_fails_leaves_the_old_file_as_it_was() {
    let (_folder, data) = first();
    let [_, file] = stores(&data);
    let home = file.parent().expect("a folder");
    let before = files(home);
    let quiet = |_: Progress| {};
    let refusing = broken(|tx, at| match at {
        None => Ok(tx.fill_blob_references(None, 1)?.map_or(Piece::Done, Piece::More)),
        Some(_) => Err(StoreError::Stale),
    });
    let error = migrate::upgrade(options(&file), 1, &refusing, &quiet).expect_err("it refuses");
    let said = error.to_string();
    assert!(said.contains("m0002_broken") && said.contains("nothing was changed"), "{said}");
    assert_eq!(files(home), before);
    let panicking = broken(|_, _| panic!("a bug in a step"));
    let error = migrate::upgrade(options(&file), 1, &panicking, &quiet).expect_err("it panics");
    assert!(error.to_string().contains("a bug in a step"), "{error}");
    assert_eq!(files(home), before);
    let losing = broken(|tx, _| {
        use features::comments::model::Comment;
        use store::{Range, ReadExt as _};
        let one: Vec<Comment> = tx.list(&Range::all().limit(1))?;
        tx.delete::<Comment>(one[0].id)?;
        Ok(Piece::Done)
    });
    let error = migrate::upgrade(options(&file), 1, &losing, &quiet).expect_err("a row is lost");
    assert!(error.to_string().contains("rows and has"), "{error}");
    assert_eq!(files(home), before);
    let error = migrate::upgrade(options(&file), 1, &[], &quiet).expect_err("no step");
    assert!(matches!(error, UpgradeError::NoWay { found: 1, .. }), "{error}");

    struct Full;
    impl Faults for Full {
        fn free_space(&self, _: &Path) -> std::io::Result<u64> {
            Ok(3 << 20)
        }
    }
    let full = Options { faults: Arc::new(Full), ..options(&file) };
    let error = migrate::upgrade(full, 1, &migrations::LIST, &quiet).expect_err("no room");
    assert!(matches!(error, UpgradeError::Room { free_mb: 3, .. }), "{error}");
    assert_eq!(files(home), before);

    // Leftovers of a killed upgrade are no obstacle: a partial copy, a second hard link.
    std::fs::write(home.join("hq.redb.upgrade"), b"half").expect("a file");
    std::fs::hard_link(&file, home.join("hq.redb.before-1")).expect("a name");
    let steps = AtomicU32::new(0);
    let count = |_: Progress| {
        steps.fetch_add(1, Ordering::Relaxed);
    };
    migrate::upgrade(options(&file), 1, &migrations::LIST, &count).expect("now it works");
    assert!(steps.load(Ordering::Relaxed) >= 3, "it says how far it is");
    assert!(!home.join("hq.redb.upgrade").exists());
    check::all_fits(&Store::open(options(&file)).expect("it opens"));
    let old = std::fs::read(home.join("hq.redb.before-1")).expect("the kept file");
    assert!(before.iter().any(|(name, bytes)| name == "hq.redb" && *bytes == old));
}

/// Sets the format of a store that is not open, as if another version had written it.
pub fn set_format(file: &Path, format: u32) {
    let db = crate::raw::open(file);
    let txn = db.begin_write().expect("a transaction");
    let meta = redb::TableDefinition::<&[u8], &[u8]>::new("t0006");
    let row = store::codec::encode(&format).expect("a number");
    txn.open_table(meta).expect("a table").insert(&b"format"[..], &*row).expect("a row");
    txn.commit().expect("a commit");
}

fn said(output: &std::process::Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

async fn titles(program: &Program, data: &Path) -> Vec<String> {
    let made = run_json(Path::new(BINARY), data, &["token", "create", "--name", "test"]);
    let ask = reqwest::Client::new().get(format!("{}/api/v1/tasks", program.url()));
    let ask = ask.bearer_auth(made["token"].as_str().expect("a token"));
    let list: Value = ask.send().await.expect("an answer").json().await.expect("JSON");
    let titles = list["items"].as_array().expect("items").iter();
    titles.map(|task| task["title"].as_str().expect("a title").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_a_newer_version_is_refused_and_the_way_back_works() {
    let (_folder, data) = first();
    let binary = Path::new(BINARY);
    let program = Program::start(binary, &data);
    assert!(program.log().contains("upgrading"), "{}", program.log());
    let before = titles(&program, &data).await;
    assert!(before.iter().any(|title| title == "Zoë’s task 🚲"), "{before:?}");
    assert!(program.stop().success());

    // As if a newer version had upgraded the store.
    let [system, file] = stores(&data);
    let home = file.parent().expect("a folder");
    let (newer, before_it) = (FORMAT + 1, format!("hq.redb.before-{FORMAT}"));
    std::fs::copy(&file, home.join(&before_it)).expect("a copy");
    set_format(&file, newer);
    let refused = run(binary, &data, &["serve"]);
    assert!(!refused.status.success());
    let words = said(&refused);
    let format = format!("has format {newer}, but this program reads {FORMAT}");
    for part in [format.as_str(), "hq rollback --data", "--yes", before_it.as_str()] {
        assert!(words.contains(part), "`{part}` is not in: {words}");
    }
    let asked = run(binary, &data, &["rollback"]);
    assert_eq!(asked.status.code(), Some(1), "{}", said(&asked));
    assert!(said(&asked).contains("--yes"), "{}", said(&asked));
    assert_eq!(migrate::format_of(&file).expect("a store"), newer);
    let incarnation = |path: &Path| Store::open(options(path)).expect("it opens").incarnation();
    let done = run(binary, &data, &["rollback", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(home.join(format!("hq.redb.after-{newer}")).exists(), "what was newer is set aside");
    let left = migrate::Kept::beside(&file).expect("a folder");
    assert!(left.iter().any(|one| one.format == newer), "and goes after a time: {left:?}");
    let lives = (incarnation(&file), incarnation(&home.join(&before_it)));
    assert_ne!(lives.0, lives.1, "cursors of the newer life are worth nothing");
    let program = Program::start(binary, &data);
    assert_eq!(titles(&program, &data).await, before);
    let busy = run(binary, &data, &["rollback", "--yes"]);
    assert!(!busy.status.success() && said(&busy).contains("in use by"), "{}", said(&busy));
    assert!(program.stop().success());

    // All the way back to the first format, and up again.
    let done = run(binary, &data, &["rollback", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    for file in [&system, &file] {
        assert_eq!(migrate::format_of(file).expect("a store"), 1);
    }
    let program = Program::start(binary, &data);
    assert_eq!(titles(&program, &data).await, before);
    assert!(program.stop().success());
    std::fs::remove_file(home.join("hq.redb.before-1")).expect("a kept file");
    let lost = run(binary, &data, &["rollback", "--to", "1", "--yes"]);
    assert!(said(&lost).contains("hq.redb.before-1 to go back to"), "{}", said(&lost));
    assert_eq!(migrate::format_of(&system).expect("a store"), FORMAT, "all or none");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let (folder, data) = first();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    open(folder.path(), 0o755);
    open(&data, 0o555);
    let mut serve = command(Path::new(BINARY), &data, &["serve"]);
    if rustix_uid() == 0 {
        // File modes do not restrict root.
        serve.uid(65_534).gid(65_534);
    }
    let Ok(output) = serve.output() else {
        say("skipped: another user may not run the program here");
        return open(&data, 0o755);
    };
    open(&data, 0o755);
    assert!(!output.status.success());
    let words = said(&output);
    assert!(words.contains("can't be written") && words.contains("owner and mode"), "{words}");
}

fn rustix_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").map_or(0, |meta| meta.uid())
}

#[expect(clippy::print_stdout, reason = "a test that skips says why")]
fn say(what: &str) {
    println!("{what}");
}
