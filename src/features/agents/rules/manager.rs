//! Rules for managers of agents. Reporting lines end at a person or nowhere and never form a cycle.

use crate::workspace::model::Member;
use kernel::{AccountId, AgentId, Manager};
use store::{ReadExt, StoreError, WriteTx};

use super::super::model::Agent;
use super::super::queries::{self, lines};
use super::AgentError;

/// Changes or removes an agent's manager.
///
/// # Errors
/// If the manager is unavailable, is the agent itself, or reports to it.
pub(super) fn set(
    tx: &WriteTx<'_>,
    agent: &mut Agent,
    to: Option<Manager>,
) -> Result<(), AgentError> {
    if agent.reports_to == to {
        return Ok(());
    }
    usable(tx, to)?;
    if let Some(id) = to.and_then(Manager::agent) {
        if id == agent.id {
            return Err(AgentError::OwnManager);
        }
        if lines::is_below(tx, id, agent.id)? {
            let manager = tx.get::<Agent>(id)?.map_or_else(|| id.to_string(), |one| one.name);
            return Err(AgentError::Circle { agent: agent.name.clone(), manager });
        }
    }
    agent.reports_to = to;
    Ok(())
}

/// Checks that a manager is available: a current member, or an agent that is not archived.
pub(super) fn usable(tx: &WriteTx<'_>, to: Option<Manager>) -> Result<(), AgentError> {
    match to {
        None => Ok(()),
        Some(Manager::Person(account)) => match tx.get::<Member>(account)? {
            Some(member) if member.left_at.is_none() => Ok(()),
            Some(member) => Err(AgentError::NoManager(member.name)),
            None => Err(AgentError::NoManager(account.to_string())),
        },
        Some(Manager::Agent(id)) => match tx.get::<Agent>(id)? {
            Some(agent) if agent.archived_at.is_some() => {
                Err(super::wrong_state(agent, "choose an agent that can work"))
            }
            Some(_) => Ok(()),
            None => Err(AgentError::NoManager(id.to_string())),
        },
    }
}

/// Moves the reports of a retired agent, including archived ones, to its manager.
pub(super) fn move_up(tx: &mut WriteTx<'_>, gone: &Agent) -> Result<(), StoreError> {
    shift(tx, Manager::Agent(gone.id), gone.reports_to).map(drop)
}

/// Gives a restored agent the nearest manager that is not archived.
pub(super) fn come_back(tx: &WriteTx<'_>, agent: &mut Agent) -> Result<(), StoreError> {
    let above: Option<AgentId> = agent.reports_to.and_then(Manager::agent);
    if above.is_some() {
        agent.reports_to = lines::manager(tx, agent)?;
    }
    Ok(())
}

fn shift(tx: &mut WriteTx<'_>, from: Manager, to: Option<Manager>) -> Result<usize, StoreError> {
    let agents = queries::reporting_to(tx, from)?;
    let count = agents.len();
    for mut agent in agents {
        agent.reports_to = to;
        agent.updated_at = tx.now();
        tx.put(&agent)?;
    }
    Ok(count)
}

/// Moves the reports of one member, including archived agents, to another. Returns their number.
pub fn hand_over(
    tx: &mut WriteTx<'_>,
    from: AccountId,
    to: AccountId,
) -> Result<usize, StoreError> {
    shift(tx, Manager::Person(from), Some(Manager::Person(to)))
}
