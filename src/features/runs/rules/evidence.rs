//! Stores writes of a host that arrived after its run was taken away. They are never applied.

use crate::runs::model::Evidence;
use crate::runs::queries::evidence;
use store::{ReadExt, StoreError, WriteTx};

/// Maximum number of rows stored per run.
const MOST: usize = 1_000;
/// Maximum number of rows per run while storing one that reports a cost.
const MOST_PAID: usize = 10_000;

/// Stores a row. `costs` states whether it reports a cost. Returns `false` if the row is stored already or the limit
/// is reached.
pub fn keep(tx: &mut WriteTx<'_>, one: Evidence, costs: bool) -> Result<bool, StoreError> {
    let is_known = tx.get::<Evidence>((one.run, one.number))?.is_some();
    let most = if costs { MOST_PAID } else { MOST };
    if is_known || evidence::has(tx, one.run, most)? {
        return Ok(false);
    }
    tx.put(&one)?;
    Ok(true)
}
