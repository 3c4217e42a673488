//! Records the template version of an agent, and declined versions.

use git::CommitId;
use kernel::{AgentId, Event};
use store::WriteTx;

use super::AgentError;
use crate::agents::model::Agent;

/// Records an upgrade to another version or template. The fields that follow the template come from `upgraded`; all
/// others stay.
///
/// # Errors
/// `NotFound`.
pub fn taken(tx: &mut WriteTx<'_>, id: AgentId, upgraded: Agent) -> Result<Agent, AgentError> {
    let before = super::load(tx, id)?;
    let agent = Agent {
        description: upgraded.description,
        role: upgraded.role,
        team: upgraded.team,
        domains: upgraded.domains,
        capabilities: upgraded.capabilities,
        template: upgraded.template,
        template_commit: upgraded.template_commit,
        template_passed: upgraded.template_passed,
        ..before.clone()
    };
    if agent.template != before.template {
        let (from, to) = (before.template.clone(), agent.template.clone());
        tx.emit(Event::AgentMoved(id, from, to));
    }
    save(tx, &before, agent)
}

/// Records the version of an agent created before versions were recorded.
///
/// # Errors
/// `NotFound`.
pub fn known(tx: &mut WriteTx<'_>, id: AgentId, version: CommitId) -> Result<(), AgentError> {
    let before = super::load(tx, id)?;
    if before.template_commit.is_none() {
        tx.put(&Agent { template_commit: Some(version), ..before })?;
    }
    Ok(())
}

/// Records that a version was declined.
///
/// # Errors
/// `NotFound`.
pub fn passed(tx: &mut WriteTx<'_>, id: AgentId, version: CommitId) -> Result<Agent, AgentError> {
    let before = super::load(tx, id)?;
    let agent = Agent { template_passed: Some(version), ..before.clone() };
    save(tx, &before, agent)
}

fn save(tx: &mut WriteTx<'_>, before: &Agent, agent: Agent) -> Result<Agent, AgentError> {
    if agent == *before {
        return Ok(agent);
    }
    let agent = Agent { updated_at: tx.now(), ..agent };
    tx.put(&agent)?;
    Ok(agent)
}
