//! Returns a whole store to a point in time. All later entries are undone, newest first, in slices of one transaction
//! each. After each slice the tracked records have the state between two entries. A slice restores what was before its
//! first change of a record, since all later entries are already undone; the cost is linear in the entries.
//!
//! Exact for tracked records and for other rows created since, which are deleted. Rows of class `Work` or `Sealed` that
//! were *changed* or deleted have no image; they are counted by table. The feed is not cut: it records the return, and
//! consumers follow it as usual.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, RangeInclusive};

use crate::Store;
use crate::codec;
use crate::consumer::State;
use crate::error::StoreError;
use crate::feed::{self, Op};
use crate::history::Heads;
use crate::once;
use crate::range::Range;
use crate::read::{Read, stop_at};
use crate::record::{Class, Root};
use crate::schema::builtin;
use crate::tx::WriteTx;
use kernel::key::KeyBuf;
use kernel::{Actor, Cause, Timestamp};

use super::{Ask, Kept, Plan, Reach, Rest, Unguarded, Why, plan_with};

/// Maximum number of changes undone per slice; an entry without changes counts as one. Below the limit of a
/// transaction, with room for dependent rows.
const SLICE: usize = 2_500;
/// Number of entries read at once.
const LOOK: usize = 200;

/// The result of a return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Back {
    /// The last entry that still counts.
    pub to: u64,
    /// Number of undone entries.
    pub entries: u64,
    /// Number of restored tracked records.
    pub records: u64,
    /// Number of other rows created since and deleted.
    pub removed: u64,
    /// Rows that could not be restored: table and count.
    pub left: BTreeMap<&'static str, u64>,
}

/// Why a store cannot return to a point in time.
#[derive(Debug, thiserror::Error)]
pub enum BackError {
    /// Images of the state at that time are no longer stored.
    #[error("the values of {count} records at that time, including {table}, are no longer stored")]
    Gone {
        /// One of the affected tables.
        table: &'static str,
        /// Number of records without an image.
        count: usize,
    },
    /// The clock was set back, so that time occurred twice.
    #[error("the clock was set back after entry {seq}, so that moment was there twice")]
    Twice {
        /// The last entry of the first occurrence.
        seq: u64,
    },
    /// An error of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The numbers of entries that are undone together.
type Slice = RangeInclusive<u64>;

/// Returns a store to its state after the last entry that is not later than `at`. Blocking; there must be no other
/// writer. After a failure in the middle the store is unusable.
///
/// # Errors
/// `Gone` when images are missing; `Twice` when the time is ambiguous.
pub fn go_back(store: &Store, at: Timestamp, by: (Actor, Cause)) -> Result<Back, BackError> {
    go_back_by(store, at, by, SLICE)
}

/// Like [`go_back`], with `slice` changes per transaction. The result does not depend on it.
pub fn go_back_by(
    store: &Store,
    at: Timestamp,
    by: (Actor, Cause),
    slice: usize,
) -> Result<Back, BackError> {
    let end = store.head().seq;
    let mut back = Back { to: end, ..Back::default() };
    let slices = slices(store, at, slice, &mut back)?;
    back.entries = end - back.to;
    if let Some(seq) = younger(store, back.to, at)? {
        return Err(BackError::Twice { seq });
    }
    let mut rest = Rest::default();
    for slice in slices {
        let done = store.write_blocking(by.0, by.1, move |tx| undo_slice(tx, slice, &rest))?;
        if let Some((table, count)) = done.gone {
            return Err(BackError::Gone { table, count });
        }
        back.records += done.records;
        back.removed += done.removed;
        rest = done.rest;
    }
    for record in rest.touched.keys() {
        let name = store.schema().table(record.table).map_or("", |info| info.name);
        *back.left.entry(name).or_default() += 1;
    }
    // Consumers rebuild what they made of the removed rows.
    store.write_blocking(by.0, by.1, disown)?;
    // Responses after that time describe undone work, so a retry with the same key must run again.
    once::forget_after(store, by, at)?;
    Ok(back)
}

/// Assigns all cursors to an old incarnation, so that each consumer starts over.
fn disown(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    let mut found = Vec::new();
    tx.raw_scan(builtin::CONSUMERS, &Range::all(), &mut |key, row| {
        // Keys of dead letters are longer.
        if key.len() == 2 {
            found.push((key.to_vec(), row.to_vec()));
        }
        ControlFlow::Continue(())
    })?;
    for (key, row) in found {
        let mut state: State = codec::decode(&row)?;
        state.incarnation = state.incarnation.wrapping_add(1).max(1);
        tx.set_beside(builtin::CONSUMERS, key, Some(codec::encode(&state)?))?;
    }
    Ok(())
}

/// The last entry up to `until` that is nevertheless later than `at`.
fn younger(store: &Store, until: u64, at: Timestamp) -> Result<Option<u64>, StoreError> {
    store.read(|snap| {
        let (mut found, mut bad) = (None, None);
        let range = Range::between(KeyBuf::new(), KeyBuf::of(&until.saturating_add(1)));
        snap.raw_scan(builtin::FEED, &range.reverse(), &mut |key, head| {
            let Some((seq, 0)) = feed::split(key) else { return ControlFlow::Continue(()) };
            match feed::decode_head(seq, head) {
                Ok(entry) if at.as_millisecond() < entry.at => found = Some(seq),
                Ok(_) => {}
                Err(error) => bad = Some(error),
            }
            stop_at(found.is_some() || bad.is_some())
        })?;
        bad.map_or(Ok(found), |error| Err(error.into()))
    })
}

/// Cuts the later entries into slices, newest first, and counts rows without images.
fn slices(
    store: &Store,
    at: Timestamp,
    most: usize,
    back: &mut Back,
) -> Result<Vec<Slice>, StoreError> {
    let (mut slices, mut changes, mut before) = (Vec::new(), 0, None);
    let (mut lost, mut last) = (BTreeSet::new(), back.to);
    loop {
        let entries = store.read(|snap| feed::newest(snap, store.schema(), before, LOOK))?;
        let Some(oldest) = entries.last() else {
            back.to = 0;
            break;
        };
        before = Some(oldest.seq);
        let mut over = false;
        for entry in entries {
            if entry.at <= at.as_millisecond() {
                (back.to, over) = (entry.seq, true);
                break;
            }
            for change in &entry.changes {
                let root = Root { table: change.table, key: change.key.clone() };
                match (store.schema().class(change.table), change.op) {
                    (Some(Class::Tracked) | None, _) => {}
                    // Entries come newest first, so a row with earlier changes was created here.
                    (Some(_), Op::Insert) => {
                        lost.remove(&root);
                    }
                    (Some(_), Op::Update | Op::Delete) => {
                        lost.insert(root);
                    }
                }
            }
            let weight = entry.changes.len().max(1);
            if most < changes + weight && 0 < changes {
                slices.push(entry.seq + 1..=last);
                (changes, last) = (0, entry.seq);
            }
            changes += weight;
        }
        if over {
            break;
        }
    }
    if 0 < changes {
        slices.push(back.to + 1..=last);
    }
    for root in &lost {
        let name = store.schema().table(root.table).map_or("", |info| info.name);
        *back.left.entry(name).or_default() += 1;
    }
    Ok(slices)
}

/// The result of one slice.
#[derive(Default)]
struct Done {
    records: u64,
    removed: u64,
    /// What remains for the following slices.
    rest: Rest,
    gone: Option<(&'static str, usize)>,
}

/// Undoes the entries of a slice. Later entries are already undone, except for the rest.
fn undo_slice(tx: &mut WriteTx<'_>, slice: Slice, rest: &Rest) -> Result<Done, StoreError> {
    let entries: BTreeSet<u64> = slice.collect();
    let schema = tx.schema();
    let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
    let (plan, touched) = {
        let heads = Heads::new(&*tx);
        let plan = plan_with(&*tx, schema, &ask, (&heads, Reach::Moment(rest)))?;
        let mut touched = BTreeMap::new();
        for Kept { record, .. } in &plan.kept {
            // The oldest change within this slice.
            let mut first = rest.touched.get(record).copied();
            for seq in entries.iter().rev() {
                if heads.step(record, *seq)?.is_some() {
                    first = Some(*seq);
                }
            }
            touched.extend(first.map(|first| (record.clone(), first)));
        }
        (plan, touched)
    };
    let mut gone = plan.kept.iter().filter(|kept| kept.why == Why::Gone).peekable();
    if let Some(first) = gone.peek() {
        let name = schema.table(first.record.table).map_or("", |info| info.name);
        return Ok(Done { gone: Some((name, gone.count())), ..Done::default() });
    }
    let takes: usize = plan.rows.iter().map(|row| row.takes.len()).sum();
    let mut done = Done {
        records: plan.rows.len() as u64,
        removed: takes as u64,
        rest: Rest { touched, made: BTreeSet::new() },
        gone: None,
    };
    tx.undo(&plan)?;
    remove_made(tx, plan, &mut done)?;
    Ok(done)
}

/// Deletes the rows created since that were not deleted with a tracked row.
fn remove_made(tx: &mut WriteTx<'_>, plan: Plan, done: &mut Done) -> Result<(), StoreError> {
    for root in plan.made {
        match tx.remove_raw(&root) {
            Ok(true) => done.removed += 1,
            Ok(false) => {}
            Err(StoreError::Referenced { .. }) => {
                done.rest.made.insert(root);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
