//! Reads of sub-agents' limits.

use crate::runs::model::SubagentLimits;
use store::{Read, ReadExt, StoreError};

pub fn of(tx: &dyn Read) -> Result<SubagentLimits, StoreError> {
    Ok(tx.get::<SubagentLimits>(())?.unwrap_or_default())
}
