//! Writes of visits. Only the live stream of a page calls them; a page request writes nothing.

use super::model::{AWAY, STEP, Visit};
use kernel::{AccountId, Timestamp};
use store::{Read, ReadExt as _, StoreError, WriteTx};

/// Returns `true` if opening or closing a page now must be recorded.
pub fn is_news(read: &dyn Read, account: AccountId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(read.get::<Visit>(account)?.is_none_or(|visit| visit.seen_at + STEP <= now))
}

/// Records that a page was opened.
pub fn come(tx: &mut WriteTx<'_>, account: AccountId) -> Result<(), StoreError> {
    let now = tx.now();
    let since = match tx.get::<Visit>(account)? {
        Some(visit) if visit.seen_at + AWAY <= now => Some(visit.seen_at),
        Some(visit) => visit.since,
        None => None,
    };
    tx.put(&Visit { account, seen_at: now, since })
}

/// Records that a page was closed, which was open until now.
pub fn end_visit(tx: &mut WriteTx<'_>, account: AccountId) -> Result<(), StoreError> {
    let now = tx.now();
    match tx.get::<Visit>(account)? {
        Some(visit) => tx.put(&Visit { seen_at: now, ..visit }),
        None => Ok(()),
    }
}

/// Dismisses the activity since the last visit.
pub fn put_away(tx: &mut WriteTx<'_>, account: AccountId) -> Result<(), StoreError> {
    let now = tx.now();
    tx.put(&Visit { account, seen_at: now, since: None })
}
