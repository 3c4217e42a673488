//! What was read in files.

use store::{ReadExt as _, StoreError, WriteTx};

use crate::error::KnowledgeError;
use crate::model::{Item, KnowledgeId, Reading, ReadingState};
use crate::queries;

/// So often the reading of a file is begun before it counts as failed.
const MAX_TRIES: u8 = 3;

/// Notes that a file is being read, so that one which ends the program is not begun for ever. Returns whether it is to
/// be read.
///
/// # Errors
/// When the store fails.
pub fn begin_reading(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<bool, StoreError> {
    let Some(old) = tx.get::<Reading>(id)? else { return Ok(false) };
    if old.state != ReadingState::Waiting {
        return Ok(false);
    }
    let tries = old.tries.saturating_add(1);
    let state = match MAX_TRIES < tries {
        true => ReadingState::Failed("Reading it has ended HQ several times.".to_owned()),
        false => ReadingState::Waiting,
    };
    let goes_on = state == ReadingState::Waiting;
    tx.put(&Reading { state, tries, at: tx.now(), ..old })?;
    Ok(goes_on)
}

/// Keeps what was read in a file.
///
/// # Errors
/// When the store fails.
pub fn read_of(tx: &mut WriteTx<'_>, read: Reading) -> Result<(), StoreError> {
    // It may have gone meanwhile.
    if tx.get::<Reading>(read.item)?.is_none() {
        return Ok(());
    }
    tx.put(&Reading { at: tx.now(), tries: 0, ..read })
}

/// Lets files be read of which nothing is known: an undo or a file of the workspace has brought them back.
///
/// # Errors
/// When the store fails.
pub fn read_anew(tx: &mut WriteTx<'_>, ids: &[KnowledgeId]) -> Result<(), StoreError> {
    for id in ids {
        let has_file = tx.get::<Item>(*id)?.is_some_and(|item| item.file.is_some());
        if has_file && tx.get::<Reading>(*id)?.is_none() {
            tx.put(&Reading::new(*id, tx.now()))?;
        }
    }
    Ok(())
}

/// Lets a file be read again.
///
/// # Errors
/// When there is no such file.
pub fn read_again(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<(), KnowledgeError> {
    let item = queries::item_by_id(tx, id)?;
    if item.file.is_none() {
        return Err(KnowledgeError::Refused("only files are read".to_owned()));
    }
    tx.put(&Reading::new(id, tx.now()))?;
    Ok(())
}
