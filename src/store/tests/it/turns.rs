//! Tests of a consumer that is slow on an entry: readers are not delayed, and writers, people and other consumers, get
//! a turn before its next entry.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use store::consumer::{self, Consume, ConsumeError, Step, state};
use store::{Entry, Limits, ReadExt as _, StoreError, WriteTx};

use super::check;
use super::toys::{ACTOR, CAUSE, Note, With, note, runtime};

const SLOW: u16 = 30;
const QUICK: u16 = 31;
/// Maximum duration of a step: far longer than a step of the fast consumer.
const TURN: Duration = Duration::from_millis(200);
/// Longer than a step may take.
const LONG: Duration = Duration::from_millis(250);

/// What the slow consumer finds when it begins an entry.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    entry: u64,
    /// Whether the person's note exists.
    written: bool,
    /// The cursor of the other consumer.
    other: u64,
}

/// Finishes an entry when the test allows it, and never within the time of a step.
struct Slow {
    begun: Sender<Found>,
    go_on: Mutex<Receiver<()>>,
}

impl Consume for Slow {
    fn number(&self) -> u16 {
        SLOW
    }
    fn name(&self) -> &'static str {
        "slow"
    }
    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        let since = Instant::now();
        let written = tx.get::<Note>(note(100))?.is_some();
        let other = state(tx, QUICK)?.cursor;
        let found = Found { entry: entry.seq, written, other };
        self.begun.send(found).expect("the test waits");
        self.go_on.lock().expect("no panic").recv().expect("the test lets it go on");
        while since.elapsed() < LONG {
            std::thread::yield_now();
        }
        Ok(())
    }
}

struct Quick;

impl Consume for Quick {
    fn number(&self) -> u16 {
        QUICK
    }
    fn name(&self) -> &'static str {
        "quick"
    }
    fn handle(&self, _: &mut WriteTx<'_>, _: &Entry) -> Result<(), ConsumeError> {
        Ok(())
    }
}

#[test]
fn everybody_has_a_turn_between_two_entries_of_a_slow_consumer() {
    let limits = Limits { turn: TURN, ..With::default().limits };
    let toys = With { limits, ..With::default() }.open();
    for n in 0..3 {
        toys.put(Note::new(note(n), "m")).expect("a note");
    }
    let (begun, begins) = channel();
    let (open, go_on) = channel();
    let slow: Arc<dyn Consume> = Arc::new(Slow { begun, go_on: Mutex::new(go_on) });
    std::thread::scope(|scope| {
        // Moved here, so that a failing test drops them and nobody waits.
        let (begins, open) = (begins, open);
        let own = Arc::clone(&slow);
        let (store, toys) = (&toys.store, &toys);
        let taken = scope.spawn(move || {
            let (runtime, mut taken) = (runtime(), 0);
            while let Step::Took(n) =
                runtime.block_on(consumer::step(store, Arc::clone(&own))).expect("a step")
            {
                assert!(n <= 1, "a step ends behind an entry that took so long");
                taken += n;
            }
            taken
        });
        let first = begins.recv().expect("it has begun");
        assert_eq!(first, Found { entry: 1, written: false, other: 0 });
        assert!(toys.get::<Note>(note(2)).is_some(), "readers go on");

        // Both are queued while it works.
        let runtime = runtime();
        let _inside = runtime.enter();
        let mut person = Box::pin(store.write(ACTOR, CAUSE, |tx: &mut WriteTx<'_>| {
            tx.put(&Note::new(note(100), "a person"))?;
            Ok::<_, StoreError>(())
        }));
        assert!((&mut person).now_or_never().is_none(), "it waits for the writer");
        let mut other = Box::pin(consumer::step(store, Arc::new(Quick)));
        assert!((&mut other).now_or_never().is_none(), "it waits for the writer");
        open.send(()).expect("it waits");

        let second = begins.recv().expect("it goes on");
        assert_eq!(second, Found { entry: 2, written: true, other: 3 });
        for _ in 0..3 {
            open.send(()).expect("it waits");
        }
        runtime.block_on(&mut person).expect("the person is answered");
        assert_eq!(runtime.block_on(&mut other).expect("a step"), Step::Took(3));
        assert_eq!(taken.join().expect("no panic"), 4, "the person's entry, too");
    });
    check::all_fits(&toys.store);
}
