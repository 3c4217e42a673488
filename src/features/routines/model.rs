//! Routine records. A released layout is frozen: raise `VERSION`, extend `upgrade`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use kernel::cadence::{Cadence, Days, Schedule};
use kernel::{
    Actor, AgentId, Assignee, CatchUp, ChannelId, Overlap, Part, Priority, RecordId, RoutineId,
    RoutineSession, TemplateId, Thinking, Timestamp, TypedId,
};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Table};

mod clock;
mod firing;
mod former;

pub use clock::{CLOCKS, Clock, DUE, Gathered, Writing};
pub use firing::{BY_ROUTINE, BY_SLOT, BY_TASK, FIRINGS, Firing, Slot, item_key, of_item_key};

use super::conditions::Conditions;

pub const ROUTINES: Table = Table::new(225, "routines");
/// Agent, then creation order. Excludes archived routines.
pub const BY_AGENT: Index = Index::multi(226, "routines_by_agent");
/// Event that the routine waits for.
pub const BY_EVENT: Index = Index::multi(227, "routines_by_event");
/// Settings for all routines (one row).
pub const ROUTINE_RULES: Table = Table::new(228, "routine_rules");

/// Trigger of a routine. Stored by position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    Schedule(Schedule),
    Event(Watch),
}

/// Event trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Word of the event kind, see the registry.
    pub event: String,
    pub conditions: Conditions,
    /// `true` if changes by the routine's own agent count too.
    pub own_changes: bool,
}

/// What a firing starts. Stored by position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// The agent gets the instruction.
    Wake,
    /// Creates a task. The instruction is its description.
    CreateTask(TaskForm),
    /// Creates a task with the items of a template as its subtasks.
    CreateTasks(TasksForm),
}

impl Action {
    /// The created task. For a template, the parent task.
    #[must_use]
    pub fn task(&self) -> Option<&TaskForm> {
        match self {
            Self::Wake => None,
            Self::CreateTask(form) => Some(form),
            Self::CreateTasks(form) => Some(&form.above),
        }
    }

    /// The template part of the action.
    #[must_use]
    pub fn tasks(&self) -> Option<&TasksForm> {
        match self {
            Self::CreateTasks(form) => Some(form),
            Self::Wake | Self::CreateTask(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TasksForm {
    /// Parent of the tasks.
    pub above: TaskForm,
    pub template: TemplateId,
    /// Assignee per role. A role that is not listed means the agent with this slug.
    pub roles: Vec<(String, Option<Assignee>)>,
}

/// Task that a routine creates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskForm {
    /// Title template.
    pub title: String,
    pub priority: Priority,
    /// `true` assigns the task to the routine's agent, `false` leaves it unassigned.
    pub assigned: bool,
    /// Days until the task is due.
    pub due_days: Option<u16>,
}

/// Quiet hours, during which started work waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// Days on which they begin. Empty means every day.
    pub days: Days,
    /// First minute of the day.
    pub from: u16,
    /// End minute of the day. An end before `from` is on the next day.
    pub until: u16,
    /// IANA time zone.
    pub zone: String,
}

/// A routine: starts work on a schedule or after an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routine {
    pub id: RoutineId,
    pub agent: AgentId,
    pub name: String,
    /// Instruction template. If empty, the name is used.
    pub instruction: String,
    pub trigger: Trigger,
    pub action: Action,
    pub active: bool,
    /// Why HQ paused the routine.
    pub stopped: Option<String>,
    /// `true` while an agent's routine waits for a person's approval.
    pub asks: bool,
    pub created_by: Actor,
    /// Policy for instants that passed while HQ was off.
    pub catch_up: CatchUp,
    /// Maximum age in minutes of an instant to catch up on. `None` derives it from the cadence.
    pub catch_up_minutes: Option<u32>,
    /// Policy for a firing while earlier work is unfinished.
    pub overlap: Overlap,
    /// Overrides the agent's model, without fallbacks.
    pub model: Option<String>,
    /// Overrides the agent's thinking level.
    pub thinking: Option<Thinking>,
    /// Budget per run in micro-dollars.
    pub budget_micros: Option<i64>,
    /// Hours during which started work waits.
    pub quiet: Option<Quiet>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Maximum delay after a scheduled instant, in seconds.
    pub jitter_secs: u32,
    /// Archives a one-time routine once its work is done.
    pub delete_when_done: bool,
    /// Time of archiving.
    #[serde(with = "millisecond::optional")]
    pub done_at: Option<Timestamp>,
    /// Conversation in which the agent is woken.
    pub session: RoutineSession,
    /// Where the result is sent.
    pub deliver_to: Option<DeliverTo>,
}

/// A place on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverTo {
    pub channel: ChannelId,
    pub is_room: bool,
    /// The person or room of the channel.
    pub target: RecordId,
    /// Its name when it was chosen.
    pub label: String,
}

impl Routine {
    /// Returns `true` if the routine is active and approved.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.active && !self.asks
    }

    #[must_use]
    pub fn schedule(&self) -> Option<&Schedule> {
        match &self.trigger {
            Trigger::Schedule(schedule) => Some(schedule),
            Trigger::Event(_) => None,
        }
    }

    /// Returns `true` for a schedule with a single instant.
    #[must_use]
    pub fn is_once(&self) -> bool {
        self.schedule().is_some_and(|schedule| matches!(schedule.cadence(), Cadence::Once(_)))
    }

    /// The event trigger, if there is one.
    #[must_use]
    pub fn watch(&self) -> Option<&Watch> {
        match &self.trigger {
            Trigger::Schedule(_) => None,
            Trigger::Event(watch) => Some(watch),
        }
    }

    /// Instruction template, or the name if the instruction is empty.
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
            // The fields are the same. Version 1 only had no `CreateTasks`.
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
            deliver_to: Some(DeliverTo {
                channel: ChannelId::from_bytes([60; 16]),
                is_room: true,
                target: RecordId::from_bytes([62; 16]),
                label: "Sales ü (Telegram, Ada)".into(),
            }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutineRules {
    /// `true` if routines of agents need a person's approval.
    pub ask: bool,
    /// All routines are paused since then.
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
