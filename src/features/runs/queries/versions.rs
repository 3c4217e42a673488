//! Messages that were said once more: where one was read, and what stands beside it.

use std::collections::HashMap;

use crate::runs::model::{
    BRANCH_PARENT, Branch, BranchWhy, EventKind, Input, InputState, Run, Session, SessionEvent,
};
use kernel::{InputId, RunId, SessionId};
use store::{Read, ReadExt, StoreError};

use super::{branches, events, events_of_run, session_by_key};

/// How many branches of one conversation are looked at.
const MOST: usize = 200;
/// How many conversations are looked at on the way to the first of them.
const DEEP: usize = 100;

/// Where a message was read.
pub struct ReadIn {
    /// The conversation that goes on now.
    pub session: Session,
    /// Where its part begins there: its own event, or that with which its run began.
    pub event: u32,
    /// The run that read it.
    pub run: RunId,
}

/// Where a message was read, if its conversation goes on and has it.
pub fn read_in(tx: &dyn Read, input: &Input) -> Result<Option<ReadIn>, StoreError> {
    let InputState::Consumed(run) = input.state else { return Ok(None) };
    let Some(run) = tx.get::<Run>(run)? else { return Ok(None) };
    let all = events_of_run(tx, &run, usize::MAX)?;
    let Some(event) = all.iter().find(|event| says(event, input.id)) else { return Ok(None) };
    let Some(said) = tx.get::<Session>(run.session)? else { return Ok(None) };
    let Some(session) = session_by_key(tx, &said.key)? else { return Ok(None) };
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

/// The conversation in which an event of another one, or of a branch, lies as its own.
pub fn owner_of(tx: &dyn Read, session: SessionId, event: u32) -> Result<SessionId, StoreError> {
    let mut at = session;
    // At its first own event, a branch stands beside the others there.
    while let Some(branch) = branches::of_session(tx, at)?.filter(|branch| event <= branch.upto) {
        at = branch.parent;
    }
    Ok(at)
}

/// The conversations that go on from one event in different ways, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    pub all: Vec<SessionId>,
    /// Which of them is shown, from 0.
    pub shown: usize,
}

impl Versions {
    /// The one before the one that is shown.
    #[must_use]
    pub fn before(&self) -> Option<SessionId> {
        self.all.get(self.shown.checked_sub(1)?).copied()
    }

    #[must_use]
    pub fn after(&self) -> Option<SessionId> {
        self.all.get(self.shown + 1).copied()
    }
}

/// Where a conversation stands beside others that began as it did and went on with another message: by
/// the number of the event.
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
                // Runs are counted in the order in which they were begun.
                let number = tx.get::<Run>(branch.run)?.map_or(u32::MAX, |run| run.number);
                beside.entry(branch.upto).or_default().push((number, id));
            }
        }
        let own = branches::of_session(tx, at)?;
        for (event, mut branches) in beside {
            branches.sort_unstable();
            let mut all = vec![at];
            all.extend(branches.into_iter().map(|(_, session)| session));
            // The nearest of those that lead to the one that is shown.
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

/// A conversation and those that it shares its beginning with, the nearest first.
fn chain(tx: &dyn Read, session: SessionId) -> Result<Vec<SessionId>, StoreError> {
    let mut all = vec![session];
    while let Some(branch) = branches::of_session(tx, all[all.len() - 1])?
        && all.len() < DEEP
    {
        all.push(branch.parent);
    }
    Ok(all)
}
