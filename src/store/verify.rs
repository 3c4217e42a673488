//! Verification: compares the stored data with the hashes in the heads, in slices of one short snapshot each, while
//! others write.
//!
//! Chain: no gaps; each hash covers the head and the previous hash. Images: each matches the head of its version; only
//! retention and redactions may remove images, and redacted ones must be gone. Rows: each matches its head. A
//! fingerprint of all rows finds missing, extra and outdated rows; changes made meanwhile are subtracted by their
//! heads. Blobs, which the feed does not cover: references are recomputed and compared, and files are checked for
//! presence or content.

mod blobs;
mod chain;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::feed::{self, Hash, Op};
use super::read::Read;
use super::record::Class;
use super::schema::builtin;
use super::{Blobs, Store, audit, keep};
use crate::range::Range;

/// Maximum number of rows per snapshot.
const SLICE: usize = 2_000;
/// Maximum duration of one snapshot.
const HOLD: Duration = Duration::from_millis(250);
/// Maximum number of faults that are reported in detail.
const MAX_FAULTS: usize = 100;
/// Maximum number of decoded heads in memory.
const KNOWN: usize = 128;

/// Progress of a long operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The current activity, for people.
    pub what: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// The total; 0 if unknown.
    pub total: u64,
}

/// Called with the progress; break to cancel the operation.
pub type Watch<'w> = dyn FnMut(Progress) -> ControlFlow<()> + 'w;

pub(super) fn tell(watch: &mut Watch<'_>, progress: Progress) -> Result<(), StoreError> {
    match watch(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(StoreError::CalledOff),
    }
}

/// A mismatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The entry, if the fault is about one.
    pub seq: Option<u64>,
    /// Name of the table.
    pub table: Option<String>,
    /// The record's id, or the key in hexadecimal.
    pub id: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(seq) = self.seq {
            write!(f, "entry {seq}, ")?;
        }
        if let (Some(table), Some(id)) = (&self.table, &self.id) {
            write!(f, "{table} {id}, ")?;
        } else if let Some(table) = &self.table {
            write!(f, "{table}, ")?;
        }
        f.write_str(&self.what)
    }
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Number of entries in the feed.
    pub entries: u64,
    /// Number of before-images.
    pub images: u64,
    /// Number of rows.
    pub rows: u64,
    /// Number of referenced blobs, if checked.
    #[serde(default)]
    pub blobs: u64,
    /// Hash of the last entry. Store it elsewhere to authenticate the whole chain later.
    pub head: String,
    /// The faults, at most 100.
    pub faults: Vec<Fault>,
    /// Number of all faults.
    pub faults_count: u64,
    /// Duration in milliseconds.
    pub took_ms: u64,
}

impl Verified {
    /// Whether there are no faults.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults_count == 0
    }

    fn fault(&mut self, fault: Fault) {
        self.faults_count += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }
}

/// The changes that a head records.
struct Known {
    changes: HashMap<(u16, Vec<u8>), (Op, Hash, u64)>,
}

/// Decoded heads.
#[derive(Default)]
struct Heads(HashMap<u64, Option<Rc<Known>>>);

impl Heads {
    /// The changes of an entry; `None` if it is missing or unreadable.
    fn get(&mut self, read: &dyn Read, seq: u64) -> Result<Option<Rc<Known>>, StoreError> {
        if let Some(known) = self.0.get(&seq) {
            return Ok(known.clone());
        }
        if self.0.len() >= KNOWN {
            self.0.clear();
        }
        let found = match audit::head(read, seq) {
            Ok(found) => found,
            Err(StoreError::Decode(_)) => None,
            Err(error) => return Err(error),
        };
        let known = found.map(|entry| {
            let changes = entry.changes.into_iter();
            let changes = changes.map(|c| ((c.table, c.key), (c.op, c.hash, c.before_rev)));
            Rc::new(Known { changes: changes.collect() })
        });
        self.0.insert(seq, known.clone());
        Ok(known)
    }
}

/// A hash of one version of a row; sums of them identify sets of versions.
fn version(table: u16, key: &[u8], rev: u64) -> u128 {
    let mut hash = Sha256::new();
    hash.update(table.to_be_bytes());
    hash.update(rev.to_be_bytes());
    hash.update(key);
    let hash: Hash = hash.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    u128::from_be_bytes(half)
}

/// The state of one verification.
struct Verifier<'s> {
    store: &'s Store,
    report: Verified,
    heads: Heads,
    /// The last entry that is verified.
    until: u64,
    /// Per table: the sum of the versions that exist after that entry according to the heads, minus those found.
    sums: BTreeMap<u16, u128>,
    /// Unreadable or damaged entries; their rows cannot be verified.
    broken: BTreeSet<u64>,
    /// Redacted records with the entry up to which they had no images at the start.
    redacted: BTreeMap<keep::Redacted, u64>,
    /// Number of entries and rows examined so far, for the progress.
    done: u64,
}

/// How thoroughly blob files are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Each file must exist.
    There,
    /// Each file is read and its content compared with its id.
    Whole,
}

/// Verifies everything except blob files.
///
/// # Errors
/// Also when `watch` cancels the run.
pub fn verify(store: &Store, watch: &mut Watch<'_>) -> Result<Verified, StoreError> {
    verify_with(store, None, watch)
}

/// Like [`verify`]; also checks the files of referenced blobs.
pub fn verify_with(
    store: &Store,
    blobs: Option<(&Blobs, Depth)>,
    watch: &mut Watch<'_>,
) -> Result<Verified, StoreError> {
    let started = Instant::now();
    let mut verifier = Verifier {
        store,
        report: Verified::default(),
        heads: Heads::default(),
        until: store.head().seq,
        sums: BTreeMap::new(),
        broken: BTreeSet::new(),
        redacted: store.read(|snap| keep::all_redacted(snap))?,
        done: 0,
    };
    verifier.chain(watch)?;
    verifier.rows(watch)?;
    verifier.blobs(blobs, watch)?;
    let mut report = verifier.report;
    report.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

impl Verifier<'_> {
    fn name(&self, table: u16) -> String {
        let info = self.store.schema().table(table);
        info.map_or_else(|| format!("table {table}"), |info| info.name.to_owned())
    }

    fn id(&self, table: u16, key: &[u8]) -> String {
        let ops = self.store.schema().table(table).and_then(|info| info.ops.as_ref());
        ops.and_then(|ops| (ops.key_text)(key)).unwrap_or_else(|| hex::encode(key))
    }

    fn class(&self, table: u16) -> Option<Class> {
        self.store.schema().class(table)
    }

    fn fault(&mut self, seq: Option<u64>, row: Option<(u16, &[u8])>, what: impl Into<String>) {
        let fault = Fault {
            seq,
            table: row.map(|(table, _)| self.name(table)),
            id: row.map(|(table, key)| self.id(table, key)),
            what: what.into(),
        };
        self.report.fault(fault);
    }
}

/// Visits a row: key and value.
type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'v;

/// Visits rows of a table from a key on, in one snapshot; advances the key and returns whether the end was reached.
fn slice_of(
    read: &dyn Read,
    table: u16,
    from: &mut Vec<u8>,
    visit: &mut Visit<'_>,
) -> Result<bool, StoreError> {
    let range = Range { lo: from.clone(), ..Range::all() };
    let (started, mut looked, mut end, mut failed) = (Instant::now(), 0, true, None);
    let mut next = from.clone();
    read.raw_scan(table, &range, &mut |key, value| {
        if looked >= SLICE || (looked > 0 && started.elapsed() > HOLD) {
            end = false;
            return ControlFlow::Break(());
        }
        looked += 1;
        next.clear();
        next.extend_from_slice(key);
        next.push(0);
        match visit(key, value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    *from = next;
    failed.map_or(Ok(end), Err)
}
