//! Writes of the embedding model choice.

use kernel::RowAct;
use store::{StoreError, WriteTx};

use super::super::card::VECTOR_SOURCE;
use super::super::model::{Maker, VectorSource};

/// Chooses the embedding model of a workspace; `None` for the local model. Choosing the same one again retries what
/// failed.
pub fn choose(tx: &mut WriteTx<'_>, maker: Option<Maker>) -> Result<VectorSource, StoreError> {
    let (connection, model, dimensions, floor) = match maker {
        Some(maker) => (Some(maker.connection), maker.model, maker.dimensions, maker.floor),
        None => (None, String::new(), 0, 0),
    };
    let (id, by, at) = (tx.new_id(), tx.by(), tx.now());
    let chosen = VectorSource { id, connection, model, dimensions, floor, by, at };
    tx.put(&chosen)?;
    tx.emit(VECTOR_SOURCE.event(&chosen.id, RowAct::Created));
    Ok(chosen)
}
