//! Model and thinking level of a conversation, in order of priority: message, conversation, task, agent, workspace.

use crate::agents::model::Agent;
use crate::connections::queries::{self as connections, Choice, ModelRequest};
use crate::runs::model::{EventKind, Input, ModelSource, Run, Session};
use crate::tasks::model::Task;
use kernel::{Fast, Thinking};
use store::{Read, ReadExt, StoreError};

use super::{preferences, queue};

/// Number of a run's latest events searched for a message with options.
const LOOKED_AT: u32 = 400;

/// Model options of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageOptions<'a> {
    pub model: Option<&'a str>,
    pub thinking: Option<Thinking>,
}

/// Effective model and thinking level of a conversation, which may not exist yet.
pub fn in_session(
    tx: &dyn Read,
    session: Option<&Session>,
    agent: &Agent,
    task: Option<&Task>,
    wish: MessageOptions<'_>,
) -> Result<Choice, StoreError> {
    let own = session.and_then(|session| session.model.as_deref()).filter(|_| wish.model.is_none());
    let mut choice =
        connections::resolve(tx, ModelRequest { message: wish.model.or(own), task, agent })?;
    if own.is_some() {
        choice.source = ModelSource::Session;
    }
    if let Some(level) = wish.thinking {
        (choice.thinking, choice.thinking_source) = (level, ModelSource::Message);
    } else if let Some(level) = session.and_then(|session| session.thinking) {
        (choice.thinking, choice.thinking_source) = (level, ModelSource::Session);
    }
    Ok(choice)
}

/// Thinking level requested by the run's messages: unread ones first, then read ones, latest first.
pub fn thinking_asked(tx: &dyn Read, run: &Run) -> Result<Option<Thinking>, StoreError> {
    latest_choice(tx, run, |input| input.thinking)
}

/// Response speed of a run: requested by its messages, else chosen for conversation, agent or workspace; `None` if
/// not chosen.
pub fn fast(tx: &dyn Read, run: &Run) -> Result<Option<Fast>, StoreError> {
    if let Some(fast) = latest_choice(tx, run, |input| input.fast)? {
        return Ok(Some(fast));
    }
    match tx.get::<Session>(run.session)? {
        Some(session) => Ok(preferences::of_session(tx, &session)?.fast),
        None => Ok(None),
    }
}

/// The latest value of an option in the run's messages.
fn latest_choice<T>(
    tx: &dyn Read,
    run: &Run,
    of: impl Fn(&Input) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let heard = queue::heard(tx, run.session, run.id)?;
    if let Some(found) = heard.iter().rev().find_map(&of) {
        return Ok(Some(found));
    }
    let Some(session) = tx.get::<Session>(run.session)? else { return Ok(None) };
    let from = run.first_event.max(session.events.saturating_sub(LOOKED_AT));
    if run.started_at.is_none() || session.events <= from {
        return Ok(None);
    }
    for event in super::events(tx, run.session, from, session.events)?.into_iter().rev() {
        let EventKind::Input { input: Some(id), .. } = event.kind else { continue };
        if let Some(found) = tx.get::<Input>(id)?.as_ref().and_then(&of)
            && event.run == Some(run.id)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
