//! Names of people, agents and records in cells.

use std::sync::Arc;

use entity::{Entity, Fields, Names, Target, folded, mail_address};
use features::cards;
use features::tasks::queries::people::People;
use kernel::key::KeyBuf;
use kernel::{AccountId, Assignee, TypedId as _};
use store::{Range, Read, StoreError};
use uuid::Uuid;

use crate::model::{CollectionId, ContactId, Row, RowKind, name_keys};

/// People, agents and records that a cell may name, from one snapshot.
pub struct Known<'r> {
    /// Members and agents.
    pub people: Arc<People>,
    read: &'r dyn Read,
    me: Assignee,
}

impl<'r> Known<'r> {
    /// Reads all people and agents. `me` is the meaning of "me".
    pub fn new(read: &'r dyn Read, me: Assignee) -> Result<Self, StoreError> {
        Ok(Self::with(Arc::new(People::read(read)?), read, me))
    }

    /// Members and agents with this full name or email address, as other products export owners.
    fn who_is_named(&self, text: &str) -> Vec<Assignee> {
        let (name, address) = (folded(text), mail_address(text).map(|one| one.to_lowercase()));
        let is_meant = |who: &Assignee| match *who {
            Assignee::Agent(id) => {
                self.people.agent(id).is_some_and(|agent| folded(&agent.name) == name)
            }
            Assignee::Person(id) => self.people.member(id).is_some_and(|member| {
                folded(&member.name) == name
                    || address.as_ref().is_ok_and(|one| member.email.to_lowercase() == *one)
            }),
            Assignee::System => false,
        };
        self.people.takers().into_iter().filter(is_meant).collect()
    }

    /// Like [`new`](Self::new), with people that were already read.
    #[must_use]
    pub fn with(people: Arc<People>, read: &'r dyn Read, me: Assignee) -> Self {
        Self { people, read, me }
    }
}

/// The descriptor and fields of a record; `None` if it is deleted.
#[must_use]
pub fn fields_of(read: &dyn Read, target: Target) -> Option<(&'static Entity, Fields)> {
    let key = KeyBuf::of(&ContactId::from_uuid(target.id)).into_bytes();
    // ok: an unreadable record has no title, like a deleted one.
    cards::of_table(target.table).and_then(|noun| Some((noun, noun.get(read, &key).ok()??)))
}

/// The title of a record; empty if it is deleted.
#[must_use]
pub fn title_of(read: &dyn Read, target: Target) -> String {
    fields_of(read, target).map(|(noun, fields)| (noun.title)(&fields)).unwrap_or_default()
}

/// The result of a lookup by id or name.
pub enum Called {
    /// No row.
    None,
    One(Row),
    /// Only archived rows, such as this one.
    Archived(Row),
    /// This many rows.
    Several(usize),
}

impl Called {
    /// Why a name matches no single row, as a sentence; `None` if it does.
    fn why_not(&self, kind: &RowKind, name: &str) -> Option<String> {
        let name = kernel::text::ellipsis(name, 60);
        match self {
            Self::One(_) => None,
            Self::None => Some(format!("Nothing is called \"{name}\".")),
            Self::Archived(row) => {
                Some(format!("\"{}\" is archived; restore it first.", row.name()))
            }
            Self::Several(count) => Some(format!(
                "{count} {} are called \"{name}\". Merge them or use an ID.",
                kind.entity().many
            )),
        }
    }
}

/// The rows with a name, ignoring spelling variants. Exact matches take precedence, then those ignoring case.
pub fn rows_named(
    kind: &'static RowKind,
    read: &dyn Read,
    collection: Option<CollectionId>,
    name: &str,
) -> Result<Vec<Row>, StoreError> {
    let mut found: Vec<Row> = Vec::new();
    for key in name_keys(collection, name) {
        for row in kind.scan(read, kind.identity, &Range::prefix(key))? {
            if found.iter().all(|one| one.id != row.id) {
                found.push(row);
            }
        }
    }
    let (name, lower) = (name.trim(), name.trim().to_lowercase());
    let is_so = |row: &Row| row.name() == name;
    let has_letters = |row: &Row| row.name().to_lowercase() == lower;
    let open = |row: &&Row| row.archived_at.is_none();
    if found.iter().filter(open).any(is_so) {
        found.retain(is_so);
    } else if found.iter().filter(open).any(has_letters) {
        found.retain(has_letters);
    }
    Ok(found)
}

/// Looks up a row of a kind by id or name.
pub fn called(kind: &'static RowKind, read: &dyn Read, name: &str) -> Result<Called, StoreError> {
    if let Ok(id) = name.trim().parse::<Uuid>() {
        return Ok(kind.get(read, id)?.map_or(Called::None, Called::One));
    }
    let found = rows_named(kind, read, None, name)?;
    let (mut open, mut archived): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|row| row.archived_at.is_none());
    Ok(match (open.len(), archived.pop()) {
        (0, None) => Called::None,
        (0, Some(row)) => Called::Archived(row),
        (1, _) => open.pop().map_or(Called::None, Called::One),
        (count, _) => Called::Several(count),
    })
}

impl Names for Known<'_> {
    fn who(&self, name: &str) -> Result<Assignee, String> {
        match self.people.find(name, self.me) {
            Ok(Some(who)) => Ok(who),
            Ok(None) => Err("Enter a name or leave the field empty.".to_owned()),
            Err(error) => match self.who_is_named(name).as_slice() {
                [who] => Ok(*who),
                [] => {
                    // The advice to create an agent does not help to name a person.
                    let message = error.to_string();
                    let message =
                        message.strip_suffix("; create an agent first").unwrap_or(&message);
                    Err(kernel::text::capitalized(message))
                }
                more => {
                    let shown = kernel::text::ellipsis(name.trim(), 60);
                    let handles: Vec<String> =
                        more.iter().map(|who| self.people.handle(*who)).collect();
                    let handles = handles.join(", ");
                    Err(format!("Several are called \"{shown}\". Use one of {handles}."))
                }
            },
        }
    }

    fn record(&self, table: u16, name: &str) -> Result<Uuid, String> {
        let kind = RowKind::of_table(table);
        match called(kind, self.read, name).map_err(|error| error.to_string())? {
            Called::One(row) => Ok(row.id),
            other => Err(other.why_not(kind, name).unwrap_or_default()),
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

/// The meaning of "me" for this person.
#[must_use]
pub fn person(account: AccountId) -> Assignee {
    Assignee::Person(account)
}
