//! Viewing conversations. An administrator may view another person's private conversation; the view is recorded in it.
//! Viewing one's own marks it as read.

use app::Ws;
use kernel::SessionId;
use web::session::Person;

use features::runs::model::Session;
use features::runs::queries::{marks, talk};
use features::runs::rules::{self, RunError};

/// Records that this person views another person's conversation. Writes nothing in an archived workspace.
pub(super) async fn note(ws: &Ws, who: &Person, session: SessionId) -> Result<(), RunError> {
    let (by, now) = (who.account, ws.app.clock.now());
    let due = ws.is_active() && ws.read(|snap| talk::must_note(snap, session, by, now))?;
    if due {
        ws.write(who, move |tx| rules::talk::looked_at(tx, session)).await?;
    }
    Ok(())
}

/// Marks a conversation as read by this person.
pub(super) async fn read(ws: &Ws, who: &Person, session: &Session) -> Result<(), RunError> {
    let (by, id) = (who.account, session.id);
    let due = ws.is_active() && ws.read(|snap| marks::must_mark(snap, session, by))?;
    if due {
        ws.write(who, move |tx| rules::marks::read(tx, id, by)).await?;
    }
    Ok(())
}
