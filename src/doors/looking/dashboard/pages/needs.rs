//! What waits for the person.

use askama::Template;

use features::dashboard::queries::Scene;
use features::dashboard::queries::needs::{self, Row};
use features::dashboard::queries::tally::{self, More};
use web::live::Live;

#[derive(Template)]
#[template(path = "dashboard/_needs.html")]
pub(super) struct Needs {
    live: Live,
    rows: Vec<Row>,
    count: String,
    /// How many things have no row; empty when all have one.
    hidden: String,
    more: Vec<More>,
    review: String,
}

pub(super) fn draw(scene: &Scene<'_>, found: tally::Needs) -> Needs {
    Needs {
        live: live(scene),
        count: found.count.short(),
        hidden: found.hidden.short(),
        more: found.more,
        rows: found.rows,
        review: scene.ws.url("review"),
    }
}

/// How what needs the person, or how much that is, renews itself.
pub(super) fn live(scene: &Scene<'_>) -> Live {
    needs::TABLES.iter().fold(Live::new(scene.ws.url("")), |live, table| live.table(table.name))
}
