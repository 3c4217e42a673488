//! Daily limits of guests and rooms. A day is the last 24 hours.

use features::runs::model::{Input, InputState, Run};
use features::usage::queries::budgets;
use jiff::SignedDuration;
use kernel::{ChannelId, Payer, Period, Timestamp};
use store::{Read, ReadExt as _, StoreError};

use crate::model::Message;
use crate::queries;

/// Runs and cost of a guest within a day.
const GUEST_RUNS: usize = 20;
pub(super) const GUEST_MICROS: i64 = 1_000_000;

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
