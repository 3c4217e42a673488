//! Comparison of two runs.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::agents::model::Agent;
use features::deliverables::queries::diff::{self, Line as Change};
use features::runs::model::{RUNS, Run};
use features::runs::queries::compare::{self, Compared, Line, Side};
use features::runs::queries::{branches, words};
use kernel::Thinking;
use store::{Read, ReadExt, StoreError};
use web::error::{ApiError, PageError};
use web::extract::Query;
use web::format;
use web::html::{self, SafeHtml};
use web::hx::Hx;
use web::live::Live;
use web::parts::{Dot, Face};
use web::session::Person;
use web::shell::Shell;

use super::display::Look;
use super::show::find;

/// The two runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    a: String,
    b: String,
}

/// A figure of both runs.
struct Row {
    label: &'static str,
    a: String,
    b: String,
    /// Whether the values differ.
    differs: bool,
}

/// A run in its column.
struct Column {
    /// `a` or `b`.
    side: &'static str,
    name: String,
    href: String,
    face: Face,
    state: Dot,
    word: &'static str,
    answer: SafeHtml,
    silent: bool,
}

/// What both runs did in one turn.
struct Turn {
    n: usize,
    a: Vec<Line>,
    b: Vec<Line>,
    same: bool,
}

#[derive(Template)]
#[template(path = "runs/_compare.html")]
struct Table {
    live: Live,
    columns: Vec<Column>,
    rows: Vec<Row>,
    turns: Vec<Turn>,
    /// What both have in common, in words.
    shared: String,
    a_href: String,
    b_href: String,
    /// Deliverables of both: titles and diff.
    delivered: Option<(String, Vec<Change>)>,
}

#[derive(Template)]
#[template(path = "runs/compare.html")]
struct Show {
    shell: Shell,
    a: String,
    b: String,
    a_href: String,
    title: String,
    table: Table,
}

/// `GET /runs/compare?a=R-1&b=R-2`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Query(which): Query<Which>,
) -> Result<Response, PageError> {
    let (a, b) = both(&ws, &who, &which.a, &which.b)?;
    let title = a.title.clone();
    let table = ws.read_blocking(move |ws| ws.read(|snap| table(snap, ws, &who, (a, b)))).await?;
    if hx.wants("compare") {
        return html::fragment(&table);
    }
    let (a, b) = (table.columns[0].name.clone(), table.columns[1].name.clone());
    html::page(&Show { shell, a, b, a_href: table.a_href.clone(), title, table })
}

/// The two runs, if the person may see both.
///
/// # Errors
/// A run does not exist, or both are the same.
pub(in crate::runs) fn both(
    ws: &Ws,
    who: &Person,
    a: &str,
    b: &str,
) -> Result<(Run, Run), PageError> {
    let (a, b) = (find(ws, who, a)?, find(ws, who, b)?);
    match a.id == b.id {
        true => Err(PageError(ApiError::invalid("b", "choose two different runs").0)),
        false => Ok((a, b)),
    }
}

fn table(tx: &dyn Read, ws: &Ws, who: &Person, runs: (Run, Run)) -> Result<Table, StoreError> {
    let look = Look::new(tx, ws, who)?;
    let all = compare::read(tx, runs, &|body| look.whole(body), look.now)?;
    let count = all.a.turns.len().max(all.b.turns.len());
    let turns = (0..count).map(|n| {
        let of = |side: &Side| side.turns.get(n).cloned().unwrap_or_default();
        Turn { n: n + 1, a: of(&all.a), b: of(&all.b), same: all.is_same(n) }
    });
    let url = |run: &Run| ws.url(&format!("runs/{}", run.name()));
    let (a, b) = (&all.a.run, &all.b.run);
    let here = ws.url(&format!("runs/compare?a={}&b={}", a.name(), b.name()));
    Ok(Table {
        live: Live::new(here).record(RUNS.name, a.id).record(RUNS.name, b.id),
        columns: vec![column(tx, &look, "a", &all.a)?, column(tx, &look, "b", &all.b)?],
        rows: rows(&all),
        turns: turns.collect(),
        shared: shared(tx, &all)?,
        a_href: url(a),
        b_href: url(b),
        delivered: delivered(&all),
    })
}

fn column(
    tx: &dyn Read,
    look: &Look<'_>,
    side: &'static str,
    of: &Side,
) -> Result<Column, StoreError> {
    let run = &of.run;
    let agent = tx.get::<Agent>(run.agent)?;
    let state = words::seen(look.ws, tx, run)?;
    Ok(Column {
        side,
        name: run.name(),
        href: look.ws.url(&format!("runs/{}", run.name())),
        face: agent.map_or_else(Face::nobody, |agent| look.agent(&agent, run.is_at_work())),
        word: state.word,
        state: state.into(),
        answer: look.md(tx, &of.answer),
        silent: of.answer.trim().is_empty(),
    })
}

fn rows(all: &Compared) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |label: &'static str, of: &dyn Fn(&Side) -> String| {
        let (a, b) = (of(&all.a), of(&all.b));
        rows.push(Row { label, differs: a != b, a, b });
    };
    add("Model", &|side| match side.run.model.as_str() {
        "" => "not chosen yet".to_owned(),
        model => model.to_owned(),
    });
    add("Thinking", &|side| match side.run.thinking {
        Thinking::None => "none".to_owned(),
        thinking => thinking.word().to_owned(),
    });
    add("Outcome", &|side| words::state(&side.run).label);
    add("Cost", &|side| match side.figures.priced {
        true => format::money(side.figures.micros),
        false => format!("{}, some prices unknown", format::money(side.figures.micros)),
    });
    add("Tokens sent", &|side| {
        let sent = format::tokens(side.figures.sent);
        match side.figures.cached {
            0 => sent,
            cached => format!("{sent}, {} from cache", format::tokens(cached)),
        }
    });
    add("Tokens received", &|side| format::tokens(side.figures.received));
    add("Calls", &|side| format!("{} model, {} tool", side.run.calls, side.run.steps));
    add("Worked", &|side| {
        let ms = u64::try_from(side.figures.worked_ms).unwrap_or(0);
        format::duration(Duration::from_millis(ms))
    });
    add("Duration", &|side| match side.run.started_at {
        Some(_) => format::duration(side.figures.took),
        None => "not started".to_owned(),
    });
    rows
}

fn shared(tx: &dyn Read, all: &Compared) -> Result<String, StoreError> {
    Ok(match &all.branch {
        Some(branch) => {
            let steps = format::count(all.a.before as u64, "step", "steps");
            format!(
                "{} repeats {} {}. They share the {steps} before that.",
                all.b.run.name(),
                all.a.run.name(),
                branches::place(tx, branch, &all.a.run)?
            )
        }
        None => "These runs are unrelated. Both are shown from their first step.".to_owned(),
    })
}

fn delivered(all: &Compared) -> Option<(String, Vec<Change>)> {
    let ((title, a), (_, b)) = (all.a.delivered.as_ref()?, all.b.delivered.as_ref()?);
    Some((title.clone(), diff::changes(a, b)))
}
