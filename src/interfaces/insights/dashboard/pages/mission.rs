//! Suggested steps after the setup, until they are done or dismissed.

use askama::Template;

use features::dashboard::queries::DashboardContext;
use features::dashboard::queries::mission;
use store::{Read, StoreError};
use web::live::Live;
use web::parts::percent;

struct Line {
    label: &'static str,
    hint: &'static str,
    href: String,
    done: bool,
    /// Whether it is the first open step.
    is_next: bool,
}

#[derive(Template)]
#[template(path = "dashboard/_mission.html")]
pub(super) struct Mission {
    live: Live,
    title: &'static str,
    /// "2/4", and the same in words.
    done: String,
    said: String,
    percent: u8,
    lines: Vec<Line>,
    away: String,
}

pub(super) fn read(
    read: &dyn Read,
    scene: &DashboardContext<'_>,
) -> Result<Option<Mission>, StoreError> {
    let Some(found) = mission::read(read, scene)? else { return Ok(None) };
    let (done, all) = (found.done(), found.lines.len());
    let next = found.lines.iter().position(|line| !line.done);
    let line = |(n, line): (usize, &mission::Line)| Line {
        is_next: next == Some(n),
        label: line.label,
        hint: line.hint,
        href: scene.ws.url(&line.path),
        done: line.done,
    };
    Ok(Some(Mission {
        live: mission::topics().fold(Live::new(scene.ws.url("")), Live::table),
        title: if found.round == 1 { "Getting started" } else { "Go further" },
        done: format!("{done}/{all}"),
        said: format!("{done} of {all} done"),
        percent: percent(done as u64, all as u64),
        lines: found.lines.iter().enumerate().map(line).collect(),
        away: scene.ws.url("mission/away"),
    }))
}

/// Replaces the region once it is done or dismissed.
pub const GONE: &str = "<div id=\"mission\" hidden></div>";
