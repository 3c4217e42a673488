//! Reads of what conversations have read from outside.

use crate::runs::model::{Brought, Outside, Run};
use kernel::SessionId;
use store::{ReadExt, StoreError};

/// The label of a conversation; none when it has read nothing from outside.
///
/// # Errors
/// When the disk fails.
pub fn of(tx: &impl ReadExt, session: SessionId) -> Result<Option<Outside>, StoreError> {
    tx.get(session)
}

/// What was read first, in a few words: `web_fetch in step 3 of R-12`.
///
/// # Errors
/// When the disk fails.
pub fn first(tx: &impl ReadExt, outside: &Outside) -> Result<String, StoreError> {
    let Some(Brought { run, step, tool }) = outside.brought.first() else {
        return Ok(String::new());
    };
    let name = tx.get::<Run>(*run)?.map_or_else(|| "an earlier run".to_owned(), |run| run.name());
    Ok(match tool.as_str() {
        "" => format!("what was said to {name}"),
        tool => format!("{tool} in step {step} of {name}"),
    })
}
