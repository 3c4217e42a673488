//! What happened last.

use askama::Template;

use features::activity::queries::{self as activity, Filter};
use features::history::queries::readable::Looker;
use store::StoreError;
use web::live::Live;
use web::parts::Face;
use web::time::RelTime;

use features::dashboard::queries::Scene;

/// How many lines.
const LINES: usize = 10;

/// One thing that happened.
struct Row {
    face: Face,
    at: RelTime,
    verb: String,
    thing: String,
    href: String,
    icon: &'static str,
    rest: String,
}

#[derive(Template)]
#[template(path = "dashboard/_happened.html")]
pub(super) struct Happened {
    live: Live,
    rows: Vec<Row>,
    /// Whether there is more further back.
    more: bool,
    all: String,
}

pub(super) fn read(scene: &Scene<'_>) -> Result<Happened, StoreError> {
    let wanted = (Looker::of(scene.who), Filter::default());
    let found = activity::lines(scene.ws, wanted, LINES)?;
    let rows = found.lines.into_iter().take(LINES).map(|line| Row {
        face: line.who,
        at: scene.time(line.at),
        verb: line.words.verb,
        thing: line.words.thing,
        href: match line.words.path.is_empty() {
            true => String::new(),
            false => scene.ws.url(&line.words.path),
        },
        icon: line.words.icon,
        rest: line.words.rest,
    });
    let tables = ["tasks", "comments", "deliverables", "reviews", "agents", "runs"];
    Ok(Happened {
        live: tables.into_iter().fold(Live::new(scene.ws.url("")), Live::table),
        rows: rows.collect(),
        more: found.more,
        all: scene.ws.url("activity"),
    })
}
