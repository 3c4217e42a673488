//! What a person does with a consumer: pause it, let it skip an entry, send it back, look at what it
//! gave up and try that again.

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

/// Where a consumer stands, for people.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// What is stored of it.
    pub state: State,
    /// How far a rebuild is, if one goes on.
    pub rebuilding: Option<Rebuilding>,
    /// Whether it can be rebuilt.
    pub can_rebuild: bool,
    /// Whether it can be sent back.
    pub can_rewind: bool,
    /// Whether it can stand still, and skip entries.
    pub can_pause: bool,
    /// The last entry of the feed.
    pub head: u64,
    /// Entries that it has not taken.
    pub behind: u64,
    /// When the first of them was written, in milliseconds.
    pub behind_since: Option<i64>,
    /// Entries that were given up, oldest first.
    pub dead: Vec<(u64, DeadLetter)>,
}

impl Standing {
    /// Whether what went wrong last is still to be seen to: it stands still, tries again or has given
    /// something up. What cannot be paused forgets an error by itself as soon as something goes well.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.state.paused || 0 < self.state.tries || !self.dead.is_empty() || !self.can_pause
    }
}

/// Where a consumer stands.
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

/// The state in this life of the store.
fn present(tx: &WriteTx<'_>, number: u16) -> Result<State, StoreError> {
    let now = state(tx, number)?;
    let row = tx.raw_get(builtin::META, b"incarnation")?;
    let incarnation = row.map_or(Ok(0), |row| codec::decode(&row))?;
    Ok(match now.incarnation == incarnation {
        true => now,
        false => State { incarnation, paused: now.paused, ..State::default() },
    })
}

/// Lets a consumer go on behind all that is in the feed, whatever it had taken of it: what the entries tell
/// of was done in another life of the store, or where an import comes from.
pub fn go_behind(tx: &mut WriteTx<'_>, consumer: &dyn Consume) -> Result<(), ConsumeError> {
    let number = consumer.number();
    let State { incarnation, .. } = present(tx, number)?;
    let cursor = tx.last_seq();
    consumer.reborn(tx)?;
    Ok(save(tx, number, &State { incarnation, cursor, ..State::default() })?)
}

/// Makes a consumer stand still until it is resumed.
pub fn pause(tx: &mut WriteTx<'_>, number: u16) -> Result<(), StoreError> {
    // One of another life stays that: only then it begins as such when it is resumed.
    let mut now = state(tx, number)?;
    now.paused = true;
    save(tx, number, &now)
}

/// A rebuild has a cursor of its own making: nobody else may move it.
fn refuse_while_rebuilding(tx: &WriteTx<'_>, number: u16) -> Result<(), ConsumeError> {
    match rebuilding(tx, number)? {
        None => Ok(()),
        Some(_) => {
            Err(ConsumeError::Refused("it is being rebuilt; wait until that is done".into()))
        }
    }
}

/// Where a consumer stands in this life of the store, and the entry behind its cursor if there is one.
fn front(tx: &WriteTx<'_>, number: u16) -> Result<(State, Option<u64>), ConsumeError> {
    refuse_while_rebuilding(tx, number)?;
    let (was, now) = (state(tx, number)?, present(tx, number)?);
    if was.incarnation != 0 && was.incarnation != now.incarnation {
        let text = "it has not begun since the store was restored; let it go on first";
        return Err(ConsumeError::Refused(text.to_owned()));
    }
    let next = crate::audit::head(tx, now.cursor + 1)?;
    Ok((now, next.map(|entry| entry.seq)))
}

/// Puts the entry behind the cursor to the dead letters, where it can be taken up again; says which
/// it was, if there was one.
///
/// # Errors
/// `Refused` while it is being rebuilt, or before it has begun in this life of the store.
pub fn skip(tx: &mut WriteTx<'_>, number: u16) -> Result<Option<u64>, ConsumeError> {
    let (now, next) = front(tx, number)?;
    if let Some(seq) = next {
        pass_over(tx, number, now, seq)?;
    }
    Ok(next)
}

/// Does the same with this entry alone: who wants it skipped has seen it at the front, and by now it may
/// have been taken, so that another one stands there.
///
/// # Errors
/// As [`skip`]; `Refused` when it is not the entry behind the cursor.
pub fn skip_only(tx: &mut WriteTx<'_>, number: u16, expected: u64) -> Result<(), ConsumeError> {
    let (now, next) = front(tx, number)?;
    if next == Some(expected) {
        return Ok(pass_over(tx, number, now, expected)?);
    }
    let why = match expected <= now.cursor {
        true => "was taken or skipped meanwhile",
        false => "is not the next one",
    };
    let stands = match next {
        Some(next) => format!("it stands at {}, and entry {next} is next", now.cursor),
        None => format!("it stands at {} and has taken every entry", now.cursor),
    };
    Err(ConsumeError::Refused(format!("entry {expected} {why}; {stands}")))
}

/// Puts this entry to the dead letters and the cursor behind it.
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

/// Said of a consumer that can neither be sent back nor rebuilt.
pub(super) const NEITHER: &str = "what it has done once must not be done twice, and records do not tell what \
                                  that was, so it can neither be sent back nor rebuilt; it can be paused and \
                                  resumed, an entry that it stumbles over can be skipped, and one that it gave \
                                  up can be tried again or dropped";

/// Sends a consumer back, so that the next entry it takes is the one behind `seq`. What it gave up
/// from there on is taken up with the rest.
///
/// # Errors
/// `Refused` when that lies ahead of it, when it counts what it takes, or while it is being rebuilt.
pub fn rewind(tx: &mut WriteTx<'_>, consumer: &dyn Consume, seq: u64) -> Result<(), ConsumeError> {
    if !consumer.repeats() {
        let text = match consumer.tables().is_empty() {
            false => "it counts what it takes, so nothing may be taken twice; rebuild it instead",
            true => NEITHER,
        };
        return Err(ConsumeError::Refused(text.to_owned()));
    }
    let number = consumer.number();
    refuse_while_rebuilding(tx, number)?;
    let mut now = present(tx, number)?;
    if seq > now.cursor {
        let text = format!("it stands at {}, and can only be sent back", now.cursor);
        return Err(ConsumeError::Refused(text));
    }
    for (dead, _) in dead_letters(tx, number)?.into_iter().filter(|(dead, _)| *dead > seq) {
        drop_letter(tx, number, dead)?;
    }
    (now.cursor, now.tries, now.dead_in_a_row) = (seq, 0, 0);
    Ok(save(tx, number, &now)?)
}

/// Notes an entry that somebody who follows the feed in a way of its own has given up, with the reason.
pub fn give_up(
    tx: &mut WriteTx<'_>,
    number: u16,
    seq: u64,
    error: String,
) -> Result<(), StoreError> {
    bury(tx, number, seq, error)
}

/// Forgets an entry that was given up; says whether it was there.
pub fn drop_letter(tx: &mut WriteTx<'_>, number: u16, seq: u64) -> Result<bool, StoreError> {
    let mut key = KeyBuf::of(&number);
    key.part(seq);
    let there = tx.raw_get(builtin::CONSUMERS, key.bytes())?.is_some();
    if there {
        tx.set(builtin::CONSUMERS, key.into_bytes(), None)?;
    }
    Ok(there)
}

/// What came of trying an entry again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It was taken, and is a dead letter no longer.
    Took,
    /// It failed again, with the reason, which is noted.
    Failed(String),
    /// There was nothing to try, with the reason.
    Nothing(String),
}

/// Tries an entry again that was given up.
pub fn retry(tx: &mut WriteTx<'_>, consumer: &dyn Consume, seq: u64) -> Result<Tried, StoreError> {
    let number = consumer.number();
    if !dead_letters(tx, number)?.iter().any(|(dead, _)| *dead == seq) {
        return Ok(Tried::Nothing("this entry was not given up, or was dropped".to_owned()));
    }
    let entries = feed::entries(tx, tx.schema(), seq - 1, 1)?;
    let Some(entry) = entries.first().filter(|entry| entry.seq == seq) else {
        return Ok(Tried::Nothing("the entry is no longer there".to_owned()));
    };
    match tx.attempt_caught(|tx| consumer.handle(tx, entry)) {
        Ok(()) => {
            drop_letter(tx, number, seq)?;
            Ok(Tried::Took)
        }
        // A rebuild takes this entry with all others.
        Err(ConsumeError::StartOver) => rebuild::begin(tx, number).map(|()| Tried::Took),
        Err(error) => {
            bury(tx, number, seq, error.to_string())?;
            Ok(Tried::Failed(error.to_string()))
        }
    }
}
