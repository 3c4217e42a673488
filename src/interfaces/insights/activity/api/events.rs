//! `/api/v1/activity`: changes in words, as on the activity page.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use entity::Area;
use features::activity::queries::{self, Found, Line, Undo};
use features::audit::queries::{self as audit, AuditQuery};
use features::history::queries::readable::Looker;
use features::tasks::queries::brief::Names;
use features::tasks::queries::json::WhoView;
use kernel::{Can, Timestamp};
use store::{Cursor, StoreError};
use web::error::ApiError;
use web::extract::{Json, Query};
use web::routes::{Doc, Needs as _, Routes};
use web::session::{Alive, Person};

use super::poll::Poll;
use super::{MAX_WAIT, begin};

/// Default number of entries per response.
const LIMIT: usize = 50;
/// Maximum number of entries per response.
const MAX_LIMIT: usize = 200;

pub(super) fn routes() -> Routes {
    Routes::new().get(
        "/activity",
        list.needs(Can::Read).doc(|| {
            Doc::new(
                "Activity as sentences, newest first: actor, action, run or routine, URL, and \
                 whether it can be undone. `searched` says how far back the search went; \
                 continue with `next`. With `after`, entries after a position, oldest first, \
                 optionally waiting for new ones",
            )
            .query::<EventListParams>()
            .returns::<Page>()
        }),
    )
}

/// What is asked for; all of it must fit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EventListParams {
    /// Only this part: `work`, `agents` or `workspace`.
    area: Option<String>,
    /// Only theirs: `people`, `agents`, `system`, `me`, or a handle or slug such as `ada`.
    by: Option<String>,
    /// Only these kinds of events, such as `task.created` or `task.*`, with commas.
    event: Option<String>,
    /// Only what was done to this: `MC-12`, `R-7`, `@ada`, `stream:Launch`, `routine:Morning look`, or a table
    /// and an id such as `comments 0190…`.
    record: Option<String>,
    /// Only for this reason: `request`, `step`, `routine`, `consumer`, `undo`, `import`, `job`, `retention`,
    /// `migration`, `setup`, `timer`, `restore`.
    cause: Option<String>,
    /// Only what was done by this run: `R-7`.
    run: Option<String>,
    /// Only what this routine did, and the runs that it began: its name or id.
    routine: Option<String>,
    /// Only from this day on (2026-11-20), or from this moment on (RFC 3339).
    from: Option<String>,
    /// Only up to the end of this day, or up to this moment.
    to: Option<String>,
    /// Go on before this cursor, as it came in `next`.
    before: Option<String>,
    /// Only what came after this cursor, as it came in `cursor`; or `start`.
    after: Option<String>,
    /// With `after`: wait up to so many seconds (at most 30) when there is nothing yet.
    wait: Option<u64>,
    /// 1 to 200 entries; 50 unless said otherwise.
    limit: Option<usize>,
}

impl EventListParams {
    /// The query for the audit search.
    fn search(&self) -> audit::AuditParams {
        audit::AuditParams {
            record: self.record.clone(),
            by: self.by.clone(),
            cause: self.cause.clone(),
            event: self.event.clone(),
            run: self.run.clone(),
            routine: self.routine.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            before: self.before.clone(),
            ..audit::AuditParams::default()
        }
        .tidy()
    }
}

/// What happened.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Activity")]
struct Page {
    items: Vec<Item>,
    /// What is older: give this back as `before`; none at the end, and none with `after`.
    next: Option<String>,
    /// Give this back as `after` to read what comes afterwards.
    cursor: String,
    searched: Searched,
}

/// How far was looked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ActivitySearched")]
struct Searched {
    /// Entries that were looked at.
    entries: u64,
    /// The time of the oldest of them.
    #[schemars(with = "Option<String>")]
    back_to: Option<Timestamp>,
    /// Whether nothing is left in this direction.
    complete: bool,
}

/// One entry.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ActivityEntry")]
struct Item {
    /// Its number.
    seq: u64,
    /// Its place.
    cursor: String,
    #[schemars(with = "String")]
    at: Timestamp,
    /// Who did it.
    who: WhoView,
    /// The whole in words, such as "Mira created MC-3 Compare prices".
    text: String,
    /// The same in parts: one sentence for each thing that happened.
    said: Vec<Said>,
    /// The kinds of its events, such as `task.created`.
    events: Vec<&'static str>,
    /// For which reason, by its word.
    cause: &'static str,
    /// Through which run or routine, as far as you may see that.
    via: Option<ViaView>,
    /// The page that shows everything it changed, from the root of this server.
    url: String,
    undo: UndoView,
}

/// One sentence.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ActivitySentence")]
struct Said {
    /// Whom it is about: a run ends by its agent, also where HQ takes note of it.
    who: WhoView,
    /// `work`, `agents` or `workspace`.
    area: &'static str,
    /// What was done.
    verb: String,
    /// To what; may be empty.
    thing: String,
    /// What else there is to say; may be empty.
    rest: String,
    /// The page of the thing, from the root of this server.
    url: Option<String>,
}

/// Through what.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ActivityVia")]
struct ViaView {
    /// `run` or `routine`.
    kind: &'static str,
    name: String,
    /// Its page, from the root of this server.
    url: String,
}

/// Whether it can be undone: `POST /api/v1/undo` with the entry does it, `/undo/preview` says what that
/// would do.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ActivityUndo")]
struct UndoView {
    possible: bool,
    /// Why not.
    why: Option<&'static str>,
    /// The page that shows what an undo would do, and does it.
    url: Option<String>,
}

/// The parsed request.
struct Wanted {
    wish: AuditQuery,
    of: (Looker, Option<Area>),
    limit: usize,
}

async fn list(
    app: App,
    ws: Ws,
    who: Person,
    alive: Alive,
    Query(params): Query<EventListParams>,
) -> Result<Json<Page>, ApiError> {
    let limit = params.limit.unwrap_or(LIMIT);
    if limit == 0 || MAX_LIMIT < limit {
        return Err(ApiError::invalid("limit", format!("ask for 1 to {MAX_LIMIT} entries")));
    }
    let area = match params.area.as_deref() {
        None | Some("") => None,
        Some(word) => {
            let known = Area::ALL.into_iter().find(|area| area.word() == word);
            let wrong = || {
                let text = format!("unknown area `{word}`; use work, agents or workspace");
                ApiError::invalid("area", text)
            };
            Some(known.ok_or_else(wrong)?)
        }
    };
    let after = params.after.as_deref().filter(|text| !text.is_empty());
    let before = params.before.as_deref().filter(|text| !text.is_empty());
    let (Some(text), None) = (after, before) else {
        if after.is_some() {
            return Err(ApiError::invalid("after", "send either `before` or `after`"));
        }
        if params.wait.is_some() {
            return Err(ApiError::invalid("wait", "`wait` needs `after`"));
        }
        let answer =
            ws.read_blocking(move |ws| newest(ws, &wanted(ws, &who, &params, (area, limit))?));
        return Ok(Json(answer.await?));
    };
    let from = begin(&ws, "after", Some(text))?;
    let wait = Duration::from_secs(params.wait.unwrap_or(0).min(MAX_WAIT));
    let wanted =
        ws.read_blocking(move |ws| wanted(ws, &who, &params, (area, limit)).map(Arc::new)).await?;
    later(&app, &ws, &alive, (from, wanted), wait).await.map(Json)
}

/// Parses the request.
fn wanted(
    ws: &Ws,
    who: &Person,
    params: &EventListParams,
    (area, limit): (Option<Area>, usize),
) -> Result<Wanted, ApiError> {
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let (looker, search) = (Looker::of(who), params.search());
    let wish = AuditQuery::new(ws, &search, (Some(who.account), &zone))?;
    let wish = wish.asked_by(ws, looker, &search)?;
    Ok(Wanted { wish, of: (looker, area), limit })
}

/// The newest entries, or those before a cursor.
fn newest(ws: &Ws, wanted: &Wanted) -> Result<Page, ApiError> {
    // Read before the search: concurrent writes come after this cursor.
    let head = ws.store.head();
    let found = queries::search(ws, &wanted.wish, wanted.of, wanted.limit)?;
    let next = found.next.map(|seq| Cursor { seq, ..head }.to_string());
    Ok(page(ws, found, (next, head))?)
}

/// Entries after a cursor; waits for one if there are none.
async fn later(
    app: &App,
    ws: &Ws,
    alive: &Alive,
    (from, wanted): (Cursor, Arc<Wanted>),
    wait: Duration,
) -> Result<Page, ApiError> {
    let mut poll = Poll::new(app, ws, alive, wait);
    let mut place = from;
    loop {
        poll.mark_seen();
        let wanted = Arc::clone(&wanted);
        let answer = ws.read_blocking(move |ws| {
            let of = (place.seq, wanted.limit);
            let found = queries::after(ws, &wanted.wish, wanted.of, of)?;
            let next = Cursor { seq: found.next.unwrap_or(place.seq), ..place };
            Ok::<_, StoreError>((page(ws, found, (None, next))?, next))
        });
        let (answer, next) = answer.await?;
        place = next;
        let is_behind = !answer.searched.complete;
        if !answer.items.is_empty() || poll.is_over(is_behind) {
            return Ok(answer);
        }
        poll.more(is_behind).await?;
    }
}

/// Merges the lines of an entry into one item.
fn page(
    ws: &Ws,
    found: Found,
    (next, cursor): (Option<String>, Cursor),
) -> Result<Page, StoreError> {
    let names = ws.read(|snap| Names::read(snap))?;
    let mut items: Vec<Item> = Vec::new();
    for line in found.lines {
        let sentence = Said {
            who: WhoView::of(&names, line.by),
            area: line.area.word(),
            verb: line.words.verb.clone(),
            thing: line.words.thing.clone(),
            rest: line.words.rest.clone(),
            url: Some(&line.words.path).filter(|path| !path.is_empty()).map(|path| ws.url(path)),
        };
        let parts = [&line.who.name, &line.words.verb, &line.words.thing, &line.words.rest];
        let parts = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty());
        let text = parts.collect::<Vec<_>>().join(" ");
        match items.last_mut() {
            Some(item) if item.seq == line.seq => {
                item.text = format!("{}; {text}", item.text);
                item.said.push(sentence);
            }
            _ => items.push(item(ws, &names, (line, cursor), (text, sentence))),
        }
    }
    let searched =
        Searched { entries: found.looked, back_to: found.reached, complete: !found.more };
    Ok(Page { items, next, cursor: cursor.to_string(), searched })
}

fn item(
    ws: &Ws,
    names: &Names,
    (line, cursor): (Line, Cursor),
    (text, sentence): (String, Said),
) -> Item {
    let (possible, why) = match line.undo {
        Some(Undo::Possible) => (true, None),
        Some(Undo::No(why)) => (false, Some(why)),
        None => (false, None),
    };
    Item {
        seq: line.seq,
        cursor: Cursor { seq: line.seq, ..cursor }.to_string(),
        at: line.at,
        who: WhoView::of(names, line.by),
        text,
        said: vec![sentence],
        events: line.events,
        cause: line.cause,
        via: line.via.map(|via| ViaView { kind: via.kind, name: via.name, url: ws.url(&via.path) }),
        url: ws.url(&format!("history/entry/{}", line.seq)),
        undo: UndoView {
            possible,
            why,
            url: possible.then(|| ws.url(&format!("undo?entry={}", line.seq))),
        },
    }
}
