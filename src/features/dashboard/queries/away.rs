//! Reads of hidden dashboard items.

use std::collections::HashSet;

use crate::dashboard::model::{Away, BY_UNTIL, PutAway};
use kernel::key::KeyBuf;
use kernel::{AccountId, Timestamp};
use store::{Range, Read, ReadExt as _, StoreError};

/// Ids of the items hidden for a person at a moment.
pub(super) struct Hidden(HashSet<String>);

impl Hidden {
    pub(super) fn read(
        read: &dyn Read,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let away = of(read, account)?.into_iter().filter(|row| row.is_away(now));
        Ok(Self(away.flat_map(|row| row.with.into_iter().chain([row.need])).collect()))
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains(id)
    }
}

/// All hidden items of a person, last hidden at the end. Snoozes of some may have ended.
pub fn of(read: &dyn Read, account: AccountId) -> Result<Vec<PutAway>, StoreError> {
    Ok(read.get::<Away>(account)?.map(|away| away.rows).unwrap_or_default())
}

/// Snoozed items of a person, next to return first.
pub fn put_off(
    read: &dyn Read,
    account: AccountId,
    now: Timestamp,
) -> Result<Vec<(PutAway, Timestamp)>, StoreError> {
    let rows = of(read, account)?.into_iter().filter(|row| row.is_away(now));
    let mut rows: Vec<_> = rows.filter_map(|row| row.until.map(|until| (row, until))).collect();
    rows.sort_by_key(|(_, until)| *until);
    Ok(rows)
}

/// Rows with a snooze that ends by this moment.
pub fn due(read: &dyn Read, now: Timestamp, limit: usize) -> Result<Vec<Away>, StoreError> {
    let end = KeyBuf::of(&(now.as_millisecond() + 1));
    read.scan(BY_UNTIL, &Range::between(KeyBuf::new(), end).limit(limit))
}

/// End of the next snooze.
pub fn next(read: &dyn Read) -> Result<Option<Timestamp>, StoreError> {
    let first: Vec<Away> = read.scan(BY_UNTIL, &Range::all().limit(1))?;
    Ok(first.first().and_then(Away::next))
}
