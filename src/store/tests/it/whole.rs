//! Tests of exclusive operations on the whole file, during long reads and continuous writes.

use std::io::{self, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kernel::Problem;
use store::{Faults, Limits, ReadExt as _, Store, StoreError};
use tokio::runtime::Builder;

use super::check;
use super::toys::{ACTOR, CAUSE, Note, Toys, With, note, runtime};

/// Longer than any step of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A backup that has read its first row and waits before the next.
struct Backup {
    go_on: Sender<()>,
    thread: JoinHandle<()>,
}

impl Backup {
    fn begin(store: &Store) -> Self {
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let own = store.clone();
        let thread = std::thread::spawn(move || {
            let mut is_first = true;
            let dumped = own.dump(|_| {
                if std::mem::take(&mut is_first) {
                    begun.send(()).expect("somebody waits");
                    may_go_on.recv().expect("somebody lets it go on");
                }
                Ok::<_, StoreError>(())
            });
            dumped.expect("a dump");
        });
        has_begun.recv().expect("it begins");
        Self { go_on, thread }
    }

    fn end(self) {
        self.go_on.send(()).expect("it waits");
        self.thread.join().expect("it ends well");
    }
}

/// Counts reads of the file's first bytes.
#[derive(Default)]
struct Openings(AtomicU64);

impl Faults for Openings {
    fn read(&self, offset: u64, _: usize) -> io::Result<()> {
        self.0.fetch_add(u64::from(offset == 0), Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn a_backup_keeps_nobody_waiting_whatever_wants_the_whole_file() {
    let disk = Arc::new(Openings::default());
    let toys = With { faults: Arc::clone(&disk) as Arc<dyn Faults>, ..With::default() }.open();
    toys.put(Note::new(note(1), "m")).expect("a note");
    let backup = Backup::begin(&toys.store);

    toys.store.set_cache(8 << 20);
    assert!(matches!(toys.store.compact(), Err(StoreError::Reading)));
    let error = toys.store.check().expect_err("it is being read");
    assert!(error.to_string().contains("a backup"), "{error}");
    assert_eq!((error.code(), error.kind().status()), ("busy", 503));
    assert!(toys.get::<Note>(note(1)).is_some(), "others read on");
    toys.put(Note::new(note(2), "m")).expect("and write on");

    let opened = disk.0.load(Ordering::SeqCst);
    backup.end();
    let began = Instant::now();
    while disk.0.load(Ordering::SeqCst) == opened {
        assert!(began.elapsed() < PATIENCE, "the page cache gets its new size afterwards");
        std::thread::yield_now();
    }
    toys.store.compact().expect("compacted");
    assert!(toys.store.check().expect("checked"));
    toys.put(Note::new(note(3), "m")).expect("a write");
    check::all_fits(&toys.store);
}

#[test]
fn the_page_cache_is_given_back_after_a_burst_and_not_before() {
    let disk = Arc::new(Openings::default());
    let limits = Limits { resting: 1 << 20, ..Limits::default() };
    let with = With { faults: Arc::clone(&disk) as Arc<dyn Faults>, limits, ..With::default() };
    let toys = with.open();
    for n in 0..100 {
        toys.put(Note::new(note(n), &"m".repeat(10_000))).expect("a note");
    }
    let reads = |times: u64| {
        for n in 0..times {
            assert!(toys.get::<Note>(note(n % 100)).is_some());
        }
    };
    let opened = disk.0.load(Ordering::SeqCst);
    // The burst continues: each check finds many reads.
    for _ in 0..4 {
        reads(400);
        toys.store.rest();
        // The writer processes earlier requests before this write.
        toys.put(Note::new(note(1), "burst")).expect("a write");
    }
    assert_eq!(disk.0.load(Ordering::SeqCst), opened, "nobody opens the file anew for it");
    // The burst has ended; one quiet check may be a pause.
    toys.store.rest();
    toys.put(Note::new(note(1), "pause")).expect("a write");
    assert_eq!(disk.0.load(Ordering::SeqCst), opened, "a pause is no end");
    toys.store.rest();
    let began = Instant::now();
    while disk.0.load(Ordering::SeqCst) == opened {
        assert!(began.elapsed() < PATIENCE, "the page cache is given back");
        std::thread::yield_now();
    }
    reads(100);
    toys.put(Note::new(note(0), "after")).expect("a write");
    check::all_fits(&toys.store);
}

/// A disk whose next fsync blocks until the test releases it.
#[derive(Default)]
struct Slow {
    waits: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Faults for Slow {
    fn sync(&self) -> io::Result<()> {
        let waits = self.waits.lock().expect("a lock").take();
        if let Some((begun, end)) = waits {
            begun.send(()).expect("somebody waits for it");
            end.recv().expect("somebody lets it end");
        }
        Ok(())
    }
}

#[test]
fn who_waits_for_a_compaction_keeps_nobody_else_waiting() {
    let disk = Arc::new(Slow::default());
    let toys = With { faults: Arc::clone(&disk) as Arc<dyn Faults>, ..With::default() }.open();
    toys.put(Note::new(note(1), "m")).expect("a note");
    assert!(!toys.store.is_held_whole());
    let ((begun, has_begun), (end, ends)) = (mpsc::channel(), mpsc::channel());
    *disk.waits.lock().expect("a lock") = Some((begun, ends));
    let store = toys.store.clone();
    let compacting = std::thread::spawn(move || store.compact());
    has_begun.recv().expect("it begins");
    assert!(toys.store.is_held_whole());

    let threads = Builder::new_multi_thread().worker_threads(1).enable_time().build();
    let threads = threads.expect("a runtime");
    let (store, (reads, has_read)) = (toys.store.clone(), mpsc::channel());
    let reading = threads.spawn(async move {
        reads.send(()).expect("somebody waits for it");
        store.read(|snap| snap.get::<Note>(note(1)))
    });
    has_read.recv().expect("it reads");
    let store = toys.store.clone();
    let short = Duration::from_millis(20);
    let other = threads.spawn(async move { store.is_at_hand(short).await });
    assert!(!threads.block_on(other).expect("the one thread goes on"), "it is not at hand yet");
    assert!(!reading.is_finished());

    end.send(()).expect("it waits");
    compacting.join().expect("it ends").expect("compacted");
    assert!(threads.block_on(toys.store.is_at_hand(PATIENCE)));
    let read: Result<Option<Note>, StoreError> = threads.block_on(reading).expect("it ends");
    assert!(read.expect("a read").is_some());
}

#[test]
fn compaction_comes_although_somebody_writes_all_the_time() {
    let limits = Limits { turn: Limits::default().turn, ..With::default().limits };
    let toys = With { limits, ..With::default() }.open();
    let stop = Arc::new(AtomicBool::new(false));
    let (store, stopped) = (toys.store.clone(), Arc::clone(&stop));
    let writers = std::thread::spawn(move || {
        let write = |n: u64| {
            let (store, stopped) = (store.clone(), Arc::clone(&stopped));
            async move {
                while !stopped.load(Ordering::Relaxed) {
                    // Four of these fill a batch, so that the others stay in the lane.
                    let slow = move |tx: &mut store::WriteTx<'_>| {
                        let began = Instant::now();
                        while began.elapsed() < Duration::from_millis(5) {
                            std::hint::spin_loop();
                        }
                        tx.put(&Note::new(note(n), "m"))
                    };
                    store.write::<_, StoreError>(ACTOR, CAUSE, slow).await.expect("a write");
                }
            }
        };
        runtime().block_on(futures_util::future::join_all((0..20).map(write)));
    });
    let (done, is_done) = mpsc::channel();
    let store = toys.store.clone();
    let compacting = std::thread::spawn(move || done.send(store.compact()));
    let compacted = is_done.recv_timeout(PATIENCE);
    stop.store(true, Ordering::Relaxed);
    writers.join().expect("they end");
    compacted.expect("it had its turn").expect("compacted");
    compacting.join().expect("it ends").expect("somebody listened");
    check::all_fits(&toys.store);
}

#[test]
fn a_check_that_goes_back_to_the_commit_before_says_what_is_lost() {
    const MARK: &str = "only the last of the commits has these words";
    let toys = Toys::open();
    for n in 1..=5 {
        toys.put(Note::new(note(n), "m")).expect("a note");
    }
    toys.put(Note::new(note(6), MARK)).expect("a note");

    // Flip one bit in each page with them.
    let mut bytes = std::fs::read(toys.path()).expect("the file");
    let mut file = std::fs::File::options().write(true).open(toys.path()).expect("the file");
    let mut changed = 0;
    while let Some(at) = bytes.windows(MARK.len()).position(|words| words == MARK.as_bytes()) {
        bytes[at] ^= 1;
        file.seek(SeekFrom::Start(at as u64)).expect("a place");
        file.write_all(&bytes[at..=at]).expect("a byte");
        changed += 1;
    }
    assert!(changed > 0);

    let read = toys.store.head();
    let error = toys.store.check().expect_err("the last commit is lost");
    assert!(matches!(error, StoreError::Lost { found: 5, known: 6 }), "{error}");
    toys.put(Note::new(note(7), "m")).expect_err("nothing is written behind an entry that is gone");
    let toys = toys.reopen();
    assert_eq!(toys.seq(), 5);
    toys.put(Note::new(note(7), "m")).expect("a person has started it again");
    assert!(!toys.store.knows(read).expect("a look"), "entry 6 is another one than that was read");
    check::all_fits(&toys.store);
}
