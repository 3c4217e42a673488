//! Reads of pauses.

use std::cmp::Reverse;

use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::runs::model::{Halt, HaltOf, Run};
use crate::workspace::model::Member;
use kernel::AgentId;
use store::{Read, ReadExt, StoreError};

/// Maximum number of runs listed that were at work at a crash.
const MOST_SUSPECTS: usize = 20;

/// The pause of the workspace.
pub fn of_workspace(tx: &dyn Read) -> Result<Option<Halt>, StoreError> {
    tx.get(HaltOf::Workspace)
}

/// The pause that applies to an agent: the workspace's, else its own.
pub fn of_agent(tx: &dyn Read, agent: AgentId) -> Result<Option<Halt>, StoreError> {
    match of_workspace(tx)? {
        Some(halt) => Ok(Some(halt)),
        None => tx.get(HaltOf::Agent(agent)),
    }
}

/// Code of the reason why the agent begins no work; `None` if it may work.
pub fn held(tx: &dyn Read, agent: &Agent) -> Result<Option<&'static str>, StoreError> {
    let own = agents::held(agent);
    Ok(match (own, of_workspace(tx)?) {
        (Some("agent_archived"), _) | (Some(_), None) => own,
        (_, Some(_)) => Some("workspace_paused"),
        (None, None) => None,
    })
}

/// Live runs that were at work when HQ crashed, most frequent first.
pub fn suspects(tx: &dyn Read) -> Result<Vec<Run>, StoreError> {
    let mut all = super::live(tx)?;
    all.retain(|run| 0 < run.crashes);
    all.sort_by_key(|run| (Reverse(run.crashes), run.number));
    all.truncate(MOST_SUSPECTS);
    Ok(all)
}

/// Name of the author of a pause.
pub fn by(tx: &dyn Read, halt: &Halt) -> Result<String, StoreError> {
    let member = match halt.by {
        Some(account) => tx.get::<Member>(account)?,
        None => None,
    };
    Ok(member.map_or_else(|| "HQ".to_owned(), |member| member.name))
}
