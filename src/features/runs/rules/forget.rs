//! Sessions that were made for a single API call go a day after their last use.

use jiff::SignedDuration;

use crate::features::runs::model::{Session, SessionEvent};
use crate::features::runs::queries;
use crate::kernel::{SessionId, Timestamp};
use crate::store::{KeyBuf, Range, ReadExt, Record, WriteTx};

use super::RunError;

/// How long they stay after their last use.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Whether a session was made for a single call, and nobody needs it any more.
#[must_use]
pub fn is_over(session: &Session, now: Timestamp) -> bool {
    queries::talk::is_throw_away(&session.key)
        && session.active_run.is_none()
        && session.last_at + KEPT <= now
}

/// Removes a session that is over with its events, inputs and runs, of the events at most so many at
/// once; what was paid stays booked. Says whether nothing of it is left, or it is in use again.
///
/// # Errors
/// When the store refuses: events go in a transaction of retention alone.
pub fn forget(tx: &mut WriteTx<'_>, id: SessionId, piece: usize) -> Result<bool, RunError> {
    let Some(session) = tx.get::<Session>(id)? else { return Ok(true) };
    let kept = queries::branches::is_shared(tx, id)?;
    if kept || !is_over(&session, tx.now()) || !queries::open_inputs(tx, id)?.is_empty() {
        return Ok(true);
    }
    let events: Vec<SessionEvent> = tx.list(&Range::prefix(KeyBuf::of(&id)).limit(piece))?;
    for event in &events {
        tx.delete::<SessionEvent>(event.id())?;
    }
    if events.len() == piece {
        return Ok(false);
    }
    tx.delete::<Session>(id)?;
    Ok(true)
}
