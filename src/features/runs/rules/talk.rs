//! Talk: what a person says to an agent in a chat, and taking it back.

use crate::features::runs::model::{Input, InputState, Run, Session};
use crate::features::runs::queries;
use crate::kernel::{AccountId, InputId, Outcome, RunId, RunState, SessionId};
use crate::store::{ReadExt, WriteTx};

use super::{NewInput, Queued, RunError, SessionSpec, force_end, open_session, queue};

/// Opens the session if need be and queues a message in it.
///
/// # Errors
/// As [`queue`].
pub fn say(
    tx: &mut WriteTx<'_>,
    session: SessionSpec,
    new: NewInput,
) -> Result<(InputId, Queued), RunError> {
    let session = open_session(tx, session)?;
    queue(tx, session.id, new)
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
        InputState::Accepted => None,
        InputState::Assigned(run) => Some(not_begun(tx, run)?),
        InputState::Consumed(_) | InputState::Cancelled | InputState::Dropped(_) => {
            return Err(RunError::Consumed);
        }
    };
    input.state = InputState::Cancelled;
    tx.put(&input)?;
    if let Some(run) = waiting_run
        && queries::open_inputs(tx, input.session)?.is_empty()
    {
        force_end(tx, run.id, Outcome::Stopped { by: Some(by) }, "")?;
    }
    Ok(())
}

fn not_begun(tx: &WriteTx<'_>, run: RunId) -> Result<Run, RunError> {
    let run = tx.get::<Run>(run)?.filter(|run| run.state == RunState::Queued);
    run.filter(|run| run.started_at.is_none()).ok_or(RunError::Consumed)
}

/// Begins a person's conversation anew.
///
/// # Errors
/// `Busy` while a run works in it, `NoSession` when it is not this person's.
pub fn begin_anew(tx: &mut WriteTx<'_>, id: SessionId, by: AccountId) -> Result<(), RunError> {
    let session = tx.get::<Session>(id)?;
    if session.is_none_or(|session| session.owner != Some(by)) {
        return Err(RunError::NoSession(id));
    }
    super::reset_session(tx, id).map(drop)
}
