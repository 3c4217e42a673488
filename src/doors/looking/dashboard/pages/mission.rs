//! What is worth a try after the set-up, until it is done or put away.

use askama::Template;

use features::dashboard::queries::Scene;
use features::dashboard::queries::mission::{self, TABLES};
use store::{Read, StoreError};
use web::live::Live;
use web::parts::percent;

struct Line {
    label: &'static str,
    hint: &'static str,
    href: String,
    done: bool,
}

#[derive(Template)]
#[template(path = "dashboard/_mission.html")]
pub(super) struct Mission {
    live: Live,
    title: &'static str,
    done: usize,
    percent: u8,
    lines: Vec<Line>,
    away: String,
}

pub(super) fn read(read: &dyn Read, scene: &Scene<'_>) -> Result<Option<Mission>, StoreError> {
    let Some(found) = mission::read(read, scene)? else { return Ok(None) };
    let done = found.done();
    let line = |line: &mission::Line| Line {
        label: line.label,
        hint: line.hint,
        href: scene.ws.url(line.path),
        done: line.done,
    };
    Ok(Some(Mission {
        live: TABLES.iter().fold(Live::new(scene.ws.url("")), |live, table| live.table(table.name)),
        title: if found.round == 1 { "Getting started" } else { "Go further" },
        done,
        percent: percent(done as u64, found.lines.len() as u64),
        lines: found.lines.iter().map(line).collect(),
        away: scene.ws.url("mission/away"),
    }))
}

/// In the place of what is done or put away.
pub const GONE: &str = "<div id=\"mission\" hidden></div>";
