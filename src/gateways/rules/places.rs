//! Where agents work.

use features::agents::model::Agent;
use features::runs::queries as runs;
use kernel::{AgentId, AgentStatus, GatewayId, RowAct};
use store::{ReadExt as _, WriteTx};

use crate::cards::PLACE;
use crate::error::GatewayError;
use crate::model::{AgentPlace, HearerId, RunAnswer, Status};
use crate::queries;

/// Lets an agent work on a gateway from now on. Says whether it worked elsewhere before.
///
/// # Errors
/// When either is gone, the gateway is not let in, or the agent is at work.
pub fn bind(tx: &mut WriteTx<'_>, agent: AgentId, to: GatewayId) -> Result<bool, GatewayError> {
    let gateway = queries::gateway_by_id(tx, to)?;
    let one = tx.get::<Agent>(agent)?;
    let one = one.ok_or_else(|| GatewayError::NoAgent(agent.to_string()))?;
    let old = tx.get::<AgentPlace>(agent)?;
    if queries::gateway_of(tx, agent)? == to {
        return Ok(false);
    }
    if gateway.status == Status::Revoked {
        let words = format!("{} is not let in any more; choose another.", gateway.label);
        return Err(GatewayError::Refused(words));
    }
    if one.status == AgentStatus::Provisioning {
        let words = format!("{} is being set up; move it when it is ready.", one.name);
        return Err(GatewayError::Refused(words));
    }
    if !runs::live_of_agent(tx, agent)?.is_empty() {
        let words = format!("{} has a run that goes on; stop it, take it back or wait.", one.name);
        return Err(GatewayError::Refused(words));
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

/// Keeps what a host was answered.
///
/// # Errors
/// When the store fails.
pub fn answered(tx: &mut WriteTx<'_>, answer: &RunAnswer) -> Result<(), GatewayError> {
    tx.put(answer)?;
    Ok(())
}

/// Forgets what hosts were answered about runs that ended long ago.
///
/// # Errors
/// When the store fails.
pub fn forget_answers(tx: &mut WriteTx<'_>, old: &[HearerId]) -> Result<(), GatewayError> {
    for of in old {
        tx.delete::<RunAnswer>(*of)?;
    }
    Ok(())
}
