//! Feed consumer for notifications: sends a decision card for each one that asks for a decision, sends the others to
//! people who want them on a channel, and closes cards that were decided elsewhere.

use features::deliverables::model::DELIVERABLES;
use features::notifications::model::{FANOUTS, NOTIFICATIONS, Notification, RECIPIENTS, Recipient};
use features::runs::model::{PARKS, RUNS};
use features::trust::model::APPROVALS;
use jiff::SignedDuration;
use kernel::key::decode;
use kernel::{Error, NotificationId};
use store::consumer::{Consume, ConsumeError};
use store::{Entry, Op, ReadExt as _, WriteTx};

use crate::model::PEOPLE;
use crate::rules;

/// Consumer number. Never reused.
const NUMBER: u16 = 47;
/// Older notifications are not sent, because their questions may be outdated after a long time offline.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

pub struct Cards;

fn refused(error: Error) -> ConsumeError {
    ConsumeError::Refused(error.to_string())
}

impl Consume for Cards {
    fn number(&self) -> u16 {
        NUMBER
    }

    fn name(&self) -> &'static str {
        "channel-cards"
    }

    fn concerns(&self, entry: &Entry) -> bool {
        let tables = [NOTIFICATIONS, FANOUTS, APPROVALS, PARKS, RUNS, DELIVERABLES, PEOPLE];
        entry.changes.iter().any(|change| tables.iter().any(|table| table.number == change.table))
    }

    fn repeats(&self) -> bool {
        // A repeated step would ask people twice.
        false
    }

    fn reborn(&self, _: &mut WriteTx<'_>) -> Result<(), ConsumeError> {
        Ok(())
    }

    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        rules::close_decided(tx, &entry.changes).map_err(refused)?;
        if kernel::time::from_ms(entry.at) + FRESH < tx.now() {
            return Ok(());
        }
        let of = |table: u16| entry.changes.iter().filter(move |change| change.table == table);
        let news = of(NOTIFICATIONS.number).filter(|change| change.op == Op::Insert);
        let news: Vec<NotificationId> =
            news.filter_map(|change| decode::<NotificationId>(&change.key)).collect();
        let is_new = !news.is_empty() || of(FANOUTS.number).next().is_some();
        for change in of(RECIPIENTS.number).filter(|_| is_new) {
            let Some(key) = decode(&change.key) else { continue };
            let Some(row) = tx.get::<Recipient>(key)? else { continue };
            if row.read_at.is_none() && change.op == Op::Insert {
                rules::notify(tx, &row).map_err(refused)?;
            }
            let Some(notification) = tx.get::<Notification>(row.last)? else { continue };
            if row.read_at.is_none() && news.contains(&row.last) {
                rules::offer(tx, &row, &notification).map_err(refused)?;
            }
        }
        Ok(())
    }
}
