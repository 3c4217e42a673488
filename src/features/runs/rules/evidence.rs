//! What a machine says of a run after that was taken from it: kept, and never applied.

use crate::runs::model::Evidence;
use crate::runs::queries::evidence;
use store::{ReadExt, StoreError, WriteTx};

/// So many pieces are kept of one run.
const MOST: usize = 1_000;
/// So many of those that say what something has cost.
const MOST_PAID: usize = 10_000;

/// Keeps a piece, which may say what something `costs`. Says whether it is new: one that comes again is there already.
pub fn keep(tx: &mut WriteTx<'_>, one: Evidence, costs: bool) -> Result<bool, StoreError> {
    let is_known = tx.get::<Evidence>((one.run, one.number))?.is_some();
    let most = if costs { MOST_PAID } else { MOST };
    if is_known || evidence::has(tx, one.run, most)? {
        return Ok(false);
    }
    tx.put(&one)?;
    Ok(true)
}
