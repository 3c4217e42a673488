//! Relations between runs and their sub-agents.

use crate::runs::model::{
    CHILDREN_BY_PARENT, CHILDREN_BY_ROOT, CHILDREN_BY_SESSION, Child, Input, Run,
};
use kernel::key::KeyBuf;
use kernel::{RunId, SessionId};
use store::{Range, Read, ReadExt, StoreError};

/// Maximum number of the newest sub-agents of a conversation that are read.
const NEWEST: usize = 100;

/// All sub-agents of a run, oldest first.
pub fn of_parent(tx: &dyn Read, parent: RunId) -> Result<Vec<Child>, StoreError> {
    tx.scan(CHILDREN_BY_PARENT, &Range::prefix(KeyBuf::of(&parent)))
}

/// The live sub-agents of a run.
pub fn live_of_parent(tx: &dyn Read, parent: RunId) -> Result<Vec<Child>, StoreError> {
    let mut all = of_parent(tx, parent)?;
    all.retain(Child::is_live);
    Ok(all)
}

/// The newest sub-agents of a conversation's runs, oldest first.
pub fn of_session(tx: &dyn Read, session: SessionId) -> Result<Vec<Child>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&session)).reverse().limit(NEWEST);
    let mut all: Vec<Child> = tx.scan(CHILDREN_BY_SESSION, &range)?;
    all.reverse();
    Ok(all)
}

/// Number of sub-agents ever created below a root run.
pub fn in_tree(tx: &dyn Read, root: RunId) -> Result<usize, StoreError> {
    let all: Vec<Child> = tx.scan(CHILDREN_BY_ROOT, &Range::prefix(KeyBuf::of(&root)))?;
    Ok(all.len())
}

/// Ancestors of a run, nearest first.
pub fn above(tx: &dyn Read, run: RunId) -> Result<Vec<RunId>, StoreError> {
    let mut above = Vec::new();
    let mut at = run;
    while let Some(child) = tx.get::<Child>(at)?.filter(|child| !above.contains(&child.parent)) {
        above.push(child.parent);
        at = child.parent;
    }
    Ok(above)
}

/// Finds a sub-agent of a conversation by run name (`R-12`) or by the name from its parent.
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

/// Whether the parent knows of a sub-agent's end: from a call result or a message that it read.
pub fn is_known(tx: &dyn Read, child: &Child) -> Result<bool, StoreError> {
    let input = match child.input {
        Some(input) => tx.get::<Input>(input)?,
        None => None,
    };
    Ok(child.told || input.is_some_and(|input| !input.is_open()))
}

/// The only folder in which a sub-agent writes.
#[must_use]
pub fn folder(run: &Run) -> String {
    format!("work/r-{}", run.number)
}

/// Whether a session key belongs to a sub-agent.
#[must_use]
pub fn is_key(key: &str) -> bool {
    key.contains(":subagent:")
}
