//! Reads of agents, and what an agent does now.

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
use jiff::tz::TimeZone;
use kernel::key::KeyBuf;
use kernel::{AgentId, AgentStatus, ItemState, Manager, Payer, RunState, Timestamp, WaitFor};
use std::collections::HashSet;
use store::{Range, Read, ReadExt, StoreError};
use web::parts::Face;

use super::model::{Agent, BY_SLUG};
use super::templates::{self, Starter};

/// How many of the last items are looked at to see how the last work ended.
const LAST_ITEMS: usize = 5;

/// An agent by its slug, also an archived one.
pub fn by_slug(tx: &dyn Read, slug: &str) -> Result<Option<Agent>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(slug);
    tx.find(BY_SLUG, &key)
}

/// An agent by what people, models and addresses call it: slug, `@slug` or id.
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

/// The first task of a template's agents, with a place in brackets to be filled in; none where it names none.
#[must_use]
pub fn first_task(template: &str) -> Option<&'static str> {
    let task = templates::find(template)?.manifest.first_task.as_str();
    (!task.is_empty()).then_some(task)
}

/// All agents that are not archived, in the order of their names.
pub fn all(tx: &dyn Read) -> Result<Vec<Agent>, StoreError> {
    sorted(tx, |agent| agent.archived_at.is_none())
}

/// The archived agents, in the order of their names.
pub fn archived(tx: &dyn Read) -> Result<Vec<Agent>, StoreError> {
    sorted(tx, |agent| agent.archived_at.is_some())
}

fn sorted(tx: &dyn Read, keep: impl Fn(&Agent) -> bool) -> Result<Vec<Agent>, StoreError> {
    let mut agents: Vec<Agent> = tx.list(&Range::all())?;
    agents.retain(|agent| keep(agent));
    agents.sort_by_cached_key(|agent| (agent.name.to_lowercase(), agent.id));
    Ok(agents)
}

/// Agents that report to somebody directly, archived ones too, in the order of their names.
pub fn reporting_to(tx: &dyn Read, manager: Manager) -> Result<Vec<Agent>, StoreError> {
    let mut agents: Vec<Agent> = tx.list(&Range::all())?;
    agents.retain(|agent| agent.reports_to == Some(manager));
    agents.sort_by_cached_key(|agent| (agent.name.to_lowercase(), agent.id));
    Ok(agents)
}

/// The routines that come with a template.
#[must_use]
pub fn starters(template: &str) -> &'static [Starter] {
    templates::find(template).map_or(&[], |template| &template.manifest.routines)
}

/// What agents are called among each other: where names repeat, the handle stands with them.
#[derive(Clone, Debug, Default)]
pub struct Called(HashSet<String>);

impl Called {
    /// Among these; archived ones are not in the way.
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

    /// "Ada", or "Ada (@ada-2)" where another one is called so.
    #[must_use]
    pub fn name(&self, agent: &Agent) -> String {
        match self.0.contains(&agent.name.to_lowercase()) {
            true => format!("{} (@{})", agent.name, agent.slug),
            false => agent.name.clone(),
        }
    }

    /// Its face under that name, at rest.
    #[must_use]
    pub fn face(&self, agent: &Agent) -> Face {
        Face::agent(&self.name(agent), &agent.emoji, &agent.slug)
    }
}

/// What an agent is called among all of the workspace.
pub fn called(read: &dyn Read, agent: &Agent) -> Result<String, StoreError> {
    let all: Vec<Agent> = read.list(&Range::all())?;
    Ok(Called::among(&all).name(agent))
}

/// Whether an agent takes work or talk now; the reason when it does not.
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

/// The five groups that lists of agents are filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// A run has a live step.
    Working,
    /// A run waits for somebody or something, or nothing that waits may begin yet.
    Waiting,
    /// Nothing to do, or work that begins as soon as a place is free.
    Idle,
    /// A person has to act.
    Attention,
    /// Takes no work.
    Off,
}

impl Group {
    /// All groups, in the order of lists.
    pub const ALL: [Self; 5] =
        [Self::Working, Self::Waiting, Self::Idle, Self::Attention, Self::Off];

    /// The word in addresses.
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

    /// The word for people.
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

    /// The state word whose colour stands for the group.
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

/// What an agent does now, as every page, list and tool says it.
#[derive(Clone, Debug)]
pub struct Activity {
    /// The group it belongs to.
    pub group: Group,
    /// The state word: colour of the dot, and `activity` of the API.
    pub state: &'static str,
    /// What people read.
    pub label: String,
    /// More, in one sentence; may be empty.
    pub detail: String,
    /// The run that it works on or waits with.
    pub run: Option<Run>,
    /// How many items wait for it, counted to 100.
    pub open: usize,
    /// The item that failed, when that is why it needs attention.
    pub stuck: Option<Item>,
    /// The budget that is used up, when that is why it needs attention.
    pub over: Option<Standing>,
    /// Why nothing that waits for it begins, when nothing may.
    pub why: Option<Why>,
}

impl Activity {
    /// More in one line, with times as this zone tells them; may be empty.
    #[must_use]
    pub fn detail_at(&self, now: Timestamp, zone: &TimeZone) -> String {
        self.why.as_ref().map_or_else(|| self.detail.clone(), |why| why.detail(now, zone))
    }
}

/// What an agent does now: from its stored status, its live runs, its open items and its budget.
pub fn activity(tx: &dyn Read, agent: &Agent, now: Timestamp) -> Result<Activity, StoreError> {
    let open = inbox::open_count(tx, agent.id)?;
    let mut live = runs::live_of_agent(tx, agent.id)?;
    // One that works says more than one that waits, and the newest the most.
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
            Payer::Workspace => "The workspace's",
            _ => "Its",
        };
        let detail = format!("{whose} budget {} is used up.", over.budget.period.words());
        let shown = plain(Group::Attention, "over_budget", "Over budget", &detail);
        return Ok(Activity { run, over: Some(over), ..shown });
    }
    if let Some(run) = run {
        let held = runs::branches::held(tx, &run)?.map_or_else(String::new, |held| held.told());
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
        let label = match item.state {
            ItemState::DeadLetter => format!("Failed after {} tries", item.attempts),
            _ => "Failed".to_owned(),
        };
        let detail = went_wrong(item.last_error.as_deref().unwrap_or_default());
        let shown = plain(Group::Attention, "stalled", &label, &detail);
        return Ok(Activity { stuck: Some(item), ..shown });
    }
    Ok(plain(Group::Idle, "idle", "Idle", ""))
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
            Some(match waits.map(|waiting| waiting.waits_for) {
                Some(WaitFor::Approval | WaitFor::Question | WaitFor::Browser) => {
                    plain(Group::Waiting, "waiting", "Waiting for you", detail)
                }
                Some(WaitFor::Budget) => {
                    // Something may be left, only less than the next call may cost.
                    plain(Group::Attention, "over_budget", "Waiting for budget", detail)
                }
                Some(WaitFor::Link) => {
                    plain(Group::Attention, "unreachable", "Unreachable", detail)
                }
                Some(other) => {
                    let label = format!("Waiting for {}", other.label());
                    plain(Group::Waiting, "waiting", &label, detail)
                }
                None => plain(Group::Waiting, "waiting", "Waiting", detail),
            })
        }
        RunState::Queued | RunState::Ended => None,
    }
}

/// The item with which the agent's last work ended, when it ended badly and a person has to act.
fn stuck(tx: &dyn Read, agent: AgentId) -> Result<Option<Item>, StoreError> {
    let over = inbox::of_agent(tx, agent, true, None, LAST_ITEMS)?;
    let last = over.into_iter().map(|hit| hit.record).max_by_key(|item| item.ended_at);
    Ok(last.filter(Item::has_failed))
}

/// Whether agents of a template begin with the right to run programs; one of a template that is not known does.
#[must_use]
pub fn template_runs_programs(slug: &str) -> bool {
    templates::find(slug).is_none_or(|template| template.manifest.exec)
}
