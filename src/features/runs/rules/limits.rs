//! Choosing what bounds sub-agents.

use crate::features::runs::model::SubagentLimits;
use crate::store::WriteTx;

use super::RunError;

/// Sets what bounds the sub-agents of the workspace. Those at work go on; the next one is asked for
/// within the new limits.
///
/// # Errors
/// `BadLimit` for the first one that is out of its bounds.
pub fn set(tx: &mut WriteTx<'_>, limits: SubagentLimits) -> Result<(), RunError> {
    for ((name, least, most), value) in SubagentLimits::BOUNDS.into_iter().zip(limits.values()) {
        if !(least..=most).contains(&value) {
            return Err(RunError::BadLimit { name, least, most });
        }
    }
    tx.put(&limits)?;
    Ok(())
}
