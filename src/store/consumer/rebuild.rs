//! Starting a consumer from nothing: what it keeps goes, its tables are read row by row, then it
//! follows the feed from there.
//!
//! Exact although everybody goes on writing: each piece is one transaction, which first takes the
//! entries since the piece before, as far as they are about rows that were read already, and then
//! reads the next rows as they are in that same transaction. A row that is not read yet will be read
//! with all that happened to it.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::kernel::{Actor, Cause, Part};
use crate::store::codec;
use crate::store::error::StoreError;
use crate::store::feed::{self, Entry};
use crate::store::key::{KeyBuf, Range};
use crate::store::read::Read;
use crate::store::schema::builtin;
use crate::store::{Lane, Store, WriteTx};

use super::{
    Consume, ConsumeError, STEP, State, Step, TRIES, dead_letters, drop_letter, save, state,
};

/// How far a rebuild is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rebuilding {
    /// What it kept is being removed.
    Clearing,
    /// Its tables are being read.
    Reading {
        /// Which of its tables.
        table: u16,
        /// The last key that was read; empty before the first.
        after: Vec<u8>,
        /// How many rows were read so far.
        rows: u64,
    },
}

/// How far a rebuild is, if one goes on.
///
/// # Errors
/// When the disk fails.
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

/// Begins a rebuild; the steps of the consumer carry it out.
///
/// # Errors
/// `Refused` when rows do not tell what it keeps.
pub fn rebuild(tx: &mut WriteTx<'_>, consumer: &dyn Consume) -> Result<(), ConsumeError> {
    if consumer.tables().is_empty() {
        let text = "what it does lies outside of the records; send it back instead".to_owned();
        return Err(ConsumeError::Refused(text));
    }
    Ok(begin(tx, consumer.number())?)
}

/// Begins a rebuild of a consumer that can be rebuilt.
pub(super) fn begin(tx: &mut WriteTx<'_>, number: u16) -> Result<(), StoreError> {
    for (seq, _) in dead_letters(tx, number)? {
        drop_letter(tx, number, seq)?;
    }
    let row = tx.raw_get(builtin::META, b"incarnation")?;
    let incarnation = row.map_or(Ok(0), |row| codec::decode(&row))?;
    save(tx, number, &State { incarnation, ..State::default() })?;
    note(tx, number, Some(&Rebuilding::Clearing))
}

/// Begins a rebuild unless one goes on; says whether it has.
pub(in crate::store) fn rebuild_once(
    tx: &mut WriteTx<'_>,
    number: u16,
) -> Result<bool, StoreError> {
    let begins = rebuilding(tx, number)?.is_none();
    if begins {
        begin(tx, number)?;
    }
    Ok(begins)
}

/// Begins a rebuild of a consumer that is seen where no rows of its own can be trusted.
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
                Ok(if state.paused { Step::Paused } else { Step::Failed })
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
                // Rows will be read as they are from here on.
                state.cursor = tx.last_seq();
                let reading = Rebuilding::Reading { table: 0, after: Vec::new(), rows: 0 };
                note(tx, number, Some(&reading))?;
            }
            return Ok(0);
        }
        Rebuilding::Reading { table, after, rows } => (table, after, rows),
    };
    let cursor = state.cursor;
    let entries = feed::entries(tx, tx.schema(), cursor, STEP)?;
    for entry in &entries {
        if let Some(known) = about_read_rows(consumer, entry, table, &after) {
            consumer.handle(tx, &known)?;
        }
        state.cursor = entry.seq;
    }
    if entries.len() == STEP {
        return Ok(STEP);
    }
    let Some(number_of_table) = consumer.tables().get(usize::from(table)).copied() else {
        note(tx, number, None)?;
        return Ok(entries.len());
    };
    let found = rows_after(tx, number_of_table, &after)?;
    let end = found.len() < STEP;
    rows += found.len() as u64;
    let last = found.last().map(|(key, _)| key.clone()).unwrap_or_default();
    for (key, value) in &found {
        consumer.row(tx, (number_of_table, key), value)?;
    }
    let next = match end {
        true => Rebuilding::Reading { table: table + 1, after: Vec::new(), rows },
        false => Rebuilding::Reading { table, after: last, rows },
    };
    note(tx, number, Some(&next))?;
    Ok(entries.len() + found.len())
}

/// An entry as far as it is about rows that were read; none when it is not.
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
    // Events tell of what is new; a rebuild is about what there is.
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
