//! All writes of sessions, runs and inputs. The engine appends through [`Pen`], which is the fence.

pub mod talk;

use crate::features::agents::model::Agent;
use crate::features::workspace::model::{Counter, Counting};
use crate::kernel::text::{MAX_TEXT, ellipsis};
use crate::kernel::{
    AccountId, AgentId, AgentStatus, Event, FieldError, InputId, ItemId, Outcome, Problem,
    ProblemKind, RunId, RunState, RunTrigger, SessionId, TaskId, Thinking, Timestamp, WaitFor,
};
use crate::store::{ReadExt, StoreError, WriteTx};

use super::model::{
    EventKind, Input, InputState, ModelSource, Run, Session, SessionEvent, StopRequest, Waiting,
};
use super::queries;

/// Crashes without a finished step after which a run is parked for good.
pub const MAX_CRASHES: u32 = 3;
/// How many inputs may wait in one session.
const MAX_INPUTS: usize = 20;

/// What a rule of runs refuses.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No such run.
    #[error("run {0} does not exist")]
    NotFound(String),
    /// No such session.
    #[error("session {0} does not exist")]
    NoSession(SessionId),
    /// No such agent.
    #[error("agent {0} does not exist")]
    NoAgent(AgentId),
    /// The agent is archived.
    #[error("{0} is archived; restore it first")]
    Archived(String),
    /// It has ended.
    #[error("{0} has ended already")]
    Ended(String),
    /// Somebody else writes this session now.
    #[error("this run is not the one that writes its session any more")]
    Fenced,
    /// A run works in the conversation.
    #[error("a run works in this conversation; stop it or wait for its end")]
    Busy,
    /// The text is empty.
    #[error("write something first")]
    Empty,
    /// The text is too long.
    #[error("a message has at most 64 KB; this one has {0} KB")]
    TooLong(usize),
    /// Too many messages wait.
    #[error("{MAX_INPUTS} messages wait already; stop the run or wait")]
    QueueFull,
    /// The message was read.
    #[error("the agent has read this message already")]
    Consumed,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for RunError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "run_not_found",
            Self::NoSession(_) => "session_not_found",
            Self::NoAgent(_) => "agent_not_found",
            Self::Archived(_) => "agent_archived",
            Self::Ended(_) => "run_ended",
            Self::Fenced => "run_fenced",
            Self::Busy => "session_busy",
            Self::Empty => "message_empty",
            Self::TooLong(_) => "message_too_long",
            Self::QueueFull => "queue_full",
            Self::Consumed => "message_read",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) | Self::NoSession(_) | Self::NoAgent(_) => ProblemKind::NotFound,
            Self::Archived(_) | Self::Ended(_) | Self::Fenced | Self::Busy | Self::Consumed => {
                ProblemKind::Conflict
            }
            Self::Empty => ProblemKind::Invalid,
            Self::TooLong(_) => ProblemKind::TooLarge,
            Self::QueueFull => ProblemKind::Limited,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Empty | Self::TooLong(_) => vec![FieldError::new("body", self.to_string())],
            _ => Vec::new(),
        }
    }
}

/// Which session is meant.
pub struct SessionSpec {
    /// The agent.
    pub agent: AgentId,
    /// Its key.
    pub key: String,
    /// The person it belongs to.
    pub owner: Option<AccountId>,
    /// The task it is about.
    pub task: Option<TaskId>,
}

/// The session with this key; made if need be.
///
/// # Errors
/// When the store refuses.
pub fn open_session(tx: &mut WriteTx<'_>, spec: SessionSpec) -> Result<Session, RunError> {
    if let Some(session) = queries::session_by_key(tx, &spec.key)? {
        return Ok(session);
    }
    let now = tx.now();
    let session = Session {
        id: tx.new_id(),
        agent: spec.agent,
        key: spec.key,
        owner: spec.owner,
        task: spec.task,
        epoch: 0,
        events: 0,
        active_run: None,
        loaded_tools: Vec::new(),
        created_at: now,
        last_at: now,
        archived_at: None,
    };
    tx.put(&session)?;
    Ok(session)
}

/// Begins a conversation anew under the same key: the old one stays readable.
///
/// # Errors
/// `Busy` while a run works in it.
pub fn reset_session(tx: &mut WriteTx<'_>, id: SessionId) -> Result<Session, RunError> {
    let mut old = tx.get::<Session>(id)?.ok_or(RunError::NoSession(id))?;
    if old.active_run.is_some() {
        return Err(RunError::Busy);
    }
    old.archived_at = Some(tx.now());
    tx.put(&old)?;
    let Session { agent, key, owner, task, .. } = old;
    open_session(tx, SessionSpec { agent, key, owner, task })
}

/// Something said.
pub struct NewInput {
    /// The text.
    pub text: String,
    /// How it came.
    pub trigger: RunTrigger,
    /// A model for this message alone.
    pub model: Option<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// A run was made for it.
    Started(RunId),
    /// The run that works reads it at its next step.
    Steered(RunId),
}

impl Queued {
    /// The run.
    #[must_use]
    pub fn run(self) -> RunId {
        match self {
            Self::Started(run) | Self::Steered(run) => run,
        }
    }
}

/// Queues a message in a session and, when nobody works there, makes the run for it.
///
/// # Errors
/// When the text is empty or too long, the agent is archived or too many messages wait.
pub fn queue(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    new: NewInput,
) -> Result<(InputId, Queued), RunError> {
    let text = new.text.trim();
    if text.is_empty() {
        return Err(RunError::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(RunError::TooLong(text.len() / 1024));
    }
    let mut session = tx.get::<Session>(session)?.ok_or(RunError::NoSession(session))?;
    let agent = tx.get::<Agent>(session.agent)?.ok_or(RunError::NoAgent(session.agent))?;
    if agent.archived_at.is_some() {
        return Err(RunError::Archived(agent.name));
    }
    if queries::open_inputs(tx, session.id)?.len() >= MAX_INPUTS {
        return Err(RunError::QueueFull);
    }
    let mut input = Input {
        id: tx.new_id(),
        session: session.id,
        agent: session.agent,
        text: text.to_owned(),
        by: tx.by(),
        trigger: new.trigger,
        state: InputState::Accepted,
        model: new.model,
        created_at: tx.now(),
    };
    let queued = match session.active_run {
        Some(run) => Queued::Steered(run),
        None => {
            let run = make_run(tx, &mut session, RunSpec::for_input(&input))?;
            input.state = InputState::Assigned(run);
            Queued::Started(run)
        }
    };
    tx.put(&input)?;
    session.last_at = tx.now();
    tx.put(&session)?;
    tx.emit(Event::InputQueued { input: input.id, session: session.id, agent: session.agent });
    Ok((input.id, queued))
}

/// What a new run is for.
pub struct RunSpec {
    /// What started it.
    pub trigger: RunTrigger,
    /// The item it serves.
    pub item: Option<ItemId>,
    /// The task it works on.
    pub task: Option<TaskId>,
    /// What it is about, in one line.
    pub title: String,
}

impl RunSpec {
    fn for_input(input: &Input) -> Self {
        let line = input.text.lines().next().unwrap_or_default();
        Self { trigger: input.trigger, item: None, task: None, title: ellipsis(line, 80) }
    }
}

/// Makes a run that waits for a slot.
fn make_run(tx: &mut WriteTx<'_>, session: &mut Session, spec: RunSpec) -> Result<RunId, RunError> {
    let mut counter =
        tx.get::<Counter>(Counting::Runs)?.unwrap_or(Counter { counting: Counting::Runs, last: 0 });
    counter.last += 1;
    tx.put(&counter)?;
    let run = Run {
        id: tx.new_id(),
        number: counter.last,
        agent: session.agent,
        session: session.id,
        trigger: spec.trigger,
        item: spec.item,
        task: spec.task.or(session.task),
        title: spec.title,
        state: RunState::Queued,
        waiting: None,
        outcome: None,
        summary: String::new(),
        attempt: 0,
        crashes: 0,
        epoch: session.epoch,
        connection: None,
        model: String::new(),
        model_source: ModelSource::Fallback,
        thinking: Thinking::None,
        first_event: session.events,
        calls: 0,
        steps: 0,
        activity: String::new(),
        reminded: false,
        effective: false,
        stop: None,
        created_at: tx.now(),
        started_at: None,
        ended_at: None,
    };
    tx.put(&run)?;
    session.active_run = Some(run.id);
    Ok(run.id)
}

/// Makes the run that serves an item; none when its session is in use.
///
/// # Errors
/// When the store refuses.
pub fn make_item_run(
    tx: &mut WriteTx<'_>,
    session: SessionSpec,
    spec: RunSpec,
) -> Result<Option<RunId>, RunError> {
    let mut session = open_session(tx, session)?;
    if session.active_run.is_some() {
        return Ok(None);
    }
    let run = make_run(tx, &mut session, spec)?;
    tx.put(&session)?;
    Ok(Some(run))
}

/// What the engine writes a run with. Opening it is the fence.
pub struct Pen {
    /// The run.
    pub run: Run,
    /// Its session.
    pub session: Session,
    /// What was appended so far, for the writer's own view of the conversation.
    pub appended: Vec<EventKind>,
}

impl Pen {
    /// Opens a run that this writer began with this epoch.
    ///
    /// # Errors
    /// `Fenced` when somebody else writes the session now.
    pub fn open(tx: &WriteTx<'_>, run: RunId, epoch: u64) -> Result<Self, RunError> {
        let run = tx.get::<Run>(run)?.ok_or_else(|| RunError::NotFound(run.to_string()))?;
        let id = run.session;
        let session = tx.get::<Session>(id)?.ok_or(RunError::NoSession(id))?;
        if session.epoch != epoch
            || session.active_run != Some(run.id)
            || run.state != RunState::Running
        {
            return Err(RunError::Fenced);
        }
        Ok(Self { run, session, appended: Vec::new() })
    }

    /// Appends an event.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn append(&mut self, tx: &mut WriteTx<'_>, kind: EventKind) -> Result<(), RunError> {
        match &kind {
            EventKind::Assistant { .. } => self.run.crashes = 0,
            EventKind::CallStarted { .. } => self.run.calls += 1,
            EventKind::ToolFinished { .. } => {
                self.run.crashes = 0;
                self.run.steps += 1;
            }
            _ => {}
        }
        self.appended.push(kind.clone());
        let event = SessionEvent {
            session: self.session.id,
            n: self.session.events,
            run: Some(self.run.id),
            at: tx.now(),
            kind,
        };
        tx.put(&event)?;
        self.session.events += 1;
        self.session.last_at = tx.now();
        Ok(())
    }

    /// Writes run and session back.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn save(self, tx: &mut WriteTx<'_>) -> Result<Run, RunError> {
        tx.put(&self.run)?;
        tx.put(&self.session)?;
        Ok(self.run)
    }

    /// Reads what was said meanwhile into the session; answers how many messages it was.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn read_inputs(&mut self, tx: &mut WriteTx<'_>) -> Result<usize, RunError> {
        let inputs = queries::open_inputs(tx, self.session.id)?;
        let count = inputs.len();
        for mut input in inputs {
            let steered = input.state == InputState::Accepted;
            let text = super::model::Body::Inline(input.text.clone());
            self.append(
                tx,
                EventKind::Input { input: Some(input.id), text, by: input.by, steered },
            )?;
            input.state = InputState::Consumed(self.run.id);
            tx.put(&input)?;
        }
        Ok(count)
    }

    /// Ends the run. What was said and not read is handed to a next run at once.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn end(
        mut self,
        tx: &mut WriteTx<'_>,
        outcome: Outcome,
        summary: &str,
    ) -> Result<Run, RunError> {
        let summary = ellipsis(summary.trim(), 2_000);
        self.append(
            tx,
            EventKind::RunEnded { outcome: outcome.clone(), summary: summary.clone() },
        )?;
        let Self { mut run, mut session, .. } = self;
        run.state = RunState::Ended;
        run.waiting = None;
        run.ended_at = Some(tx.now());
        run.summary = summary;
        let word = outcome.word().to_owned();
        run.outcome = Some(outcome);
        tx.put(&run)?;
        session.active_run = None;
        hand_over(tx, &mut session)?;
        tx.put(&session)?;
        tx.emit(Event::RunEnded {
            run: run.id,
            agent: run.agent,
            item: run.item,
            task: run.task,
            outcome: word,
        });
        Ok(run)
    }

    /// Gives the slot back until something happens.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn wait(
        mut self,
        tx: &mut WriteTx<'_>,
        waits_for: WaitFor,
        detail: &str,
        until: Option<Timestamp>,
    ) -> Result<Run, RunError> {
        let detail = detail.to_owned();
        self.append(tx, EventKind::Waiting { waits_for, detail: detail.clone(), until })?;
        self.run.state = RunState::Waiting;
        self.run.waiting = Some(Waiting { waits_for, since: tx.now(), detail, until });
        self.save(tx)
    }
}

/// Makes the next run for messages that the last one did not read.
fn hand_over(tx: &mut WriteTx<'_>, session: &mut Session) -> Result<(), RunError> {
    let left = queries::open_inputs(tx, session.id)?;
    let Some(first) = left.first() else { return Ok(()) };
    let run = make_run(tx, session, RunSpec::for_input(first))?;
    for mut input in left {
        input.state = InputState::Assigned(run);
        tx.put(&input)?;
    }
    Ok(())
}

/// Begins or resumes a queued run: raises the epoch, so that an older writer stops.
///
/// # Errors
/// `Fenced` when it is not queued any more.
pub fn begin(tx: &mut WriteTx<'_>, id: RunId) -> Result<Pen, RunError> {
    let mut run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    let session_id = run.session;
    let mut session = tx.get::<Session>(session_id)?.ok_or(RunError::NoSession(session_id))?;
    if run.state != RunState::Queued || session.active_run != Some(run.id) {
        return Err(RunError::Fenced);
    }
    session.epoch += 1;
    run.epoch = session.epoch;
    run.state = RunState::Running;
    run.waiting = None;
    run.attempt += 1;
    if run.started_at.is_none() {
        run.started_at = Some(tx.now());
        run.first_event = session.events;
        tx.emit(Event::RunStarted {
            run: run.id,
            agent: run.agent,
            item: run.item,
            task: run.task,
        });
    }
    Ok(Pen { run, session, appended: Vec::new() })
}

/// Wakes a waiting run: it goes to the front of its agent's queue.
///
/// # Errors
/// `Ended` when it has ended.
pub fn wake(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), RunError> {
    let mut run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if run.state != RunState::Waiting {
        return Err(RunError::Ended(run.name()));
    }
    run.state = RunState::Queued;
    run.waiting = None;
    tx.put(&run)?;
    Ok(())
}

/// After a crash: the run goes on from its last step with a new epoch, or is parked for good.
///
/// # Errors
/// When the store refuses.
pub fn recover(tx: &mut WriteTx<'_>, id: RunId) -> Result<Run, RunError> {
    let mut run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    let mut pen = Pen::open(tx, id, run.epoch)?;
    pen.run.crashes += 1;
    if pen.run.crashes >= MAX_CRASHES {
        return pen.end(tx, Outcome::CrashLoop, "ended the program three times in a row");
    }
    pen.append(tx, EventKind::Interrupted { what: "HQ was restarted".to_owned() })?;
    pen.run.state = RunState::Queued;
    run = pen.save(tx)?;
    Ok(run)
}

/// Asks a run to stop. One that no task works on ends at once.
///
/// # Errors
/// `Ended` when it has ended.
pub fn request_stop(
    tx: &mut WriteTx<'_>,
    id: RunId,
    by: Option<AccountId>,
) -> Result<Run, RunError> {
    let mut run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if !run.is_live() {
        return Err(RunError::Ended(run.name()));
    }
    if run.stop.is_none() {
        run.stop = Some(StopRequest { by, at: tx.now() });
        tx.put(&run)?;
        tx.emit(Event::RunStopRequested { run: id, by });
    }
    if run.state == RunState::Running {
        return Ok(run);
    }
    force_end(tx, id, Outcome::Stopped { by }, "")
}

/// Ends a run whatever its task does: the epoch moves on, so its late writes are refused.
///
/// # Errors
/// When the store refuses.
pub fn force_end(
    tx: &mut WriteTx<'_>,
    id: RunId,
    outcome: Outcome,
    summary: &str,
) -> Result<Run, RunError> {
    let run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if !run.is_live() {
        return Ok(run);
    }
    let session_id = run.session;
    let mut session = tx.get::<Session>(session_id)?.ok_or(RunError::NoSession(session_id))?;
    session.epoch += 1;
    Pen { run, session, appended: Vec::new() }.end(tx, outcome, summary)
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
