//! The memory of an agent: read, search and correct its notes.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::editing::EditError;
use features::agents::memory::{self, LASTING, MemoryError, Note, Searched};
use features::agents::queries::head::{self, Head, Place};
use features::runs::model::{Place as Written, Run};
use features::runs::queries::taint;
use kernel::{Can, Problem as _, ProblemKind};
use store::{Read, ReadExt, StoreError};
use tool::rank::Query as Words;
use web::error::PageError;
use web::extract::{Form, Path, Query};
use web::flash;
use web::format::{self, query_value};
use web::html::{self, SafeHtml};
use web::hx::Hx;
use web::md;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;

use super::{When, find};
use crate::agents::at::At;

/// Number of search results of each kind.
const SHOWN: usize = 12;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct MemoryPageParams {
    /// A memory file.
    path: String,
    /// Search text.
    q: String,
    /// Non-empty to edit the file.
    edit: String,
}

/// A file in the list.
struct Row {
    name: String,
    href: String,
    glyph: &'static str,
    size: String,
    current: bool,
}

/// The displayed or edited file.
struct Open {
    path: String,
    html: SafeHtml,
    text: String,
    hash: String,
    edits: bool,
    /// Addresses for reading and for editing the file.
    here: String,
    edit: String,
    /// Address of the file's history.
    history: String,
    /// The run that wrote the file after reading untrusted content: name and address. `None` once a person has accepted
    /// it.
    waits: Option<(String, String)>,
}

/// A search result.
struct Hit {
    title: String,
    href: String,
    at: Option<RelTime>,
    text: String,
}

/// Search results.
struct Hits {
    notes: Vec<Hit>,
    said: Vec<Hit>,
    /// Notice of what was not searched.
    rest: String,
}

#[derive(Template)]
#[template(path = "agents/memory.html")]
struct MemoryPage {
    shell: Shell,
    head: Head,
    base: String,
    q: String,
    rows: Vec<Row>,
    open: Option<Open>,
    hits: Option<Hits>,
    may: bool,
    /// Whether this person may accept such a file.
    accepts: bool,
    wrong: String,
}

/// `GET /agents/{slug}/memory`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(slug): Path<String>,
    Query(params): Query<MemoryPageParams>,
) -> Result<Response, PageError> {
    page(&ws, &who, shell, &slug, params, None).await
}

/// Rejected text and the error.
type Refused = (String, String);

async fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    slug: &str,
    params: MemoryPageParams,
    refused: Option<Refused>,
) -> Result<Response, PageError> {
    let when = When::of(ws, who);
    let (agent, head) = ws.read(|snap| {
        let agent = find(snap, slug)?;
        let head = head::head(ws, snap, &agent, Place::Memory, who.access, when.now)?;
        Ok::<_, PageError>((agent, head))
    })?;
    let base = format!("{}/memory", head.base);
    let path = if params.path.is_empty() { LASTING } else { params.path.as_str() };
    let notes = memory::list(ws, &agent).await?;
    let words = Words::of(&params.q);
    let rows = rows(&base, &notes, path, words.is_some());
    let may = who.access.may(Can::Agents) && agent.archived_at.is_none();
    let (mut open, mut hits, mut wrong) = (None, None, String::new());
    if let Some(words) = words {
        let today = when.now.to_zoned(when.zone.clone()).date();
        let found = memory::find(ws, &agent, who.account, words, today, SHOWN).await?;
        hits = Some(ws.read(|snap| found_in(snap, ws, &base, found, &when))?);
    } else {
        let read = memory::read(ws, &agent, path).await?;
        let mut text = read.text;
        if let Some((draft, why)) = refused {
            (text, wrong) = (draft, why);
        }
        let (html, edits) = (md::plain(&text), may && !params.edit.is_empty());
        let here = format!("{base}?path={}", query_value(path));
        let edit = format!("{here}&edit=1");
        let history = format!("{}/history?path={}", head.base, query_value(path));
        let (path, hash) = (path.to_owned(), read.hash);
        let written = Written::File { agent: agent.id, path: path.clone() };
        let writer = ws.read(|snap| taint::writer(snap, &written))?;
        let waits = writer.map(|run| {
            let href = ws.url(&format!("runs/{run}"));
            (run, href)
        });
        open = Some(Open { path, html, text, hash, edits, here, edit, history, waits });
    }
    let (q, accepts) = (params.q, who.access.may(Can::Approve));
    html::page(&MemoryPage { shell, head, base, q, rows, open, hits, may, accepts, wrong })
}

fn rows(base: &str, notes: &[Note], path: &str, searched: bool) -> Vec<Row> {
    let row = |path_of: &str, bytes: Option<u64>| Row {
        name: match path_of.strip_prefix("memory/") {
            Some(name) => name.trim_end_matches(".md").to_owned(),
            None => "Long-term".to_owned(),
        },
        href: format!("{base}?path={}", query_value(path_of)),
        glyph: if path_of == LASTING { "book" } else { "calendar" },
        size: bytes.map_or_else(String::new, format::size),
        current: !searched && path_of == path,
    };
    let mut rows: Vec<Row> = notes.iter().map(|note| row(&note.path, Some(note.bytes))).collect();
    if notes.iter().all(|note| note.path != LASTING) {
        rows.insert(0, row(LASTING, None));
    }
    rows
}

fn found_in(
    tx: &dyn Read,
    ws: &Ws,
    base: &str,
    found: Searched,
    when: &When,
) -> Result<Hits, StoreError> {
    let notes = found.notes.into_iter().map(|one| Hit {
        title: format!("{}, line {}", one.path, one.passage.from),
        href: format!("{base}?path={}", query_value(&one.path)),
        at: None,
        text: one.passage.text,
    });
    let unseen = found.messages.unseen();
    let mut messages = Vec::new();
    for hit in found.messages.hits {
        let run = match hit.run {
            Some(run) => tx.get::<Run>(run)?,
            None => None,
        };
        let Some(run) = run else { continue };
        let step = hit.n.saturating_sub(run.first_event) + 1;
        messages.push(Hit {
            title: if hit.by.is_some() { "Your message" } else { "Agent’s message" }.to_owned(),
            href: ws.url(&format!("runs/{}#s-{step}", run.name())),
            at: Some(when.at(hit.at)),
            text: hit.text,
        });
    }
    let rest = match unseen {
        Some((what, until)) => {
            format!("{what} before {} weren’t searched.", when.at(until).exact)
        }
        None => String::new(),
    };
    Ok(Hits { notes: notes.collect(), said: messages, rest })
}

#[derive(Deserialize)]
pub(super) struct MemoryForm {
    path: String,
    hash: String,
    text: String,
}

/// Whether the form can fix the error; the form then keeps the text.
fn is_of_form(error: &EditError) -> bool {
    matches!(
        error.kind(),
        ProblemKind::Conflict | ProblemKind::Invalid | ProblemKind::TooLarge | ProblemKind::Full
    )
}

/// `POST /agents/{slug}/memory`
pub(super) async fn save(
    app: App,
    at: At<PageError>,
    shell: Shell,
    hx: Hx,
    Form(form): Form<MemoryForm>,
) -> Result<Response, PageError> {
    let MemoryForm { path, hash, text } = form;
    let hand = at.hand();
    match memory::write(hand, &path, (text.clone(), &hash)).await {
        Ok(_) => {
            let base = at.ws.url(&format!("agents/{}/memory", at.agent.slug));
            let url = format!("{base}?path={}", query_value(&path));
            Ok(flash::say(&app, Flash::ok(format!("Saved {path}.")), hx.go_to(&url)))
        }
        Err(MemoryError::Edit(error)) if is_of_form(&error) => {
            let params =
                MemoryPageParams { path, edit: "1".to_owned(), ..MemoryPageParams::default() };
            page(&at.ws, &at.who, shell, &at.agent.slug, params, Some((text, error.to_string())))
                .await
        }
        Err(error) => Err(error.into()),
    }
}
