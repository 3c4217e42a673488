//! Marks notifications as read once their matter is settled.

use crate::notifications::model::{Fanout, NOTIFICATION_BY_ABOUT, Notification};
use crate::notifications::queries;
use crate::workspace::queries as workspace;
use kernel::key::KeyBuf;
use kernel::{About, NoticeKind};
use store::{Range, ReadExt, WriteTx};

use super::NotificationError;

/// Number of latest notifications per subject to examine.
const LOOKED_AT: usize = 20;

/// Marks the notifications of one kind and subject as read for all recipients. Pending recipients of a fan-out are
/// dropped.
pub fn settle(
    tx: &mut WriteTx<'_>,
    about: About,
    kind: NoticeKind,
) -> Result<(), NotificationError> {
    let mut prefix = KeyBuf::of(&about);
    prefix.u8(kind as u8);
    let range = Range::prefix(prefix).reverse().limit(LOOKED_AT);
    let notices: Vec<Notification> = tx.scan(NOTIFICATION_BY_ABOUT, &range)?;
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
