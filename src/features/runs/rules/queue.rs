//! Placement of messages that arrive while a run works in their session.
//!
//! By mode, a message steers the run, waits for its own turn, is collected with others or stops the run. If too many
//! messages wait, the oldest is dropped; its author sees this and can restore it. When a run ends, the next messages
//! are assigned to a new run in the same transaction, so no waiting message is ever without a run.

use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::runs::model::{
    Attachment, Demand, Grant, Input, InputGrant, InputState, MAX_ATTACHED, MAX_ATTACHED_BYTES,
    MAX_CAP, MAX_DEBOUNCE_MS, MAX_SPILLED, QueueChoice, QueueOf, QueueRequest, Queueing, Run,
    Sender, Session, Waiting,
};
use crate::runs::queries::{grants, park as reading_park, queue as reading};
use kernel::text::MAX_TEXT;
use kernel::{
    DropPolicy, Event, Fast, InputId, Placed, QueueMode, RunId, RunState, RunTrigger, SessionId,
    Thinking, Timestamp, WaitFor,
};
use store::{ReadExt, WriteTx};

use super::RunError;
use super::children;
use super::context;
use super::dropped::drop_talk;
use super::grant;
use super::life::{self, RunSpec};
use super::marks;
use super::park;

pub use super::dropped::{bring_back, dismiss, withdraw};

/// Maximum number of dropped messages that are summarized in one line each.
const MAX_TOLD: usize = 50;
const TOO_MANY: &str = "too many messages were queued";
/// Result of a wait that ends because of a message.
pub(super) const SPOKEN: &str = "You got a message while you waited.";
const ANEW: &str = "the conversation was restarted";

/// A message before it is queued.
pub struct NewInput {
    pub text: String,
    pub trigger: RunTrigger,
    /// Model for this message only.
    pub model: Option<String>,
    /// Mode while a run works; `None` uses the mode of the session.
    pub mode: Option<QueueMode>,
    /// Attached files; their blobs are already stored.
    pub attached: Vec<Attachment>,
    /// Options of an API client beyond text. Such a message gets its own turn.
    pub demand: Option<Demand>,
    /// Thinking level for this message only.
    pub thinking: Option<Thinking>,
    /// Response speed for this message only.
    pub fast: Option<Fast>,
    /// The sender, if the message came over a messenger.
    pub grant: Option<Grant>,
}

impl NewInput {
    /// A plain chat message.
    #[must_use]
    pub fn chat(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            trigger: RunTrigger::Chat,
            model: None,
            mode: None,
            attached: Vec::new(),
            demand: None,
            thinking: None,
            fast: None,
            grant: None,
        }
    }

    /// Validated text. A message may consist of files only.
    pub(super) fn words(&self) -> Result<String, RunError> {
        let text = self.text.trim();
        if text.len() > MAX_TEXT {
            return Err(RunError::TooLong(text.len() / 1024));
        }
        let spilled = if self.trigger == RunTrigger::Api { MAX_SPILLED } else { 0 };
        if self.attached.len() > MAX_ATTACHED + spilled {
            return Err(RunError::TooManyFiles);
        }
        if self.attached.iter().map(|file| file.len).sum::<u64>() > MAX_ATTACHED_BYTES {
            return Err(RunError::FilesTooLarge);
        }
        match (text, self.attached.as_slice()) {
            ("", []) => Err(RunError::Empty),
            ("", files) => Ok(Attachment::in_words(files)),
            (text, _) => Ok(text.to_owned()),
        }
    }
}

/// Result of queueing a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub message: InputId,
    /// The run that reads the message or that the message waits for.
    pub run: RunId,
    pub placed: Placed,
    /// Number of messages ahead.
    pub before: u32,
}

/// Queues a message in a session and creates a run if the session has none.
///
/// # Errors
/// If the message is empty or too long, has too many files, the agent is archived or too many messages wait.
pub fn queue(tx: &mut WriteTx<'_>, session: SessionId, new: NewInput) -> Result<Sent, RunError> {
    let text = new.words()?;
    let session = tx.get::<Session>(session)?.ok_or(RunError::NoSession(session))?;
    let agent = tx.get::<Agent>(session.agent)?.ok_or(RunError::NoAgent(session.agent))?;
    if agent.archived_at.is_some() {
        return Err(RunError::Archived(agent.name));
    }
    marks::spoke(tx, &session, new.trigger)?;
    let queueing = reading::of_session(tx, &session)?;
    let mode = match new.demand {
        Some(_) => QueueMode::Followup,
        None => new.mode.unwrap_or(queueing.mode),
    };
    let to = (session.id, session.agent);
    let input = Input {
        trigger: new.trigger,
        model: new.model,
        mode,
        attached: new.attached,
        demand: new.demand,
        thinking: new.thinking,
        fast: new.fast,
        ..Input::words(tx.new_id(), to, (tx.by(), text), tx.now())
    };
    place(tx, session, (input, new.grant), &queueing)
}

/// Places a new message.
pub(super) fn place(
    tx: &mut WriteTx<'_>,
    mut session: Session,
    (mut input, grant): (Input, Option<Grant>),
    queueing: &Queueing,
) -> Result<Sent, RunError> {
    let message = input.id;
    (session.last_at, session.leaf) = (tx.now(), Some(message));
    let Some(active) = session.active_run else {
        let run = life::make_run(tx, &mut session, RunSpec::for_input(&input))?;
        grant::cut(tx, run, grant)?;
        input.state = InputState::Assigned(run);
        keep(tx, &session, (&input, grant))?;
        return Ok(Sent { message, run, placed: Placed::Started, before: 0 });
    };
    make_room(tx, session.id, grant, queueing)?;
    let run = tx.get::<Run>(active)?.ok_or_else(|| RunError::NotFound(active.to_string()))?;
    let waits = grant::waits(tx, &run, &session, (&input, grant))?;
    if waits {
        input.mode = QueueMode::Followup;
    }
    let before = match input.mode {
        QueueMode::Steer | QueueMode::Interrupt => 0,
        QueueMode::Followup | QueueMode::Collect => waiting_turns(tx, session.id)?,
    };
    let sent = |placed, before| Sent { message, run: active, placed, before };
    if !waits && run.waits_for_client() && input.is_talk() {
        // A new message cancels the client's pending tool calls.
        keep(tx, &session, (&input, grant))?;
        return interrupt(tx, &run, message);
    }
    // A message is for the agent, so it never answers the question of an MCP server.
    let asks = reading_park::question_of(tx, &run)?.is_some_and(|park| park.asked.is_none());
    if let (true, QueueMode::Steer, Some(by)) = (asks, input.mode, input.by.account()) {
        // In the conversation of a run that asks a question, a message is the answer.
        input.state = InputState::Consumed(active);
        keep(tx, &session, (&input, grant))?;
        park::answered_with(tx, active, &input, by)?;
        return Ok(sent(Placed::Steered, 0));
    }
    if run.waits_for_children() && input.mode == QueueMode::Steer {
        keep(tx, &session, (&input, grant))?;
        children::spoken_to(tx, &run)?;
        return Ok(sent(Placed::Steered, 0));
    }
    let is_timed = reading_park::timer_of(tx, &run)?.is_some();
    if is_timed && input.mode == QueueMode::Steer && input.is_talk() {
        keep(tx, &session, (&input, grant))?;
        park::go_on(tx, &run, SPOKEN)?;
        return Ok(sent(Placed::Steered, 0));
    }
    let sent = match input.mode {
        QueueMode::Steer => sent(Placed::Steered, before),
        QueueMode::Followup => sent(Placed::Followup, before),
        QueueMode::Collect => {
            if joins(tx, &run, (&input, grant), queueing)? {
                input.state = InputState::Assigned(active);
                hold(tx, run, tx.now() + queueing.debounce)?;
                sent(Placed::Collect, 0)
            } else {
                sent(Placed::Collect, before)
            }
        }
        QueueMode::Interrupt if !is_begun(&run) => {
            take_over(tx, run, (&mut input, grant))?;
            sent(Placed::Interrupted, 0)
        }
        QueueMode::Interrupt => {
            keep(tx, &session, (&input, grant))?;
            return interrupt(tx, &run, message);
        }
    };
    keep(tx, &session, (&input, grant))?;
    Ok(sent)
}

/// Stores a placed message.
fn keep(
    tx: &mut WriteTx<'_>,
    session: &Session,
    (input, grant): (&Input, Option<Grant>),
) -> Result<(), RunError> {
    tx.put(input)?;
    if let Some(grant) = grant {
        tx.put(&InputGrant { input: input.id, grant })?;
    }
    tx.put(session)?;
    tx.emit(Event::InputQueued { input: input.id, session: session.id, agent: session.agent });
    Ok(())
}

/// Whether a run has progress to lose: it has begun or serves an inbox item.
fn is_begun(run: &Run) -> bool {
    run.started_at.is_some() || run.item.is_some()
}

/// Number of messages that wait for their own turn.
fn waiting_turns(tx: &WriteTx<'_>, session: SessionId) -> Result<u32, RunError> {
    let mut count = 0;
    for input in reading::open_inputs(tx, session)? {
        let waits = input.state == InputState::Accepted && input.mode != QueueMode::Steer;
        count += u32::from(waits && grants::is_message(tx, &input)?);
    }
    Ok(count)
}

/// Drops the oldest messages if one more would exceed the cap. A guest displaces only messages of guests.
fn make_room(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    grant: Option<Grant>,
    queueing: &Queueing,
) -> Result<(), RunError> {
    let is_guest = grant.is_some_and(|grant| grant.sender == Sender::Guest);
    let (mut waiting, mut all) = (Vec::new(), 0);
    for input in reading::open_inputs(tx, session)? {
        // A message that stops the run is about to be taken up.
        let stops = input.mode == QueueMode::Interrupt;
        if input.state == InputState::Accepted && !stops && grants::is_message(tx, &input)? {
            all += 1;
            if !is_guest || grants::of_input(tx, input.id)? == grant {
                waiting.push(input);
            }
        }
    }
    let over = (all + 1_usize).saturating_sub(queueing.cap);
    if over == 0 {
        return Ok(());
    }
    if queueing.drop == DropPolicy::New || waiting.len() < over {
        return Err(RunError::QueueFull(queueing.cap));
    }
    let reported = reading::overflowed(tx, session)?.len();
    for (n, mut input) in waiting.into_iter().take(over).enumerate() {
        input.kept = true;
        input.state = match queueing.drop {
            DropPolicy::Summarize if reported + n < MAX_TOLD => InputState::Overflowed,
            _ => InputState::Dropped(TOO_MANY.to_owned()),
        };
        tx.put(&input)?;
    }
    Ok(())
}

/// Whether two messages may share a turn: same author, rights, trigger, model, thinking and speed.
fn is_alike(
    tx: &WriteTx<'_>,
    one: &Input,
    (other, grant): (&Input, Option<Grant>),
) -> Result<bool, RunError> {
    let context = |input: &Input| {
        (input.by.account(), input.trigger, input.model.clone(), input.thinking, input.fast)
    };
    Ok(context(one) == context(other) && grants::of_input(tx, one.id)? == grant)
}

/// Whether a message is collected into the turn of a run that has not begun.
fn joins(
    tx: &WriteTx<'_>,
    run: &Run,
    input: (&Input, Option<Grant>),
    queueing: &Queueing,
) -> Result<bool, RunError> {
    if is_begun(run) || run.stop.is_some() {
        return Ok(false);
    }
    let mut own = reading::open_inputs(tx, run.session)?;
    own.retain(|other| other.state == InputState::Assigned(run.id));
    for other in &own {
        if other.mode != QueueMode::Collect || !is_alike(tx, other, input)? {
            return Ok(false);
        }
    }
    Ok(!own.is_empty() && own.len() < queueing.cap)
}

/// Delays a run that has not begun until `until`.
fn hold(tx: &mut WriteTx<'_>, mut run: Run, until: Timestamp) -> Result<(), RunError> {
    if until <= tx.now() {
        return Ok(());
    }
    run.state = RunState::Waiting;
    run.waiting = Some(Waiting {
        waits_for: WaitFor::Timer,
        since: tx.now(),
        detail: "more messages for this turn".to_owned(),
        needs_micros: None,
        until: Some(until),
    });
    tx.put(&run)?;
    Ok(())
}

/// Assigns a run that has not begun to this message. Its earlier messages wait again.
fn take_over(
    tx: &mut WriteTx<'_>,
    mut run: Run,
    (input, grant): (&mut Input, Option<Grant>),
) -> Result<(), RunError> {
    for mut other in reading::open_inputs(tx, run.session)? {
        if other.state == InputState::Assigned(run.id) {
            other.state = InputState::Accepted;
            if matches!(other.mode, QueueMode::Steer | QueueMode::Interrupt) {
                other.mode = QueueMode::Followup;
            }
            tx.put(&other)?;
        }
    }
    let spec = RunSpec::for_input(input);
    (run.title, run.trigger) = (spec.title, spec.trigger);
    (run.state, run.waiting) = (RunState::Queued, None);
    input.state = InputState::Assigned(run.id);
    tx.put(&run)?;
    grant::cut(tx, run.id, grant)?;
    Ok(())
}

/// Stops the active run. The returned run is the next one if it already exists.
fn interrupt(tx: &mut WriteTx<'_>, run: &Run, message: InputId) -> Result<Sent, RunError> {
    life::request_stop(tx, run.id, tx.by().account())?;
    let now = match tx.get::<Input>(message)?.map(|input| input.state) {
        Some(InputState::Assigned(next)) => next,
        _ => run.id,
    };
    Ok(Sent { message, run: now, placed: Placed::Interrupted, before: 0 })
}

/// Creates the next run for messages that the last run did not read. Comments are excluded: the inbox takes them.
pub(super) fn hand_over(tx: &mut WriteTx<'_>, session: &mut Session) -> Result<(), RunError> {
    let mut left = reading::open_inputs(tx, session.id)?;
    left.retain(|input| input.comment.is_none());
    if left.is_empty() {
        return context::hand_over(tx, session);
    }
    let archived = tx.get::<Agent>(session.agent)?.is_none_or(|a| a.archived_at.is_some());
    if archived {
        return drop_talk(tx, session.id, |_| true, "the agent was archived");
    }
    let stops =
        |input: &Input| input.state == InputState::Accepted && input.mode == QueueMode::Interrupt;
    let newest = left.iter().rposition(stops);
    if let Some(newest) = newest {
        for (at, input) in left.iter_mut().enumerate().filter(|(at, _)| *at != newest) {
            debug_assert!(at != newest);
            if stops(input) {
                input.mode = QueueMode::Followup;
            }
            input.state = InputState::Accepted;
            tx.put(input)?;
        }
    }
    let batch = match newest {
        Some(newest) => vec![left.swap_remove(newest)],
        None => next_batch(tx, left)?,
    };
    let Some(first) = batch.first() else { return Ok(()) };
    let run = life::make_run(tx, session, RunSpec::for_input(first))?;
    grant::for_input(tx, run, first)?;
    grant::hold_back(tx, session, run)?;
    let collected = batch.iter().all(|input| input.mode == QueueMode::Collect);
    let last = batch.iter().map(|input| input.created_at).max();
    for mut input in batch {
        input.state = InputState::Assigned(run);
        tx.put(&input)?;
    }
    if let (true, Some(last), Some(run)) = (collected, last, tx.get::<Run>(run)?) {
        let debounce = reading::of_session(tx, session)?.debounce;
        hold(tx, run, last + debounce)?;
    }
    Ok(())
}

/// Messages of the next turn: those assigned to the last run and unread, else the oldest with those collected with
/// it.
fn next_batch(tx: &WriteTx<'_>, left: Vec<Input>) -> Result<Vec<Input>, RunError> {
    let (assigned, waiting): (Vec<Input>, Vec<Input>) =
        left.into_iter().partition(|input| matches!(input.state, InputState::Assigned(_)));
    if !assigned.is_empty() {
        return Ok(assigned);
    }
    let Some(first) = waiting.first().cloned() else { return Ok(Vec::new()) };
    if first.mode != QueueMode::Collect {
        return Ok(vec![first]);
    }
    let grant = grants::of_input(tx, first.id)?;
    let mut batch = Vec::new();
    for input in waiting {
        if input.mode == QueueMode::Collect && is_alike(tx, &input, (&first, grant))? {
            batch.push(input);
        }
    }
    Ok(batch)
}

/// Moves unread messages of people to the new conversation. Messages of HQ are dropped.
pub(super) fn carry(
    tx: &mut WriteTx<'_>,
    from: &Session,
    to: &mut Session,
) -> Result<(), RunError> {
    bring_over(tx, from, to)?;
    hand_over(tx, to)?;
    // No run has ended in the new conversation, so no event announces the run.
    let first = reading::open_inputs(tx, to.id)?.into_iter().next();
    if let Some(input) = first {
        tx.emit(Event::InputQueued { input: input.id, session: to.id, agent: to.agent });
    }
    Ok(())
}

/// Moves unread messages of people to another conversation, together with the queue options.
pub(super) fn bring_over(
    tx: &mut WriteTx<'_>,
    from: &Session,
    to: &Session,
) -> Result<(), RunError> {
    let mut all = reading::open_inputs(tx, from.id)?;
    all.extend(reading::dropped(tx, from.id)?);
    for mut input in all {
        match grants::is_message(tx, &input)? {
            true => {
                input.session = to.id;
                if matches!(input.state, InputState::Assigned(_)) {
                    input.state = InputState::Accepted;
                }
            }
            false => input.state = InputState::Dropped(ANEW.to_owned()),
        }
        tx.put(&input)?;
    }
    if let Some(choice) = tx.get::<QueueChoice>(QueueOf::Session(from.id))? {
        tx.delete::<QueueChoice>(choice.of)?;
        tx.put(&QueueChoice { of: QueueOf::Session(to.id), ..choice })?;
    }
    Ok(())
}

/// Sets the queue options. Unset fields fall back to the next level.
///
/// # Errors
/// If a number is out of range; `Private` for another person's conversation.
pub fn choose(tx: &mut WriteTx<'_>, of: QueueOf, wish: QueueRequest) -> Result<(), RunError> {
    good_queue(&wish)?;
    may_choose(tx, of)?;
    if wish == QueueRequest::default() {
        if tx.get::<QueueChoice>(of)?.is_some() {
            tx.delete::<QueueChoice>(of)?;
        }
    } else {
        tx.put(&QueueChoice { of, wish })?;
    }
    Ok(())
}

/// Checks that the target exists and that the author may choose for it.
pub(super) fn may_choose(tx: &WriteTx<'_>, of: QueueOf) -> Result<(), RunError> {
    match of {
        QueueOf::Workspace => {}
        QueueOf::Agent(id) => {
            tx.get::<Agent>(id)?.ok_or(RunError::NoAgent(id))?;
        }
        QueueOf::Session(id) => {
            let session = tx.get::<Session>(id)?.ok_or(RunError::NoSession(id))?;
            if session.owner.is_some_and(|owner| tx.by().account() != Some(owner)) {
                return Err(if session.shared { RunError::NotYours } else { RunError::Private });
            }
        }
    }
    Ok(())
}

/// Checks the ranges of queue options.
///
/// # Errors
/// If a number is out of range.
pub fn good_queue(wish: &QueueRequest) -> Result<(), RunError> {
    if wish.debounce_ms.is_some_and(|ms| MAX_DEBOUNCE_MS < ms) {
        return Err(RunError::BadPause);
    }
    if wish.cap.is_some_and(|cap| !(1..=MAX_CAP).contains(&cap)) {
        return Err(RunError::BadCap);
    }
    Ok(())
}
