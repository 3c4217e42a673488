//! When somebody was in touch with each contact last, kept in memory by the store's columns.

use std::collections::HashMap;

use features::tasks::queries::due::day;
use jiff::civil::Date;
use store::columns::Column as Kept;
use store::{Read, StoreError};

use crate::list::Around;
use crate::model::{ContactId, Talk, TalkId};

/// The contacts with whom anybody ever was in touch: when that was last, in milliseconds.
pub(crate) type Touched = HashMap<ContactId, i64>;

/// What is kept of a talk.
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

/// When somebody was in touch with each contact last; a note alone is no touch.
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

/// The days from a moment to today, as the asker counts days.
pub(crate) fn days_since(at: i64, around: &Around<'_>) -> f64 {
    days_between(day(kernel::time::from_ms(at), &around.zone), around)
}

/// The days from a day to today.
pub(crate) fn days_between(then: Date, around: &Around<'_>) -> f64 {
    // ok: days of a calendar are never so far apart that their number is lost.
    around.today.since(then).map_or(0.0, |span| f64::from(span.get_days()))
}
