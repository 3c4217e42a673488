//! Retention of sessions. Sessions of single API calls are deleted a day after their last use; sub-agents' sessions
//! after the configured time or above a number per agent; the steps of finished work after the configured time.
//! People's conversations are kept.

use std::collections::HashMap;

use jiff::SignedDuration;

use crate::runs::model::{Habits, Session, SessionEvent};
use crate::runs::queries::{self, children, preferences, talk};
use crate::tasks::model::Task;
use kernel::key::KeyBuf;
use kernel::{AgentId, SessionId, Timestamp};
use store::{Range, Read, ReadExt, Record, StoreError, WriteTx};

use super::RunError;

/// Retention of single API calls' sessions after their last use.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Maximum number of sub-agents' sessions per agent; beyond it the oldest are deleted early.
pub const MOST: usize = 500;

/// Reason for deleting a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Age,
    /// The agent has too many.
    Number,
}

/// Collects sub-agents' sessions by agent.
#[derive(Debug, Default)]
pub struct Count(HashMap<AgentId, Vec<(Timestamp, SessionId)>>);

impl Count {
    /// Adds a session if it belongs to a sub-agent.
    pub fn take(&mut self, session: &Session) {
        if children::is_key(&session.key) {
            self.0.entry(session.agent).or_default().push((session.last_at, session.id));
        }
    }

    /// The sessions above the limit, oldest first for each agent.
    #[must_use]
    pub fn too_many(self) -> Vec<SessionId> {
        let mut over = Vec::new();
        for mut all in self.0.into_values().filter(|all| MOST < all.len()) {
            all.sort_unstable();
            let count = all.len() - MOST;
            over.extend(all.into_iter().take(count).map(|(_, id)| id));
        }
        over
    }
}

/// Extent of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// The session with its runs.
    All,
    /// Only the events; runs and their results stay.
    Steps,
}

/// What retention deletes of a session now; `None` while anybody may need it.
pub fn goes(
    tx: &dyn Read,
    session: &Session,
    keep: &Habits,
    now: Timestamp,
) -> Result<Option<Goes>, StoreError> {
    if session.active_run.is_some() {
        return Ok(None);
    }
    let rested = now.duration_since(session.last_at);
    if talk::is_throw_away(&session.key) {
        return Ok((KEPT <= rested).then_some(Goes::All));
    }
    if children::is_key(&session.key) {
        return Ok((keep.parts <= rested).then_some(Goes::All));
    }
    if session.owner.is_some() || rested < keep.steps {
        return Ok(None);
    }
    let open = match session.task {
        Some(task) => {
            let task = tx.get::<Task>(task)?;
            task.is_some_and(|task| task.status.is_open() && task.archived_at.is_none())
        }
        None => false,
    };
    let has_steps = !events(tx, session.id, 1)?.is_empty();
    Ok((has_steps && !open).then_some(Goes::Steps))
}

fn events(
    tx: &dyn Read,
    session: SessionId,
    limit: usize,
) -> Result<Vec<SessionEvent>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&session)).limit(limit))
}

/// Deletes part of a session, at most `piece` events per call. Booked costs stay. Returns `true` when the deletion is
/// complete.
///
/// # Errors
/// Outside a retention transaction, because events cannot be deleted there.
pub fn forget(
    tx: &mut WriteTx<'_>,
    id: SessionId,
    why: Why,
    piece: usize,
) -> Result<bool, RunError> {
    let Some(session) = tx.get::<Session>(id)? else { return Ok(true) };
    if queries::branches::is_shared(tx, id)? || !queries::open_inputs(tx, id)?.is_empty() {
        return Ok(true);
    }
    let goes = match why {
        Why::Age => {
            let keep = preferences::of_workspace(tx)?;
            goes(tx, &session, &keep, tx.now())?
        }
        // A recent session is kept: its parent may still ask for the result.
        Why::Number => {
            let rests = KEPT <= tx.now().duration_since(session.last_at);
            let may_go = session.active_run.is_none() && children::is_key(&session.key);
            (rests && may_go).then_some(Goes::All)
        }
    };
    let Some(goes) = goes else { return Ok(true) };
    let events = events(tx, id, piece)?;
    for event in &events {
        tx.delete::<SessionEvent>(event.id())?;
    }
    if events.len() == piece {
        return Ok(false);
    }
    if goes == Goes::All {
        tx.delete::<Session>(id)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::{Count, MOST};
    use crate::runs::model::Session;
    use kernel::{AgentId, SessionId, TypedId as _};
    use store::Record as _;

    #[test]
    fn of_too_many_sub_agents_the_oldest_go_and_nobody_else() {
        let session = |agent: u8, n: usize, kind: &str| {
            let mut id = [agent; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            let seconds = i64::try_from(MOST * 2 - n).unwrap();
            let sample = Session::sample();
            Session {
                id: SessionId::from_bytes(id),
                agent: AgentId::from_bytes([agent; 16]),
                key: format!("agent:a{agent}:{kind}:{n}"),
                last_at: sample.last_at + SignedDuration::from_secs(seconds),
                ..sample
            }
        };
        let mut count = Count::default();
        for n in 0..MOST + 2 {
            count.take(&session(1, n, "subagent"));
            count.take(&session(2, n, "dashboard"));
        }
        (0..MOST).for_each(|n| count.take(&session(3, n, "subagent")));
        // Here a higher number means an older session.
        let oldest = [MOST + 1, MOST].map(|n| session(1, n, "subagent").id);
        assert_eq!(count.too_many(), oldest);
    }
}
