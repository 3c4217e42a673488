//! A whole store back to a moment. Every entry behind the moment is undone, newest first, in slices of
//! one transaction each, so that whatever number of records it is, each slice stands on its own: after
//! it the tracked records are what they were between two entries. A slice is planned from its own entries
//! alone: what came after them is undone already, so a record goes back to what was there before the
//! first of them, and a busy stretch costs what its entries cost, however long it is.
//!
//! Exact for tracked records, whose images are in the feed, and for what was only ever added since
//! (logs, work, secrets): that goes. Rows of work and secrets that were *changed* or deleted since have
//! no image; they are counted by table. The feed itself goes on: the way back is on the record, and
//! consumers follow it as they follow anything else.

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

/// How many changes of entries one slice undoes, an entry without any counted as one: below what one
/// transaction may touch, with room for what goes along.
const SLICE: usize = 2_500;
/// How many entries are looked at with one read.
const LOOK: usize = 200;

/// What went back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Back {
    /// The last entry that counts.
    pub to: u64,
    /// How many entries were undone.
    pub entries: u64,
    /// Tracked records that are as they were.
    pub records: u64,
    /// Other rows that were made since and are gone.
    pub removed: u64,
    /// What is not as it was: the table, and how many of its rows.
    pub left: BTreeMap<&'static str, u64>,
}

/// Why a store does not go back to a moment.
#[derive(Debug, thiserror::Error)]
pub enum BackError {
    /// What was there before is not kept any more.
    #[error("what {count} records held then is not kept any more, {table} among them")]
    Gone {
        /// A table of one.
        table: &'static str,
        /// How many.
        count: usize,
    },
    /// The clock was set back, so the moment was there twice.
    #[error("the clock was set back after entry {seq}, so that moment was there twice")]
    Twice {
        /// The last entry of the first time.
        seq: u64,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The numbers of entries that are undone together.
type Slice = RangeInclusive<u64>;

/// Takes a store back to what it was at a moment: after the last entry that is not younger. Blocking;
/// nobody else writes. When it fails in the middle the store is of no use.
///
/// # Errors
/// `Gone` when images are missing; or when the store fails.
pub fn go_back(store: &Store, at: Timestamp, by: (Actor, Cause)) -> Result<Back, BackError> {
    go_back_by(store, at, by, SLICE)
}

/// The same with slices of so many changes: what comes out does not depend on it.
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
    // What consumers have made of rows that are gone is made anew.
    store.write_blocking(by.0, by.1, disown)?;
    // What was answered behind the moment was not done: who asks again with the same key is to get it done.
    once::forget_after(store, by, at)?;
    Ok(back)
}

/// Leaves the places of all consumers to a life that is over, so that each begins anew.
fn disown(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    let mut found = Vec::new();
    tx.raw_scan(builtin::CONSUMERS, &Range::all(), &mut |key, row| {
        // Dead letters have longer keys.
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

/// The last entry up to one that is younger than the moment all the same.
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

/// Cuts the entries behind the moment into slices, newest first, and counts what no image brings back.
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
                    // Newest first: what was changed before was made here.
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

/// What one slice did.
#[derive(Default)]
struct Done {
    records: u64,
    removed: u64,
    /// What is left for the slices that come next.
    rest: Rest,
    gone: Option<(&'static str, usize)>,
}

/// Undoes the entries of a slice; those behind it are undone already, but for the rest.
fn undo_slice(tx: &mut WriteTx<'_>, slice: Slice, rest: &Rest) -> Result<Done, StoreError> {
    let entries: BTreeSet<u64> = slice.collect();
    let schema = tx.schema();
    let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
    let (plan, touched) = {
        let heads = Heads::new(&*tx);
        let plan = plan_with(&*tx, schema, &ask, (&heads, Reach::Moment(rest)))?;
        let mut touched = BTreeMap::new();
        for Kept { record, .. } in &plan.kept {
            // As far back as this slice goes.
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

/// Removes the rows that were made since and did not go along with a tracked one.
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
