//! All suggestions for values that people wrote: by run, to accept or dismiss, singly or together.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::runs::model::Run;
use features::tasks::queries::view_context::ViewContext;
use kernel::Actor;
use store::{Read, ReadExt as _};
use web::error::PageError;
use web::extract::{Form, Path};
use web::hx::{Ask, Hx};
use web::live::Live;
use web::parts::{Face, Tone};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, format, html};

use super::acts::Decision;
use super::draw::{self, Suggested};
use super::{Look, row_url};
use crate::columns::ByHome;
use crate::error::CrmError;
use crate::model::{RowKind, SUGGESTIONS, Suggestion, SuggestionId};
use crate::queries::{self, MOST_SUGGESTED};
use crate::rules::{self, Decided};

struct Line {
    name: String,
    href: String,
    label: String,
    /// The current value.
    was: String,
    suggested: Suggested,
}

/// The suggestions of one run, or of one agent without a run.
struct Group {
    by: Actor,
    face: Face,
    /// Name and address of the run.
    run: Option<(String, String)>,
    /// Suggestion ids for the form that decides on all.
    ids: String,
    lines: Vec<Line>,
}

#[derive(Template)]
#[template(path = "crm/suggested.html")]
struct SuggestedPage {
    shell: Shell,
    live: Live,
    groups: Vec<Group>,
    base: String,
    review_url: String,
    may_write: bool,
    /// How many are not shown.
    more: usize,
}

web::region!(SuggestedPage, as_rows, SuggestedRows, "crm/suggested-rows.html");

/// The page of all suggestions.
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
                let (groups, more) = groups(&scene, snap)?;
                Ok::<_, CrmError>(SuggestedPage {
                    shell,
                    live: Live::new(ws.url("suggestions"))
                        .table("suggestions")
                        .table("fields")
                        .debounced(),
                    groups,
                    base: ws.url("suggestions"),
                    review_url: ws.url("review"),
                    may_write: scene.may_write,
                    more,
                })
            })
        })
        .await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

/// The suggestions by run, newest first, and how many are not shown.
fn groups(scene: &ViewContext, read: &dyn Read) -> Result<(Vec<Group>, usize), CrmError> {
    let (all, more) = queries::suggested(read)?;
    let (mut looks, mut groups) = (ByHome::new(), Vec::<Group>::new());
    for one in all {
        let line = line(scene, read, &mut looks, &one)?;
        let Some(line) = line else { continue };
        let at = match groups.iter().position(|group| group.by == one.by) {
            Some(at) => at,
            None => {
                groups.push(group(scene, read, one.by)?);
                groups.len() - 1
            }
        };
        let Some(group) = groups.get_mut(at) else { continue };
        if !group.ids.is_empty() {
            group.ids.push(',');
        }
        group.ids.push_str(&line.suggested.id);
        group.lines.push(line);
    }
    Ok((groups, more))
}

fn group(scene: &ViewContext, read: &dyn Read, by: Actor) -> Result<Group, CrmError> {
    let run = match by.run() {
        Some(id) => read.get::<Run>(id)?,
        None => None,
    };
    Ok(Group {
        by,
        face: scene.people.actor(by),
        run: run.map(|run| (run.name(), scene.run_href(run.number))),
        ids: String::new(),
        lines: Vec::new(),
    })
}

/// The suggestion for a cell; `None` if its field is deleted.
fn line<'r>(
    scene: &ViewContext,
    read: &'r dyn Read,
    looks: &mut ByHome<Look<'r>>,
    one: &Suggestion,
) -> Result<Option<Line>, CrmError> {
    let kind = RowKind::of_table(one.row.table);
    let (row, _) = queries::get_rev(kind, read, one.row.id)?;
    let home = row.home();
    let look = looks.of(home, || Look::new(scene, read, home))?;
    let column = look.columns.iter().find(|column| column.key == one.field);
    let Some(column) = column else { return Ok(None) };
    let was = row.value(&column.key).map(|value| column.shown(value, &look.known));
    Ok(Some(Line {
        name: row.name().to_owned(),
        href: row_url(kind, scene, row.id),
        label: column.label.clone(),
        was: was.unwrap_or_default(),
        suggested: draw::suggested(scene, look, (column, one)),
    }))
}

/// Ids of the suggestions, separated by commas.
#[derive(Debug, Deserialize)]
pub(super) struct Together {
    ids: String,
}

/// Accepts or dismisses several suggestions with one undo. Earlier decisions of others stay.
pub(super) async fn decide_all(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(decision): Path<Decision>,
    Form(together): Form<Together>,
) -> Result<Response, PageError> {
    let ids: Vec<SuggestionId> =
        together.ids.split(',').filter_map(|id| id.trim().parse().ok()).collect();
    if ids.is_empty() || MOST_SUGGESTED < ids.len() {
        return Err(CrmError::Refused(format!("choose 1 to {MOST_SUGGESTED} values")).into());
    }
    let take = decision == Decision::Take;
    let (done, seq) = ws
        .write(&who, move |tx| {
            let done = rules::decide_all(tx, &ids, take)?;
            let seq = if done.count == 0 { None } else { Some(tx.seq()?) };
            Ok::<_, CrmError>((done, seq))
        })
        .await?;
    let words = words(&done, take);
    if hx.is_partial() {
        let ask = Ask::new().changed(SUGGESTIONS.name, "any");
        let ask = match seq {
            Some(seq) => ask.toast_with_undo(&words, &ws.url(&format!("undo/entry/{seq}"))),
            None => ask.toast(Tone::Info, &words),
        };
        return Ok((ask, "").into_response());
    }
    let flash = if done.stayed.is_empty() { Flash::ok(words) } else { Flash::danger(words) };
    Ok(flash::say(&app, flash, hx.go_to(&ws.url("suggestions"))))
}

/// The message about a decision, and about suggestions that stayed.
fn words(done: &Decided, take: bool) -> String {
    let values = format::count(done.count as u64, "value", "values");
    let mut words = match (done.count, take) {
        (0, _) if done.stayed.is_empty() => "Someone has already decided".to_owned(),
        (0, _) => "Nothing accepted".to_owned(),
        (_, true) => format!("Accepted {values}"),
        (_, false) => format!("Dismissed {values}"),
    };
    if let Some(first) = done.stayed.first() {
        let why = &first.why;
        words.push_str(&match done.stayed.len() {
            1 => format!(". 1 left: {why}"),
            n => format!(". {n} left, the first because: {why}"),
        });
    }
    words
}
