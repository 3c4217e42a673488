//! Whose conversation is which, and who may look at a run.

use crate::features::agents::model::Agent;
use crate::features::runs::model::{Run, Session};
use crate::features::workspace::queries as workspace;
use crate::kernel::{AccountId, AgentId, Role, RunId, SessionId};
use crate::store::{ReadExt, StoreError};

use super::{session_by_key, sessions, sessions_of_agent};

/// Whether a session's key says that it was made for a single API call: such sessions are not
/// listed.
#[must_use]
pub fn is_throw_away(key: &str) -> bool {
    let id = key.split_once(":explicit:").map_or("", |(_, id)| id);
    id.len() == 36 && uuid::Uuid::try_parse(id).is_ok()
}

/// The key of a person's own conversation with an agent: the owner has the main one, others have
/// one that carries their account. A second owner finds the main one taken.
///
/// # Errors
/// When the disk fails.
pub fn own_key(
    tx: &impl ReadExt,
    agent: &Agent,
    account: AccountId,
    role: Role,
) -> Result<String, StoreError> {
    let main = format!("agent:{}:main", agent.slug);
    let free = match session_by_key(tx, &main)? {
        Some(session) => session.owner == Some(account),
        None => true,
    };
    Ok(match role == Role::Owner && free {
        true => main,
        false => format!("agent:{}:person:{account}", agent.slug),
    })
}

/// Whether this person may look at a session: work is for all, talk for its owner and for those
/// who run the workspace.
#[must_use]
pub fn may_see(session: &Session, account: AccountId, role: Role) -> bool {
    session.owner.is_none_or(|owner| owner == account) || matches!(role, Role::Owner | Role::Admin)
}

/// Whether this person may look at a run.
///
/// # Errors
/// When the disk fails.
pub fn may_see_run(
    tx: &impl ReadExt,
    run: &Run,
    account: AccountId,
    role: Role,
) -> Result<bool, StoreError> {
    if run.item.is_some() || matches!(role, Role::Owner | Role::Admin) {
        return Ok(true);
    }
    let session = tx.get::<Session>(run.session)?;
    Ok(session.is_some_and(|session| may_see(&session, account, role)))
}

/// Of some runs those that a person may look at, in their order.
///
/// # Errors
/// When the disk fails.
pub fn seen(
    tx: &impl ReadExt,
    runs: impl IntoIterator<Item = Run>,
    (account, role): (AccountId, Role),
) -> Result<Vec<Run>, StoreError> {
    let mut kept = Vec::new();
    for run in runs {
        if may_see_run(tx, &run, account, role)? {
            kept.push(run);
        }
    }
    Ok(kept)
}

/// Whether a member may hear what a run writes just now.
///
/// # Errors
/// When the disk fails.
pub fn may_hear(tx: &impl ReadExt, run: RunId, account: AccountId) -> Result<bool, StoreError> {
    let (Some(member), Some(run)) = (workspace::member(tx, account)?, tx.get::<Run>(run)?) else {
        return Ok(false);
    };
    may_see_run(tx, &run, account, member.role)
}

/// Whether what was said and done in another conversation may be told in this one: what belongs to
/// nobody may be told everywhere, what belongs to a person in conversations of that person.
#[must_use]
pub fn may_tell(own: &Session, other: &Session) -> bool {
    other.id == own.id || other.owner.is_none() || other.owner == own.owner
}

/// The same by their ids; nothing of a conversation that is gone is told.
///
/// # Errors
/// When the disk fails.
pub fn may_tell_of(
    tx: &impl ReadExt,
    own: SessionId,
    other: SessionId,
) -> Result<bool, StoreError> {
    let (own, other) = (tx.get::<Session>(own)?, tx.get::<Session>(other)?);
    Ok(own.zip(other).is_some_and(|(own, other)| may_tell(&own, &other)))
}

/// The conversations of an agent that a person may open from the chat: their own, former ones too,
/// and those about tasks. Newest first.
///
/// # Errors
/// When the disk fails.
pub fn listed(
    tx: &impl ReadExt,
    agent: AgentId,
    account: AccountId,
    limit: usize,
) -> Result<Vec<Session>, StoreError> {
    let all = sessions_of_agent(tx, agent, limit * 4)?;
    let mine = |s: &Session| sessions::is_listed(s, account);
    let mut found: Vec<Session> = all.into_iter().filter(mine).take(limit).collect();
    found.sort_by_key(|session| std::cmp::Reverse(session.last_at));
    Ok(found)
}
