//! Versions of edited messages: where a message was read, and the alternatives beside it.

use std::collections::HashMap;

use crate::runs::model::{
    BRANCH_PARENT, Branch, BranchWhy, EventKind, Input, InputState, Run, Session, SessionEvent,
};
use kernel::{InputId, RunId, SessionId};
use store::{Read, ReadExt, StoreError};

use super::{branches, events, events_of_run, session_by_key};

/// Maximum number of branches of one conversation that are read.
const MOST: usize = 200;
/// Maximum depth of nested branches.
const DEEP: usize = 100;

/// Where a message was read.
pub struct ReadIn {
    /// The current conversation.
    pub session: Session,
    /// Start of the message's turn: the message's own event, or the first event of its run.
    pub event: u32,
    /// The run that read the message.
    pub run: RunId,
}

/// Where a message was read, if the current conversation still contains it.
pub fn read_in(tx: &dyn Read, input: &Input) -> Result<Option<ReadIn>, StoreError> {
    let InputState::Consumed(run) = input.state else { return Ok(None) };
    let Some(run) = tx.get::<Run>(run)? else { return Ok(None) };
    let all = events_of_run(tx, &run, usize::MAX)?;
    let Some(event) = all.iter().find(|event| says(event, input.id)) else { return Ok(None) };
    let Some(own) = tx.get::<Session>(run.session)? else { return Ok(None) };
    let Some(session) = session_by_key(tx, &own.key)? else { return Ok(None) };
    let now = events(tx, session.id, event.n, event.n + 1)?;
    let has = now.iter().any(|event| says(event, input.id));
    let mut before = all.iter().take_while(|one| one.n < event.n);
    let opens = before.all(|one| {
        use EventKind::{Notice, Prompted, RunStarted};
        matches!(one.kind, RunStarted { .. } | Notice { .. } | Prompted { .. })
    });
    let event = all.first().filter(|_| opens).map_or(event.n, |first| first.n);
    Ok(has.then_some(ReadIn { session, event, run: run.id }))
}

fn says(event: &SessionEvent, message: InputId) -> bool {
    matches!(&event.kind, EventKind::Input { input: Some(id), .. } if *id == message)
}

/// The conversation that owns an event of the given conversation or branch.
pub fn owner_of(tx: &dyn Read, session: SessionId, event: u32) -> Result<SessionId, StoreError> {
    let mut at = session;
    // At its first own event, a branch is an alternative in its parent.
    while let Some(branch) = branches::of_session(tx, at)?.filter(|branch| event <= branch.upto) {
        at = branch.parent;
    }
    Ok(at)
}

/// The conversations that continue from one event in different ways, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    pub all: Vec<SessionId>,
    /// Index in `all`.
    pub shown: usize,
}

impl Versions {
    /// The version before the shown one.
    #[must_use]
    pub fn before(&self) -> Option<SessionId> {
        self.all.get(self.shown.checked_sub(1)?).copied()
    }

    #[must_use]
    pub fn after(&self) -> Option<SessionId> {
        self.all.get(self.shown + 1).copied()
    }
}

/// The versions at each event of a conversation where a message was edited, by event number.
pub fn of_session(tx: &dyn Read, session: SessionId) -> Result<HashMap<u32, Versions>, StoreError> {
    let mut found = HashMap::new();
    let line = chain(tx, session)?;
    let (mut at, mut end) = (session, u32::MAX);
    for _ in 0..DEEP {
        let ids = tx.referrers::<Branch, Session>(at, BRANCH_PARENT, MOST)?;
        let mut beside: HashMap<u32, Vec<(u32, SessionId)>> = HashMap::new();
        for id in ids {
            if let Some(branch) = branches::of_session(tx, id)?
                && branch.why == BranchWhy::Edit
                && branch.upto <= end
            {
                // Run numbers give the order in which the versions began.
                let number = tx.get::<Run>(branch.run)?.map_or(u32::MAX, |run| run.number);
                beside.entry(branch.upto).or_default().push((number, id));
            }
        }
        let own = branches::of_session(tx, at)?;
        for (event, mut branches) in beside {
            branches.sort_unstable();
            let mut all = vec![at];
            all.extend(branches.into_iter().map(|(_, session)| session));
            // The nearest ancestor of the shown conversation.
            let shown = line.iter().find_map(|one| all.iter().position(|other| other == one));
            if let Some(shown) = shown {
                found.insert(event, Versions { all, shown });
            }
        }
        match own {
            Some(branch) => (at, end) = (branch.parent, branch.upto),
            None => break,
        }
    }
    Ok(found)
}

/// A conversation and its ancestors, nearest first.
fn chain(tx: &dyn Read, session: SessionId) -> Result<Vec<SessionId>, StoreError> {
    let mut all = vec![session];
    while let Some(branch) = branches::of_session(tx, all[all.len() - 1])?
        && all.len() < DEEP
    {
        all.push(branch.parent);
    }
    Ok(all)
}
