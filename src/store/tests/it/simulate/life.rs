//! One simulated life: random operations between faults, and a ledger of the results.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use kernel::Clock as _;
use kernel::time::{ManualClock, from_ms};
use store::consumer::{self, Consume, ConsumeError, Step};
use store::undo::{self, Ask, Unguarded};
use store::verify::verify;
use store::{
    Blobs, Entry, Faults, Op, Range, ReadExt as _, Record as _, Root, Store, StoreError, WriteTx,
    keep,
};

use super::super::check;
use super::super::toys::{
    ACTOR, CAUSE, Folder, Job, Line, Note, Paper, Total, Toys, With, folder, folder_in_memory, id,
    note, runtime,
};
use super::disk::{Beside, Sim};

/// Number of faults in a life.
const FAULTS: u64 = 3;
/// Maximum number of operations between two faults.
const ACTS: u64 = 12;
/// Unix time in milliseconds at which a life begins, and the maximum clock change in either direction: more than the
/// hour within which timestamps do not go back after a start.
const BEGINS: i64 = 1_700_000_000_000;
const HOURS: u64 = 3 * 60 * 60 * 1_000;
/// Number of the consumer.
const COUNTER: u16 = 7;

/// The reported outcome of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Done,
    /// Refused: the transaction must not be visible.
    Failed,
    /// The transaction may be visible or not; the first check decides.
    Unknown,
}

impl Said {
    fn of<T>(n: u64, done: &Result<T, StoreError>) -> Self {
        match done {
            Ok(_) => Self::Done,
            // A disk without space refuses a write like a broken one.
            Err(StoreError::Failed(_) | StoreError::Full { .. }) => Self::Failed,
            Err(StoreError::Unknown(_)) => Self::Unknown,
            Err(error) => panic!("transaction {n}: {error}"),
        }
    }
}

/// Counts lines, so that entries handled twice or never show.
struct Counter;

impl Consume for Counter {
    fn number(&self) -> u16 {
        COUNTER
    }
    fn name(&self) -> &'static str {
        "counter"
    }
    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        let n = lines_of(entry);
        if 0 < n {
            let sum = tx.get::<Total>(id(1))?.map_or(0, |total| total.n);
            tx.put(&Total { id: id(1), n: sum + n })?;
        }
        Ok(())
    }
}

fn lines_of(entry: &Entry) -> u64 {
    let is_line = |table, op| table == Line::TABLE.number && op == Op::Insert;
    entry.changes.iter().filter(|change| is_line(change.table, change.op)).count() as u64
}

/// The file of an empty store, with which each life begins.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let toys = Toys::open();
    toys.store.close();
    std::fs::read(toys.path()).expect("its file")
});

struct Life {
    disk: Arc<Sim>,
    clock: Arc<ManualClock>,
    home: tempfile::TempDir,
    store: Store,
    blobs: Blobs,
    counter: Arc<dyn Consume>,
    runtime: tokio::runtime::Runtime,
    /// Number of the current operation.
    n: u64,
    ledger: BTreeMap<u64, Said>,
    /// The transactions that used each key of `once`.
    keys: BTreeMap<u64, Vec<u64>>,
    /// Redacted notes, each with an entry up to which it has no images.
    redacted: BTreeMap<u64, u64>,
}

/// Runs one life; returns how many faults struck.
pub fn live(seed: u64) -> u64 {
    let mut life = Life::begin(seed);
    for _ in 0..FAULTS {
        life.disk.arm(30);
        for _ in 0..ACTS {
            life.act();
            if life.disk.is_dark() {
                break;
            }
        }
        life.disk.disarm();
        if life.disk.is_dark() {
            life.restart();
        }
        life.settle();
    }
    let report = verify(&life.store, &mut |_| ControlFlow::Continue(())).expect("it can be read");
    assert!(report.is_sound(), "{:#?}", report.faults);
    life.disk.struck()
}

impl Life {
    fn begin(seed: u64) -> Self {
        let home = folder_in_memory();
        let file = home.path().join("toys.redb");
        std::fs::write(&file, &*EMPTY).expect("an empty store");
        let disk = Arc::new(Sim::new(file, seed));
        let clock = Arc::new(ManualClock::at(from_ms(BEGINS)));
        let place = (home.path().to_owned(), &disk, &clock);
        let (store, blobs) = (open(&place).expect("it opens"), blobs(&place));
        Self {
            disk,
            clock,
            home,
            store,
            blobs,
            counter: Arc::new(Counter),
            runtime: runtime(),
            n: 0,
            ledger: BTreeMap::new(),
            keys: BTreeMap::new(),
            redacted: BTreeMap::new(),
        }
    }

    fn below(&self, end: u64) -> u64 {
        self.disk.below(end)
    }

    /// Starts a new process on what is left of the disk. One recovery in four is hit by another fault and repeated.
    fn restart(&mut self) {
        // The old process no longer accesses the disk.
        self.store.close();
        self.disk.comes_back();
        let place = (self.home.path().to_owned(), &self.disk, &self.clock);
        if self.below(4) == 0 {
            self.disk.arm(12);
            // ok: opening may fail.
            let _ = open(&place).map(|store| store.close());
            self.disk.disarm();
            self.disk.comes_back();
        }
        (self.store, self.blobs) = (open(&place).expect("it opens"), blobs(&place));
    }

    fn act(&mut self) {
        self.n += 1;
        if self.below(3) == 0 {
            let (span, back) = (self.below(HOURS), self.below(2) == 0);
            let span = i64::try_from(span).expect("hours");
            self.clock.advance_ms(if back { -span } else { span });
        }
        match self.below(20) {
            0..9 => self.records(),
            9..11 => self.once(),
            11..14 => self.consume(),
            14..16 => self.undo(),
            16 => self.forget(),
            17 => self.redact(),
            _ => self.paper(),
        }
    }

    /// A transaction with a line that identifies it.
    fn transact(
        &mut self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) {
        let n = self.n;
        let done = self.store.write_blocking(ACTOR, CAUSE, move |tx| {
            tx.put(&Line { id: id(n), note: note(n % 7), amount: 1 })?;
            body(tx)
        });
        self.ledger.insert(n, Said::of(n, &done));
    }

    fn records(&mut self) {
        let n = self.n;
        self.transact(move |tx| {
            let owner = "x".repeat((n * 997 % 9_000) as usize);
            tx.put(&Folder { id: folder(n % 3), inside: None })?;
            tx.put(&Note {
                folder: Some(folder(n % 3)),
                slug: Some(n.to_string()),
                labels: vec![(n % 5) as u8],
                ..Note::new(note(n % 7), &owner)
            })?;
            tx.put(&Job { id: id(n % 4), note: Some(note(n % 7)), open: n.is_multiple_of(2) })?;
            if n.is_multiple_of(6) {
                tx.delete::<Folder>(folder((n + 1) % 3))?;
            }
            Ok(())
        });
    }

    /// Runs a request under a key that earlier requests may have used.
    fn once(&mut self) {
        let (n, key) = (self.n, self.below(4));
        let done = self.store.write_blocking(ACTOR, CAUSE, move |tx| {
            tx.once("simulated", &key.to_string(), [7; 32], |tx| {
                tx.put(&Line { id: id(n), note: note(n % 7), amount: 1 })?;
                Ok::<_, StoreError>(n)
            })
        });
        self.keys.entry(key).or_default().push(n);
        match done {
            Ok(first) if first != n => {
                let before = self.ledger.insert(first, Said::Done);
                assert_ne!(before, Some(Said::Failed), "{first} was refused and is answered now");
                self.ledger.insert(n, Said::Failed);
            }
            done => {
                self.ledger.insert(n, Said::of(n, &done));
            }
        }
    }

    fn consume(&mut self) {
        let step = consumer::step(&self.store, Arc::clone(&self.counter));
        match self.runtime.block_on(step) {
            Ok(Step::Took(_) | Step::Idle)
            | Err(StoreError::Failed(_) | StoreError::Full { .. } | StoreError::Unknown(_)) => {}
            other => panic!("a step of the consumer: {other:?}"),
        }
    }

    /// Undoes up to three random entries.
    fn undo(&mut self) {
        let head = self.store.head().seq;
        if head == 0 {
            return;
        }
        let own: BTreeSet<u64> = (0..=self.below(3)).map(|_| 1 + self.below(head)).collect();
        self.transact(move |tx| {
            let ask = Ask { entries: &own, only: None, guard: &Unguarded };
            let plan = undo::plan(tx, tx.schema(), &ask)?;
            tx.undo(&plan)
        });
    }

    /// Runs one piece of retention: up to a random entry, by age or by size.
    fn forget(&mut self) {
        let until = match self.below(3) {
            0 => Ok(self.below(self.store.head().seq + 1)),
            1 => keep::last_before(&self.store, self.clock.now().as_millisecond()),
            _ => keep::oldest_within(&self.store, self.below(40_000)),
        };
        match until {
            Ok(until) => self.transact(move |tx| keep::drop_piece(tx, until).map(drop)),
            Err(StoreError::Failed(_)) => {}
            Err(error) => panic!("looking how far retention goes: {error}"),
        }
    }

    fn redact(&mut self) {
        let (of, before) = (self.n % 7, self.store.head().seq);
        let Root { table, key } = Root::of::<Note>(note(of));
        let done = keep::redact(&self.store, (ACTOR, CAUSE), table, key);
        match self.runtime.block_on(done) {
            Ok(_) => {
                self.redacted.insert(of, before);
            }
            Err(
                StoreError::UnknownRecord
                | StoreError::Failed(_)
                | StoreError::Full { .. }
                | StoreError::Unknown(_),
            ) => {}
            Err(error) => panic!("a redaction: {error}"),
        }
    }

    /// Puts a file, then writes the record that holds it.
    fn paper(&mut self) {
        let n = self.n;
        let Ok(blob) = self.blobs.put(format!("file {}", n % 9).as_bytes()) else { return };
        self.transact(move |tx| tx.put(&Paper { id: id(n % 5), blobs: vec![blob], folder: None }));
    }

    /// Checks the ledger against the store and resolves unknown outcomes.
    fn settle(&mut self) {
        for (n, outcome) in &mut self.ledger {
            let there = is_visible(&self.store, *n);
            match (*outcome, there) {
                (Said::Done, false) => panic!("transaction {n} was acknowledged and is gone"),
                (Said::Failed, true) => panic!("transaction {n} was refused and is there"),
                (Said::Unknown, there) => *outcome = if there { Said::Done } else { Said::Failed },
                _ => {}
            }
        }
        is_visible(&self.store, 0);
        for (key, tries) in &self.keys {
            let done: Vec<_> = tries.iter().filter(|n| self.ledger[*n] == Said::Done).collect();
            assert!(done.len() <= 1, "{done:?} were done for one key, {key}");
        }
        self.is_counted();
        self.holds();
        check::all_fits(&self.store);
    }

    /// Checks that the consumer has handled each entry up to its cursor once.
    fn is_counted(&self) {
        let (cursor, sum) = self
            .store
            .read(|snap| {
                let total = snap.get::<Total>(id(1))?.map_or(0, |total| total.n);
                Ok::<_, StoreError>((consumer::state(snap, COUNTER)?.cursor, total))
            })
            .expect("it can be read");
        let entries = self.store.entries_after(0, usize::MAX).expect("the feed");
        let taken = entries.iter().filter(|entry| entry.seq <= cursor);
        assert_eq!(sum, taken.map(|entry| lines_of(entry)).sum::<u64>(), "up to {cursor}");
    }

    /// Checks that every referenced file exists and that redacted images stay removed.
    fn holds(&self) {
        let papers = self.store.read(|snap| snap.list::<Paper>(&Range::all())).expect("papers");
        for blob in papers.iter().flat_map(|paper| &paper.blobs) {
            assert!(self.blobs.open_blob(*blob).is_ok(), "the file {blob} is gone");
        }
        for (of, until) in &self.redacted {
            let Root { table, key } = Root::of::<Note>(note(*of));
            let found = self.store.read(|snap| keep::redacted(snap, table, &key));
            assert!(*until <= found.expect("it can be read"), "note {of} was redacted");
        }
    }
}

/// The folder, disk and clock of a store.
type Place<'p> = (PathBuf, &'p Arc<Sim>, &'p Arc<ManualClock>);

fn open((home, disk, clock): &Place<'_>) -> Result<Store, StoreError> {
    let with = With { faults: Arc::clone(disk) as Arc<dyn Faults>, ..With::default() };
    with.open_at(&home.join("toys.redb"), clock)
}

fn blobs((home, disk, _): &Place<'_>) -> Blobs {
    let faults = Arc::new(Beside(Arc::clone(disk)));
    Blobs::open_with(home.join("blobs"), faults).expect("they open")
}

/// Whether a transaction is visible. Retries while the file does not open.
fn is_visible(store: &Store, n: u64) -> bool {
    let patience = std::time::Instant::now();
    loop {
        match store.read(|snap| snap.get::<Line>(id(n))) {
            Ok(found) => return found.is_some(),
            Err(error) => assert!(patience.elapsed().as_secs() < 20, "{error}"),
        }
        // ok: an empty write only makes the store retry; its result does not matter.
        let _ = store.write_blocking(ACTOR, CAUSE, |_| Ok::<_, StoreError>(()));
    }
}
