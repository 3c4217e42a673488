//! What is worth a try after a set-up. Nothing of it is kept: each line follows from what there is. A part of HQ that
//! comes later adds its line to the table.

use super::Scene;
use crate::agents::model::AGENTS;
use crate::deliverables::model::{DELIVERABLES, REVIEWS, Review, Version};
use crate::onboarding::queries as onboarding;
use crate::routines::model::{ROUTINES, Routine};
use crate::tasks::model::{BY_ASSIGNEE, TASKS};
use crate::workspace::model::SETTINGS;
use kernel::key::KeyBuf;
use kernel::{Assignee, Can};
use store::{Range, Read, ReadExt as _, StoreError, Table};

/// How many rows are looked at for the first that counts: those of the first days.
const FIRST: usize = 200;

/// Whether something was done.
type Done = fn(&dyn Read, &Scene<'_>) -> Result<bool, StoreError>;

/// A line of the table.
struct Entry {
    /// Lines of the second round are shown when the first is done.
    round: u8,
    label: &'static str,
    hint: &'static str,
    /// The page where it is done, below the workspace.
    path: &'static str,
    /// Who may do it.
    can: Can,
    done: Done,
}

const LINES: [Entry; 6] = [
    Entry {
        round: 1,
        label: "Hire an agent",
        hint: "Sixteen roles, ready in a second.",
        path: "agents/new",
        can: Can::Agents,
        done: |_, scene| Ok(!scene.agents.is_empty()),
    },
    Entry {
        round: 1,
        label: "Connect a model",
        hint: "Until then agents follow a practice script.",
        path: "settings/connections/new",
        can: Can::Admin,
        done: |_, scene| {
            Ok(scene.settings.as_ref().is_some_and(|one| one.default_connection.is_some()))
        },
    },
    Entry {
        round: 1,
        label: "Give an agent a task",
        hint: "One sentence is enough.",
        path: "tasks/new",
        can: Can::Write,
        done: |read, scene| {
            for agent in &scene.agents {
                let range = Range::prefix(KeyBuf::of(&Assignee::Agent(agent.id))).limit(1);
                if 0 < read.len(BY_ASSIGNEE, &range)? {
                    return Ok(true);
                }
            }
            handed_in(read)
        },
    },
    Entry {
        round: 1,
        label: "Review a piece of work",
        hint: "Approve it, or say what should change.",
        path: "review",
        can: Can::Review,
        done: |read, scene| {
            let all: Vec<Review> = read.list(&Range::all().limit(FIRST))?;
            Ok(all.iter().any(|review| review.by == scene.who.account))
        },
    },
    Entry {
        round: 2,
        label: "Switch a routine on",
        hint: "Work that begins by itself, at a time or after an event.",
        path: "routines",
        can: Can::Write,
        done: |read, _| {
            let all: Vec<Routine> = read.list(&Range::all().limit(FIRST))?;
            Ok(all.iter().any(Routine::is_on))
        },
    },
    Entry {
        round: 2,
        label: "Hire a second agent",
        hint: "Agents hand work to each other.",
        path: "agents/new",
        can: Can::Agents,
        done: |_, scene| Ok(1 < scene.agents.len()),
    },
];

/// The tables that the lines follow from.
pub const TABLES: [Table; 6] = [AGENTS, SETTINGS, TASKS, DELIVERABLES, REVIEWS, ROUTINES];

/// A line as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What there is to do.
    pub label: &'static str,
    /// What comes of it.
    pub hint: &'static str,
    /// The page where it is done, below the workspace.
    pub path: &'static str,
    /// Whether it is done.
    pub done: bool,
}

/// What is worth a try now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mission {
    /// 1, or 2 once the first round is done.
    pub round: u8,
    /// The lines of the round.
    pub lines: Vec<Line>,
}

impl Mission {
    /// The number of lines that are done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.lines.iter().filter(|line| line.done).count()
    }
}

/// What is worth a try for this person; nothing when all is done, when the person has put it away, and where nobody was
/// led through a set-up.
///
/// # Errors
/// When the store fails.
pub fn read(read: &dyn Read, scene: &Scene<'_>) -> Result<Option<Mission>, StoreError> {
    if !onboarding::shows_mission(read, scene.who.account)? {
        return Ok(None);
    }
    for round in [1, 2] {
        let own = LINES.iter().filter(|one| one.round == round && scene.who.access.may(one.can));
        let mut lines = Vec::new();
        for Entry { label, hint, path, done, .. } in own {
            lines.push(Line { label, hint, path, done: done(read, scene)? });
        }
        if lines.iter().any(|line| !line.done) {
            return Ok(Some(Mission { round, lines }));
        }
    }
    Ok(None)
}

/// Whether an agent has ever handed something in.
fn handed_in(read: &dyn Read) -> Result<bool, StoreError> {
    let all: Vec<Version> = read.list(&Range::all().limit(FIRST))?;
    Ok(all.iter().any(|version| version.run.is_some()))
}
