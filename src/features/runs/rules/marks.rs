//! Unread counters of members. A message counts for all other participants of the conversation; viewing it resets the
//! member's counter.

use crate::runs::model::{Body, MARKS_BY_MEMBER, ReadMark, Run, Session};
use crate::runs::queries::{self, marks as reading};
use kernel::key::KeyBuf;
use kernel::{AccountId, Outcome, RunTrigger, SessionId};
use store::{Range, ReadExt, Record, WriteTx};

use super::RunError;

/// Maximum number of marks deleted with a member. No code reads the remaining ones.
const PAGE: usize = 400;

/// Counts a message for all participants except its author.
pub(super) fn mark_spoken(
    tx: &mut WriteTx<'_>,
    session: &Session,
    by: Option<AccountId>,
) -> Result<(), RunError> {
    if !reading::counts(session) {
        return Ok(());
    }
    for mut mark in reading::of_session(tx, session.id)? {
        if Some(mark.member) != by {
            mark.unread = mark.unread.saturating_add(1);
            tx.put(&mark)?;
        }
    }
    Ok(())
}

/// Counts a response, unless it contains tool calls or no text. The owner of an API run reads it through the client.
pub(super) fn answered(
    tx: &mut WriteTx<'_>,
    session: &Session,
    run: &Run,
    parts: &Body,
) -> Result<(), RunError> {
    if !reading::counts(session) || queries::has_calls(parts) || !queries::has_words(parts) {
        return Ok(());
    }
    let read_by = session.owner.filter(|_| run.trigger == RunTrigger::Api);
    mark_spoken(tx, session, read_by)
}

/// Counts a run that ended badly, because no message reports it.
pub(super) fn ended(
    tx: &mut WriteTx<'_>,
    session: &Session,
    outcome: &Outcome,
) -> Result<(), RunError> {
    match outcome {
        Outcome::Done | Outcome::Snoozed { .. } | Outcome::Stopped { .. } => Ok(()),
        Outcome::Failed { .. }
        | Outcome::NoOutcome
        | Outcome::Limit { .. }
        | Outcome::Interrupted
        | Outcome::CrashLoop => mark_spoken(tx, session, None),
    }
}

/// Counts a message. Its author has read the conversation, unless an API client sent it.
pub(super) fn spoke(
    tx: &mut WriteTx<'_>,
    session: &Session,
    how: RunTrigger,
) -> Result<(), RunError> {
    let by = tx.by().account();
    mark_spoken(tx, session, by)?;
    match by.filter(|_| how == RunTrigger::Chat) {
        Some(account) if reading::must_mark(tx, session, account)? => mark(tx, session, account),
        _ => Ok(()),
    }
}

/// Resets a member's unread counter for a conversation.
///
/// # Errors
/// `NoSession` if the member may not speak in it.
pub fn read(tx: &mut WriteTx<'_>, id: SessionId, by: AccountId) -> Result<(), RunError> {
    let session = tx.get::<Session>(id)?.filter(|session| session.admits(by));
    let session = session.ok_or(RunError::NoSession(id))?;
    match reading::must_mark(tx, &session, by)? {
        true => mark(tx, &session, by),
        false => Ok(()),
    }
}

fn mark(tx: &mut WriteTx<'_>, session: &Session, member: AccountId) -> Result<(), RunError> {
    let (id, agent, at) = (session.id, session.agent, tx.now());
    tx.put(&ReadMark { session: id, member, agent, unread: 0, at })?;
    Ok(())
}

/// Resets all counters of an archived conversation.
pub(super) fn quiet(tx: &mut WriteTx<'_>, session: SessionId) -> Result<(), RunError> {
    for mut mark in reading::of_session(tx, session)? {
        mark.unread = 0;
        tx.put(&mark)?;
    }
    Ok(())
}

/// Moves the participants to the next conversation under the key, if they may speak there.
pub(super) fn carry(tx: &mut WriteTx<'_>, from: &Session, to: &Session) -> Result<(), RunError> {
    let at = tx.now();
    for mark in reading::of_session(tx, from.id)? {
        if to.admits(mark.member) {
            tx.put(&ReadMark { session: to.id, unread: 0, at, ..mark })?;
        }
    }
    quiet(tx, from.id)
}

/// Removes all participants except the owner.
pub(super) fn narrow(tx: &mut WriteTx<'_>, session: &Session) -> Result<(), RunError> {
    for mark in reading::of_session(tx, session.id)? {
        if session.owner != Some(mark.member) {
            tx.delete::<ReadMark>(mark.id())?;
        }
    }
    Ok(())
}

/// Deletes the marks of a former member.
pub fn forget(tx: &mut WriteTx<'_>, member: AccountId) -> Result<(), RunError> {
    let range = Range::prefix(KeyBuf::of(&member)).limit(PAGE);
    let marks: Vec<ReadMark> = tx.scan(MARKS_BY_MEMBER, &range)?;
    for mark in marks {
        tx.delete::<ReadMark>(mark.id())?;
    }
    Ok(())
}
