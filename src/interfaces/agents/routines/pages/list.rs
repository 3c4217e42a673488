//! The list of routines with schedule, agent and state.

use askama::Template;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries::{self as agents, Called};
use features::history::queries as history;
use features::routines::model::{Routine, RoutineRules};
use features::routines::queries::{self, view};
use features::routines::rules::{self, RoutineError};
use kernel::{Can, Timestamp};
use store::{Range, Read, ReadExt as _};
use web::error::PageError;
use web::extract::{Form, Query};
use web::hx::Hx;
use web::live::Live;
use web::parts::{Dot, Face, Tab};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;
use web::{flash, format, html};

/// Filter word for archived routines.
const DONE: &str = "done";

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoutinesPageParams {
    q: String,
    kind: String,
    agent: String,
}

/// A routine as a row.
pub(super) struct Row {
    name: String,
    href: String,
    sentence: String,
    action: String,
    kind: &'static str,
    dot: Dot,
    note: String,
    face: Face,
    agent_href: String,
    next: Option<RelTime>,
    last: Option<RelTime>,
    runs: u32,
    active: bool,
    /// Whether it is archived.
    done: bool,
    asks: bool,
}

struct View {
    live: Live,
    rows: Vec<Row>,
    filtered: bool,
    paused: bool,
    asks: bool,
    may_change: bool,
    may_rule: bool,
    base: String,
    new_url: String,
    /// Address of the events that can trigger routines.
    events_url: String,
    /// Address of the history of the common settings.
    rules_history: String,
}

#[derive(Template)]
#[template(path = "routines/list.html")]
struct ListPage {
    shell: Shell,
    view: View,
    kinds: Vec<Tab>,
    q: String,
    kind: String,
    agent: String,
}

web::region!(ListPage, as_rows, ListRows, "routines/list-rows.html");

/// `GET /routines`, or the region of its rows.
pub(super) async fn list(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<RoutinesPageParams>,
) -> Result<Response, PageError> {
    let view = ws.read(|snap| view(&ws, &who, snap, &params))?;
    let base = ws.url("routines");
    let tab = |word: &str, label: &str| {
        let more = match params.q.as_str() {
            "" => String::new(),
            q => format!("&q={}", format::query_value(q)),
        };
        Tab::new(label, format!("{base}?kind={word}{more}"), params.kind == word)
    };
    let kinds =
        vec![tab("", "All"), tab("schedule", "Schedule"), tab("event", "Event"), tab(DONE, "Done")];
    let page = ListPage { shell, view, kinds, q: params.q, kind: params.kind, agent: params.agent };
    match hx.wants("all-routines") {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn view(
    ws: &Ws,
    who: &Person,
    read: &dyn Read,
    params: &RoutinesPageParams,
) -> Result<View, RoutineError> {
    let rules = queries::rules(read)?;
    let wanted = match params.agent.as_str() {
        "" => Some(None),
        slug => agents::by_name(&read, slug)?.map(|agent| Some(agent.id)),
    };
    let all = match wanted {
        // No such agent exists.
        None => Vec::new(),
        Some(agent) if params.kind == DONE => queries::done(read, agent)?,
        Some(None) => queries::all(read)?,
        Some(Some(agent)) => queries::of_agent(read, agent)?,
    };
    let words = params.q.to_lowercase();
    let zone = who.time_zone();
    let now = ws.app.clock.now();
    let called = Called::among(&read.list::<Agent>(&Range::all())?);
    let mut rows = Vec::new();
    for routine in all {
        let kind = if routine.schedule().is_some() { "schedule" } else { "event" };
        if ![DONE, "", kind].contains(&params.kind.as_str()) {
            continue;
        }
        let row = row(ws, read, (&routine, &called), (rules.paused_at.is_some(), now, &zone))?;
        let text = format!("{} {} {}", row.name, routine.instruction, row.face.name).to_lowercase();
        if words.split_whitespace().all(|word| text.contains(word)) {
            rows.push(row);
        }
    }
    let query = format!(
        "routines?q={}&kind={}&agent={}",
        format::query_value(&params.q),
        format::query_value(&params.kind),
        format::query_value(&params.agent)
    );
    Ok(View {
        live: Live::new(ws.url(&query))
            .table("routines")
            .table("routine_clocks")
            .table("routine_rules")
            .table("agents"),
        rows,
        filtered: !(params.q.is_empty() && params.kind.is_empty() && params.agent.is_empty()),
        paused: rules.paused_at.is_some(),
        asks: rules.ask,
        may_change: who.access.may(Can::Agents),
        may_rule: who.access.may(Can::Admin),
        base: ws.url("routines"),
        new_url: ws.url("routines/new"),
        events_url: ws.url("routines/events"),
        rules_history: history::href::<RoutineRules>(ws, ()),
    })
}

/// A routine as a row of a list.
pub(super) fn row(
    ws: &Ws,
    read: &dyn Read,
    (routine, called): (&Routine, &Called),
    (all_paused, now, zone): (bool, Timestamp, &TimeZone),
) -> Result<Row, RoutineError> {
    let clock = queries::clock(read, routine.id)?;
    let (state, label) = view::standing(routine, all_paused);
    let agent = view::agent_of(read, routine)?;
    let face = agent.as_ref().map(|agent| called.face(agent));
    let time = |at: Timestamp| RelTime::new(at, now, zone);
    Ok(Row {
        name: routine.name.clone(),
        href: ws.url(&format!("routines/{}", routine.id)),
        sentence: view::describe(
            &routine.trigger,
            routine.jitter_secs,
            zone.iana_name().unwrap_or_default(),
        ),
        action: view::action_words(
            &routine.action,
            face.as_ref().map_or("an agent", |face| &face.name),
        ),
        kind: if routine.schedule().is_some() { "Schedule" } else { "Event" },
        dot: Dot::new(state, label),
        note: routine.stopped.clone().unwrap_or_default(),
        face: face.unwrap_or_else(Face::nobody),
        agent_href: agent
            .map_or_else(String::new, |agent| ws.url(&format!("agents/{}", agent.slug))),
        next: clock.next_at.map(|at| time(clock.fires_at(at))),
        last: clock.last_at.map(time),
        runs: clock.count,
        active: routine.active,
        done: routine.done_at.is_some(),
        asks: routine.asks,
    })
}

/// Pauses all routines.
pub(super) async fn pause_all(ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    ws.write(&who, |tx| rules::pause_all(tx, true)).await?;
    Ok(hx.done("No routine runs until you resume them.", &ws.url("routines")))
}

/// Resumes all routines.
pub(super) async fn resume_all(ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    ws.write(&who, |tx| rules::pause_all(tx, false)).await?;
    Ok(hx.done("Routines resumed.", &ws.url("routines")))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ask {
    ask: Option<String>,
}

/// Sets whether routines created by agents wait for activation.
pub(super) async fn ask(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<Ask>,
) -> Result<Response, PageError> {
    let ask = form.ask.is_some();
    ws.write(&who, move |tx| rules::set_ask(tx, ask)).await?;
    let words = match ask {
        true => "Routines created by agents wait for you to activate them.",
        false => "Routines created by agents are active right away.",
    };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&ws.url("routines"))))
}
