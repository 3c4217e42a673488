//! The life of a run: made, begun, woken, recovered, stopped.

use jiff::SignedDuration;

use crate::agents::model::Agent;
use crate::agents::queries::machines;
use crate::connections::queries::Choice;
use crate::runs::model::{
    CallStatus, EventKind, Input, ModelSource, Run, Session, SessionEvent, StopRequest,
};
use crate::runs::queries::{branches, halt};
use crate::workspace::model::{Counter, Counting};
use kernel::text::ellipsis;
use kernel::{
    AccountId, Event, ItemId, Outcome, RunId, RunState, RunTrigger, TaskId, Thinking, Timestamp,
};
use store::{ReadExt, WriteTx};

use super::RunError;
use super::children;
use super::context;
use super::dropped;
use super::input::{SessionSpec, open_session};
use super::run_writer::RunWriter;

/// Crashes without a finished step after which a run is parked for good.
pub const MAX_CRASHES: u32 = 3;
/// A step that worked for so long before HQ ended is not what ended it. One that does end it after as long is held by
/// the pause after crashes of the whole program.
const LONG_STEP: SignedDuration = SignedDuration::from_mins(1);
/// After so long without HQ, nobody waits for the answer of a chat any more.
const TALK_AGE: SignedDuration = SignedDuration::from_hours(2);
/// After so long without HQ, a person says whether work goes on.
const WORK_AGE: SignedDuration = SignedDuration::from_hours(24);
/// What becomes of messages that waited for longer.
const TOO_OLD: &str = "HQ was off for too long; send it again if you still want an answer";

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
    pub(super) fn for_input(input: &Input) -> Self {
        let line = input.text.lines().next().unwrap_or_default();
        Self { trigger: input.trigger, item: None, task: None, title: ellipsis(line, 80) }
    }
}

/// Makes a run that waits for a slot.
pub(super) fn make_run(
    tx: &mut WriteTx<'_>,
    session: &mut Session,
    spec: RunSpec,
) -> Result<RunId, RunError> {
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
        working_since: None,
        worked_ms: 0,
        ended_at: None,
        thinking_source: None,
        applied: 0,
        // Its agent moves only while it has no run, so this holds until the end.
        gateway: machines::place(tx, session.agent)?,
    };
    tx.put(&run)?;
    session.active_run = Some(run.id);
    Ok(run.id)
}

/// Makes the run that serves an item; none when its session is in use.
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

/// Notes with a run what its routine asks for, where that counts: on another machine there are no routines.
pub fn asked_by_routine(tx: &mut WriteTx<'_>, id: RunId, choice: Choice) -> Result<(), RunError> {
    let mut run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if choice.source == ModelSource::Routine {
        (run.connection, run.model) = (choice.connection, choice.model);
        run.model_source = ModelSource::Routine;
    }
    if choice.thinking_source == ModelSource::Routine {
        (run.thinking, run.thinking_source) = (choice.thinking, Some(ModelSource::Routine));
    }
    tx.put(&run)?;
    Ok(())
}

/// Begins or resumes a queued run: raises the epoch, so that an older writer stops.
///
/// # Errors
/// `Fenced` when it is not queued any more.
pub fn begin(tx: &mut WriteTx<'_>, id: RunId) -> Result<RunWriter, RunError> {
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
    run.working_since = Some(tx.now());
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
    Ok(RunWriter::of(run, session))
}

/// Notes that a task takes a queued run up that was there when the program began: should it end the program
/// before it has begun, that counts.
pub fn take_up(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), RunError> {
    mark(tx, id, true)
}

/// The task lets go of a run that it has not begun.
pub fn put_down(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), RunError> {
    mark(tx, id, false)
}

fn mark(tx: &mut WriteTx<'_>, id: RunId, taken: bool) -> Result<(), RunError> {
    let Some(mut run) = tx.get::<Run>(id)?.filter(|run| run.state == RunState::Queued) else {
        return Ok(());
    };
    if run.working_since.is_some() != taken {
        run.working_since = taken.then(|| tx.now());
        tx.put(&run)?;
    }
    Ok(())
}

/// Wakes a waiting run: it goes to the front of its agent's queue.
///
/// # Errors
/// `Ended` when it does not wait.
pub fn wake(tx: &mut WriteTx<'_>, id: RunId) -> Result<Run, RunError> {
    let mut run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if run.state != RunState::Waiting {
        return Err(RunError::Ended(run.name()));
    }
    run.state = RunState::Queued;
    run.waiting = None;
    tx.put(&run)?;
    Ok(run)
}

/// After a crash, or when the task of a run is gone: the run goes on from its last step with a new
/// epoch; `what` says why it was interrupted, with the time when its program was last known to work.
/// One that was asked to stop, is too old to go on unasked, or has ended the program too often, ends
/// here.
pub fn recover(
    tx: &mut WriteTx<'_>,
    id: RunId,
    what: (&str, Option<Timestamp>),
) -> Result<Run, RunError> {
    taken_again(tx, id, what, true)
}

/// The same for a run on another machine: it grows no older while that is not heard of.
pub fn recover_away(
    tx: &mut WriteTx<'_>,
    id: RunId,
    what: (&str, Option<Timestamp>),
) -> Result<Run, RunError> {
    taken_again(tx, id, what, false)
}

/// Whether the step that was under way had worked for so long that it is not what ended the program. A step has no
/// record of its own before it ends: it began with the last event, or when the run was taken up.
fn worked_for_long(run: &Run, last: Timestamp, alive_at: Option<Timestamp>) -> bool {
    let began = run.working_since.map(|since| since.max(last));
    began.zip(alive_at).is_some_and(|(began, alive)| LONG_STEP <= alive.duration_since(began))
}

fn taken_again(
    tx: &mut WriteTx<'_>,
    id: RunId,
    (what, alive_at): (&str, Option<Timestamp>),
    ages: bool,
) -> Result<Run, RunError> {
    let run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    let session = tx.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
    let crashed = run.is_at_work() || run.is_taken_up();
    if !crashed && run.state != RunState::Queued {
        return Ok(run);
    }
    let waits = match tx.get::<Agent>(run.agent)? {
        Some(agent) => {
            let held = halt::held(tx, &agent)?.is_some();
            !crashed && (held || branches::held(tx, &run)?.is_some())
        }
        None => false,
    };
    let age = tx.now().duration_since(session.last_at.max(run.created_at));
    let most = if run.item.is_some() { WORK_AGE } else { TALK_AGE };
    let aged = ages && age > most && !waits;
    if !crashed && !aged {
        return Ok(run);
    }
    let last = session.last_at;
    let counts = crashed && !worked_for_long(&run, last, alive_at);
    let mut pen = RunWriter::of(run, session);
    if crashed {
        pen.rest(last);
        pen.run.crashes += u32::from(counts);
    }
    let end = if let Some(stop) = &pen.run.stop {
        Some((Outcome::Stopped { by: stop.by }, ""))
    } else if pen.run.crashes >= MAX_CRASHES {
        Some((Outcome::CrashLoop, "HQ broke off three times before a step was done"))
    } else if aged {
        Some((Outcome::Interrupted, "HQ was off for too long to go on unasked"))
    } else {
        None
    };
    if let Some((outcome, summary)) = end {
        if outcome == Outcome::Interrupted {
            // Else its next run would answer after all.
            dropped::drop_talk(tx, pen.session.id, |_| true, TOO_OLD)?;
        } else if outcome == Outcome::CrashLoop && pen.run.started_at.is_none() {
            // What it was made for stands in the conversation, where a person may let it go on.
            pen.run.started_at = Some(tx.now());
            pen.run.first_event = pen.session.events;
            pen.read_inputs(tx)?;
        }
        pen.session.epoch += 1;
        pen.close_calls(tx, CallStatus::Unknown, "HQ was restarted before this had an answer")?;
        return pen.end(tx, outcome, summary);
    }
    if pen.run.started_at.is_some() {
        pen.append(tx, EventKind::Interrupted { what: what.to_owned() })?;
    }
    (pen.run.state, pen.run.waiting) = (RunState::Queued, None);
    pen.save(tx)
}

/// Tells people that the program began again and so many runs go on.
pub fn taken_up(tx: &mut WriteTx<'_>, runs: u32) -> Result<(), RunError> {
    tx.emit(Event::RunsTakenUp(runs));
    Ok(())
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
        context::withdraw(tx, run.session)?;
        children::stop_all(tx, id, by)?;
    }
    if run.is_at_work() {
        return Ok(run);
    }
    force_end(tx, id, Outcome::Stopped { by }, "")
}

/// Ends a run whatever its task does: the epoch moves on, so its late writes are refused.
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
    let mut pen = RunWriter::of(run, session);
    let status = match outcome {
        Outcome::Stopped { .. } => CallStatus::Stopped,
        _ => CallStatus::Unknown,
    };
    pen.close_calls(tx, status, "the run ended before this had an answer")?;
    pen.end(tx, outcome, summary)
}

/// Keeps in the log of a run what its tools answered after it was ended or put back without them. It changes nothing
/// else: the calls have their ends, and no model reads this.
pub fn keep_late(tx: &mut WriteTx<'_>, id: RunId, late: Vec<EventKind>) -> Result<(), RunError> {
    let Some(run) = tx.get::<Run>(id)? else { return Ok(()) };
    let Some(mut session) = tx.get::<Session>(run.session)? else { return Ok(()) };
    for kind in late {
        let n = session.events;
        tx.put(&SessionEvent { session: session.id, n, run: Some(id), at: tx.now(), kind })?;
        session.events += 1;
    }
    tx.put(&session)?;
    Ok(())
}
