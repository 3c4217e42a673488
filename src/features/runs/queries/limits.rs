//! What bounds sub-agents.

use crate::runs::model::SubagentLimits;
use store::{Read, ReadExt, StoreError};

/// What bounds the sub-agents of the workspace.
pub fn of(tx: &dyn Read) -> Result<SubagentLimits, StoreError> {
    Ok(tx.get::<SubagentLimits>(())?.unwrap_or_default())
}
