//! Orders to a feed follower that keeps its cursor beside the store, such as a file-based index. An order is stored until
//! it is carried out, so it survives any end of the program.

use serde::{Deserialize, Serialize};

use crate::WriteTx;
use crate::codec;
use crate::error::StoreError;
use crate::read::Read;
use crate::schema::builtin;
use kernel::key::KeyBuf;

/// What a follower is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// Begin from nothing.
    Anew,
    /// Go on behind an entry.
    Back {
        /// The store's life that the entry belongs to.
        incarnation: u64,
        /// The entry.
        seq: u64,
    },
}

/// What a follower is told and has not done yet.
pub fn order_for(read: &dyn Read, number: u16) -> Result<Option<Told>, StoreError> {
    match read.raw_get(builtin::REBUILDS, KeyBuf::of(&number).bytes())? {
        Some(row) => Ok(Some(codec::decode(&row)?)),
        None => Ok(None),
    }
}

/// Tells a follower what to do. Of two places the one further back counts, and to begin from nothing is further
/// than any.
pub fn tell(tx: &mut WriteTx<'_>, number: u16, new: Told) -> Result<(), StoreError> {
    let told = match (order_for(tx, number)?, new) {
        (Some(Told::Anew), _) => Told::Anew,
        (Some(old @ Told::Back { incarnation: was, seq }), Told::Back { incarnation, seq: to })
            if was == incarnation && seq < to =>
        {
            old
        }
        (_, new) => new,
    };
    tx.set(builtin::REBUILDS, KeyBuf::of(&number).into_bytes(), Some(codec::encode(&told)?))
}

/// Forgets what was carried out; what was told since stays.
pub fn obeyed(tx: &mut WriteTx<'_>, number: u16, done: Told) -> Result<(), StoreError> {
    if order_for(tx, number)? == Some(done) {
        tx.set(builtin::REBUILDS, KeyBuf::of(&number).into_bytes(), None)?;
    }
    Ok(())
}
