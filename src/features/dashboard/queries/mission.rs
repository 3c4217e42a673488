//! Suggestions after onboarding. Nothing is stored: each line is derived from existing records. A new module adds its
//! line to the table.

use std::ops::ControlFlow;

use super::DashboardContext;
use crate::agents::model::AGENTS;
use crate::cards;
use crate::deliverables::model::{DELIVERABLES, REVIEWS, Review, Version};
use crate::onboarding::queries as onboarding;
use crate::routines::model::{ROUTINES, Routine};
use crate::tasks::model::{BY_ASSIGNEE, TASKS};
use crate::workspace::model::SETTINGS;
use crate::workspace::queries::modules::Off;
use kernel::key::KeyBuf;
use kernel::{Assignee, Can, TaskStatus};
use store::{Range, Read, ReadExt as _, StoreError, Table};

/// Maximum number of rows to search for a match, oldest first.
const FIRST: usize = 200;

/// Tests whether a line is done.
type Done = fn(&dyn Read, &DashboardContext<'_>) -> Result<bool, StoreError>;

struct Entry {
    /// Round in which the line is shown. Round 2 starts when round 1 is done.
    round: u8,
    label: &'static str,
    hint: &'static str,
    /// Path of the page below the workspace.
    path: &'static str,
    /// Tab of the agent's page to use instead, if there is exactly one agent.
    of_agent: &'static str,
    /// Noun that the line needs, or empty.
    noun: &'static str,
    can: Can,
    done: Done,
}

impl Entry {
    /// Defaults.
    const USUAL: Self = Self {
        round: 1,
        label: "",
        hint: "",
        path: "",
        of_agent: "",
        noun: "",
        can: Can::Write,
        done: |_, _| Ok(false),
    };

    /// Returns `true` if the workspace has the noun. Other lines do not count.
    fn is_built(&self, off: &Off) -> bool {
        self.noun.is_empty() || (cards::of_word(self.noun).is_some() && !off.has_page(self.path))
    }
}

static LINES: [Entry; 10] = [
    Entry {
        label: "Create an agent",
        hint: "Sixteen role templates, ready in a second.",
        path: "agents/new",
        can: Can::Agents,
        done: |_, scene| Ok(!scene.agents.is_empty()),
        ..Entry::USUAL
    },
    Entry {
        label: "Connect a model",
        hint: "Until then agents follow a practice script.",
        path: "settings/connections/new",
        can: Can::Admin,
        done: |_, scene| {
            Ok(scene.settings.as_ref().is_some_and(|one| one.default_connection.is_some()))
        },
        ..Entry::USUAL
    },
    Entry {
        label: "Give an agent a task",
        hint: "One sentence is enough.",
        path: "tasks/new",
        done: |read, scene| Ok(has_task(read, scene, None)? || handed_in(read)?),
        ..Entry::USUAL
    },
    Entry {
        label: "Get your first deliverable",
        hint: "An agent submits its work for review.",
        path: "tasks",
        done: |read, scene| Ok(handed_in(read)? || has_task(read, scene, Some(TaskStatus::Done))?),
        ..Entry::USUAL
    },
    Entry {
        label: "Review a deliverable",
        hint: "Approve it, or ask for changes.",
        path: "review",
        can: Can::Review,
        done: |read, scene| {
            let all: Vec<Review> = read.list(&Range::all().limit(FIRST))?;
            Ok(all.iter().any(|review| review.by == scene.who.account))
        },
        ..Entry::USUAL
    },
    Entry {
        label: "Add knowledge for your agents",
        hint: "Prices, rules and how you do things.",
        path: "knowledge",
        noun: "knowledge",
        done: |read, _| any(read, "knowledge"),
        ..Entry::USUAL
    },
    Entry {
        round: 2,
        label: "Connect a source",
        hint: "A folder or site that stays up to date as knowledge.",
        path: "knowledge/sources/new",
        noun: "source",
        can: Can::Admin,
        done: |read, _| any(read, "source"),
        ..Entry::USUAL
    },
    Entry {
        round: 2,
        label: "Turn on a routine",
        hint: "Work that starts on a schedule or an event.",
        path: "routines",
        done: |read, _| {
            let all: Vec<Routine> = read.list(&Range::all().limit(FIRST))?;
            Ok(all.iter().any(Routine::is_on))
        },
        ..Entry::USUAL
    },
    Entry {
        round: 2,
        label: "Give an agent a browser",
        hint: "Watch it work and take control at any time.",
        path: "agents",
        of_agent: "browser",
        noun: "agent_browser",
        can: Can::Agents,
        done: |read, _| any(read, "agent_browser"),
    },
    Entry {
        round: 2,
        label: "Create a second agent",
        hint: "Agents can hand work to each other.",
        path: "agents/new",
        can: Can::Agents,
        done: |_, scene| Ok(1 < scene.agents.len()),
        ..Entry::USUAL
    },
];

/// Tables from which the lines are derived.
static TABLES: [Table; 6] = [AGENTS, SETTINGS, TASKS, DELIVERABLES, REVIEWS, ROUTINES];

/// Topics to subscribe to: the tables from which the lines are derived.
pub fn topics() -> impl Iterator<Item = &'static str> {
    let of_nouns = LINES.iter().filter_map(|line| cards::of_word(line.noun));
    TABLES.iter().map(|table| table.name).chain(of_nouns.map(|noun| noun.topic))
}

/// A line for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub label: &'static str,
    /// Benefit.
    pub hint: &'static str,
    /// Path below the workspace.
    pub path: String,
    pub done: bool,
}

/// The suggestions of the current round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mission {
    /// 1, or 2 once the first round is done.
    pub round: u8,
    pub lines: Vec<Line>,
}

impl Mission {
    /// Number of lines that are done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.lines.iter().filter(|line| line.done).count()
    }
}

/// Suggestions for this person. `None` if all are done, the person dismissed them, or the workspace had no onboarding.
pub fn read(read: &dyn Read, scene: &DashboardContext<'_>) -> Result<Option<Mission>, StoreError> {
    if !onboarding::shows_mission(read, scene.who.account)? {
        return Ok(None);
    }
    let off = scene.settings.as_ref().map(Off::in_settings).unwrap_or_default();
    let own = |one: &&Entry| scene.who.access.may(one.can) && one.is_built(&off);
    for round in [1, 2] {
        let mut lines = Vec::new();
        for entry in LINES.iter().filter(own).filter(|one| one.round == round) {
            let Entry { label, hint, done, .. } = *entry;
            lines.push(Line { label, hint, path: path(entry, scene), done: done(read, scene)? });
        }
        if lines.iter().any(|line| !line.done) {
            return Ok(Some(Mission { round, lines }));
        }
    }
    Ok(None)
}

/// Path of the page for a line.
fn path(entry: &Entry, scene: &DashboardContext<'_>) -> String {
    match scene.agents.as_slice() {
        [only] if !entry.of_agent.is_empty() => format!("agents/{}/{}", only.slug, entry.of_agent),
        _ => entry.path.to_owned(),
    }
}

/// Returns `true` if the noun has any record.
fn any(read: &dyn Read, noun: &str) -> Result<bool, StoreError> {
    let Some(noun) = cards::of_word(noun) else { return Ok(false) };
    let mut found = false;
    read.raw_scan(noun.table, &Range::all().limit(1), &mut |_, _| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Returns `true` if an agent has a task, or a task in a status.
fn has_task(
    read: &dyn Read,
    scene: &DashboardContext<'_>,
    status: Option<TaskStatus>,
) -> Result<bool, StoreError> {
    for agent in &scene.agents {
        let mut key = KeyBuf::of(&Assignee::Agent(agent.id));
        if let Some(status) = status {
            key.u8(status as u8);
        }
        if 0 < read.len(BY_ASSIGNEE, &Range::prefix(key).limit(1))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns `true` if an agent has ever submitted a deliverable.
fn handed_in(read: &dyn Read) -> Result<bool, StoreError> {
    let all: Vec<Version> = read.list(&Range::all().limit(FIRST))?;
    Ok(all.iter().any(|version| version.run.is_some()))
}
