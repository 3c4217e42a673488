//! Reactions of agents to events of other nouns.

use crate::agents::model::Agent;
use kernel::{AgentStatus, Event};
use store::{ReadExt, WriteTx};

use super::rules::{self, AgentError};

/// Handles one event: pauses an agent together with its runs, and resumes it with them.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), AgentError> {
    let (Event::WorkHalted { agent: Some(id), .. } | Event::WorkGoesOn { agent: Some(id) }) = event
    else {
        return Ok(());
    };
    let Some(agent) = tx.get::<Agent>(*id)?.filter(|agent| agent.archived_at.is_none()) else {
        return Ok(());
    };
    match (event, agent.status) {
        (Event::WorkHalted { .. }, AgentStatus::Ready) => rules::pause(tx, *id).map(drop),
        (Event::WorkGoesOn { .. }, AgentStatus::Paused) => rules::resume(tx, *id).map(drop),
        _ => Ok(()),
    }
}
