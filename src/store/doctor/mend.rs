//! Repairs doctor's differences, in pieces. Each row is checked again inside its transaction, so later changes by
//! others are never undone.

use crate::codec;
use crate::consumer;
use crate::error::StoreError;
use crate::read::{Read, read_sum};
use crate::schema::builtin;
use crate::{Lane, Store, WriteTx};
use kernel::{Actor, Cause, Event};

use super::{Diagnosis, Fix, derived, held, is_made};

/// How many rows one transaction repairs.
const PIECE: usize = 500;
/// Key of the row with the entry at which sums were last repaired.
const SUMS: &[u8] = b"sums_mended";

/// Repairs the differences and sets the number of repaired rows in the diagnosis.
pub async fn mend(
    store: &Store,
    (actor, cause): (Actor, Cause),
    found: &mut Diagnosis,
) -> Result<(), StoreError> {
    let fixes = std::mem::take(&mut found.fixes);
    let mut own = 0;
    for piece in fixes.chunks(PIECE) {
        let (piece, before) = (piece.to_vec(), own);
        let mended =
            store.write_in(Lane::Second, actor, cause, move |tx| mend_piece(tx, piece, before));
        let (mended, sums_at) = mended.await?;
        found.mended += mended;
        own = sums_at.unwrap_or(own);
    }
    Ok(())
}

/// Repairs what still differs; returns how many rows, and the entry at which sums were repaired. `own` is that entry of
/// the previous piece.
fn mend_piece(
    tx: &mut WriteTx<'_>,
    fixes: Vec<Fix>,
    own: u64,
) -> Result<(u64, Option<u64>), StoreError> {
    let kept = tx.raw_get(builtin::META, SUMS)?;
    let last: u64 = kept.map_or(Ok(0), |kept| codec::decode(&kept))?;
    let (mut mended, mut sums_at) = (0, None);
    for fix in fixes {
        mended += u64::from(match fix {
            // Another repair of sums came first, so the difference no longer applies.
            Fix::Sum { at, .. } if at < last && last != own => false,
            Fix::Sum { table, key, by, .. } => {
                let there = tx.raw_get(table, &key)?.map_or(0, |value| read_sum(&value));
                let right = there.wrapping_add(by);
                tx.set_beside(table, key, (right != 0).then(|| right.to_be_bytes().to_vec()))?;
                sums_at = Some(tx.own_rev());
                true
            }
            Fix::Rebuild { number } => consumer::rebuild_once(tx, number)?,
            Fix::Row { table, key, value, owner } => row(tx, (table, key), value, owner)?,
        });
    }
    if let Some(at) = sums_at {
        tx.set(builtin::META, SUMS.to_vec(), Some(codec::encode(&at)?))?;
    }
    if mended > 0 {
        tx.emit(Event::StoreMended { rows: u32::try_from(mended).unwrap_or(u32::MAX) });
    }
    Ok((mended, sums_at))
}

/// Repairs the tombstone of a deleted record.
fn mark(tx: &mut WriteTx<'_>, key: Vec<u8>, value: Vec<u8>) -> Result<bool, StoreError> {
    let there = tx.raw_get(builtin::TOMBSTONES, &key)?;
    let stands = match &there {
        Some(there) => held::is_right(tx, &key, there)?,
        None => false,
    };
    let wanted = held::is_right(tx, &key, &value)?;
    // The last deletion counts; big-endian numbers compare like their bytes.
    let new = match (wanted, stands) {
        (true, true) if there.as_ref().is_some_and(|there| value <= *there) => return Ok(false),
        (true, _) => Some(value),
        (false, false) if there.as_ref() == Some(&value) => None,
        (false, _) => return Ok(false),
    };
    tx.set_beside(builtin::TOMBSTONES, key, new)?;
    Ok(true)
}

fn row(
    tx: &mut WriteTx<'_>,
    (table, key): (u16, Vec<u8>),
    value: Vec<u8>,
    owner: Option<(u16, Vec<u8>)>,
) -> Result<bool, StoreError> {
    if table == builtin::TOMBSTONES {
        return mark(tx, key, value);
    }
    let schema = tx.schema();
    let makes = match (&owner, table) {
        (None, builtin::BLOB_REFS) => held::holds(tx, schema, &key)?.unwrap_or(false),
        (None, builtin::REFS) => is_made(tx, schema, &key)?,
        (None, _) => false,
        (Some((of, own)), _) => derived(tx, schema, *of, own)?.is_some_and(|made| match table {
            builtin::REFS => made.refs.iter().any(|one| one.row_key(*of, own) == key),
            _ => made.index.iter().any(|(i, k, v)| i.number == table && *k == key && *v == value),
        }),
    };
    let there = tx.raw_get(table, &key)?;
    // An index row that belongs to another record by now must stay.
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
