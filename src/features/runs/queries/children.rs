//! Which runs are sub-agents of which.

use crate::runs::model::{
    CHILDREN_BY_PARENT, CHILDREN_BY_ROOT, CHILDREN_BY_SESSION, Child, Input, Run,
};
use kernel::key::KeyBuf;
use kernel::{RunId, SessionId};
use store::{Range, Read, ReadExt, StoreError};

/// How many sub-agents of one conversation are looked at, the newest.
const NEWEST: usize = 100;

/// The sub-agents that a run made, oldest first.
pub fn of_parent(tx: &dyn Read, parent: RunId) -> Result<Vec<Child>, StoreError> {
    tx.scan(CHILDREN_BY_PARENT, &Range::prefix(KeyBuf::of(&parent)))
}

/// Those of them that have not ended.
pub fn live_of_parent(tx: &dyn Read, parent: RunId) -> Result<Vec<Child>, StoreError> {
    let mut all = of_parent(tx, parent)?;
    all.retain(Child::is_live);
    Ok(all)
}

/// The newest sub-agents that runs of a conversation made, oldest first.
pub fn of_session(tx: &dyn Read, session: SessionId) -> Result<Vec<Child>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&session)).reverse().limit(NEWEST);
    let mut all: Vec<Child> = tx.scan(CHILDREN_BY_SESSION, &range)?;
    all.reverse();
    Ok(all)
}

/// How many sub-agents were ever made below a run.
pub fn in_tree(tx: &dyn Read, root: RunId) -> Result<usize, StoreError> {
    let all: Vec<Child> = tx.scan(CHILDREN_BY_ROOT, &Range::prefix(KeyBuf::of(&root)))?;
    Ok(all.len())
}

/// The runs above a run, the nearest first.
pub fn above(tx: &dyn Read, run: RunId) -> Result<Vec<RunId>, StoreError> {
    let mut above = Vec::new();
    let mut at = run;
    while let Some(child) = tx.get::<Child>(at)?.filter(|child| !above.contains(&child.parent)) {
        above.push(child.parent);
        at = child.parent;
    }
    Ok(above)
}

/// A sub-agent of a conversation by the name of its run (`R-12`) or the one that its parent gave it,
/// with its run.
pub fn by_name(
    tx: &dyn Read,
    session: SessionId,
    name: &str,
) -> Result<Option<(Child, Run)>, StoreError> {
    let name = name.trim();
    for child in of_session(tx, session)?.into_iter().rev() {
        let Some(run) = tx.get::<Run>(child.run)? else { continue };
        if child.name == name || run.name().eq_ignore_ascii_case(name) {
            return Ok(Some((child, run)));
        }
    }
    Ok(None)
}

/// Whether the parent of a sub-agent that has ended knows that: it was told as the result of a call, or
/// has read the word about it.
pub fn is_known(tx: &dyn Read, child: &Child) -> Result<bool, StoreError> {
    let input = match child.input {
        Some(input) => tx.get::<Input>(input)?,
        None => None,
    };
    Ok(child.told || input.is_some_and(|input| !input.is_open()))
}

/// The folder of the agent below which a sub-agent writes, and nowhere else.
#[must_use]
pub fn folder(run: &Run) -> String {
    format!("work/r-{}", run.number)
}

/// Whether a session's key says that it is a sub-agent's: no conversation of a person's.
#[must_use]
pub fn is_key(key: &str) -> bool {
    key.contains(":subagent:")
}
