//! Suggestions of agents for shared items, each with its diff, to accept or dismiss.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::deliverables::queries::diff::{self, Line};
use features::runs::model::Run;
use features::tasks::queries::view_context::ViewContext;
use store::{Read, ReadExt as _};
use web::error::PageError;
use web::extract::{Form, Path2};
use web::hx::Hx;
use web::live::Live;
use web::parts::Face;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;
use web::{flash, html, path_words};

use super::acts::not_done;
use super::sheet;
use crate::error::KnowledgeError;
use crate::model::{BODIES, ITEMS, KnowledgeSuggestionId, SUGGESTIONS};
use crate::rules;
use crate::suggested::{self, Shown};

struct Change {
    id: String,
    /// Revision of the displayed suggestion.
    rev: u64,
    kind: &'static str,
    /// Title and address of the item.
    title: String,
    href: String,
    /// The new title; empty if unchanged.
    new_title: String,
    /// The new tags; `None` if unchanged.
    new_tags: Option<String>,
    face: Face,
    at: RelTime,
    reason: String,
    /// Name and address of the run.
    run: Option<(String, String)>,
    lines: Vec<Line>,
    words: (usize, usize),
    clash: bool,
    archived: bool,
}

#[derive(Template)]
#[template(path = "knowledge/suggested.html")]
struct SuggestedPage {
    shell: Shell,
    sheet: &'static str,
    live: Live,
    base: String,
    list_url: String,
    review_url: String,
    changes: Vec<Change>,
    /// Number of suggestions that are not shown.
    more: usize,
    may_write: bool,
}

web::region!(SuggestedPage, as_rows, SuggestedRows, "knowledge/suggested-rows.html");

/// `GET /knowledge/suggestions`
pub(super) async fn index(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
) -> Result<Response, PageError> {
    let page = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let scene = ViewContext::new(ws, &who, snap)?;
                let (all, more) = suggested::all(&ws.blobs, snap)?;
                let changes = all.into_iter().map(|one| change(&scene, snap, one));
                let base = ws.url("knowledge/suggestions");
                Ok::<_, KnowledgeError>(SuggestedPage {
                    shell,
                    sheet: sheet(),
                    live: Live::new(base.as_str())
                        .tables(&[SUGGESTIONS.name, BODIES.name, ITEMS.name])
                        .debounced(),
                    base,
                    list_url: ws.url("knowledge"),
                    review_url: ws.url("review"),
                    changes: changes.collect::<Result<_, _>>()?,
                    more,
                    may_write: scene.may_write,
                })
            })
        })
        .await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn change(scene: &ViewContext, read: &dyn Read, shown: Shown) -> Result<Change, KnowledgeError> {
    let Shown { one, rev, item, words, clash } = shown;
    let run = match one.by.run() {
        Some(id) => read.get::<Run>(id)?,
        None => None,
    };
    let lines = words.map(|(now, then)| diff::changes(&now, &then)).unwrap_or_default();
    let is_renamed = one.title != one.title_base && one.title != item.title;
    Ok(Change {
        id: one.id.to_string(),
        rev,
        kind: item.kind.label(),
        href: scene.ws.url(&format!("knowledge/{}", item.id)),
        new_title: if is_renamed { one.title } else { String::new() },
        new_tags: one.tags.map(|tags| tags.join(", ")),
        title: item.title,
        face: scene.people.actor(one.by),
        at: scene.time(one.created_at),
        reason: one.reason,
        run: run.map(|run| (run.name(), scene.run_href(run.number))),
        words: diff::words(&lines),
        lines,
        clash,
        archived: item.archived_at.is_some(),
    })
}

path_words! {
    /// What a person makes of one.
    pub(super) Decision {
        Take = "take",
        Dismiss = "dismiss",
    }
}

/// The form of a decision.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Looked {
    /// Revision of the displayed suggestion.
    rev: Option<u64>,
}

/// Accepts or dismisses a suggestion.
pub(super) async fn decide(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, decision): Path2<KnowledgeSuggestionId, Decision>,
    Form(looked): Form<Looked>,
) -> Result<Response, PageError> {
    let at = ws.url("knowledge/suggestions");
    let done = match decision {
        Decision::Take => suggested::take(&ws, &who, id, looked.rev).await,
        Decision::Dismiss => ws.write(&who, move |tx| rules::dismiss(tx, id)).await,
    };
    let words = match (done, decision) {
        (Ok(one), Decision::Take) => format!("Accepted the change to {}", one.title),
        (Ok(one), Decision::Dismiss) => format!("Dismissed the change to {}", one.title),
        (Err(error), _) => return not_done(&app, &hx, error, &at),
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at)))
}
