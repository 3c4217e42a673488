//! Choosing what bounds runs.

use crate::agents::model::{Agent, ReachOf};
use crate::runs::model::RunLimits;
use store::{ReadExt, WriteTx};

use super::{RunError, limits};

/// Says what bounds runs; a choice of nothing is none. It counts from the next step of those at work on.
///
/// # Errors
/// `BadLimit` for the first number that is out of its bounds, `NoAgent`.
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
