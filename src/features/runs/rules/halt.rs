//! Pauses the workspace or one agent. Running runs are requeued, after their step or at once, and resume from their
//! last step.

use crate::agents::model::Agent;
use crate::runs::model::{EventKind, Halt, HaltOf, Run, Session};
use crate::runs::queries::halt as reading;
use kernel::{AgentId, AgentStatus, Event, HaltHow, RunId, RunState};
use store::{ReadExt, WriteTx};

use super::RunError;
use super::run_writer::RunWriter;

/// Pauses work. A pause after the step can be changed to an immediate one.
pub fn order(tx: &mut WriteTx<'_>, of: HaltOf, how: HaltHow) -> Result<Halt, RunError> {
    if let HaltOf::Agent(id) = of {
        tx.get::<Agent>(id)?.ok_or(RunError::NoAgent(id))?;
    }
    if let Some(halt) = tx.get::<Halt>(of)?
        && (halt.how == how || how == HaltHow::AfterStep)
    {
        return Ok(halt);
    }
    let halt = Halt { of, how, by: tx.by().account(), at: tx.now() };
    tx.put(&halt)?;
    let agent = match of {
        HaltOf::Workspace => None,
        HaltOf::Agent(id) => Some(id),
    };
    tx.emit(Event::WorkHalted { agent, now: how == HaltHow::Now });
    Ok(halt)
}

/// Lifts a pause. Returns whether there was one.
pub fn lift(tx: &mut WriteTx<'_>, of: HaltOf) -> Result<bool, RunError> {
    if tx.get::<Halt>(of)?.is_none() {
        return Ok(false);
    }
    tx.delete::<Halt>(of)?;
    let agent = match of {
        HaltOf::Workspace => None,
        HaltOf::Agent(id) => Some(id),
    };
    tx.emit(Event::WorkGoesOn { agent });
    Ok(true)
}

/// Resumes a paused agent. Returns whether it was paused.
pub fn resume(tx: &mut WriteTx<'_>, id: AgentId) -> Result<bool, RunError> {
    let agent = tx.get::<Agent>(id)?.ok_or(RunError::NoAgent(id))?;
    if lift(tx, HaltOf::Agent(id))? {
        return Ok(true);
    }
    if agent.status != AgentStatus::Paused {
        return Ok(false);
    }
    tx.emit(Event::WorkGoesOn { agent: Some(id) });
    Ok(true)
}

/// Requeues a run whose task hangs. Raises the epoch, so that late writes are refused. Returns whether the run was at
/// work.
pub fn suspend(tx: &mut WriteTx<'_>, id: RunId) -> Result<bool, RunError> {
    let Some(run) = tx.get::<Run>(id)?.filter(Run::is_at_work) else { return Ok(false) };
    let session = tx.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
    let mut pen = RunWriter::of(run, session);
    pen.session.epoch += 1;
    pen.rest(tx.now());
    note(tx, &mut pen)?;
    (pen.run.state, pen.run.waiting) = (RunState::Queued, None);
    pen.save(tx)?;
    Ok(true)
}

/// Requeues the run of this writer.
pub fn rest(tx: &mut WriteTx<'_>, mut pen: RunWriter) -> Result<Run, RunError> {
    note(tx, &mut pen)?;
    pen.requeue(tx)
}

fn note(tx: &mut WriteTx<'_>, pen: &mut RunWriter) -> Result<(), RunError> {
    let by = match reading::of_agent(tx, pen.run.agent)? {
        Some(halt) => reading::by(tx, &halt)?,
        None => "a person".to_owned(),
    };
    pen.append(tx, EventKind::Interrupted { what: format!("{by} paused the work") })
}
