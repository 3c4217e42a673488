//! Deletes blobs that nothing references. A file is deleted only if all of this is true, checked under its folder's
//! lock:
//!
//! 1. No backup runs, and none can start before the batch ends ([`Blobs::hold`]).
//! 2. The file is older than the grace time by its own timestamp and by a monotonic clock, because a pending
//!    transaction may refer to it. A put of the same content makes it new again, under the same lock.
//! 3. It is *condemned*: new references are refused ([`StoreError::BlobGone`]), also by ids kept in memory for days.
//! 4. A committed transaction behind all queued ones finds no row and no image with it, so no crash can revive one.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::error::StoreError;
use crate::{Store, WriteTx};
use kernel::{Actor, Cause, Part};

use super::{BlobId, Blobs, refs};

/// How long an unreferenced blob is kept.
pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum number of blobs checked per transaction.
const PIECE: usize = 500;
/// How many ids of deleted blobs are remembered.
const REMEMBERED: usize = 65_536;

/// Ids that no transaction may newly refer to: their files are deleted, or about to be.
#[derive(Debug, Default)]
pub struct Condemned(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    names: HashSet<BlobId>,
    order: VecDeque<BlobId>,
}

impl Condemned {
    /// Whether new references to the blob are refused.
    pub(crate) fn has(&self, id: BlobId) -> bool {
        self.0.lock().names.contains(&id)
    }

    fn add(&self, ids: &[BlobId]) {
        let mut list = self.0.lock();
        for id in ids {
            if list.names.insert(*id) {
                list.order.push_back(*id);
            }
        }
        // Forget the oldest ids; their files are long gone.
        while list.order.len() > REMEMBERED {
            if let Some(old) = list.order.pop_front() {
                list.names.remove(&old);
            }
        }
    }

    /// Allows references to the blob again.
    pub(super) fn spare(&self, id: BlobId) {
        let mut list = self.0.lock();
        if list.names.remove(&id) {
            list.order.retain(|other| *other != id);
        }
    }
}

/// Holders that block sweeps.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Holds>);

#[derive(Debug, Default)]
struct Holds {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// Blocks all sweeps while it lives. A backup takes it before its snapshot.
#[derive(Debug)]
pub struct Hold {
    gate: Arc<Gate>,
    number: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.0.lock().since.remove(&self.number);
    }
}

/// The result of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Number of files checked.
    pub looked: usize,
    /// Number of files deleted.
    pub removed: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Whether a [`Hold`] prevented the sweep.
    pub held: bool,
}

impl std::ops::AddAssign for Swept {
    fn add_assign(&mut self, other: Self) {
        self.looked += other.looked;
        self.removed += other.removed;
        self.bytes += other.bytes;
        self.held |= other.held;
    }
}

/// Why a sweep failed. Files already deleted stay deleted.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// An error of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An error of the folder.
    #[error("the files of blobs: {0}")]
    Io(#[from] io::Error),
}

/// The condition for a blob to count as old.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// The current time.
    pub now: SystemTime,
    /// How long an unreferenced blob is kept.
    pub grace: Duration,
}

/// A file that may be deleted.
struct Candidate {
    id: BlobId,
    len: u64,
}

impl Blobs {
    /// Keeps every blob until the result is dropped; waits for a running batch of a sweep.
    #[must_use = "blobs are kept as long as this lives"]
    pub fn hold(&self) -> Hold {
        let mut holds = self.gate.0.lock();
        let number = holds.next;
        holds.next += 1;
        holds.since.insert(number, Instant::now());
        Hold { gate: Arc::clone(&self.gate), number }
    }

    /// How long the oldest holder has been blocking sweeps.
    #[must_use]
    pub fn held_for(&self) -> Option<Duration> {
        self.gate.0.lock().since.values().next().map(Instant::elapsed)
    }

    /// Sweeps one of the 256 folders. Blocking; must not be called inside a read.
    ///
    /// # Errors
    /// When the disk or the store fails; the next sweep finds what is left.
    pub fn sweep_folder(&self, store: &Store, folder: u8, age: Age) -> Result<Swept, SweepError> {
        store.guard(&self.condemned);
        let mut swept = Swept::default();
        let mut old = Vec::new();
        let path = self.folder.join(format!("{folder:02x}"));
        for candidate in names(&path, folder)? {
            swept.looked += 1;
            if let Some(len) = self.old(candidate, age)? {
                old.push(Candidate { id: candidate, len });
            }
        }
        for piece in old.chunks(PIECE) {
            // Most blobs are referenced, which is checked here without a lock or a transaction.
            let unheld = store.read(|snap| {
                let mut unheld = Vec::new();
                for one in piece {
                    if refs::holders(snap, one.id, 1)?.is_empty() {
                        unheld.push(Candidate { id: one.id, len: one.len });
                    } else {
                        // A reference now protects it, so its recent put is forgotten.
                        self.fresh.lock().remove(&one.id);
                    }
                }
                Ok::<_, StoreError>(unheld)
            })?;
            if !unheld.is_empty() {
                swept += self.sweep_piece(store, folder, unheld, age)?;
            }
        }
        Ok(swept)
    }

    fn sweep_piece(
        &self,
        store: &Store,
        folder: u8,
        unheld: Vec<Candidate>,
        age: Age,
    ) -> Result<Swept, SweepError> {
        let holds = self.gate.0.lock();
        if !holds.since.is_empty() {
            return Ok(Swept { held: true, ..Swept::default() });
        }
        let _turn = self.turns[usize::from(folder)].lock();
        let mut still = Vec::new();
        for one in unheld {
            if self.old(one.id, age)?.is_some() {
                still.push(one);
            }
        }
        let ids: Vec<BlobId> = still.iter().map(|one| one.id).collect();
        self.condemned.add(&ids);
        let by = Actor::System(Part::Retention);
        let judged = ids.clone();
        let free = store.write_blocking(by, Cause::Retention, move |tx| free(tx, &judged));
        let free = match free {
            Ok(free) => free,
            Err(error) => {
                // The outcome of the commit is unknown, so nothing is deleted.
                ids.iter().for_each(|id| self.condemned.spare(*id));
                return Err(error.into());
            }
        };
        let mut swept = Swept::default();
        for one in still {
            if free.contains(&one.id) && self.remove(one.id)? {
                swept.removed += 1;
                swept.bytes += one.len;
            } else {
                self.condemned.spare(one.id);
            }
        }
        drop(holds);
        Ok(swept)
    }

    fn remove(&self, id: BlobId) -> io::Result<bool> {
        self.fresh.lock().remove(&id);
        match fs::remove_file(self.path(id)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The length of the file if it exists and is old. A timestamp in the future counts as new: the clock was set back.
    fn old(&self, id: BlobId, age: Age) -> io::Result<Option<u64>> {
        let put = self.fresh.lock().get(&id).copied();
        if put.is_some_and(|at| at.elapsed() < age.grace) {
            return Ok(None);
        }
        let meta = match fs::metadata(self.path(id)) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let old = age.now.duration_since(meta.modified()?).is_ok_and(|since| since >= age.grace);
        Ok(old.then_some(meta.len()))
    }
}

/// Those of the blobs that nothing references.
fn free(tx: &mut WriteTx<'_>, ids: &[BlobId]) -> Result<Vec<BlobId>, StoreError> {
    let mut free = Vec::new();
    for id in ids {
        if !tx.is_held(*id)? {
            free.push(*id);
        }
    }
    Ok(free)
}

/// The blobs in a folder. Files with other names are not ours and stay.
pub(super) fn names(path: &Path, folder: u8) -> io::Result<Vec<BlobId>> {
    let listed = match fs::read_dir(path) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in listed {
        let name = entry?.file_name();
        let name = format!("{folder:02x}{}", name.to_string_lossy());
        // An upper-case name would be another file.
        if let Ok(id) = name.parse::<BlobId>()
            && id.to_string() == name
        {
            found.push(id);
        }
    }
    found.sort_unstable();
    Ok(found)
}
