//! All writes to boats.

use kernel::RowAct;
use store::{ReadExt as _, StoreError, WriteTx};

use super::{BOAT, Boat, BoatId};

/// Makes a boat.
pub fn create(tx: &mut WriteTx<'_>, name: &str, size: u32) -> Result<BoatId, StoreError> {
    let boat = Boat { id: tx.new_id(), name: name.to_owned(), size, parent: None };
    tx.put(&boat)?;
    tx.emit(BOAT.event(&boat.id, RowAct::Created));
    Ok(boat.id)
}

/// Changes a boat.
///
/// # Errors
/// When it is gone, or the store fails.
pub fn change(
    tx: &mut WriteTx<'_>,
    id: BoatId,
    change: impl FnOnce(&mut Boat),
) -> Result<(), StoreError> {
    let old: Boat = tx.get(id)?.ok_or(StoreError::Stale)?;
    let mut boat = old.clone();
    change(&mut boat);
    tx.put(&boat)?;
    tx.emit(BOAT.changed(&old, &boat));
    Ok(())
}
