//! Orders to a feed follower that keeps its cursor outside of the store, such as a file-based index. An order is stored
//! until it is carried out, so it survives a crash.

use serde::{Deserialize, Serialize};

use crate::WriteTx;
use crate::codec;
use crate::error::StoreError;
use crate::read::Read;
use crate::schema::builtin;
use kernel::key::KeyBuf;

/// An order to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// Start from nothing.
    Anew,
    /// Continue after an entry.
    Back {
        /// The incarnation that the entry belongs to.
        incarnation: u64,
        /// Number of the entry.
        seq: u64,
    },
}

/// The pending order of a follower, if any.
pub fn order_for(read: &dyn Read, number: u16) -> Result<Option<Told>, StoreError> {
    match read.raw_get(builtin::REBUILDS, KeyBuf::of(&number).bytes())? {
        Some(row) => Ok(Some(codec::decode(&row)?)),
        None => Ok(None),
    }
}

/// Gives an order to a follower. Of two orders the one further back wins; starting from nothing is the furthest.
pub fn tell(tx: &mut WriteTx<'_>, number: u16, new: Told) -> Result<(), StoreError> {
    let order = match (order_for(tx, number)?, new) {
        (Some(Told::Anew), _) => Told::Anew,
        (Some(old @ Told::Back { incarnation: was, seq }), Told::Back { incarnation, seq: to })
            if was == incarnation && seq < to =>
        {
            old
        }
        (_, new) => new,
    };
    tx.set(builtin::REBUILDS, KeyBuf::of(&number).into_bytes(), Some(codec::encode(&order)?))
}

/// Removes an order that was carried out; a newer order stays.
pub fn obeyed(tx: &mut WriteTx<'_>, number: u16, done: Told) -> Result<(), StoreError> {
    if order_for(tx, number)? == Some(done) {
        tx.set(builtin::REBUILDS, KeyBuf::of(&number).into_bytes(), None)?;
    }
    Ok(())
}
