//! Keeps the messages and runs of different senders apart. A message from a messenger waits for its own turn if the
//! active run has other rights.

use crate::runs::model::{
    Grant, Input, InputState, Run, Sender, SenderGrant, Session, SessionEvent,
};
use crate::runs::queries::{self, grants, queue as reading};
use kernel::{QueueMode, RunId, SessionId};
use store::{ReadExt, StoreError, WriteTx};

/// Number of last events searched for their run.
const LAST: usize = 200;

/// Cuts a run to the rights of this sender.
pub(super) fn cut(
    tx: &mut WriteTx<'_>,
    run: RunId,
    grant: Option<Grant>,
) -> Result<(), StoreError> {
    match grant {
        Some(grant) => tx.put(&SenderGrant { run, grant }),
        None => Ok(()),
    }
}

/// Cuts a run to the rights of the run that it continues or helps.
pub(super) fn inherit(tx: &mut WriteTx<'_>, from: RunId, to: RunId) -> Result<(), StoreError> {
    let grant = grants::of_run(tx, from)?;
    cut(tx, to, grant)
}

/// Cuts a run that nobody asked for, such as one for a notice, to the rights of the conversation's last run.
pub(super) fn go_on(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    run: RunId,
) -> Result<(), StoreError> {
    let last = queries::last_events(tx, session, LAST)?;
    match last.iter().rev().find_map(|event: &SessionEvent| event.run) {
        Some(last) => inherit(tx, last, run),
        None => Ok(()),
    }
}

/// Cuts a run to the rights of the sender of its first input.
pub(super) fn for_input(tx: &mut WriteTx<'_>, run: RunId, input: &Input) -> Result<(), StoreError> {
    match grants::of_input(tx, input.id)? {
        None if !input.is_talk() => go_on(tx, input.session, run),
        grant => cut(tx, run, grant),
    }
}

/// Whether a message of this sender may reach the active run: it has the same rights, or the same person wrote on a
/// page. A run with all rights of its agent hears its person only while they may write.
pub(super) fn may_reach(
    tx: &WriteTx<'_>,
    run: &Run,
    session: &Session,
    (input, grant): (&Input, Option<Grant>),
) -> Result<bool, StoreError> {
    match (grants::of_run(tx, run.id)?, grant) {
        (of_run, own) if of_run == own => Ok(true),
        (Some(of_run), None) => {
            Ok(of_run.direct().is_some() && of_run.direct() == input.by.account())
        }
        (None, Some(own)) => {
            let is_theirs = own.direct().is_some() && own.direct() == session.owner;
            let member = grants::member(tx, own.sender)?;
            let writes = member.is_some_and(|member| grants::may_write(member.role));
            Ok(is_theirs && writes && !session.shared && run.item.is_none())
        }
        _ => Ok(false),
    }
}

/// Whether a message has to wait for its own turn.
pub(super) fn waits(
    tx: &WriteTx<'_>,
    run: &Run,
    session: &Session,
    (input, grant): (&Input, Option<Grant>),
) -> Result<bool, StoreError> {
    let is_guest = grant.is_some_and(|grant| grant.sender == Sender::Guest);
    Ok(is_guest && input.mode == QueueMode::Interrupt
        || !may_reach(tx, run, session, (input, grant))?
        || has_earlier(tx, session, grant)?)
}

/// Whether an earlier message of the sender waits for its own turn. A later one must not be read before it.
fn has_earlier(
    tx: &WriteTx<'_>,
    session: &Session,
    grant: Option<Grant>,
) -> Result<bool, StoreError> {
    if grant.is_none() {
        return Ok(false);
    }
    for input in reading::open_inputs(tx, session.id)? {
        let waits = input.state == InputState::Accepted && input.mode == QueueMode::Followup;
        if waits && grants::of_input(tx, input.id)? == grant {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes the unread messages that steered the last run wait if the new run has other rights.
pub(super) fn hold_back(
    tx: &mut WriteTx<'_>,
    session: &Session,
    run: RunId,
) -> Result<(), StoreError> {
    let Some(run) = tx.get::<Run>(run)? else { return Ok(()) };
    for mut input in reading::open_inputs(tx, session.id)? {
        let steers = input.state == InputState::Accepted && input.mode == QueueMode::Steer;
        if !steers || !grants::is_message(tx, &input)? {
            continue;
        }
        let grant = grants::of_input(tx, input.id)?;
        if !may_reach(tx, &run, session, (&input, grant))? {
            input.mode = QueueMode::Followup;
            tx.put(&input)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
