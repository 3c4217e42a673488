//! Rules of text extraction.

use store::{ReadExt as _, StoreError, WriteTx};

use crate::error::KnowledgeError;
use crate::model::{Item, KnowledgeId, Reading, ReadingState};
use crate::queries;

/// Number of attempts before extraction counts as failed.
const MAX_TRIES: u8 = 3;

/// Records an attempt, so that a file that crashes the process is not retried forever. Returns whether to read the
/// file.
pub fn begin_reading(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<bool, StoreError> {
    let Some(old) = tx.get::<Reading>(id)? else { return Ok(false) };
    if old.state != ReadingState::Waiting {
        return Ok(false);
    }
    let tries = old.tries.saturating_add(1);
    let state = match MAX_TRIES < tries {
        true => ReadingState::Failed("Reading this file has crashed HQ several times.".to_owned()),
        false => ReadingState::Waiting,
    };
    let goes_on = state == ReadingState::Waiting;
    tx.put(&Reading { state, tries, at: tx.now(), ..old })?;
    Ok(goes_on)
}

/// Stores the result of an extraction.
pub fn read_of(tx: &mut WriteTx<'_>, read: Reading) -> Result<(), StoreError> {
    // The item may have been deleted in the meantime.
    if tx.get::<Reading>(read.item)?.is_none() {
        return Ok(());
    }
    tx.put(&Reading { at: tx.now(), tries: 0, ..read })
}

/// Whether a file must be read: it was never read, or it was read in another encoding than the selected one.
#[must_use]
pub fn is_unread(item: &Item, reading: Option<&Reading>) -> bool {
    reading.is_none_or(|read| read.chosen != item.encoding && read.state != ReadingState::Waiting)
}

/// Queues files that were never read, because an undo or an import restored them, and files whose encoding an undo
/// changed.
pub fn read_anew(tx: &mut WriteTx<'_>, ids: &[KnowledgeId]) -> Result<(), StoreError> {
    for id in ids {
        let Some(item) = tx.get::<Item>(*id)?.filter(|item| item.file.is_some()) else { continue };
        if is_unread(&item, tx.get(*id)?.as_ref()) {
            await_reading(tx, *id)?;
        }
    }
    Ok(())
}

/// Queues a file for another encoding. The old text stays searchable until the new one is extracted.
pub(super) fn await_reading(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<(), StoreError> {
    let now = tx.now();
    let old = tx.get::<Reading>(id)?.unwrap_or_else(|| Reading::new(id, now));
    tx.put(&Reading { state: ReadingState::Waiting, tries: 0, at: now, ..old })
}

/// Queues a file to be read again.
pub fn read_again(tx: &mut WriteTx<'_>, id: KnowledgeId) -> Result<(), KnowledgeError> {
    let item = queries::item_by_id(tx, id)?;
    if item.file.is_none() {
        return Err(KnowledgeError::Refused("only files can be read".to_owned()));
    }
    tx.put(&Reading::new(id, tx.now()))?;
    Ok(())
}
