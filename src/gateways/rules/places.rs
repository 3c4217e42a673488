//! Rules for where agents work.

use features::agents::model::Agent;
use features::jobs::queries as jobs;
use features::jobs::rules::give_up;
use features::runs::queries as runs;
use kernel::{AgentId, AgentStatus, GatewayId, RowAct};
use store::{ReadExt as _, WriteTx};

use crate::cards::PLACE;
use crate::error::GatewayError;
use crate::model::{AgentPlace, FormerPlaces, HearerId, RunAnswer, Status};
use crate::queries;

/// Moves an agent to a gateway. Returns whether its place changed.
///
/// # Errors
/// If agent or gateway is unknown, the gateway is revoked, or the agent is at work.
pub fn bind(tx: &mut WriteTx<'_>, agent: AgentId, to: GatewayId) -> Result<bool, GatewayError> {
    moved(tx, agent, to, Left::Answers)
}

/// Like [`bind`], away from a silent machine: the agent's programs there are given up.
pub fn bind_off_silent(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    to: GatewayId,
) -> Result<bool, GatewayError> {
    moved(tx, agent, to, Left::Silent)
}

/// State of the machine that an agent leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Answers,
    Silent,
}

fn moved(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    to: GatewayId,
    left: Left,
) -> Result<bool, GatewayError> {
    let gateway = queries::gateway_by_id(tx, to)?;
    let one = tx.get::<Agent>(agent)?;
    let one = one.ok_or_else(|| GatewayError::NoAgent(agent.to_string()))?;
    let old = tx.get::<AgentPlace>(agent)?;
    if queries::gateway_of(tx, agent)? == to {
        return Ok(false);
    }
    if gateway.status == Status::Revoked {
        let words = format!("{} no longer has access. Choose another.", gateway.label);
        return Err(GatewayError::Refused(words));
    }
    if one.status == AgentStatus::Provisioning {
        let words = format!("{} is being set up. Move it when it’s ready.", one.name);
        return Err(GatewayError::Refused(words));
    }
    if !runs::live_of_agent(tx, agent)?.is_empty() {
        let words = format!("{} has an active run. Stop it, undo it or wait.", one.name);
        return Err(GatewayError::Refused(words));
    }
    if let Some(job) = jobs::running(tx, Some(agent))?.first() {
        if left == Left::Answers || old.is_none() {
            let words = format!("{} is running program {}. Stop it or wait.", one.name, job.number);
            return Err(GatewayError::Refused(words));
        }
        give_up(tx, agent)?;
    }
    if let Some(old) = &old {
        has_worked(tx, agent, old.gateway)?;
    }
    if gateway.is_local() {
        tx.delete::<AgentPlace>(agent)?;
        tx.emit(PLACE.event(&agent, RowAct::Deleted));
        return Ok(true);
    }
    let new = AgentPlace { agent, gateway: to };
    tx.put(&new)?;
    tx.emit(match old {
        Some(old) => PLACE.changed(&old, &new),
        None => PLACE.event(&agent, RowAct::Created),
    });
    Ok(true)
}

/// Records that an agent has worked on a gateway: its runs name the gateway, and unsent data of it may still arrive.
pub(super) fn has_worked(
    tx: &mut WriteTx<'_>,
    agent: AgentId,
    gateway: GatewayId,
) -> Result<(), GatewayError> {
    let former = tx.get::<FormerPlaces>(agent)?;
    let mut gateways = former.map(|former| former.gateways).unwrap_or_default();
    gateways.insert(gateway);
    tx.put(&FormerPlaces { agent, gateways })?;
    Ok(())
}

/// Stores the last answer to a host.
pub fn answered(tx: &mut WriteTx<'_>, answer: &RunAnswer) -> Result<(), GatewayError> {
    tx.put(answer)?;
    Ok(())
}

/// Deletes answers about runs that ended long ago.
pub fn forget_answers(tx: &mut WriteTx<'_>, old: &[HearerId]) -> Result<(), GatewayError> {
    for of in old {
        tx.delete::<RunAnswer>(*of)?;
    }
    Ok(())
}
