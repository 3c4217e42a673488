//! Opening sessions and queueing comments and notices.

use crate::agents::model::Agent;
use crate::runs::model::{Input, InputState, Run, Session};
use crate::runs::queries;
use kernel::text::{MAX_TEXT, cut};
use kernel::{
    AccountId, Actor, AgentId, CommentId, Event, InputId, Part, RunTrigger, SessionId, TaskId,
};
use store::{ReadExt, WriteTx};

use super::RunError;
use super::grant;
use super::life::{self, RunSpec};

/// Maximum number of comments that wait for one run; further ones are only on the task.
const MAX_COMMENTS: usize = 100;

/// Identifies a session and its properties at creation.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    pub agent: AgentId,
    pub key: String,
    pub owner: Option<AccountId>,
    pub task: Option<TaskId>,
}

/// The session with this key; created if missing.
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
        name: None,
        leaf: None,
        model: None,
        thinking: None,
        lasting: false,
        shared: false,
    };
    tx.put(&session)?;
    Ok(session)
}

/// Queues a comment for the run that works on its task; the run reads it at its next step.
pub fn steer(
    tx: &mut WriteTx<'_>,
    run: &Run,
    comment: CommentId,
    text: &str,
) -> Result<(), RunError> {
    if queries::open_inputs(tx, run.session)?.len() >= MAX_COMMENTS {
        return Ok(());
    }
    let text = cut(text, MAX_TEXT).to_owned();
    let input = Input {
        trigger: RunTrigger::Item,
        comment: Some(comment),
        ..Input::words(tx.new_id(), (run.session, run.agent), (tx.by(), text), tx.now())
    };
    tx.put(&input)?;
    tx.emit(Event::InputQueued { input: input.id, session: run.session, agent: run.agent });
    Ok(())
}

/// Whether a notice starts a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A person's idle conversation gets a run.
    Now,
    /// The notice waits for the next message.
    Later,
}

/// Sends a notice to a session. A working run reads it at its next step; waiting work reads it when it resumes.
pub fn tell(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    text: &str,
    wake: Wake,
) -> Result<(), RunError> {
    let Some(mut session) = tx.get::<Session>(session)? else { return Ok(()) };
    let archived = tx.get::<Agent>(session.agent)?.is_none_or(|a| a.archived_at.is_some());
    let full = queries::open_inputs(tx, session.id)?.len() >= MAX_COMMENTS;
    if archived || full || session.archived_at.is_some() {
        return Ok(());
    }
    let (to, text) = ((session.id, session.agent), cut(text, MAX_TEXT).to_owned());
    let content = (Actor::System(Part::Engine), text);
    let mut input = Input::words(tx.new_id(), to, content, tx.now());
    if session.active_run.is_none() && session.owner.is_some() && wake == Wake::Now {
        let run = life::make_run(tx, &mut session, RunSpec::for_input(&input))?;
        grant::go_on(tx, session.id, run)?;
        input.state = InputState::Assigned(run);
        tx.put(&session)?;
    }
    tx.put(&input)?;
    tx.emit(Event::InputQueued { input: input.id, session: session.id, agent: session.agent });
    Ok(())
}

/// Drops unread comments: they became inbox items.
pub fn drop_comments(tx: &mut WriteTx<'_>, session: SessionId) -> Result<(), RunError> {
    for mut input in queries::open_inputs(tx, session)? {
        if input.comment.is_some() {
            input.state = InputState::Dropped("turned into an inbox item".to_owned());
            tx.put(&input)?;
        }
    }
    Ok(())
}

/// Replaces the text of a message that no run has read.
///
/// # Errors
/// `NotFound`, `Consumed` if a run has read it, and `Empty`.
pub fn reword(tx: &mut WriteTx<'_>, id: InputId, text: &str) -> Result<(), RunError> {
    let input = tx.get::<Input>(id)?;
    let input = input.ok_or_else(|| RunError::NotFound(format!("of message {id}")))?;
    match input.state {
        InputState::Accepted | InputState::Overflowed => {}
        InputState::Assigned(run) => drop(super::talk::not_begun(tx, run)?),
        InputState::Consumed(_) | InputState::Cancelled | InputState::Dropped(_) => {
            return Err(RunError::Consumed);
        }
    }
    if text.trim().is_empty() {
        return Err(RunError::Empty);
    }
    tx.put(&Input { text: cut(text.trim(), MAX_TEXT).to_owned(), ..input })?;
    Ok(())
}
