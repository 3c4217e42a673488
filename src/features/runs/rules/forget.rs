//! What goes of sessions by itself: those that were made for a single API call a day after their last
//! use, those of sub-agents after a month, and after half a year the steps of work that is over. What
//! people talked of stays.

use jiff::SignedDuration;

use crate::features::runs::model::{Habits, Session, SessionEvent};
use crate::features::runs::queries::{self, children, habits, talk};
use crate::features::tasks::model::Task;
use crate::kernel::{SessionId, Timestamp};
use crate::store::{KeyBuf, Range, ReadExt, Record, StoreError, WriteTx};

use super::RunError;

/// How long sessions of single calls stay after their last use.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What goes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// All of it, with its runs.
    All,
    /// What was said and done in it; its runs stay with what came of them.
    Steps,
}

/// What goes of a session now; nothing of one that somebody may need.
///
/// # Errors
/// When the disk fails.
pub fn goes(
    tx: &impl ReadExt,
    session: &Session,
    keep: &Habits,
    now: Timestamp,
) -> Result<Option<Goes>, StoreError> {
    if session.active_run.is_some() {
        return Ok(None);
    }
    let rested = now.duration_since(session.last_at);
    if talk::is_throw_away(&session.key) {
        return Ok((KEPT <= rested).then_some(Goes::All));
    }
    if children::is_key(&session.key) {
        return Ok((keep.parts <= rested).then_some(Goes::All));
    }
    if session.owner.is_some() || rested < keep.steps {
        return Ok(None);
    }
    let open = match session.task {
        Some(task) => {
            let task = tx.get::<Task>(task)?;
            task.is_some_and(|task| task.status.is_open() && task.archived_at.is_none())
        }
        None => false,
    };
    let has_steps = !events(tx, session.id, 1)?.is_empty();
    Ok((has_steps && !open).then_some(Goes::Steps))
}

fn events(
    tx: &impl ReadExt,
    session: SessionId,
    limit: usize,
) -> Result<Vec<SessionEvent>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&session)).limit(limit))
}

/// Removes what goes of a session, of the events at most so many at once; what was paid stays booked.
/// Says whether nothing more of it goes.
///
/// # Errors
/// When the store refuses: events go in a transaction of retention alone.
pub fn forget(tx: &mut WriteTx<'_>, id: SessionId, piece: usize) -> Result<bool, RunError> {
    let Some(session) = tx.get::<Session>(id)? else { return Ok(true) };
    if queries::branches::is_shared(tx, id)? || !queries::open_inputs(tx, id)?.is_empty() {
        return Ok(true);
    }
    let keep = habits::of_workspace(tx)?;
    let Some(goes) = goes(tx, &session, &keep, tx.now())? else { return Ok(true) };
    let events = events(tx, id, piece)?;
    for event in &events {
        tx.delete::<SessionEvent>(event.id())?;
    }
    if events.len() == piece {
        return Ok(false);
    }
    if goes == Goes::All {
        tx.delete::<Session>(id)?;
    }
    Ok(true)
}
