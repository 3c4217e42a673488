//! What happened last, by day; more of it where somebody asks for it.

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

/// How many lines at once.
const LINES: usize = 10;
/// What the page calls this list when it says how much of it stands there.
const LIST: &str = "happened";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RecentEventsParams {
    /// What lies before this place.
    before: String,
    /// The day under which the last line stands already.
    day: String,
    /// How much stands there already.
    have: Have,
}

impl RecentEventsParams {
    /// Whether further lines are asked for.
    pub(super) fn is_more(&self) -> bool {
        !self.before.is_empty()
    }
}

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

/// What happened on one day.
struct Day {
    date: Date,
    /// Empty where it stands above already.
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

/// Some lines, and where the next ones are.
#[derive(Template)]
#[template(path = "dashboard/_happened_days.html")]
pub(super) struct More {
    days: Vec<Day>,
    /// Where further lines are fetched, and the page that has them.
    next: Option<(String, String)>,
}

/// The newest lines, as many as the page shows already.
pub(super) fn read(
    scene: &DashboardContext<'_>,
    asked: &RecentEventsParams,
) -> Result<Happened, StoreError> {
    let part = lines(scene, None, (asked.have.of(LIST, LINES), ""))?;
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
    asked: &RecentEventsParams,
) -> Result<More, HistoryError> {
    let before = history::place(&scene.ws.store, Some(&asked.before))?;
    Ok(lines(scene, before, (LINES, &asked.day))?)
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
