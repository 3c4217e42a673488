//! Talk: what a person says to an agent in a chat, and taking it back.

use crate::runs::model::{EventKind, Input, InputState, Run, Session, SessionEvent};
use crate::runs::queries::{self, sessions, talk as reading};
use kernel::{AccountId, InputId, Outcome, QueueMode, RunId, SessionId};
use store::{ReadExt, WriteTx};

use super::{
    Earlier, NewInput, RunError, Sent, SessionSpec, context, earlier, force_end, open_session,
    preferences, queue,
};

/// Opens the session if need be and queues a message in it. A person's own conversation that is over
/// by what was chosen begins anew.
///
/// # Errors
/// `Private` in somebody else's conversation, and as [`queue()`].
pub fn say(tx: &mut WriteTx<'_>, session: SessionSpec, new: NewInput) -> Result<Sent, RunError> {
    say_after(tx, session, Vec::new(), new)
}

/// The same, where a program keeps the conversation: a session in which nothing was said yet begins with what was said
/// before.
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

/// Refuses what is said by somebody who has not seen what a conversation has come to.
///
/// # Errors
/// `Moved` when its leaf is another one.
pub fn expect(session: Option<&Session>, leaf: &str) -> Result<(), RunError> {
    match sessions::leaf(session) == leaf {
        true => Ok(()),
        false => Err(RunError::Moved),
    }
}

/// Says something to a run that has not ended; unless the message says otherwise, the run reads it at
/// its next step.
///
/// # Errors
/// `Ended` when it has ended, `Private` in somebody else's conversation, and as [`queue()`].
pub fn say_to_run(tx: &mut WriteTx<'_>, id: RunId, new: NewInput) -> Result<Sent, RunError> {
    let run = tx.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
    if !run.is_live() {
        return Err(RunError::Ended(run.name()));
    }
    own(tx, &run)?;
    let mode = new.mode.or(Some(QueueMode::Steer));
    queue(tx, run.session, NewInput { mode, ..new })
}

/// Refuses words in a conversation that is somebody else's.
pub(super) fn own(tx: &WriteTx<'_>, run: &Run) -> Result<(), RunError> {
    match tx.by().account() {
        Some(account) if !reading::may_speak(tx, run, account)? => Err(RunError::Private),
        _ => Ok(()),
    }
}

/// Notes in somebody else's private conversation who looks at it; whose it is finds it there.
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

/// Takes back a message that the agent has not read. A run that was made for it alone and has not
/// begun ends with it.
///
/// # Errors
/// `Consumed` when it was read, `NotFound` when it is not this person's.
pub fn take_back(tx: &mut WriteTx<'_>, id: InputId, by: AccountId) -> Result<(), RunError> {
    let input = tx.get::<Input>(id)?.filter(|input| input.by.account() == Some(by));
    let mut input = input.ok_or_else(|| RunError::NotFound(format!("of message {id}")))?;
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
        force_end(tx, run.id, Outcome::Stopped { by: Some(by) }, "")?;
    }
    Ok(())
}

pub(super) fn not_begun(tx: &WriteTx<'_>, run: RunId) -> Result<Run, RunError> {
    let run = tx.get::<Run>(run)?.filter(Run::is_live);
    run.filter(|run| run.started_at.is_none()).ok_or(RunError::Consumed)
}

/// Compacts a conversation that this person may speak in.
///
/// # Errors
/// As [`context::ask_compaction`], and `NoSession` when it is somebody else's.
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
