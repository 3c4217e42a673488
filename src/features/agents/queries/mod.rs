//! Reads of agents and of their current activity.

pub mod drafts;
pub mod elsewhere;
pub mod exposed;
pub mod head;
pub mod lines;
pub mod machines;
pub mod reach;
pub mod repository;

use crate::inbox::model::Item;
use crate::inbox::queries as inbox;
use crate::inbox::queries::why::{Why, went_wrong};
use crate::runs::model::Run;
use crate::runs::queries as runs;
use crate::usage::queries::budgets::{self, Standing};
use app::Ws;
use jiff::tz::TimeZone;
use kernel::key::KeyBuf;
use kernel::{AgentId, AgentStatus, ItemState, Manager, Payer, RunState, Timestamp, WaitFor};
use std::collections::HashSet;
use store::{Range, Read, ReadExt, StoreError};
use web::parts::Face;

use super::model::{Agent, BY_SLUG};
use super::templates::{self, Starter};

/// Number of latest items read to find the result of the last work.
const LAST_ITEMS: usize = 5;

/// Finds an agent by slug, also an archived one.
pub fn by_slug(tx: &dyn Read, slug: &str) -> Result<Option<Agent>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(slug);
    tx.find(BY_SLUG, &key)
}

/// Finds an agent by slug, `@slug` or id.
pub fn by_name(tx: &dyn Read, name: &str) -> Result<Option<Agent>, StoreError> {
    let name = name.trim().trim_start_matches('@');
    if let Some(agent) = by_slug(tx, name)? {
        return Ok(Some(agent));
    }
    match name.parse::<AgentId>() {
        Ok(id) => tx.get(id),
        Err(_) => by_slug(tx, &name.to_lowercase()),
    }
}

/// Suggested first task of a template's agents, with a part in brackets to fill in.
#[must_use]
pub fn first_task(template: &str) -> Option<&'static str> {
    let task = templates::find(template)?.manifest.first_task.as_str();
    (!task.is_empty()).then_some(task)
}

/// All agents that are not archived, by name.
pub fn all(tx: &dyn Read) -> Result<Vec<Agent>, StoreError> {
    sorted(tx, |agent| agent.archived_at.is_none())
}

/// Archived agents, by name.
pub fn archived(tx: &dyn Read) -> Result<Vec<Agent>, StoreError> {
    sorted(tx, |agent| agent.archived_at.is_some())
}

fn sorted(tx: &dyn Read, keep: impl Fn(&Agent) -> bool) -> Result<Vec<Agent>, StoreError> {
    let mut agents: Vec<Agent> = tx.list(&Range::all())?;
    agents.retain(|agent| keep(agent));
    agents.sort_by_cached_key(|agent| (agent.name.to_lowercase(), agent.id));
    Ok(agents)
}

/// Direct reports of a manager, including archived ones, by name.
pub fn reporting_to(tx: &dyn Read, manager: Manager) -> Result<Vec<Agent>, StoreError> {
    let mut agents: Vec<Agent> = tx.list(&Range::all())?;
    agents.retain(|agent| agent.reports_to == Some(manager));
    agents.sort_by_cached_key(|agent| (agent.name.to_lowercase(), agent.id));
    Ok(agents)
}

/// The routines of a template.
#[must_use]
pub fn starters(template: &str) -> &'static [Starter] {
    templates::find(template).map_or(&[], |template| &template.manifest.routines)
}

/// Display names of agents: a repeated name is shown with the slug.
#[derive(Clone, Debug, Default)]
pub struct Called(HashSet<String>);

impl Called {
    /// Computes the repeated names. Archived agents do not count.
    #[must_use]
    pub fn among<'a>(agents: impl IntoIterator<Item = &'a Agent>) -> Self {
        let (mut seen, mut repeated) = (HashSet::new(), HashSet::new());
        for agent in agents.into_iter().filter(|agent| agent.archived_at.is_none()) {
            let name = agent.name.to_lowercase();
            if !seen.insert(name.clone()) {
                repeated.insert(name);
            }
        }
        Self(repeated)
    }

    /// "Ada", or "Ada (@ada-2)" if another agent has the same name.
    #[must_use]
    pub fn name(&self, agent: &Agent) -> String {
        match self.0.contains(&agent.name.to_lowercase()) {
            true => format!("{} (@{})", agent.name, agent.slug),
            false => agent.name.clone(),
        }
    }

    /// Idle face with that name.
    #[must_use]
    pub fn face(&self, agent: &Agent) -> Face {
        Face::agent(&self.name(agent), &agent.emoji, &agent.slug)
    }
}

/// Display name of an agent within the workspace.
pub fn called(read: &dyn Read, agent: &Agent) -> Result<String, StoreError> {
    let all: Vec<Agent> = read.list(&Range::all())?;
    Ok(Called::among(&all).name(agent))
}

/// Code of the reason why an agent takes no work or messages; `None` if it does.
#[must_use]
pub fn held(agent: &Agent) -> Option<&'static str> {
    match agent.status {
        _ if agent.archived_at.is_some() => Some("agent_archived"),
        AgentStatus::Ready => None,
        AgentStatus::Paused => Some("agent_paused"),
        AgentStatus::Provisioning => Some("agent_provisioning"),
        AgentStatus::Error => Some("agent_error"),
        AgentStatus::Hibernating => Some("agent_asleep"),
    }
}

/// Groups for filtering lists of agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// A run is working.
    Working,
    /// A run waits, or nothing that is queued may begin yet.
    Waiting,
    /// No work, or work that begins as soon as a slot is free.
    Idle,
    /// A person has to act.
    Attention,
    /// Takes no work.
    Off,
}

impl Group {
    /// All groups in list order.
    pub const ALL: [Self; 5] =
        [Self::Working, Self::Waiting, Self::Idle, Self::Attention, Self::Off];

    /// Word in URLs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Attention => "attention",
            Self::Off => "off",
        }
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Working => "Working",
            Self::Waiting => "Waiting",
            Self::Idle => "Idle",
            Self::Attention => "Needs attention",
            Self::Off => "Off",
        }
    }

    /// State word whose colour represents the group.
    #[must_use]
    pub fn dot(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Attention => "error",
            Self::Off => "paused",
        }
    }
}

/// Current activity of an agent, as shown by every page, list and tool.
#[derive(Clone, Debug)]
pub struct Activity {
    pub group: Group,
    /// State word: colour of the dot, and `activity` in the API.
    pub state: &'static str,
    pub label: String,
    /// One sentence; may be empty.
    pub detail: String,
    /// The run that works or waits.
    pub run: Option<Run>,
    /// Number of waiting items, at most 100.
    pub open: usize,
    /// The failed item that needs attention.
    pub stuck: Option<Item>,
    /// The used-up budget that needs attention.
    pub over: Option<Standing>,
    /// Why no queued work begins, if so.
    pub why: Option<Why>,
}

impl Activity {
    /// Detail in one line, with times in this zone; may be empty.
    #[must_use]
    pub fn detail_at(&self, now: Timestamp, zone: &TimeZone) -> String {
        self.why.as_ref().map_or_else(|| self.detail.clone(), |why| why.detail(now, zone))
    }
}

/// Computes the activity from stored status, live runs, open items and budget.
pub fn activity(tx: &dyn Read, agent: &Agent, now: Timestamp) -> Result<Activity, StoreError> {
    let open = inbox::open_count(tx, agent.id)?;
    let mut live = runs::live_of_agent(tx, agent.id)?;
    // A working run before a waiting one, then the newest.
    live.sort_by_key(|run| (rank(run.state), std::cmp::Reverse(run.number)));
    let run = live.into_iter().next();
    let plain = |group, state, label: &str, detail: &str| Activity {
        group,
        state,
        label: label.to_owned(),
        detail: detail.to_owned(),
        run: None,
        open,
        stuck: None,
        over: None,
        why: None,
    };
    if agent.archived_at.is_some() {
        return Ok(plain(Group::Off, "archived", "Archived", "Its files and history are kept."));
    }
    let reason = agent.status_reason.as_deref().unwrap_or_default();
    let off = match agent.status {
        AgentStatus::Ready => None,
        AgentStatus::Provisioning => Some(plain(Group::Off, "provisioning", "Setting up", "")),
        AgentStatus::Paused => Some(plain(Group::Off, "paused", "Paused", "")),
        AgentStatus::Hibernating => Some(plain(Group::Off, "hibernating", "Asleep", "")),
        AgentStatus::Error => Some(plain(Group::Attention, "error", "Error", reason)),
    };
    if let Some(off) = off {
        return Ok(Activity { run, ..off });
    }
    if let Some(run) = &run
        && let Some(shown) = of_run(run, &plain)
    {
        return Ok(Activity { run: Some(run.clone()), ..shown });
    }
    if let Some(over) = budgets::over_budget(tx, agent.id, now)? {
        let whose = match over.budget.payer {
            Payer::Workspace => "The workspace’s",
            _ => "Its",
        };
        let detail = format!("{whose} budget {} is used up.", over.budget.period.words());
        let shown = plain(Group::Attention, "over_budget", "Over budget", &detail);
        return Ok(Activity { run, over: Some(over), ..shown });
    }
    if let Some(run) = run {
        let held = runs::branches::held(tx, &run)?.map_or_else(String::new, |held| held.describe());
        let run = Some(run);
        return Ok(Activity { run, ..plain(Group::Idle, "queued", "Queued", &held) });
    }
    if open > 0 {
        return Ok(match Why::of_agent(tx, agent.id, now)? {
            Some(why) => {
                let shown = plain(Group::Waiting, why.state(), why.label(), &why.reason());
                Activity { why: Some(why), ..shown }
            }
            None => plain(Group::Idle, "queued", "Queued", ""),
        });
    }
    if let Some(item) = stuck(tx, agent.id)? {
        let label = match (how_it_ended(tx, &item)?, item.state) {
            ("Failed", ItemState::DeadLetter) => format!("Failed after {} tries", item.attempts),
            (end, _) => end.to_owned(),
        };
        let detail = went_wrong(item.last_error.as_deref().unwrap_or_default());
        let shown = plain(Group::Attention, "stalled", &label, &detail);
        return Ok(Activity { stuck: Some(item), ..shown });
    }
    Ok(plain(Group::Idle, "idle", "Idle", ""))
}

/// Like [`activity`], for pages, which know the connections of machines: a run without a sign of life is stalled.
pub fn activity_seen(
    ws: &Ws,
    tx: &dyn Read,
    agent: &Agent,
    now: Timestamp,
) -> Result<Activity, StoreError> {
    let activity = activity(tx, agent, now)?;
    if !is_stalled(ws, tx, agent, &activity)? {
        return Ok(activity);
    }
    let label = runs::words::stalled().label;
    Ok(Activity { group: Group::Attention, state: "unreachable", label, ..activity })
}

/// Label of an activity as pages show it. The API keeps the word `working` for a run without a sign of life.
pub fn label_seen(
    ws: &Ws,
    tx: &dyn Read,
    agent: &Agent,
    activity: &Activity,
) -> Result<String, StoreError> {
    Ok(match is_stalled(ws, tx, agent, activity)? {
        true => runs::words::stalled().label,
        false => activity.label.clone(),
    })
}

/// Returns `true` if the agent's run gives no sign of life.
fn is_stalled(
    ws: &Ws,
    tx: &dyn Read,
    agent: &Agent,
    activity: &Activity,
) -> Result<bool, StoreError> {
    Ok(activity.group == Group::Working && elsewhere::silent(ws, tx, agent.id)?.is_some())
}

fn rank(state: RunState) -> u8 {
    match state {
        RunState::Running => 0,
        RunState::Waiting => 1,
        RunState::Queued => 2,
        RunState::Ended => 3,
    }
}

fn of_run(
    run: &Run,
    plain: &dyn Fn(Group, &'static str, &str, &str) -> Activity,
) -> Option<Activity> {
    match run.state {
        RunState::Running => {
            Some(plain(Group::Working, "working", "Working", runs::doing::now(&run.activity)))
        }
        RunState::Waiting => {
            let waits = run.waiting.as_ref();
            let detail = waits.map_or("", |waiting| waiting.detail.as_str());
            let (group, word) = match waits.map(|waiting| waiting.waits_for) {
                // The budget may have something left, but less than the next call may cost.
                Some(WaitFor::Budget) => (Group::Attention, "over_budget"),
                Some(WaitFor::Link) => (Group::Attention, "unreachable"),
                _ => (Group::Waiting, "waiting"),
            };
            Some(plain(group, word, &runs::words::state(run).label, detail))
        }
        RunState::Queued | RunState::Ended => None,
    }
}

/// Label of a failed item: that of its run, such as "Failed" or "No result".
fn how_it_ended(tx: &dyn Read, item: &Item) -> Result<&'static str, StoreError> {
    let run = match item.run {
        Some(run) => tx.get::<Run>(run)?,
        None => None,
    };
    let outcome = run.and_then(|run| run.outcome).filter(runs::words::is_bad);
    Ok(outcome.as_ref().map_or("Failed", runs::words::end))
}

/// The agent's last item, if it failed and a person has to act.
fn stuck(tx: &dyn Read, agent: AgentId) -> Result<Option<Item>, StoreError> {
    let over = inbox::of_agent(tx, agent, true, None, LAST_ITEMS)?;
    let last = over.into_iter().map(|hit| hit.record).max_by_key(|item| item.ended_at);
    Ok(last.filter(Item::has_failed))
}

/// Whether agents of a template begin with the right to run programs. An unknown template allows it.
#[must_use]
pub fn template_runs_programs(slug: &str) -> bool {
    templates::find(slug).is_none_or(|template| template.manifest.exec)
}
