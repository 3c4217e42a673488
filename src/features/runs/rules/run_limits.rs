//! Choosing the limits of runs.

use crate::agents::model::{Agent, ReachOf};
use crate::runs::model::RunLimits;
use store::{ReadExt, WriteTx};

use super::{RunError, limits};

/// Sets run limits. A choice without limits is deleted. Running runs apply it from their next step on.
///
/// # Errors
/// `BadLimit` for the first number out of range, `NoAgent`.
pub fn set(tx: &mut WriteTx<'_>, chosen: RunLimits) -> Result<(), RunError> {
    limits::within(&RunLimits::BOUNDS, &chosen.values())?;
    if let ReachOf::Agent(id) = chosen.of {
        tx.get::<Agent>(id)?.ok_or(RunError::NoAgent(id))?;
    }
    if chosen != RunLimits::none(chosen.of) {
        tx.put(&chosen)?;
    } else if tx.get::<RunLimits>(chosen.of)?.is_some() {
        tx.delete::<RunLimits>(chosen.of)?;
    }
    Ok(())
}
