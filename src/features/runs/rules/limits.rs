//! Choosing what bounds sub-agents.

use crate::runs::model::{Bound, SubagentLimits};
use store::WriteTx;

use super::RunError;

/// Sets what bounds the sub-agents of the workspace. Those at work go on; the next one is asked for
/// within the new limits.
///
/// # Errors
/// `BadLimit` for the first one that is out of its bounds.
pub fn set(tx: &mut WriteTx<'_>, limits: SubagentLimits) -> Result<(), RunError> {
    within(&SubagentLimits::BOUNDS, &limits.values().map(Some))?;
    tx.put(&limits)?;
    Ok(())
}

/// Refuses the first number that is out of its bounds; what is not chosen is in them.
pub(super) fn within(bounds: &[Bound], values: &[Option<u32>]) -> Result<(), RunError> {
    for (&(name, least, most), value) in bounds.iter().zip(values) {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            return Err(RunError::BadLimit { name, least, most });
        }
    }
    Ok(())
}
