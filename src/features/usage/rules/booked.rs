//! Ids of booked calls. Each id contains its reservation's id, so that no call is booked twice, whoever reports it.

use jiff::SignedDuration;

use crate::usage::model::Usage;
use kernel::{ReservationId, TypedId as _, UsageId};
use store::{ReadExt as _, StoreError, WriteTx};

/// Length of an id's timestamp in bytes.
const MOMENT: usize = 6;

/// Id for a call booked now: the current time, then the end of its reservation's id.
pub(super) fn id(tx: &WriteTx<'_>, held: ReservationId) -> Result<UsageId, StoreError> {
    let mut at = tx.now();
    loop {
        let id = at_moment(UsageId::first_at(at), held);
        if tx.get::<Usage>(id)?.is_none() {
            return Ok(id);
        }
        // The same call was booked in this millisecond.
        at += SignedDuration::from_millis(1);
    }
}

fn at_moment(first: UsageId, held: ReservationId) -> UsageId {
    let mut bytes = held.uuid().into_bytes();
    bytes[..MOMENT].copy_from_slice(&first.uuid().as_bytes()[..MOMENT]);
    UsageId::from_bytes(bytes)
}

/// Whether a booked call belongs to this reservation.
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
