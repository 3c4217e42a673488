//! Writes of master key rotation: its record, and the resealed rows.

use kernel::{Event, JobId};
use store::{ReadExt as _, Record, StoreError, WriteTx};

use super::model::Rotation;
use super::queries;

/// Records the start of a rotation. `None` if one is unfinished.
pub fn begin(
    tx: &mut WriteTx<'_>,
    (from, to): (String, String),
) -> Result<Option<Rotation>, StoreError> {
    if queries::open(tx)?.is_some() {
        return Ok(None);
    }
    let rotation = Rotation {
        id: tx.new_id(),
        from,
        to,
        by: tx.by(),
        begun_at: tx.now(),
        through: Vec::new(),
        sealed: 0,
        shut: 0,
        ended_at: None,
    };
    tx.put(&rotation)?;
    tx.emit(Event::MasterKeyChanged(rotation.to.clone(), None));
    Ok(Some(rotation))
}

/// Deletes the record of a rotation that failed because the key file could not be replaced.
pub fn withdraw(tx: &mut WriteTx<'_>, id: JobId) -> Result<(), StoreError> {
    tx.delete::<Rotation>(id).map(drop)
}

/// Records the number of resealed rows of a store and, once the store is finished, the number of undecryptable values.
pub fn note(
    tx: &mut WriteTx<'_>,
    id: JobId,
    sealed: u64,
    through: Option<(String, u64)>,
) -> Result<(), StoreError> {
    let Some(mut rotation) = tx.get::<Rotation>(id)? else { return Ok(()) };
    rotation.sealed += sealed;
    if let Some((store, shut)) = through
        && !rotation.through.contains(&store)
    {
        rotation.shut += shut;
        rotation.through.push(store);
    }
    tx.put(&rotation)
}

/// Replaces the rows that are unchanged since they were read, and returns their number. A row that changed meanwhile
/// was sealed with the current key by that change.
pub fn replace<R: Record + PartialEq>(
    tx: &mut WriteTx<'_>,
    rows: &[(R, R)],
) -> Result<u64, StoreError> {
    let mut sealed = 0;
    for (old, new) in rows {
        if tx.get::<R>(old.id())?.as_ref() == Some(old) {
            tx.put(new)?;
            sealed += 1;
        }
    }
    Ok(sealed)
}

/// Records that everything is resealed.
pub fn end(tx: &mut WriteTx<'_>, id: JobId) -> Result<(), StoreError> {
    let Some(mut rotation) = tx.get::<Rotation>(id)? else { return Ok(()) };
    if rotation.ended_at.is_some() {
        return Ok(());
    }
    rotation.ended_at = Some(tx.now());
    tx.put(&rotation)?;
    tx.emit(Event::MasterKeyChanged(rotation.to, Some(rotation.sealed)));
    Ok(())
}
