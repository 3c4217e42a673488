//! Lifecycle of a run: create, begin, wake, recover, stop.

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

/// Number of crashes without a finished step after which a run is parked.
pub const MAX_CRASHES: u32 = 3;
/// A step that had worked this long before HQ ended does not count as the cause. If such a step is the cause after
/// all, the pause after crashes of the whole program stops it.
const LONG_STEP: SignedDuration = SignedDuration::from_mins(1);
/// After this much downtime, a chat run is not resumed: nobody waits for its answer any more.
const TALK_AGE: SignedDuration = SignedDuration::from_hours(2);
/// After this much downtime, a person decides whether work resumes.
const WORK_AGE: SignedDuration = SignedDuration::from_hours(24);
/// Reason for dropping messages that waited longer.
const TOO_OLD: &str = "HQ was off for too long; send it again if you still want an answer";

/// Request for a new run.
pub struct RunSpec {
    pub trigger: RunTrigger,
    pub item: Option<ItemId>,
    pub task: Option<TaskId>,
    /// One line.
    pub title: String,
}

impl RunSpec {
    pub(super) fn for_input(input: &Input) -> Self {
        let line = input.text.lines().next().unwrap_or_default();
        Self { trigger: input.trigger, item: None, task: None, title: ellipsis(line, 80) }
    }
}

/// Creates a queued run.
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
        // The agent moves only while it has no run, so this holds until the end.
        gateway: machines::place(tx, session.agent)?,
    };
    tx.put(&run)?;
    session.active_run = Some(run.id);
    Ok(run.id)
}

/// Creates the run for an item; `None` if its session already has an active run.
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

/// Records the model choice of a routine on the run, because hosts have no routines.
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

/// Begins or resumes a queued run. Raises the epoch, so that an older writer stops.
///
/// # Errors
/// `Fenced` if the run is no longer queued.
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

/// Records that a task takes up a run that was queued at program start. If this ends the program before the run
/// begins, the crash counts.
pub fn take_up(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), RunError> {
    mark(tx, id, true)
}

/// Records that the task released a run that it had not begun.
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

/// Wakes a waiting run: moves it to the front of its agent's queue.
///
/// # Errors
/// `Ended` if the run is not waiting.
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

/// Requeues a run from its last step with a new epoch, after a crash or when its task is gone. `what` is the reason
/// and the time when the program was last known to work. A run that was asked to stop, is too old or has crashed too
/// often ends here.
pub fn recover(
    tx: &mut WriteTx<'_>,
    id: RunId,
    what: (&str, Option<Timestamp>),
) -> Result<Run, RunError> {
    taken_again(tx, id, what, true)
}

/// Like [`recover`] for a run on a host. Such a run does not age while its host is silent.
pub fn recover_away(
    tx: &mut WriteTx<'_>,
    id: RunId,
    what: (&str, Option<Timestamp>),
) -> Result<Run, RunError> {
    taken_again(tx, id, what, false)
}

/// Whether the current step had worked so long that it does not count as the cause of the crash. A step has no record
/// before its end: it began with the last event or when the run was taken up.
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
        Some((Outcome::CrashLoop, "HQ stopped three times before a step was done"))
    } else if aged {
        Some((Outcome::Interrupted, "HQ was off for too long to continue automatically"))
    } else {
        None
    };
    if let Some((outcome, summary)) = end {
        if outcome == Outcome::Interrupted {
            // Otherwise its next run would answer anyway.
            dropped::drop_talk(tx, pen.session.id, |_| true, TOO_OLD)?;
        } else if outcome == Outcome::CrashLoop && pen.run.started_at.is_none() {
            // The run's input goes into the conversation, where a person may resume it.
            pen.run.started_at = Some(tx.now());
            pen.run.first_event = pen.session.events;
            pen.read_inputs(tx)?;
        }
        pen.session.epoch += 1;
        pen.close_calls(tx, CallStatus::Unknown, "HQ was restarted before this was answered")?;
        return pen.end(tx, outcome, summary);
    }
    if pen.run.started_at.is_some() {
        pen.append(tx, EventKind::Interrupted { what: what.to_owned() })?;
    }
    (pen.run.state, pen.run.waiting) = (RunState::Queued, None);
    pen.save(tx)
}

/// Announces that the program restarted and this many runs resume.
pub fn taken_up(tx: &mut WriteTx<'_>, runs: u32) -> Result<(), RunError> {
    tx.emit(Event::RunsTakenUp(runs));
    Ok(())
}

/// Requests a stop. A run without a working task ends at once.
///
/// # Errors
/// `Ended` if the run has ended.
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

/// Ends a run whatever its task does. Raises the epoch, so that late writes are refused.
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
    pen.close_calls(tx, status, "the run ended before this was answered")?;
    pen.end(tx, outcome, summary)
}

/// Stores tool results that arrived after the run had been ended or requeued. Changes nothing else: the calls have
/// their ends, and no model reads this.
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
