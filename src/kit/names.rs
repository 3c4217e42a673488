//! Resolves people and agents in fields.

use entity::{Mode, Names, NoNames, Target, Values, read_input};
use features::tasks::queries::people::People;
use kernel::{Assignee, Error};
use serde_json::{Map, Value};
use store::{Read, StoreError};
use uuid::Uuid;

/// All people and agents, read from one snapshot.
struct Known {
    people: People,
    me: Assignee,
}

impl Known {
    /// Reads all people and agents. `me` is what "me" refers to.
    fn read(read: &dyn Read, me: Assignee) -> Result<Self, StoreError> {
        Ok(Self { people: People::read(read)?, me })
    }
}

impl Names for Known {
    fn who(&self, name: &str) -> Result<Assignee, String> {
        match self.people.find(name, self.me) {
            Ok(Some(who)) => Ok(who),
            Ok(None) => Err("Enter a name or leave the field empty.".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn record(&self, _: u16, name: &str) -> Result<Uuid, String> {
        Err(format!("There is no record called \"{}\".", kernel::text::ellipsis(name, 60)))
    }

    fn name_of(&self, who: Assignee) -> String {
        self.people.name(who)
    }

    fn handle_of(&self, who: Assignee) -> String {
        self.people.handle(who)
    }

    fn title_of(&self, _: Target) -> String {
        String::new()
    }
}

fn is_person(field: &entity::Field) -> bool {
    matches!(field.input.kind, entity::InputKind::Person)
}

/// The name resolver that the fields need.
pub(crate) fn for_fields(
    fields: &[entity::Field],
    read: &dyn Read,
    me: Assignee,
) -> Result<Box<dyn Names>, StoreError> {
    match fields.iter().any(is_person) {
        true => Ok(Box::new(Known::read(read, me)?)),
        false => Ok(Box::new(NoNames)),
    }
}

/// Parses sent values of fields.
///
/// # Errors
/// Those of [`read_input`].
pub(crate) fn values(
    fields: &'static [entity::Field],
    sent: Map<String, Value>,
    mode: Mode,
    (read, me): (&dyn Read, Assignee),
) -> Result<Values, Error> {
    let is_sent =
        |field: &&entity::Field| sent.get(field.key).is_some_and(|value| !value.is_null());
    match fields.iter().filter(is_sent).any(is_person) {
        true => read_input(fields, sent, mode, &Known::read(read, me)?),
        false => read_input(fields, sent, mode, &NoNames),
    }
}
