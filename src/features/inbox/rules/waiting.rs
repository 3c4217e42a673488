//! Waiting items: held reasons, waiting time and timeout. The waiting time of an item stops while it is held.

use jiff::SignedDuration;

use crate::inbox::model::Item;
use crate::inbox::queries;
use crate::inbox::queries::order::{HELD_BY_ITSELF, LONGEST_WAIT};
use crate::runs::model::Run;
use kernel::{AgentId, ItemId, ItemState, RunState, Timestamp};
use store::{ReadExt, WriteTx};

use super::{InboxError, PAGE, load, over, retry_later, save};

/// Sets or clears the held reason. Returns whether it changed.
fn hold(item: &mut Item, reason: Option<&str>, now: Timestamp) -> bool {
    if item.held_reason.as_deref() == reason {
        return false;
    }
    if let Some(since) = item.held_since {
        let stood = now.duration_since(since).max(SignedDuration::ZERO);
        item.waits_from = item.waits_from.checked_add(stood).unwrap_or(now);
    }
    item.held_reason = reason.map(str::to_owned);
    item.held_since = reason.map(|_| now);
    true
}

/// Sets or clears the agent-wide held reason of an agent's waiting items. Writes only changes and keeps reasons that
/// apply to single items.
pub fn note_held(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    reason: Option<&str>,
) -> Result<(), InboxError> {
    let now = tx.now();
    for mut item in queries::open_until(tx, agent, PAGE)? {
        let own = item.held_reason.as_deref().is_some_and(|held| HELD_BY_ITSELF.contains(&held));
        let keeps = own && reason.is_none();
        if item.state != ItemState::Leased && !keeps && hold(&mut item, reason, now) {
            save(tx, &mut item)?;
        }
    }
    Ok(())
}

/// Sets the held reasons of single items: quiet hours or the hourly limit.
pub fn mark(tx: &mut WriteTx<'_>, marks: &[(ItemId, Option<String>)]) -> Result<(), InboxError> {
    let now = tx.now();
    for (id, reason) in marks {
        if let Some(mut item) = tx.get::<Item>(*id)?
            && item.is_open()
            && item.state != ItemState::Leased
            && hold(&mut item, reason.as_deref(), now)
        {
            save(tx, &mut item)?;
        }
    }
    Ok(())
}

/// Fails an item that waited too long without being held. People are notified.
pub fn give_up(tx: &mut WriteTx<'_>, id: ItemId) -> Result<(), InboxError> {
    let Some(mut item) = tx.get::<Item>(id)? else { return Ok(()) };
    if item.state == ItemState::Leased || !item.is_open() || item.pressed {
        return Ok(());
    }
    let hours = LONGEST_WAIT.as_hours();
    let before = match item.last_error.as_deref() {
        Some(error) => format!("; before that: {error}"),
        None => String::new(),
    };
    let why = format!("it didn't start within {hours} hours{before}");
    item.last_error = Some(kernel::text::ellipsis(&why, 500));
    over(tx, &mut item, ItemState::DeadLetter)
}

/// Takes back an item whose run no longer exists. Counts as a failed attempt.
pub fn take_back(tx: &mut WriteTx<'_>, id: ItemId) -> Result<(), InboxError> {
    let mut item = load(tx, id)?;
    let run = match item.run {
        Some(run) => tx.get::<Run>(run)?,
        None => None,
    };
    let works = run.is_some_and(|run| run.state != RunState::Ended);
    if item.state != ItemState::Leased || works {
        return Ok(());
    }
    retry_later(tx, &mut item, "its run no longer exists")
}
