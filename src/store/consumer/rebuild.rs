//! Rebuild of a consumer: its state is deleted, its tables are read row by row, then it follows the feed from there.
//!
//! Exact despite concurrent writes: each piece is one transaction that first handles the entries since the previous
//! piece, restricted to rows already read, and then reads the next rows in the same transaction. Rows not yet read will
//! be read in their final state.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::StoreError;
use crate::feed::{self, Entry};
use crate::range::Range;
use crate::read::Read;
use crate::schema::builtin;
use crate::{Lane, Store, WriteTx};
use kernel::key::KeyBuf;
use kernel::{Actor, Cause, Part};

use super::{
    Consume, ConsumeError, PAUSE_AFTER, STEP, State, Step, TRIES, dead_letters, drop_letter,
    is_enough, save, state,
};

/// Progress of a rebuild.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rebuilding {
    /// Deleting the old state.
    Clearing,
    /// Reading the tables.
    Reading {
        /// Position in the list of the consumer's tables.
        table: u16,
        /// The last key read; empty at the start of a table.
        after: Vec<u8>,
        /// Number of rows read so far.
        rows: u64,
    },
}

/// The progress of a rebuild, if one is running.
pub fn rebuilding(read: &dyn Read, number: u16) -> Result<Option<Rebuilding>, StoreError> {
    match read.raw_get(builtin::REBUILDS, KeyBuf::of(&number).bytes())? {
        Some(row) => Ok(Some(codec::decode(&row)?)),
        None => Ok(None),
    }
}

fn note(tx: &mut WriteTx<'_>, number: u16, now: Option<&Rebuilding>) -> Result<(), StoreError> {
    let row = now.map(codec::encode).transpose()?;
    tx.set(builtin::REBUILDS, KeyBuf::of(&number).into_bytes(), row)
}

/// Starts a rebuild; the consumer's steps carry it out.
///
/// # Errors
/// `Refused` when rows do not determine the consumer's state.
pub fn rebuild(tx: &mut WriteTx<'_>, consumer: &dyn Consume) -> Result<(), ConsumeError> {
    if consumer.tables().is_empty() {
        let text = match consumer.repeats() {
            true => "its effects are outside the records; rewind it instead",
            false => super::control::NEITHER,
        };
        return Err(ConsumeError::Refused(text.to_owned()));
    }
    Ok(begin(tx, consumer.number())?)
}

/// Starts a rebuild of a consumer that supports it. A pause by a person stays; a pause after failures ends, because the
/// rebuild is its remedy.
pub(super) fn begin(tx: &mut WriteTx<'_>, number: u16) -> Result<(), StoreError> {
    for (seq, _) in dead_letters(tx, number)? {
        drop_letter(tx, number, seq)?;
    }
    let row = tx.raw_get(builtin::META, b"incarnation")?;
    let incarnation = row.map_or(Ok(0), |row| codec::decode(&row))?;
    let was = state(tx, number)?;
    let by_itself = was.dead_in_a_row >= PAUSE_AFTER || was.tries >= TRIES;
    let paused = was.paused && !by_itself;
    save(tx, number, &State { incarnation, paused, ..State::default() })?;
    note(tx, number, Some(&Rebuilding::Clearing))
}

/// Starts a rebuild unless one is running; returns whether it started.
pub(crate) fn rebuild_once(tx: &mut WriteTx<'_>, number: u16) -> Result<bool, StoreError> {
    let begins = rebuilding(tx, number)?.is_none();
    if begins {
        begin(tx, number)?;
    }
    Ok(begins)
}

/// Starts a rebuild when the consumer's own rows cannot be trusted, unless its state has changed.
pub(super) async fn start_over(
    store: &Store,
    consumer: Arc<dyn Consume>,
    seen: State,
) -> Result<Step, StoreError> {
    let number = consumer.number();
    let (actor, cause) = (Actor::System(Part::Consumer), Cause::Consumer(number));
    let begun = store.write_in(Lane::Second, actor, cause, move |tx| {
        if state(tx, number)? == seen {
            begin(tx, number)?;
        }
        Ok(Step::Took(0))
    });
    begun.await
}

/// One piece of a rebuild.
pub(super) async fn step(
    store: &Store,
    consumer: Arc<dyn Consume>,
    incarnation: u64,
) -> Result<Step, StoreError> {
    let number = consumer.number();
    let (actor, cause) = (Actor::System(Part::Consumer), Cause::Consumer(number));
    let piece = store.write_in(Lane::Second, actor, cause, move |tx| {
        let Some(now) = rebuilding(tx, number)? else { return Ok(Step::Took(0)) };
        let mut state = state(tx, number)?;
        state.incarnation = incarnation;
        match tx.attempt_caught(|tx| piece(tx, &*consumer, now, &mut state)) {
            Ok(taken) => {
                state.tries = 0;
                save(tx, number, &state)?;
                Ok(Step::Took(taken))
            }
            Err(ConsumeError::StartOver) => {
                begin(tx, number)?;
                Ok(Step::Took(0))
            }
            Err(error) => {
                state.tries += 1;
                state.last_error = Some(format!("the rebuild failed: {error}"));
                state.paused = state.tries >= TRIES;
                tracing::warn!(consumer = consumer.name(), %error, "a rebuild failed");
                save(tx, number, &state)?;
                Ok(if state.paused { Step::Paused } else { Step::Failed(state.tries) })
            }
        }
    });
    piece.await
}

fn piece(
    tx: &mut WriteTx<'_>,
    consumer: &dyn Consume,
    now: Rebuilding,
    state: &mut State,
) -> Result<usize, ConsumeError> {
    let number = consumer.number();
    let (table, after, mut rows) = match now {
        Rebuilding::Clearing => {
            if consumer.clear(tx, STEP)? {
                // Rows are read in their state from here on.
                state.cursor = tx.last_seq();
                let reading = Rebuilding::Reading { table: 0, after: Vec::new(), rows: 0 };
                note(tx, number, Some(&reading))?;
            }
            return Ok(0);
        }
        Rebuilding::Reading { table, after, rows } => (table, after, rows),
    };
    let (cursor, started) = (state.cursor, Instant::now());
    let entries = feed::entries(tx, tx.schema(), cursor, STEP)?;
    let mut taken = 0;
    for entry in &entries {
        if let Some(known) = about_read_rows(consumer, entry, table, &after) {
            match tx.attempt(|tx| consumer.handle(tx, &known)) {
                // The entry may fit into a transaction of its own.
                Err(ConsumeError::Store(StoreError::TooMany { .. })) if taken > 0 => {
                    return Ok(taken);
                }
                done => done?,
            }
        }
        state.cursor = entry.seq;
        taken += 1;
        if is_enough(tx, started) {
            return Ok(taken);
        }
    }
    // Rows are read in their current state, so all earlier entries must be handled first.
    if taken == STEP {
        return Ok(taken);
    }
    let Some(number_of_table) = consumer.tables().get(usize::from(table)).copied() else {
        note(tx, number, None)?;
        return Ok(taken);
    };
    let found = rows_after(tx, number_of_table, &after)?;
    let mut end = found.len() < STEP;
    let mut last = Vec::new();
    for (n, (key, value)) in found.iter().enumerate() {
        match tx.attempt(|tx| consumer.row(tx, (number_of_table, key), value)) {
            Err(ConsumeError::Store(StoreError::TooMany { .. })) if taken > 0 => {
                end = false;
                break;
            }
            done => done?,
        }
        last.clone_from(key);
        (rows, taken) = (rows + 1, taken + 1);
        if is_enough(tx, started) {
            end &= n + 1 == found.len();
            break;
        }
    }
    let next = match end {
        true => Rebuilding::Reading { table: table + 1, after: Vec::new(), rows },
        // No row was read, because the entries have filled the transaction.
        false if last.is_empty() => Rebuilding::Reading { table, after, rows },
        false => Rebuilding::Reading { table, after: last, rows },
    };
    note(tx, number, Some(&next))?;
    Ok(taken)
}

/// An entry reduced to rows that were already read; `None` if there are none.
fn about_read_rows(
    consumer: &dyn Consume,
    entry: &Entry,
    table: u16,
    after: &[u8],
) -> Option<Entry> {
    let was_read = |change: &&feed::Change| {
        let at = consumer.tables().iter().position(|known| *known == change.table);
        at.is_some_and(|at| {
            at < usize::from(table)
                || (at == usize::from(table) && !after.is_empty() && change.key.as_slice() <= after)
        })
    };
    let changes: Vec<_> = entry.changes.iter().filter(was_read).cloned().collect();
    // Events announce news; a rebuild is about the existing state.
    (!changes.is_empty()).then(|| Entry { changes, events: Vec::new(), ..entry.clone() })
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn rows_after(read: &dyn Read, table: u16, after: &[u8]) -> Result<Rows, StoreError> {
    let range = match after.is_empty() {
        true => Range::all(),
        false => Range::all().after(after),
    };
    let mut found = Vec::new();
    read.raw_scan(table, &range, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        match found.len() < STEP {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(found)
}
