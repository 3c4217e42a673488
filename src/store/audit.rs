//! Reads the feed as an audit log: by record, by time, or by anything in a head.
//!
//! There is no index. The entries of a record are found by walking back from its row, because a change names the
//! previous rev; several records are walked in parallel. All other searches scan backwards, in slices of one short
//! snapshot each, and the result says how far they got.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::error::StoreError;
use super::feed::{self, Entry};
use super::read::{self, Read};
use super::record::Root;
use super::schema::{Schema, builtin};
use super::{Store, codec};
use crate::range::Range;
use kernel::Actor;
use kernel::key::KeyBuf;

/// Maximum number of entries per snapshot.
const SLICE: usize = 1_000;
/// Maximum duration of one snapshot.
const HOLD: Duration = Duration::from_millis(250);
/// A search ends when its results have this many changes, because entries may be large.
const MANY: usize = 20_000;
/// Maximum number of referring rows that are examined per record.
const SOURCES: usize = 5_000;
/// Key of the row with the last entry at which time went back.
pub(super) const TURNED: &[u8] = b"time_turned";

/// Conditions and limits of a search.
pub struct Search<'s> {
    /// Only these records; empty for all. If the store has no trace of the first one, all entries are scanned for it.
    pub records: &'s [Root],
    /// Only entries before this one.
    pub before: Option<u64>,
    /// Only entries from this Unix time in milliseconds on.
    pub since: Option<i64>,
    /// Only entries up to this Unix time in milliseconds.
    pub until: Option<i64>,
    /// Maximum number of entries.
    pub limit: usize,
    /// Maximum duration; at least one slice is read.
    pub within: Duration,
    /// Filter by actor. Called before the entry is decoded, hence for more entries than `wanted`.
    pub by: &'s dyn Fn(Actor) -> bool,
    /// Filter by entry.
    pub wanted: &'s dyn Fn(&Entry) -> bool,
}

/// The result of a search, newest first.
pub struct Found {
    /// The matching entries.
    pub entries: Vec<Entry>,
    /// Continue before this entry; `None` when everything was searched.
    pub next: Option<u64>,
    /// Number of examined entries.
    pub looked: u64,
    /// The oldest examined entry: number and Unix time in milliseconds.
    pub reached: Option<(u64, i64)>,
}

impl Search<'_> {
    fn is_too_old(&self, at: i64) -> bool {
        self.since.is_some_and(|since| at < since)
    }

    fn is_too_young(&self, at: i64) -> bool {
        self.until.is_some_and(|until| until < at)
    }
}

impl Found {
    fn is_enough(&self, search: &Search<'_>) -> bool {
        let changes = self.entries.iter().map(|entry| entry.changes.len()).sum::<usize>();
        search.limit <= self.entries.len() || MANY <= changes
    }
}

/// The rows whose root is the record `of`: rows that refer to it or to another of these rows. If there are too many,
/// returns those with the highest keys, which are the newest for time-based ids.
pub fn parts(
    read: &dyn Read,
    schema: &Schema,
    of: &Root,
    most: usize,
) -> Result<Vec<Root>, StoreError> {
    let mut known = BTreeSet::from([of.clone()]);
    let mut next = VecDeque::from([of.clone()]);
    while let Some(target) = next.pop_front().filter(|_| known.len() < SOURCES) {
        for (source, _) in read::sources(read, &target, SOURCES)? {
            let ops = schema.table(source.table).and_then(|info| info.ops.as_ref());
            let row = read.raw_get(source.table, &source.key)?;
            let root = ops.zip(row).and_then(|(ops, row)| (ops.root)(&row));
            if root.as_ref() == Some(of) && known.insert(source.clone()) {
                next.push_back(source);
            }
        }
    }
    known.remove(of);
    let mut parts: Vec<Root> = known.into_iter().collect();
    parts.sort_unstable_by(|a, b| b.key.cmp(&a.key));
    parts.truncate(most);
    Ok(parts)
}

/// Searches for entries, newest first.
pub fn search(store: &Store, search: &Search<'_>) -> Result<Found, StoreError> {
    // A page of a record ends before one of its versions, and the next page begins there.
    let place = search.before.and_then(|before| before.checked_sub(1));
    let mut before = search.before.unwrap_or(u64::MAX);
    if let Some(until) = search.until {
        let end = store.read(|snap| first_after(snap, until))?;
        before = before.min(end);
    }
    let mut found = Found { entries: Vec::new(), next: None, looked: 0, reached: None };
    if let Some(first) = search.records.first() {
        let mut chains = store.read(|snap| chains(snap, search.records, place))?;
        if chains.iter().any(|chain| chain.record == first) {
            return walk(store, search, &mut chains, before);
        }
    }
    let started = Instant::now();
    loop {
        let end = store.read(|snap| slice(snap, search, &mut before, &mut found))?;
        if end {
            return Ok(found);
        }
        if found.is_enough(search) || started.elapsed() > search.within {
            found.next = Some(before);
            return Ok(found);
        }
    }
}

/// Scans one slice; returns whether nothing is left.
fn slice(
    read: &dyn Read,
    search: &Search<'_>,
    before: &mut u64,
    found: &mut Found,
) -> Result<bool, StoreError> {
    let range = Range::between(KeyBuf::new(), KeyBuf::of(before)).reverse();
    let (started, mut looked, mut end, mut failed) = (Instant::now(), 0, true, None);
    let turned = turned(read)?;
    read.raw_scan(builtin::FEED, &range, &mut |key, value| {
        // Images sort after their head, so a reverse scan meets them first.
        let Some((seq, 0)) = feed::split(key) else { return ControlFlow::Continue(()) };
        if looked >= SLICE || found.is_enough(search) || started.elapsed() > HOLD {
            end = false;
            return ControlFlow::Break(());
        }
        let (at, actor) = match feed::time_and_actor(value) {
            Ok(begins) => begins,
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        };
        looked += 1;
        *before = seq;
        if search.is_too_old(at) {
            if seq < turned {
                return ControlFlow::Continue(());
            }
            // So are all earlier entries up to the one where time went back.
            (*before, end) = (turned, turned == 0);
            return ControlFlow::Break(());
        }
        if search.is_too_young(at) {
            return ControlFlow::Continue(());
        }
        found.looked += 1;
        found.reached = Some((seq, at));
        if !(search.by)(actor) {
            return ControlFlow::Continue(());
        }
        match feed::decode_head(seq, value) {
            Ok(entry) if names(&entry, search.records) && (search.wanted)(&entry) => {
                found.entries.push(entry);
            }
            Ok(_) => {}
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(end),
    }
}

fn names(entry: &Entry, records: &[Root]) -> bool {
    records.is_empty() || records.iter().any(|record| entry.touches(record))
}

/// A record and its newest version that was not examined yet; 0 when all were.
struct Chain<'r> {
    record: &'r Root,
    rev: u64,
}

/// The start of the walk for each record with a trace in the store: the entry at `place` if it changed the record, else
/// its last entry.
fn chains<'r>(
    read: &dyn Read,
    records: &'r [Root],
    place: Option<u64>,
) -> Result<Vec<Chain<'r>>, StoreError> {
    let place = place.map(|seq| head(read, seq)).transpose()?.flatten();
    let mut chains = Vec::with_capacity(records.len());
    for record in records {
        let there = place.as_ref().filter(|entry| entry.touches(record));
        let rev = match there {
            Some(entry) => Some(entry.seq),
            None => last_rev(read, record.table, &record.key)?,
        };
        chains.extend(rev.map(|rev| Chain { record, rev }));
    }
    Ok(chains)
}

/// The entries of records, walking back from one version each, in slices of one short snapshot each.
fn walk(
    store: &Store,
    search: &Search<'_>,
    chains: &mut [Chain<'_>],
    before: u64,
) -> Result<Found, StoreError> {
    let mut found = Found { entries: Vec::new(), next: None, looked: 0, reached: None };
    let started = Instant::now();
    loop {
        let end = store.read(|snap| stretch(snap, search, chains, (before, &mut found)))?;
        if end {
            return Ok(found);
        }
        if found.is_enough(search) || started.elapsed() > search.within {
            found.next = Some(newest(chains) + 1);
            return Ok(found);
        }
    }
}

fn newest(chains: &[Chain<'_>]) -> u64 {
    chains.iter().map(|chain| chain.rev).max().unwrap_or(0)
}

/// Walks back through one slice of versions; returns whether nothing is left.
fn stretch(
    read: &dyn Read,
    search: &Search<'_>,
    chains: &mut [Chain<'_>],
    (before, found): (u64, &mut Found),
) -> Result<bool, StoreError> {
    let (started, mut looked, turned) = (Instant::now(), 0, turned(read)?);
    loop {
        let rev = newest(chains);
        if rev == 0 {
            return Ok(true);
        }
        if looked >= SLICE || found.is_enough(search) || started.elapsed() > HOLD {
            return Ok(false);
        }
        let entry = head(read, rev)?;
        let mut is_version = false;
        for chain in chains.iter_mut().filter(|chain| chain.rev == rev) {
            let changes = entry.iter().flat_map(|entry| &entry.changes);
            let mut own = changes.filter(|one| chain.record.is(one.table, &one.key));
            let previous = own.next().map(|change| change.before_rev);
            // A version without an earlier one ends its chain.
            let previous = previous.filter(|previous| *previous < rev);
            is_version |= previous.is_some();
            chain.rev = previous.unwrap_or(0);
        }
        let Some(entry) = entry.filter(|_| is_version) else { continue };
        let old = search.is_too_old(entry.at);
        if old && turned == 0 {
            return Ok(true);
        }
        looked += 1;
        if rev < before && !old && !search.is_too_young(entry.at) {
            found.looked += 1;
            found.reached = Some((rev, entry.at));
            if (search.by)(entry.actor) && (search.wanted)(&entry) {
                found.entries.push(entry);
            }
        }
    }
}

/// The entry that wrote or deleted a record last; `None` if the store has no trace of the record.
pub(super) fn last_rev(read: &dyn Read, table: u16, key: &[u8]) -> Result<Option<u64>, StoreError> {
    if let Some(row) = read.raw_get(table, key)? {
        return Ok(Some(codec::unwrap(&row)?.1).filter(|rev| *rev != 0));
    }
    let mut mark = KeyBuf::of(&table);
    mark.raw(key);
    let mark = read.raw_get(builtin::TOMBSTONES, mark.bytes())?;
    Ok(mark.and_then(|mark| kernel::key::decode::<u64>(&mark)))
}

/// One entry, without roots.
pub(super) fn head(read: &dyn Read, seq: u64) -> Result<Option<Entry>, StoreError> {
    match read.raw_get(builtin::FEED, &feed::head_key(seq, 0))? {
        Some(value) => Ok(Some(feed::decode_head(seq, &value)?)),
        None => Ok(None),
    }
}

/// The last entry at which time went back, which happens at a start after the clock was set back far. Later entries are
/// in order of time. 0 if it never happened.
fn turned(read: &dyn Read) -> Result<u64, StoreError> {
    match read.raw_get(builtin::META, TURNED)? {
        Some(row) => Ok(codec::decode(&row)?),
        None => Ok(0),
    }
}

/// An entry from which on all are later than `ms`; one past the last if there is none.
fn first_after(read: &dyn Read, ms: i64) -> Result<u64, StoreError> {
    let last = feed::last(read)?.seq;
    let (mut low, mut high) = (turned(read)?.max(1), last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match head(read, middle)? {
            Some(entry) if entry.at > ms => high = middle,
            _ => low = middle + 1,
        }
    }
    Ok(low)
}
