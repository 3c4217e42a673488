//! The runs of an agent.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::agents::queries::head::{self, Head, Place};
use features::runs::model::Run;
use features::runs::queries::{self as runs, words};
use features::tasks::queries as tasks;
use features::usage::queries as usage;
use kernel::cursor::DEFAULT_LIMIT;
use store::{Snap, StoreError, cursor_key, key_cursor};
use web::error::PageError;
use web::extract::{Path, Query};
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::ShownState;
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::list::took;
use super::{When, find};

struct Row {
    name: String,
    title: String,
    task: String,
    href: String,
    state: ShownState,
    steps: u32,
    took: String,
    cost: String,
    at: RelTime,
}

struct View {
    live: Live,
    runs: Vec<Row>,
    next: String,
}

#[derive(Template)]
#[template(path = "agents/runs.html")]
struct RunsPage {
    shell: Shell,
    head: Head,
    view: View,
}

#[derive(Template)]
#[template(path = "agents/run_list.html")]
struct RunsPart {
    view: View,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RunsPageParams {
    after: String,
}

pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Query(params): Query<RunsPageParams>,
) -> Result<Response, PageError> {
    let when = When::of(&ws, &who);
    let (head, view) = ws.read(|snap| {
        let agent = find(snap, &slug)?;
        let head = head::head(&ws, snap, &agent, Place::Runs, who.access, when.now)?;
        let after = cursor_key(&params.after);
        let mut hits = runs::of_agent(snap, agent.id, after.as_deref(), DEFAULT_LIMIT + 1)?;
        let more = hits.len() > DEFAULT_LIMIT;
        hits.truncate(DEFAULT_LIMIT);
        let base = format!("{}/runs", head.base);
        let next = hits.last().filter(|_| more).map(|hit| key_cursor(&hit.key));
        let all = hits.into_iter().map(|hit| hit.record);
        let seen = runs::talk::seen(snap, all, (who.account, who.role))?;
        let rows = seen.iter().map(|run| row(&ws, snap, &when, run));
        let view = View {
            runs: rows.collect::<Result<_, StoreError>>()?,
            next: next.map_or_else(String::new, |key| format!("{base}?after={key}")),
            live: Live::new(base).table("runs").table("usage"),
        };
        Ok::<_, PageError>((head, view))
    })?;
    if hx.wants("agent-runs") {
        return html::fragment(&RunsPart { view });
    }
    html::page(&RunsPage { shell, head, view })
}

fn row(ws: &Ws, snap: &Snap<'_>, when: &When, run: &Run) -> Result<Row, StoreError> {
    let task = match run.task.map(|task| tasks::get(snap, task)) {
        Some(Ok(task)) => tasks::name(snap, task.number)?,
        _ => String::new(),
    };
    Ok(Row {
        name: run.name(),
        title: if run.title.is_empty() { "Untitled".to_owned() } else { run.title.clone() },
        task,
        href: ws.url(&format!("runs/{}", run.number)),
        state: words::seen(ws, snap, run)?,
        steps: run.steps,
        took: match run.started_at {
            Some(started) => took(started, run.ended_at.unwrap_or(when.now)),
            None => "–".to_owned(),
        },
        cost: format::money(usage::run_cost(snap, run.id)?),
        at: when.at(run.started_at.unwrap_or(run.created_at)),
    })
}
