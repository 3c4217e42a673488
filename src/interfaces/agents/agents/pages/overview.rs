//! The overview of an agent: current activity, upcoming work and cost.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use channels::model::State;
use features::agents::model::Agent;
use features::agents::packages;
use features::agents::queries::head::{self, Head, Place};
use features::agents::queries::{Activity, Group};
use features::connections::model::Connection;
use features::connections::queries::{PRACTICE, PRACTICE_LABEL};
use features::inbox::queries as inbox;
use features::inbox::queries::view::ItemView;
use features::inbox::queries::why::went_wrong;
use features::routines::queries as routines;
use features::runs::model::{CallStatus, ModelSource, Run};
use features::runs::queries as runs;
use features::runs::queries::doing::doing;
use features::runs::queries::steps::{CallState, Step, Steps, What};
use features::runs::queries::words;
use features::tasks::model::Task;
use features::tasks::queries::{self as tasks, list, overdue};
use features::usage::queries as usage;
use kernel::text::{capitalized, ellipsis};
use kernel::{Assignee, Can, ItemState, Role, RunState};
use store::{ReadExt, Snap, StoreError};
use web::error::PageError;
use web::extract::{Path, Query};
use web::form::sentence;
use web::format;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::md;
use web::parts::{Dot, ShownState};
use web::session::Person;
use web::shell::Shell;
use web::time::{Due, RelTime};

use super::knows::{self, Knows, SkillRow};
use super::line::{self, LineView};
use super::list::took;
use super::profile::Profile;
use super::rail::{self, Offered};
use super::spent::{BudgetView, budget_view};
use super::upgrade::{self, TemplateView};
use super::{When, chosen, find};

/// Number of tasks, items and runs on the overview.
const SHOWN: usize = 5;

struct Stuck {
    title: String,
    why: String,
    retry_href: String,
    raise_href: String,
}

struct Line {
    glyph: &'static str,
    verb: String,
    what: String,
    took: String,
    current: bool,
}

struct LiveRun {
    name: String,
    title: String,
    state: &'static str,
    steps: String,
    href: String,
    lines: Vec<Line>,
    took: String,
    cost: String,
    dot: Dot,
}

struct TaskRow {
    name: String,
    title: String,
    href: String,
    status: &'static str,
    status_label: &'static str,
    prio: &'static str,
    prio_label: &'static str,
    due: Option<Due>,
}

pub(super) struct LastRun {
    pub title: String,
    pub href: String,
    pub state: ShownState,
    pub cost: String,
}

struct View {
    live: Live,
    /// Base address of the agent's pages.
    base: String,
    name: String,
    slug: String,
    about: String,
    manages: bool,
    may_stop: bool,
    stuck: Option<Stuck>,
    idle: String,
    runs: Vec<LiveRun>,
    tasks: Vec<TaskRow>,
    tasks_count: String,
    tasks_href: String,
    items: Vec<ItemView>,
    /// Text for an empty inbox.
    none_waits: String,
    inbox_href: String,
    budget: BudgetView,
    settings_href: String,
    model: String,
    model_by: &'static str,
    thinking: &'static str,
    /// Choices of model and thinking level; `None` if the person may not change them.
    thinks: Option<Offered>,
    line: LineView,
    programs: &'static str,
    role: String,
    domains: Vec<String>,
    /// Capabilities in one line; may be empty.
    capabilities: String,
    profile: Profile,
    /// Context of the agent's last run, or the context prepared for its first; `None` without files.
    knows: Option<Knows>,
    skills: Vec<SkillRow>,
    template: TemplateView,
    /// Folder of the agent's files on the server; empty for those without owner rights.
    folder: String,
    created: RelTime,
    last: Vec<LastRun>,
    runs_href: String,
    history_href: String,
    routines: Vec<RoutineRow>,
    new_routine: String,
    channels: Vec<ChannelRow>,
    /// Form that connects another channel; empty without the right.
    connect: String,
}

/// A messenger account on which the agent answers.
struct ChannelRow {
    name: String,
    kind: &'static str,
    dot: Dot,
}

/// A trigger that starts the agent automatically.
struct RoutineRow {
    name: String,
    href: String,
    sentence: String,
    dot: Dot,
    next: Option<RelTime>,
}

#[derive(Template)]
#[template(path = "agents/overview.html")]
struct OverviewPage {
    shell: Shell,
    head: Head,
    view: View,
}

#[derive(Template)]
#[template(path = "agents/now.html")]
struct NowPart {
    view: View,
}

/// The head of an agent's pages.
#[derive(Template)]
#[template(path = "agents/head.html")]
pub struct HeadPart<'a> {
    head: &'a Head,
}

impl HtmlSafe for HeadPart<'_> {}

/// The head for all pages of an agent.
pub(crate) fn drawn(head: &Head) -> HeadPart<'_> {
    HeadPart { head }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct TabParams {
    tab: String,
}

/// The head alone, for its refresh.
pub(super) async fn head(
    ws: Ws,
    who: Person,
    Path(slug): Path<String>,
    Query(params): Query<TabParams>,
) -> Result<Response, PageError> {
    let place = Place::of(&params.tab).unwrap_or(Place::Overview);
    let head = ws.read(|snap| {
        let agent = find(snap, &slug)?;
        let now = ws.app.clock.now();
        Ok::<_, PageError>(head::head(&ws, snap, &agent, place, who.access, now)?)
    })?;
    html::fragment(&drawn(&head))
}

pub(super) async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let when = When::of(&ws, &who);
    let found = ws.read(|snap| {
        let agent = find(snap, &slug)?;
        if agent.slug != slug {
            return Ok(Err(agent.slug));
        }
        let head = head::head(&ws, snap, &agent, Place::Overview, who.access, when.now)?;
        let view = view(&ws, &who, snap, &when, &agent, &head)?;
        Ok::<_, PageError>(Ok((head, view)))
    })?;
    // An id or another spelling redirects to the canonical address.
    let (head, view) = match found {
        Ok(found) => found,
        Err(slug) => return Ok(hx.go_to(&ws.url(&format!("agents/{slug}")))),
    };
    if hx.wants("agent-now") {
        return html::fragment(&NowPart { view });
    }
    html::page(&OverviewPage { shell, head, view })
}

/// The whole page with the submitted profile form.
pub(super) fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    agent: &Agent,
    (status, profile): (StatusCode, Profile),
) -> Result<Response, PageError> {
    let when = When::of(ws, who);
    let (head, view) = ws.read(|snap| {
        let head = head::head(ws, snap, agent, Place::Overview, who.access, when.now)?;
        let view = view(ws, who, snap, &when, agent, &head)?;
        Ok::<_, PageError>((head, view))
    })?;
    let view = View { profile, ..view };
    html::document(status, &OverviewPage { shell, head, view })
}

fn routine_rows(
    ws: &Ws,
    snap: &Snap<'_>,
    when: &When,
    agent: &Agent,
) -> Result<Vec<RoutineRow>, StoreError> {
    let paused = routines::rules(snap)?.paused_at.is_some();
    let mut rows = Vec::new();
    for routine in routines::of_agent(snap, agent.id)? {
        let (state, label) = routines::view::standing(&routine, paused);
        rows.push(RoutineRow {
            href: ws.url(&format!("routines/{}", routine.id)),
            sentence: routines::view::describe(
                &routine.trigger,
                routine.jitter_secs,
                when.zone.iana_name().unwrap_or_default(),
            ),
            dot: Dot::new(state, label),
            next: routines::clock(snap, routine.id)?.next_at.map(|at| when.at(at)),
            name: routine.name,
        });
    }
    Ok(rows)
}

/// The form that connects a channel; empty without the right.
fn connect(ws: &Ws, who: &Person, agent: &Agent) -> String {
    match who.access.may(Can::Admin) {
        true => ws.url(&channels::nouns::connect_path(&agent.slug)),
        false => String::new(),
    }
}

fn channel_rows(snap: &Snap<'_>, agent: &Agent) -> Result<Vec<ChannelRow>, StoreError> {
    let mut rows = Vec::new();
    for (channel, state) in channels::queries::of_agent(snap, agent.id)? {
        let word = match state {
            State::Online => "healthy",
            State::Starting => "working",
            State::Off => "paused",
            State::Error | State::Revoked | State::Webhook => "error",
        };
        let dot = Dot::new(word, state.label());
        rows.push(ChannelRow { name: channel.name, kind: channel.kind.label(), dot });
    }
    Ok(rows)
}

fn view(
    ws: &Ws,
    who: &Person,
    snap: &Snap<'_>,
    when: &When,
    agent: &Agent,
    head: &Head,
) -> Result<View, StoreError> {
    let eye = (who.account, who.role);
    let mut live = runs::talk::seen(snap, runs::live_of_agent(snap, agent.id)?, eye)?;
    live.sort_by_key(|run| std::cmp::Reverse(run.number));
    let live: Vec<LiveRun> =
        live.iter().map(|run| live_run(ws, snap, when, run)).collect::<Result<_, _>>()?;
    let me = Assignee::Agent(agent.id);
    let filter = list::Filter {
        status: list::OPEN.to_vec(),
        assignee: list::Whose::One(me),
        ..list::Filter::default()
    };
    let today = list::Today { now: when.now, zone: when.zone.clone() };
    let cut = list::Cut { after: None, limit: SHOWN };
    let open = list::page(snap, &filter, list::Sort::Priority, &today, &cut)?;
    let open_count = list::open_count_of(snap, me)?;
    let key = tasks::key(snap)?;
    let items = inbox::list::open(snap, Some(agent.id), when.now)?;
    // Items that a run works on are not upcoming.
    let leased = items.iter().filter(|item| item.state == ItemState::Leased).count();
    let items = items.iter().filter(|item| item.state != ItemState::Leased).take(SHOWN);
    let items = items.map(|item| ItemView::new(ws, snap, when.now, &when.zone, item));
    let (chosen, packages) = (chosen(snap, agent)?, packages::of(ws, agent.id));
    let model = match chosen.connection {
        Some(id) => match snap.get::<Connection>(id)? {
            Some(connection) => format!("{} · {}", connection.name, chosen.model),
            None => chosen.model.clone(),
        },
        None if chosen.model == PRACTICE => PRACTICE_LABEL.to_owned(),
        None => chosen.model.clone(),
    };
    let last = runs::of_agent(snap, agent.id, None, SHOWN)?.into_iter().map(|hit| hit.record);
    let last = runs::talk::seen(snap, last.filter(|run| !run.is_live()), eye)?;
    Ok(View {
        live: Live::new(head.base.clone())
            .table("agents")
            .table("runs")
            .table("inbox")
            .table("tasks")
            .table("routines")
            .table("routine_clocks")
            .table("usage")
            .tables(&["channels", "channel_states"]),
        base: head.base.clone(),
        name: head.name.clone(),
        slug: agent.slug.clone(),
        about: agent.description.clone(),
        manages: head.manages,
        may_stop: who.access.may(Can::Chat),
        stuck: stuck(agent, head),
        idle: idle_words(agent, &head.activity, when),
        runs: live,
        tasks: open.items.iter().map(|task| task_row(ws, &key, &today, task)).collect(),
        tasks_count: match open_count {
            0 => String::new(),
            n => format!("{n} open"),
        },
        tasks_href: ws.url(&format!("tasks?assignee={}", agent.slug)),
        items: items.collect::<Result<_, _>>()?,
        none_waits: none_waits(leased),
        inbox_href: format!("{}/inbox", head.base),
        budget: budget_view(snap, when, agent)?,
        settings_href: format!("{}/settings", head.base),
        model,
        model_by: match chosen.source {
            ModelSource::Agent => "this agent",
            ModelSource::Workspace => "the workspace",
            ModelSource::Message | ModelSource::Session | ModelSource::Task => "the task",
            ModelSource::Routine => "the routine",
            ModelSource::Fallback => "HQ, because no model was chosen",
        },
        thinking: chosen.thinking.label(),
        thinks: match head.manages {
            true => Some(rail::offered(ws, snap, agent, &chosen)?),
            false => None,
        },
        line: line::view(ws, snap, agent, who.account)?,
        programs: match (agent.exec, agent.network) {
            (false, _) => "not allowed",
            (true, false) => "sandboxed, without network",
            (true, true) => "sandboxed, with network",
        },
        role: agent.role.clone(),
        domains: agent.domains.clone(),
        capabilities: agent.capabilities.join(", "),
        profile: Profile::of(agent),
        knows: knows::of(ws, snap, agent, &packages)?,
        skills: knows::skills(ws, agent, packages, (when, &head.base)),
        template: upgrade::template(ws, when, agent),
        folder: match who.role {
            Role::Owner => ws.agent_folder(&agent.slug).display().to_string(),
            _ => String::new(),
        },
        created: when.at(agent.created_at),
        last: last.iter().map(|run| last_run(ws, snap, run)).collect::<Result<_, _>>()?,
        routines: routine_rows(ws, snap, when, agent)?,
        new_routine: ws.url(&format!("routines/new?agent={}", agent.slug)),
        channels: channel_rows(snap, agent)?,
        connect: connect(ws, who, agent),
        runs_href: format!("{}/runs", head.base),
        history_href: format!("{}/history", head.base),
    })
}

/// Text for an inbox whose only items are already being worked on.
fn none_waits(leased: usize) -> String {
    match leased {
        0 => "Nothing is waiting.".to_owned(),
        1 => "One in progress, nothing else waiting.".to_owned(),
        n => format!("{n} in progress, nothing else waiting."),
    }
}

fn idle_words(agent: &Agent, activity: &Activity, when: &When) -> String {
    let why = activity.why.as_ref().map(|why| capitalized(&why.words(when.now, &when.zone)));
    let why = why.unwrap_or_else(|| activity.label.clone());
    let name = &agent.name;
    match (activity.state, activity.group) {
        ("archived", _) => format!("{name} is archived."),
        ("paused", _) => {
            format!("{name} is paused. Its tasks keep their place until you resume it.")
        }
        ("provisioning", _) => "Its files are being created.".to_owned(),
        ("queued", _) if activity.detail.is_empty() => {
            format!("{name} starts as soon as a slot is free.")
        }
        ("retrying", _) => {
            format!("{why}. {}", activity.detail)
        }
        ("held", _) => format!("{why}."),
        (_, Group::Idle) => format!("{name} is idle. Assign a task or send a message."),
        // The reason is shown above.
        _ if activity.stuck.is_some() => "Nothing is running.".to_owned(),
        _ => activity.detail.clone(),
    }
}

fn stuck(agent: &Agent, head: &Head) -> Option<Stuck> {
    let activity = &head.activity;
    if activity.state == "error" {
        let href = if head.can_retry { format!("{}/retry", head.base) } else { String::new() };
        let title = format!("{} could not be set up.", agent.name);
        let (why, raise_href) = (activity.detail.clone(), String::new());
        return Some(Stuck { title, why, retry_href: href, raise_href });
    }
    let raise_href = if head.manages { format!("{}/settings", head.base) } else { String::new() };
    if let Some(over) = &activity.over {
        let title = format!("Over budget: {} used.", over.words());
        let why = match over.budget.period.renewal() {
            Some(when) => format!("It continues {when}, or as soon as you raise the limit."),
            None => "It continues as soon as you raise the limit.".to_owned(),
        };
        return Some(Stuck { title, why, retry_href: String::new(), raise_href });
    }
    if activity.state == "over_budget" {
        let title = "The budget is too low for the next step.".to_owned();
        let why = sentence(&activity.detail);
        return Some(Stuck { title, why, retry_href: String::new(), raise_href });
    }
    let item = activity.stuck.as_ref()?;
    Some(Stuck {
        title: format!("{}.", activity.label),
        why: went_wrong(item.last_error.as_deref().unwrap_or_default()),
        retry_href: head.item_href(item.id),
        raise_href: String::new(),
    })
}

fn live_run(ws: &Ws, snap: &Snap<'_>, when: &When, run: &Run) -> Result<LiveRun, StoreError> {
    let title = if run.title.is_empty() { run.name() } else { run.title.clone() };
    let events = runs::last_events(snap, run.session, 12)?;
    let ours = events.into_iter().filter(|event| event.run == Some(run.id)).collect();
    let steps = Steps::fold(run.first_event, ours, &|_| None);
    let mut lines: Vec<Line> = steps.all.iter().filter_map(line).collect();
    lines.drain(..lines.len().saturating_sub(3));
    if run.state == RunState::Running {
        let what = ellipsis(runs::doing::now(&run.activity), 120);
        let verb = if what.is_empty() { "Thinking" } else { "Now:" }.to_owned();
        lines.push(Line { glyph: "", verb, what, took: String::new(), current: true });
    }
    let cost = usage::run_cost(snap, run.id)?;
    let state = words::seen(ws, snap, run)?;
    Ok(LiveRun {
        name: run.name(),
        title,
        state: state.word,
        steps: match run.steps {
            0 => run.name(),
            n => format!("{}, {}", run.name(), format::count(u64::from(n), "step", "steps")),
        },
        href: ws.url(&format!("runs/{}", run.number)),
        lines,
        took: run.started_at.map_or_else(|| "not started yet".to_owned(), |at| took(at, when.now)),
        cost: format::money(cost),
        dot: state.into(),
    })
}

/// A finished step in one line.
fn line(step: &Step) -> Option<Line> {
    let (glyph, verb, what) = match &step.what {
        What::Thought(text) => ("thought", "Thought".to_owned(), md::excerpt(text, 120)),
        What::Said(text) => ("comment", "Wrote".to_owned(), md::excerpt(text, 120)),
        What::Tool(call) => {
            let action = doing(call);
            let failed = matches!(call.state, CallState::Ended(status) if status != CallStatus::Ok);
            (if failed { "warn" } else { action.icon }, action.verb, action.what)
        }
        _ => return None,
    };
    let took = step.millis.map(|ms| format::duration(std::time::Duration::from_millis(ms)));
    Some(Line { glyph, verb, what, took: took.unwrap_or_default(), current: false })
}

fn task_row(ws: &Ws, key: &str, today: &list::Today, task: &Task) -> TaskRow {
    let name = format!("{key}-{}", task.number);
    TaskRow {
        href: ws.url(&format!("tasks/{name}")),
        title: task.title.clone(),
        status: task.status.word(),
        status_label: task.status.label(),
        prio: task.priority.word(),
        prio_label: task.priority.label(),
        due: overdue::shown(task, today),
        name,
    }
}

pub(super) fn last_run(ws: &Ws, snap: &Snap<'_>, run: &Run) -> Result<LastRun, StoreError> {
    Ok(LastRun {
        title: if run.title.is_empty() { run.name() } else { run.title.clone() },
        href: ws.url(&format!("runs/{}", run.number)),
        state: words::state(run),
        cost: format::money(usage::run_cost(snap, run.id)?),
    })
}
