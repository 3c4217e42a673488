//! Ids of calls that are booked: each tells what was held back for its call, so that none is booked twice, whoever says it.

use jiff::SignedDuration;

use crate::usage::model::Usage;
use kernel::{ReservationId, TypedId as _, UsageId};
use store::{ReadExt as _, StoreError, WriteTx};

/// So many bytes of an id say when it was made.
const MOMENT: usize = 6;

/// The id of a call that is booked now: it ends as the one by which its money was held back.
pub(super) fn id(tx: &WriteTx<'_>, held: ReservationId) -> Result<UsageId, StoreError> {
    let mut at = tx.now();
    loop {
        let id = at_moment(UsageId::first_at(at), held);
        if tx.get::<Usage>(id)?.is_none() {
            return Ok(id);
        }
        // It was booked at this very moment, and is once more.
        at += SignedDuration::from_millis(1);
    }
}

fn at_moment(first: UsageId, held: ReservationId) -> UsageId {
    let mut bytes = held.uuid().into_bytes();
    bytes[..MOMENT].copy_from_slice(&first.uuid().as_bytes()[..MOMENT]);
    UsageId::from_bytes(bytes)
}

/// Whether this is the id of a call for which that was held back.
pub(super) fn is_of(usage: UsageId, held: ReservationId) -> bool {
    usage.uuid().as_bytes()[MOMENT..] == held.uuid().as_bytes()[MOMENT..]
}

#[cfg(test)]
mod tests {
    use super::{ReservationId, UsageId, at_moment, is_of};
    use kernel::TypedId as _;
    use kernel::time::from_ms;

    #[test]
    fn an_id_tells_when_a_call_was_booked_and_what_was_held_back_for_it() {
        let held = [7, 8].map(|n| ReservationId::from_bytes([n; 16]));
        let at = [1_700_000_000_000, 1_700_000_000_001].map(|ms| UsageId::first_at(from_ms(ms)));
        let ids = at.map(|first| at_moment(first, held[0]));
        assert!(at[0] < ids[0] && ids[0] < at[1] && at[1] < ids[1]);
        assert!(ids.iter().all(|id| is_of(*id, held[0]) && !is_of(*id, held[1])));
    }
}
