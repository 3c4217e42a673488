//! Which hosts an agent reaches.

use crate::features::agents::model::Reach;
use crate::features::runs::model::Run;
use crate::features::runs::queries::children;
use crate::kernel::{AgentId, RunId};
use crate::net::guard::Hosts;
use crate::store::{ReadExt, StoreError};

/// The list of an agent; empty when it reaches all that is public.
///
/// # Errors
/// When the disk fails.
pub fn of_agent(tx: &impl ReadExt, agent: AgentId) -> Result<Vec<String>, StoreError> {
    Ok(tx.get::<Reach>(agent)?.map(|reach| reach.only).unwrap_or_default())
}

/// The hosts that stand in the lists of all these agents.
///
/// # Errors
/// When the disk fails.
pub fn of_all(tx: &impl ReadExt, agents: &[AgentId]) -> Result<Hosts, StoreError> {
    let mut lists = Vec::new();
    for agent in agents {
        lists.push(of_agent(tx, *agent)?);
    }
    lists.retain(|list| !list.is_empty());
    Ok(Hosts::of(lists))
}

/// Whose lists count for a run: its agent's, and of a sub-agent those of all who asked for it: it may do no
/// more than they.
///
/// # Errors
/// When the disk fails.
pub fn agents_of(
    tx: &impl ReadExt,
    agent: AgentId,
    run: RunId,
) -> Result<Vec<AgentId>, StoreError> {
    let mut agents = vec![agent];
    for above in children::above(tx, run)? {
        if let Some(run) = tx.get::<Run>(above)?
            && !agents.contains(&run.agent)
        {
            agents.push(run.agent);
        }
    }
    Ok(agents)
}
