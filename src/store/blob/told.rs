//! Which blobs a record really holds, seen while it is written.
//!
//! A kind of record names its blobs in [`crate::Record::BLOBS`]; a field that was forgotten
//! there would be swept away under it. So each name that goes by while a record is encoded is noted,
//! and the store refuses a record with one that its kind does not name. It needs no second walk over
//! the record, which no format without descriptions of itself could be asked for.

use std::cell::RefCell;

use serde::{Serialize, Serializer};

use super::BlobId;

thread_local! {
    /// The names that went by, while somebody listens.
    static TOLD: RefCell<Option<Vec<BlobId>>> = const { RefCell::new(None) };
}

impl Serialize for BlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TOLD.with_borrow_mut(|told| {
            if let Some(told) = told {
                told.push(*self);
            }
        });
        serializer.serialize_newtype_struct("BlobId", &self.0)
    }
}

/// What `encode` gives, and the names that went by.
pub(crate) fn listening<T>(encode: impl FnOnce() -> T) -> (T, Vec<BlobId>) {
    TOLD.set(Some(Vec::new()));
    let encoded = encode();
    (encoded, TOLD.take().unwrap_or_default())
}
