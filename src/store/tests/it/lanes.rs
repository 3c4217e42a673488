//! Tests of the write queue: group commit, snapshots, closing.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use kernel::{Clock, Problem};
use store::{Lane, Limits, Range, ReadExt, Store, StoreError, WriteTx};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::check;
use super::toys::{ACTOR, CAUSE, Line, Note, Toys, With, id, note};

type Written = JoinHandle<Result<(), StoreError>>;

/// Blocks the writer inside a closure until it is opened.
struct Gate {
    open: Sender<()>,
    written: Written,
}

impl Gate {
    fn shut(runtime: &Runtime, store: &Store) -> Self {
        let (open, wait): (_, Receiver<()>) = channel();
        let (say, entered) = channel();
        let store = store.clone();
        let written = runtime.spawn(async move {
            store
                .write(ACTOR, CAUSE, move |tx| {
                    say.send(()).expect("the test waits");
                    wait.recv().expect("the test lets go");
                    tx.put(&Note::new(note(1_000_000), "gate"))
                })
                .await
        });
        entered.recv().expect("the writer has come");
        Self { open, written }
    }

    fn open(self, runtime: &Runtime) {
        self.open.send(()).expect("the writer waits");
        runtime.block_on(self.written).expect("no panic").expect("the gate's own write");
    }
}

/// Queues a write in a lane and ensures that it is in the queue.
fn queue(
    runtime: &Runtime,
    store: &Store,
    lane: Lane,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), StoreError> + Send + 'static,
) -> Written {
    let store = store.clone();
    let mut write = Box::pin(async move { store.write_in(lane, ACTOR, CAUSE, body).await });
    let _inside = runtime.enter();
    // After the poll it is in the queue or waits for a place.
    assert!((&mut write).now_or_never().is_none(), "it cannot be done yet");
    tokio::spawn(write)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime")
}

fn all_done(runtime: &Runtime, written: Vec<Written>) {
    for write in written {
        runtime.block_on(write).expect("no panic").expect("written");
    }
}

#[test]
fn what_joins_a_commit_later_is_of_a_later_moment() {
    let (toys, runtime) = (Toys::open(), runtime());
    let gate = Gate::shut(&runtime, &toys.store);
    let before = toys.clock.now();
    toys.clock.advance_ms(3_600_000);
    let write = queue(&runtime, &toys.store, Lane::First, move |tx| {
        assert_eq!(tx.now().duration_since(before).as_secs(), 3_600);
        tx.put(&Note::new(note(1), "late"))
    });
    gate.open(&runtime);
    all_done(&runtime, vec![write]);
}

#[test]
fn all_that_is_queued_is_one_commit() {
    let (toys, runtime) = (Toys::open(), runtime());
    let gate = Gate::shut(&runtime, &toys.store);
    let put = |n| move |tx: &mut WriteTx<'_>| tx.put(&Note::new(note(n), "m"));
    let written = (1..=100).map(|n| queue(&runtime, &toys.store, Lane::First, put(n)));
    let written: Vec<_> = written.collect();
    let before = toys.store.counters().syncs.load(Ordering::Relaxed);
    gate.open(&runtime);
    all_done(&runtime, written);
    let syncs = toys.store.counters().syncs.load(Ordering::Relaxed) - before;
    assert!(syncs <= 2, "the gate's batch and one more, not {syncs}");
    assert_eq!(toys.seq(), 101, "an entry for each");
    check::all_fits(&toys.store);
}

#[test]
fn one_failure_in_a_batch_is_the_callers_own() {
    let (toys, runtime) = (Toys::open(), runtime());
    let gate = Gate::shut(&runtime, &toys.store);
    let slug = |n| Note { slug: Some("same".to_owned()), ..Note::new(note(n), "m") };
    let written: Vec<_> = (1..=3)
        .map(|n| queue(&runtime, &toys.store, Lane::First, move |tx| tx.put(&slug(n))))
        .chain([queue(&runtime, &toys.store, Lane::First, |_| panic!("a bug"))])
        .chain([queue(&runtime, &toys.store, Lane::First, |tx| tx.put(&Note::new(note(4), "m")))])
        .collect();
    gate.open(&runtime);
    let answers: Vec<_> = written
        .into_iter()
        .map(|write| runtime.block_on(write).expect("no panic out here"))
        .map(|answer| answer.as_ref().map_or_else(Problem::code, |()| "ok"))
        .collect();
    assert_eq!(answers, ["ok", "taken", "taken", "panicked", "ok"]);
    check::all_fits(&toys.store);
}

#[test]
fn bulk_work_gets_at_most_a_quarter_while_people_wait() {
    let (toys, runtime) = (Toys::open(), runtime());
    let gate = Gate::shut(&runtime, &toys.store);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut written = Vec::new();
    for n in 0..40 {
        for lane in [Lane::Second, Lane::First] {
            let order = Arc::clone(&order);
            written.push(queue(&runtime, &toys.store, lane, move |tx| {
                order.lock().expect("no panic").push(lane);
                let own = if lane == Lane::First { n } else { 100 + n };
                tx.put(&Note::new(note(own), "m"))
            }));
        }
    }
    gate.open(&runtime);
    all_done(&runtime, written);
    let order = order.lock().expect("no panic");
    let last_first = order.iter().rposition(|lane| *lane == Lane::First).expect("forty of them");
    let crowded = &order[..=last_first];
    for end in 1..=crowded.len() {
        let second = crowded[..end].iter().filter(|lane| **lane == Lane::Second).count();
        assert!(second * 4 <= end, "{second} of the first {end}");
    }
    let second = crowded.iter().filter(|lane| **lane == Lane::Second).count();
    assert!(second > 0, "but it is not starved");
    assert_eq!(order.len(), 80);
}

#[test]
fn who_finds_the_queue_full_for_too_long_is_told_so() {
    let limits = Limits { queue: 3, patience: Duration::from_millis(30), ..With::default().limits };
    let (toys, runtime) = (With { limits, ..With::default() }.open(), runtime());
    let gate = Gate::shut(&runtime, &toys.store);
    let put = |n| move |tx: &mut WriteTx<'_>| tx.put(&Note::new(note(n), "m"));
    let written: Vec<_> =
        (1..=3).map(|n| queue(&runtime, &toys.store, Lane::First, put(n))).collect();
    let late = queue(&runtime, &toys.store, Lane::First, put(4));
    let error = runtime.block_on(late).expect("no panic").expect_err("no place");
    assert!(matches!(error, StoreError::Busy));
    assert_eq!((error.code(), error.kind().status()), ("busy", 503));
    let error = toys.put(Note::new(note(5), "m")).expect_err("threads are told as well");
    assert!(matches!(error, StoreError::Busy));
    // Bulk work has its own places, so it neither takes these nor waits for them.
    let bulk = queue(&runtime, &toys.store, Lane::Second, put(6));
    gate.open(&runtime);
    all_done(&runtime, written);
    all_done(&runtime, vec![bulk]);
    toys.put(Note::new(note(7), "m")).expect("there is room again");
    assert_eq!((toys.get::<Note>(note(4)), toys.get::<Note>(note(5))), (None, None));
}

#[test]
fn a_call_from_inside_a_write_is_refused() {
    let toys = Toys::open();
    let store = toys.store.clone();
    let nested = toys.write(move |tx| {
        let read = store.read(|_| Ok::<_, StoreError>(()));
        assert!(matches!(read, Err(StoreError::Nested)));
        let blocking = store.write_blocking(ACTOR, CAUSE, |_| Ok::<_, StoreError>(()));
        assert!(matches!(blocking, Err(StoreError::Nested)));
        let write = store.write(ACTOR, CAUSE, |_| Ok::<_, StoreError>(())).now_or_never();
        assert!(matches!(write, Some(Err(StoreError::Nested))));
        tx.put(&Note::new(note(1), "m"))
    });
    nested.expect("the write itself goes on");
    assert_eq!(StoreError::Nested.code(), "nested");
}

#[test]
fn a_snapshot_stays_as_it_was_and_does_not_hold_up_the_writer() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "before")).expect("a note");
    assert_eq!(toys.store.oldest_snapshot(), None);
    let read = toys.store.read(|snap| {
        let first = snap.get::<Note>(note(1))?;
        // This thread would wait for the writer, which may wait for this read.
        let inside = toys.put(Note::new(note(1), "never"));
        assert!(matches!(inside, Err(StoreError::Nested)));
        std::thread::scope(|other| {
            let written = other.spawn(|| {
                toys.put(Note::new(note(1), "after"))?;
                toys.put(Note::new(note(2), "after"))
            });
            written.join().expect("no panic")
        })?;
        assert!(toys.store.oldest_snapshot().is_some());
        // A nested read sees the latest state and does not deadlock.
        let inside = toys.store.read(|snap| snap.get::<Note>(note(1)))?;
        assert_eq!(inside.map(|n| n.owner).as_deref(), Some("after"));
        assert_eq!(snap.list::<Note>(&Range::all())?.len(), 1);
        assert_eq!(snap.get::<Note>(note(1))?, first);
        assert_eq!(snap.tables_read(), ["note"]);
        Ok::<_, StoreError>(())
    });
    read.expect("a read");
    assert_eq!(toys.store.oldest_snapshot(), None);
}

#[test]
fn readers_beside_writers_never_see_half_of_a_transaction() {
    let toys = Toys::open();
    let writing = std::sync::atomic::AtomicBool::new(true);
    let reads = std::thread::scope(|threads| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                threads.spawn(|| {
                    let (mut reads, mut last) = (0, 0);
                    while writing.load(Ordering::Relaxed) {
                        last = whole(&toys, last);
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        let writers: Vec<_> = (0..3u64)
            .map(|writer| {
                let store = &toys.store;
                threads.spawn(move || {
                    for n in 0..100 {
                        let line = Line { id: id(writer * 1_000 + n), note: note(1), amount: 1 };
                        let one = move |tx: &mut WriteTx<'_>| {
                            let size = tx.get::<Note>(note(1))?.map_or(0, |n| n.size);
                            tx.put(&Note { size: size + 1, ..Note::new(note(1), "m") })?;
                            tx.put(&line)
                        };
                        store.write_blocking::<(), StoreError>(ACTOR, CAUSE, one).expect("a write");
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
        writing.store(false, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().expect("no panic")).sum::<u32>()
    });
    assert!(reads > 0);
    assert_eq!(whole(&toys, 0), 300);
    check::all_fits(&toys.store);
}

/// Number of lines in a snapshot; checks that note, sum and index agree.
fn whole(toys: &Toys, before: usize) -> usize {
    let seen = toys.store.read(|snap| {
        let size = snap.get::<Note>(note(1))?.map_or(0, |n| n.size);
        let sum = snap.sum(Line::SUM, &kernel::key::KeyBuf::of(&note(1)))?;
        let lines = snap.len(Line::BY_NOTE, &Range::all())?;
        Ok::<_, StoreError>((size, sum, lines))
    });
    let (size, sum, lines) = seen.expect("a read");
    assert_eq!((size, size), (sum, i64::try_from(lines).expect("few")));
    assert!(lines >= before, "time does not go back for a reader");
    lines
}

#[test]
fn a_write_whose_caller_has_gone_is_still_done() {
    let (toys, runtime) = (Toys::open(), runtime());
    let gate = Gate::shut(&runtime, &toys.store);
    let gone = queue(&runtime, &toys.store, Lane::First, |tx| tx.put(&Note::new(note(1), "m")));
    gone.abort();
    gate.open(&runtime);
    toys.put(Note::new(note(2), "m")).expect("the next");
    assert!(toys.get::<Note>(note(1)).is_some());
}

#[test]
fn closing_finishes_what_is_queued_and_refuses_the_rest() {
    let (toys, runtime) = (Toys::open(), runtime());
    let gate = Gate::shut(&runtime, &toys.store);
    let put = |n| move |tx: &mut WriteTx<'_>| tx.put(&Note::new(note(n), "m"));
    let written: Vec<_> =
        (1..=5).map(|n| queue(&runtime, &toys.store, Lane::First, put(n))).collect();
    let closing = std::thread::spawn({
        let store = toys.store.clone();
        move || store.close()
    });
    gate.open(&runtime);
    closing.join().expect("it closes");
    all_done(&runtime, written);
    assert!(matches!(toys.put(Note::new(note(9), "m")), Err(StoreError::Closed)));
    let read = toys.store.read(|snap| snap.get::<Note>(note(1)));
    assert!(matches!(read, Err(StoreError::Closed)));
    let second = With::default().open_at(&toys.path(), &toys.clock);
    drop(second.expect("the file is free, though a clone is still held"));
    let toys = toys.reopen();
    assert_eq!(toys.seq(), 6);
    check::all_fits(&toys.store);
}

#[test]
fn the_last_clone_may_go_inside_a_write() {
    let toys = Toys::open();
    let path = toys.path();
    let Toys { store, clock, .. } = &toys;
    let (own, clock) = (store.clone(), Arc::clone(clock));
    own.write_blocking(ACTOR, CAUSE, {
        let last = own.clone();
        move |tx| {
            drop(last);
            tx.put(&Note::new(note(1), "m"))
        }
    })
    .map_err(|error: StoreError| error.to_string())
    .expect("a write");
    drop(own);
    toys.store.close();
    let store = With::default().open_at(&path, &clock).expect("it opens again");
    assert_eq!(store.head().seq, 1);
}

#[test]
fn two_programs_cannot_have_the_same_file() {
    let toys = Toys::open();
    let Err(error) = With::default().open_at(&toys.path(), &toys.clock) else {
        panic!("a second store on one file");
    };
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
}

#[test]
fn after_quiet_time_comes_one_commit_and_then_none() {
    let limits = Limits { quiet: Duration::from_millis(5), ..Limits::default() };
    let toys = With { limits, ..With::default() }.open();
    let syncs = || toys.store.counters().syncs.load(Ordering::Relaxed);
    let opened = syncs();
    toys.put(Note::new(note(1), "m")).expect("a note");
    let written = syncs();
    assert!(written > opened);
    // The commit happens without a request; afterwards the writer sleeps.
    let patience = std::time::Instant::now();
    while syncs() == written {
        assert!(patience.elapsed() < Duration::from_secs(20), "no commit in quiet time");
        std::thread::yield_now();
    }
    check::all_fits(&toys.store);
}
