//! Forgetting how many tokens a model was once said to have counted.

use crate::usage::model::SeenRatio;
use crate::usage::model::budget::BudgetWait;
use crate::usage::queries::waiting;
use kernel::{ConnectionId, Event};
use store::{ReadExt, StoreError, WriteTx};

/// Counts the tokens of a model as usual again, until an answer shows that it has more. Answers whether
/// there was anything to forget.
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
    // What a run needs that waits for a budget is not known any more: it asks again.
    for wait in waiting::all(tx)? {
        tx.put(&BudgetWait { micros: 0, tokens: 0, ..wait })?;
    }
    tx.emit(Event::CountingReset { model: model.to_owned(), connection });
    Ok(true)
}
