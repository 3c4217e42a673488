//! Time of the last contact with each contact, kept in the store's in-memory columns.

use std::collections::HashMap;

use features::tasks::queries::due::day;
use jiff::civil::Date;
use store::columns::Column as Kept;
use store::{Read, StoreError};

use crate::list::Around;
use crate::model::{ContactId, Talk, TalkId};

/// Contacts with a last contact: Unix time in milliseconds.
pub(crate) type Touched = HashMap<ContactId, i64>;

/// The cached part of an interaction.
struct Touch {
    id: TalkId,
    contact: Option<ContactId>,
    at: i64,
}

impl Kept for Touch {
    type Of = Talk;
    type Shared = ();
    fn of(talk: &Talk, (): &mut ()) -> Self {
        let contact = talk.contact.filter(|_| talk.kind.is_touch());
        Self { id: talk.id, contact, at: talk.occurred_at.as_millisecond() }
    }
    fn id(&self) -> TalkId {
        self.id
    }
}

/// Time of the last contact with each contact; notes do not count.
pub(crate) fn all(read: &dyn Read) -> Result<Touched, StoreError> {
    let Some(columns) = read.columns() else { return Ok(Touched::default()) };
    columns.with::<Touch, _>(|talks, ()| {
        let mut touched = Touched::new();
        for talk in talks {
            if let Some(contact) = talk.contact {
                let last = touched.entry(contact).or_insert(talk.at);
                *last = (*last).max(talk.at);
            }
        }
        touched
    })
}

/// Days from a time to today, in the requester's time zone.
pub(crate) fn days_since(at: i64, around: &Around<'_>) -> f64 {
    days_between(day(kernel::time::from_ms(at), &around.zone), around)
}

/// Days from a date to today.
pub(crate) fn days_between(then: Date, around: &Around<'_>) -> f64 {
    // ok: calendar days never overflow.
    around.today.since(then).map_or(0.0, |span| f64::from(span.get_days()))
}
