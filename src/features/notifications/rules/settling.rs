//! Marks notifications as read: for all recipients once their matter is settled, and for one person once that person
//! has opened their subject or acted on it.

use crate::notifications::model::{Fanout, NOTIFICATION_BY_ABOUT, Notification, Recipient};
use crate::notifications::queries;
use crate::workspace::queries as workspace;
use kernel::key::KeyBuf;
use kernel::{About, AccountId, NoticeKind};
use store::{Range, ReadExt, WriteTx};

use super::NotificationError;

/// Number of latest notifications per subject and kind to examine.
const LOOKED_AT: usize = 20;

/// Marks the notifications of one kind and subject as read for all recipients. Pending recipients of a fan-out are
/// dropped.
pub fn settle(
    tx: &mut WriteTx<'_>,
    about: About,
    kind: NoticeKind,
) -> Result<(), NotificationError> {
    let notices = latest(tx, about, kind)?;
    if notices.is_empty() {
        return Ok(());
    }
    let (members, now) = (workspace::members(tx)?, tx.now());
    for notice in notices {
        if tx.get::<Fanout>(notice.id)?.is_some() {
            tx.delete::<Fanout>(notice.id)?;
        }
        for member in &members {
            let row = queries::row(tx, member.account, notice.id)?;
            let Some(mut row) = row.filter(|row| row.read_at.is_none()) else { continue };
            (row.read_at, row.snoozed_until) = (Some(now), None);
            tx.put(&row)?;
        }
    }
    Ok(())
}

/// Marks the actor's unread notifications whose page is `path`, below the workspace, as read. Those that wait for a
/// decision stay. Returns their number.
///
/// # Errors
/// If the actor is no person.
pub fn opened(tx: &mut WriteTx<'_>, path: &str) -> Result<usize, NotificationError> {
    let member = tx.by().account().ok_or(NotificationError::NoPerson)?;
    let rows = queries::unread_at(tx, (member, tx.now()), path)?;
    read(tx, rows)
}

/// Marks a person's displayed unread notifications of these kinds about a subject as read, because the person acted on
/// it. Reads only the latest notifications of the subject, because one transaction may change hundreds of subjects.
pub fn acted(
    tx: &mut WriteTx<'_>,
    member: AccountId,
    about: About,
    kinds: &[NoticeKind],
) -> Result<(), NotificationError> {
    let now = tx.now();
    let mut rows = Vec::new();
    for kind in kinds {
        for notice in latest(tx, about, *kind)? {
            let row = queries::row(tx, member, notice.id)?;
            rows.extend(row.filter(|row| row.read_at.is_none() && row.is_shown(now)));
        }
    }
    read(tx, rows).map(drop)
}

/// The latest notifications of one kind and subject, newest first.
fn latest(
    tx: &WriteTx<'_>,
    about: About,
    kind: NoticeKind,
) -> Result<Vec<Notification>, NotificationError> {
    let mut prefix = KeyBuf::of(&about);
    prefix.u8(kind as u8);
    let range = Range::prefix(prefix).reverse().limit(LOOKED_AT);
    Ok(tx.scan(NOTIFICATION_BY_ABOUT, &range)?)
}

fn read(tx: &mut WriteTx<'_>, rows: Vec<Recipient>) -> Result<usize, NotificationError> {
    let (count, now) = (rows.len(), tx.now());
    for mut row in rows {
        (row.read_at, row.snoozed_until) = (Some(now), None);
        tx.put(&row)?;
    }
    Ok(count)
}
