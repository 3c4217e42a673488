//! What somebody has put away of what needs them.

use std::collections::HashSet;

use crate::dashboard::model::{Away, BY_UNTIL, PutAway};
use kernel::key::KeyBuf;
use kernel::{AccountId, Timestamp};
use store::{Range, Read, ReadExt as _, StoreError};

/// What is away for somebody at a moment, by its ids.
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

/// All that somebody has put away, the last one at the end; some of it may be back by now.
pub fn of(read: &dyn Read, account: AccountId) -> Result<Vec<PutAway>, StoreError> {
    Ok(read.get::<Away>(account)?.map(|away| away.rows).unwrap_or_default())
}

/// What somebody has put off, the first to come back in front.
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

/// Those of whom something comes back by this moment.
pub fn due(read: &dyn Read, now: Timestamp, limit: usize) -> Result<Vec<Away>, StoreError> {
    let end = KeyBuf::of(&(now.as_millisecond() + 1));
    read.scan(BY_UNTIL, &Range::between(KeyBuf::new(), end).limit(limit))
}

/// When the next thing comes back.
pub fn next(read: &dyn Read) -> Result<Option<Timestamp>, StoreError> {
    let first: Vec<Away> = read.scan(BY_UNTIL, &Range::all().limit(1))?;
    Ok(first.first().and_then(Away::next))
}
