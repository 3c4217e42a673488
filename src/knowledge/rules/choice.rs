//! Logs choices of the embedding model.

use kernel::RowAct;
use store::WriteTx;

use crate::cards::MODEL;
use crate::error::KnowledgeError;
use crate::model::{ModelAct, ModelChoice};

/// Logs an action on a model.
pub fn note(tx: &mut WriteTx<'_>, act: ModelAct, model: String) -> Result<(), KnowledgeError> {
    let choice = ModelChoice { id: tx.new_id(), act, model, by: tx.by(), at: tx.now() };
    tx.put(&choice)?;
    tx.emit(MODEL.event(&choice.id, RowAct::Created));
    Ok(())
}
