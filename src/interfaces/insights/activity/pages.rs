//! The activity page, and the live stream that every page opens.

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use app::{App, Who as _, Ws};
use features::audit::queries as audit;
use features::history::queries::error::HistoryError;
use features::history::queries::{self as history, readable::Looker};
use features::runs::queries::talk;
use features::tasks::queries::people::People;
use kernel::display;
use kernel::{AccountId, Actor, Can, Cause, Timestamp, Via};
use store::{Cursor, Lane, StoreError, WriteTx};
use web::error::PageError;
use web::extract::Query;
use web::flash;
use web::form::Wrong;
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Face, Tab};
use web::routes::{Needs, Routes};
use web::scroll_state::Have;
use web::session::{Alive, Person};
use web::shell::{Flash, Shell};
use web::sse::{self, Hears, PageStream, Position};
use web::time::RelTime;

use entity::Area;
use features::activity::queries::{self, By, Filter, Found, Undo};
use features::activity::rules;
use features::activity::words::Words;

/// Lines per page.
const PAGE: usize = 50;
/// Edits of a text by one author within this time are one line, in milliseconds.
const WRITING_MS: i64 = 600_000;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/activity", show.needs(Can::Read))
        .get("/events", events.needs(Can::Read))
        .post("/visits/away", put_away.needs(Can::Read))
}

// ── The page ──

#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
struct ActivityPageParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    area: Option<String>,
    /// `people`, `agents`, `system`, or a handle or slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// Only entries with this kind of event.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    /// Only changes to this record: `MC-12`, `R-7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    /// Only this cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// Only changes by this run: `R-7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    /// Only changes by this routine, by name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    routine: Option<String>,
    /// Only from this day on.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Only up to the end of this day.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// Number of lines that the page already shows.
    #[serde(skip_serializing)]
    have: Have,
}

impl ActivityPageParams {
    /// Drops the empty values that forms send.
    fn tidy(self) -> Self {
        let word = |text: Option<String>| {
            text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        Self {
            area: word(self.area),
            by: word(self.by),
            event: word(self.event),
            record: word(self.record),
            cause: word(self.cause),
            run: word(self.run),
            routine: word(self.routine),
            from: word(self.from),
            to: word(self.to),
            before: word(self.before),
            have: self.have,
        }
    }

    /// The audit query, if the simple filters are not sufficient.
    fn narrow(&self) -> Option<audit::AuditParams> {
        let by = self.by.clone();
        let one = by.as_deref().is_some_and(|by| By::ALL.iter().all(|known| known.word() != by));
        let what = [&self.event, &self.record, &self.cause, &self.run, &self.routine];
        let mut more = what.into_iter().chain([&self.from, &self.to]);
        (one || more.any(Option::is_some)).then(|| audit::AuditParams {
            by,
            record: self.record.clone(),
            event: self.event.clone(),
            cause: self.cause.clone(),
            run: self.run.clone(),
            routine: self.routine.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            before: self.before.clone(),
            ..audit::AuditParams::default()
        })
    }

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

/// Address of the page with these filters.
fn address(ws: &Ws, params: &ActivityPageParams) -> String {
    let query = serde_urlencoded::to_string(params).unwrap_or_default();
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
    /// The run or routine behind the change: icon, name and address.
    via: Option<(&'static str, String, String)>,
    /// Address of all changes of the entry.
    entry: String,
    /// Address of "undo"; may be empty.
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
    whose: Vec<Choice>,
    events: Vec<Choice>,
    causes: Vec<Choice>,
    routines: Vec<Choice>,
    asked: ActivityPageParams,
    /// An invalid filter.
    wrong: Wrong,
    /// Whether filters beyond the simple ones are set.
    narrow: bool,
    days: Vec<Day>,
    live: Option<Live>,
    next: String,
    /// How far the search went without a result; may be empty.
    passed: String,
    /// Address of the unfiltered page, if a filter is set.
    all: Option<String>,
}

/// The lines alone: the live region, and the response of "more".
#[derive(Template)]
#[template(path = "activity/_days.html")]
struct Days {
    days: Vec<Day>,
    live: Option<Live>,
    next: String,
    passed: String,
    all: Option<String>,
}

async fn show(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<ActivityPageParams>,
) -> Result<Response, PageError> {
    let params = params.tidy();
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let (found, wrong) = match params.narrow() {
        None => {
            (simple(&ws, &who, params.filter(&ws)?, params.have.of("", PAGE)).await?, Wrong::none())
        }
        Some(more) => match search(&ws, &who, (&params, more), &zone).await? {
            Ok(found) => (found, Wrong::none()),
            Err(wrong) => (Found::default(), wrong),
        },
    };
    let passed = passed(&ws, &found, (params.before.is_none(), &zone));
    let days = by_day(&ws, found.lines, (app.clock.now(), &zone));
    let at = |before: Option<u64>| {
        let before = before.map(|seq| history::next_place(&ws.store, seq));
        address(&ws, &ActivityPageParams { before, ..params.clone() })
    };
    let next = found.next.map(|seq| at(Some(seq))).unwrap_or_default();
    // Only the first page gets new lines.
    let live = params.before.is_none().then(|| {
        let tables = ["tasks", "comments", "deliverables", "reviews", "agents", "runs", "settings"];
        let tables = tables.into_iter().chain(["streams", "labels", "series", "routines"]);
        tables.fold(Live::new(at(None)), Live::table)
    });
    let filtered = params.area.is_some() || params.by.is_some() || params.narrow().is_some();
    let all = filtered.then(|| ws.url("activity"));
    if hx.is_partial() {
        return html::fragment(&Days { days, live, next, passed, all });
    }
    let routine = params.routine.clone();
    let choices = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let routines = audit::routines(snap, routine.as_deref())?;
            Ok::<_, StoreError>((People::read(snap)?, routines))
        })
    });
    let (people, routines) = choices.await?;
    let page = Show {
        shell,
        areas: areas(&ws, &params),
        people: groups(&ws, &params),
        whose: audit::whose(&people, who.account, params.by.as_deref()),
        events: audit::events(params.event.as_deref()),
        causes: audit::causes(params.cause.as_deref()),
        routines,
        narrow: params.narrow().is_some(),
        asked: params,
        wrong,
        days,
        live,
        next,
        passed,
        all,
    };
    html::page(&page)
}

/// Activity by the simple filters.
async fn simple(ws: &Ws, who: &Person, filter: Filter, limit: usize) -> Result<Found, PageError> {
    let wanted = (Looker::of(who), filter);
    Ok(ws.read_blocking(move |ws| queries::lines(ws, wanted, limit)).await?)
}

/// Activity by the audit search, or the error of an invalid filter.
async fn search(
    ws: &Ws,
    who: &Person,
    (params, more): (&ActivityPageParams, audit::AuditParams),
    zone: &TimeZone,
) -> Result<Result<Found, Wrong>, PageError> {
    let area = Area::ALL.into_iter().find(|one| Some(one.word()) == params.area.as_deref());
    let (looker, account, zone) = (Looker::of(who), who.account, zone.clone());
    let limit = params.have.of("", PAGE);
    ws.read_blocking(move |ws| {
        let wish = audit::AuditQuery::new(ws, &more, (Some(account), &zone));
        let wish = match wish.and_then(|wish| wish.asked_by(ws, looker, &more)) {
            Ok(wish) => wish,
            Err(error) => return Ok(Err(Wrong::of(&error)?)),
        };
        Ok(Ok(queries::search(ws, &wish, (looker, area), limit)?))
    })
    .await
}

/// How far the search went without a result, if there is more to search. The page says so and continues automatically.
fn passed(ws: &Ws, found: &Found, (is_first, zone): (bool, &TimeZone)) -> String {
    let (Some(next), Some(at), true) = (found.next, found.reached, found.lines.is_empty()) else {
        return String::new();
    };
    let day = display::long_day(at.to_zoned(zone.clone()).date());
    match is_first {
        true => {
            let newest = (ws.store.head().seq + 1).saturating_sub(next);
            let newest = format::count(newest, "change", "changes");
            format!("Nothing in the newest {newest}, back to {day}.")
        }
        false => format!("Searched back to {day}."),
    }
}

fn areas(ws: &Ws, params: &ActivityPageParams) -> Vec<Tab> {
    let tab = |label: &str, word: Option<&str>| {
        let area = word.map(str::to_owned);
        let current = params.area == area;
        Tab::new(
            label,
            address(ws, &ActivityPageParams { area, before: None, ..params.clone() }),
            current,
        )
    };
    let each = Area::ALL.into_iter().map(|one| tab(one.label(), Some(one.word())));
    std::iter::once(tab("Everything", None)).chain(each).collect()
}

fn groups(ws: &Ws, params: &ActivityPageParams) -> Vec<Tab> {
    let tab = |label: &str, word: Option<&str>| {
        let by = word.map(str::to_owned);
        let current = params.by == by;
        Tab::new(
            label,
            address(ws, &ActivityPageParams { by, before: None, ..params.clone() }),
            current,
        )
    };
    let each = By::ALL.into_iter().map(|one| tab(one.label(), Some(one.word())));
    std::iter::once(tab("Anyone", None)).chain(each).collect()
}

fn by_day(ws: &Ws, lines: Vec<queries::Line>, (now, zone): (Timestamp, &TimeZone)) -> Vec<Day> {
    let today = now.to_zoned(zone.clone()).date();
    let mut days: Vec<Day> = Vec::new();
    let mut last: Option<(Timestamp, Words)> = None;
    let mut tested: Option<(Timestamp, String)> = None;
    for line in lines {
        let name = line.words.is_of_connection().then(|| line.words.thing.clone());
        // The oldest line of a test of a connection represents all of them.
        if let (Some((at, before)), Some(name)) = (&tested, &name)
            && before == name
            && at.as_millisecond() - line.at.as_millisecond() <= WRITING_MS
            && let Some(day) = days.last_mut()
        {
            day.rows.pop();
            days.retain(|day| !day.rows.is_empty());
        }
        tested = name.map(|name| (line.at, name));
        let writing = line.words.is_writing();
        // The last row represents all saves of a text while its author was writing.
        if let Some((at, words)) = last.as_mut().filter(|_| writing)
            && *words == line.words
            && at.as_millisecond() - line.at.as_millisecond() <= WRITING_MS
            && days.last().and_then(|day| day.rows.last()).is_some_and(|row| row.who == line.who)
        {
            *at = line.at;
            continue;
        }
        last = writing.then(|| (line.at, line.words.clone()));
        let label = queries::day(line.at.to_zoned(zone.clone()).date(), today);
        let row = Row {
            entry: ws.url(&format!("history/entry/{}", line.seq)),
            undo: match line.undo {
                Some(Undo::Possible) => ws.url(&format!("undo?entry={}", line.seq)),
                _ => String::new(),
            },
            at: RelTime::new(line.at, now, zone),
            via: line.via.map(|via| {
                let icon = if via.kind == "routine" { "repeat" } else { "play" };
                (icon, via.name, ws.url(&via.path))
            }),
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
    ws: Ws,
    who: Person,
    alive: Alive,
    headers: HeaderMap,
    Query(query): Query<After>,
) -> Result<Response, PageError> {
    let places = sse::places(&ws, &who)?;
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("unreadable"));
    let position = last.or(query.after.as_deref()).filter(|text| !text.is_empty());
    // An unreadable position counts as unknown, so the page is told to reload.
    let unknown = || Position { cursor: Cursor { seq: u64::MAX, ..ws.store.head() }, links: None };
    let after = position.map(|text| text.parse().unwrap_or_else(|_| unknown()));
    let (place, account) = (ws.clone(), who.account);
    // ok: an unreadable store sends no events.
    let hears = move |run| place.read(|snap| talk::may_hear(snap, run, account)).unwrap_or(false);
    let doors = (alive, Hears(Box::new(hears)));
    let here = matches!(who.via, Via::SignIn(_)).then(|| Here::come(&ws, &who));
    let stream = PageStream::open(ws, doors, after, places)?;
    // Dropped when the stream ends.
    Ok(sse::respond(stream.frames().inspect(move |_| _ = &here)))
}

/// A visit of a person, which lasts while the page's stream is open.
struct Here {
    ws: Ws,
    account: AccountId,
    actor: Actor,
}

impl Here {
    fn come(ws: &Ws, who: &Person) -> Self {
        let here = Self { ws: ws.clone(), account: who.account, actor: who.actor() };
        here.note(rules::come);
        here
    }

    /// Writes in the background, if there is something new to write.
    fn note(&self, write: fn(&mut WriteTx<'_>, AccountId) -> Result<(), StoreError>) {
        let (ws, account, actor) = (self.ws.clone(), self.account, self.actor);
        let now = ws.app.clock.now();
        // ok: an unreadable store is reported elsewhere; only a visit is lost.
        let is_news = ws.read(|snap| rules::is_news(snap, account, now)).unwrap_or(false);
        if !is_news || !ws.is_active() {
            return;
        }
        self.ws.app.spawn("note a visit", async move {
            let body = move |tx: &mut WriteTx<'_>| write(tx, account);
            let noted = ws.store.write_in(Lane::Second, actor, Cause::Timer, body);
            if let Err(error) = noted.await {
                tracing::warn!(%error, "could not note a visit");
            }
        });
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.note(rules::end_visit);
    }
}

/// `POST /visits/away`: dismisses the summary since the last visit.
async fn put_away(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    let account = who.account;
    ws.write(&who, move |tx| rules::put_away(tx, account)).await?;
    if hx.is_partial() {
        let gone = "<div id=\"since\" hidden></div>";
        return Ok(html::answer(StatusCode::OK, gone.to_owned()));
    }
    let done = Flash::ok("Summary dismissed until your next visit.");
    Ok(flash::say(&app, done, hx.go_to(&ws.url(""))))
}

#[cfg(test)]
mod tests {
    use askama::Template as _;

    use super::Days;
    use web::live::Live;

    fn drawn(live: bool, next: &str, passed: &str) -> String {
        part_of(None, (live, next, passed))
    }

    fn part_of(all: Option<&str>, (live, next, passed): (bool, &str, &str)) -> String {
        let all = all.map(str::to_owned);
        let live = live.then(|| Live::new("/activity".to_owned()));
        let (next, passed) = (next.to_owned(), passed.to_owned());
        Days { days: Vec::new(), live, next, passed, all }.render().expect("a page")
    }

    #[test]
    fn nothing_is_said_to_have_happened_only_where_all_was_looked_through() {
        let newest = "Nothing in the newest 120,000 changes, back to 3 November 2026.";
        let first = drawn(true, "/activity?before=1.7", newest);
        assert!(first.contains(newest) && first.contains("Search further"), "{first}");
        assert!(!first.contains("Nothing here yet"), "{first}");
        assert!(drawn(true, "", "").contains("Nothing here yet"));
        let none = part_of(Some("/activity"), (true, "", ""));
        assert!(none.contains("No matching activity") && !none.contains("here yet"), "{none}");
        let last = drawn(false, "", "");
        assert!(last.contains("Nothing older.") && !last.contains("here yet"), "{last}");
    }
}
