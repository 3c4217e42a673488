//! The journal of a change of the master key, and the rows that are sealed anew.

use kernel::{Event, JobId};
use store::{ReadExt as _, Record, StoreError, WriteTx};

use super::model::Rotation;
use super::queries;

/// Notes that another key is to take the place of this one; nothing while a change is under way.
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

/// Takes back what was noted of a change that cannot be: the key could not be put in its place.
pub fn withdraw(tx: &mut WriteTx<'_>, id: JobId) -> Result<(), StoreError> {
    tx.delete::<Rotation>(id).map(drop)
}

/// Notes that so many rows of a store were sealed anew, and when it is through also how many values open with no key.
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

/// Puts rows that are sealed anew in the place of those that are still as they were read; says how many. One that somebody
/// changed meanwhile was sealed with the present key by that.
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

/// Notes that everything is sealed anew.
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
