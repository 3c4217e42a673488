//! Resetting the observed ratio of tokens to bytes.

use crate::usage::model::SeenRatio;
use crate::usage::model::budget::BudgetWait;
use crate::usage::queries::waiting;
use kernel::{ConnectionId, Event};
use store::{ReadExt, StoreError, WriteTx};

/// Resets the ratio of a model to the default, until a response shows a higher one. Returns whether there was one.
pub fn reset(
    tx: &mut WriteTx<'_>,
    connection: Option<ConnectionId>,
    model: &str,
) -> Result<bool, StoreError> {
    let key = SeenRatio::key(connection, model);
    if tx.get::<SeenRatio>(key.clone())?.is_none() {
        return Ok(false);
    }
    tx.delete::<SeenRatio>(key)?;
    // Waiting runs recompute the needs of their next call.
    for wait in waiting::all(tx)? {
        tx.put(&BudgetWait { micros: 0, tokens: 0, ..wait })?;
    }
    tx.emit(Event::CountingReset { model: model.to_owned(), connection });
    Ok(true)
}
