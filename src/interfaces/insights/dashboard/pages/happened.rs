//! Recent activity by day, with further lines on demand.

use askama::Template;
use jiff::civil::Date;
use serde::Deserialize;

use features::activity::queries::{self as activity, Filter};
use features::history::queries::error::HistoryError;
use features::history::queries::{self as history, readable::Looker};
use store::StoreError;
use web::format;
use web::live::Live;
use web::parts::Face;
use web::scroll_state::Have;
use web::time::RelTime;

use features::dashboard::queries::DashboardContext;

/// Lines per request.
const LINES: usize = 10;
/// Name of the list in the count of shown lines.
const LIST: &str = "happened";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RecentEventsParams {
    /// Cursor of the next lines.
    before: String,
    /// The day whose heading is already shown.
    day: String,
    /// Number of lines that the page already shows.
    have: Have,
}

impl RecentEventsParams {
    /// Whether further lines are requested.
    pub(super) fn is_more(&self) -> bool {
        !self.before.is_empty()
    }
}

/// A change.
struct Row {
    face: Face,
    at: RelTime,
    verb: String,
    thing: String,
    href: String,
    icon: &'static str,
    rest: String,
}

/// The changes of a day.
struct Day {
    date: Date,
    /// Empty if the heading is already shown.
    label: String,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "dashboard/_happened.html")]
pub(super) struct Happened {
    live: Live,
    part: More,
    list: &'static str,
    all: String,
}

/// Some lines, and the address of the next ones.
#[derive(Template)]
#[template(path = "dashboard/_happened_days.html")]
pub(super) struct More {
    days: Vec<Day>,
    /// Address of further lines, and of the page that contains them.
    next: Option<(String, String)>,
}

/// The newest lines, as many as the page already shows.
pub(super) fn read(
    scene: &DashboardContext<'_>,
    params: &RecentEventsParams,
) -> Result<Happened, StoreError> {
    let part = lines(scene, None, (params.have.of(LIST, LINES), ""))?;
    let tables = ["tasks", "comments", "deliverables", "reviews", "agents", "runs"];
    Ok(Happened {
        live: tables.into_iter().fold(Live::new(scene.ws.url("")), Live::table),
        part,
        list: LIST,
        all: scene.ws.url("activity"),
    })
}

/// Further lines.
pub(super) fn more(
    scene: &DashboardContext<'_>,
    params: &RecentEventsParams,
) -> Result<More, HistoryError> {
    let before = history::place(&scene.ws.store, Some(&params.before))?;
    Ok(lines(scene, before, (LINES, &params.day))?)
}

fn lines(
    scene: &DashboardContext<'_>,
    before: Option<u64>,
    (limit, shown): (usize, &str),
) -> Result<More, StoreError> {
    let wanted = (Looker::of(scene.who), Filter { before, ..Filter::default() });
    let found = activity::lines(scene.ws, wanted, limit)?;
    let today = scene.now.to_zoned(scene.zone.clone()).date();
    let mut days: Vec<Day> = Vec::new();
    for line in found.lines {
        let date = line.at.to_zoned(scene.zone.clone()).date();
        let row = Row {
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
        };
        match days.last_mut() {
            Some(day) if day.date == date => day.rows.push(row),
            _ => {
                let is_above = days.is_empty() && date.to_string() == shown;
                let label = if is_above { String::new() } else { activity::day(date, today) };
                days.push(Day { date, label, rows: vec![row] });
            }
        }
    }
    let next = found.next.map(|seq| {
        let place = history::next_place(&scene.ws.store, seq);
        let last = days.last().map_or_else(|| shown.to_owned(), |day| day.date.to_string());
        let query =
            format!("before={}&day={}", format::query_value(&place), format::query_value(&last));
        (
            scene.ws.url(&format!("?{query}")),
            scene.ws.url(&format!("activity?before={}", format::query_value(&place))),
        )
    });
    Ok(More { days, next })
}
