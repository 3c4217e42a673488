//! Records of conversations and activations.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::features::agents::model::Agent;
use crate::kernel::{
    AccountId, Actor, AgentId, ConnectionId, InputId, ItemId, Outcome, Part, RunId, RunState,
    RunTrigger, SessionId, TaskId, Thinking, Timestamp, TypedId, WaitFor,
};
use crate::store::{BlobId, Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

/// Sessions.
pub const SESSIONS: Table = Table::new(60, "sessions");
/// The readable key; a reset gives it to the new session.
pub const SESSION_BY_KEY: Index = Index::unique(61, "sessions_by_key");
/// Agent, then the order of making; throw-away ones are left out.
pub const SESSION_BY_AGENT: Index = Index::multi(62, "sessions_by_agent");
/// Events of sessions.
pub const SESSION_EVENTS: Table = Table::new(63, "session_events");
/// Runs.
pub const RUNS: Table = Table::new(64, "runs");
/// The number.
pub const RUN_BY_NUMBER: Index = Index::unique(65, "runs_by_number");
/// Agent, then the order of making.
pub const RUN_BY_AGENT: Index = Index::multi(66, "runs_by_agent");
/// Runs that have not ended.
pub const RUN_LIVE: Index = Index::multi(67, "runs_live");
/// Task, then the order of making.
pub const RUN_BY_TASK: Index = Index::multi(68, "runs_by_task");
/// Queued inputs.
pub const INPUTS: Table = Table::new(69, "queued_inputs");
/// Session, open inputs only, in order.
pub const INPUT_OPEN: Index = Index::multi(70, "queued_inputs_open");

/// A conversation of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The agent.
    pub agent: AgentId,
    /// `agent:<slug>:main`, `agent:<slug>:task:<task>`, `agent:<slug>:explicit:<id>`.
    pub key: String,
    /// The person it belongs to; none for work.
    pub owner: Option<AccountId>,
    /// The task it is about.
    pub task: Option<TaskId>,
    /// Raised whenever somebody else begins to write: a stale writer stops.
    pub epoch: u64,
    /// How many events it has; the next one's number.
    pub events: u32,
    /// The run that works in it.
    pub active_run: Option<RunId>,
    /// Tools found by `tool_search`, which stay for the session.
    pub loaded_tools: Vec<String>,
    /// When it began.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When something was last said.
    #[serde(with = "millisecond::required")]
    pub last_at: Timestamp,
    /// Since when it is out of the way.
    #[serde(with = "millisecond::optional")]
    pub archived_at: Option<Timestamp>,
}

impl Record for Session {
    type Id = SessionId;
    const TABLE: Table = SESSIONS;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[SESSION_BY_KEY, SESSION_BY_AGENT];
    fn id(&self) -> SessionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.archived_at.is_none() {
            keys.entry(SESSION_BY_KEY).text(&self.key);
        }
        if !super::queries::talk::is_throw_away(&self.key) {
            keys.entry(SESSION_BY_AGENT).part(self.agent).part(self.created_at);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = crate::kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: SessionId::from_bytes([12; 16]),
            agent: AgentId::from_bytes([5; 16]),
            key: "agent:ada:main".into(),
            owner: Some(AccountId::from_bytes([1; 16])),
            task: None,
            epoch: 4,
            events: 17,
            active_run: None,
            loaded_tools: vec!["progress".into()],
            created_at: at,
            last_at: at,
            archived_at: None,
        }
    }
}

/// Text that may be long: inline up to 16 KiB, else a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Here.
    Inline(String),
    /// In a blob; the head is kept here.
    Blob {
        /// The blob.
        id: BlobId,
        /// Its length in bytes.
        len: u64,
        /// What a model reads of it: its head and tail, at most 16 KiB.
        head: String,
    },
}

impl Body {
    /// What is at hand without reading the blob.
    #[must_use]
    pub fn head(&self) -> &str {
        match self {
            Self::Inline(text) => text,
            Self::Blob { head, .. } => head,
        }
    }
}

/// How a tool call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallStatus {
    /// With a result.
    Ok,
    /// With an error that the model reads.
    Error,
    /// It took too long.
    Timeout,
    /// A person stopped it.
    Stopped,
    /// It was never begun: a message came first.
    Skipped,
    /// Interrupted; whether it took effect is not known.
    Unknown,
}

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// Somebody said something.
    Input {
        /// The queued input that it was; none for a run card.
        input: Option<InputId>,
        /// What was said, as the model reads it.
        text: Body,
        /// Who.
        by: Actor,
        /// Whether it came while a run was working.
        steered: bool,
    },
    /// A run began, or went on after a crash or a wait.
    RunStarted {
        /// Its attempt, from 1.
        attempt: u32,
        /// The model.
        model: String,
        /// How much it thinks.
        thinking: Thinking,
        /// The size of the first request in bytes; 0 when unknown.
        request_bytes: u32,
    },
    /// A model call is about to be made; money is reserved.
    CallStarted {
        /// Its number in the run, from 1.
        call: u32,
        /// The provider.
        provider: String,
        /// The model.
        model: String,
        /// The most that it may cost, in micro-dollars.
        reserved_micros: i64,
    },
    /// A model call failed.
    CallFailed {
        /// Its number.
        call: u32,
        /// The class of the error.
        class: String,
        /// What it said.
        message: String,
        /// When it is tried again.
        #[serde(with = "millisecond::optional")]
        retry_at: Option<Timestamp>,
    },
    /// The model has spoken. The parts are JSON text, so that their form can grow.
    Assistant {
        /// The call's number.
        call: u32,
        /// `Vec<providers::Part>` as JSON.
        parts: Body,
        /// Why it ended.
        stop: String,
        /// Tokens sent, cached or not.
        input_tokens: u64,
        /// Tokens received.
        output_tokens: u64,
        /// What it cost, in micro-dollars; none when no price is known.
        billed_micros: Option<i64>,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A tool was begun: noted before any effect that the store does not hold.
    ToolStarted {
        /// The number of the call in the run, from 1.
        step: u32,
        /// The provider's id of the call.
        call_id: String,
        /// The tool.
        name: String,
        /// `file` tools: path, hash before, hash after.
        file: Option<FileMark>,
    },
    /// A tool has answered.
    ToolFinished {
        /// The number of the call in the run.
        step: u32,
        /// The provider's id of the call.
        call_id: String,
        /// The tool.
        name: String,
        /// How it ended.
        status: CallStatus,
        /// What the model reads.
        result: Body,
        /// How long it took, in milliseconds.
        millis: u64,
        /// Paths of the agent's files that changed.
        paths: Vec<String>,
        /// The feed entry of its effect: undo finds it.
        seq: Option<u64>,
    },
    /// A word of the program to the model.
    Notice {
        /// The text.
        text: String,
    },
    /// The run waits.
    Waiting {
        /// For what.
        waits_for: WaitFor,
        /// In one sentence.
        detail: String,
        /// Until when at most.
        #[serde(with = "millisecond::optional")]
        until: Option<Timestamp>,
    },
    /// The program ended in the middle of the run.
    Interrupted {
        /// What was going on.
        what: String,
    },
    /// Files were committed.
    Committed {
        /// The commit.
        commit: String,
        /// How many files changed.
        files: u32,
    },
    /// The run is over.
    RunEnded {
        /// How.
        outcome: Outcome,
        /// In the agent's words.
        summary: String,
    },
}

/// A planned change of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// The path in the agent's folder.
    pub path: String,
    /// SHA-256 before; none when it is new.
    pub before: Option<[u8; 32]>,
    /// SHA-256 after; none when it is deleted.
    pub after: Option<[u8; 32]>,
}

/// One event of a session; never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEvent {
    /// The session.
    pub session: SessionId,
    /// Its number in the session, from 0.
    pub n: u32,
    /// The run.
    pub run: Option<RunId>,
    /// When.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
}

impl Record for SessionEvent {
    type Id = (SessionId, u32);
    const TABLE: Table = SESSION_EVENTS;
    const CLASS: Class = Class::Log;
    fn id(&self) -> (SessionId, u32) {
        (self.session, self.n)
    }
    fn root(&self) -> Root {
        match self.run {
            Some(run) => Root::of::<Run>(run),
            None => Root::of::<Session>(self.session),
        }
    }
    fn sample() -> Self {
        Self {
            session: SessionId::from_bytes([12; 16]),
            n: 3,
            run: Some(RunId::from_bytes([8; 16])),
            at: crate::kernel::time::from_ms(1_700_000_000_000),
            kind: EventKind::ToolFinished {
                step: 2,
                call_id: "call_2".into(),
                name: "write".into(),
                status: CallStatus::Ok,
                result: Body::Inline("wrote notes.md".into()),
                millis: 3,
                paths: vec!["notes.md".into()],
                seq: Some(99),
            },
        }
    }
}

/// What a waiting run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// For what.
    pub waits_for: WaitFor,
    /// Since when.
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
    /// What would end it, in one sentence.
    pub detail: String,
    /// When it ends by itself.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
}

/// Who chose the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelSource {
    /// The message.
    Message,
    /// The task.
    Task,
    /// The agent.
    Agent,
    /// The workspace.
    Workspace,
    /// Nobody: the only one there is.
    Fallback,
}

/// One activation of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its number in the workspace.
    pub number: u32,
    /// The agent.
    pub agent: AgentId,
    /// The session.
    pub session: SessionId,
    /// What started it.
    pub trigger: RunTrigger,
    /// The inbox item that it serves.
    pub item: Option<ItemId>,
    /// The task that it works on.
    pub task: Option<TaskId>,
    /// What it is about, in one line.
    pub title: String,
    /// What it does now.
    pub state: RunState,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// In the agent's words.
    pub summary: String,
    /// Raised by each crash.
    pub attempt: u32,
    /// Crashes without a finished step between them.
    pub crashes: u32,
    /// The session's epoch that this run writes with.
    pub epoch: u64,
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// The model.
    pub model: String,
    /// Who chose it.
    pub model_source: ModelSource,
    /// How much it thinks.
    pub thinking: Thinking,
    /// Number of the session's event with which it began.
    pub first_event: u32,
    /// Model calls so far.
    pub calls: u32,
    /// Tool calls so far.
    pub steps: u32,
    /// What it does, in a few words: the last tool or the agent's own words.
    pub activity: String,
    /// Whether it was reminded to say how the work ended.
    pub reminded: bool,
    /// Whether it changed something or answered.
    pub effective: bool,
    /// Set when somebody asked it to stop: by whom.
    pub stop: Option<StopRequest>,
    /// When it was made.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When it began to work.
    #[serde(with = "millisecond::optional")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
}

/// A request to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Who; none for the program.
    pub by: Option<AccountId>,
    /// When.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Run {
    /// Whether it has not ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state != RunState::Ended
    }

    /// Its name: `R-2291`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("R-{}", self.number)
    }
}

impl Record for Run {
    type Id = RunId;
    const TABLE: Table = RUNS;
    const CLASS: Class = Class::Work;
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
        let at = crate::kernel::time::from_ms(1_700_000_000_000);
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
            ended_at: None,
        }
    }
}

/// Where a queued input stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputState {
    /// Waits.
    Accepted,
    /// A run has it and has not read it yet.
    Assigned(RunId),
    /// A run has read it.
    Consumed(RunId),
    /// Its author took it back.
    Cancelled,
    /// It was dropped, with the reason.
    Dropped(String),
}

/// Something said to an agent: talk, never work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its id.
    pub id: InputId,
    /// The session.
    pub session: SessionId,
    /// The agent.
    pub agent: AgentId,
    /// What was said.
    pub text: String,
    /// Who.
    pub by: Actor,
    /// How it came: a chat message or an API call.
    pub trigger: RunTrigger,
    /// Where it stands.
    pub state: InputState,
    /// A model for this message alone.
    pub model: Option<String>,
    /// When.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Input {
    type Id = InputId;
    const TABLE: Table = INPUTS;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[INPUT_OPEN];
    fn id(&self) -> InputId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if matches!(self.state, InputState::Accepted | InputState::Assigned(_)) {
            keys.entry(INPUT_OPEN).part(self.session);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Session>(1, Some(self.session), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Session>(self.session)
    }
    fn sample() -> Self {
        Self {
            id: InputId::from_bytes([13; 16]),
            session: SessionId::from_bytes([12; 16]),
            agent: AgentId::from_bytes([5; 16]),
            text: "How far are you?".into(),
            by: Actor::System(Part::Setup),
            trigger: RunTrigger::Chat,
            state: InputState::Accepted,
            model: None,
            created_at: crate::kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
