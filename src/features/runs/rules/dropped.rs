//! Messages that no run will read: why, and how their authors bring them back.

use crate::agents::model::Agent;
use crate::runs::model::{Input, InputState, Run, Session};
use crate::runs::queries::queue as reading;
use crate::workspace::model::Member;
use kernel::text::ellipsis;
use kernel::{AccountId, InputId, Outcome, QueueMode, SessionId};
use store::{ReadExt, WriteTx};

use super::RunError;
use super::input::{SessionSpec, open_session};
use super::queue::{Sent, place};

const TOLD: &str = "too many messages waited; the agent was told in one line";
const STOPPED: &str = "it was stopped before";
const CRASHED: &str = "HQ broke off three times before that";

/// Closes messages that nobody will answer and says why; who sent them may bring them back. Comments
/// are not talk.
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

/// Closes the messages that a run was made for when it ends badly before it has read them: its next
/// run would only come to the same. One that was stopped for another message keeps them for later.
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

/// What a turn hears of messages that went because there were too many: one line each. A turn that
/// goes on hears only of those that were meant for it.
pub(super) fn tell_overflowed(tx: &mut WriteTx<'_>, run: &Run) -> Result<Option<String>, RunError> {
    let mut gone = reading::overflowed(tx, run.session)?;
    gone.retain(|input| run.calls == 0 || input.mode == QueueMode::Steer);
    if gone.is_empty() {
        return Ok(None);
    }
    let mut lines = vec![format!(
        "[{} earlier messages did not fit into the queue while you worked. In one line each:",
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

/// A message of this person's that was dropped and is kept for them.
fn kept(tx: &WriteTx<'_>, id: InputId, by: AccountId) -> Result<Input, RunError> {
    let input = tx.get::<Input>(id)?.filter(|input| input.by.account() == Some(by));
    let input = input.ok_or_else(|| RunError::NotFound(format!("of message {id}")))?;
    let gone = matches!(input.state, InputState::Dropped(_) | InputState::Overflowed);
    if gone && input.kept { Ok(input) } else { Err(RunError::NotDropped) }
}

/// Brings back a message that was dropped: it is queued anew, in the conversation that has the place
/// of its own now if that is out of the way.
///
/// # Errors
/// `NotDropped` when it was not, `Taken` when somebody else talks there now, and as [`super::queue()`].
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
    place(tx, session, input, &queueing)
}

/// Puts a message that was dropped out of sight.
///
/// # Errors
/// `NotDropped` when it was not.
pub fn dismiss(tx: &mut WriteTx<'_>, id: InputId, by: AccountId) -> Result<(), RunError> {
    let mut input = kept(tx, id, by)?;
    input.kept = false;
    if input.state == InputState::Overflowed {
        input.state = InputState::Cancelled;
    }
    tx.put(&input)?;
    Ok(())
}
