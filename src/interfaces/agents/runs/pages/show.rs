//! The page of one run.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use crate::runs::looking;
use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::elsewhere;
use features::claims::queries::{self as claims, card::Proof};
use features::connections::model::Connection;
use features::connections::queries as connections;
use features::history::model::{FILE_REVERTS, FileRevert, REVERTS_BY_RUN, RevertState};
use features::inbox::model::Item;
use features::runs::model::{BRANCHES, HALTS, OUTSIDE, RUNS, Run, Session};
use features::runs::queries::questions::{self, Card};
use features::runs::queries::steps::{Step, Steps, What};
use features::runs::queries::{self, steps as reading, talk, words};
use features::tasks::model::Task;
use features::trust::model::TRUST_MODES;
use features::trust::queries as trust;
use kernel::key::KeyBuf;
use kernel::{QueueMode, RunState, RunTrigger};
use store::{Range, Read, ReadExt, StoreError};
use web::error::PageError;
use web::extract::{Path, Query};
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{Choice, Dot, Face, percent};
use web::session::Person;
use web::shell::Shell;
use web::sse::HOSTS;
use web::time::RelTime;

use super::below::{self, Below};
use super::display::Look;
use super::facts::{self, Fact};
use super::late::Late;
use super::lineage::{self, Kin};
use super::nested;
use super::place;
use super::queue::Queue;
use super::shots;
use super::steps::{Drawing, StepList, StepView, one_line};
use super::trace_bar::{Helpers, Lane};
use super::waits::{self, Waits};
use super::writing::HEARD;

/// Number of steps shown at first.
const WINDOW: usize = 100;
/// Maximum number of steps shown, and how many of them precede a linked step.
const MOST: usize = 300;
const BEFORE: usize = 10;

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
pub(super) struct From {
    /// The first step to show, counted from 0.
    from: Option<usize>,
    /// Event number of a step that must be visible.
    at: Option<u32>,
}

impl From {
    /// Index of the first step to show: the newest window, unless the query says otherwise.
    fn first(&self, steps: &Steps) -> usize {
        let number = |key: &str| key.split('-').next().and_then(|n| n.parse::<u32>().ok());
        let near = |at: u32| {
            let found = steps.all.iter().position(|step| number(&step.key) >= Some(at));
            found.map(|found| found.saturating_sub(BEFORE))
        };
        let newest = || steps.all.len().saturating_sub(WINDOW);
        self.from.or_else(|| self.at.and_then(near)).unwrap_or_else(newest)
    }
}

#[derive(Template)]
#[template(path = "runs/_head.html")]
struct Head {
    live: Live,
    face: Face,
    title: String,
    name: String,
    agent: Option<(String, String)>,
    cause: &'static str,
    /// The parent run of a sub-agent.
    parent: Option<(String, String)>,
    task: Option<(String, String)>,
    began: RelTime,
    practice: bool,
    state: Dot,
    doing: String,
    facts: Vec<Fact>,
    waits: Option<Waits>,
    asks: Option<Card>,
    lane: Option<Lane>,
    stop: Option<String>,
    /// Address of "undo changes".
    undo: Option<String>,
    /// Address of "stop and undo".
    stop_and_undo: Option<String>,
    /// Address and text for continuing a stopped run.
    onward: Option<(String, String)>,
    retry: Option<String>,
    /// Addresses of "run again" in place and as a fork.
    again: Option<String>,
    fork: Option<String>,
    kin: Vec<Kin>,
    chat: Option<String>,
}

#[derive(Template)]
#[template(path = "runs/_rail.html")]
struct Rail {
    live: Live,
    below: Option<Below>,
    /// Evidence for the end of the work.
    proof: Option<Proof>,
    files: Vec<(String, String)>,
    commit: String,
    /// Address of the commit's changes.
    history: String,
    reverts: Vec<Revert>,
    context: Option<(String, u8)>,
    /// Address of the page on what fills the context.
    makeup: String,
    details: Vec<(&'static str, String, String)>,
    /// The first untrusted content that the conversation read, and the address where a person trusts it.
    outside: Option<(String, Option<String>)>,
    /// Addresses of the raw events: the page and the download.
    record: (String, String),
}

/// How many reverted or unchanged files one undo lists.
const MAX_TOLD: usize = 40;

/// An undo of files, done or in progress.
struct Revert {
    title: &'static str,
    at: RelTime,
    state: Dot,
    /// The commit, or the reason of the failure.
    note: String,
    restored: Vec<String>,
    kept: Vec<(String, String)>,
    /// Number of files that are not listed.
    more: usize,
    again: Option<String>,
}

#[derive(Template)]
#[template(path = "runs/show.html")]
struct Show {
    shell: Shell,
    name: String,
    title: String,
    agent: Option<(String, String)>,
    head: Head,
    list: StepList,
    /// What its machine reported after the run was taken from it.
    late: Late,
    rail: Rail,
    queue: Queue,
    steer: Option<(String, String)>,
    say: Say,
    /// Key that identifies a repeated submission.
    key: i64,
}

/// States what a message to the run does: steer it while it works, continue it after it broke off, nothing after its
/// end. A live region beside the text field, so that typed text survives a refresh.
#[derive(Template)]
#[template(path = "runs/_say.html")]
struct Say {
    live: Live,
    action: String,
    /// Delivery modes while the run works; empty for a run that a message continues.
    modes: Vec<Choice>,
    /// Whether the run takes no more messages.
    is_over: bool,
}

/// The parts of the page.
struct Parts {
    head: Head,
    list: StepList,
    /// Used by the whole page and by its own region.
    late: Option<Late>,
    rail: Rail,
    queue: Queue,
    say: Say,
    agent_name: String,
}

/// `GET /runs/{name}`
pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(name): Path<String>,
    Query(from): Query<From>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    looking::note(&ws, &who, run.session).await?;
    let parts = ws.read(|snap| parts(snap, (&ws, &who, &hx), &run, &from))?;
    if hx.wants("run-head") {
        return html::fragment(&parts.head);
    }
    if hx.wants("run-steps") {
        return html::fragment(&parts.list);
    }
    if hx.wants("run-late") {
        return html::fragment(&parts.late.unwrap_or_default());
    }
    if hx.wants("run-rail") {
        return html::fragment(&parts.rail);
    }
    if hx.wants("run-queue") {
        return html::fragment(&parts.queue);
    }
    if hx.wants("run-say") {
        return html::fragment(&parts.say);
    }
    let Parts { head, list, late, rail, queue, say, agent_name } = parts;
    let late = late.unwrap_or_default();
    // A message to a run that broke off continues it.
    let steer = (!say.is_over).then(|| (say.action.clone(), agent_name));
    let (title, agent) = (head.title.clone(), head.agent.clone());
    let name = run.name();
    let key = ws.app.clock.now().as_millisecond();
    html::page(&Show { shell, name, title, agent, head, list, late, rail, queue, steer, say, key })
}

/// The run with this name, if the person may see it.
pub(in crate::runs) fn find(ws: &Ws, who: &Person, name: &str) -> Result<Run, PageError> {
    let found = ws.read(|snap| -> Result<_, StoreError> {
        match queries::by_name(snap, name)? {
            Some(run) if talk::may_see_run(snap, &run, who.account, who.role)? => Ok(Some(run)),
            _ => Ok(None),
        }
    })?;
    found.ok_or_else(|| PageError::not_found("This run"))
}

fn parts(
    tx: &dyn Read,
    (ws, who, hx): (&Ws, &Person, &Hx),
    run: &Run,
    from: &From,
) -> Result<Parts, StoreError> {
    // Read again in this snapshot, so that head, steps and rail agree.
    let run = &tx.get::<Run>(run.id)?.unwrap_or_else(|| run.clone());
    let look = Look::new(tx, ws, who)?;
    let agent = tx.get::<Agent>(run.agent)?;
    let events = reading::events_of(tx, run)?;
    let steps = Steps::fold(run.first_event, events, &|body| look.whole(body));
    let href = ws.url(&format!("runs/{}", run.name()));
    let works = run.state == RunState::Running;
    let face = agent.as_ref().map_or_else(Face::nobody, |agent| look.agent(agent, works));
    let list = list(tx, &look, run, &steps, (&href, &face), from.first(&steps))?;
    let late = match !hx.is_partial() || hx.wants("run-late") {
        true => Some(Late::read(tx, &look, run, &steps, (&href, &face))?),
        false => None,
    };
    let rail = rail(tx, &look, run, &steps, &href)?;
    let head = head(tx, &look, (run, agent.as_ref()), &steps, (&href, face))?;
    let agent_name = agent.map_or_else(|| "the agent".to_owned(), |agent| look.called(&agent));
    let queue = Queue::read(tx, &look, run)?;
    let say = say_part(tx, &look, run, (&href, &head))?;
    Ok(Parts { head, list, late, rail, queue, say, agent_name })
}

fn say_part(
    tx: &dyn Read,
    look: &Look<'_>,
    run: &Run,
    (href, head): (&str, &Head),
) -> Result<Say, StoreError> {
    let is_live = run.is_live() && look.may_chat && talk::may_speak(tx, run, look.me)?;
    let onward = head.onward.as_ref().map(|(href, _)| href.clone());
    Ok(Say {
        live: Live::new(href).record(RUNS.name, run.id).table(BRANCHES.name),
        is_over: !is_live && onward.is_none(),
        action: match is_live {
            true => format!("{href}/say"),
            false => onward.unwrap_or_default(),
        },
        modes: if is_live { super::queue::choices(QueueMode::Steer) } else { Vec::new() },
    })
}

fn list(
    tx: &dyn Read,
    look: &Look<'_>,
    run: &Run,
    steps: &Steps,
    (href, face): (&str, &Face),
    from: usize,
) -> Result<StepList, StoreError> {
    let last = steps.all.iter().rev().find_map(|step| match &step.what {
        What::Said(text) => Some(text.clone()),
        _ => None,
    });
    let (agent, href_of) = (face.clone(), href.to_owned());
    let retry_url =
        (lineage::may_fork(look, run) && !run.is_live()).then(|| format!("{href}/retry"));
    let (last, over) = (last.unwrap_or_default(), run.state == RunState::Ended);
    let drawing = Drawing {
        look,
        agent,
        href: href_of,
        alone: true,
        over,
        start: run.started_at,
        again: retry_url,
        shots: shots::of_run(tx, run.id)?,
        last,
    };
    let shown = steps.all.iter().skip(from).take(MOST);
    let left = steps.all.len().saturating_sub(from + MOST);
    let is_call = |step: &&Step| matches!(step.what, What::Tool(_));
    let mut calls = steps.all.iter().take(from).filter(is_call).count();
    let mut views = Vec::new();
    for step in shown {
        views.push(StepView { number: calls + 1, ..drawing.view(tx, step)? });
        calls += usize::from(is_call(&step));
    }
    if run.state == RunState::Running && left == 0 {
        views.extend(drawing.writing(tx, steps, look.ws.live.block(run.id)));
    }
    let earlier = (0 < from).then(|| {
        let before = from.saturating_sub(WINDOW);
        (from - before, format!("{href}?from={before}"))
    });
    let empty = match run.state {
        RunState::Queued => "Not started yet. Steps show up here as they happen.",
        _ => "No steps are stored for this run.",
    };
    let live = Live::new(format!("{href}?from={from}")).record(RUNS.name, run.id);
    let live = nested::hears(tx, run, live.record(HEARD, run.id))?;
    let later = (0 < left).then(|| (left, format!("{href}?from={}", from + MOST)));
    Ok(StepList { live, earlier, later, steps: views, empty })
}

fn head(
    tx: &dyn Read,
    look: &Look<'_>,
    (run, agent): (&Run, Option<&Agent>),
    steps: &Steps,
    (href, face): (&str, Face),
) -> Result<Head, StoreError> {
    let ws = look.ws;
    let item = match run.item {
        Some(item) => tx.get::<Item>(item)?,
        None => None,
    };
    let task = match run.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let task = task.map(|task| {
        let name = look.task_name(&task);
        let href = ws.url(&format!("tasks/{name}"));
        (name, href)
    });
    let state = words::seen(ws, tx, run)?;
    let doing = match run.state {
        RunState::Running if !run.activity.is_empty() => {
            one_line(queries::doing::now(&run.activity))
        }
        RunState::Running if 0 < run.steps => format!("step {}", run.steps),
        _ => String::new(),
    };
    let retry = queries::left_item(tx, run)?;
    let chat = agent.filter(|_| run.trigger == RunTrigger::Chat && run.item.is_none());
    let may_fork = lineage::may_fork(look, run);
    let asks = questions::card(tx, &look.reader(), run)?;
    // A run without changes has nothing to undo.
    let undoable = run.effective && look.may_write;
    let model = if run.model.is_empty() { steps.model.clone() } else { Some(run.model.clone()) };
    let live = Live::new(href).record(RUNS.name, run.id).table(HALTS.name).table(BRANCHES.name);
    let live = live.table(HOSTS);
    Ok(Head {
        live: nested::hears(tx, run, live)?,
        face,
        title: if run.title.is_empty() { run.name() } else { run.title.clone() },
        name: run.name(),
        agent: agent.map(|a| (look.called(a), ws.url(&format!("agents/{}", a.slug)))),
        cause: words::cause(run, item.as_ref()),
        parent: below::parent_of(tx, look, run)?,
        task,
        began: look.time(run.started_at.unwrap_or(run.created_at)),
        practice: model.as_deref().is_some_and(words::is_practice),
        state: state.into(),
        doing,
        facts: facts::of(tx, look, run, model)?,
        // The card of a question already states the reason and the remedy.
        waits: if asks.is_some() { None } else { waits::of(tx, look, run, agent)? },
        asks,
        lane: Lane::of(run, steps, Helpers::of(tx, run, look.now)?, look),
        stop: look.stop(run),
        undo: (undoable && !run.is_live()).then(|| ws.url(&format!("undo?run={}", run.name()))),
        stop_and_undo: (undoable && run.is_live()).then(|| format!("{href}/stop")),
        onward: onward(tx, look, run)?.map(|words| (format!("{href}/continue"), words)),
        retry: retry.map(|item| ws.url(&format!("inbox/{}/retry", item.id))),
        again: (may_fork && !run.is_live()).then(|| format!("{href}/retry")),
        fork: may_fork.then(|| format!("{href}/fork")),
        kin: lineage::kin(tx, look, run)?,
        chat: chat.map(|agent| ws.url(&format!("agents/{}/chat", agent.slug))),
    })
}

/// The label of "continue", if the run broke off and this person may continue it.
fn onward(tx: &dyn Read, look: &Look<'_>, run: &Run) -> Result<Option<String>, StoreError> {
    let onward = queries::onward::of(tx, run, look.me)?;
    Ok(onward.filter(|_| look.may_write).map(|onward| onward.label))
}

fn rail(
    tx: &dyn Read,
    look: &Look<'_>,
    run: &Run,
    steps: &Steps,
    href: &str,
) -> Result<Rail, StoreError> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut commit = String::new();
    for step in &steps.all {
        match &step.what {
            What::Tool(call) => {
                for path in &call.paths {
                    files.retain(|(_, known)| known != path);
                    files.push((format!("#s-{}", step.key), path.clone()));
                }
            }
            What::Committed { commit: id, .. } => commit.clone_from(id),
            _ => {}
        }
    }
    let last = steps.all.iter().rev().find_map(|step| step.spent).filter(|spent| 0 < spent.input);
    let model = steps.model.as_deref().unwrap_or(&run.model);
    let window = last.and_then(|_| providers::catalog::find(model)).map(|m| m.window);
    let context = last.map(|spent| match window {
        Some(window) => (
            format!("{} of {}", format::tokens(spent.input), format::tokens(u64::from(window))),
            percent(spent.input, u64::from(window)),
        ),
        None => (format::tokens(spent.input), 0),
    });
    let mut details = Vec::new();
    let mut add = |label, value: String, href: String| details.push((label, value, href));
    if !run.model.is_empty() {
        add("Requested model", run.model.clone(), String::new());
        add("Chosen by", words::source(run.model_source).to_owned(), String::new());
        if let Some(thinking) = words::thinking(tx, run)? {
            add("Thinking", thinking, String::new());
        }
    }
    if let Some(used) = steps.model.clone().filter(|used| *used != run.model) {
        add("Model used", used, String::new());
    }
    if let Some(connection) = run.connection {
        let stored = tx.get::<Connection>(connection)?;
        let paid = stored.as_ref().map(connections::route);
        let name = stored.map_or_else(String::new, |c| c.name);
        add("Connection", name, look.ws.url("settings/connections"));
        if let Some(paid) = paid {
            add("Paid by", paid.label().to_owned(), String::new());
        }
    }
    for (label, value) in facts::limits(tx, run)? {
        add(label, value, String::new());
    }
    if let Some(session) = tx.get::<Session>(run.session)? {
        let (about, href) = place::of_run(tx, look, &session)?;
        add("Session", about.to_owned(), href);
    }
    let lift = look.may_approve.then(|| format!("{href}/outside/lift"));
    let outside = trust::heeded(tx, &[run.agent], run.session)?.map(|read| (read, lift));
    let live = Live::new(href).record(RUNS.name, run.id).table(FILE_REVERTS.name);
    let live = live.record(OUTSIDE.name, run.session).record(TRUST_MODES.name, run.agent);
    let (below, live) = below::of(tx, look, run, live)?;
    let reverts = reverts(tx, look, run)?;
    let slug = tx.get::<Agent>(run.agent)?.map(|agent| agent.slug).unwrap_or_default();
    let history = look.ws.url(&format!("agents/{slug}/history?commit={commit}"));
    let commit = commit.chars().take(10).collect();
    let record = (format!("{href}/events"), format!("{href}/export"));
    let makeup = format!("{href}/context");
    let proof = claims::at_end(tx, run.id)?.map(|check| Proof::new(look.ws, Some(check)));
    Ok(Rail {
        live,
        below,
        proof,
        files,
        commit,
        history,
        reverts,
        context,
        makeup,
        details,
        outside,
        record,
    })
}

/// The undo requests of the run, newest first, at most 10.
fn reverts(tx: &dyn Read, look: &Look<'_>, run: &Run) -> Result<Vec<Revert>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&run.id)).reverse().limit(10);
    let orders: Vec<FileRevert> = tx.scan(REVERTS_BY_RUN, &range)?;
    let undone: Vec<_> = orders.iter().filter_map(|order| order.of).collect();
    let silent = elsewhere::silent(look.ws, tx, run.agent)?;
    let waits = silent.map(|place| place.waits(look.now, &look.zone)).unwrap_or_default();
    let views = orders.into_iter().map(|order| {
        let (word, label, note) = match &order.state {
            RevertState::Queued => ("queued", "revert queued", waits.clone()),
            RevertState::Begun => ("running", "reverting", waits.clone()),
            RevertState::Done if order.restored.is_empty() => {
                ("done", "nothing reverted", String::new())
            }
            RevertState::Done => {
                let commit = order.commit.as_deref().unwrap_or_default();
                ("done", "reverted", commit.chars().take(10).collect())
            }
            RevertState::Failed(why) => ("error", "couldn’t revert", why.clone()),
            RevertState::Cancelled => ("cancelled", "cancelled", String::new()),
        };
        let failed = matches!(order.state, RevertState::Failed(_));
        let may_retry = failed && look.may_manage && !undone.contains(&order.id);
        let files = order.restored.len() + order.kept.len();
        Revert {
            title: if order.returns { "Files restored" } else { "Files reverted" },
            at: look.time(order.ended_at.unwrap_or(order.created_at)),
            state: Dot::new(word, label),
            note,
            more: files.saturating_sub(
                order.restored.len().min(MAX_TOLD) + order.kept.len().min(MAX_TOLD),
            ),
            restored: order.restored.into_iter().take(MAX_TOLD).collect(),
            kept: order.kept.into_iter().take(MAX_TOLD).map(|kept| (kept.path, kept.why)).collect(),
            again: may_retry.then(|| look.ws.url(&format!("undo/files/{}", order.id))),
        }
    });
    Ok(views.collect())
}
