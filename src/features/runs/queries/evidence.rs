//! What came of runs after they were taken from their machines.

use crate::runs::model::Evidence;
use kernel::RunId;
use kernel::key::KeyBuf;
use store::{Range, ReadExt, StoreError};

/// What came too late of a run, in the order in which it was written.
///
/// # Errors
/// When the disk fails.
pub fn of_run(tx: &impl ReadExt, run: RunId) -> Result<Vec<Evidence>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&run)))
}
