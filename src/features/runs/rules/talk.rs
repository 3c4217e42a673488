//! Chat messages: sending, recording views, withdrawing, compacting.

use crate::runs::model::{EventKind, Input, InputState, Run, Session, SessionEvent};
use crate::runs::queries::{self, sessions, talk as reading};
use kernel::{AccountId, InputId, Outcome, QueueMode, RunId, SessionId};
use store::{ReadExt, WriteTx};

use super::{
    Earlier, NewInput, RunError, Sent, SessionSpec, context, earlier, force_end, open_session,
    preferences, queue,
};

/// Queues a message in the session, which is opened if needed. A person's own conversation that is over is reset
/// first.
///
/// # Errors
/// `Private` in another person's conversation, and as [`queue()`].
pub fn say(tx: &mut WriteTx<'_>, session: SessionSpec, new: NewInput) -> Result<Sent, RunError> {
    say_after(tx, session, Vec::new(), new)
}

/// Like [`say`], for an API client that keeps the conversation: an empty session begins with the messages in
/// `before`.
pub fn say_after(
    tx: &mut WriteTx<'_>,
    session: SessionSpec,
    before: Vec<Earlier>,
    new: NewInput,
) -> Result<Sent, RunError> {
    let session = open_session(tx, session)?;
    if tx.by().account().is_some_and(|by| !session.admits(by)) {
        return Err(RunError::Private);
    }
    let session = preferences::fresh(tx, session)?;
    let id = session.id;
    earlier::recount(tx, session, before)?;
    queue(tx, id, new)
}

/// Checks that the sender has seen the latest message.
///
/// # Errors
/// `Moved` if the conversation has another leaf.
pub fn expect(session: Option<&Session>, leaf: &str) -> Result<(), RunError> {
    match sessions::leaf(session) == leaf {
        true => Ok(()),
        false => Err(RunError::Moved),
    }
}

/// Sends a message to a live run. By default the run reads it at its next step.
///
/// # Errors
/// `Ended` if the run has ended, `Private` in another person's conversation, and as [`queue()`].
pub fn say_to_run(tx: &mut WriteTx<'_>, id: RunId, new: NewInput) -> Result<Sent, RunError> {
    let run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if !run.is_live() {
        return Err(RunError::Ended(run.name()));
    }
    own(tx, &run)?;
    let mode = new.mode.or(Some(QueueMode::Steer));
    queue(tx, run.session, NewInput { mode, ..new })
}

/// Checks that the author may speak in the run's conversation.
pub(super) fn own(tx: &WriteTx<'_>, run: &Run) -> Result<(), RunError> {
    match tx.by().account() {
        Some(account) if !reading::may_speak(tx, run, account)? => Err(RunError::Private),
        _ => Ok(()),
    }
}

/// Records a view of another person's private conversation in that conversation, for its owner.
pub fn looked_at(tx: &mut WriteTx<'_>, id: SessionId) -> Result<(), RunError> {
    let by = tx.by();
    let Some(account) = by.account() else { return Ok(()) };
    if !reading::must_note(tx, id, account, tx.now())? {
        return Ok(());
    }
    let mut session = tx.get::<Session>(id)?.ok_or(RunError::NoSession(id))?;
    let kind = EventKind::Looked { by };
    tx.put(&SessionEvent { session: id, n: session.events, run: None, at: tx.now(), kind })?;
    session.events += 1;
    tx.put(&session)?;
    Ok(())
}

/// Withdraws a message that the agent has not read. A run that was created only for it, and has not begun, ends.
///
/// # Errors
/// `Consumed` if the message was read, `NotFound` if it is not the person's.
pub fn take_back(tx: &mut WriteTx<'_>, id: InputId, by: AccountId) -> Result<(), RunError> {
    let input = tx.get::<Input>(id)?.filter(|input| input.by.account() == Some(by));
    let input = input.ok_or_else(|| RunError::NotFound(format!("of message {id}")))?;
    cancel(tx, input, Some(by))
}

/// Cancels an unread message because its sender lost access.
///
/// # Errors
/// `Consumed` if the message was read, `NotFound` if it does not exist.
pub fn revoke(tx: &mut WriteTx<'_>, id: InputId) -> Result<(), RunError> {
    let input = tx.get::<Input>(id)?;
    let input = input.ok_or_else(|| RunError::NotFound(format!("of message {id}")))?;
    cancel(tx, input, None)
}

fn cancel(tx: &mut WriteTx<'_>, mut input: Input, by: Option<AccountId>) -> Result<(), RunError> {
    let waiting_run = match input.state {
        InputState::Accepted | InputState::Overflowed => None,
        InputState::Assigned(run) => Some(not_begun(tx, run)?),
        InputState::Consumed(_) | InputState::Cancelled | InputState::Dropped(_) => {
            return Err(RunError::Consumed);
        }
    };
    input.state = InputState::Cancelled;
    tx.put(&input)?;
    if let Some(run) = &waiting_run
        && queries::queue::heard(tx, input.session, run.id)?.is_empty()
    {
        force_end(tx, run.id, Outcome::Stopped { by }, "")?;
    }
    Ok(())
}

pub(super) fn not_begun(tx: &WriteTx<'_>, run: RunId) -> Result<Run, RunError> {
    let run = tx.get::<Run>(run)?.filter(Run::is_live);
    run.filter(|run| run.started_at.is_none()).ok_or(RunError::Consumed)
}

/// Compacts a conversation in which the person may speak.
///
/// # Errors
/// As [`context::ask_compaction`], and `NoSession` if it is another person's.
pub fn compact(
    tx: &mut WriteTx<'_>,
    id: SessionId,
    by: AccountId,
    focus: &str,
) -> Result<RunId, RunError> {
    let session = tx.get::<Session>(id)?;
    if session.is_none_or(|session| !session.admits(by)) {
        return Err(RunError::NoSession(id));
    }
    context::ask_compaction(tx, id, focus)
}
