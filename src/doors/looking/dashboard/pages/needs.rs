//! What waits for the person.

use askama::Template;

use features::dashboard::queries::Scene;
use features::dashboard::queries::needs::{self, Count, Row};
use web::live::Live;

#[derive(Template)]
#[template(path = "dashboard/_needs.html")]
pub(super) struct Needs {
    live: Live,
    rows: Vec<Row>,
    count: String,
    review: String,
}

pub(super) fn draw(scene: &Scene<'_>, (rows, count): (Vec<Row>, Count)) -> Needs {
    Needs { live: live(scene), rows, count: count.short(), review: scene.ws.url("review") }
}

/// How what needs the person, or how much that is, renews itself.
pub(super) fn live(scene: &Scene<'_>) -> Live {
    needs::TABLES.iter().fold(Live::new(scene.ws.url("")), |live, table| live.table(table.name))
}
