//! Sessions and what is said in them.

use crate::features::agents::model::Agent;
use crate::features::runs::model::{Input, InputState, Run, Session};
use crate::features::runs::queries;
use crate::kernel::text::{MAX_TEXT, cut};
use crate::kernel::{
    AccountId, AgentId, CommentId, Event, InputId, RunId, RunTrigger, SessionId, TaskId,
};
use crate::store::{ReadExt, WriteTx};

use super::RunError;
use super::life::{self, RunSpec};

/// How many messages may wait in one session.
pub const MAX_INPUTS: usize = 20;
/// How many comments may wait for one run; further ones are found on the task.
const MAX_COMMENTS: usize = 100;

/// Which session is meant.
pub struct SessionSpec {
    /// The agent.
    pub agent: AgentId,
    /// Its key.
    pub key: String,
    /// The person it belongs to.
    pub owner: Option<AccountId>,
    /// The task it is about.
    pub task: Option<TaskId>,
}

/// The session with this key; made if need be.
///
/// # Errors
/// When the store refuses.
pub fn open_session(tx: &mut WriteTx<'_>, spec: SessionSpec) -> Result<Session, RunError> {
    if let Some(session) = queries::session_by_key(tx, &spec.key)? {
        return Ok(session);
    }
    let now = tx.now();
    let session = Session {
        id: tx.new_id(),
        agent: spec.agent,
        key: spec.key,
        owner: spec.owner,
        task: spec.task,
        epoch: 0,
        events: 0,
        active_run: None,
        loaded_tools: Vec::new(),
        created_at: now,
        last_at: now,
        archived_at: None,
    };
    tx.put(&session)?;
    Ok(session)
}

/// Begins a conversation anew under the same key: the old one stays readable.
///
/// # Errors
/// `Busy` while a run works in it.
pub fn reset_session(tx: &mut WriteTx<'_>, id: SessionId) -> Result<Session, RunError> {
    let mut old = tx.get::<Session>(id)?.ok_or(RunError::NoSession(id))?;
    if old.active_run.is_some() {
        return Err(RunError::Busy);
    }
    old.archived_at = Some(tx.now());
    tx.put(&old)?;
    let Session { agent, key, owner, task, .. } = old;
    open_session(tx, SessionSpec { agent, key, owner, task })
}

/// Something said.
pub struct NewInput {
    /// The text.
    pub text: String,
    /// How it came.
    pub trigger: RunTrigger,
    /// A model for this message alone.
    pub model: Option<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// A run was made for it.
    Started(RunId),
    /// The run that works reads it at its next step.
    Steered(RunId),
}

impl Queued {
    /// The run.
    #[must_use]
    pub fn run(self) -> RunId {
        match self {
            Self::Started(run) | Self::Steered(run) => run,
        }
    }
}

/// Queues a message in a session and, when nobody works there, makes the run for it.
///
/// # Errors
/// When the text is empty or too long, the agent is archived or too many messages wait.
pub fn queue(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    new: NewInput,
) -> Result<(InputId, Queued), RunError> {
    let text = new.text.trim();
    if text.is_empty() {
        return Err(RunError::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(RunError::TooLong(text.len() / 1024));
    }
    let mut session = tx.get::<Session>(session)?.ok_or(RunError::NoSession(session))?;
    let agent = tx.get::<Agent>(session.agent)?.ok_or(RunError::NoAgent(session.agent))?;
    if agent.archived_at.is_some() {
        return Err(RunError::Archived(agent.name));
    }
    // A new session has nothing that waits.
    if session.active_run.is_some() && queries::open_inputs(tx, session.id)?.len() >= MAX_INPUTS {
        return Err(RunError::QueueFull);
    }
    let mut input = Input {
        id: tx.new_id(),
        session: session.id,
        agent: session.agent,
        text: text.to_owned(),
        by: tx.by(),
        trigger: new.trigger,
        state: InputState::Accepted,
        model: new.model,
        comment: None,
        created_at: tx.now(),
    };
    let queued = match session.active_run {
        Some(run) => Queued::Steered(run),
        None => {
            let run = life::make_run(tx, &mut session, RunSpec::for_input(&input))?;
            input.state = InputState::Assigned(run);
            Queued::Started(run)
        }
    };
    tx.put(&input)?;
    session.last_at = tx.now();
    tx.put(&session)?;
    tx.emit(Event::InputQueued { input: input.id, session: session.id, agent: session.agent });
    Ok((input.id, queued))
}

/// Gives a comment to the run that works on its task; it is read at the next step.
///
/// # Errors
/// When the store refuses.
pub fn steer(
    tx: &mut WriteTx<'_>,
    run: &Run,
    comment: CommentId,
    text: &str,
) -> Result<(), RunError> {
    if queries::open_inputs(tx, run.session)?.len() >= MAX_COMMENTS {
        return Ok(());
    }
    let input = Input {
        id: tx.new_id(),
        session: run.session,
        agent: run.agent,
        text: cut(text, MAX_TEXT).to_owned(),
        by: tx.by(),
        trigger: RunTrigger::Item,
        state: InputState::Accepted,
        model: None,
        comment: Some(comment),
        created_at: tx.now(),
    };
    tx.put(&input)?;
    tx.emit(Event::InputQueued { input: input.id, session: run.session, agent: run.agent });
    Ok(())
}

/// Closes the comments that no run has read: they have become inbox items.
///
/// # Errors
/// When the store refuses.
pub fn drop_comments(tx: &mut WriteTx<'_>, session: SessionId) -> Result<(), RunError> {
    for mut input in queries::open_inputs(tx, session)? {
        if input.comment.is_some() {
            input.state = InputState::Dropped("became an inbox item".to_owned());
            tx.put(&input)?;
        }
    }
    Ok(())
}

/// Closes messages that nobody will answer and says why. Comments are not talk.
pub(super) fn drop_talk(
    tx: &mut WriteTx<'_>,
    session: &Session,
    which: impl Fn(&Input) -> bool,
    why: &str,
) -> Result<(), RunError> {
    for mut input in queries::open_inputs(tx, session.id)? {
        if input.comment.is_none() && which(&input) {
            input.state = InputState::Dropped(why.to_owned());
            tx.put(&input)?;
        }
    }
    Ok(())
}

/// Takes back the messages that a run was made for and has not read.
pub(super) fn cancel_assigned(tx: &mut WriteTx<'_>, run: &Run) -> Result<(), RunError> {
    for mut input in queries::open_inputs(tx, run.session)? {
        if input.state == InputState::Assigned(run.id) {
            input.state = InputState::Cancelled;
            tx.put(&input)?;
        }
    }
    Ok(())
}

/// Makes the next run for messages that the last one did not read. Comments are not talk: the
/// inbox takes them.
pub(super) fn hand_over(tx: &mut WriteTx<'_>, session: &mut Session) -> Result<(), RunError> {
    let mut left = queries::open_inputs(tx, session.id)?;
    left.retain(|input| input.comment.is_none());
    let Some(first) = left.first() else { return Ok(()) };
    let archived = tx.get::<Agent>(session.agent)?.is_none_or(|a| a.archived_at.is_some());
    if archived {
        return drop_talk(tx, session, |_| true, "the agent was archived");
    }
    let run = life::make_run(tx, session, RunSpec::for_input(first))?;
    for mut input in left {
        input.state = InputState::Assigned(run);
        tx.put(&input)?;
    }
    Ok(())
}

/// Cancels messages that no run has yet.
///
/// # Errors
/// When the store refuses.
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
