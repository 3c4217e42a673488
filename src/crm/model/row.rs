//! A record of cells. Contacts, organizations and records of collections share this type and have separate tables.
//!
//! The stored form is stamps and cells. In JSON each cell is a top-level field, so that conflicts, history and undo
//! work per cell.

use entity::{Cell, Cells, Decimal, FieldValue, Origin, Target, value_in};
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::key::KeyBuf;
use kernel::{Assignee, Timestamp};
use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use store::{Index, Keys, OnDelete, Refs, Root, Table};
use uuid::Uuid;

use super::{Collection, CollectionId, Home, RowKind};

pub const CONTACTS: Table = Table::new(300, "contacts");
/// Each email address of a contact in lower case.
pub const CONTACTS_BY_EMAIL: Index = Index::unique(301, "contacts_by_email");
/// Identities of a contact: [`FieldValue::identity`], and the name.
pub const CONTACTS_BY_IDENTITY: Index = Index::multi(302, "contacts_by_identity");
pub const ORGANIZATIONS: Table = Table::new(303, "organizations");
/// Identities of an organization.
pub const ORGANIZATIONS_BY_IDENTITY: Index = Index::multi(304, "organizations_by_identity");
/// Records of collections.
pub const RECORDS: Table = Table::new(306, "records");
pub const RECORDS_BY_HOME: Index = Index::multi(307, "records_by_collection");
/// The collection, and the identities of its records.
pub const RECORDS_BY_IDENTITY: Index = Index::multi(308, "records_by_identity");

/// The key of the cell with the name.
pub const NAME: &str = "name";

/// A record of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub kind: &'static RowKind,
    /// The id of a contact, an organization or a record, depending on the kind.
    pub id: Uuid,
    /// The collection of a record; `None` for other kinds.
    pub collection: Option<CollectionId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Time of archiving.
    pub archived_at: Option<Timestamp>,
    pub cells: Cells,
}

impl Row {
    /// The name of the record; empty if unset.
    #[must_use]
    pub fn name(&self) -> &str {
        value_in(&self.cells, NAME).and_then(FieldValue::text).unwrap_or_default()
    }

    /// The value of a cell.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&FieldValue> {
        value_in(&self.cells, key)
    }

    /// The text of a cell; empty if it has none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.value(key).and_then(FieldValue::text).unwrap_or_default()
    }

    /// The stored form.
    pub(crate) fn plain(&self) -> Plain<&Cells> {
        Plain {
            id: self.id,
            collection: self.collection,
            created_at: self.created_at,
            updated_at: self.updated_at,
            archived_at: self.archived_at,
            cells: &self.cells,
        }
    }

    /// Builds a row of a kind from its stored form.
    fn of(kind: &'static RowKind, plain: Plain<Cells>) -> Self {
        Self {
            kind,
            id: plain.id,
            collection: plain.collection,
            created_at: plain.created_at,
            updated_at: plain.updated_at,
            archived_at: plain.archived_at,
            cells: plain.cells,
        }
    }

    /// Deserialises a row of a kind, from the stored form or from JSON.
    pub(super) fn read<'de, D: Deserializer<'de>>(
        kind: &'static RowKind,
        deserializer: D,
    ) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Ok(Self::of(kind, Plain::deserialize(deserializer)?));
        }
        let map = serde_json::Map::deserialize(deserializer)?;
        Ok(Self::of(kind, plain_of(map).map_err(D::Error::custom)?))
    }

    /// The home that defines its fields.
    #[must_use]
    pub fn home(&self) -> Home {
        (self.kind.home)(self.collection)
    }

    /// The row as a target of suggestions and cells.
    #[must_use]
    pub fn target(&self) -> Target {
        self.kind.target(self.id)
    }

    /// Its page below the workspace.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.kind.path, self.id)
    }

    pub(super) fn index(&self, keys: &mut Keys) {
        let mut identities = name_identities(self.name()).to_vec();
        identities.extend(self.cells.values().filter_map(|cell| cell.value.as_ref()?.identity()));
        identities.sort();
        identities.dedup();
        for one in &identities {
            keys.entry(self.kind.identity).raw(identity_key(self.collection, one).bytes());
            if let (Some(index), (1, address)) = (self.kind.email, one) {
                keys.entry(index).text(address);
            }
        }
        if let Some(collection) = self.collection {
            keys.entry(RECORDS_BY_HOME).part(collection);
        }
    }

    pub(super) fn refs(&self, refs: &mut Refs) {
        refs.to::<Collection>(255, self.collection, OnDelete::Cascade);
        for (n, cell) in self.cells.values().enumerate() {
            if let (Some(FieldValue::Refers(target)), Ok(n)) = (&cell.value, u8::try_from(n)) {
                let key = target.id.as_bytes().to_vec();
                refs.to_root(n, Root { table: target.table, key }, OnDelete::Clear);
            }
        }
    }

    pub(super) fn clear(&mut self, field: u8) {
        if let Some(cell) = self.cells.values_mut().nth(usize::from(field)) {
            cell.value = None;
        }
    }

    pub(crate) fn sample(kind: &'static RowKind) -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        let origin = entity::Origin {
            by: kernel::Actor::System(kernel::Part::Setup),
            cause: kernel::Cause::Setup,
            at,
            row: Some(7),
            sources: vec![entity::Source {
                at: "https://example.com".into(),
                quote: "Rosa".into(),
            }],
            right: None,
        };
        let cell = |value| Cell { value: Some(value), origin: origin.clone() };
        let values = [
            (NAME, FieldValue::Text("Rosa Ü".into())),
            ("email", FieldValue::Email("Rosa@example.com".into())),
            ("bikes", FieldValue::Number(entity::Decimal::of_millionths(2_500_000))),
        ];
        Self {
            kind,
            id: Uuid::from_bytes([60; 16]),
            collection: None,
            created_at: at,
            updated_at: at,
            archived_at: None,
            cells: values.into_iter().map(|(key, value)| (key.to_owned(), cell(value))).collect(),
        }
    }
}

/// Converts top-level fields of JSON to stamps and cells.
fn plain_of(
    mut map: serde_json::Map<String, serde_json::Value>,
) -> Result<Plain<Cells>, serde_json::Error> {
    let stamps = STAMPS.iter().filter_map(|key| map.remove_entry(*key));
    let mut stamps: serde_json::Map<_, _> = stamps.collect();
    stamps.insert("cells".to_owned(), serde_json::Value::Object(map));
    serde_json::from_value(stamps.into())
}

/// The stored form: stamps and cells.
#[derive(Serialize, Deserialize)]
pub(crate) struct Plain<C> {
    pub id: Uuid,
    pub collection: Option<CollectionId>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub archived_at: Option<Timestamp>,
    pub cells: C,
}

/// A row that borrows its texts from the stored bytes, for callers that do not keep it.
pub(crate) type Glance<'b> = Plain<Vec<(&'b str, Glanced<'b>)>>;

/// A stored [`Cell`] that borrows its texts.
#[derive(Deserialize)]
pub(crate) struct Glanced<'b> {
    #[serde(borrow)]
    pub value: Option<View<'b>>,
    pub origin: Origin,
}

/// A stored [`FieldValue`] that borrows its texts; the variants must match.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum View<'b> {
    Text(&'b str),
    Number(Decimal),
    Day(Date),
    At(#[serde(with = "millisecond::required")] Timestamp),
    YesNo(bool),
    Choice(&'b str),
    Choices(#[serde(borrow)] Vec<&'b str>),
    Email(&'b str),
    Phone(&'b str),
    Url(&'b str),
    Who(Assignee),
    Refers(Target),
}

impl<'b> View<'b> {
    /// Borrows a value.
    pub(crate) fn of(value: &'b FieldValue) -> Self {
        match value {
            FieldValue::Text(text) => Self::Text(text),
            FieldValue::Number(number) => Self::Number(*number),
            FieldValue::Day(day) => Self::Day(*day),
            FieldValue::At(at) => Self::At(*at),
            FieldValue::YesNo(yes) => Self::YesNo(*yes),
            FieldValue::Choice(key) => Self::Choice(key),
            FieldValue::Choices(keys) => Self::Choices(keys.iter().map(String::as_str).collect()),
            FieldValue::Email(text) => Self::Email(text),
            FieldValue::Phone(text) => Self::Phone(text),
            FieldValue::Url(text) => Self::Url(text),
            FieldValue::Who(who) => Self::Who(*who),
            FieldValue::Refers(target) => Self::Refers(*target),
        }
    }
}

/// Field names that no cell may have.
pub const STAMPS: [&str; 5] = ["id", "collection", "created_at", "updated_at", "archived_at"];

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return self.plain().serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(STAMPS.len() + self.cells.len()))?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("collection", &self.collection)?;
        map.serialize_entry("created_at", &self.created_at.as_millisecond())?;
        map.serialize_entry("updated_at", &self.updated_at.as_millisecond())?;
        map.serialize_entry("archived_at", &self.archived_at.map(Timestamp::as_millisecond))?;
        for (key, cell) in &self.cells {
            map.serialize_entry(key, cell)?;
        }
        map.end()
    }
}

/// The key of an identity in [`RowKind::identity`].
#[must_use]
pub fn identity_key(collection: Option<CollectionId>, (kind, words): &(u8, String)) -> KeyBuf {
    let mut key = KeyBuf::new();
    if let Some(collection) = collection {
        key.part(collection);
    }
    key.u8(*kind).text(kernel::text::cut(words, 300));
    key
}

/// The identities of a name: as written, and folded for comparison.
fn name_identities(name: &str) -> [(u8, String); 2] {
    [(0, name.trim().to_lowercase()), (0, entity::folded(name))]
}

/// The keys of a name in [`RowKind::identity`]: every row with this name in any spelling has one of them.
#[must_use]
pub fn name_keys(collection: Option<CollectionId>, name: &str) -> Vec<KeyBuf> {
    let [written, folded] = name_identities(name);
    let mut keys = vec![identity_key(collection, &folded)];
    if written != folded {
        keys.push(identity_key(collection, &written));
    }
    keys
}

#[cfg(test)]
mod tests {
    use entity::{Cell, Decimal, FieldValue, Target};
    use jiff::civil::date;
    use kernel::{AccountId, Assignee, Timestamp, TypedId as _};
    use store::{Record as _, codec};

    use super::{CONTACTS, Glance, View};
    use crate::model::{Contact, ContactId};

    #[test]
    fn a_row_is_the_same_after_json_and_has_its_cells_at_the_top() {
        let row = Contact::sample();
        let json = serde_json::to_value(&row).unwrap_or_default();
        assert_eq!(json["email"]["value"], serde_json::json!({ "Email": "Rosa@example.com" }));
        assert_eq!(serde_json::from_value::<Contact>(json).ok(), Some(row));
    }

    /// A row with a value of each kind.
    fn full() -> Contact {
        let mut row = Contact::sample();
        let origin = row.cells["name"].origin.clone();
        let at = kernel::time::from_ms(1_700_000_000_123);
        let values = [
            FieldValue::Text("Rosa Ü".into()),
            FieldValue::Number(Decimal::of_millionths(-2_500_000)),
            FieldValue::Day(date(2026, 12, 24)),
            FieldValue::At(at),
            FieldValue::YesNo(true),
            FieldValue::Choice("lead".into()),
            FieldValue::Choices(vec!["north".into(), "vip".into()]),
            FieldValue::Email("rosa@example.com".into()),
            FieldValue::Phone("+49 40 555".into()),
            FieldValue::Url("https://example.com".into()),
            FieldValue::Who(Assignee::Person(AccountId::from_bytes([7; 16]))),
            FieldValue::Refers(Target {
                table: CONTACTS.number,
                id: ContactId::from_bytes([9; 16]).uuid(),
            }),
        ];
        for (n, value) in values.into_iter().enumerate() {
            let cell = Cell { value: Some(value), origin: origin.clone() };
            row.cells.insert(format!("field_{n:02}"), cell);
        }
        row.cells.insert("gone".into(), Cell { value: None, origin });
        row
    }

    #[test]
    fn a_glance_at_the_bytes_of_a_row_shows_what_the_row_holds() {
        let row = full();
        let bytes = codec::encode(&row).expect("a row has bytes");
        let seen = codec::view::<Glance<'_>>(&bytes).expect("its bytes can be read");
        let stamps = |at: Timestamp| at.as_millisecond();
        assert_eq!((seen.id, seen.collection), (row.id, row.collection));
        assert_eq!(stamps(seen.created_at), stamps(row.created_at));
        assert_eq!(seen.archived_at, row.archived_at);
        assert_eq!(seen.cells.len(), row.cells.len());
        for ((key, cell), (shown, glanced)) in row.cells.iter().zip(&seen.cells) {
            assert_eq!(key, shown);
            assert_eq!(cell.value.as_ref().map(View::of), glanced.value, "{key}");
            assert_eq!(cell.origin, glanced.origin, "{key}");
        }
    }
}
