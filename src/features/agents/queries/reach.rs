//! Which hosts agents reach.

use crate::agents::model::{Reach, ReachOf};
use crate::runs::model::Run;
use crate::runs::queries::children;
use kernel::{AgentId, RunId};
use net::guard::{Hosts, Opened};
use store::{Read, ReadExt, StoreError};

/// A list; empty when there is none.
pub fn of(tx: &dyn Read, of: ReachOf) -> Result<Vec<String>, StoreError> {
    Ok(tx.get::<Reach>(of)?.map(|reach| reach.hosts).unwrap_or_default())
}

/// What people have opened for all agents beside what is public.
pub fn opened(tx: &dyn Read) -> Result<Opened, StoreError> {
    Ok(Opened::of(&of(tx, ReachOf::Workspace)?))
}

/// The hosts that stand in the lists of all these agents.
pub fn of_all(tx: &dyn Read, agents: &[AgentId]) -> Result<Hosts, StoreError> {
    let mut lists = Vec::new();
    for agent in agents {
        lists.push(of(tx, ReachOf::Agent(*agent))?);
    }
    lists.retain(|list| !list.is_empty());
    Ok(Hosts::of(lists))
}

/// Whose lists count for a run: its agent's, and of a sub-agent those of all who asked for it: it may do no
/// more than they.
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
