//! The page of all budgets: state, changes, and raising a budget a little.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::usage::api::budgets::may_change;
use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries::{self as agents, Called};
use features::history::queries as history;
use features::routines::queries as routines;
use features::streams::queries as streams;
use features::usage::model::budget::{Budget, BudgetWait, SOFT_PCT};
use features::usage::queries::budgets::{self as standing, Level, Standing};
use features::usage::queries::payers::{self, lasting};
use features::usage::queries::purse::notes;
use features::usage::queries::waiting;
use features::usage::rules::budgets::{self, BudgetRequest};
use features::workspace::model::Settings;
use kernel::{Can, Payer, Period, ProblemKind};
use store::{Record as _, Snap, StoreError};
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::form::Wrong;
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Tone};
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

use super::MENU;

const HERE: &str = "settings/usage/budgets";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/settings/usage/budgets", show.needs(Can::Read))
        .post("/settings/usage/budgets", set.needs(Can::Agents))
        .post("/settings/usage/budgets/more", more.needs(Can::Agents))
        .post("/settings/usage/budgets/remove", remove.needs(Can::Agents))
}

/// A budget as a row.
struct Row {
    name: String,
    href: String,
    period: &'static str,
    used: String,
    percent: u8,
    tone: Tone,
    note: String,
    payer: String,
    word: &'static str,
    /// Whether the reader may change it.
    mine: bool,
    /// Label of the button that resumes blocked work; empty if none is blocked.
    more: &'static str,
    /// Address of the history; empty if there is none.
    history: String,
}

struct View {
    live: Live,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct BudgetForm {
    payer: String,
    task: String,
    period: String,
    money: String,
    tokens: String,
    warn: String,
    soft: Option<String>,
    /// Set by a form on a payer's page: redirects back to it.
    back: Option<String>,
}

/// The key of a budget.
#[derive(Deserialize)]
struct Which {
    payer: String,
    period: String,
}

#[derive(Template)]
#[template(path = "usage/budgets.html")]
struct BudgetsPage {
    shell: Shell,
    here: &'static str,
    usage: String,
    manages: bool,
    view: View,
    payers: Vec<Choice>,
    periods: Vec<Choice>,
    v: BudgetForm,
    wrong: Wrong,
}

#[derive(Template)]
#[template(path = "usage/budgets-list.html")]
struct List {
    shell: Shell,
    view: View,
}

async fn show(ws: Ws, who: Person, shell: Shell, hx: Hx) -> Result<Response, PageError> {
    if hx.wants("all-budgets") {
        let view = ws.read(|snap| view(&ws, &who, snap))?;
        return html::fragment(&List { shell, view });
    }
    html::page(&page(&ws, &who, shell, BudgetForm::default(), Wrong::none())?)
}

fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    form: BudgetForm,
    wrong: Wrong,
) -> Result<BudgetsPage, PageError> {
    let (view, people, streams, routines) = ws.read(|snap| {
        let groups = (streams::in_use(snap)?, routines::all(snap)?);
        Ok::<_, StoreError>((view(ws, who, snap)?, agents::all(snap)?, groups.0, groups.1))
    })?;
    let choice = |value: String, label: &str| {
        let chosen = value == form.payer;
        Choice::new(value, label, chosen)
    };
    let mut payers = Vec::new();
    if who.access.may(Can::Admin) {
        payers.push(choice("workspace".to_owned(), "The whole workspace"));
    }
    let called = Called::among(&people);
    payers
        .extend(people.iter().map(|one| choice(format!("agent:{}", one.slug), &called.name(one))));
    for one in &streams {
        payers.push(choice(lasting(Payer::Stream(one.id)), &format!("Stream: {}", one.name)));
    }
    for one in &routines {
        payers.push(choice(lasting(Payer::Routine(one.id)), &format!("Routine: {}", one.name)));
    }
    payers.push(choice("task".to_owned(), "A task and its subtasks"));
    payers.push(choice("run".to_owned(), "One run"));
    let chosen = if form.period.is_empty() { Period::Month.word() } else { &form.period };
    let periods = Period::ALL
        .iter()
        .map(|period| Choice::new(period.word(), period.label(), period.word() == chosen));
    Ok(BudgetsPage {
        here: MENU,
        usage: shell.url("settings/usage"),
        manages: who.access.may(Can::Agents),
        periods: periods.collect(),
        view,
        payers,
        v: form,
        wrong,
        shell,
    })
}

fn view(ws: &Ws, who: &Person, snap: &Snap<'_>) -> Result<View, StoreError> {
    let now = ws.app.clock.now();
    let waits = waiting::all(snap)?;
    let all = standing::standings_of(snap, standing::all(snap)?, now)?;
    let rows = all.into_iter().map(|one| row(ws, who, snap, one, &waits));
    Ok(View {
        live: Live::new(ws.url(HERE))
            .table("budgets")
            .table("usage")
            .table("agents")
            .table("settings")
            .table("streams")
            .table("routines"),
        rows: rows.collect::<Result<_, StoreError>>()?,
    })
}

fn row(
    ws: &Ws,
    who: &Person,
    snap: &Snap<'_>,
    one: Standing,
    waits: &[BudgetWait],
) -> Result<Row, StoreError> {
    let (payer, period) = (one.budget.payer, one.budget.period);
    let handle = payers::handle(snap, payer)?;
    let mine = match payer {
        Payer::Workspace => who.access.may(Can::Admin),
        _ => who.access.may(Can::Agents),
    };
    let needed = waiting::needed(waits, &one.budget);
    let is_hard = one.budget.hard;
    let is_short = |level: Option<Level>, needed: i64| {
        is_hard && level.is_some_and(|level| level.is_short_of(needed))
    };
    let held_up = (is_short(one.micros, needed.0), is_short(one.tokens, needed.1));
    let href = match (payer, handle.split_once(':')) {
        (Payer::Agent(_), Some((_, slug))) => ws.url(&format!("agents/{slug}")),
        (Payer::Task(_), Some((_, key))) => ws.url(&format!("tasks/{key}")),
        (Payer::Run(_), Some((_, name))) => ws.url(&format!("runs/{name}")),
        (Payer::Stream(id), _) => ws.url(&format!("streams/{id}")),
        (Payer::Routine(id), _) => ws.url(&format!("routines/{id}")),
        _ => ws.url("settings/usage"),
    };
    let history = match payer {
        _ if one.budget.is_set() => history::href::<Budget>(ws, one.budget.id()),
        // An agent's monthly budget is stored in the agent, the workspace's in its settings.
        Payer::Agent(id) => history::href::<Agent>(ws, id),
        Payer::Workspace => history::href::<Settings>(ws, ()),
        _ => String::new(),
    };
    Ok(Row {
        name: match payer {
            Payer::Workspace => "The workspace".to_owned(),
            payer => payers::whose(snap, payer)?,
        },
        href,
        period: period.words(),
        used: one.describe(),
        percent: one.share(),
        tone: one.tone(),
        note: notes(&one, waits),
        word: period.word(),
        mine,
        more: match held_up {
            _ if !mine => "",
            (true, _) => "Continue with $2",
            (_, true) => "Continue with 500,000 tokens",
            _ => "",
        },
        payer: handle,
        history,
    })
}

/// Parses the form.
fn read(form: &BudgetForm) -> Result<(String, Option<i64>, Option<i64>, u8), Wrong> {
    let handle = match (form.payer.as_str(), form.task.trim()) {
        ("task", "") => {
            return Err(Wrong::field("task", "enter a task, such as MC-12"));
        }
        ("run", "") => return Err(Wrong::field("task", "enter a run, such as R-7")),
        (kind @ ("task" | "run"), key) => format!("{kind}:{key}"),
        (payer, _) => payer.to_owned(),
    };
    let money = match form.money.trim() {
        "" => None,
        text => Some(format::parse_dollars(text).ok_or_else(|| {
            Wrong::field("money", format!("{}, or leave it empty", format::wanted_dollars()))
        })?),
    };
    let tokens = match form.tokens.trim().replace([' ', ',', '_'], "") {
        text if text.is_empty() => None,
        text => Some(text.parse::<i64>().ok().filter(|count| 0 <= *count).ok_or_else(|| {
            Wrong::field("tokens", "enter a number of tokens, such as 2000000, or leave it empty")
        })?),
    };
    if money.is_none() && tokens.is_none() {
        return Err(Wrong::field("money", "enter a limit in dollars or tokens"));
    }
    let warn = match form.warn.trim() {
        "" => SOFT_PCT,
        text => {
            text.parse().map_err(|_| Wrong::field("warn", "enter a percentage from 1 to 100"))?
        }
    };
    Ok((handle, money, tokens, warn))
}

async fn set(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Form(form): Form<BudgetForm>,
) -> Result<Response, PageError> {
    let wrong = match read(&form) {
        Err(wrong) => wrong,
        Ok((handle, limit_micros, limit_tokens, soft_pct)) => {
            let hard = form.soft.is_none();
            let chosen = may_change(&ws, &who, &handle, &form.period);
            let done = match chosen {
                Ok((payer, period)) => {
                    let wish =
                        BudgetRequest { payer, period, limit_micros, limit_tokens, soft_pct, hard };
                    let done = ws.write(&who, move |tx| budgets::set(tx, wish)).await;
                    done.map(|()| payer).map_err(|error| Wrong::of(&error))
                }
                Err(refused)
                    if ["task", "run"].contains(&form.payer.as_str())
                        && refused.0.kind == ProblemKind::NotFound =>
                {
                    Err(Ok(Wrong::field("task", format!("this {} doesn't exist", form.payer))))
                }
                Err(refused) => return Err(PageError(refused.0)),
            };
            match done {
                Ok(payer) => {
                    let flash = Flash::ok("Budget set. Applies from the next call.");
                    let next = match (form.back, payer) {
                        (Some(_), Payer::Stream(id)) => format!("streams/{id}"),
                        (Some(_), Payer::Routine(id)) => format!("routines/{id}"),
                        (Some(_), Payer::Task(id)) => format!("tasks/{id}"),
                        _ => HERE.to_owned(),
                    };
                    return Ok(flash::say(&app, flash, hx.go_to(&ws.url(&next))));
                }
                Err(wrong) => wrong?,
            }
        }
    };
    let page = page(&ws, &who, shell, form, wrong)?;
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// Raises a budget slightly above the spent and reserved amount, so that blocked work resumes.
async fn more(
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(which): Form<Which>,
) -> Result<Response, PageError> {
    let (payer, period) = may_change(&ws, &who, &which.payer, &which.period)
        .map_err(|refused| PageError(refused.0))?;
    let raised = ws.write(&who, move |tx| budgets::raise(tx, payer, period)).await?;
    let message = if raised { "Work resumed" } else { "This budget already has room" };
    Ok(hx.done(message, &ws.url(HERE)))
}

async fn remove(
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(which): Form<Which>,
) -> Result<Response, PageError> {
    let (payer, period) = may_change(&ws, &who, &which.payer, &which.period)
        .map_err(|refused| PageError(refused.0))?;
    ws.write(&who, move |tx| budgets::remove(tx, payer, period)).await?;
    Ok(hx.done("Budget removed", &ws.url(HERE)))
}
