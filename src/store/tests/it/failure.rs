//! Tests the four failures of a disk: an error while write sets are applied, an error of the commit, a failed fsync, a
//! full disk. Also tests a failed read.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use kernel::time::{ManualClock, from_ms};
use kernel::{Cause, Problem};
use store::disk::EXIT_SYNC_FAILED;
use store::{FORMAT, Faults, Range, ReadExt, StoreError};

use super::check;
use super::toys::{ACTOR, Line, Mark, Note, Seen, Toys, With, folder, id, note};

const NEVER: i64 = i64::MAX;

/// A disk with injected failures.
struct Flaky {
    /// The number of writes that still succeed; the next one fails, once.
    writes_left: AtomicI64,
    /// Whether everything fails until this is reset.
    gone: AtomicBool,
    growth: AtomicBool,
    /// Whether failures are reported as lack of space.
    full: AtomicBool,
    /// The number of reads that still succeed; the next one fails, once.
    reads_left: AtomicI64,
    syncs: AtomicBool,
    free: AtomicU64,
    /// Number of writes, size changes and fsyncs that reached the disk.
    touched: AtomicU32,
    sync_failures: AtomicU32,
}

impl Default for Flaky {
    fn default() -> Self {
        Self {
            writes_left: AtomicI64::new(NEVER),
            gone: AtomicBool::default(),
            growth: AtomicBool::default(),
            full: AtomicBool::default(),
            reads_left: AtomicI64::new(NEVER),
            syncs: AtomicBool::default(),
            free: AtomicU64::new(u64::MAX),
            touched: AtomicU32::default(),
            sync_failures: AtomicU32::default(),
        }
    }
}

impl Flaky {
    fn fail_if(&self, condition: bool) -> io::Result<()> {
        if condition || self.gone.load(Ordering::SeqCst) {
            return Err(match self.full.load(Ordering::SeqCst) {
                true => io::ErrorKind::StorageFull.into(),
                false => io::Error::other("injected"),
            });
        }
        Ok(())
    }

    fn open(self: &Arc<Self>) -> Toys {
        self.with().open()
    }

    fn with(self: &Arc<Self>) -> With {
        With { faults: Arc::clone(self) as Arc<dyn Faults>, ..With::default() }
    }
}

fn spent(left: &AtomicI64) -> bool {
    left.load(Ordering::SeqCst) != NEVER && left.fetch_sub(1, Ordering::SeqCst) == 0
}

impl Faults for Flaky {
    fn read(&self, _: u64, _: usize) -> io::Result<()> {
        self.fail_if(spent(&self.reads_left))
    }
    fn write(&self, _: u64, _: usize) -> io::Result<()> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        self.fail_if(spent(&self.writes_left))
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        self.fail_if(self.growth.load(Ordering::SeqCst))
    }
    fn sync(&self) -> io::Result<()> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        self.fail_if(self.syncs.load(Ordering::SeqCst))
    }
    fn sync_failed(&self) {
        self.sync_failures.fetch_add(1, Ordering::SeqCst);
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::SeqCst))
    }
}

fn large(n: u64) -> Note {
    Note::new(note(n), &"x".repeat(200_000))
}

#[test]
fn an_error_while_write_sets_are_applied_saves_nothing_and_the_store_goes_on() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    toys.put(Note::new(note(1), "before")).expect("a note");
    disk.growth.store(true, Ordering::SeqCst);
    let failed = toys.write(|tx| {
        for n in 100..140 {
            tx.put(&large(n))?;
        }
        Ok(())
    });
    let error = failed.expect_err("the file cannot grow");
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
    assert_eq!((error.code(), error.kind().status()), ("storage_failed", 503));
    assert_eq!(toys.seq(), 1);
    assert_eq!(toys.get::<Note>(note(1)), Some(Note::new(note(1), "before")), "it goes on reading");
    disk.growth.store(false, Ordering::SeqCst);
    toys.put(large(2)).expect("and writing");
    assert_eq!(toys.store.read(|snap| snap.list::<Note>(&Range::all())).expect("a read").len(), 2);
    check::all_fits(&toys.store);
    check::all_fits(&toys.reopen().store);
}

#[test]
fn an_error_from_the_commit_means_unknown_and_the_store_mends_itself() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    let mut live = toys.store.subscribe();
    let mut unknown = 0;
    for n in 1.. {
        let before = toys.seq();
        disk.writes_left.store(n, Ordering::SeqCst);
        let put = toys.put(Note { labels: vec![1, 2], ..Note::new(note(n.unsigned_abs()), "m") });
        let hit = disk.writes_left.swap(NEVER, Ordering::SeqCst) < 0;
        let there = toys.get::<Note>(note(n.unsigned_abs())).is_some();
        assert_eq!(toys.seq() - before, u64::from(there), "the head says what is there");
        if there {
            assert_eq!(live.try_recv().expect("readers hear of it").seq, toys.seq());
        }
        live.try_recv().expect_err("and of nothing else");
        match put {
            Ok(()) => assert!(there),
            Err(error) => {
                assert!(matches!(error, StoreError::Unknown(_)), "{error}");
                assert_eq!((error.code(), error.kind().status()), ("storage_unknown", 503));
                unknown += 1;
            }
        }
        check::all_fits(&toys.store);
        if !hit {
            break;
        }
    }
    assert!(unknown > 5, "a commit has more than {unknown} writes");
    toys.put(Note::new(note(1_000_000), "m")).expect("the store goes on");
    check::all_fits(&toys.reopen().store);
}

#[test]
fn a_whole_batch_shares_the_fate_of_its_commit() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    disk.writes_left.store(3, Ordering::SeqCst);
    let answers = runtime.expect("a runtime").block_on(async {
        let write = |n| {
            toys.store.write(ACTOR, Cause::Setup, move |tx| {
                if n % 2 == 0 { tx.put(&Note::new(note(n), "m")) } else { Err(StoreError::Stale) }
            })
        };
        futures_util::future::join_all((0..6).map(write)).await
    });
    for answer in &answers {
        let code = answer.as_ref().map_or_else(Problem::code, |()| "ok");
        // A write refused because of a row whose commit is unknown is unknown as well.
        assert!(matches!(code, "storage_unknown" | "ok" | "stale"), "{code}");
    }
    assert!(answers.iter().any(|answer| matches!(answer, Err(StoreError::Unknown(_)))));
    check::all_fits(&toys.store);
}

#[test]
fn a_disk_that_is_gone_for_a_while_is_waited_for() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    toys.put(Note::new(note(1), "before")).expect("a note");
    disk.gone.store(true, Ordering::SeqCst);
    disk.syncs.store(false, Ordering::SeqCst);
    let error = toys.put(Note::new(note(2), "m")).expect_err("no disk");
    assert!(matches!(error, StoreError::Unknown(_)), "{error}");
    let error = toys.put(Note::new(note(3), "m")).expect_err("still no disk");
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
    let read = toys.store.read(|snap| snap.get::<Note>(note(1)));
    assert!(matches!(read, Err(StoreError::Failed(_))));
    disk.gone.store(false, Ordering::SeqCst);
    toys.put(Note::new(note(4), "m")).expect("the next write opens it");
    assert!(toys.get::<Note>(note(1)).is_some());
    check::all_fits(&toys.store);
}

#[test]
fn a_disk_that_comes_back_is_found_without_a_write() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    toys.put(Note::new(note(1), "before")).expect("a note");
    disk.gone.store(true, Ordering::SeqCst);
    toys.put(Note::new(note(2), "m")).expect_err("no disk");
    disk.gone.store(false, Ordering::SeqCst);
    let patience = std::time::Instant::now();
    while toys.store.read(|snap| snap.get::<Note>(note(1))).is_err() {
        assert!(patience.elapsed().as_secs() < 20, "nobody looks for the disk");
        std::thread::yield_now();
    }
    check::all_fits(&toys.store);
}

#[test]
fn a_failed_read_fails_its_reader_alone_and_the_file_is_opened_anew() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    for n in 1..=20 {
        toys.put(large(n)).expect("a note");
    }
    // The reopened store has an empty cache, so the first reads go to the disk.
    let toys = toys.reopen_with(disk.with());
    disk.reads_left.store(0, Ordering::SeqCst);
    let read = toys.store.read(|snap| snap.list::<Note>(&Range::all()));
    assert!(matches!(read, Err(StoreError::Failed(_))));
    disk.reads_left.store(NEVER, Ordering::SeqCst);
    toys.put(Note::new(note(50), "m")).expect("writing goes on");
    let notes = toys.store.read(|snap| snap.list::<Note>(&Range::all())).expect("and reading");
    assert_eq!(notes.len(), 21);
    check::all_fits(&toys.store);
}

#[test]
fn a_rule_that_overlooks_a_failed_read_cannot_commit() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    for n in 1..=20 {
        toys.put(large(n)).expect("a note");
    }
    let toys = toys.reopen_with(disk.with());
    let flaky = Arc::clone(&disk);
    let failed = toys.write(move |tx| {
        flaky.reads_left.store(0, Ordering::SeqCst);
        let unread = tx.list::<Note>(&Range::all());
        flaky.reads_left.store(NEVER, Ordering::SeqCst);
        assert!(unread.is_err());
        tx.put(&Note::new(note(50), "written without knowing the others"))
    });
    assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
    assert_eq!((toys.seq(), toys.get::<Note>(note(50))), (20, None));
    check::all_fits(&toys.store);
}

#[test]
fn after_a_failed_fsync_nothing_is_written_any_more() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    toys.put(Note::new(note(1), "before")).expect("a note");
    disk.syncs.store(true, Ordering::SeqCst);
    // The hook replaces the end of the process and checks what would happen without it.
    toys.put(Note::new(note(2), "m")).expect_err("the fsync fails");
    assert_eq!(disk.sync_failures.load(Ordering::SeqCst), 1);
    assert!(toys.store.counters().sync_failed());
    disk.syncs.store(false, Ordering::SeqCst);
    let touched = disk.touched.load(Ordering::SeqCst);
    let bytes = std::fs::read(toys.path()).expect("the file");
    let error = toys.put(Note::new(note(3), "m")).expect_err("the file stays closed");
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
    toys.store.close();
    assert_eq!(disk.touched.load(Ordering::SeqCst), touched, "not one write, growth or fsync");
    assert_eq!(std::fs::read(toys.path()).expect("the file"), bytes);
    let toys = toys.reopen();
    assert_eq!(toys.get::<Note>(note(1)), Some(Note::new(note(1), "before")));
    toys.put(Note::new(note(3), "m")).expect("the next start writes again");
    check::all_fits(&toys.store);
}

/// Set in the child process of the test below: the folder of its store.
const CHILD: &str = "HQ_TEST_FAILED_FSYNC";

/// Fails fsyncs with the default hook, which ends the process.
struct SyncFails(AtomicBool);

impl Faults for SyncFails {
    fn sync(&self) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) { Err(io::Error::other("injected")) } else { Ok(()) }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how a child is told that it is one")]
fn a_failed_fsync_ends_the_process() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let child = std::process::Command::new(std::env::current_exe().expect("this test program"))
        .args(["--exact", "failure::a_failed_fsync_ends_the_process", "--nocapture"])
        .env(CHILD, folder.path())
        .output()
        .expect("a child process");
    let output = String::from_utf8_lossy(&child.stdout);
    assert_eq!(child.status.code(), Some(EXIT_SYNC_FAILED), "{output}");
    assert!(output.contains("acknowledged 1") && !output.contains("acknowledged 2"), "{output}");
    let clock = Arc::new(kernel::time::ManualClock::at(kernel::time::from_ms(0)));
    let path = folder.path().join("toys.redb");
    let store = With::default().open_at(&path, &clock).expect("the next start opens it");
    let first = store.read(|snap| snap.get::<Note>(note(1))).expect("a read");
    assert!(first.is_some(), "what was acknowledged is there");
    check::all_fits(&store);
}

#[expect(clippy::print_stdout, reason = "what a child tells its parent")]
fn child(folder: &Path) {
    let faults = Arc::new(SyncFails(AtomicBool::new(false)));
    let clock = Arc::new(kernel::time::ManualClock::at(kernel::time::from_ms(0)));
    let with = With { faults: Arc::clone(&faults) as Arc<dyn Faults>, ..With::default() };
    let store = with.open_at(&folder.join("toys.redb"), &clock).expect("it opens");
    for n in 1..=2 {
        faults.0.store(n == 2, Ordering::SeqCst);
        let put = move |tx: &mut store::WriteTx<'_>| tx.put(&Note::new(note(n), "m"));
        let written: Result<(), StoreError> = store.write_blocking(ACTOR, Cause::Setup, put);
        println!("acknowledged {n}: {written:?}");
    }
}

#[test]
fn a_full_disk_refuses_what_grows_and_recovers_by_itself() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    let made = toys.write(|tx| {
        for n in 1..=3 {
            tx.put(&Note::new(note(n), "m"))?;
        }
        tx.put(&Note { parent: Some(note(1)), ..Note::new(note(4), "child") })?;
        tx.put(&Line { id: id(1), note: note(1), amount: 1 })
    });
    made.expect("records");
    let toys = toys.reopen_with(disk.with());
    disk.free.store(200 << 20, Ordering::SeqCst);
    let touched = disk.touched.load(Ordering::SeqCst);
    for n in [1, 9] {
        let error = toys.put(Note::new(note(n), "more")).expect_err("full");
        let full = matches!(error, StoreError::Full { free_mb: 200, reserve_mb: 256 });
        assert!(full, "{error}");
        assert_eq!((error.code(), error.kind().status()), ("storage_full", 507));
    }
    let error = toys.put(Seen { id: id(1), at: 1 }).expect_err("local rows take room, too");
    assert!(matches!(error, StoreError::Full { .. }));
    let mixed = toys.write(|tx| {
        tx.put(&Mark { id: id(1), note: None })?;
        tx.put(&Note::new(note(9), "more"))
    });
    assert!(matches!(mixed, Err(StoreError::Full { .. })), "a mark is no excuse for a note");
    assert_eq!(disk.touched.load(Ordering::SeqCst), touched, "redb saw nothing of it");
    toys.put(Mark { id: id(1), note: None }).expect("what helps whoever frees space");
    assert!(toys.write(|tx| tx.delete::<Note>(note(2))).expect("a delete"));
    assert!(toys.write(|tx| tx.delete::<Note>(note(1))).expect("a delete that clears a reference"));
    assert_eq!(toys.get::<Note>(note(4)).map(|n| n.parent), Some(None));
    let noted = toys.write(|tx| {
        tx.put(&Line { id: id(2), note: note(3), amount: 1 })?;
        tx.delete::<Note>(note(3))
    });
    assert!(noted.expect("a delete that leaves a note of itself"));
    let replaced = toys.write(|tx| {
        tx.put(&large(8))?;
        tx.delete::<Note>(note(4))
    });
    assert!(matches!(replaced, Err(StoreError::Full { .. })), "a delete is no excuse for growth");
    toys.store
        .write_blocking(ACTOR, Cause::Retention, |tx| tx.delete::<Line>(id(1)))
        .map_err(|error: StoreError| error.to_string())
        .expect("retention");
    toys.put(Note::new(note(9), "more")).expect_err("still full");
    disk.free.store(u64::MAX, Ordering::SeqCst);
    toys.put(Note::new(note(9), "more")).expect("room again, without anybody's doing");
    check::all_fits(&toys.store);
}

#[test]
fn a_disk_that_fills_up_below_us_is_a_failed_commit() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    toys.put(Note::new(note(1), "m")).expect("a note");
    disk.growth.store(true, Ordering::SeqCst);
    let mut failures = 0;
    for n in 100..140 {
        failures += u32::from(toys.put(large(n)).is_err());
    }
    assert!(failures > 0, "the file had to grow");
    disk.growth.store(false, Ordering::SeqCst);
    toys.put(Note::new(note(2), "m")).expect("room again");
    check::all_fits(&toys.store);
}

/// Checks that a write was refused for lack of space and left nothing.
fn did_not_fit(toys: &Toys, error: &StoreError, n: u64) {
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!((error.code(), error.kind().status()), ("storage_full", 507));
    assert_eq!(toys.get::<Note>(note(n)), None, "nothing of it is there");
}

#[test]
fn what_does_not_fit_while_it_is_written_is_told_so_and_the_store_goes_on() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    toys.put(Note::new(note(1), "m")).expect("a note");
    disk.full.store(true, Ordering::SeqCst);
    // The file cannot grow.
    disk.growth.store(true, Ordering::SeqCst);
    let mut refused = 0;
    for n in 100..140 {
        if let Err(error) = toys.put(large(n)) {
            did_not_fit(&toys, &error, n);
            refused += 1;
        }
    }
    assert!(refused > 0, "the file had to grow");
    disk.growth.store(false, Ordering::SeqCst);
    toys.put(large(140)).expect("room again, without a restart");
    // In a sparse file each write of a commit in turn finds no space.
    let (mut refused, mut unsure) = (0, 0);
    for n in 200.. {
        let before = toys.seq();
        disk.writes_left.store(i64::try_from(n - 199).expect("a few"), Ordering::SeqCst);
        let put = toys.put(Note::new(note(n), "m"));
        let hit = disk.writes_left.swap(NEVER, Ordering::SeqCst) < 0;
        match put {
            Ok(()) => assert_eq!(toys.seq(), before + 1),
            Err(StoreError::Unknown(_)) => {
                assert_eq!(toys.seq(), before + 1, "only what is there may be told as unsure");
                unsure += 1;
            }
            Err(error) => {
                did_not_fit(&toys, &error, n);
                assert_eq!(toys.seq(), before);
                refused += 1;
            }
        }
        check::all_fits(&toys.store);
        if !hit {
            break;
        }
    }
    assert!(refused > 0 && unsure < 3, "{refused} {unsure}");
    // Everything is full: the file does not even open.
    disk.gone.store(true, Ordering::SeqCst);
    toys.put(Note::new(note(900), "m")).expect_err("full");
    disk.gone.store(false, Ordering::SeqCst);
    disk.full.store(false, Ordering::SeqCst);
    toys.put(Note::new(note(901), "m")).expect("room again, without a restart");
    check::all_fits(&toys.reopen().store);
}

/// A mounted file system of a few MB; `None` if this user may not mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let at = tempfile::tempdir().expect("a folder");
        let options = format!("size={size}");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at.path())
            .output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // ok: removing the folder reports a mount that is left.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn a_real_disk_that_fills_up_refuses_and_takes_again_what_fits() {
    let Some(small) = Small::mount("24m") else {
        return eprintln!("skipped: this user may not mount a file system");
    };
    // The injected disk reports free space, as if others filled the disk between check and write.
    let disk = Arc::new(Flaky::default());
    let clock = Arc::new(ManualClock::at(from_ms(1_700_000_000_000)));
    let path = small.0.path().join("toys.redb");
    let store = disk.with().open_at(&path, &clock).expect("it opens");
    let toys = Toys { store, clock, folder: super::toys::folder_in_memory() };
    let mut kept = Vec::new();
    let mut refused = 0;
    for n in 1..=200 {
        match toys.put(large(n)) {
            Ok(()) => kept.push(n),
            Err(error) => {
                did_not_fit(&toys, &error, n);
                refused += 1;
                if 3 < refused {
                    break;
                }
            }
        }
    }
    assert!(refused > 3 && 10 < kept.len(), "{refused} {}", kept.len());
    // Other data on the file system is deleted.
    let options = ["-o", "remount,size=64m"];
    let mounted = std::process::Command::new("mount").args(options).arg(small.0.path()).status();
    assert!(mounted.is_ok_and(|status| status.success()), "more room");
    toys.put(large(900)).expect("it fits now, without a restart");
    for n in kept {
        assert_eq!(toys.get::<Note>(note(n)), Some(large(n)), "{n}");
    }
    check::all_fits(&toys.store);
}

#[test]
fn a_damaged_header_is_told_in_words_with_what_to_do() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "m")).expect("a note");
    let path = toys.path();
    let Toys { store, clock, folder } = toys;
    store.close();
    drop(store);
    let whole = std::fs::read(&path).expect("it is read");
    let mut refused = 0;
    for at in (0..320).step_by(8) {
        let mut bytes = whole.clone();
        for byte in &mut bytes[at..at + 8] {
            *byte ^= 0xa5;
        }
        std::fs::write(&path, &bytes).expect("it is written");
        // A change in an irrelevant byte does not prevent opening.
        let Err(error) = With::default().open_at(&path, &clock) else { continue };
        let message = error.to_string();
        assert!(
            message.contains("damaged") && message.contains("hq restore"),
            "byte {at}: {message}"
        );
        assert!(!message.contains('\n'), "byte {at}: {message}");
        refused += 1;
    }
    assert!(refused > 3, "{refused}");
    drop(folder);
}

#[test]
fn a_file_of_a_newer_program_is_refused_and_left_alone() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "m")).expect("a note");
    toys.store.close();
    let set_format = |format: u32| {
        let db = redb::Database::open(toys.path()).expect("nobody else has it");
        let txn = db.begin_write().expect("a transaction");
        let meta = redb::TableDefinition::<&[u8], &[u8]>::new("t0006");
        let row = store::codec::encode(&format).expect("a number");
        txn.open_table(meta).expect("a table").insert(&b"format"[..], &*row).expect("a row");
        txn.commit().expect("a commit");
    };
    set_format(9);
    let Err(error) = With::default().open_at(&toys.path(), &toys.clock) else {
        panic!("it opens a file that it does not know");
    };
    assert!(matches!(error, StoreError::Format { found: 9, known: FORMAT }), "{error}");
    set_format(FORMAT);
    let toys = toys.reopen();
    assert!(toys.get::<Note>(note(1)).is_some());
    assert_eq!(toys.get::<super::toys::Folder>(folder(1)), None);
}

#[test]
fn opening_a_whole_file_writes_nothing_of_ours() {
    let disk = Arc::new(Flaky::default());
    let toys = disk.open();
    toys.put(Note::new(note(1), "m")).expect("a note");
    let toys = toys.reopen_with(disk.with());
    let syncs = toys.store.counters().syncs.load(Ordering::SeqCst);
    assert!(syncs <= 1, "redb marks the file as open; we add nothing to that ({syncs})");
}
