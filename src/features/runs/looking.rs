//! Looking at somebody else's private conversation: who runs the workspace may, and it is noted there.

use crate::app::Ws;
use crate::kernel::SessionId;
use crate::web::session::Person;

use super::queries::talk;
use super::rules::{self, RunError};

/// Notes that this person is about to look at a conversation, if it is somebody else's. In a workspace
/// that is archived nothing is written any more.
///
/// # Errors
/// When the store refuses.
pub(super) async fn note(ws: &Ws, who: &Person, session: SessionId) -> Result<(), RunError> {
    let (by, now) = (who.account, ws.app.clock.now());
    let due = ws.is_active() && ws.read(|snap| talk::must_note(snap, session, by, now))?;
    if due {
        ws.write(who, move |tx| rules::talk::looked_at(tx, session)).await?;
    }
    Ok(())
}
