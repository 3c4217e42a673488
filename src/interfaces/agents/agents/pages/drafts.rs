//! Drafts of agents' identity files that their programs wrote: accept, edit or refuse.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::drafts;
use features::agents::editing::EditError;
use features::agents::files::FilesError;
use features::agents::queries::drafts::{self as waiting, Draft};
use features::agents::queries::{self as agents, Called};
use features::runs::queries::questions;
use kernel::{Can, Problem as _, ProblemKind};
use tool::diff;
use web::error::PageError;
use web::extract::{Form, Path2};
use web::flash;
use web::form::sentence;
use web::format::query_value;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::Face;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::sse::AGENT_FILES;
use web::time::RelTime;

use super::When;
use crate::agents::at::At;

/// Path below the workspace.
const HERE: &str = "drafts";

/// A draft as a card.
struct Card {
    face: Face,
    name: &'static str,
    /// The diff; empty for a binary file.
    diff: Vec<diff::Line>,
    /// Hash of the content that the person has read; empty for a binary file.
    hash: String,
    /// The run that wrote the draft: name and address.
    run: Option<(String, String)>,
    program: String,
    at: Option<RelTime>,
    /// Address of "edit".
    edit: String,
    /// Base address of the decision.
    action: String,
}

#[derive(Template)]
#[template(path = "agents/drafts.html")]
struct DraftsPage {
    shell: Shell,
    live: Live,
    review_url: String,
    cards: Vec<Card>,
    /// Whether this person may decide.
    may: bool,
}

web::region!(DraftsPage, as_all, DraftsAll, "agents/drafts-all.html");

/// `GET /drafts`
pub(super) async fn show(ws: Ws, who: Person, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let (may, when) = (who.access.may(Can::Agents), When::of(&ws, &who));
    let cards = ws.read_blocking(move |ws| cards(ws, &who, &when)).await?;
    let live = Live::new(ws.url(HERE)).tables(&["agents", "runs", AGENT_FILES]).debounced();
    let page = DraftsPage { shell, live, review_url: ws.url("review"), cards, may };
    match hx.is_partial() {
        true => html::fragment(&page.as_all()),
        false => html::page(&page),
    }
}

fn cards(ws: &Ws, who: &Person, when: &When) -> Result<Vec<Card>, FilesError> {
    ws.read(|snap| {
        let all = agents::all(snap)?;
        let called = Called::among(&all);
        let mut cards = Vec::new();
        for agent in &all {
            for draft in waiting::of(ws, snap, agent, who)? {
                let base = ws.url(&format!("agents/{}", agent.slug));
                cards.push(card(ws, when, (called.face(agent), &base), draft));
            }
        }
        Ok(cards)
    })
}

fn card(ws: &Ws, when: &When, (face, base): (Face, &str), draft: Draft) -> Card {
    let maker = draft.maker.as_ref();
    Card {
        face,
        name: draft.name,
        diff: diff::lines(&questions::laid_open(&draft.diff())),
        run: maker.map(|maker| {
            let name = maker.run.name();
            let href = ws.url(&format!("runs/{name}"));
            (name, href)
        }),
        program: maker.map(|maker| questions::laid_open(&maker.program)).unwrap_or_default(),
        at: maker.map(|maker| when.at(maker.at)),
        edit: format!("{base}/files?path={}&act=edit", query_value(&draft.path)),
        action: format!("{base}/drafts/{}", draft.name),
        hash: draft.text.map(|(_, hash)| hash).unwrap_or_default(),
    }
}

/// Hash of the draft that was read.
#[derive(Deserialize)]
pub(super) struct Chosen {
    hash: String,
}

/// `POST /agents/{slug}/drafts/{name}/accept`
pub(super) async fn accept(
    app: App,
    at: At<PageError>,
    hx: Hx,
    Path2(_, name): Path2<String, String>,
    Form(Chosen { hash }): Form<Chosen>,
) -> Result<Response, PageError> {
    let taken = drafts::take(at.hand(), &name, &hash).await;
    let flash = to_flash(
        taken,
        format!(
            "Accepted the change to {name}. It applies from the next \
        turn."
        ),
    )?;
    Ok(flash::say(&app, flash, hx.go_to(&at.ws.url(HERE))))
}

/// `POST /agents/{slug}/drafts/{name}/refuse`
pub(super) async fn refuse(
    app: App,
    at: At<PageError>,
    hx: Hx,
    Path2(_, name): Path2<String, String>,
) -> Result<Response, PageError> {
    let refused = drafts::refuse(at.hand(), &name).await;
    let flash = to_flash(
        refused,
        format!(
            "Rejected. {name} is unchanged and the draft is in the \
        history."
        ),
    )?;
    Ok(flash::say(&app, flash, hx.go_to(&at.ws.url(HERE))))
}

/// The notice for a decision, or for an error that a person can fix.
fn to_flash(done: Result<(), EditError>, words: String) -> Result<Flash, PageError> {
    match done {
        Ok(()) => Ok(Flash::ok(words)),
        Err(error) => match error.kind() {
            ProblemKind::Conflict | ProblemKind::Invalid | ProblemKind::TooLarge => {
                Ok(Flash::danger(sentence(&error.to_string())))
            }
            _ => Err(error.into()),
        },
    }
}
