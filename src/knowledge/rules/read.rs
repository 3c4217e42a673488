//! What was read in files.

use store::{ReadExt as _, StoreError, WriteTx};

use crate::error::KnowledgeError;
use crate::model::{Item, KnowledgeId, Reading, ReadingState};
use crate::queries;

/// So often the reading of a file is begun before it counts as failed.
const MAX_TRIES: u8 = 3;

/// Notes that a file is being read, so that one which ends the program is not begun for ever. Returns whether it is to
/// be read.
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
pub fn read_of(tx: &mut WriteTx<'_>, read: Reading) -> Result<(), StoreError> {
    // It may have gone meanwhile.
    if tx.get::<Reading>(read.item)?.is_none() {
        return Ok(());
    }
    tx.put(&Reading { at: tx.now(), tries: 0, ..read })
}

/// Whether a file is still to be read as its item wants it: nothing is known of it, or it was read in another encoding
/// than is chosen now.
#[must_use]
pub fn is_unread(item: &Item, reading: Option<&Reading>) -> bool {
    reading.is_none_or(|read| read.chosen != item.encoding && read.state != ReadingState::Waiting)
}

/// Lets files be read of which nothing is known, because an undo or a file of the workspace has brought them back, and
/// those of which an undo has changed the encoding.
pub fn read_anew(tx: &mut WriteTx<'_>, ids: &[KnowledgeId]) -> Result<(), StoreError> {
    for id in ids {
        let Some(item) = tx.get::<Item>(*id)?.filter(|item| item.file.is_some()) else { continue };
        if is_unread(&item, tx.get(*id)?.as_ref()) {
            await_reading(tx, *id)?;
        }
    }
    Ok(())
}

/// Lets a file be read in another encoding. The old words are found until the new ones are read.
pub(super) fn await_reading(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<(), StoreError> {
    let now = tx.now();
    let old = tx.get::<Reading>(id)?.unwrap_or_else(|| Reading::new(id, now));
    tx.put(&Reading { state: ReadingState::Waiting, tries: 0, at: now, ..old })
}

/// Lets a file be read again.
pub fn read_again(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<(), KnowledgeError> {
    let item = queries::item_by_id(tx, id)?;
    if item.file.is_none() {
        return Err(KnowledgeError::Refused("only files are read".to_owned()));
    }
    tx.put(&Reading::new(id, tx.now()))?;
    Ok(())
}
