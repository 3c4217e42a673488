//! Suggestions of agents for cells with a person's value. A suggestion is deleted when its cell changes or somebody
//! decides on it.

use entity::{FieldValue, Source, Target};
use jiff::fmt::serde::timestamp::millisecond;
use kernel::key::KeyBuf;
use kernel::{Actor, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::{CONTACTS, ContactId, SuggestionId};

pub const SUGGESTIONS: Table = Table::new(318, "suggestions");
/// The row, and the key of the cell.
pub const BY_ROW: Index = Index::unique(319, "suggestions_by_cell");

/// A suggested value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    pub id: SuggestionId,
    pub row: Target,
    /// Key of the cell.
    pub field: String,
    /// The value; `None` to clear the cell.
    pub value: Option<FieldValue>,
    pub sources: Vec<Source>,
    /// Who suggests it.
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

/// Prefix of a row's keys in [`BY_ROW`].
#[must_use]
pub fn row_key(row: Target) -> KeyBuf {
    let mut key = KeyBuf::of(&row.table);
    key.part(ContactId::from_uuid(row.id));
    key
}

impl Record for Suggestion {
    type Id = SuggestionId;
    const TABLE: Table = SUGGESTIONS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_ROW];
    fn id(&self) -> SuggestionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_ROW).raw(row_key(self.row).bytes()).text(&self.field);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to_root(1, self.root(), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        let key = KeyBuf::of(&ContactId::from_uuid(self.row.id)).into_bytes();
        Root { table: self.row.table, key }
    }
    fn sample() -> Self {
        Self {
            id: SuggestionId::from_bytes([64; 16]),
            row: Target { table: CONTACTS.number, id: uuid::Uuid::from_bytes([60; 16]) },
            field: "email".into(),
            value: Some(FieldValue::Email("rosa@example.org".into())),
            sources: vec![Source {
                at: "https://example.org".into(),
                quote: "Write to Rosa".into(),
            }],
            by: Actor::System(Part::Setup),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
