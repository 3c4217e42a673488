//! A whole store back to a moment. Every entry behind the moment is undone, newest first, in slices of
//! one transaction each, so that whatever number of records it is, each slice stands on its own: after
//! it the tracked records are what they were between two entries.
//!
//! Exact for tracked records, whose images are in the feed, and for what was only ever added since
//! (logs, work, secrets): that goes. Rows of work and secrets that were *changed* or deleted since have
//! no image; they are counted by table. The feed itself goes on: the way back is on the record, and
//! consumers follow it as they follow anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::kernel::{Actor, Cause, Timestamp};
use crate::store::Store;
use crate::store::codec;
use crate::store::consumer::State;
use crate::store::error::StoreError;
use crate::store::feed::{self, Op};
use crate::store::history::Heads;
use crate::store::key::{KeyBuf, Range};
use crate::store::read::{Read, stop_at};
use crate::store::record::{Class, Root};
use crate::store::schema::builtin;
use crate::store::tx::WriteTx;

use super::{Ask, Plan, Reach, Unguarded, Why, plan_with};

/// How many changes of entries one slice undoes: below what one transaction may touch, with room for what
/// goes along.
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

/// Entries that are undone together, from the lowest number on.
struct Slice {
    from: u64,
}

/// Takes a store back to what it was at a moment: after the last entry that is not younger. Blocking;
/// nobody else writes. When it fails in the middle the store is of no use.
///
/// # Errors
/// `Gone` when images are missing; or when the store fails.
pub fn go_back(store: &Store, at: Timestamp, by: (Actor, Cause)) -> Result<Back, BackError> {
    let end = store.head().seq;
    let mut back = Back { to: end, ..Back::default() };
    let slices = slices(store, at, &mut back)?;
    back.entries = end - back.to;
    if let Some(seq) = younger(store, back.to, at)? {
        return Err(BackError::Twice { seq });
    }
    for slice in slices {
        let done = store.write_blocking(by.0, by.1, move |tx| undo_from(tx, slice.from))?;
        if let Some((table, count)) = done.gone {
            return Err(BackError::Gone { table, count });
        }
        back.records += done.records;
        back.removed += done.removed;
        for table in done.kept {
            *back.left.entry(table).or_default() += 1;
        }
    }
    // What consumers have made of rows that are gone is made anew.
    store.write_blocking(by.0, by.1, disown)?;
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
fn slices(store: &Store, at: Timestamp, back: &mut Back) -> Result<Vec<Slice>, StoreError> {
    let (mut slices, mut changes, mut before) = (Vec::new(), 0, None);
    let (mut lost, mut made) = (BTreeSet::new(), BTreeSet::new());
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
                    (Some(_), Op::Insert) => {
                        made.insert(root);
                    }
                    (Some(_), Op::Update | Op::Delete) => {
                        lost.insert(root);
                    }
                }
            }
            if SLICE < changes + entry.changes.len() && 0 < changes {
                slices.push(Slice { from: entry.seq + 1 });
                changes = 0;
            }
            changes += entry.changes.len();
        }
        if over {
            break;
        }
    }
    if 0 < changes {
        slices.push(Slice { from: back.to + 1 });
    }
    for root in lost.difference(&made) {
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
    kept: Vec<&'static str>,
    gone: Option<(&'static str, usize)>,
}

/// Undoes all entries from a number on, those of the slices before among them.
fn undo_from(tx: &mut WriteTx<'_>, from: u64) -> Result<Done, StoreError> {
    let entries: BTreeSet<u64> = (from..=tx.last_seq()).collect();
    let schema = tx.schema();
    let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
    let plan = {
        let heads = Heads::new(&*tx);
        plan_with(&*tx, schema, &ask, (&heads, Reach::Moment))?
    };
    let name = |table: u16| schema.table(table).map_or("", |info| info.name);
    let gone: Vec<_> = plan
        .kept
        .iter()
        .filter(|kept| matches!(kept.why, Why::Gone | Why::TooOften | Why::Unmergeable))
        .collect();
    if let Some(first) = gone.first() {
        return Ok(Done { gone: Some((name(first.record.table), gone.len())), ..Done::default() });
    }
    let takes: usize = plan.rows.iter().map(|row| row.takes.len()).sum();
    let mut done = Done {
        records: plan.rows.len() as u64,
        removed: takes as u64,
        kept: plan.kept.iter().map(|kept| name(kept.record.table)).collect(),
        gone: None,
    };
    tx.undo(&plan)?;
    done.removed += remove_made(tx, &plan)?;
    Ok(done)
}

/// Removes the rows that were made since and did not go along with a tracked one.
fn remove_made(tx: &mut WriteTx<'_>, plan: &Plan) -> Result<u64, StoreError> {
    let mut removed = 0;
    for root in &plan.made {
        match tx.remove_raw(root) {
            Ok(true) => removed += 1,
            Ok(false) | Err(StoreError::Referenced { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}
