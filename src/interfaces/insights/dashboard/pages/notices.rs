//! The person's latest unread notifications.

use askama::Template;

use features::dashboard::queries::DashboardContext;
use features::notifications::model::CHOICES;
use features::notifications::queries::view::{Lens, Line};
use features::notifications::queries::{self as notifications, MANY, Wanted};
use store::{Read, StoreError};
use web::live::Live;

/// Number of notifications shown.
const LATEST: usize = 5;

#[derive(Template)]
#[template(path = "dashboard/_notices.html")]
pub(super) struct Notices {
    live: Live,
    lines: Vec<Line>,
    unread: String,
    /// Address of the list of all notifications.
    base: String,
    /// Base address of the links in notifications.
    home: String,
}

pub(super) fn read(read: &dyn Read, scene: &DashboardContext<'_>) -> Result<Notices, StoreError> {
    let me = (scene.who.account, scene.now);
    let wanted = Wanted { unread: true, ..Wanted::default() };
    let (rows, _) = notifications::list(read, me, wanted, (None, LATEST))?;
    let unread = match notifications::unread(read, me, MANY)? {
        MANY.. => format!("{}+", MANY - 1),
        n => n.to_string(),
    };
    Ok(Notices {
        live: Live::new(scene.ws.url("")).record(CHOICES.name, scene.who.account),
        lines: Lens::new(read, scene.now, &scene.zone)?.lines(read, &rows)?,
        unread,
        base: scene.ws.url("notifications"),
        home: scene.ws.url(""),
    })
}
