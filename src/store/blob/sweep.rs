//! Takes away blobs that nothing holds any more.
//!
//! A file goes only when all of this is true, and each of it is looked at while the lock of the
//! file's folder is held, under which names come and go:
//!
//! 1. No backup runs, and none can begin before the piece is over ([`Blobs::hold`]).
//! 2. The file is older than the grace time, both by its own time and by a clock that nobody can set:
//!    who put it may still be on the way to the transaction that refers to it. A put of the same
//!    content makes it young again, under the same lock.
//! 3. It is *condemned*: from here on a transaction that would begin to refer to it is refused
//!    ([`StoreError::BlobGone`]), so that an id which was kept in memory for days cannot come back.
//! 4. A transaction behind all that were queued before finds no row and no kept image that holds it,
//!    and its batch has been committed. What such a transaction sees is on the disk: a record that
//!    was deleted beside it cannot come back by a crash.
//!
//! A crash between two steps leaves the file as it was or away; nothing else is written.

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

/// How long a blob that nothing holds is kept.
pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many blobs are looked at in one transaction.
const PIECE: usize = 500;
/// How many names of swept blobs are remembered.
const REMEMBERED: usize = 65_536;

/// Names that no transaction may begin to refer to: their files go, or went.
#[derive(Debug, Default)]
pub struct Condemned(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    names: HashSet<BlobId>,
    order: VecDeque<BlobId>,
}

impl Condemned {
    /// Whether nothing may begin to refer to it.
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
        // The oldest are forgotten: their files are long gone.
        while list.order.len() > REMEMBERED {
            if let Some(old) = list.order.pop_front() {
                list.names.remove(&old);
            }
        }
    }

    /// It may be referred to again.
    pub(super) fn spare(&self, id: BlobId) {
        let mut list = self.0.lock();
        if list.names.remove(&id) {
            list.order.retain(|other| *other != id);
        }
    }
}

/// Who must not be disturbed by a sweep.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Holds>);

#[derive(Debug, Default)]
struct Holds {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// As long as this lives no blob is swept away: a backup takes it before its snapshot.
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

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files looked at.
    pub looked: usize,
    /// Files that went.
    pub removed: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether somebody held them all, so that nothing was done.
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

/// Why a sweep broke off. What it had removed stays removed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder.
    #[error("the files of blobs: {0}")]
    Io(#[from] io::Error),
}

/// What is old.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// This moment.
    pub now: SystemTime,
    /// How long a blob that nothing holds is kept.
    pub grace: Duration,
}

/// A file that may go.
struct Candidate {
    id: BlobId,
    len: u64,
}

impl Blobs {
    /// Keeps every blob until the answer is dropped; waits for a piece of a sweep that is at work.
    #[must_use = "blobs are kept as long as this lives"]
    pub fn hold(&self) -> Hold {
        let mut holds = self.gate.0.lock();
        let number = holds.next;
        holds.next += 1;
        holds.since.insert(number, Instant::now());
        Hold { gate: Arc::clone(&self.gate), number }
    }

    /// Since when the oldest holder keeps all blobs.
    #[must_use]
    pub fn held_for(&self) -> Option<Duration> {
        self.gate.0.lock().since.values().next().map(Instant::elapsed)
    }

    /// Sweeps one of the 256 folders. Blocking, and not inside a read.
    ///
    /// # Errors
    /// When the disk or the store fails; what nothing holds is then met by the next sweep.
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
            // Most are held: that is found out without a lock or a transaction.
            let unheld = store.read(|snap| {
                let mut unheld = Vec::new();
                for one in piece {
                    if refs::holders(snap, one.id, 1)?.is_empty() {
                        unheld.push(Candidate { id: one.id, len: one.len });
                    } else {
                        // Held by a record: its youth protects it no longer.
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
                // What was committed is not known, so nothing goes.
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

    /// Its length, if it is there and old. A file from the future is young: the clock was set back.
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

/// Those of the blobs that nothing holds.
fn free(tx: &mut WriteTx<'_>, ids: &[BlobId]) -> Result<Vec<BlobId>, StoreError> {
    let mut free = Vec::new();
    for id in ids {
        if !tx.is_held(*id)? {
            free.push(*id);
        }
    }
    Ok(free)
}

/// The blobs in a folder. What has another name is none of ours and stays.
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
        // A name in capitals would be another file.
        if let Ok(id) = name.parse::<BlobId>()
            && id.to_string() == name
        {
            found.push(id);
        }
    }
    found.sort_unstable();
    Ok(found)
}
