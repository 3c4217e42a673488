//! Rules for writes of agents: recorded before the request is sent, completed after it.

use connect::Hash;
use jiff::SignedDuration;
use store::{ReadExt as _, StoreError, WriteTx};

use crate::error::SourceError;
use crate::model::{SourceId, Status, Write, WriteId, WriteState};
use crate::queries;

/// Writes of an agent to a source per hour.
const PER_HOUR: usize = 30;

/// Records a write before it is sent.
///
/// # Errors
/// If the source is read-only, denies access, or was written to too often.
pub fn begin_write(
    tx: &mut WriteTx<'_>,
    source: SourceId,
    place: &str,
    (base, hash): (Option<Hash>, Hash),
) -> Result<Write, SourceError> {
    let found = queries::source_by_id(tx, source)?;
    if !found.writable {
        return Err(SourceError::Refused(format!(
            "{} is read-only; a person can let agents write to it",
            found.name
        )));
    }
    if queries::standing(tx, source, tx.now())?.status == Status::Expired {
        return Err(SourceError::Refused(format!("HQ currently has no access to {}", found.name)));
    }
    let (by, now) = (tx.by(), tx.now());
    let hour = now - SignedDuration::from_hours(1);
    let of_hour = queries::writes(tx, source, PER_HOUR * 20)?;
    let own = of_hour.iter().filter(|one| hour < one.at && one.by.agent() == by.agent());
    if PER_HOUR <= own.count() {
        return Err(SourceError::Refused(format!(
            "you have written to {} {PER_HOUR} times within an hour; continue later",
            found.name
        )));
    }
    let write = Write {
        source,
        id: tx.new_id::<WriteId>(),
        place: kernel::text::ellipsis(place, 500),
        by,
        cause: tx.cause(),
        base,
        hash,
        state: WriteState::Sent,
        at: now,
    };
    tx.put(&write)?;
    Ok(write)
}

/// Records the result of a write.
pub fn end_write(tx: &mut WriteTx<'_>, write: Write, state: WriteState) -> Result<(), StoreError> {
    // The source may be removed meanwhile.
    match tx.get::<Write>((write.source, write.id))? {
        Some(_) => tx.put(&Write { state, ..write }),
        None => Ok(()),
    }
}
