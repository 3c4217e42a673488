//! What becomes of a message that comes while a run works in its session.
//!
//! It steers that run, waits for a turn of its own, is collected with others, or stops the run; too
//! many waiting ones make the oldest go, which its author sees and can bring back. A session whose
//! run ends hands the next of them to a new run in the same transaction: nothing that waits is ever
//! without a run that it waits for.

use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::runs::model::{
    Attachment, Demand, Input, InputState, MAX_ATTACHED, MAX_ATTACHED_BYTES, MAX_CAP,
    MAX_DEBOUNCE_MS, MAX_SPILLED, QueueChoice, QueueOf, QueueRequest, Queueing, Run, Session,
    Waiting,
};
use crate::runs::queries::{park as reading_park, queue as reading};
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
use super::life::{self, RunSpec};
use super::marks;
use super::park;

pub use super::dropped::{bring_back, dismiss, withdraw};

/// How many messages that went are told in one line each.
const MAX_TOLD: usize = 50;
const TOO_MANY: &str = "too many messages waited";
/// What a run hears whose wait ends because of a message.
pub(super) const SPOKEN: &str = "Somebody spoke to you meanwhile.";
const ANEW: &str = "the conversation began anew";

/// Something said.
pub struct NewInput {
    pub text: String,
    /// How it came.
    pub trigger: RunTrigger,
    /// A model for this message alone.
    pub model: Option<String>,
    /// What it does while a run works; without it what was chosen for the session counts.
    pub mode: Option<QueueMode>,
    /// Files that come with it; they lie in the blobs already.
    pub attached: Vec<Attachment>,
    /// What the program that says it asks for beside words: it gets a turn of its own, then.
    pub demand: Option<Demand>,
    /// How much the model thinks about this message alone.
    pub thinking: Option<Thinking>,
    /// Whether it is to answer this message sooner.
    pub fast: Option<Fast>,
}

impl NewInput {
    /// Something said in a chat, as it is said most often.
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
        }
    }

    /// Its words. Files alone are a message too.
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

/// Where a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub message: InputId,
    /// The run that has it, or that it waits for.
    pub run: RunId,
    pub placed: Placed,
    /// How many messages come before it.
    pub before: u32,
}

/// Queues a message in a session and, when nobody works there, makes the run for it.
///
/// # Errors
/// When the message is empty or too long, has too many files, the agent is archived or too many
/// messages wait.
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
    place(tx, session, input, &queueing)
}

/// Finds the place of a message that nobody has.
pub(super) fn place(
    tx: &mut WriteTx<'_>,
    mut session: Session,
    mut input: Input,
    queueing: &Queueing,
) -> Result<Sent, RunError> {
    let message = input.id;
    let told = Event::InputQueued { input: message, session: session.id, agent: session.agent };
    (session.last_at, session.leaf) = (tx.now(), Some(message));
    let Some(active) = session.active_run else {
        let run = life::make_run(tx, &mut session, RunSpec::for_input(&input))?;
        input.state = InputState::Assigned(run);
        tx.put(&input)?;
        tx.put(&session)?;
        tx.emit(told);
        return Ok(Sent { message, run, placed: Placed::Started, before: 0 });
    };
    make_room(tx, session.id, queueing)?;
    let run = tx.get::<Run>(active)?.ok_or_else(|| RunError::NotFound(active.to_string()))?;
    let before = match input.mode {
        QueueMode::Steer | QueueMode::Interrupt => 0,
        QueueMode::Followup | QueueMode::Collect => waiting_turns(tx, session.id)?,
    };
    let sent = |placed, before| Sent { message, run: active, placed, before };
    if run.waits_for_client() && input.is_talk() {
        // Whoever speaks does not answer its calls any more.
        tx.put(&input)?;
        tx.put(&session)?;
        tx.emit(told);
        return interrupt(tx, &run, message);
    }
    let asks = reading_park::question_of(tx, &run)?.is_some();
    if let (true, QueueMode::Steer, Some(by)) = (asks, input.mode, input.by.account()) {
        // What is said in the conversation of a run that asks is the answer.
        input.state = InputState::Consumed(active);
        tx.put(&input)?;
        tx.put(&session)?;
        park::answered_with(tx, active, &input, by)?;
        tx.emit(told);
        return Ok(sent(Placed::Steered, 0));
    }
    if run.waits_for_children() && input.mode == QueueMode::Steer {
        tx.put(&input)?;
        tx.put(&session)?;
        children::spoken_to(tx, &run)?;
        tx.emit(told);
        return Ok(sent(Placed::Steered, 0));
    }
    let waits = reading_park::timer_of(tx, &run)?.is_some();
    if waits && input.mode == QueueMode::Steer && input.is_talk() {
        tx.put(&input)?;
        tx.put(&session)?;
        park::go_on(tx, &run, SPOKEN)?;
        tx.emit(told);
        return Ok(sent(Placed::Steered, 0));
    }
    let sent = match input.mode {
        QueueMode::Steer => sent(Placed::Steered, before),
        QueueMode::Followup => sent(Placed::Followup, before),
        QueueMode::Collect => {
            if joins(tx, &run, &input, queueing)? {
                input.state = InputState::Assigned(active);
                hold(tx, run, tx.now() + queueing.debounce)?;
                sent(Placed::Collect, 0)
            } else {
                sent(Placed::Collect, before)
            }
        }
        QueueMode::Interrupt if !is_begun(&run) => {
            take_over(tx, run, &mut input)?;
            sent(Placed::Interrupted, 0)
        }
        QueueMode::Interrupt => {
            tx.put(&input)?;
            tx.put(&session)?;
            tx.emit(told);
            return interrupt(tx, &run, message);
        }
    };
    tx.put(&input)?;
    tx.put(&session)?;
    tx.emit(told);
    Ok(sent)
}

/// Whether a run has something to lose: it has begun, or it has work besides messages.
fn is_begun(run: &Run) -> bool {
    run.started_at.is_some() || run.item.is_some()
}

/// How many messages wait for turns of their own.
fn waiting_turns(tx: &WriteTx<'_>, session: SessionId) -> Result<u32, RunError> {
    let waits = |input: &Input| {
        input.state == InputState::Accepted && input.is_talk() && input.mode != QueueMode::Steer
    };
    let count = reading::open_inputs(tx, session)?.iter().filter(|input| waits(input)).count();
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Lets the oldest go when one more would be too many.
fn make_room(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    queueing: &Queueing,
) -> Result<(), RunError> {
    let mut waiting = reading::open_inputs(tx, session)?;
    waiting.retain(|input| {
        // One that stops a run is about to be taken up.
        let stops = input.mode == QueueMode::Interrupt;
        input.state == InputState::Accepted && input.is_talk() && !stops
    });
    let over = (waiting.len() + 1).saturating_sub(queueing.cap);
    if over == 0 {
        return Ok(());
    }
    if queueing.drop == DropPolicy::New {
        return Err(RunError::QueueFull(queueing.cap));
    }
    let told = reading::overflowed(tx, session)?.len();
    for (n, mut input) in waiting.into_iter().take(over).enumerate() {
        input.kept = true;
        input.state = match queueing.drop {
            DropPolicy::Summarize if told + n < MAX_TOLD => InputState::Overflowed,
            _ => InputState::Dropped(TOO_MANY.to_owned()),
        };
        tx.put(&input)?;
    }
    Ok(())
}

/// Whether two messages may share a turn: the same person, the same way, the same model.
fn is_alike(one: &Input, other: &Input) -> bool {
    let context = |input: &Input| {
        (input.by.account(), input.trigger, input.model.clone(), input.thinking, input.fast)
    };
    context(one) == context(other)
}

/// Whether a message is collected into the turn that is about to be.
fn joins(
    tx: &WriteTx<'_>,
    run: &Run,
    input: &Input,
    queueing: &Queueing,
) -> Result<bool, RunError> {
    if is_begun(run) || run.stop.is_some() {
        return Ok(false);
    }
    let mut own = reading::open_inputs(tx, run.session)?;
    own.retain(|other| other.state == InputState::Assigned(run.id));
    let fits = |other: &Input| other.mode == QueueMode::Collect && is_alike(other, input);
    Ok(!own.is_empty() && own.len() < queueing.cap && own.iter().all(fits))
}

/// Lets a run that has not begun wait until it is quiet.
fn hold(tx: &mut WriteTx<'_>, mut run: Run, until: Timestamp) -> Result<(), RunError> {
    if until <= tx.now() {
        return Ok(());
    }
    run.state = RunState::Waiting;
    run.waiting = Some(Waiting {
        waits_for: WaitFor::Timer,
        since: tx.now(),
        detail: "more messages that belong to this turn".to_owned(),
        needs_micros: None,
        until: Some(until),
    });
    tx.put(&run)?;
    Ok(())
}

/// A run that has not begun is for this message now; what it was made for waits again.
fn take_over(tx: &mut WriteTx<'_>, mut run: Run, input: &mut Input) -> Result<(), RunError> {
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
    Ok(())
}

/// Stops the run that works; what is to come next is known at once when it has no task.
fn interrupt(tx: &mut WriteTx<'_>, run: &Run, message: InputId) -> Result<Sent, RunError> {
    life::request_stop(tx, run.id, tx.by().account())?;
    let now = match tx.get::<Input>(message)?.map(|input| input.state) {
        Some(InputState::Assigned(next)) => next,
        _ => run.id,
    };
    Ok(Sent { message, run: now, placed: Placed::Interrupted, before: 0 })
}

/// Makes the next run for messages that the last one did not read. Comments are not talk: the
/// inbox takes them.
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
        None => next_batch(left),
    };
    let Some(first) = batch.first() else { return Ok(()) };
    let run = life::make_run(tx, session, RunSpec::for_input(first))?;
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

/// The messages of the next turn: what the last run was made for and did not read, else the oldest,
/// with those that are collected with it.
fn next_batch(left: Vec<Input>) -> Vec<Input> {
    let (assigned, waiting): (Vec<Input>, Vec<Input>) =
        left.into_iter().partition(|input| matches!(input.state, InputState::Assigned(_)));
    if !assigned.is_empty() {
        return assigned;
    }
    let Some(first) = waiting.first().cloned() else { return Vec::new() };
    match first.mode {
        QueueMode::Collect => waiting
            .into_iter()
            .filter(|input| input.mode == QueueMode::Collect && is_alike(input, &first))
            .collect(),
        _ => vec![first],
    }
}

/// A conversation begins anew: what people said goes over to the new one, words of HQ do not.
pub(super) fn carry(
    tx: &mut WriteTx<'_>,
    from: &Session,
    to: &mut Session,
) -> Result<(), RunError> {
    bring_over(tx, from, to)?;
    hand_over(tx, to)?;
    // Nothing has ended there that would tell of the run.
    let first = reading::open_inputs(tx, to.id)?.into_iter().next();
    if let Some(input) = first {
        tx.emit(Event::InputQueued { input: input.id, session: to.id, agent: to.agent });
    }
    Ok(())
}

/// What people said in a conversation and nobody has read belongs to another one from now on, with how
/// messages are taken there.
pub(super) fn bring_over(
    tx: &mut WriteTx<'_>,
    from: &Session,
    to: &Session,
) -> Result<(), RunError> {
    let mut all = reading::open_inputs(tx, from.id)?;
    all.extend(reading::dropped(tx, from.id)?);
    for mut input in all {
        match input.is_talk() {
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

/// Says what messages do while a run works; what is left out is decided elsewhere.
///
/// # Errors
/// When a number is out of its bounds, `Private` for somebody else's conversation.
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

/// Whether there is what is chosen for, and whoever writes may choose for it.
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

/// Whether a wish can be.
///
/// # Errors
/// When a number is out of its bounds.
pub fn good_queue(wish: &QueueRequest) -> Result<(), RunError> {
    if wish.debounce_ms.is_some_and(|ms| MAX_DEBOUNCE_MS < ms) {
        return Err(RunError::BadPause);
    }
    if wish.cap.is_some_and(|cap| !(1..=MAX_CAP).contains(&cap)) {
        return Err(RunError::BadCap);
    }
    Ok(())
}
