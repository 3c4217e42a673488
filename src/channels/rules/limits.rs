//! Daily limits of guests and rooms, and hourly limits of notes and wrong links. A day is the last 24 hours.

use features::runs::model::{Input, InputState, Run};
use features::usage::queries::budgets;
use jiff::SignedDuration;
use kernel::{ChannelId, Error, Payer, Period, Timestamp};
use store::{Read, ReadExt as _, StoreError, WriteTx};

use crate::model::Message;
use crate::queries::{self, MAX_LATELY};

use super::outbox::{self, Place};

/// Runs and cost of a guest within a day.
const GUEST_RUNS: usize = 20;
pub(super) const GUEST_MICROS: i64 = 1_000_000;
/// Pause between equal notes in a chat, and the period in which wrong links are counted.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Wrong links of a sender within this period, after which no more are looked up.
const MAX_GUESSES: usize = 5;
/// Verdict on a message with a link that is wrong or was used before.
pub(super) const WRONG_LINK: &str = "wrong or used link";

/// The sender of a message, in a chat.
#[derive(Clone, Copy)]
pub(super) struct ChatMember<'a> {
    pub channel: ChannelId,
    pub chat: &'a str,
    pub sender: &'a str,
}

/// The start of the day that ends at `now`.
pub(super) fn day_before(now: Timestamp) -> Timestamp {
    now - SignedDuration::from_hours(24)
}

fn counted(
    read: &dyn Read,
    who: ChatMember<'_>,
    now: Timestamp,
) -> Result<Vec<Message>, StoreError> {
    queries::counted(read, who.channel, who.chat, day_before(now))
}

fn is_over(counted: &[Message], sender: &str) -> bool {
    GUEST_RUNS <= counted.iter().filter(|one| one.sender == sender).count()
}

/// Whether a guest has had all runs of the day, or has spent their budget.
pub(super) fn is_guest_over(
    read: &dyn Read,
    who: ChatMember<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut counted = counted(read, who, now)?;
    counted.retain(|one| one.sender == who.sender);
    Ok(is_over(&counted, who.sender) || GUEST_MICROS <= cost(read, &counted, now)?)
}

/// Whether a room has spent its budget of the day, or the sender is a guest who has had all runs of the day.
pub(super) fn is_room_over(
    read: &dyn Read,
    who: ChatMember<'_>,
    (budget_micros, is_guest): (i64, bool),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let counted = counted(read, who, now)?;
    Ok((is_guest && is_over(&counted, who.sender)) || budget_micros <= cost(read, &counted, now)?)
}

/// What the runs of these messages have cost, in micro-dollars.
fn cost(read: &dyn Read, messages: &[Message], now: Timestamp) -> Result<i64, StoreError> {
    let mut runs = Vec::new();
    for input in messages.iter().filter_map(|message| message.input) {
        if let Some(Input { state: InputState::Consumed(run), .. }) = read.get(input)?
            && !runs.contains(&run)
        {
            runs.push(run);
        }
    }
    let mut sum = 0;
    for run in runs {
        if read.get::<Run>(run)?.is_some() {
            sum += budgets::spent(read, Payer::Run(run), Period::Run, now)?;
        }
    }
    Ok(sum)
}

/// Sends a note about a message, at most one with this verdict an hour in a chat. Returns the verdict to store.
pub(super) fn note(
    tx: &mut WriteTx<'_>,
    place: &Place,
    verdict: &str,
    text: &str,
) -> Result<String, Error> {
    let noted = format!("{verdict}; sender informed");
    let lately = queries::lately(tx, place.channel, &place.chat, tx.now() - HOUR)?;
    if lately.iter().any(|one| one.verdict == noted) {
        return Ok(verdict.to_owned());
    }
    outbox::queue(tx, place, text, None)?;
    Ok(noted)
}

/// Whether a sender has opened too many wrong links to try another.
pub(super) fn are_guesses_used(
    read: &dyn Read,
    who: ChatMember<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let lately = queries::lately(read, who.channel, who.chat, now - HOUR)?;
    let is_wrong = |one: &&Message| one.sender == who.sender && one.verdict.starts_with(WRONG_LINK);
    // Beyond the examined messages there may be more.
    Ok(lately.len() == MAX_LATELY || MAX_GUESSES <= lately.iter().filter(is_wrong).count())
}
