//! Writes when people were here. Only the live stream of a page calls them: a look alone writes nothing.

use super::model::{AWAY, STEP, Visit};
use kernel::{AccountId, Timestamp};
use store::{Read, ReadExt as _, StoreError, WriteTx};

/// Whether a page that opens or closes at this moment says something new about its person.
pub fn is_news(read: &dyn Read, account: AccountId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(read.get::<Visit>(account)?.is_none_or(|visit| visit.seen_at + STEP <= now))
}

/// Somebody has opened a page.
pub fn come(tx: &mut WriteTx<'_>, account: AccountId) -> Result<(), StoreError> {
    let now = tx.now();
    let since = match tx.get::<Visit>(account)? {
        Some(visit) if visit.seen_at + AWAY <= now => Some(visit.seen_at),
        Some(visit) => visit.since,
        None => None,
    };
    tx.put(&Visit { account, seen_at: now, since })
}

/// Somebody has closed a page, which was open until now.
pub fn leave(tx: &mut WriteTx<'_>, account: AccountId) -> Result<(), StoreError> {
    let now = tx.now();
    match tx.get::<Visit>(account)? {
        Some(visit) => tx.put(&Visit { seen_at: now, ..visit }),
        None => Ok(()),
    }
}

/// What happened since the last visit is told no more, until the next.
pub fn put_away(tx: &mut WriteTx<'_>, account: AccountId) -> Result<(), StoreError> {
    let now = tx.now();
    tx.put(&Visit { account, seen_at: now, since: None })
}
