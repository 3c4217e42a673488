//! Versions of an item's text: diffs and restoring.

use std::collections::BTreeSet;

use askama::Template;
use axum::response::Response;

use app::{App, Ws};
use features::deliverables::queries::diff::{self, Line};
use features::tasks::queries::view_context::ViewContext;
use kernel::Cause;
use serde::Deserialize;
use store::{Read, ReadExt as _};
use web::error::PageError;
use web::extract::{Form, Path2, Query};
use web::hx::Hx;
use web::parts::{Choice, Face};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;
use web::{flash, html};

use super::acts::{done, not_done};
use super::sheet;
use crate::error::KnowledgeError;
use crate::model::{Body, Item, KnowledgeId, Text, Version};
use crate::queries;
use crate::rules;
use crate::words;

/// Number of versions listed beside an item.
const SHOWN: usize = 30;
/// Number of versions offered for comparison.
const CHOICES: usize = 100;

pub(super) struct VersionLine {
    pub(super) by: Face,
    pub(super) at: RelTime,
    pub(super) reason: String,
    /// Address of the agent's run that wrote it.
    pub(super) run: String,
    /// Numbers of added and removed words; `None` if not compared.
    pub(super) words: Option<(usize, usize)>,
    pub(super) href: String,
    pub(super) current: bool,
    /// The mark; may be empty.
    pub(super) mark: String,
}

/// The versions of an item, the current one first: the latest, or all marked ones.
pub(super) fn lines(
    scene: &ViewContext,
    read: &dyn Read,
    item: &Item,
    (body, marked): (Option<&Body>, bool),
) -> Result<Vec<VersionLine>, KnowledgeError> {
    let Some(body) = body else { return Ok(Vec::new()) };
    let marks = queries::marks(read, item.id)?;
    let mark = |n: u32| marks.name(n).unwrap_or_default().to_owned();
    let former = match marked {
        true => queries::marked(read, item.id)?,
        false => queries::versions(read, item.id, SHOWN)?,
    };
    let base = scene.ws.url(&format!("knowledge/{}/versions", item.id));
    let run = |cause: Cause| -> Result<String, KnowledgeError> {
        let Cause::Step(run, _) = cause else { return Ok(String::new()) };
        let run: Option<features::runs::model::Run> = read.get(run)?;
        Ok(run.map(|run| scene.run_href(run.number)).unwrap_or_default())
    };
    // Long texts are stored as blobs and compared only on the version's page.
    let words = |new: &Text, old: Option<&Text>| match (new, old) {
        // Marked versions need not be adjacent.
        _ if marked => None,
        (Text::Inline(new), Some(Text::Inline(old))) => Some(diff::words(&diff::changes(old, new))),
        (Text::Inline(new), None) => Some((new.split_whitespace().count(), 0)),
        _ => None,
    };
    let mut lines = vec![VersionLine {
        by: scene.people.actor(body.by),
        at: scene.time(body.written_at),
        reason: body.reason.clone(),
        run: run(body.cause)?,
        words: words(&body.text, former.first().map(|old| &old.text)),
        href: format!("{base}/{}", body.n),
        current: true,
        mark: mark(body.n),
    }];
    for (at, one) in former.iter().enumerate() {
        if one.n >= body.n {
            continue;
        }
        lines.push(VersionLine {
            by: scene.people.actor(one.by),
            at: scene.time(one.at),
            reason: one.reason.clone(),
            run: run(one.cause)?,
            words: words(&one.text, former.get(at + 1).map(|old| &old.text)),
            href: format!("{base}/{}", one.n),
            current: false,
            mark: mark(one.n),
        });
    }
    lines.retain(|one| !marked || !one.mark.is_empty());
    Ok(lines)
}

#[derive(Template)]
#[template(path = "knowledge/version.html", blocks = [])]
struct VersionPage {
    shell: Shell,
    sheet: &'static str,
    base: String,
    list_url: String,
    title: String,
    n: u32,
    by: Face,
    at: RelTime,
    reason: String,
    /// The versions to compare with.
    others: Vec<Choice>,
    lines: Vec<Line>,
    words: (usize, usize),
    text: String,
    current: bool,
    may_write: bool,
    /// The mark; may be empty.
    mark: String,
}

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemVersionsParams {
    /// The version to compare with; the previous one if empty.
    against: String,
}

/// A version with its diff.
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path2(name, n): Path2<String, u32>,
    Query(params): Query<ItemVersionsParams>,
) -> Result<Response, PageError> {
    let page = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let scene = ViewContext::new(ws, &who, snap)?;
                let item = queries::item(snap, &name, None)?;
                page(&scene, snap, shell, (&item, n, params.against.parse().ok()))
            })
        })
        .await?;
    html::page(&page)
}

fn page(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    (item, n, against): (&Item, u32, Option<u32>),
) -> Result<VersionPage, KnowledgeError> {
    let body: Body = read.get(item.id)?.ok_or_else(|| KnowledgeError::no("page", &item.title))?;
    let former = former(read, item, n)?;
    let current = former.is_none() && body.n == n;
    let (text, by, at, reason) = match &former {
        Some(one) => (&one.text, one.by, one.at, &one.reason),
        None if current => (&body.text, body.by, body.written_at, &body.reason),
        None => return Err(KnowledgeError::no("version", &n.to_string())),
    };
    let text = text.read(&scene.ws.blobs).map_err(|error| KnowledgeError::disk(&error))?;
    let old = match against.unwrap_or(n.saturating_sub(1)) {
        0 => String::new(),
        other => match queries::said_in(read, &scene.ws.blobs, (item.id, other)) {
            // The previous version may no longer be stored.
            Err(KnowledgeError::NotFound { .. }) if against.is_none() => String::new(),
            result => result?,
        },
    };
    let mut others = vec![Choice::new("", "Previous version", against.is_none())];
    let marks = queries::marks(read, item.id)?;
    let last = queries::versions(read, item.id, CHOICES)?;
    // Marked versions may be older than the latest ones.
    let known = last.iter().map(|one| one.n).chain(marks.marks.iter().map(|mark| mark.n));
    let known: BTreeSet<u32> = known.filter(|n| *n < body.n).chain([body.n]).collect();
    others.extend(known.into_iter().rev().filter(|one| *one != n).map(|one| {
        let label = match marks.name(one) {
            Some(name) => format!("Version {one}, {name}"),
            None => format!("Version {one}"),
        };
        Choice::new(one.to_string(), label, against == Some(one))
    }));
    let lines = diff::changes(&old, &text);
    Ok(VersionPage {
        shell,
        sheet: sheet(),
        base: scene.ws.url(&format!("knowledge/{}", item.id)),
        list_url: scene.ws.url("knowledge"),
        title: item.title.clone(),
        n,
        by: scene.people.actor(by),
        at: scene.time(at),
        reason: reason.clone(),
        others,
        mark: marks.name(n).unwrap_or_default().to_owned(),
        words: diff::words(&lines),
        lines,
        text,
        current,
        may_write: scene.may_write && item.archived_at.is_none(),
    })
}

/// A former version; `None` for the current one.
fn former(read: &dyn Read, item: &Item, n: u32) -> Result<Option<Version>, KnowledgeError> {
    let now: Option<Body> = read.get(item.id)?;
    match now {
        Some(body) if body.n == n => Ok(None),
        _ => Ok(queries::version(read, item.id, n)?),
    }
}

/// Restores a former version; the current text becomes a version.
pub(super) async fn restore(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(name, n): Path2<String, u32>,
) -> Result<Response, PageError> {
    let id = words::restore(&ws, &who, &name, n).await?;
    let at = ws.url(&format!("knowledge/{id}"));
    Ok(flash::say(&app, Flash::ok(format!("Restored version {n}")), hx.go_to(&at)))
}

/// The form of a mark.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MarkForm {
    name: String,
    /// Non-empty to remove the mark.
    remove: String,
}

/// Sets or removes the mark of a version.
pub(super) async fn mark(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, n): Path2<KnowledgeId, u32>,
    Form(form): Form<MarkForm>,
) -> Result<Response, PageError> {
    let goes = !form.remove.is_empty();
    let at = ws.url(&format!("knowledge/{id}/versions/{n}"));
    let marked = ws
        .write(&who, move |tx| {
            match goes {
                true => rules::unmark(tx, id, n)?,
                false => {
                    rules::mark(tx, id, (n, &form.name))?;
                }
            }
            // ok: without a change there is nothing to undo.
            Ok::<_, KnowledgeError>(tx.seq().ok())
        })
        .await;
    let entry = match marked {
        Ok(entry) => entry,
        Err(error) => return not_done(&app, &hx, error, &at),
    };
    let words = match goes {
        true => format!("Removed the mark of version {n}"),
        false => format!("Marked version {n}"),
    };
    Ok(flash::say(&app, done(&ws, words, entry), hx.go_to(&at)))
}
