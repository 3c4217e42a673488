//! The inbox of all agents.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use jiff::tz::TimeZone;

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::{self as agents, Called};
use features::inbox::queries::view::ItemView;
use kernel::{AgentId, Can};
use store::{Range, ReadExt, Snap};
use web::error::PageError;
use web::extract::Query;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::session::Person;
use web::shell::Shell;

use super::{InboxPageParams, View};

#[derive(Template)]
#[template(path = "inbox/index.html")]
struct Index {
    shell: Shell,
    agents: Vec<Choice>,
    show: &'static str,
    filtered: bool,
    view: View,
}

#[derive(Template)]
#[template(path = "inbox/_all.html")]
struct Part {
    view: View,
}

/// `GET /inbox`
pub(super) async fn index(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Query(params): Query<InboxPageParams>,
) -> Result<Response, PageError> {
    let (view, agents) = ws.read(|snap| {
        let all: Vec<Agent> = snap.list(&Range::all())?;
        Ok::<_, PageError>((view(&ws, &who, snap, &all, &params)?, choices(&all, &params.agent)))
    })?;
    if hx.wants("inbox") {
        return html::fragment(&Part { view });
    }
    let show = params.shown().0;
    html::page(&Index { shell, agents, show, filtered: !params.agent.is_empty(), view })
}

fn choices(all: &[Agent], chosen: &str) -> Vec<Choice> {
    let called = Called::among(all);
    let mut choices = vec![Choice::new("", "All agents", chosen.is_empty())];
    choices.extend(all.iter().map(|agent| {
        let label = format!("{} {}", agent.emoji, called.name(agent));
        Choice::new(agent.slug.as_str(), label.trim(), agent.slug == chosen)
    }));
    choices
}

fn view(
    ws: &Ws,
    who: &Person,
    snap: &Snap<'_>,
    all: &[Agent],
    params: &InboxPageParams,
) -> Result<View, PageError> {
    let zone = TimeZone::get(&who.zone).unwrap_or(TimeZone::UTC);
    let now = ws.app.clock.now();
    let base = ws.url("inbox");
    let agent = match params.agent.as_str() {
        "" => None,
        slug => {
            let agent = agents::by_slug(snap, slug)?;
            Some(agent.ok_or_else(|| PageError::not_found("This agent"))?.id)
        }
    };
    let (items, next) = params.items(snap, agent, &base, now)?;
    let by_id: HashMap<AgentId, &Agent> = all.iter().map(|agent| (agent.id, agent)).collect();
    let called = Called::among(all);
    let mut rows = Vec::new();
    for item in &items {
        let row = ItemView::new(ws, snap, now, &zone, item)?;
        rows.push(row.of(ws, by_id.get(&item.agent).copied(), &called));
    }
    let (show, _, none) = params.shown();
    let open = match show {
        "" => items.len(),
        _ => super::list::open(snap, agent, now)?.len(),
    };
    Ok(View {
        live: params.live(&base),
        views: params.tabs(&base, open as u64),
        none,
        open: show.is_empty(),
        questions: Vec::new(),
        items: rows,
        next,
        may_change: who.access.may(Can::Write),
        pace: String::new(),
        settings: String::new(),
    })
}
