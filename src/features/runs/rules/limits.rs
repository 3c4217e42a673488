//! Choosing the limits of sub-agents.

use crate::runs::model::{Bound, SubagentLimits};
use store::WriteTx;

use super::RunError;

/// Sets the limits of sub-agents. Live sub-agents are not affected.
///
/// # Errors
/// `BadLimit` for the first value out of range.
pub fn set(tx: &mut WriteTx<'_>, limits: SubagentLimits) -> Result<(), RunError> {
    within(&SubagentLimits::BOUNDS, &limits.values().map(Some))?;
    tx.put(&limits)?;
    Ok(())
}

/// Checks the ranges; unset values pass.
pub(super) fn within(bounds: &[Bound], values: &[Option<u32>]) -> Result<(), RunError> {
    for (&(name, least, most), value) in bounds.iter().zip(values) {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            return Err(RunError::BadLimit { name, least, most });
        }
    }
    Ok(())
}
