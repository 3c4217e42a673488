//! Names of people, agents and records in cells.

use std::sync::Arc;

use features::cards;
use features::tasks::queries::people::People;
use kernel::key::KeyBuf;
use kernel::{AccountId, Assignee, TypedId as _};
use noun::{Fields, Names, Noun, Target};
use store::{Range, Read, ReadExt as _, StoreError};
use uuid::Uuid;

use crate::model::{Book, ContactId, Row, name_key, of_table};

/// Everybody and everything that a cell may name, read from one snapshot.
pub struct Known<'r> {
    /// Members and agents.
    pub people: Arc<People>,
    read: &'r dyn Read,
    me: Assignee,
}

impl<'r> Known<'r> {
    /// Reads everybody. `me` is who is meant by "me".
    ///
    /// # Errors
    /// When the store fails.
    pub fn new(read: &'r dyn Read, me: Assignee) -> Result<Self, StoreError> {
        Ok(Self::with(Arc::new(People::read(read)?), read, me))
    }

    /// The same with people who were read before.
    #[must_use]
    pub fn with(people: Arc<People>, read: &'r dyn Read, me: Assignee) -> Self {
        Self { people, read, me }
    }
}

/// The card of a record, and its fields; none when it is gone.
#[must_use]
pub fn fields_of(read: &dyn Read, target: Target) -> Option<(&'static Noun, Fields)> {
    let key = KeyBuf::of(&ContactId::from_uuid(target.id)).into_bytes();
    // ok: a record that cannot be read has no title, as one that is gone.
    cards::of_table(target.table).and_then(|noun| Some((noun, noun.get(read, &key).ok()??)))
}

/// The title of a record; empty when it is gone.
#[must_use]
pub fn title_of(read: &dyn Read, target: Target) -> String {
    fields_of(read, target).map(|(noun, fields)| (noun.title)(&fields)).unwrap_or_default()
}

/// The row of a book that an id or a name means; none when there is none, or several have that name.
///
/// # Errors
/// When the store fails.
pub fn row_called<B: Book>(read: &dyn Read, said: &str) -> Result<Option<Row<B>>, StoreError> {
    if let Ok(id) = said.trim().parse::<B::Id>() {
        return read.get(id);
    }
    let mut found: Vec<Row<B>> = read.scan(B::IDENTITY, &Range::prefix(name_key(None, said)))?;
    found.retain(|row| row.archived_at.is_none());
    Ok(if found.len() == 1 { found.pop() } else { None })
}

impl Names for Known<'_> {
    fn who(&self, name: &str) -> Result<Assignee, String> {
        match self.people.find(name, self.me) {
            Ok(Some(who)) => Ok(who),
            Ok(None) => Err("Name somebody, or leave the field empty.".to_owned()),
            Err(error) => Err(kernel::text::capitalized(&error.to_string())),
        }
    }

    fn record(&self, table: u16, name: &str) -> Result<Uuid, String> {
        let found = of_table!(table, B => {
            row_called::<B>(self.read, name).map(|row| row.map(|row| row.id.uuid()))
        });
        match found {
            Ok(Some(id)) => Ok(id),
            Ok(None) => {
                Err(format!("Nothing here is called \"{}\".", kernel::text::ellipsis(name, 60)))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn name_of(&self, who: Assignee) -> String {
        self.people.name(who)
    }

    fn handle_of(&self, who: Assignee) -> String {
        self.people.handle(who)
    }

    fn title_of(&self, target: Target) -> String {
        title_of(self.read, target)
    }
}

/// Who is meant by "me" when this person asks.
#[must_use]
pub fn person(account: AccountId) -> Assignee {
    Assignee::Person(account)
}
