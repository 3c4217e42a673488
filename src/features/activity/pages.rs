//! The activity page, and the live stream that every page opens.

use askama::Template;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::app::{App, Ws};
use crate::features::history::queries::error::HistoryError;
use crate::features::history::queries::{self as history, access, readable::Looker};
use crate::features::runs::queries::talk;
use crate::kernel::{Can, ProblemKind, Timestamp, Via};
use crate::store::Cursor;
use crate::web::error::{Failure, PageError};
use crate::web::extract::Query;
use crate::web::html;
use crate::web::hx::Hx;
use crate::web::live::Live;
use crate::web::parts::{Face, Tab};
use crate::web::routes::{Needs, Routes};
use crate::web::session::{Alive, Person};
use crate::web::shell::Shell;
use crate::web::sse::{self, Hears, PageStream};
use crate::web::time::RelTime;

use super::queries::{self, Area, By, Filter};
use super::words::Words;

/// Lines of one page.
const PAGE: usize = 50;

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/activity", show.needs(Can::Read)).get("/events", events.needs(Can::Read))
}

// ── The page ──

#[derive(Clone, Deserialize)]
struct Asked {
    area: Option<String>,
    by: Option<String>,
    before: Option<String>,
}

impl Asked {
    fn filter(&self, ws: &Ws) -> Result<Filter, HistoryError> {
        let area = self.area.as_deref();
        let by = self.by.as_deref();
        Ok(Filter {
            area: Area::ALL.into_iter().find(|one| Some(one.word()) == area),
            by: By::ALL.into_iter().find(|one| Some(one.word()) == by),
            before: history::place(&ws.store, self.before.as_deref())?,
        })
    }
}

fn address(ws: &Ws, area: Option<Area>, by: Option<By>, before: Option<u64>) -> String {
    let mut pairs = Vec::new();
    pairs.extend(area.map(|area| ("area", area.word().to_owned())));
    pairs.extend(by.map(|by| ("by", by.word().to_owned())));
    pairs.extend(before.map(|before| ("before", history::next_place(&ws.store, before))));
    let query = serde_urlencoded::to_string(&pairs).unwrap_or_default();
    match query.is_empty() {
        true => ws.url("activity"),
        false => format!("{}?{query}", ws.url("activity")),
    }
}

struct Row {
    at: RelTime,
    who: Face,
    words: Words,
    href: String,
    /// Everything that it changed.
    entry: String,
    /// Where it can be undone, or empty.
    undo: String,
}

struct Day {
    label: String,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "activity/show.html")]
struct Show {
    shell: Shell,
    areas: Vec<Tab>,
    people: Vec<Tab>,
    days: Vec<Day>,
    live: Option<Live>,
    next: String,
}

/// The lines alone: what renews itself, and what "more" adds.
#[derive(Template)]
#[template(path = "activity/_days.html")]
struct Days {
    days: Vec<Day>,
    live: Option<Live>,
    next: String,
}

async fn show(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let filter = asked.filter(&ws)?;
    let wanted = (Looker::of(&who), filter);
    let found =
        ws.look(move |ws| ws.read(|snap| queries::lines(snap, ws.store.schema(), wanted, PAGE)));
    let found = found.await?;
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let days = by_day(&ws, &who, found.lines, (app.clock.now(), &zone));
    let Filter { area, by, before } = filter;
    let next = found.next.map(|seq| address(&ws, area, by, Some(seq))).unwrap_or_default();
    // Only the first page grows at its top.
    let live = before.is_none().then(|| {
        let tables = ["tasks", "comments", "deliverables", "reviews", "agents", "runs", "settings"];
        tables.into_iter().fold(Live::new(address(&ws, area, by, None)), Live::table)
    });
    if hx.is_partial() {
        return html::fragment(&Days { days, live, next });
    }
    let tab = |label: &str, href: String, current: bool| Tab::new(label, href, current);
    let mut areas = vec![tab("Everything", address(&ws, None, by, None), area.is_none())];
    areas.extend(
        Area::ALL.map(|one| tab(one.label(), address(&ws, Some(one), by, None), area == Some(one))),
    );
    let mut people = vec![tab("Anyone", address(&ws, area, None, None), by.is_none())];
    people.extend(
        By::ALL.map(|one| tab(one.label(), address(&ws, area, Some(one), None), by == Some(one))),
    );
    html::page(&Show { shell, areas, people, days, live, next })
}

fn by_day(
    ws: &Ws,
    who: &Person,
    lines: Vec<queries::Line>,
    (now, zone): (Timestamp, &TimeZone),
) -> Vec<Day> {
    let may = |table: u16| access::may_undo(who.access, table) && who.access.may(Can::Write);
    let today = now.to_zoned(zone.clone()).date();
    let mut days: Vec<Day> = Vec::new();
    for line in lines {
        let date = line.at.to_zoned(zone.clone()).date();
        let label = match date {
            date if date == today => "Today".to_owned(),
            date if Some(date) == today.yesterday().ok() => "Yesterday".to_owned(),
            date if date.year() == today.year() => date.strftime("%A, %-d %B").to_string(),
            date => date.strftime("%A, %-d %B %Y").to_string(),
        };
        let undoable = line.tables.iter().any(|table| may(*table));
        let row = Row {
            entry: ws.url(&format!("history/entry/{}", line.seq)),
            undo: match undoable {
                true => ws.url(&format!("undo?entry={}", line.seq)),
                false => String::new(),
            },
            at: RelTime::new(line.at, now, zone),
            who: line.who,
            href: match line.words.path.is_empty() {
                true => String::new(),
                false => ws.url(&line.words.path),
            },
            words: line.words,
        };
        match days.last_mut() {
            Some(day) if day.label == label => day.rows.push(row),
            _ => days.push(Day { label, rows: vec![row] }),
        }
    }
    days
}

// ── The stream ──

#[derive(Deserialize)]
struct After {
    after: Option<String>,
}

async fn events(
    app: App,
    ws: Ws,
    who: Person,
    alive: Alive,
    headers: HeaderMap,
    Query(query): Query<After>,
) -> Result<Response, PageError> {
    let places = places(&app, &ws, &who)?;
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("unreadable"));
    let asked = last.or(query.after.as_deref()).filter(|text| !text.is_empty());
    // A place that cannot be read is one that no store knows: the page is told to begin afresh.
    let unknown = Cursor { seq: u64::MAX, ..ws.store.head() };
    let after = asked.map(|text| text.parse::<Cursor>().unwrap_or(unknown));
    let (place, account) = (ws.clone(), who.account);
    // ok: a store that cannot be read lets nobody hear anything.
    let hears = move |run| place.read(|snap| talk::may_hear(snap, run, account)).unwrap_or(false);
    let doors = (alive, Hears(Box::new(hears)));
    let stream = PageStream::open(ws, doors, after, places)?;
    Ok(sse::respond(stream.frames()))
}

/// A place among the streams of this sign-in and of this workspace.
///
/// # Errors
/// When all are taken.
pub(super) fn places(
    app: &App,
    ws: &Ws,
    who: &Person,
) -> Result<Vec<crate::app::limits::Place>, PageError> {
    let limits = &app.config.limits;
    let key = match who.via {
        Via::SignIn(id) => id.to_string(),
        Via::Token(id) => id.to_string(),
        _ => who.account.to_string(),
    };
    let own = app.limiter.place("streams", &key, limits.streams_per_sign_in);
    let all = app.limiter.place("streams", &ws.slug, limits.streams_per_workspace);
    match (own, all) {
        (Some(own), Some(all)) => Ok(vec![own, all]),
        _ => {
            let text = "too many live pages are open; close some and load this one again";
            Err(PageError(Failure::new(ProblemKind::Limited, "too_many_streams", text)))
        }
    }
}
