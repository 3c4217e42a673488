//! Manual control of a consumer: pause, skip an entry, rewind, inspect and retry dead letters.

use crate::codec;
use crate::error::StoreError;
use crate::feed;
use crate::read::Read;
use crate::schema::builtin;
use crate::{Store, WriteTx};
use kernel::key::KeyBuf;

use super::{
    Consume, ConsumeError, DeadLetter, Rebuilding, State, bury, dead_letters, rebuild, rebuilding,
    save, state,
};

/// The status of a consumer, for people.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Number of the consumer.
    pub number: u16,
    /// Name of the consumer.
    pub name: &'static str,
    /// Its stored state.
    pub state: State,
    /// Progress of a rebuild, if one is running.
    pub rebuilding: Option<Rebuilding>,
    /// Whether it can be rebuilt.
    pub can_rebuild: bool,
    /// Whether it can be rewound.
    pub can_rewind: bool,
    /// Whether it can be paused and can skip entries.
    pub can_pause: bool,
    /// The last entry of the feed.
    pub head: u64,
    /// Number of entries that it has not handled.
    pub behind: u64,
    /// Unix time in milliseconds of the first of them.
    pub behind_since: Option<i64>,
    /// Dead letters, oldest first.
    pub dead: Vec<(u64, DeadLetter)>,
}

impl Standing {
    /// Whether the latest error still needs attention: the consumer is paused, retrying or has dead letters. A consumer
    /// that cannot be paused clears its error after the next success.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.state.paused || 0 < self.state.tries || !self.dead.is_empty() || !self.can_pause
    }
}

/// Reads the status of a consumer.
pub fn standing(store: &Store, consumer: &dyn Consume) -> Result<Standing, StoreError> {
    let number = consumer.number();
    let incarnation = store.incarnation();
    store.read(|snap| {
        let mut state = state(snap, number)?;
        if state.incarnation != incarnation {
            state.cursor = 0;
        }
        let head = feed::last(snap)?.seq;
        let first = crate::audit::head(snap, state.cursor + 1)?;
        Ok(Standing {
            number,
            name: consumer.name(),
            rebuilding: rebuilding(snap, number)?,
            can_rebuild: !consumer.tables().is_empty(),
            can_rewind: consumer.repeats(),
            can_pause: true,
            head,
            behind: head.saturating_sub(state.cursor),
            behind_since: first.map(|entry| entry.at),
            dead: dead_letters(snap, number)?,
            state,
        })
    })
}

/// The state in the current incarnation.
fn present(tx: &WriteTx<'_>, number: u16) -> Result<State, StoreError> {
    let now = state(tx, number)?;
    let row = tx.raw_get(builtin::META, b"incarnation")?;
    let incarnation = row.map_or(Ok(0), |row| codec::decode(&row))?;
    Ok(match now.incarnation == incarnation {
        true => now,
        false => State { incarnation, paused: now.paused, ..State::default() },
    })
}

/// Moves a consumer to the end of the feed, whatever it has handled: the entries were handled in another incarnation,
/// or in the store that an import comes from.
pub fn go_behind(tx: &mut WriteTx<'_>, consumer: &dyn Consume) -> Result<(), ConsumeError> {
    let number = consumer.number();
    let State { incarnation, .. } = present(tx, number)?;
    let cursor = tx.last_seq();
    consumer.reborn(tx)?;
    Ok(save(tx, number, &State { incarnation, cursor, ..State::default() })?)
}

/// Pauses a consumer until it is resumed.
pub fn pause(tx: &mut WriteTx<'_>, number: u16) -> Result<(), StoreError> {
    // Keep the old incarnation, so that the consumer starts in the new one when it is resumed.
    let mut now = state(tx, number)?;
    now.paused = true;
    save(tx, number, &now)
}

/// A rebuild controls its cursor; nobody else may move it.
fn refuse_while_rebuilding(tx: &WriteTx<'_>, number: u16) -> Result<(), ConsumeError> {
    match rebuilding(tx, number)? {
        None => Ok(()),
        Some(_) => {
            Err(ConsumeError::Refused("it is being rebuilt; wait until that is done".into()))
        }
    }
}

/// The state in the current incarnation, and the entry after the cursor, if any.
fn front(tx: &WriteTx<'_>, number: u16) -> Result<(State, Option<u64>), ConsumeError> {
    refuse_while_rebuilding(tx, number)?;
    let (was, now) = (state(tx, number)?, present(tx, number)?);
    if was.incarnation != 0 && was.incarnation != now.incarnation {
        let text = "it hasn't started since the store was restored; resume it first";
        return Err(ConsumeError::Refused(text.to_owned()));
    }
    let next = crate::audit::head(tx, now.cursor + 1)?;
    Ok((now, next.map(|entry| entry.seq)))
}

/// Makes the entry after the cursor a dead letter, which can be retried; returns its number, if there was one.
///
/// # Errors
/// `Refused` during a rebuild, or before the consumer has started in this incarnation.
pub fn skip(tx: &mut WriteTx<'_>, number: u16) -> Result<Option<u64>, ConsumeError> {
    let (now, next) = front(tx, number)?;
    if let Some(seq) = next {
        pass_over(tx, number, now, seq)?;
    }
    Ok(next)
}

/// Skips the entry `expected` only. The person saw it as the next entry, but another one may be next by now.
///
/// # Errors
/// As [`skip`]; `Refused` when `expected` is not the next entry.
pub fn skip_only(tx: &mut WriteTx<'_>, number: u16, expected: u64) -> Result<(), ConsumeError> {
    let (now, next) = front(tx, number)?;
    if next == Some(expected) {
        return Ok(pass_over(tx, number, now, expected)?);
    }
    let why = match expected <= now.cursor {
        true => "was already processed or skipped",
        false => "isn't the next one",
    };
    let stands = match next {
        Some(next) => format!("it is at {}, and entry {next} is next", now.cursor),
        None => format!("it is at {} and has processed every entry", now.cursor),
    };
    Err(ConsumeError::Refused(format!("entry {expected} {why}; {stands}")))
}

/// Makes this entry a dead letter and moves the cursor to it.
fn pass_over(
    tx: &mut WriteTx<'_>,
    number: u16,
    mut now: State,
    seq: u64,
) -> Result<(), StoreError> {
    let why = match now.last_error.as_deref().filter(|_| now.tries > 0) {
        Some(error) => format!("skipped by a person after: {error}"),
        None => "skipped by a person".to_owned(),
    };
    bury(tx, number, seq, why)?;
    (now.cursor, now.tries, now.dead_in_a_row) = (seq, 0, 0);
    save(tx, number, &now)
}

/// The refusal for a consumer that can be neither rewound nor rebuilt.
pub(super) const NEITHER: &str = "its actions can't be repeated safely, so it can't be rewound or \
                                  rebuilt; it can be paused and resumed, a failing entry can be \
                                  skipped, and a failed one can be retried or dropped";

/// Moves the cursor back to `seq`, so that the next entry is the one after it. Later dead letters are retried with the
/// rest.
///
/// # Errors
/// `Refused` when `seq` is after the cursor, when the consumer counts entries, or during a rebuild.
pub fn rewind(tx: &mut WriteTx<'_>, consumer: &dyn Consume, seq: u64) -> Result<(), ConsumeError> {
    if !consumer.repeats() {
        let text = match consumer.tables().is_empty() {
            false => {
                "it counts what it processes, so no entry can be processed twice; rebuild it \
                instead"
            }
            true => NEITHER,
        };
        return Err(ConsumeError::Refused(text.to_owned()));
    }
    let number = consumer.number();
    refuse_while_rebuilding(tx, number)?;
    let mut now = present(tx, number)?;
    if seq > now.cursor {
        let text = format!("it is at {} and can only be rewound", now.cursor);
        return Err(ConsumeError::Refused(text));
    }
    for (dead, _) in dead_letters(tx, number)?.into_iter().filter(|(dead, _)| *dead > seq) {
        drop_letter(tx, number, dead)?;
    }
    (now.cursor, now.tries, now.dead_in_a_row) = (seq, 0, 0);
    Ok(save(tx, number, &now)?)
}

/// Records a dead letter for a reader of the feed that is not a [`Consume`].
pub fn give_up(
    tx: &mut WriteTx<'_>,
    number: u16,
    seq: u64,
    error: String,
) -> Result<(), StoreError> {
    bury(tx, number, seq, error)
}

/// Deletes a dead letter; returns whether it existed.
pub fn drop_letter(tx: &mut WriteTx<'_>, number: u16, seq: u64) -> Result<bool, StoreError> {
    let mut key = KeyBuf::of(&number);
    key.part(seq);
    let there = tx.raw_get(builtin::CONSUMERS, key.bytes())?.is_some();
    if there {
        tx.set(builtin::CONSUMERS, key.into_bytes(), None)?;
    }
    Ok(there)
}

/// The result of a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Handled; the dead letter is deleted.
    Took,
    /// Failed again for this reason, which is stored.
    Failed(String),
    /// There was nothing to retry, for this reason.
    Nothing(String),
}

/// Retries a dead letter.
pub fn retry(tx: &mut WriteTx<'_>, consumer: &dyn Consume, seq: u64) -> Result<Tried, StoreError> {
    let number = consumer.number();
    if !dead_letters(tx, number)?.iter().any(|(dead, _)| *dead == seq) {
        return Ok(Tried::Nothing(
            "this entry isn't among the failed ones, or was \
            dropped"
                .to_owned(),
        ));
    }
    let entries = feed::entries(tx, tx.schema(), seq - 1, 1)?;
    let Some(entry) = entries.first().filter(|entry| entry.seq == seq) else {
        return Ok(Tried::Nothing("the entry no longer exists".to_owned()));
    };
    match tx.attempt_caught(|tx| consumer.handle(tx, entry)) {
        Ok(()) => {
            drop_letter(tx, number, seq)?;
            Ok(Tried::Took)
        }
        // A rebuild covers this entry as well.
        Err(ConsumeError::StartOver) => rebuild::begin(tx, number).map(|()| Tried::Took),
        Err(error) => {
            bury(tx, number, seq, error.to_string())?;
            Ok(Tried::Failed(error.to_string()))
        }
    }
}
