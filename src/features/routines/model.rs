//! Records of routines. A released layout is frozen: raise `VERSION`, extend `upgrade`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use kernel::cadence::{Cadence, Days, Schedule};
use kernel::{
    Actor, AgentId, Assignee, CatchUp, Overlap, Part, Priority, RoutineId, RoutineSession,
    TemplateId, Thinking, Timestamp, TypedId,
};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Table};

mod clock;
mod firing;
mod former;

pub use clock::{CLOCKS, Clock, DUE, Gathered, Writing};
pub use firing::{BY_ROUTINE, BY_SLOT, BY_TASK, FIRINGS, Firing, Slot, item_key, of_item_key};

use super::conditions::Conditions;

pub const ROUTINES: Table = Table::new(225, "routines");
/// Agent, then the order of making; those that are put away are not there.
pub const BY_AGENT: Index = Index::multi(226, "routines_by_agent");
/// The event that it waits for.
pub const BY_EVENT: Index = Index::multi(227, "routines_by_event");
/// What holds for all routines (one row).
pub const ROUTINE_RULES: Table = Table::new(228, "routine_rules");

/// What makes a routine fire. Stored by position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// The time has come.
    Schedule(Schedule),
    /// Something happened.
    Event(Watch),
}

/// What a routine waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The word of the event: the registry has them.
    pub event: String,
    /// What must be true besides.
    pub conditions: Conditions,
    /// Whether changes by its own agent count, too.
    pub own_changes: bool,
}

/// What a routine begins. Stored by position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Its agent gets the instruction.
    Wake,
    /// A task is made; the instruction is its description.
    CreateTask(TaskForm),
    /// All tasks of a template are made, as parts of a task that is made for them.
    CreateTasks(TasksForm),
}

impl Action {
    /// The task that is made, if one is: that of all tasks of a template stands above them.
    #[must_use]
    pub fn task(&self) -> Option<&TaskForm> {
        match self {
            Self::Wake => None,
            Self::CreateTask(form) => Some(form),
            Self::CreateTasks(form) => Some(&form.above),
        }
    }

    /// What is made of a template, if anything is.
    #[must_use]
    pub fn tasks(&self) -> Option<&TasksForm> {
        match self {
            Self::CreateTasks(form) => Some(form),
            Self::Wake | Self::CreateTask(_) => None,
        }
    }
}

/// The tasks of a template, as a routine makes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TasksForm {
    /// The task that all of them are parts of.
    pub above: TaskForm,
    pub template: TemplateId,
    /// Who has which role; a role that is not here is the agent with this slug.
    pub roles: Vec<(String, Option<Assignee>)>,
}

/// The task that a routine makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskForm {
    /// Its title, a template.
    pub title: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether the routine's agent gets it; else nobody does.
    pub assigned: bool,
    /// In how many days it is due.
    pub due_days: Option<u16>,
}

/// Hours in which what a routine begins waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// On which days; none for every day.
    pub days: Days,
    /// From this minute of the day on.
    pub from: u16,
    /// Up to this one, which may be that of the next day.
    pub until: u16,
    /// A name of the time zone database.
    pub zone: String,
}

/// Something that begins by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routine {
    pub id: RoutineId,
    pub agent: AgentId,
    pub name: String,
    /// What is to be done, a template; the name where it is empty.
    pub instruction: String,
    /// What makes it fire.
    pub trigger: Trigger,
    /// What it begins.
    pub action: Action,
    /// Whether it fires.
    pub active: bool,
    /// Why HQ paused it.
    pub stopped: Option<String>,
    /// Whether a person has yet to let it begin: an agent made it.
    pub asks: bool,
    pub created_by: Actor,
    /// What becomes of instants that passed while HQ was off.
    pub catch_up: CatchUp,
    /// How old one may be to be made up for, in minutes; by its cadence when there is none.
    pub catch_up_minutes: Option<u32>,
    /// What becomes of a firing while what the one before began is not over.
    pub overlap: Overlap,
    /// Model of its runs in place of the agent's; no other answers.
    pub model: Option<String>,
    /// Thinking level of its runs in place of the agent's.
    pub thinking: Option<Thinking>,
    /// The most that one of its runs may spend, in micro-dollars.
    pub budget_micros: Option<i64>,
    /// When what it begins waits.
    pub quiet: Option<Quiet>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Within how many seconds after an instant of its schedule it fires.
    pub jitter_secs: u32,
    /// Whether it is put away when the one moment that it is for has led to work that is done.
    pub delete_when_done: bool,
    /// Since when it is put away.
    #[serde(with = "millisecond::optional")]
    pub done_at: Option<Timestamp>,
    /// Which conversation its agent is woken in.
    pub session: RoutineSession,
}

impl Routine {
    /// Whether it fires by itself.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.active && !self.asks
    }

    /// Its schedule, if it has one.
    #[must_use]
    pub fn schedule(&self) -> Option<&Schedule> {
        match &self.trigger {
            Trigger::Schedule(schedule) => Some(schedule),
            Trigger::Event(_) => None,
        }
    }

    /// Whether it is for one moment only.
    #[must_use]
    pub fn is_once(&self) -> bool {
        self.schedule().is_some_and(|schedule| matches!(schedule.cadence(), Cadence::Once(_)))
    }

    /// What it waits for, if that is no time.
    #[must_use]
    pub fn watch(&self) -> Option<&Watch> {
        match &self.trigger {
            Trigger::Schedule(_) => None,
            Trigger::Event(watch) => Some(watch),
        }
    }

    /// The template of what is to be done.
    #[must_use]
    pub fn template(&self) -> &str {
        if self.instruction.trim().is_empty() { &self.name } else { &self.instruction }
    }
}

impl Record for Routine {
    type Id = RoutineId;
    const TABLE: Table = ROUTINES;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[BY_AGENT, BY_EVENT];
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["active", "stopped", "asks", "done_at"], &["trigger", "action", "instruction"]];

    fn id(&self) -> RoutineId {
        self.id
    }

    fn index(&self, keys: &mut Keys) {
        if self.done_at.is_none() {
            keys.entry(BY_AGENT).part(self.agent);
        }
        if let Some(watch) = self.watch() {
            keys.entry(BY_EVENT).text(&watch.event);
        }
    }

    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }

    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            // The same fields; only that it makes tasks of a template had no place in the first.
            1 | 2 => former::before_delays(body),
            _ => Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version }),
        }
    }

    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: RoutineId::from_bytes([21; 16]),
            agent: AgentId::from_bytes([5; 16]),
            name: "Morning look".into(),
            instruction: "Look at what came in, answer what you can.".into(),
            trigger: Trigger::Event(Watch {
                event: "task.status".into(),
                conditions: Conditions::sample(),
                own_changes: false,
            }),
            action: Action::CreateTasks(TasksForm {
                above: TaskForm {
                    title: "Check {title}".into(),
                    priority: Priority::High,
                    assigned: true,
                    due_days: Some(2),
                },
                template: TemplateId::from_bytes([26; 16]),
                roles: vec![("writer".into(), Some(Assignee::System)), ("reader".into(), None)],
            }),
            active: true,
            stopped: None,
            asks: false,
            created_by: Actor::System(Part::Setup),
            catch_up: CatchUp::One,
            catch_up_minutes: Some(60),
            overlap: Overlap::Skip,
            model: Some("claude".into()),
            thinking: Some(Thinking::Low),
            budget_micros: Some(500_000),
            quiet: Some(Quiet {
                days: Days::WORKING,
                from: 22 * 60,
                until: 7 * 60,
                zone: "Europe/Berlin".into(),
            }),
            created_at: at,
            updated_at: at,
            jitter_secs: 600,
            delete_when_done: true,
            done_at: None,
            session: RoutineSession::Main,
        }
    }
}

/// What holds for all routines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutineRules {
    /// Whether a person lets each one begin that an agent made.
    pub ask: bool,
    /// Since when none fires.
    #[serde(with = "millisecond::optional")]
    pub paused_at: Option<Timestamp>,
}

impl Default for RoutineRules {
    fn default() -> Self {
        Self { ask: true, paused_at: None }
    }
}

impl Record for RoutineRules {
    type Id = ();
    const TABLE: Table = ROUTINE_RULES;
    const CLASS: Class = Class::Tracked;
    fn id(&self) {}
    fn sample() -> Self {
        Self { ask: false, paused_at: Some(kernel::time::from_ms(1_700_000_000_000)) }
    }
}
