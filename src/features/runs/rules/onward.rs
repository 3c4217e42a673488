//! Continues an interrupted run as a new run in the same conversation, with fresh limits. Finished steps are not
//! repeated.

use crate::agents::model::Agent;
use crate::inbox::model::Item;
use crate::runs::model::{
    EventKind, Input, InputState, ModelSource, Run, Session, SessionEvent, TAKEN_BACK,
};
use crate::runs::queries;
use kernel::{AccountId, Event, ItemState, Outcome, QueueMode, RunId, RunTrigger};
use store::{Read, ReadExt, StoreError, WriteTx};

use super::grant;
use super::life::{self, RunSpec};
use super::queue::NewInput;
use super::{RunError, retry};

/// Number of latest events searched for one that is neither a recorded view nor a late result.
const LATEST: usize = 50;

/// Whether a run was interrupted and only a person continues it. Failed work is retried as a whole. A failed chat run
/// counts if it already did or said something.
fn broke_off(tx: &dyn Read, run: &Run) -> Result<bool, StoreError> {
    Ok(match &run.outcome {
        Some(
            Outcome::Limit { .. }
            | Outcome::Stopped { .. }
            | Outcome::Interrupted
            | Outcome::CrashLoop,
        ) => true,
        Some(Outcome::Failed { .. }) if run.item.is_some() => false,
        Some(Outcome::Failed { code, .. }) if code == TAKEN_BACK => true,
        Some(Outcome::Failed { .. }) => 0 < run.steps || has_words(tx, run)?,
        Some(Outcome::Done | Outcome::Snoozed { .. } | Outcome::NoOutcome) | None => false,
    })
}

/// Whether a partial response of the run was stored.
fn has_words(tx: &dyn Read, run: &Run) -> Result<bool, StoreError> {
    let last = queries::last_events(tx, run.session, LATEST)?;
    Ok(last.iter().any(|event| {
        event.run == Some(run.id) && matches!(event.kind, EventKind::Assistant { .. })
    }))
}

/// Checks that the person may continue the run. Returns the run and its conversation.
///
/// # Errors
/// If the run has not ended or was not interrupted, belongs to a sub-agent, its work is closed or belongs to another
/// run, or its conversation has moved on.
pub fn check(tx: &dyn Read, of: RunId, by: AccountId) -> Result<(Run, Session), RunError> {
    let run = tx.get::<Run>(of)?.ok_or_else(|| RunError::NotFound(of.to_string()))?;
    if run.is_live() {
        return Err(RunError::Live(run.name()));
    }
    retry::is_whole(tx, &run)?;
    if !broke_off(tx, &run)? {
        return Err(RunError::CameToEnd(run.name()));
    }
    let agent = tx.get::<Agent>(run.agent)?.ok_or(RunError::NoAgent(run.agent))?;
    if agent.archived_at.is_some() {
        return Err(RunError::Archived(agent.name));
    }
    if run.started_at.is_none() {
        return Err(RunError::NotBegun(run.name()));
    }
    let session = tx.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
    if !session.admits(by) {
        return Err(RunError::NoSession(session.id));
    }
    if session.archived_at.is_some() {
        return Err(RunError::Former);
    }
    if session.active_run.is_some() {
        return Err(RunError::Busy);
    }
    let mut last = queries::last_events(tx, session.id, LATEST)?.into_iter().rev();
    let beside = |event: &SessionEvent| {
        matches!(event.kind, EventKind::Looked { .. } | EventKind::Late { .. })
    };
    let last = last.find(|event| !beside(event));
    if last.is_none_or(|event| event.run != Some(run.id)) {
        return Err(RunError::Overtaken(run.name()));
    }
    retry::is_workable(tx, &run)?;
    if let Some(item) = run.item {
        let failed = |item: &Item| matches!(item.state, ItemState::Failed | ItemState::DeadLetter);
        let item = tx.get::<Item>(item)?.filter(|item| item.run == Some(run.id) && failed(item));
        item.ok_or_else(|| RunError::WorkGone(run.name()))?;
    }
    Ok((run, session))
}

/// Continues a run in a new one that reads `text`. The caller leases the item of the run, if any.
///
/// # Errors
/// As [`check`], and `TooLong`.
pub fn begin(
    tx: &mut WriteTx<'_>,
    of: RunId,
    (by, text): (AccountId, String),
) -> Result<Run, RunError> {
    let (source, mut session) = check(tx, of, by)?;
    let text = NewInput::chat(text).words()?;
    let trigger = match source.trigger {
        // The API client no longer waits: a person reads the answer.
        RunTrigger::Api => RunTrigger::Chat,
        other => other,
    };
    let title = source.title.clone();
    let spec = RunSpec { trigger, item: source.item, task: source.task, title };
    let id = life::make_run(tx, &mut session, spec)?;
    grant::inherit(tx, source.id, id)?;
    let mut run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if source.model_source == ModelSource::Message {
        (run.connection, run.model) = (source.connection, source.model);
        run.model_source = ModelSource::Message;
        tx.put(&run)?;
    }
    let to = (session.id, session.agent);
    let input = Input {
        state: InputState::Assigned(id),
        mode: QueueMode::Followup,
        ..Input::words(tx.new_id(), to, (tx.by(), text), tx.now())
    };
    tx.put(&input)?;
    (session.last_at, session.leaf) = (tx.now(), Some(input.id));
    tx.put(&session)?;
    tx.emit(Event::InputQueued { input: input.id, session: session.id, agent: session.agent });
    Ok(run)
}
