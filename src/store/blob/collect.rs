//! Collects the blobs of a record while it is encoded.
//!
//! A record type declares its blobs in [`crate::Record::BLOBS`]. The blob of a forgotten field would be swept, so the
//! store refuses a record that contains an undeclared one. Collecting during encoding avoids a second walk over the
//! record, which the record format does not support.

use std::cell::RefCell;

use serde::{Serialize, Serializer};

use super::BlobId;

thread_local! {
    /// The ids encoded so far, while a collection is active.
    static TOLD: RefCell<Option<Vec<BlobId>>> = const { RefCell::new(None) };
}

impl Serialize for BlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TOLD.with_borrow_mut(|listed| {
            if let Some(listed) = listed {
                listed.push(*self);
            }
        });
        serializer.serialize_newtype_struct("BlobId", &self.0)
    }
}

/// Returns the result of `encode` and the ids encoded meanwhile.
pub(crate) fn listening<T>(encode: impl FnOnce() -> T) -> (T, Vec<BlobId>) {
    TOLD.set(Some(Vec::new()));
    let encoded = encode();
    (encoded, TOLD.take().unwrap_or_default())
}
