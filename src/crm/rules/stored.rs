//! Writes of rows. Only rules write, so these methods are visible to rules only.

use kernel::TypedId as _;
use store::{StoreError, WriteTx};
use uuid::Uuid;

use crate::model::{Row, RowKind, Stored, StoredKind};

impl Row {
    pub(super) fn put(&self, tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
        (self.kind.put)(tx, self)
    }
}

impl RowKind {
    /// Deletes a row; returns whether it existed.
    pub(super) fn delete(&self, tx: &mut WriteTx<'_>, id: Uuid) -> Result<bool, StoreError> {
        (self.delete)(tx, id)
    }
}

pub(crate) fn put<K: StoredKind>(tx: &mut WriteTx<'_>, row: &Row) -> Result<(), StoreError> {
    tx.put(&Stored::<K>::new(row.clone()))
}

pub(crate) fn delete<K: StoredKind>(tx: &mut WriteTx<'_>, id: Uuid) -> Result<bool, StoreError> {
    tx.delete::<Stored<K>>(K::Id::from_uuid(id))
}
