//! What people do with whole conversations: name them, put them out of the way, bring them back, begin
//! them anew.

use crate::features::runs::model::Session;
use crate::features::runs::queries::{self, children};
use crate::kernel::text::ellipsis;
use crate::kernel::{AccountId, SessionId, Thinking};
use crate::store::{ReadExt, WriteTx};

use super::{RunError, SessionSpec, dropped, life, open_session, queue};

/// The longest name, in characters.
const MAX_NAME: usize = 120;
const ARCHIVED: &str = "the conversation was archived";

/// A conversation that this person may change: their own, or one about work. Those of sub-agents
/// belong to their runs.
fn usable(tx: &WriteTx<'_>, id: SessionId, by: AccountId) -> Result<Session, RunError> {
    let found = tx.get::<Session>(id)?.filter(|session| {
        session.owner.is_none_or(|owner| owner == by) && !children::is_key(&session.key)
    });
    found.ok_or(RunError::NoSession(id))
}

/// Names a conversation; an empty name lets it be called by its first words again.
///
/// # Errors
/// `NoSession` when it is not this person's.
pub fn rename(
    tx: &mut WriteTx<'_>,
    id: SessionId,
    by: AccountId,
    name: &str,
) -> Result<(), RunError> {
    let mut session = usable(tx, id, by)?;
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    session.name = (!name.is_empty()).then(|| ellipsis(&name, MAX_NAME));
    tx.put(&session)?;
    Ok(())
}

/// Puts a conversation out of the way; what works in a person's own stops. It can still be read; who
/// speaks next begins another.
///
/// # Errors
/// `Busy` while work goes on in it, `NoSession` when it is not this person's.
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
    stop_in(tx, &session, by)
}

/// Stops what works in a conversation that is out of the way. Nothing waits in it any more, so
/// nothing comes after it.
fn stop_in(tx: &mut WriteTx<'_>, session: &Session, by: AccountId) -> Result<(), RunError> {
    match session.active_run {
        Some(run) => life::request_stop(tx, run, Some(by)).map(drop),
        None => Ok(()),
    }
}

/// Goes on with a conversation that was put out of the way. The one that has its place now goes out
/// of the way itself.
///
/// # Errors
/// `Busy` while a run works in that one, `Taken` when it is somebody else's, `NoSession` when the
/// conversation is not this person's.
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

/// Begins a conversation anew under the same key: the old one stays readable, and what waits to be
/// read goes over to the new one, as does what was chosen to last. What works in a person's own
/// stops.
///
/// # Errors
/// `Busy` while work goes on in it, `Former` when it is out of the way already, `NoSession` when it is
/// not this person's.
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
    stop_in(tx, &old, by)?;
    Ok(new)
}

/// For how long a choice counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// As long as the conversation.
    Conversation,
    /// Also for those that come after it.
    On,
}

/// Chooses the model of a conversation; none lets the task, the agent or the workspace decide again.
///
/// # Errors
/// `NoSession` when it is not this person's.
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

/// Chooses how much the model of a conversation thinks; none lets others decide again.
///
/// # Errors
/// `NoSession` when it is not this person's.
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
