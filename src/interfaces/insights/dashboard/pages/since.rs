//! Summary of changes since the person's last visit, in one dismissible sentence.

use askama::Template;

use features::dashboard::queries::DashboardContext;
use features::dashboard::queries::since::{self, Figure, TABLES};
use store::{Snap, StoreError};
use web::live::Live;

#[derive(Template)]
#[template(path = "dashboard/_since.html")]
pub(super) struct Since {
    live: Live,
    since: String,
    figures: Vec<Figure>,
    away: String,
}

pub(super) fn read(snap: &Snap<'_>, scene: &DashboardContext<'_>) -> Result<Since, StoreError> {
    let found = since::read(snap, scene)?;
    let live = Live::new(scene.ws.url("")).debounced();
    Ok(Since {
        live: TABLES.iter().fold(live, |live, table| live.table(table.name)),
        since: found.since,
        figures: found.figures,
        away: scene.ws.url("visits/away"),
    })
}
