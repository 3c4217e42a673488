//! A simulated disk on which everything goes wrong by the choice of a seed: writes that fail or stop
//! in the middle, a disk that is full, an fsync that fails, power that goes; what was written since the
//! last fsync is then there in any part and any order. A store lives on it through several such faults,
//! against a ledger of what it has answered.
//!
//! `HQ_SIM_N` seeds (1,000), `HQ_SIM_SEED` the first of them: one that failed is repeated alone with
//! `HQ_SIM_N=1`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use hq::kernel::time::{ManualClock, from_ms};
use hq::store::{Faults, ReadExt as _, Store, StoreError};

use super::check;
use super::toys::{
    ACTOR, CAUSE, Folder, Job, Line, Note, Toys, With, folder, folder_in_memory, id, note,
};

/// Seeds, unless it is said how many.
const USUAL: u64 = 1_000;
const SECTOR: usize = 512;
/// Faults in the life of one store.
const FAULTS: u64 = 3;
/// The most transactions between two faults.
const WRITES: u64 = 12;

/// What goes wrong next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// A write fails.
    Write,
    /// A write stops in the middle.
    Short,
    /// The file cannot grow.
    Full,
    /// A read fails.
    Read,
    /// An fsync fails: what the kernel had may be lost.
    Sync,
    /// The power goes at an fsync.
    Power,
}

const KINDS: [Fault; 6] =
    [Fault::Write, Fault::Short, Fault::Full, Fault::Read, Fault::Sync, Fault::Power];

struct Inner {
    file: PathBuf,
    dice: u64,
    fault: Fault,
    /// So many operations of its kind still succeed.
    left: u64,
    /// What the last fsync has made sure of.
    synced: Vec<u8>,
    /// Where something was written since: only that is looked at, which makes a life cheap.
    written: Vec<Range<usize>>,
    /// What is left of the disk after the power went or an fsync failed.
    image: Option<Vec<u8>>,
}

/// The disk.
struct Sim(Mutex<Inner>);

impl Inner {
    /// splitmix64
    fn below(&mut self, end: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Whether this operation is the one that goes wrong.
    fn strikes(&mut self, fault: Fault) -> bool {
        if self.fault != fault {
            return false;
        }
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.fault = Fault::None;
        true
    }

    /// Somebody may write here.
    fn touched(&mut self, offset: u64, len: usize) {
        let start = usize::try_from(offset).expect("a small file");
        self.written.push(start..start + len);
    }

    /// Makes an older state of the disk what the kernel has now.
    fn catch_up(&self, file: &File, disk: &mut Vec<u8>) {
        let len = file.metadata().expect("a length").len();
        disk.resize(usize::try_from(len).expect("a small file"), 0);
        for Range { start, end } in &self.written {
            let piece = (*start).min(disk.len())..(*end).min(disk.len());
            let at = piece.start as u64;
            file.read_exact_at(&mut disk[piece], at).expect("what was written");
        }
    }

    /// Nothing stands out.
    fn is_synced(&mut self) {
        self.synced = std::fs::read(&self.file).expect("the file");
        self.written.clear();
    }

    /// The last synced disk with some of what was written since, in no order.
    fn cut(&mut self, now: &[u8]) -> Vec<u8> {
        let mut disk = self.synced.clone();
        if self.below(2) == 0 {
            disk.resize(now.len(), 0);
        }
        let (share, piece) = (self.below(101), SECTOR << (3 * self.below(2)));
        for at in (0..disk.len().min(now.len())).step_by(piece) {
            let end = (at + piece).min(disk.len()).min(now.len());
            if disk[at..end] != now[at..end] && self.below(100) < share {
                disk[at..end].copy_from_slice(&now[at..end]);
            }
        }
        disk
    }
}

impl Sim {
    fn inner<T>(&self, body: impl FnOnce(&mut Inner) -> T) -> T {
        body(&mut self.0.lock().expect("no panic"))
    }

    fn fail(&self, fault: Fault, kind: io::ErrorKind) -> io::Result<()> {
        if self.inner(|inner| inner.strikes(fault)) { Err(kind.into()) } else { Ok(()) }
    }
}

impl Faults for Sim {
    fn read(&self, _: u64, _: usize) -> io::Result<()> {
        self.fail(Fault::Read, io::ErrorKind::Other)
    }
    fn write(&self, offset: u64, len: usize) -> io::Result<()> {
        self.inner(|inner| inner.touched(offset, len));
        self.fail(Fault::Write, io::ErrorKind::Other)
    }
    fn short(&self, _: u64, len: usize) -> Option<usize> {
        self.inner(|inner| {
            let strikes = inner.strikes(Fault::Short);
            strikes.then(|| usize::try_from(inner.below(len as u64)).expect("a short write"))
        })
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner(|inner| {
            // What is cut off comes back as zeros.
            let all = inner.synced.len();
            inner.touched(len, all.saturating_sub(usize::try_from(len).expect("a small file")));
        });
        self.fail(Fault::Full, io::ErrorKind::StorageFull)
    }
    fn sync(&self) -> io::Result<()> {
        self.inner(|inner| {
            // It is made under another name.
            let Ok(file) = File::open(&inner.file) else { return Ok(()) };
            if inner.strikes(Fault::Sync) || inner.strikes(Fault::Power) {
                let mut now = inner.synced.clone();
                inner.catch_up(&file, &mut now);
                inner.image = Some(inner.cut(&now));
                return Err(io::Error::other("simulated"));
            }
            let mut now = std::mem::take(&mut inner.synced);
            inner.catch_up(&file, &mut now);
            inner.synced = now;
            inner.written.clear();
            Ok(())
        })
    }
    // The process would end here; the test goes on with what the disk holds.
    fn sync_failed(&self) {}
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// What was answered about each transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Done,
    /// Refused: it must not be there.
    Failed,
    /// May be there or not; what a look finds holds from then on.
    Unknown,
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how many seeds, and which, is told from outside")]
fn a_store_keeps_its_word_on_a_disk_that_does_everything_wrong() {
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = setting("HQ_SIM_N").unwrap_or(USUAL);
    let first = setting("HQ_SIM_SEED").unwrap_or(1);
    let next = AtomicU64::new(first);
    let lives = || {
        let mut struck = 0;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if first + count <= seed {
                return struck;
            }
            let lived = std::panic::catch_unwind(|| live(seed));
            struck +=
                lived.unwrap_or_else(|_| panic!("repeat it with HQ_SIM_N=1 HQ_SIM_SEED={seed}"));
        }
    };
    let both = std::thread::scope(|scope| {
        let other = scope.spawn(lives);
        (lives(), other.join())
    });
    let struck: u64 = both.0 + both.1.expect("a seed that failed was named");
    assert!(struck >= count, "{struck} faults in {count} lives are too few");
    say(&format!("simulation: {count} seeds from {first}, {struck} faults, all as told"));
}

/// A store in which nothing has happened yet: each life begins with it.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let toys = Toys::open();
    toys.store.close();
    std::fs::read(toys.path()).expect("its file")
});

/// One life; how many faults have struck.
fn live(seed: u64) -> u64 {
    let home = folder_in_memory();
    let clock = Arc::new(ManualClock::at(from_ms(0)));
    let path = home.path().join("toys.redb");
    let inner = Inner {
        file: path.clone(),
        dice: seed,
        fault: Fault::None,
        left: 0,
        synced: Vec::new(),
        written: Vec::new(),
        image: None,
    };
    let disk = Arc::new(Sim(Mutex::new(inner)));
    let open = || {
        let with = With { faults: Arc::clone(&disk) as Arc<dyn Faults>, ..With::default() };
        with.open_at(&path, &clock).expect("it opens")
    };
    std::fs::write(&path, &*EMPTY).expect("an empty store");
    let mut store = open();
    let (mut ledger, mut n, mut struck) = (BTreeMap::new(), 0, 0);
    for _ in 0..FAULTS {
        disk.inner(|inner| {
            inner.is_synced();
            let kind = usize::try_from(inner.below(KINDS.len() as u64)).expect("small");
            (inner.fault, inner.left) = (KINDS[kind], inner.below(30));
        });
        for _ in 0..WRITES {
            n += 1;
            ledger.insert(n, write(&store, n));
            if disk.inner(|inner| inner.image.is_some()) {
                break;
            }
        }
        struck += u64::from(disk.inner(|inner| inner.fault == Fault::None));
        disk.inner(|inner| inner.fault = Fault::None);
        if let Some(image) = disk.inner(|inner| inner.image.take()) {
            // Nothing of the old process touches the disk any more.
            store.close();
            drop(store);
            std::fs::write(&path, image).expect("what is left of the disk");
            store = open();
        }
        settle(&store, &mut ledger);
        check::all_fits(&store);
    }
    struck
}

fn write(store: &Store, n: u64) -> Said {
    let done = store.write_blocking(ACTOR, CAUSE, move |tx| {
        let owner = "x".repeat((n * 997 % 9_000) as usize);
        tx.put(&Folder { id: folder(n % 3), inside: None })?;
        tx.put(&Note {
            folder: Some(folder(n % 3)),
            slug: Some(n.to_string()),
            labels: vec![(n % 5) as u8],
            ..Note::new(note(n % 7), &owner)
        })?;
        tx.put(&Line { id: id(n), note: note(n % 7), amount: 1 })?;
        tx.put(&Job { id: id(n % 4), note: Some(note(n % 7)), open: n.is_multiple_of(2) })?;
        if n.is_multiple_of(6) {
            tx.delete::<Folder>(folder((n + 1) % 3))?;
        }
        Ok(())
    });
    match done {
        Ok(()) => Said::Done,
        Err(StoreError::Failed(_)) => Said::Failed,
        Err(StoreError::Unknown(_)) => Said::Unknown,
        Err(error) => panic!("transaction {n}: {error}"),
    }
}

/// What is there is what was said; what was not known is known now.
fn settle(store: &Store, ledger: &mut BTreeMap<u64, Said>) {
    for (n, said) in ledger.iter_mut() {
        let there = look(store, *n);
        match (*said, there) {
            (Said::Done, false) => panic!("transaction {n} was acknowledged and is gone"),
            (Said::Failed, true) => panic!("transaction {n} was refused and is there"),
            (Said::Unknown, there) => *said = if there { Said::Done } else { Said::Failed },
            _ => {}
        }
    }
}

/// Whether a transaction is there. A store that opens its file anew is waited for.
fn look(store: &Store, n: u64) -> bool {
    let patience = std::time::Instant::now();
    loop {
        match store.read(|snap| snap.get::<Line>(id(n))) {
            Ok(found) => return found.is_some(),
            Err(error) => assert!(patience.elapsed().as_secs() < 20, "{error}"),
        }
        std::thread::yield_now();
    }
}

#[expect(clippy::print_stdout, reason = "what was simulated, for whoever asks for more seeds")]
fn say(what: &str) {
    println!("{what}");
}
