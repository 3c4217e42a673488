//! Fields that people make for contacts, organizations and collections, and what they make of those that HQ brings.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use noun::{AgentsMay, Choice, Kind, Look};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

use super::{Collection, CollectionId, FieldId};

/// Fields.
pub const FIELDS: Table = Table::new(310, "fields");
/// The home, and the key of the field.
pub const BY_KEY: Index = Index::unique(311, "fields_by_key");

/// The records that have a field. Stored by position: only ever appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Home {
    /// Contacts.
    Contacts,
    /// Organizations.
    Organizations,
    /// Records of a collection.
    Collection(CollectionId),
}

impl Home {
    /// The beginning of its keys in [`BY_KEY`].
    #[must_use]
    pub fn key(self) -> kernel::key::KeyBuf {
        let mut key = kernel::key::KeyBuf::new();
        match self {
            Self::Contacts => key.u8(1),
            Self::Organizations => key.u8(2),
            Self::Collection(id) => key.u8(3).part(id),
        };
        key
    }

    /// The collection.
    #[must_use]
    pub fn collection(self) -> Option<CollectionId> {
        match self {
            Self::Collection(id) => Some(id),
            _ => None,
        }
    }
}

/// A field. One with the key of a field that HQ brings says what people made of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDef {
    /// Its id.
    pub id: FieldId,
    /// The records that have it.
    pub home: Home,
    /// Its name in JSON, filters and files; it stays when people call it something else.
    pub key: String,
    /// What people read.
    pub label: String,
    /// The kind of its values.
    pub kind: Kind,
    /// The look of its numbers.
    pub look: Look,
    /// The heading that it stands under.
    pub group: String,
    /// Its choices.
    pub choices: Vec<Choice>,
    /// Whether a record without it is refused.
    pub required: bool,
    /// The table that a relation leads to.
    pub to: u16,
    /// What it is for.
    pub about: String,
    /// What agents may do with it.
    pub agents: AgentsMay,
    /// Its place among the others.
    pub rank: String,
    /// When it was made.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl Record for FieldDef {
    type Id = FieldId;
    const TABLE: Table = FIELDS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_KEY];
    fn id(&self) -> FieldId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_KEY).raw(self.home.key().bytes()).text(&self.key);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Collection>(1, self.home.collection(), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: FieldId::from_bytes([61; 16]),
            home: Home::Contacts,
            key: "bikes_wanted".into(),
            label: "Bikes wanted".into(),
            kind: Kind::Number,
            look: Look::Currency(*b"EUR"),
            group: "Deal".into(),
            choices: vec![Choice::called("Some")],
            required: false,
            to: 0,
            about: "How many".into(),
            agents: AgentsMay::Suggest,
            rank: kernel::rank::nth(1),
            created_at: at,
            updated_at: at,
        }
    }
}
