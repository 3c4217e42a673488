//! Durable consumers: readers of the feed whose cursor is stored with their effect.
//!
//! A consumer's effects are rows of the store, so its cursor moves in the same transaction and each entry takes effect
//! exactly once. An entry that fails five times becomes a dead letter and the cursor moves on; three dead letters in a
//! row pause the consumer. The cursor is `Local`: an idle consumer writes nothing.

mod control;
mod rebuild;
mod orders;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use kernel::{Actor, Cause, Part};

use super::codec;
use super::error::StoreError;
use super::read::Read;
use super::schema::builtin;
use super::tx::MAX_CHANGES;
use super::{Entry, Lane, Store, WriteTx};
use crate::range::Range;
use kernel::key::KeyBuf;

pub use control::{
    Standing, Tried, drop_letter, give_up, go_behind, pause, retry, rewind, skip, skip_only,
    standing,
};
pub use orders::{Told, obeyed, order_for, tell};
pub(super) use rebuild::rebuild_once;
pub use rebuild::{Rebuilding, rebuild, rebuilding};

/// Maximum number of entries per step.
const STEP: usize = 500;
/// How long the stored cursor may lag behind skipped entries.
const PASSING: Duration = Duration::from_secs(1);
/// How often an entry is tried before it becomes a dead letter.
const TRIES: u32 = 5;
/// Number of consecutive dead letters that pause a consumer.
const PAUSE_AFTER: u32 = 3;

/// A consumer of the feed.
pub trait Consume: Send + Sync + 'static {
    /// Its number, never reused.
    fn number(&self) -> u16;
    /// Its name in logs and commands.
    fn name(&self) -> &'static str;
    /// Whether an entry may concern this consumer. For other entries the cursor moves without a transaction, so after a
    /// crash it may be further back.
    fn concerns(&self, _entry: &Entry) -> bool {
        true
    }
    /// How long to let entries gather before a step. Each step is a commit that other writers wait for. A consumer
    /// whose readers also read the entries after its cursor may take many at a time.
    fn gathers(&self) -> Duration {
        Duration::ZERO
    }
    /// Handles one entry. Its writes and the cursor are one transaction.
    ///
    /// # Errors
    /// Why the entry failed; it is retried.
    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError>;
    /// The tables to rebuild from; empty if rows do not determine the consumer's state.
    fn tables(&self) -> &'static [u16] {
        &[]
    }
    /// Whether handling an entry twice equals handling it once. `false` for counters: they cannot be reset to an
    /// earlier cursor, only rebuilt.
    fn repeats(&self) -> bool {
        true
    }
    /// Starts in a new incarnation, or in an imported store, if the consumer can neither be rebuilt nor repeat entries.
    /// All entries of the feed are older, so it continues after them. Use this to handle work that rows still require.
    ///
    /// # Errors
    /// Why it failed; it is retried.
    fn reborn(&self, _tx: &mut WriteTx<'_>) -> Result<(), ConsumeError> {
        Ok(())
    }
    /// Before a rebuild, deletes up to `limit` rows of the consumer; returns whether none is left.
    fn clear(&self, _tx: &mut WriteTx<'_>, _limit: usize) -> Result<bool, ConsumeError> {
        Ok(true)
    }
    /// During a rebuild, handles one row of its tables: table, key, stored bytes.
    fn row(
        &self,
        _tx: &mut WriteTx<'_>,
        _row: (u16, &[u8]),
        _value: &[u8],
    ) -> Result<(), ConsumeError> {
        Ok(())
    }
    /// For doctor: differences between the consumer's rows and what the rows of its tables produce, as of the entry
    /// `cursor`.
    fn compare(&self, _read: &dyn Read, _cursor: u64) -> Result<Vec<Unlike>, StoreError> {
        Ok(Vec::new())
    }
}

/// A row of a consumer that its tables do not produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlike {
    /// The subject, in words.
    pub of: String,
    /// What is wrong with it.
    pub what: String,
}

/// Why an entry was not handled.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The state rests on something that has changed; rebuild the consumer.
    #[error("its derived data has to be rebuilt")]
    StartOver,
    /// The store returned an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The consumer returned an error.
    #[error("{0}")]
    Refused(String),
}

/// The stored state of a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The incarnation that the cursor belongs to.
    pub incarnation: u64,
    /// The last entry that was handled or given up.
    pub cursor: u64,
    /// Attempts for the entry after the cursor.
    pub tries: u32,
    /// Number of consecutive dead letters.
    pub dead_in_a_row: u32,
    /// Whether the consumer is paused until a person resumes it.
    pub paused: bool,
    /// The latest error.
    pub last_error: Option<String>,
}

/// An entry that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Unix time in milliseconds.
    pub at: i64,
    /// Why the entry failed.
    pub error: String,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Handled this many entries; there may be more.
    Took(usize),
    /// The entry after the cursor has failed this many times and will be retried.
    Failed(u32),
    /// There was nothing to do.
    Idle,
    /// Skipped irrelevant entries; the cursor is to be stored after this time.
    Passed(Duration),
    /// The consumer is paused.
    Paused,
}

/// Reads the state of a consumer; the default if it has none.
pub fn state(read: &dyn Read, number: u16) -> Result<State, StoreError> {
    match read.raw_get(builtin::CONSUMERS, KeyBuf::of(&number).bytes())? {
        Some(row) => Ok(codec::decode(&row)?),
        None => Ok(State::default()),
    }
}

/// The dead letters of a consumer, ordered by entry.
pub fn dead_letters(read: &dyn Read, number: u16) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
    dead_letters_after(read, number, 0, usize::MAX)
}

/// The dead letters of a consumer after an entry, in order. Returns at least one, if there is one, and at most `limit`.
pub fn dead_letters_after(
    read: &dyn Read,
    number: u16,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
    let mut found = Vec::new();
    let place = KeyBuf::of(&number).with(&after);
    let range = Range::prefix(KeyBuf::of(&number)).after(place.bytes());
    read.raw_scan(builtin::CONSUMERS, &range, &mut |key, row| {
        if let Some((_, seq)) = kernel::key::decode::<(u16, u64)>(key) {
            found.push((seq, row.to_vec()));
        }
        super::read::stop_at(limit <= found.len())
    })?;
    found.into_iter().map(|(seq, row)| Ok((seq, codec::decode(&row)?))).collect()
}

/// Resumes a paused consumer.
pub fn resume(tx: &mut WriteTx<'_>, number: u16) -> Result<(), StoreError> {
    let mut now = state(tx, number)?;
    (now.paused, now.dead_in_a_row, now.tries) = (false, 0, 0);
    save(tx, number, &now)
}

fn save(tx: &mut WriteTx<'_>, number: u16, state: &State) -> Result<(), StoreError> {
    let row = codec::encode(state)?;
    tx.set(builtin::CONSUMERS, KeyBuf::of(&number).into_bytes(), Some(row))
}

/// How far a consumer has skipped irrelevant entries beyond its stored cursor.
#[derive(Debug)]
pub struct Passed {
    within: Duration,
    /// The stored cursor. If a person moves it, skipped entries no longer count.
    cursor: u64,
    to: u64,
    since: Option<Instant>,
}

impl Default for Passed {
    fn default() -> Self {
        Self::within(PASSING)
    }
}

impl Passed {
    /// Nothing skipped yet; the cursor is stored within `within`.
    #[must_use]
    pub fn within(within: Duration) -> Self {
        Self { within, cursor: 0, to: 0, since: None }
    }

    /// The entry up to which nothing must be read again.
    fn behind(&mut self, cursor: u64) -> u64 {
        if self.cursor != cursor {
            *self = Self { cursor, to: cursor, ..Self::within(self.within) };
        }
        self.to.max(cursor)
    }

    /// Skips entries; returns the remaining delay before the cursor is stored, or `None` to store it now.
    fn pass(&mut self, entries: &[Arc<Entry>]) -> Option<Duration> {
        self.to = entries.last().map_or(self.to, |last| last.seq);
        let since = *self.since.get_or_insert_with(Instant::now);
        if entries.len() == STEP {
            // There may be more entries.
            return Some(Duration::ZERO);
        }
        self.within.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
    }
}

/// Handles up to 500 entries in one transaction of the second lane.
pub async fn step(store: &Store, consumer: Arc<dyn Consume>) -> Result<Step, StoreError> {
    step_behind(store, consumer, None).await
}

/// Like [`step`], without a transaction for irrelevant entries; the cursor is then stored once a second.
pub async fn step_or_pass(
    store: &Store,
    consumer: Arc<dyn Consume>,
    passed: &mut Passed,
) -> Result<Step, StoreError> {
    step_behind(store, consumer, Some(passed)).await
}

async fn step_behind(
    store: &Store,
    consumer: Arc<dyn Consume>,
    passed: Option<&mut Passed>,
) -> Result<Step, StoreError> {
    let number = consumer.number();
    let (now, rebuilt) = store.read(|snap| {
        Ok::<_, StoreError>((state(snap, number)?, rebuilding(snap, number)?.is_some()))
    })?;
    if now.paused {
        return Ok(Step::Paused);
    }
    let incarnation = store.incarnation();
    if rebuilt {
        return rebuild::step(store, consumer, incarnation).await;
    }
    // In a new incarnation old entry numbers are meaningless, so start at the beginning. Rows came from the previous
    // incarnation and are rebuilt.
    let reborn = now.incarnation != 0 && now.incarnation != incarnation;
    if reborn && !consumer.tables().is_empty() {
        return rebuild::start_over(store, consumer, now).await;
    }
    // The effects are not visible in rows and must not be repeated.
    if reborn && !consumer.repeats() {
        return begin_behind(store, consumer, now).await;
    }
    let cursor = if now.incarnation == incarnation { now.cursor } else { 0 };
    let (from, entries) = match passed {
        None => (cursor, store.entries_after(cursor, STEP)?),
        Some(passed) => {
            let from = passed.behind(cursor);
            let entries = store.entries_after(from, STEP)?;
            // A failure of an entry is recorded as soon as it happens.
            if now.tries == 0
                && (cursor < from || !entries.is_empty())
                && !entries.iter().any(|entry| consumer.concerns(entry))
                && let Some(left) = passed.pass(&entries)
            {
                return Ok(Step::Passed(left));
            }
            (from, entries)
        }
    };
    if entries.is_empty() && from == cursor {
        return Ok(Step::Idle);
    }
    let (actor, cause) = (Actor::System(Part::Consumer), Cause::Consumer(number));
    store
        .write_in(Lane::Second, actor, cause, move |tx| {
            take(tx, &*consumer, &now, (incarnation, from), &entries)
        })
        .await
}

/// Starts after all present entries of the feed.
async fn begin_behind(
    store: &Store,
    consumer: Arc<dyn Consume>,
    seen: State,
) -> Result<Step, StoreError> {
    let number = consumer.number();
    let (actor, cause) = (Actor::System(Part::Consumer), Cause::Consumer(number));
    let begun = store.write_in(Lane::Second, actor, cause, move |tx| {
        if state(tx, number)? != seen {
            return Ok(Step::Took(0));
        }
        if let Err(error) = tx.attempt_caught(|tx| go_behind(tx, &*consumer)) {
            tracing::warn!(consumer = consumer.name(), %error, "a consumer could not begin again");
            // Retries never end; the count only shows people that the consumer is stuck.
            let tries = (seen.tries + 1).min(TRIES);
            save(tx, number, &State { tries, last_error: Some(error.to_string()), ..seen })?;
            return Ok(Step::Failed(tries));
        }
        Ok(Step::Took(0))
    });
    begun.await
}

fn take(
    tx: &mut WriteTx<'_>,
    consumer: &dyn Consume,
    seen: &State,
    (incarnation, from): (u64, u64),
    entries: &[Arc<Entry>],
) -> Result<Step, StoreError> {
    let number = consumer.number();
    let mut state = state(tx, number)?;
    if state != *seen {
        // Another step or a person was faster; these entries may already be handled.
        return Ok(Step::Took(0));
    }
    if state.incarnation != incarnation {
        state = State { incarnation, last_error: state.last_error, ..State::default() };
    }
    state.cursor = state.cursor.max(from);
    let (mut taken, started) = (0, Instant::now());
    for entry in entries {
        let began = Instant::now();
        let handled = tx.attempt_caught(|tx| consumer.handle(tx, entry));
        let took = began.elapsed();
        if tx.turn() < took {
            warn_of(consumer, entry.seq, took);
        }
        match handled {
            Ok(()) => {
                (state.cursor, state.tries, state.dead_in_a_row) = (entry.seq, 0, 0);
                taken += 1;
            }
            Err(ConsumeError::StartOver) => {
                rebuild::begin(tx, number)?;
                return Ok(Step::Took(taken));
            }
            // The entry may fit into a transaction of its own.
            Err(ConsumeError::Store(StoreError::TooMany { .. })) if taken > 0 => break,
            Err(error) => {
                state.tries += 1;
                state.last_error = Some(error.to_string());
                tracing::warn!(consumer = consumer.name(), entry.seq, %error, "an entry failed");
                if state.tries < TRIES {
                    save(tx, number, &state)?;
                    return Ok(Step::Failed(state.tries));
                }
                bury(tx, number, entry.seq, error.to_string())?;
                (state.cursor, state.tries) = (entry.seq, 0);
                state.dead_in_a_row += 1;
                if state.dead_in_a_row >= PAUSE_AFTER {
                    state.paused = true;
                    break;
                }
            }
        }
        if is_enough(tx, started) {
            break;
        }
    }
    save(tx, number, &state)?;
    Ok(if state.paused { Step::Paused } else { Step::Took(taken) })
}

/// Logs an entry that alone took longer than a whole step may; all writers waited for it.
fn warn_of(consumer: &dyn Consume, seq: u64, took: Duration) {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(consumer = consumer.name(), entry.seq = seq, ms, "an entry took long");
}

/// Whether a step must end: to leave room for the next entry and not to delay other writers.
fn is_enough(tx: &WriteTx<'_>, started: Instant) -> bool {
    tx.changes() > MAX_CHANGES / 2 || started.elapsed() > tx.turn()
}

fn bury(tx: &mut WriteTx<'_>, number: u16, seq: u64, error: String) -> Result<(), StoreError> {
    let letter = DeadLetter { at: tx.now().as_millisecond(), error };
    let mut key = KeyBuf::of(&number);
    key.part(seq);
    let row = codec::encode(&letter)?;
    tx.set(builtin::CONSUMERS, key.into_bytes(), Some(row))
}
