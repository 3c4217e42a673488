//! Dropped messages: why no run reads them, and how their authors restore them.

use crate::agents::model::Agent;
use crate::runs::model::{Input, InputState, Run, Session};
use crate::runs::queries::{grants, queue as reading};
use crate::workspace::model::Member;
use kernel::text::ellipsis;
use kernel::{AccountId, InputId, Outcome, QueueMode, SessionId};
use store::{ReadExt, WriteTx};

use super::RunError;
use super::input::{SessionSpec, open_session};
use super::queue::{Sent, place};

const TOLD: &str = "too many messages were queued; the agent got a one-line note";
const STOPPED: &str = "it was stopped first";
const CRASHED: &str = "HQ stopped three times first";

/// Drops open messages with a reason. Their authors may restore them. Comments are excluded.
pub(super) fn drop_talk(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    which: impl Fn(&Input) -> bool,
    why: &str,
) -> Result<(), RunError> {
    for mut input in reading::open_inputs(tx, session)? {
        if input.comment.is_none() && which(&input) {
            input.kept = input.is_talk();
            input.state = InputState::Dropped(why.to_owned());
            tx.put(&input)?;
        }
    }
    Ok(())
}

/// Drops the unread messages of a run that ended badly, because the next run would fail the same way. A run that was
/// stopped for another message keeps them.
pub(super) fn close_unread(tx: &mut WriteTx<'_>, run: &Run) -> Result<(), RunError> {
    let why = match &run.outcome {
        Some(Outcome::Stopped { .. }) => STOPPED,
        Some(Outcome::CrashLoop) => CRASHED,
        Some(Outcome::Failed { reason, .. }) => reason,
        _ => return Ok(()),
    };
    let stops =
        |input: &Input| input.state == InputState::Accepted && input.mode == QueueMode::Interrupt;
    if reading::open_inputs(tx, run.session)?.iter().any(stops) {
        return Ok(());
    }
    drop_talk(tx, run.session, |input| input.state == InputState::Assigned(run.id), why)
}

/// Cancels messages that no run has yet.
pub fn withdraw(tx: &mut WriteTx<'_>, inputs: &[InputId]) -> Result<(), RunError> {
    for id in inputs {
        if let Some(mut input) = tx.get::<Input>(*id)?
            && input.state == InputState::Accepted
        {
            input.state = InputState::Cancelled;
            tx.put(&input)?;
        }
    }
    Ok(())
}

/// Notice about messages that were dropped because of the cap, one line each. A continuing turn reports only those
/// that steer.
pub(super) fn tell_overflowed(tx: &mut WriteTx<'_>, run: &Run) -> Result<Option<String>, RunError> {
    let mut gone = reading::overflowed(tx, run.session)?;
    gone.retain(|input| run.calls == 0 || input.mode == QueueMode::Steer);
    let (of_run, all) = (grants::of_run(tx, run.id)?, std::mem::take(&mut gone));
    for input in all {
        if grants::of_input(tx, input.id)? == of_run {
            gone.push(input);
        }
    }
    if gone.is_empty() {
        return Ok(None);
    }
    let mut lines = vec![format!(
        "[{} earlier messages didn't fit in the queue while you worked. One line each:",
        gone.len()
    )];
    for mut input in gone {
        let who = match input.by.account() {
            Some(account) => tx.get::<Member>(account)?.map(|member| member.name),
            None => None,
        };
        let words = input.text.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.push(format!("- {}: {}", who.unwrap_or_default(), ellipsis(&words, 120)));
        input.state = InputState::Dropped(TOLD.to_owned());
        tx.put(&input)?;
    }
    lines.push("Ask if one of them matters.]".to_owned());
    Ok(Some(lines.join("\n")))
}

/// A restorable dropped message of this person.
fn kept(tx: &WriteTx<'_>, id: InputId, by: AccountId) -> Result<Input, RunError> {
    let input = tx.get::<Input>(id)?.filter(|input| input.by.account() == Some(by));
    let input = input.ok_or_else(|| RunError::NotFound(format!("of message {id}")))?;
    let gone = matches!(input.state, InputState::Dropped(_) | InputState::Overflowed);
    if gone && input.kept { Ok(input) } else { Err(RunError::NotDropped) }
}

/// Restores a dropped message: queues it again, in the current conversation under the key if its own is archived.
///
/// # Errors
/// `NotDropped` if it was not dropped, `Taken` if another person has the current conversation, and as
/// [`super::queue()`].
pub fn bring_back(tx: &mut WriteTx<'_>, id: InputId, by: AccountId) -> Result<Sent, RunError> {
    let mut input = kept(tx, id, by)?;
    let old = tx.get::<Session>(input.session)?.ok_or(RunError::NoSession(input.session))?;
    let session = match old.archived_at {
        None => old,
        Some(_) => {
            let Session { agent, key, owner, task, .. } = old;
            let now = open_session(tx, SessionSpec { agent, key, owner, task })?;
            if now.owner != owner {
                return Err(RunError::Taken);
            }
            now
        }
    };
    let agent = tx.get::<Agent>(session.agent)?.ok_or(RunError::NoAgent(session.agent))?;
    if agent.archived_at.is_some() {
        return Err(RunError::Archived(agent.name));
    }
    (input.session, input.state, input.kept) = (session.id, InputState::Accepted, false);
    if input.mode == QueueMode::Interrupt {
        input.mode = QueueMode::Followup;
    }
    let queueing = reading::of_session(tx, &session)?;
    let grant = grants::of_input(tx, id)?;
    place(tx, session, (input, grant), &queueing)
}

/// Hides a dropped message.
///
/// # Errors
/// `NotDropped` if it was not dropped.
pub fn dismiss(tx: &mut WriteTx<'_>, id: InputId, by: AccountId) -> Result<(), RunError> {
    let mut input = kept(tx, id, by)?;
    input.kept = false;
    if input.state == InputState::Overflowed {
        input.state = InputState::Cancelled;
    }
    tx.put(&input)?;
    Ok(())
}
