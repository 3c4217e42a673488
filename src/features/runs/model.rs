//! Records of conversations and runs.

use jiff::SignedDuration;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{
    AccountId, AgentId, ConnectionId, GatewayId, ItemId, Outcome, RunId, RunState, RunTrigger,
    SessionId, TaskId, Thinking, Timestamp, TypedId, WaitFor,
};
use store::codec::{self, DecodeError};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

mod attachment;
mod run_limits;
mod branch;
mod child;
mod context;
mod demand;
mod event;
mod evidence;
mod grant;
mod preferences;
mod halt;
mod input;
mod limits;
mod marks;
mod taint;
mod park;
mod queue;
mod session;

pub use attachment::{Attachment, MAX_ATTACHED, MAX_ATTACHED_BYTES, MAX_SPILLED, media_type};
pub use branch::{BRANCH_OF, BRANCH_PARENT, BRANCHES, Branch, BranchWhy};
pub use child::{
    Awaited, CHILDREN, CHILDREN_BY_PARENT, CHILDREN_BY_ROOT, CHILDREN_BY_SESSION, Child,
};
pub use context::{CONTEXTS, CompactionRequest, Context};
pub use demand::{AnswerForm, ClientChoice, ClientTool, Demand, OTHERS};
pub use event::{
    BROKEN_OFF, Body, CallStatus, Compaction, CompactionWhy, EventKind, FileMark, LeftOut,
    PromptPart, SeenFile, SessionEvent, SummaryBy,
};
pub use evidence::{Evidence, RUN_EVIDENCE};
pub use grant::{Grant, INPUT_GRANTS, InputGrant, SENDER_GRANTS, Sender, SenderGrant};
pub use halt::{HALTS, Halt, HaltCause, HaltOf};
pub use input::{COMMENT_BY, INPUT_KEPT, INPUT_OPEN, INPUTS, Input, InputState};
pub use limits::{Bound, SUBAGENT_LIMITS, SubagentLimits};
pub use marks::{MARKS_BY_MEMBER, READ_MARKS, ReadMark};
pub use park::{Elicitation, PARKS, PARKS_BY_TASK, Park};
pub use preferences::{ConversationOptions, Habits, NEVER, TALK_CHOICES, TalkChoice};
pub use queue::{
    ChosenBy, MAX_CAP, MAX_DEBOUNCE_MS, QUEUE_CHOICES, QueueChoice, QueueOf, QueueRequest,
    Queueing, pause_ms,
};
pub use run_limits::{RUN_LIMITS, RunBounds, RunLimits};
pub use session::{SESSION_BY_AGENT, SESSION_BY_KEY, SESSIONS, Session};
pub use taint::{Brought, OUTSIDE, Outside, Place, SCRATCH, WRITTEN, Written};

/// Failure code of a run that was taken back from a host.
pub const TAKEN_BACK: &str = "taken_back";

pub const SESSION_EVENTS: Table = Table::new(63, "session_events");
pub const RUNS: Table = Table::new(64, "runs");
pub const RUN_BY_NUMBER: Index = Index::unique(65, "runs_by_number");
/// Agent, then creation order.
pub const RUN_BY_AGENT: Index = Index::multi(66, "runs_by_agent");
/// Runs that have not ended.
pub const RUN_LIVE: Index = Index::multi(67, "runs_live");
/// Task, then creation order.
pub const RUN_BY_TASK: Index = Index::multi(68, "runs_by_task");

/// Maximum retry pause during which a run keeps its slot. A run that gives its slot back pauses longer.
pub const PAUSE: SignedDuration = SignedDuration::from_secs(61);

/// Reason and deadline of a wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub waits_for: WaitFor,
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
    /// What ends the wait, in one sentence.
    pub detail: String,
    /// Maximum cost of the next call in micro-dollars, if the run waits for a budget.
    pub needs_micros: Option<i64>,
    /// Deadline at which the wait ends by itself.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
}

/// Level at which the model was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelSource {
    Message,
    Task,
    Agent,
    Workspace,
    /// Not chosen: the only available model.
    Fallback,
    Session,
    Routine,
}

/// One activation of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    /// Number in the workspace.
    pub number: u32,
    pub agent: AgentId,
    pub session: SessionId,
    pub trigger: RunTrigger,
    /// The inbox item that the run serves.
    pub item: Option<ItemId>,
    pub task: Option<TaskId>,
    /// One line.
    pub title: String,
    pub state: RunState,
    pub waiting: Option<Waiting>,
    pub outcome: Option<Outcome>,
    /// In the agent's words.
    pub summary: String,
    /// Number of starts, from 1: raised each time the run begins or resumes.
    pub attempt: u32,
    /// Consecutive crashes without a finished step.
    pub crashes: u32,
    /// Epoch of the session with which this run writes.
    pub epoch: u64,
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    pub model: String,
    pub model_source: ModelSource,
    pub thinking: Thinking,
    /// First event number in the session.
    pub first_event: u32,
    /// Model calls so far.
    pub calls: u32,
    /// Tool calls so far.
    pub steps: u32,
    /// The last tool, or the agent's own progress text.
    pub activity: String,
    /// Whether the agent was reminded to report an outcome.
    pub reminded: bool,
    /// Whether the run changed something or answered.
    pub effective: bool,
    /// Set by a stop request.
    pub stop: Option<StopRequest>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Start of the first attempt.
    #[serde(with = "millisecond::optional")]
    pub started_at: Option<Timestamp>,
    /// Start of the current period of work; `None` while no task works on the run.
    #[serde(with = "millisecond::optional")]
    pub working_since: Option<Timestamp>,
    /// Earlier work time in milliseconds, without waits.
    pub worked_ms: i64,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
    /// `None` for runs older than this field.
    pub thinking_source: Option<ModelSource>,
    /// Number of the last applied journal command, from 1. A repeated command changes nothing.
    pub applied: u64,
    /// The gateway of the agent at creation; `None` for the machine that HQ runs on. The gateway may have been
    /// removed since.
    pub gateway: Option<GatewayId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// `None` for HQ itself.
    pub by: Option<AccountId>,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Run {
    /// What the run waits for, if it waits.
    #[must_use]
    pub fn waits_for(&self) -> Option<WaitFor> {
        self.waiting.as_ref().map(|waiting| waiting.waits_for)
    }

    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state != RunState::Ended
    }

    /// Whether a stop can still be requested.
    #[must_use]
    pub fn can_stop(&self) -> bool {
        self.is_live() && self.stop.is_none()
    }

    /// Whether the run makes a short retry pause, during which it keeps its slot and its task. A longer wait gives
    /// both back.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let is_short = |waiting: &Waiting| {
            let until = waiting.until.map(|until| until.duration_since(waiting.since));
            waiting.waits_for == WaitFor::Provider && until.is_some_and(|pause| pause <= PAUSE)
        };
        self.state == RunState::Waiting && self.waiting.as_ref().is_some_and(is_short)
    }

    /// Whether a task works on the run or should.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.state == RunState::Running || self.is_held()
    }

    /// Whether a task took up the run and has not begun it.
    #[must_use]
    pub fn is_taken_up(&self) -> bool {
        self.state == RunState::Queued && self.working_since.is_some()
    }

    /// Whether the run keeps its agent from beginning another item: it serves an item and still has its slot. A run
    /// that waits for its sub-agents counts as busy.
    #[must_use]
    pub fn keeps_agent_busy(&self) -> bool {
        let rests =
            self.state == RunState::Waiting && !self.is_held() && !self.waits_for_children();
        self.item.is_some() && self.is_live() && !rests
    }

    /// Whether the run waits for tool results of an API client.
    #[must_use]
    pub fn waits_for_client(&self) -> bool {
        let external = |waiting: &Waiting| waiting.waits_for == WaitFor::External;
        self.state == RunState::Waiting && self.waiting.as_ref().is_some_and(external)
    }

    #[must_use]
    pub fn waits_for_children(&self) -> bool {
        let children = |waiting: &Waiting| waiting.waits_for == WaitFor::Child;
        self.state == RunState::Waiting && self.waiting.as_ref().is_some_and(children)
    }

    /// Total work time up to `now`, in milliseconds.
    #[must_use]
    pub fn worked(&self, now: Timestamp) -> i64 {
        let since = self.working_since.unwrap_or(now);
        self.worked_ms + (now.as_millisecond() - since.as_millisecond()).max(0)
    }

    /// Display name: `R-2291`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("R-{}", self.number)
    }
}

impl Record for Run {
    type Id = RunId;
    const TABLE: Table = RUNS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 4;
    const INDEXES: &'static [Index] = &[RUN_BY_NUMBER, RUN_BY_AGENT, RUN_LIVE, RUN_BY_TASK];
    fn id(&self) -> RunId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(RUN_BY_NUMBER).part(self.number);
        keys.entry(RUN_BY_AGENT).part(self.agent);
        if self.is_live() {
            keys.entry(RUN_LIVE).part(self.agent);
        }
        if let Some(task) = self.task {
            keys.entry(RUN_BY_TASK).part(task);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Session>(1, Some(self.session), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: RunId::from_bytes([8; 16]),
            number: 2291,
            agent: AgentId::from_bytes([5; 16]),
            session: SessionId::from_bytes([12; 16]),
            trigger: RunTrigger::Item,
            item: Some(ItemId::from_bytes([9; 16])),
            task: Some(TaskId::from_bytes([2; 16])),
            title: "Compare leasing prices".into(),
            state: RunState::Waiting,
            waiting: Some(Waiting {
                waits_for: WaitFor::Budget,
                since: at,
                detail: "the month's budget is used up".into(),
                needs_micros: Some(120_000),
                until: None,
            }),
            outcome: None,
            summary: String::new(),
            attempt: 1,
            crashes: 0,
            epoch: 4,
            connection: None,
            model: "practice-1".into(),
            model_source: ModelSource::Workspace,
            thinking: Thinking::Low,
            first_event: 0,
            calls: 2,
            steps: 3,
            activity: "writing notes.md".into(),
            reminded: false,
            effective: true,
            stop: Some(StopRequest { by: None, at }),
            created_at: at,
            started_at: Some(at),
            working_since: None,
            worked_ms: 48_000,
            ended_at: None,
            thinking_source: Some(ModelSource::Task),
            applied: 9,
            gateway: Some(GatewayId::from_bytes([95; 16])),
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        // Older layouts only lack the last fields. Each missing field is encoded as a zero.
        let lacks: &[u8] = match version {
            1 => &[0, 0, 0],
            2 => &[0, 0],
            3 => &[0],
            _ => return Err(DecodeError::UnknownVersion { table: RUNS.name, version }),
        };
        codec::decode(&[body, lacks].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::{Run, codec};
    use store::Record as _;

    #[test]
    fn a_run_of_an_older_program_worked_on_the_machine_that_hq_runs_on() {
        let here = Run { gateway: None, ..Run::sample() };
        let body = codec::encode(&here).expect("it can be written");
        // The last byte encodes the missing gateway.
        let older = Run::upgrade(3, &body[..body.len() - 1]).expect("it is read");
        assert_eq!(older, here);
        let oldest = Run { gateway: None, thinking_source: None, applied: 0, ..Run::sample() };
        let body = codec::encode(&oldest).expect("it can be written");
        let read = Run::upgrade(1, &body[..body.len() - 3]).expect("it is read");
        assert_eq!(read, oldest);
    }
}
