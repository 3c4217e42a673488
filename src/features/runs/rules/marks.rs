//! How far members have read: what is said counts for all others who take part in the conversation, and
//! a look at it sets that back.

use crate::runs::model::{Body, MARKS_BY_MEMBER, ReadMark, Run, Session};
use crate::runs::queries::{self, marks as reading};
use kernel::key::KeyBuf;
use kernel::{AccountId, Outcome, RunTrigger, SessionId};
use store::{Range, ReadExt, Record, WriteTx};

use super::RunError;

/// How many marks of somebody who leaves go with them; what is left is looked at by nobody.
const PAGE: usize = 400;

/// Counts something that was said for all who take part in a conversation but whoever said it.
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

/// Counts an answer, unless it only asks for calls or says nothing. Whose program has asked has it there.
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

/// Counts the end of a run that did not end as it should: nobody has said so yet.
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

/// Somebody has spoken in a conversation: they have read it, others have not. A program that speaks for
/// somebody reads the answer itself.
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

/// Sets back what a member has to read in a conversation.
///
/// # Errors
/// `NoSession` when there is none that they may speak in.
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

/// Nobody has to read a conversation any more that is out of the way.
pub(super) fn quiet(tx: &mut WriteTx<'_>, session: SessionId) -> Result<(), RunError> {
    for mut mark in reading::of_session(tx, session)? {
        mark.unread = 0;
        tx.put(&mark)?;
    }
    Ok(())
}

/// Who took part in a conversation takes part in the one that comes after it, if they may.
pub(super) fn carry(tx: &mut WriteTx<'_>, from: &Session, to: &Session) -> Result<(), RunError> {
    let at = tx.now();
    for mark in reading::of_session(tx, from.id)? {
        if to.admits(mark.member) {
            tx.put(&ReadMark { session: to.id, unread: 0, at, ..mark })?;
        }
    }
    quiet(tx, from.id)
}

/// Only whose it is takes part in a conversation any more.
pub(super) fn narrow(tx: &mut WriteTx<'_>, session: &Session) -> Result<(), RunError> {
    for mark in reading::of_session(tx, session.id)? {
        if session.owner != Some(mark.member) {
            tx.delete::<ReadMark>(mark.id())?;
        }
    }
    Ok(())
}

/// Forgets how far somebody had read who is no member any more.
pub fn forget(tx: &mut WriteTx<'_>, member: AccountId) -> Result<(), RunError> {
    let range = Range::prefix(KeyBuf::of(&member)).limit(PAGE);
    let marks: Vec<ReadMark> = tx.scan(MARKS_BY_MEMBER, &range)?;
    for mark in marks {
        tx.delete::<ReadMark>(mark.id())?;
    }
    Ok(())
}
