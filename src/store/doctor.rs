//! Doctor: recomputes derived rows (indexes, references, sums, blob references, tombstones) from the records and the
//! feed, in memory and slice by slice, compares them and can repair differences.
//!
//! All rows except sums are compared in both directions, in slices of one short snapshot each. Sums cover all rows of
//! their tables, so they are added up in one snapshot; the report has its duration. The error of a sum stays constant
//! while records change, so it is repaired by adding the difference, unless another repair of sums came first.

mod held;
mod mend;

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Store;
use super::consumer::{self, Consume};
use super::error::StoreError;
use super::feed;
use super::read::{Read, read_sum};
use super::schema::{Derived, Kind, Schema, builtin};
use super::verify::{Progress, Watch, tell};
use crate::range::Range;

pub use mend::mend;

/// Maximum number of rows per snapshot.
const SLICE: usize = 1_000;
/// Maximum bytes of rows per snapshot.
const SLICE_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number of differences that are reported in detail.
const MAX_NAMED: usize = 10_000;
/// Maximum number of fixes per round. More differences need another round.
const MAX_FIXES: usize = 100_000;

/// A derived row that differs from what the records produce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The index, the sums, `references`, `blob references`, `deleted records`, or the table of a record that cannot be
    /// read.
    pub table: String,
    /// The record as table and id, or the key in hexadecimal.
    pub of: String,
    /// What is wrong, in words.
    pub what: String,
}

/// How to repair a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fix {
    /// Insert the row if its owner produces it, else delete it.
    Row { table: u16, key: Vec<u8>, value: Vec<u8>, owner: Option<(u16, Vec<u8>)> },
    /// Add `by` to a sum that was found wrong at entry `at`.
    Sum { table: u16, key: Vec<u8>, by: i64, at: u64 },
    /// Rebuild the rows of a consumer.
    Rebuild { number: u16 },
}

/// Result of a diagnosis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Number of records read.
    pub records: u64,
    /// Number of index rows compared.
    pub index_rows: u64,
    /// Number of references to records and blobs, and of tombstones, compared.
    pub references: u64,
    /// Number of sums compared.
    pub sums: u64,
    /// The differences, at most 10,000.
    pub differences: Vec<Difference>,
    /// Number of all differences.
    pub differences_count: u64,
    /// Number of differences that only a person can repair.
    pub beyond: u64,
    /// Number of repairable differences beyond the limit on fixes.
    #[serde(default)]
    pub unkept: u64,
    /// Number of repaired rows.
    pub mended: u64,
    /// Duration of the longest snapshot in milliseconds.
    pub longest_ms: u64,
    /// Total duration in milliseconds.
    pub took_ms: u64,
    /// Fixes for the repairable differences.
    #[serde(skip)]
    fixes: Vec<Fix>,
    /// How many more fixes may be stored.
    #[serde(skip)]
    room: usize,
}

impl Diagnosis {
    fn with_room(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// Whether there is no difference.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.differences_count == 0
    }

    /// Number of remaining differences; after a repair, only those that it left.
    #[must_use]
    pub fn left(&self) -> u64 {
        if self.mended == 0 { self.differences_count } else { self.beyond + self.unkept }
    }

    /// Combines this result with that of the next round.
    fn and(self, next: Self) -> Self {
        Self {
            beyond: next.beyond,
            unkept: next.unkept,
            mended: self.mended + next.mended,
            longest_ms: self.longest_ms.max(next.longest_ms),
            took_ms: self.took_ms + next.took_ms,
            ..self
        }
    }

    fn differs(&mut self, table: &str, of: String, what: impl Into<String>, fix: Option<Fix>) {
        self.differences_count += 1;
        match fix {
            None => self.beyond += 1,
            Some(_) if self.room <= self.fixes.len() => self.unkept += 1,
            Some(fix) => self.fixes.push(fix),
        }
        if self.differences.len() < MAX_NAMED {
            let (table, what) = (table.to_owned(), what.into());
            self.differences.push(Difference { table, of, what });
        }
    }
}

/// Compares everything.
///
/// # Errors
/// Also when `watch` cancels the run.
pub fn diagnose(store: &Store, watch: &mut Watch<'_>) -> Result<Diagnosis, StoreError> {
    diagnose_by(store, MAX_FIXES, watch)
}

/// Repairs the differences of a diagnosis.
pub type Mend<'m> = dyn FnMut(&mut Diagnosis) -> Result<(), StoreError> + 'm;

/// Compares everything, including the rows of consumers, and repairs all repairable differences, in as many rounds as
/// needed.
///
/// # Errors
/// Also when `watch` cancels the run.
pub fn cure(
    store: &Store,
    consumers: &[Arc<dyn Consume>],
    watch: &mut Watch<'_>,
    mend: &mut Mend<'_>,
) -> Result<Diagnosis, StoreError> {
    cure_by(store, (consumers, MAX_FIXES), watch, mend)
}

/// Like [`cure`], with at most `most` fixes per round.
pub fn cure_by(
    store: &Store,
    (consumers, most): (&[Arc<dyn Consume>], usize),
    watch: &mut Watch<'_>,
    mend: &mut Mend<'_>,
) -> Result<Diagnosis, StoreError> {
    let mut all: Option<Diagnosis> = None;
    loop {
        let mut found = diagnose_by(store, most, watch)?;
        follow(store, consumers, &mut found)?;
        mend(&mut found)?;
        let is_last = found.unkept == 0 || found.mended == 0;
        let so_far = match all.take() {
            Some(before) => before.and(found),
            None => found,
        };
        if is_last {
            return Ok(so_far);
        }
        all = Some(so_far);
    }
}

fn diagnose_by(store: &Store, most: usize, watch: &mut Watch<'_>) -> Result<Diagnosis, StoreError> {
    let started = Instant::now();
    let mut found = Diagnosis::with_room(most);
    let schema = store.schema();
    for info in schema.tables() {
        let table = info.number;
        let by = match info.kind {
            Kind::Record(_) => records,
            Kind::Index => index_rows,
            Kind::Builtin if table == builtin::REFS => references,
            Kind::Builtin if table == builtin::FEED => held::entries,
            Kind::Builtin if table == builtin::BLOB_REFS => held::noted,
            Kind::Builtin if table == builtin::TOMBSTONES => held::marks,
            Kind::Builtin | Kind::Count => continue,
        };
        each_slice(store, table, &mut found, by)?;
        let done = found.records + found.index_rows + found.references;
        tell(watch, Progress { what: "rows compared", done, total: 0 })?;
    }
    for (tables, counts) in sums_by_tables(schema) {
        let began = Instant::now();
        store.read(|snap| sums(snap, schema, (&tables, &counts), &mut found))?;
        note_longest(&mut found, began.elapsed());
        tell(watch, Progress { what: "sums compared", done: found.sums, total: 0 })?;
    }
    for (name, check) in schema.checks() {
        let began = Instant::now();
        for (of, what) in store.read(|snap| check(snap))? {
            found.differs(name, of, what, None);
        }
        note_longest(&mut found, began.elapsed());
    }
    found.took_ms = ms(started.elapsed());
    Ok(found)
}

/// Compares the rows that consumers keep in this store with what the rows of their tables produce, as of each cursor,
/// in one snapshot each. Skips consumers that are being rebuilt.
pub fn follow(
    store: &Store,
    consumers: &[Arc<dyn Consume>],
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    let here = |one: &&Arc<dyn Consume>| {
        let mut tables = one.tables().iter();
        tables.all(|number| store.schema().table(*number).is_some())
    };
    for consumer in consumers.iter().filter(here) {
        let (number, began) = (consumer.number(), Instant::now());
        let unlike = store.read(|snap| {
            let state = consumer::state(snap, number)?;
            let whole = consumer::rebuilding(snap, number)?.is_none();
            match whole && state.incarnation == store.incarnation() {
                true => consumer.compare(snap, state.cursor),
                false => Ok(Vec::new()),
            }
        })?;
        note_longest(found, began.elapsed());
        for one in unlike {
            found.differs(consumer.name(), one.of, one.what, Some(Fix::Rebuild { number }));
        }
    }
    Ok(())
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn note_longest(found: &mut Diagnosis, span: Duration) {
    found.longest_ms = found.longest_ms.max(ms(span));
}

/// Checks rows of a table: snapshot, schema, table, rows, diagnosis.
type Look = fn(&dyn Read, &Schema, u16, &Rows, &mut Diagnosis) -> Result<(), StoreError>;
type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn each_slice(
    store: &Store,
    table: u16,
    found: &mut Diagnosis,
    look: Look,
) -> Result<(), StoreError> {
    let mut range = Range::all();
    loop {
        let began = Instant::now();
        let last = store.read(|snap| {
            let (mut rows, mut bytes, mut full) = (Rows::new(), 0, false);
            snap.raw_scan(table, &range, &mut |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                bytes += value.len();
                full = SLICE <= rows.len() || SLICE_BYTES <= bytes;
                super::read::stop_at(full)
            })?;
            look(snap, store.schema(), table, &rows, found)?;
            Ok::<_, StoreError>(rows.pop().filter(|_| full))
        })?;
        note_longest(found, began.elapsed());
        match last {
            Some((key, _)) => range = Range::all().after(&key),
            None => return Ok(()),
        }
    }
}

fn name(schema: &Schema, table: u16, key: &[u8]) -> String {
    let Some(info) = schema.table(table) else { return hex::encode(key) };
    let id = info.ops.as_ref().and_then(|ops| (ops.key_text)(key));
    format!("{} {}", info.name, id.unwrap_or_else(|| hex::encode(key)))
}

/// The derived rows of a record; `None` if the record is missing or unreadable.
pub(super) fn derived(
    read: &dyn Read,
    schema: &Schema,
    table: u16,
    key: &[u8],
) -> Result<Option<Derived>, StoreError> {
    let Some(ops) = schema.table(table).and_then(|info| info.ops.as_ref()) else {
        return Ok(None);
    };
    let row = read.raw_get(table, key)?;
    Ok(row.and_then(|row| (ops.derive)(&row).ok()))
}

/// Checks that the derived rows of each record exist.
fn records(
    read: &dyn Read,
    schema: &Schema,
    table: u16,
    rows: &Rows,
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    let Some(info) = schema.table(table) else { return Ok(()) };
    let Some(ops) = &info.ops else { return Ok(()) };
    for (own, row) in rows {
        found.records += 1;
        let of = || name(schema, table, own);
        let made = match (ops.derive)(row) {
            Ok(made) => made,
            Err(error) => {
                found.differs(info.name, of(), format!("cannot be read: {error}"), None);
                continue;
            }
        };
        let owner = Some((table, own.clone()));
        for (index, key, value) in made.index {
            let there = read.raw_get(index.number, &key)?;
            let other = match &there {
                Some(there) if *there == value => continue,
                Some(there) => derived(read, schema, table, there)?,
                None => None,
            };
            let claims = |other: Derived| {
                other.index.iter().any(|(one, k, _)| one.number == index.number && *k == key)
            };
            if other.is_some_and(claims) {
                let what = "has the same key as another record".to_owned();
                found.differs(index.name, of(), what, None);
                continue;
            }
            let what = if there.is_some() { "is wrong" } else { "is missing" };
            let fix = Fix::Row { table: index.number, key, value, owner: owner.clone() };
            found.differs(index.name, of(), what, Some(fix));
        }
        held::by_row(read, schema, (table, own), &made.blobs, found)?;
        for reference in made.refs {
            let target = &reference.target;
            if !target.is(table, own) && read.raw_get(target.table, &target.key)?.is_none() {
                let what = format!(
                    "refers to {}, which is not there",
                    name(schema, target.table, &target.key)
                );
                found.differs("references", of(), what, None);
            }
            let key = reference.row_key(table, own);
            if read.raw_get(builtin::REFS, &key)?.is_none() {
                let owner = owner.clone();
                let fix = Fix::Row { table: builtin::REFS, key, value: Vec::new(), owner };
                found.differs("references", of(), "is missing", Some(fix));
            }
        }
    }
    Ok(())
}

/// Checks that a record produces each index row.
fn index_rows(
    read: &dyn Read,
    schema: &Schema,
    table: u16,
    rows: &Rows,
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    let Some(info) = schema.table(table) else { return Ok(()) };
    let makes = |ops: &super::schema::Ops| ops.indexes.iter().any(|index| index.number == table);
    let owner = schema.tables().iter().find(|one| one.ops.as_ref().is_some_and(makes));
    let Some(owner) = owner else { return Ok(()) };
    for (key, value) in rows {
        found.index_rows += 1;
        let made = derived(read, schema, owner.number, value)?;
        let makes_it = made.is_some_and(|made| {
            made.index.iter().any(|(one, k, v)| one.number == table && k == key && v == value)
        });
        if makes_it {
            continue;
        }
        // If another record produces this key, the check of that record reports it.
        let owner = Some((owner.number, value.clone()));
        let fix = Fix::Row { table, key: key.clone(), value: value.clone(), owner };
        found.differs(info.name, hex::encode(key), "is too much", Some(fix));
    }
    Ok(())
}

/// Checks that a record produces each reference.
fn references(
    read: &dyn Read,
    schema: &Schema,
    table: u16,
    rows: &Rows,
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    for (key, _) in rows {
        found.references += 1;
        if is_made(read, schema, key)? {
            continue;
        }
        let fix = Fix::Row { table, key: key.clone(), value: Vec::new(), owner: None };
        found.differs("references", hex::encode(key), "is too much", Some(fix));
    }
    Ok(())
}

/// Whether a record produces this reference. The target's key has no end mark, so every split is tried, that of an id
/// first.
pub(super) fn is_made(read: &dyn Read, schema: &Schema, key: &[u8]) -> Result<bool, StoreError> {
    let places = std::iter::once(2 + 16).chain(2..key.len()).filter(|at| at + 3 <= key.len());
    for at in places {
        let source = u16::from_be_bytes([key[at], key[at + 1]]);
        let own = &key[at + 3..];
        if schema.table(source).is_none_or(|info| info.ops.is_none()) {
            continue;
        }
        let Some(made) = derived(read, schema, source, own)? else { continue };
        if made.refs.iter().any(|reference| reference.row_key(source, own) == key) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Count tables grouped by the record tables that they sum.
fn sums_by_tables(schema: &Schema) -> BTreeMap<Vec<u16>, Vec<u16>> {
    let mut groups: BTreeMap<Vec<u16>, Vec<u16>> = BTreeMap::new();
    for count in schema.tables().iter().filter(|info| info.kind == Kind::Count) {
        let adds = |info: &&super::schema::TableInfo| {
            let counts = info.ops.as_ref().map(|ops| ops.counts).unwrap_or_default();
            counts.iter().any(|one| one.number == count.number)
        };
        let tables = schema.tables().iter().filter(adds).map(|info| info.number).collect();
        groups.entry(tables).or_default().push(count.number);
    }
    groups
}

fn sums(
    read: &dyn Read,
    schema: &Schema,
    (tables, counts): (&[u16], &[u16]),
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    let at = feed::last(read)?.seq;
    let mut wanted: HashMap<(u16, Vec<u8>), i64> = HashMap::new();
    for table in tables {
        let Some(ops) = schema.table(*table).and_then(|info| info.ops.as_ref()) else { continue };
        read.raw_scan(*table, &Range::all(), &mut |_, row| {
            // An unreadable record is already in the diagnosis.
            for (count, key, n) in (ops.derive)(row).unwrap_or_default().counts {
                let sum = wanted.entry((count.number, key)).or_default();
                *sum = sum.wrapping_add(n);
            }
            ControlFlow::Continue(())
        })?;
    }
    for count in counts {
        let title = schema.table(*count).map_or("sums", |info| info.name);
        read.raw_scan(*count, &Range::all(), &mut |key, value| {
            found.sums += 1;
            let right = wanted.remove(&(*count, key.to_vec())).unwrap_or(0);
            compare(found, (title, *count, at), key, (read_sum(value), right));
            ControlFlow::Continue(())
        })?;
    }
    let mut missing: Vec<_> = wanted.into_iter().filter(|(_, right)| *right != 0).collect();
    missing.sort();
    for ((count, key), right) in missing {
        let title = schema.table(count).map_or("sums", |info| info.name);
        compare(found, (title, count, at), &key, (0, right));
    }
    Ok(())
}

fn compare(
    found: &mut Diagnosis,
    (title, table, at): (&str, u16, u64),
    key: &[u8],
    (there, right): (i64, i64),
) {
    if there != right {
        let fix = Fix::Sum { table, key: key.to_vec(), by: right.wrapping_sub(there), at };
        let what = format!("is {there} and should be {right}");
        found.differs(title, hex::encode(key), what, Some(fix));
    }
}
