//! The simulated disk: it counts down to the next fault, fails, and computes what would be left on it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use store::Faults;

const SECTOR: usize = 512;

/// The next fault.
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
    /// An fsync fails: data in the kernel's cache may be lost.
    Sync,
    /// A power failure during an fsync.
    Power,
}

const KINDS: [Fault; 6] =
    [Fault::Write, Fault::Short, Fault::Full, Fault::Read, Fault::Sync, Fault::Power];

struct Inner {
    file: PathBuf,
    dice: u64,
    fault: Fault,
    /// Number of operations of this kind that still succeed.
    left: u64,
    /// A following fault, which hits the store when it reopens its file.
    next: Option<(Fault, u64)>,
    struck: u64,
    /// Content of the file at the last fsync.
    synced: Vec<u8>,
    /// Ranges written since then. Only these are compared, which makes a life cheap.
    written: Vec<Range<usize>>,
    /// What is left of the file after a power failure or a failed fsync.
    image: Option<Vec<u8>>,
}

/// The simulated disk.
pub struct Sim(Mutex<Inner>);

/// The same disk for files beside the store's: a fault hits both.
pub struct Beside(pub Arc<Sim>);

impl Inner {
    /// splitmix64
    fn below(&mut self, end: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Whether this operation fails.
    fn strikes(&mut self, fault: Fault) -> bool {
        if self.fault != fault {
            return false;
        }
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        (self.fault, self.left) = self.next.take().unwrap_or((Fault::None, 0));
        self.struck += 1;
        true
    }

    /// A random fault, after fewer than `within` successful operations.
    fn some(&mut self, within: u64) -> (Fault, u64) {
        let kind = usize::try_from(self.below(KINDS.len() as u64)).expect("small");
        (KINDS[kind], self.below(within))
    }

    /// Computes the content after a power failure now.
    fn power_goes(&mut self, file: &File) {
        let mut now = self.synced.clone();
        self.catch_up(file, &mut now);
        self.image = Some(self.cut(&now));
    }

    /// Records that this range may be written.
    fn touched(&mut self, offset: u64, len: usize) {
        let start = usize::try_from(offset).expect("a small file");
        self.written.push(start..start + len);
    }

    /// Copies the written ranges from the kernel's view of the file to an older state.
    fn catch_up(&self, file: &File, disk: &mut Vec<u8>) {
        let len = file.metadata().expect("a length").len();
        disk.resize(usize::try_from(len).expect("a small file"), 0);
        for Range { start, end } in &self.written {
            let piece = (*start).min(disk.len())..(*end).min(disk.len());
            let at = piece.start as u64;
            file.read_exact_at(&mut disk[piece], at).expect("what was written");
        }
    }

    /// Records that everything is durable.
    fn is_synced(&mut self) {
        self.synced = std::fs::read(&self.file).expect("the file");
        self.written.clear();
    }

    /// The last synced content with a random part of later writes, in any order.
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
    /// A disk with a file and without faults.
    pub fn new(file: PathBuf, seed: u64) -> Self {
        Self(Mutex::new(Inner {
            file,
            dice: seed,
            fault: Fault::None,
            left: 0,
            next: None,
            struck: 0,
            synced: Vec::new(),
            written: Vec::new(),
            image: None,
        }))
    }

    /// A random number below `end`, from the seed.
    pub fn below(&self, end: u64) -> u64 {
        self.inner(|inner| inner.below(end))
    }

    /// Arms a random fault within `within` operations of its kind; in one case of four a second fault follows soon.
    pub fn arm(&self, within: u64) {
        self.inner(|inner| {
            inner.is_synced();
            (inner.fault, inner.left) = inner.some(within);
            inner.next = (inner.below(4) == 0).then(|| inner.some(8));
        });
    }

    /// Removes pending faults.
    pub fn disarm(&self) {
        self.inner(|inner| (inner.fault, inner.next) = (Fault::None, None));
    }

    /// Whether a power failure or a failed fsync ended the process.
    pub fn is_dark(&self) -> bool {
        self.inner(|inner| inner.image.is_some())
    }

    /// Writes what is left after such an end to the file.
    pub fn comes_back(&self) {
        self.inner(|inner| {
            if let Some(image) = inner.image.take() {
                std::fs::write(&inner.file, image).expect("what is left of the disk");
                inner.is_synced();
            }
        });
    }

    /// Number of faults that struck.
    pub fn struck(&self) -> u64 {
        self.inner(|inner| inner.struck)
    }

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
            // A truncated part reads as zeros when the file grows again.
            let all = inner.synced.len();
            inner.touched(len, all.saturating_sub(usize::try_from(len).expect("a small file")));
        });
        self.fail(Fault::Full, io::ErrorKind::StorageFull)
    }
    fn sync(&self) -> io::Result<()> {
        self.inner(|inner| {
            // During creation the file has another name.
            let Ok(file) = File::open(&inner.file) else { return Ok(()) };
            if inner.strikes(Fault::Sync) || inner.strikes(Fault::Power) {
                inner.power_goes(&file);
                return Err(io::Error::other("simulated"));
            }
            let mut now = std::mem::take(&mut inner.synced);
            inner.catch_up(&file, &mut now);
            inner.synced = now;
            inner.written.clear();
            Ok(())
        })
    }
    // The process would end here; the test continues with what the disk holds.
    fn sync_failed(&self) {}
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl Faults for Beside {
    fn write(&self, _: u64, _: usize) -> io::Result<()> {
        self.0.fail(Fault::Write, io::ErrorKind::Other)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.fail(Fault::Sync, io::ErrorKind::Other)?;
        self.0.inner(|inner| {
            if !inner.strikes(Fault::Power) {
                return Ok(());
            }
            inner.power_goes(&File::open(&inner.file)?);
            Err(io::Error::other("simulated"))
        })
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}
