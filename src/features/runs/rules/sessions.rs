//! Operations on whole conversations: begin, share, rename, archive, restore, reset, and the choice of model and
//! thinking level.

use crate::agents::model::Agent;
use crate::runs::model::{CHILDREN_BY_SESSION, Child, Run, Session};
use crate::runs::queries::{self, branches, children, talk};
use kernel::key::KeyBuf;
use kernel::text::ellipsis;
use kernel::{AccountId, AgentId, SessionId, Thinking};
use store::{Range, ReadExt, WriteTx};

use super::{RunError, SessionSpec, dropped, life, marks, open_session, queue};

/// Maximum length of a name in characters.
const MAX_NAME: usize = 120;
const ARCHIVED: &str = "the conversation was archived";

/// A conversation that the person may change: their own or one about work. Sub-agents' conversations belong to their
/// runs.
fn usable(tx: &WriteTx<'_>, id: SessionId, by: AccountId) -> Result<Session, RunError> {
    let found = tx.get::<Session>(id)?.filter(|session| !children::is_key(&session.key));
    match found {
        Some(session) if session.owner.is_none_or(|owner| owner == by) => Ok(session),
        Some(session) if session.shared => Err(RunError::NotYours),
        _ => Err(RunError::NoSession(id)),
    }
}

/// Begins a further conversation of the person with an agent. Without a name, an existing unnamed and empty one is
/// returned.
///
/// # Errors
/// `NoAgent` and `Archived`.
pub fn begin(
    tx: &mut WriteTx<'_>,
    (agent, by): (AgentId, AccountId),
    name: &str,
) -> Result<Session, RunError> {
    let agent = tx.get::<Agent>(agent)?.ok_or(RunError::NoAgent(agent))?;
    if agent.archived_at.is_some() {
        return Err(RunError::Archived(agent.name));
    }
    let name = clean(name);
    let unused = |session: &Session| {
        let empty = session.events == 0 && session.leaf.is_none() && session.name.is_none();
        let theirs = session.owner == Some(by) && session.is_private();
        empty && theirs && session.archived_at.is_none() && talk::is_further(&session.key)
    };
    if name.is_none()
        && let Some(unused) = talk::newest(tx, agent.id, unused)?.0.into_iter().next()
    {
        return Ok(unused);
    }
    let key = talk::further_key(&agent, tx.new_id());
    let spec = SessionSpec { agent: agent.id, key, owner: Some(by), task: None };
    let mut session = open_session(tx, spec)?;
    session.name = name;
    tx.put(&session)?;
    Ok(session)
}

/// Shares the person's conversation with the whole workspace, or makes it private again. Its sub-agents'
/// conversations follow. The conversations that it branched from become private with it.
///
/// # Errors
/// `NotYours` and `NoSession` if it is not the person's chat.
pub fn share(
    tx: &mut WriteTx<'_>,
    id: SessionId,
    by: AccountId,
    shared: bool,
) -> Result<(), RunError> {
    let session = usable(tx, id, by)?;
    if session.owner.is_none() || !talk::is_talk(&session.key) {
        return Err(RunError::NoSession(id));
    }
    let mut left = vec![id];
    if !shared {
        let mut at = id;
        while let Some(branch) = branches::of_session(tx, at)?
            && !left.contains(&branch.parent)
        {
            at = branch.parent;
            left.push(at);
        }
    }
    while let Some(at) = left.pop() {
        let Some(mut session) = tx.get::<Session>(at)? else { continue };
        let parts = tx.scan::<Child>(CHILDREN_BY_SESSION, &Range::prefix(KeyBuf::of(&at)))?;
        for part in parts {
            left.extend(tx.get::<Run>(part.run)?.map(|run| run.session));
        }
        session.shared = shared;
        tx.put(&session)?;
        if !shared {
            marks::narrow(tx, &session)?;
        }
    }
    Ok(())
}

/// The stored form of a name; `None` if it is blank.
fn clean(name: &str) -> Option<String> {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then(|| ellipsis(&name, MAX_NAME))
}

/// Renames a conversation. An empty name restores the default, its first words.
///
/// # Errors
/// `NoSession` if it is not the person's.
pub fn rename(
    tx: &mut WriteTx<'_>,
    id: SessionId,
    by: AccountId,
    name: &str,
) -> Result<(), RunError> {
    let mut session = usable(tx, id, by)?;
    session.name = clean(name);
    tx.put(&session)?;
    Ok(())
}

/// Archives a conversation and stops the run in a person's own one. It stays readable. The next message begins a new
/// conversation.
///
/// # Errors
/// `Busy` while work runs in it, `NoSession` if it is not the person's.
pub fn archive(tx: &mut WriteTx<'_>, id: SessionId, by: AccountId) -> Result<(), RunError> {
    let session = usable(tx, id, by)?;
    match session.archived_at {
        Some(_) => Ok(()),
        None if session.owner.is_none() && session.active_run.is_some() => Err(RunError::Busy),
        None => put_away(tx, session, by),
    }
}

fn put_away(tx: &mut WriteTx<'_>, mut session: Session, by: AccountId) -> Result<(), RunError> {
    dropped::drop_talk(tx, session.id, |_| true, ARCHIVED)?;
    session.archived_at = Some(tx.now());
    tx.put(&session)?;
    marks::quiet(tx, session.id)?;
    stop_in(tx, &session, by)
}

/// Stops the run in an archived conversation. No messages wait there, so no run follows.
fn stop_in(tx: &mut WriteTx<'_>, session: &Session, by: AccountId) -> Result<(), RunError> {
    match session.active_run {
        Some(run) => life::request_stop(tx, run, Some(by)).map(drop),
        None => Ok(()),
    }
}

/// Restores an archived conversation. The current conversation under its key is archived.
///
/// # Errors
/// `Busy` while a run works in the current one, `Taken` if the current one belongs to another person, `NoSession` if
/// the conversation is not the person's.
pub fn restore(tx: &mut WriteTx<'_>, id: SessionId, by: AccountId) -> Result<(), RunError> {
    let mut session = usable(tx, id, by)?;
    if session.archived_at.is_none() {
        return Ok(());
    }
    if let Some(now) = queries::session_by_key(tx, &session.key)? {
        if now.owner != session.owner {
            return Err(RunError::Taken);
        }
        if now.active_run.is_some() {
            return Err(RunError::Busy);
        }
        put_away(tx, now, by)?;
    }
    session.archived_at = None;
    session.last_at = tx.now();
    tx.put(&session)?;
    Ok(())
}

/// Begins a new conversation under the same key. The old one stays readable. Unread messages and lasting choices move
/// to the new one. The run in a person's own conversation stops.
///
/// # Errors
/// `Busy` while work runs in it, `Former` if it is archived already, `NoSession` if it is not the person's.
pub fn reset(tx: &mut WriteTx<'_>, id: SessionId, by: AccountId) -> Result<Session, RunError> {
    let mut old = usable(tx, id, by)?;
    if old.owner.is_none() && old.active_run.is_some() {
        return Err(RunError::Busy);
    }
    if old.archived_at.is_some() {
        return Err(RunError::Former);
    }
    old.archived_at = Some(tx.now());
    tx.put(&old)?;
    let Session { agent, key, owner, task, .. } = old.clone();
    let mut new = open_session(tx, SessionSpec { agent, key, owner, task })?;
    if old.lasting {
        (new.model, new.thinking, new.lasting) = (old.model.clone(), old.thinking, true);
    }
    queue::carry(tx, &old, &mut new)?;
    tx.put(&new)?;
    marks::carry(tx, &old, &new)?;
    stop_in(tx, &old, by)?;
    Ok(new)
}

/// Lifetime of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    Conversation,
    /// Also for the conversations that follow under the same key.
    On,
}

/// Chooses the model of a conversation; `None` returns the choice to task, agent or workspace.
///
/// # Errors
/// `NoSession` if it is not the person's.
pub fn choose_model(
    tx: &mut WriteTx<'_>,
    id: SessionId,
    by: AccountId,
    model: Option<String>,
    lasts: Lasts,
) -> Result<(), RunError> {
    let mut session = usable(tx, id, by)?;
    session.model = model;
    session.lasting |= lasts == Lasts::On;
    tx.put(&session)?;
    Ok(())
}

/// Chooses the thinking level of a conversation; `None` returns the choice to the other levels.
///
/// # Errors
/// `NoSession` if it is not the person's.
pub fn choose_thinking(
    tx: &mut WriteTx<'_>,
    id: SessionId,
    by: AccountId,
    level: Option<Thinking>,
    lasts: Lasts,
) -> Result<(), RunError> {
    let mut session = usable(tx, id, by)?;
    session.thinking = level;
    session.lasting |= lasts == Lasts::On;
    tx.put(&session)?;
    Ok(())
}
