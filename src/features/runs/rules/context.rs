//! Context of a session: requests for compaction, and the result of compaction and pruning.

use crate::agents::model::Agent;
use crate::runs::model::{CompactionRequest, Session};
use crate::runs::queries;
use kernel::text::cut;
use kernel::{Event, RunId, RunTrigger, SessionId};
use store::{ReadExt, WriteTx};

use super::RunError;
use super::grant;
use super::life::{self, RunSpec};

/// Maximum length of a summary's focus in bytes.
const MAX_FOCUS: usize = 500;

/// Requests a compaction. The active run performs it at its next step; without one a run is created. Returns that
/// run.
///
/// # Errors
/// `Silent` if the conversation has no messages, `Former` if it is archived.
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

/// Creates the run that compacts an idle session.
fn begin_for(tx: &mut WriteTx<'_>, session: &mut Session) -> Result<RunId, RunError> {
    let title = "Compact the conversation".to_owned();
    let spec = RunSpec { trigger: RunTrigger::Chat, item: None, task: None, title };
    let run = life::make_run(tx, session, spec)?;
    grant::go_on(tx, session.id, run)?;
    tx.put(session)?;
    tx.emit(Event::CompactionAsked { session: session.id, agent: session.agent });
    Ok(run)
}

/// At the end of a run without further messages: creates a run for a compaction that was requested too late for the
/// ended one.
pub(super) fn hand_over(tx: &mut WriteTx<'_>, session: &mut Session) -> Result<(), RunError> {
    if queries::context(tx, session.id)?.asked.is_none() {
        return Ok(());
    }
    if tx.get::<Agent>(session.agent)?.is_none_or(|agent| agent.archived_at.is_some()) {
        return withdraw(tx, session.id);
    }
    begin_for(tx, session).map(drop)
}

/// Cancels the requested compaction, because the run that would have performed it was stopped.
pub(super) fn withdraw(tx: &mut WriteTx<'_>, session: SessionId) -> Result<(), RunError> {
    let mut context = queries::context(tx, session)?;
    if context.asked.take().is_some() {
        tx.put(&context)?;
    }
    Ok(())
}

/// Completes a compaction: from here on models read the summary in event `summary` and the events from `first_kept`
/// on.
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

/// Cancels a requested compaction that failed.
pub fn not_compacted(tx: &mut WriteTx<'_>, session: SessionId) -> Result<(), RunError> {
    withdraw(tx, session)
}

/// Shortens old tool results: those before `trimmed` to beginning and end, those before `cleared` to their names.
/// Neither position moves back.
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
