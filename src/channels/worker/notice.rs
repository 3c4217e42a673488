//! Notifications as they are sent: masked, with a link to their subject.

use app::Ws;
use crypto::redact::Spot;
use features::notifications::model::Notification;
use features::notifications::queries::{self, view};
use features::notifications::sending::letters;
use features::workspace::queries as workspace;
use kernel::{AccountId, NotificationId};
use store::{ReadExt as _, StoreError};

use crate::model::Delivery;

/// The Markdown of a part. `None` if the person has left, or has already read the notification.
pub(super) fn markdown(
    ws: &Ws,
    one: &Delivery,
    (account, id): (AccountId, NotificationId),
    text: &str,
) -> Option<String> {
    let found = ws.read(|snap| {
        let row = queries::row(snap, account, id)?;
        let is_read = row.is_some_and(|row| row.read_at.is_some());
        if workspace::member(snap, account)?.is_none() || is_read {
            return Ok(None);
        }
        let path = match snap.get::<Notification>(id)? {
            Some(of) => view::path(snap, of.about, of.kind)?,
            None => String::new(),
        };
        Ok::<_, StoreError>(Some(path))
    });
    // ok: an unreadable notification is not sent; its delivery is dropped.
    let path = found.ok().flatten()?;
    let mark = if one.is_repeat { "↻ " } else { "" };
    let text = ws.app.redactor.masked(Spot::Messages, text);
    if one.part < one.parts {
        return Some(format!("{mark}{text}"));
    }
    let path = if path.is_empty() { "notifications" } else { path.as_str() };
    let link = format!("{}{}", letters::origin(&ws.app), ws.url(path));
    Some(format!("{mark}{text}\n\n[Open in HQ]({link})"))
}
