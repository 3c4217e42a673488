//! Durable consumers: readers of the feed whose cursor lies where their effect lies.
//!
//! The effects of a consumer here are rows of the store, so its cursor moves in the same
//! transaction and each entry takes effect exactly once. An entry that fails five times becomes a
//! dead letter and the cursor moves on; three dead letters in a row pause the consumer. The cursor
//! is `Local`: a consumer at rest writes nothing.

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

/// How many entries one step takes.
const STEP: usize = 500;
/// How long a cursor may lie behind entries that were passed.
const PASSING: Duration = Duration::from_secs(1);
/// How often an entry is tried.
const TRIES: u32 = 5;
/// How many dead letters in a row pause a consumer.
const PAUSE_AFTER: u32 = 3;

/// What a consumer does with an entry.
pub trait Consume: Send + Sync + 'static {
    /// Its number, never reused.
    fn number(&self) -> u16;
    /// Its name.
    fn name(&self) -> &'static str;
    /// Whether there may be anything for it in an entry. Where there is not, the cursor moves without a
    /// transaction of its own, and may be found further back after a crash.
    fn concerns(&self, _entry: &Entry) -> bool {
        true
    }
    /// How long it lets entries gather before it takes them. Each step is a commit of its own, which those who write
    /// wait behind. One whose readers add what lies behind its cursor may take many entries at a time.
    fn gathers(&self) -> Duration {
        Duration::ZERO
    }
    /// Takes one entry. What it writes and the cursor are one transaction.
    ///
    /// # Errors
    /// Why the entry could not be taken; it is tried again.
    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError>;
    /// The tables that it can be rebuilt from; none when rows do not tell what it keeps.
    fn tables(&self) -> &'static [u16] {
        &[]
    }
    /// Whether taking an entry twice is the same as taking it once. One that counts says no: it cannot be
    /// sent back, only rebuilt.
    fn repeats(&self) -> bool {
        true
    }
    /// Begins again in another life of the store, or in one that came in from a file, for one that cannot
    /// be rebuilt and does not repeat: all that is in the feed was there before, so it goes on behind it.
    /// What is left to do about rows, whatever the feed says, is done here.
    ///
    /// # Errors
    /// Why it could not; it is tried again.
    fn reborn(&self, _tx: &mut WriteTx<'_>) -> Result<(), ConsumeError> {
        Ok(())
    }
    /// Removes up to `limit` rows of what it keeps, before a rebuild; says whether nothing is left.
    fn clear(&self, _tx: &mut WriteTx<'_>, _limit: usize) -> Result<bool, ConsumeError> {
        Ok(true)
    }
    /// Takes one row of its tables, during a rebuild: table, key, stored bytes.
    fn row(
        &self,
        _tx: &mut WriteTx<'_>,
        _row: (u16, &[u8]),
        _value: &[u8],
    ) -> Result<(), ConsumeError> {
        Ok(())
    }
    /// What it keeps that is not what the rows of its tables make of it, as they were at the entry
    /// `cursor`. For doctor.
    fn compare(&self, _read: &dyn Read, _cursor: u64) -> Result<Vec<Unlike>, StoreError> {
        Ok(Vec::new())
    }
}

/// Something that a consumer keeps and that its tables do not make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlike {
    /// What it is about, in words.
    pub of: String,
    /// What is wrong with it.
    pub what: String,
}

/// Why an entry was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// What it keeps rests on something that has changed: it is to be rebuilt.
    #[error("what it keeps has to be made anew")]
    StartOver,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The consumer refused.
    #[error("{0}")]
    Refused(String),
}

/// Where a consumer stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The store's life that the cursor belongs to.
    pub incarnation: u64,
    /// The last entry taken or given up.
    pub cursor: u64,
    /// Tries of the entry behind the cursor.
    pub tries: u32,
    /// Dead letters in a row.
    pub dead_in_a_row: u32,
    /// Whether it stands still until a person resumes it.
    pub paused: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// An entry that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Why.
    pub error: String,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Took so many entries; there may be more.
    Took(usize),
    /// What is behind the cursor has failed so many times, and will be tried again.
    Failed(u32),
    /// Nothing to do.
    Idle,
    /// Passed entries in which nothing was for it; the cursor follows after so long.
    Passed(Duration),
    /// Paused.
    Paused,
}

/// Where a consumer stands.
pub fn state(read: &dyn Read, number: u16) -> Result<State, StoreError> {
    match read.raw_get(builtin::CONSUMERS, KeyBuf::of(&number).bytes())? {
        Some(row) => Ok(codec::decode(&row)?),
        None => Ok(State::default()),
    }
}

/// The dead letters of a consumer, by entry.
pub fn dead_letters(read: &dyn Read, number: u16) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
    dead_letters_after(read, number, 0, usize::MAX)
}

/// The dead letters of a consumer behind an entry, by entry, at least one and at most so many.
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

/// Lets a paused consumer go on.
pub fn resume(tx: &mut WriteTx<'_>, number: u16) -> Result<(), StoreError> {
    let mut now = state(tx, number)?;
    (now.paused, now.dead_in_a_row, now.tries) = (false, 0, 0);
    save(tx, number, &now)
}

fn save(tx: &mut WriteTx<'_>, number: u16, state: &State) -> Result<(), StoreError> {
    let row = codec::encode(state)?;
    tx.set(builtin::CONSUMERS, KeyBuf::of(&number).into_bytes(), Some(row))
}

/// How far a consumer has passed entries in which nothing was for it, behind its cursor.
#[derive(Debug)]
pub struct Passed {
    within: Duration,
    /// The cursor as it lies in the store: when a person moves it, nothing was passed.
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
    /// Nothing yet; the cursor follows within so long.
    #[must_use]
    pub fn within(within: Duration) -> Self {
        Self { within, cursor: 0, to: 0, since: None }
    }

    /// Up to where nothing has to be looked at once more.
    fn behind(&mut self, cursor: u64) -> u64 {
        if self.cursor != cursor {
            *self = Self { cursor, to: cursor, ..Self::within(self.within) };
        }
        self.to.max(cursor)
    }

    /// Passes entries; says how much later the cursor is to follow, or nothing when that is now.
    fn pass(&mut self, entries: &[Arc<Entry>]) -> Option<Duration> {
        self.to = entries.last().map_or(self.to, |last| last.seq);
        let since = *self.since.get_or_insert_with(Instant::now);
        if entries.len() == STEP {
            // There may be more.
            return Some(Duration::ZERO);
        }
        self.within.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
    }
}

/// Takes up to 500 entries in one transaction of the second lane.
pub async fn step(store: &Store, consumer: Arc<dyn Consume>) -> Result<Step, StoreError> {
    step_behind(store, consumer, None).await
}

/// The same, without a transaction for entries in which nothing is for the consumer: one a second is
/// enough for its cursor.
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
    // Another life of the store: its numbers mean nothing here, so begin at its start. What was kept in
    // rows came along from the life before, so those are made anew.
    let reborn = now.incarnation != 0 && now.incarnation != incarnation;
    if reborn && !consumer.tables().is_empty() {
        return rebuild::start_over(store, consumer, now).await;
    }
    // What it has done cannot be seen in rows, and must not be done twice.
    if reborn && !consumer.repeats() {
        return begin_behind(store, consumer, now).await;
    }
    let cursor = if now.incarnation == incarnation { now.cursor } else { 0 };
    let (from, entries) = match passed {
        None => (cursor, store.entries_after(cursor, STEP)?),
        Some(passed) => {
            let from = passed.behind(cursor);
            let entries = store.entries_after(from, STEP)?;
            // What went wrong with an entry is written as it comes.
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

/// Begins behind all that is in the feed.
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
            // It is tried without end: a try is counted so that people see it stands before something.
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
        // Another step, or a person, was faster: these entries may be taken already.
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
            // It may fit into a transaction of its own.
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

/// Says that one entry alone took longer than all of a step may: whoever writes has waited for it.
fn warn_of(consumer: &dyn Consume, seq: u64, took: Duration) {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(consumer = consumer.name(), entry.seq = seq, ms, "an entry took long");
}

/// Whether a step has done enough: it leaves room for the next entry, and does not keep people waiting.
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
