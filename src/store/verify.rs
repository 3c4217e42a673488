//! Verification: what is on the disk against the hashes in the heads, in slices of one short snapshot
//! each, so that the store goes on working meanwhile.
//!
//! Three things are looked at. The chain: heads are numbered without gaps, each one's hash covers its
//! bytes and the hash before it. The images: each is what the head that made that version says, and
//! none is missing but those that retention or a redaction took, and none of those is there. The rows: each is what the head
//! that made it says; and a fingerprint over all of them tells a row that is gone, one that nobody
//! made and one in an older version, although rows change while they are read: what changed after
//! the chain was read is counted back with the heads of those changes.
//!
//! And what nothing in the feed covers: who holds which blob, made anew from rows and images and
//! compared with the table of it, and whether each blob that is held is there, and whole if asked.

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

/// How many rows one snapshot looks at.
const SLICE: usize = 2_000;
/// How long one snapshot is held.
const HOLD: Duration = Duration::from_millis(250);
/// How many faults are named.
const MAX_FAULTS: usize = 100;
/// How many heads are kept decoded.
const KNOWN: usize = 128;

/// How far a long piece of work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What is being done, for people.
    pub what: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is; 0 when that is not known.
    pub total: u64,
}

/// Told how far it has come; breaks to call it off.
pub type Watch<'w> = dyn FnMut(Progress) -> ControlFlow<()> + 'w;

pub(super) fn tell(watch: &mut Watch<'_>, progress: Progress) -> Result<(), StoreError> {
    match watch(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(StoreError::CalledOff),
    }
}

/// Where something does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The entry, where one is meant.
    pub seq: Option<u64>,
    /// The table.
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

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Entries of the feed.
    pub entries: u64,
    /// Before-images.
    pub images: u64,
    /// Rows.
    pub rows: u64,
    /// Blobs that rows and images hold, where they were looked at.
    #[serde(default)]
    pub blobs: u64,
    /// The hash of the last entry: keep it elsewhere to know the whole chain by.
    pub head: String,
    /// What does not fit, at most a hundred of them.
    pub faults: Vec<Fault>,
    /// How many there are.
    pub faults_count: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Verified {
    /// Whether everything fits.
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

/// What a head says of its changes.
struct Known {
    changes: HashMap<(u16, Vec<u8>), (Op, Hash, u64)>,
}

/// Heads that were read, decoded.
#[derive(Default)]
struct Heads(HashMap<u64, Option<Rc<Known>>>);

impl Heads {
    /// What an entry says; none when it is not there or cannot be read.
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

/// A number that stands for one version of a row; sums of them stand for sets of versions.
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
    /// The last entry that is looked at.
    until: u64,
    /// Of each table, the versions that are there after that entry, by the heads; and then less
    /// those that were found.
    sums: BTreeMap<u16, u128>,
    /// Entries that cannot be trusted: what they made cannot be looked at.
    broken: BTreeSet<u64>,
    /// Records without images up to an entry, as this began.
    redacted: BTreeMap<keep::Redacted, u64>,
    /// Rows by the entries and rows looked at so far, for the progress.
    done: u64,
}

/// How the files of blobs are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Whether each is there.
    There,
    /// Each is read, and its content compared with its name.
    Whole,
}

/// Looks at everything but the files of blobs.
///
/// # Errors
/// When the disk fails, or it was called off.
pub fn verify(store: &Store, watch: &mut Watch<'_>) -> Result<Verified, StoreError> {
    verify_with(store, None, watch)
}

/// Looks at everything, and at the files of the blobs that something holds.
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

/// Rows of a table from a key on, in one snapshot; moves the key behind them and says whether they
/// were the last.
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
