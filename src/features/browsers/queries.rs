//! Whether a browser is switched on.

use super::model::AgentBrowser;
use crate::agents::model::Agent;
use kernel::AgentId;
use store::{ReadExt, StoreError};

/// Whether the browser of an agent is switched on, as a person has chosen.
///
/// # Errors
/// When the disk fails.
pub fn is_switched_on(tx: &impl ReadExt, agent: AgentId) -> Result<bool, StoreError> {
    Ok(tx.get::<AgentBrowser>(agent)?.is_some())
}

/// Whether all of these agents may use a browser: it is switched on for each, and none is archived.
///
/// # Errors
/// When the disk fails.
pub fn is_on(tx: &impl ReadExt, agents: &[AgentId]) -> Result<bool, StoreError> {
    for id in agents {
        let works = tx.get::<Agent>(*id)?.is_some_and(|agent| agent.archived_at.is_none());
        if !works || !is_switched_on(tx, *id)? {
            return Ok(false);
        }
    }
    Ok(true)
}
