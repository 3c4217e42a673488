//! Choosing how conversations go on by themselves, and when one is over.

use crate::runs::model::{ConversationOptions, QueueOf, Session, TalkChoice};
use crate::runs::queries::preferences as reading;
use store::{ReadExt, WriteTx};

use super::queue::may_choose;
use super::{RunError, limits, sessions};

/// Says how conversations go on by themselves; what is left out is decided elsewhere.
///
/// # Errors
/// `BadLimit` when a number is out of its bounds, `Private` for somebody else's conversation.
pub fn choose(
    tx: &mut WriteTx<'_>,
    of: QueueOf,
    wish: ConversationOptions,
) -> Result<(), RunError> {
    limits::within(&ConversationOptions::BOUNDS, &wish.values())?;
    may_choose(tx, of)?;
    if wish == ConversationOptions::default() {
        if tx.get::<TalkChoice>(of)?.is_some() {
            tx.delete::<TalkChoice>(of)?;
        }
    } else {
        tx.put(&TalkChoice { of, wish })?;
    }
    Ok(())
}

/// The conversation in which somebody speaks now: the one that has the place, or a new one when that
/// is over.
pub(super) fn fresh(tx: &mut WriteTx<'_>, session: Session) -> Result<Session, RunError> {
    match session.owner {
        Some(owner) if reading::is_over(tx, &session, tx.now())? => {
            sessions::reset(tx, session.id, owner)
        }
        _ => Ok(session),
    }
}
