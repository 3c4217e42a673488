//! Items that wait: what holds them, how long they have waited, and what becomes of them when that is
//! too long. The clock of an item stands still while something holds it.

use jiff::SignedDuration;

use crate::inbox::model::Item;
use crate::inbox::queries;
use crate::inbox::queries::order::{HELD_BY_ITSELF, LONGEST_WAIT};
use crate::runs::model::Run;
use kernel::{AgentId, ItemId, ItemState, RunState, Timestamp};
use store::{ReadExt, WriteTx};

use super::{InboxError, PAGE, load, over, retry_later, save};

/// Notes what holds an item from now on, or that nothing does. Answers whether that is news.
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

/// Notes why nothing of an agent's is begun, or that nothing holds it any more, in the items that
/// wait for it. What is known already is not written again, and what holds an item by itself stays.
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

/// Notes what holds single items: quiet hours, or that enough was begun lately.
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

/// Gives up an item that nothing held and that was not begun in all that time. Its people are told.
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
    let why = format!("it was not begun within {hours} hours{before}");
    item.last_error = Some(kernel::text::ellipsis(&why, 500));
    over(tx, &mut item, ItemState::DeadLetter)
}

/// Takes back an item whose run is no more: it counts as a try that failed.
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
    retry_later(tx, &mut item, "its run is no more")
}
