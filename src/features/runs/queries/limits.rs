//! What bounds sub-agents.

use crate::runs::model::SubagentLimits;
use store::{ReadExt, StoreError};

/// What bounds the sub-agents of the workspace.
///
/// # Errors
/// When the disk fails.
pub fn of(tx: &impl ReadExt) -> Result<SubagentLimits, StoreError> {
    Ok(tx.get::<SubagentLimits>(())?.unwrap_or_default())
}
