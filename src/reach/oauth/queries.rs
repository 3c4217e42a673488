//! Reads of sign-ins. None of them opens a value.

use store::{Range, Read, ReadExt as _, StoreError};

use super::model::{McpGrant, McpRevocation};
use crate::model::McpServerId;

pub fn grant(read: &dyn Read, server: McpServerId) -> Result<McpGrant, StoreError> {
    Ok(read.get(server)?.unwrap_or_else(|| McpGrant::new(server)))
}

/// The ended sign-ins whose tokens are not withdrawn yet.
pub fn revocations(read: &dyn Read) -> Result<Vec<McpRevocation>, StoreError> {
    read.list(&Range::all())
}
