//! Reads of the hosts that agents may reach.

use crate::agents::model::{Reach, ReachOf};
use crate::runs::model::Run;
use crate::runs::queries::children;
use kernel::{AgentId, RunId};
use net::guard::{Hosts, Opened};
use store::{Read, ReadExt, StoreError};

/// A host list; may be empty.
pub fn of(tx: &dyn Read, of: ReachOf) -> Result<Vec<String>, StoreError> {
    Ok(tx.get::<Reach>(of)?.map(|reach| reach.hosts).unwrap_or_default())
}

/// Hosts in private networks that are opened for all agents.
pub fn opened(tx: &dyn Read) -> Result<Opened, StoreError> {
    Ok(Opened::of(&of(tx, ReachOf::Workspace)?))
}

/// Hosts allowed by the lists of all these agents. Agents without a list do not restrict.
pub fn of_all(tx: &dyn Read, agents: &[AgentId]) -> Result<Hosts, StoreError> {
    let mut lists = Vec::new();
    for agent in agents {
        lists.push(of(tx, ReachOf::Agent(*agent))?);
    }
    lists.retain(|list| !list.is_empty());
    Ok(Hosts::of(lists))
}

/// Agents whose lists apply to a run: its own agent and those of its ancestors, because a sub-agent may do no more
/// than they.
pub fn agents_of(tx: &dyn Read, agent: AgentId, run: RunId) -> Result<Vec<AgentId>, StoreError> {
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
