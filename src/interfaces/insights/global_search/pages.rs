//! The search page and the command palette.

use askama::Template;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::{App, Ws};
use kernel::{Can, Timestamp};
use search::Wanted;
use web::error::PageError;
use web::extract::Query;
use web::format;
use web::html::{self, SafeHtml};
use web::hx::Hx;
use web::parts::{Face, Tab};
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use features::global_search::model::Kind;
use features::global_search::queries::asking::{self, Asking};
use features::global_search::queries::palette::{self, Offer};
use features::global_search::queries::view::{self, Hit};
use features::global_search::queries::{self, DEEPEST, NEAR, Page, SearchRequest, places};
use features::workspace::queries::modules::Off;

/// Results per page.
const PAGE: usize = 25;

#[must_use]
pub fn routes() -> Routes {
    Routes::new().get("/search", show.needs(Can::Read)).get("/palette", offered.needs(Can::Read))
}

// ── The page ──

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct SearchPageParams {
    q: String,
    #[serde(rename = "type")]
    kind: String,
    after: usize,
}

/// A result as a row.
struct Row {
    glyph: &'static str,
    state: &'static str,
    face: Option<Face>,
    title: SafeHtml,
    kind: &'static str,
    meta: String,
    snippet: SafeHtml,
    href: String,
    at: Option<RelTime>,
    archived: bool,
}

#[derive(Template)]
#[template(path = "finder/show.html")]
struct Show {
    shell: Shell,
    q: String,
    kind: String,
    kinds: Vec<Tab>,
    rows: Vec<Row>,
    next: String,
    /// Notice above the results; may be empty.
    said: String,
    /// Whether there is a search text.
    asked: bool,
    /// The agents that can be asked.
    asking: Option<Asking>,
}

/// The rows alone: the response of "more".
#[derive(Template)]
#[template(path = "finder/_rows.html")]
struct Rows {
    rows: Vec<Row>,
    next: String,
}

fn address(ws: &Ws, q: &str, kind: &str, after: usize) -> String {
    let mut query = format!("search?q={}", format::query_value(q));
    if !kind.is_empty() {
        query.push_str(&format!("&type={kind}"));
    }
    if 0 < after {
        query.push_str(&format!("&after={after}"));
    }
    ws.url(&query)
}

async fn show(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<SearchPageParams>,
) -> Result<Response, PageError> {
    let (q, only) = (params.q.trim().to_owned(), Kind::of_word(&params.kind));
    let skip = params.after.min(DEEPEST);
    let wish = SearchRequest {
        words: q.clone(),
        kinds: only.into_iter().collect(),
        status: None,
        skip,
        take: PAGE,
        each: None,
        patience: NEAR,
    };
    let mut page = queries::find(&ws, &who, wish).await?;
    let off = ws.read(|snap| Off::of(snap))?;
    add_places((&who, &off), &q, (only, skip), &mut page);
    if only.is_none() && skip == 0 {
        add_named(ws.read(|snap| view::of_name(snap, &q))?, &mut page);
    }
    let kind = only.map(Kind::word).unwrap_or_default();
    let shown = skip + page.hits.len();
    let more = page.more && shown <= DEEPEST;
    let next = if more { address(&ws, &q, kind, shown) } else { String::new() };
    let message = summary(&page, &q);
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let mut tabs = vec![tab(&ws, &q, None, (only, page.total()))];
    for kind in Kind::all() {
        let count = page.counts.iter().find(|(one, _)| *one == kind).map(|(_, count)| *count);
        if count.is_some() || only == Some(kind) {
            tabs.push(tab(&ws, &q, Some(kind), (only, count.unwrap_or(0))));
        }
    }
    let now = app.clock.now();
    let rows = page.hits.into_iter().map(|hit| row(&ws, hit, now, &zone)).collect();
    if hx.is_partial() {
        return html::fragment(&Rows { rows, next });
    }
    let (is_search, kind) = (!q.is_empty(), kind.to_owned());
    let asking = ws.read(|snap| asking::of(&ws, snap, &who, &q))?;
    html::page(&Show {
        shell,
        q,
        kind,
        kinds: tabs,
        rows,
        next,
        said: message,
        asked: is_search,
        asking,
    })
}

/// Adds matching pages of HQ at the end of the first page.
fn add_places(
    (who, off): (&Person, &Off),
    q: &str,
    (only, skip): (Option<Kind>, usize),
    page: &mut Page,
) {
    let Some(wanted) = Wanted::of(q) else { return };
    let fits: Vec<_> =
        places::pages(who, off).into_iter().filter(|one| one.fits(&wanted)).collect();
    if fits.is_empty() {
        return;
    }
    page.counts.push((Kind::Page, fits.len() as u64));
    if skip == 0 && only.is_none_or(|only| only == Kind::Page) {
        page.hits.extend(fits.into_iter().map(|place| Hit::page(place, Some(&wanted))));
    }
}

/// Moves a record with exactly this name to the front.
fn add_named(named: Option<Hit>, page: &mut Page) {
    let Some(hit) = named else { return };
    match page.hits.iter().position(|other| other.path == hit.path) {
        Some(at) => page.hits[..=at].rotate_right(1),
        None => {
            match page.counts.iter_mut().find(|(kind, _)| *kind == hit.kind) {
                Some((_, count)) => *count += 1,
                None => page.counts.push((hit.kind, 1)),
            }
            page.hits.insert(0, hit);
        }
    }
}

fn tab(ws: &Ws, q: &str, kind: Option<Kind>, (only, count): (Option<Kind>, u64)) -> Tab {
    let (label, word) = kind.map_or(("Everything", ""), |kind| (kind.label(), kind.word()));
    Tab::new(label, address(ws, q, word, 0), only == kind).count(count)
}

fn row(ws: &Ws, hit: Hit, now: Timestamp, zone: &TimeZone) -> Row {
    let at = Timestamp::from_second(hit.at).ok().filter(|at| 0 < at.as_second());
    Row {
        glyph: hit.glyph(),
        state: hit.state,
        kind: hit.kind.word(),
        href: ws.url(&hit.path),
        title: hit.marked,
        meta: hit.meta,
        snippet: hit.snippet,
        at: at.map(|at| RelTime::new(at, now, zone)),
        archived: hit.archived,
        face: hit.face,
    }
}

fn summary(page: &Page, q: &str) -> String {
    if let Some(records) = page.building {
        return format!(
            "The search index is being built ({} so far). Some results are missing until it’s \
             done.",
            format::count(records, "record", "records")
        );
    }
    if page.guessed && !page.hits.is_empty() {
        return format!("Few exact matches for “{q}”; these are close.");
    }
    String::new()
}

// ── The palette ──

#[derive(Default, Deserialize)]
#[serde(default)]
struct SearchForm {
    q: String,
    /// Recently opened addresses of the workspace, newest first, separated by commas.
    seen: String,
}

#[derive(Template)]
#[template(path = "finder/_palette.html")]
struct Palette {
    offer: Offer,
}

async fn offered(
    ws: Ws,
    who: Person,
    Query(form): Query<SearchForm>,
) -> Result<Response, PageError> {
    let offer = palette::offer(&ws, &who, &form.q, &form.seen).await?;
    html::fragment(&Palette { offer })
}
