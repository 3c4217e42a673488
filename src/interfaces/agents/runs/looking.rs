//! Looking at conversations. Who runs the workspace may look at somebody else's private one, and that is
//! noted there; whoever takes part in one has read it then.

use app::Ws;
use kernel::SessionId;
use web::session::Person;

use features::runs::model::Session;
use features::runs::queries::{marks, talk};
use features::runs::rules::{self, RunError};

/// Notes that this person is about to look at a conversation, if it is somebody else's. In a workspace
/// that is archived nothing is written any more.
pub(super) async fn note(ws: &Ws, who: &Person, session: SessionId) -> Result<(), RunError> {
    let (by, now) = (who.account, ws.app.clock.now());
    let due = ws.is_active() && ws.read(|snap| talk::must_note(snap, session, by, now))?;
    if due {
        ws.write(who, move |tx| rules::talk::looked_at(tx, session)).await?;
    }
    Ok(())
}

/// Notes that this person has a conversation before their eyes: nothing in it waits to be read by them any
/// more.
pub(super) async fn read(ws: &Ws, who: &Person, session: &Session) -> Result<(), RunError> {
    let (by, id) = (who.account, session.id);
    let due = ws.is_active() && ws.read(|snap| marks::must_mark(snap, session, by))?;
    if due {
        ws.write(who, move |tx| rules::marks::read(tx, id, by)).await?;
    }
    Ok(())
}
