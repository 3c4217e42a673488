//! Pages of conversions: the preview, and the progress.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use entity::{Column, Kind};
use features::tasks::queries::view_context::ViewContext;
use kernel::{Can, Problem as _, ProblemKind};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::flash;
use web::html;
use web::hx::Hx;
use web::idempotency::Once;
use web::live::Live;
use web::parts::Choice;
use web::path_words;
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

use super::{ConversionRequest, Example, Foreseen, describe, foresee, start, take_back};
use crate::error::CrmError;
use crate::import::pages::{StayedLine, stayed_line};
use crate::model::back::Turn;
use crate::model::{Cast, ConversionId, Home, ImportState};
use crate::pages::{home_of, word_of};
use crate::pieces;
use crate::rules;

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/fields/{key}/kind", ask.needs(Can::Write))
        .post("/settings/fields/{key}/kind", convert.needs(Can::Write))
        .get("/settings/conversions/{id}", show.needs(Can::Read))
        .post("/settings/conversions/{id}/{verb}", turn.needs(Can::Write))
}

/// Parameters of a form: the field and its new kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ConversionParams {
    of: String,
    kind: String,
}

struct ExampleLine {
    title: String,
    href: String,
    old: String,
    new: String,
}

#[derive(Template)]
#[template(path = "crm/convert.html")]
struct AskPage {
    shell: Shell,
    action: String,
    fields_url: String,
    of: String,
    label: String,
    kind_label: &'static str,
    kinds: Vec<Choice>,
    /// The previewed kind; empty if none.
    kind: String,
    to_label: &'static str,
    counts: Cast,
    rows: usize,
    new_choices: Vec<(String, String)>,
    other: Vec<ExampleLine>,
    lost: Vec<ExampleLine>,
    error: String,
}

/// The column with the preview of its conversion.
type Seen = (Column, Option<Result<Foreseen, CrmError>>);

async fn ask(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(key): Path<String>,
    Query(params): Query<ConversionParams>,
) -> Result<Response, PageError> {
    let page = asked_page((ws, who, shell), key, params, String::new()).await?;
    html::page(&page)
}

/// The request of a form; `None` while no kind is chosen.
fn wish(home: Home, key: &str, params: &ConversionParams) -> Option<ConversionRequest> {
    let kind = Kind::of(&params.kind)?;
    Some(ConversionRequest { home, key: key.to_owned(), kind })
}

async fn asked_page(
    (ws, who, shell): (Ws, Person, Shell),
    key: String,
    params: ConversionParams,
    error: String,
) -> Result<AskPage, CrmError> {
    ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let scene = ViewContext::new(ws, &who, snap)?;
            let home = home_of(snap, &params.of)?;
            let column = rules::convertible(snap, (home, &key))?;
            let seen = wish(home, &key, &params).map(|wish| foresee(snap, &who, &wish));
            Ok(page((&scene, shell), (home, &params), (column, seen), error))
        })
    })
    .await
}

fn page(
    (scene, shell): (&ViewContext, Shell),
    (home, params): (Home, &ConversionParams),
    (column, seen): Seen,
    mut error: String,
) -> AskPage {
    let fields = scene.ws.url("settings/fields");
    let of = word_of(home);
    let seen = match seen {
        Some(Ok(seen)) => Some(seen),
        Some(Err(why)) => {
            if error.is_empty() {
                error = web::form::sentence(&why.to_string());
            }
            None
        }
        None => None,
    };
    let line = |one: &Example| ExampleLine {
        title: one.title.clone(),
        href: scene.ws.url(&one.path),
        old: one.old.clone(),
        new: one.new.clone(),
    };
    let lines = |all: fn(&Foreseen) -> &[Example]| {
        seen.as_ref().map_or_else(Vec::new, |seen| all(seen).iter().map(line).collect())
    };
    let kinds = Kind::CONVERTIBLE.iter().filter(|kind| **kind != column.kind);
    let is_new = |seen: &&Foreseen| seen.column.choices.is_empty();
    AskPage {
        action: format!("{fields}/{}/kind", column.key),
        fields_url: format!("{fields}?of={of}#field-{}", column.key),
        kinds: kinds
            .map(|one| Choice::new(one.word(), one.label(), one.word() == params.kind))
            .collect(),
        kind: seen.as_ref().map_or_else(String::new, |seen| seen.to.kind.word().to_owned()),
        to_label: seen.as_ref().map_or("", |seen| seen.to.kind.label()),
        counts: seen.as_ref().map(|seen| seen.counts).unwrap_or_default(),
        rows: seen.as_ref().map_or(0, |seen| seen.rows.len()),
        new_choices: seen.as_ref().filter(is_new).map_or_else(Vec::new, |seen| {
            let chip = |one: &entity::Choice| (web::ink::named(one.colour), one.label.clone());
            seen.to.choices.iter().map(chip).collect()
        }),
        other: lines(|seen| &seen.other),
        lost: lines(|seen| &seen.lost),
        kind_label: column.kind.label(),
        label: column.label,
        of,
        error,
        shell,
    }
}

async fn convert(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(key): Path<String>,
    Form(form): Form<ConversionParams>,
) -> Result<Response, PageError> {
    let home = ws.read(|snap| home_of(snap, &form.of))?;
    let done = match wish(home, &key, &form) {
        Some(wish) => start(&ws, &who, wish, Once::without_key()).await,
        None => Err(CrmError::field("kind", "Choose a kind.")),
    };
    match done {
        Ok(one) => Ok(hx.go_to(&ws.url(&format!("settings/conversions/{}", one.id)))),
        Err(error) if error.kind() == ProblemKind::Invalid => {
            let says = web::form::sentence(&error.to_string());
            let page = asked_page((ws, who, shell), key, form, says).await?;
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "crm/conversion.html")]
struct ShowPage {
    shell: Shell,
    live: Live,
    base: String,
    fields_url: String,
    label: String,
    from: &'static str,
    to: &'static str,
    running: bool,
    said: String,
    share: u8,
    stayed: Vec<StayedLine>,
    more_stayed: usize,
    can_undo: bool,
    can_redo: bool,
}

web::region!(ShowPage, as_state, ShowState, "crm/conversion-state.html");

async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<ConversionId>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let one = rules::conversion_of(snap, id)?;
        let base = ws.url(&format!("settings/conversions/{id}"));
        let turns = one.state == ImportState::Undoing;
        let running = one.state == ImportState::Running || turns;
        let is_undone = one.state == ImportState::Undone;
        let share = one.next.saturating_mul(100).checked_div(one.rows).unwrap_or(100);
        let share = if turns { u32::from(pieces::turned(&one.entries)) } else { share };
        Ok::<_, CrmError>(ShowPage {
            shell,
            live: Live::new(base.clone()).record("conversions", id),
            base,
            fields_url: ws.url(&format!("settings/fields?of={}", word_of(one.home))),
            from: one.from.kind.label(),
            to: one.to.kind.label(),
            running,
            said: describe(&one),
            share: u8::try_from(share).unwrap_or(100),
            stayed: one.stayed.iter().map(|stayed| stayed_line((&scene, snap), stayed)).collect(),
            more_stayed: {
                let kept = u64::from(one.kept) + u64::from(one.kept_fields);
                usize::try_from(kept).unwrap_or(usize::MAX).saturating_sub(one.stayed.len())
            },
            can_undo: scene.may_write && !running && !is_undone && !one.entries.is_empty(),
            can_redo: scene.may_write && is_undone && !one.entries.is_empty(),
            label: one.label,
        })
    })?;
    match hx.is_partial() {
        true => html::fragment(&page.as_state()),
        false => html::page(&page),
    }
}

path_words! {
    /// Which way a conversion goes that is over.
    Verb {
        Undo = "undo",
        Redo = "redo",
    }
}

async fn turn(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, verb): Path2<ConversionId, Verb>,
) -> Result<Response, PageError> {
    let turn = match verb {
        Verb::Undo => Turn::Back,
        Verb::Redo => Turn::Forth,
    };
    let one = take_back(&ws, &who, (id, turn), Once::without_key()).await?;
    let at = ws.url(&format!("settings/conversions/{id}"));
    Ok(flash::say(&app, Flash::ok(describe(&one)), hx.go_to(&at)))
}
