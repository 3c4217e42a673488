//! Putting right what doctor found, in pieces. Each row is looked at again inside its transaction: what
//! others did meanwhile is never undone.

use crate::kernel::{Actor, Cause, Event};
use crate::store::consumer;
use crate::store::error::StoreError;
use crate::store::read::{Read, read_sum};
use crate::store::schema::builtin;
use crate::store::{Lane, Store, WriteTx};

use super::{Diagnosis, Fix, derived, is_made};

/// How many rows go in one transaction.
const PIECE: usize = 500;

/// Puts right what differs; notes in the diagnosis how many rows that were.
///
/// # Errors
/// When the store refuses.
pub async fn mend(
    store: &Store,
    (actor, cause): (Actor, Cause),
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    let fixes: Vec<Fix> = found.differences.iter().filter_map(|one| one.fix.clone()).collect();
    for piece in fixes.chunks(PIECE) {
        let piece = piece.to_vec();
        let mended = store.write_in(Lane::Second, actor, cause, move |tx| mend_piece(tx, piece));
        found.mended += mended.await?;
    }
    Ok(())
}

fn mend_piece(tx: &mut WriteTx<'_>, fixes: Vec<Fix>) -> Result<u64, StoreError> {
    let mut mended = 0;
    for fix in fixes {
        mended += u64::from(match fix {
            Fix::Sum { table, key, by } => {
                let there = tx.raw_get(table, &key)?.map_or(0, |value| read_sum(&value));
                let right = there.wrapping_add(by);
                tx.set_beside(table, key, (right != 0).then(|| right.to_be_bytes().to_vec()))?;
                true
            }
            Fix::Rebuild { number } => consumer::rebuild_once(tx, number)?,
            Fix::Row { table, key, value, owner } => row(tx, (table, key), value, owner)?,
        });
    }
    if mended > 0 {
        tx.emit(Event::StoreMended { rows: u32::try_from(mended).unwrap_or(u32::MAX) });
    }
    Ok(mended)
}

fn row(
    tx: &mut WriteTx<'_>,
    (table, key): (u16, Vec<u8>),
    value: Vec<u8>,
    owner: Option<(u16, Vec<u8>)>,
) -> Result<bool, StoreError> {
    let schema = tx.schema();
    let makes = match (&owner, table) {
        (None, builtin::REFS) => is_made(tx, schema, &key)?,
        (None, _) => false,
        (Some((of, own)), _) => derived(tx, schema, *of, own)?.is_some_and(|made| match table {
            builtin::REFS => made.refs.iter().any(|one| one.row_key(*of, own) == key),
            _ => made.index.iter().any(|(i, k, v)| i.number == table && *k == key && *v == value),
        }),
    };
    let there = tx.raw_get(table, &key)?;
    // Of an index row that stands for another record by now, nothing is to be taken away.
    let other = there.as_ref().is_some_and(|there| *there != value);
    match (makes, there.is_some()) {
        (true, true) if !other => Ok(false),
        (true, _) => {
            tx.set_beside(table, key, Some(value))?;
            Ok(true)
        }
        (false, true) if !other => {
            tx.set_beside(table, key, None)?;
            Ok(true)
        }
        (false, _) => Ok(false),
    }
}
