//! Feed consumer for notifications: handles the remaining pages of fan-outs and queues deliveries for new rows.
//! `sending` sends them.

use jiff::SignedDuration;

use kernel::NotificationId;
use kernel::key::decode;
use store::consumer::{Consume, ConsumeError};
use store::{Entry, Op, Range, ReadExt, WriteTx};

use super::model::{FANOUTS, Fanout, NOTIFICATIONS, RECIPIENTS, Recipient};
use super::rules::{self, NotificationError, sending};

/// Consumer number. Never reused.
const NUMBER: u16 = 24;
/// Older notifications are not sent, so that a workspace that was offline for long sends nothing outdated.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

pub struct Outbound;

impl From<NotificationError> for ConsumeError {
    fn from(error: NotificationError) -> Self {
        match error {
            NotificationError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Consume for Outbound {
    fn number(&self) -> u16 {
        NUMBER
    }

    fn name(&self) -> &'static str {
        "notifications-out"
    }

    fn concerns(&self, entry: &Entry) -> bool {
        let ours = |table: u16| table == NOTIFICATIONS.number || table == FANOUTS.number;
        entry.changes.iter().any(|change| ours(change.table))
    }

    fn repeats(&self) -> bool {
        // Notifications must not be sent twice.
        false
    }

    fn reborn(&self, tx: &mut WriteTx<'_>) -> Result<(), ConsumeError> {
        // Continue fan-outs that were in progress. Each next page is an entry.
        for fanout in tx.list::<Fanout>(&Range::all())? {
            rules::fan_out(tx, fanout.notification)?;
        }
        Ok(())
    }

    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        let of = |table: u16| entry.changes.iter().filter(move |change| change.table == table);
        for change in of(FANOUTS.number).filter(|change| change.op != Op::Delete) {
            if let Some(id) = decode::<NotificationId>(&change.key) {
                rules::fan_out(tx, id)?;
            }
        }
        if kernel::time::from_ms(entry.at) + FRESH < tx.now() {
            return Ok(());
        }
        let news = of(NOTIFICATIONS.number).filter(|change| change.op == Op::Insert);
        let news: Vec<NotificationId> =
            news.filter_map(|change| decode::<NotificationId>(&change.key)).collect();
        for change in of(RECIPIENTS.number).filter(|_| !news.is_empty()) {
            let Some(key) = decode(&change.key) else { continue };
            let Some(row) = tx.get::<Recipient>(key)? else { continue };
            if row.read_at.is_some() {
                continue;
            }
            // Another notification may have been merged into the row before this entry was handled.
            let new =
                sending::New { first: news.contains(&row.first), last: news.contains(&row.last) };
            sending::queue(tx, &row, new)?;
        }
        Ok(())
    }
}
