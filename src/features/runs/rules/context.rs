//! What of a session its model is shown: asking for a compaction, and what came of one.

use crate::agents::model::Agent;
use crate::runs::model::{CompactionRequest, Session};
use crate::runs::queries;
use kernel::text::cut;
use kernel::{Event, RunId, RunTrigger, SessionId};
use store::{ReadExt, WriteTx};

use super::RunError;
use super::life::{self, RunSpec};

/// The longest wish of what a summary should look at, in bytes.
const MAX_FOCUS: usize = 500;

/// Somebody wants a conversation compacted. The run that works in it does it at its next step; else
/// one is made for it. Answers that run.
///
/// # Errors
/// `Silent` when nothing was said yet, `Former` for a former conversation.
pub fn ask_compaction(tx: &mut WriteTx<'_>, id: SessionId, focus: &str) -> Result<RunId, RunError> {
    let mut session = tx.get::<Session>(id)?.ok_or(RunError::NoSession(id))?;
    let agent = tx.get::<Agent>(session.agent)?.ok_or(RunError::NoAgent(session.agent))?;
    if agent.archived_at.is_some() {
        return Err(RunError::Archived(agent.name));
    }
    if session.archived_at.is_some() {
        return Err(RunError::Former);
    }
    if session.events == 0 {
        return Err(RunError::Silent);
    }
    let mut context = queries::context(tx, id)?;
    let focus = cut(focus.trim(), MAX_FOCUS).to_owned();
    context.asked = Some(CompactionRequest { by: tx.by(), focus, at: tx.now() });
    tx.put(&context)?;
    match session.active_run {
        Some(run) => Ok(run),
        None => begin_for(tx, &mut session),
    }
}

/// Makes the run that compacts a session in which nobody works.
fn begin_for(tx: &mut WriteTx<'_>, session: &mut Session) -> Result<RunId, RunError> {
    let title = "Compact the conversation".to_owned();
    let spec = RunSpec { trigger: RunTrigger::Chat, item: None, task: None, title };
    let run = life::make_run(tx, session, spec)?;
    tx.put(session)?;
    tx.emit(Event::CompactionAsked { session: session.id, agent: session.agent });
    Ok(run)
}

/// At the end of a run in whose session nobody has said anything more: a compaction that was asked for
/// too late for it gets a run of its own.
pub(super) fn hand_over(tx: &mut WriteTx<'_>, session: &mut Session) -> Result<(), RunError> {
    if queries::context(tx, session.id)?.asked.is_none() {
        return Ok(());
    }
    if tx.get::<Agent>(session.agent)?.is_none_or(|agent| agent.archived_at.is_some()) {
        return withdraw(tx, session.id);
    }
    begin_for(tx, session).map(drop)
}

/// Nobody wants the compaction any more: the run that would have made it was stopped.
pub(super) fn withdraw(tx: &mut WriteTx<'_>, session: SessionId) -> Result<(), RunError> {
    let mut context = queries::context(tx, session)?;
    if context.asked.take().is_some() {
        tx.put(&context)?;
    }
    Ok(())
}

/// A compaction has come to its end: from here on a model is shown the summary in this event, and the
/// events from `first_kept` on.
pub fn compacted(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    summary: u32,
    first_kept: u32,
) -> Result<(), RunError> {
    let mut context = queries::context(tx, session)?;
    context.first_kept = first_kept;
    context.summary = Some(summary);
    context.compactions += 1;
    context.asked = None;
    tx.put(&context)?;
    Ok(())
}

/// A compaction that was asked for has come to nothing.
pub fn not_compacted(tx: &mut WriteTx<'_>, session: SessionId) -> Result<(), RunError> {
    withdraw(tx, session)
}

/// From here on, of long results of tools before `trimmed` the beginning and the end are shown, and of
/// those before `cleared` the names. Neither ever moves back.
pub fn pruned(
    tx: &mut WriteTx<'_>,
    id: SessionId,
    trimmed: u32,
    cleared: u32,
) -> Result<(), RunError> {
    let session = tx.get::<Session>(id)?.ok_or(RunError::NoSession(id))?;
    let mut context = queries::context(tx, id)?;
    context.trimmed = context.trimmed.max(trimmed);
    context.cleared = context.cleared.max(cleared);
    context.pruned_at = session.events;
    tx.put(&context)?;
    Ok(())
}
