//! What happens to agents when something else changes.

use crate::features::agents::model::Agent;
use crate::kernel::{AgentStatus, Event};
use crate::store::{ReadExt, WriteTx};

use super::rules::{self, AgentError};

/// Handles one event: an agent whose runs stand still is paused.
///
/// # Errors
/// When the store refuses.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), AgentError> {
    let Event::WorkHalted { agent: Some(id), .. } = event else { return Ok(()) };
    match tx.get::<Agent>(*id)? {
        Some(agent) if agent.status == AgentStatus::Ready && agent.archived_at.is_none() => {
            rules::pause(tx, *id).map(drop)
        }
        _ => Ok(()),
    }
}
