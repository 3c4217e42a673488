//! Choosing conversation preferences, and the automatic reset of a conversation.

use crate::runs::model::{ConversationOptions, QueueOf, Session, TalkChoice};
use crate::runs::queries::preferences as reading;
use store::{ReadExt, WriteTx};

use super::queue::may_choose;
use super::{RunError, limits, sessions};

/// Sets conversation preferences. Unset fields fall back to the next level.
///
/// # Errors
/// `BadLimit` if a number is out of range, `Private` for another person's conversation.
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

/// The conversation for a new message: the given one, or its successor if it is over.
pub(super) fn fresh(tx: &mut WriteTx<'_>, session: Session) -> Result<Session, RunError> {
    match session.owner {
        Some(owner) if reading::is_over(tx, &session, tx.now())? => {
            sessions::reset(tx, session.id, owner)
        }
        _ => Ok(session),
    }
}
