//! What happens to agents when something else changes.

use crate::features::agents::model::Agent;
use crate::kernel::{AgentId, AgentStatus, Event};
use crate::store::{ReadExt, WriteTx};

use super::rules::{self, AgentError};

/// Handles one event: an agent whose runs stand still is paused, and takes work again with them.
///
/// # Errors
/// When the store refuses.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), AgentError> {
    let (id, from, to): (_, _, fn(&mut WriteTx<'_>, AgentId) -> Result<Agent, AgentError>) =
        match event {
            Event::WorkHalted { agent: Some(id), .. } => (*id, AgentStatus::Ready, rules::pause),
            Event::WorkGoesOn { agent: Some(id) } => (*id, AgentStatus::Paused, rules::resume),
            _ => return Ok(()),
        };
    match tx.get::<Agent>(id)? {
        Some(agent) if agent.status == from && agent.archived_at.is_none() => to(tx, id).map(drop),
        _ => Ok(()),
    }
}
