//! Mask patterns of the workspace: add and remove. Built-in patterns always apply.

use crypto::shapes;
use kernel::RowAct;
use kernel::text::one_line;
use store::WriteTx;

use crate::cards::MASK;
use crate::error::VaultError;
use crate::model::{Mask, MaskId};
use crate::queries;

/// Longest name, in characters.
const MAX_NAME: usize = 120;

/// Adds a pattern.
///
/// # Errors
/// If the pattern is invalid, or there are too many.
pub fn add_mask(tx: &mut WriteTx<'_>, name: &str, pattern: &str) -> Result<Mask, VaultError> {
    let (name, pattern) = (one_line(name).trim().to_owned(), pattern.trim().to_owned());
    if name.is_empty() || MAX_NAME < name.chars().count() {
        return Err(VaultError::field("name", "enter a name"));
    }
    shapes::check(&pattern).map_err(|why| VaultError::field("pattern", why))?;
    if shapes::MOST <= queries::masks(tx)?.len() {
        let most = shapes::MOST;
        return Err(VaultError::Refused(format!(
            "there are already {most} patterns; remove one \
            first"
        )));
    }
    let mask = Mask { id: tx.new_id(), name, pattern, by: tx.by(), created_at: tx.now() };
    tx.put(&mask)?;
    tx.emit(MASK.event(&mask.id, RowAct::Created));
    Ok(mask)
}

pub fn remove_mask(tx: &mut WriteTx<'_>, id: MaskId) -> Result<(), VaultError> {
    if !tx.delete::<Mask>(id)? {
        return Err(VaultError::Refused("this pattern was already removed".to_owned()));
    }
    tx.emit(MASK.event(&id, RowAct::Deleted));
    Ok(())
}
