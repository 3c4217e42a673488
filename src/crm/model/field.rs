//! Custom fields of contacts, organizations and collections, and changes of built-in fields.

use entity::{AgentsMay, Choice, Kind, Look};
use features::tasks::model::label::LabelId;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Table, codec};

use super::{CONTACTS, Collection, CollectionId, FieldId, ORGANIZATIONS, RECORDS, RowKind};

pub const FIELDS: Table = Table::new(310, "fields");
/// The home, and the key of the field.
pub const BY_KEY: Index = Index::unique(311, "fields_by_key");

/// The set of records that share fields. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Home {
    Contacts,
    Organizations,
    /// Records of a collection.
    Collection(CollectionId),
}

impl Home {
    /// Prefix of its keys in [`BY_KEY`].
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

    /// The kind of its rows.
    #[must_use]
    pub fn kind(self) -> &'static RowKind {
        match self {
            Self::Contacts => RowKind::CONTACTS,
            Self::Organizations => RowKind::ORGANIZATIONS,
            Self::Collection(_) => RowKind::RECORDS,
        }
    }

    /// The table of its records.
    #[must_use]
    pub fn table(self) -> Table {
        match self {
            Self::Contacts => CONTACTS,
            Self::Organizations => ORGANIZATIONS,
            Self::Collection(_) => RECORDS,
        }
    }

    #[must_use]
    pub fn collection(self) -> Option<CollectionId> {
        match self {
            Self::Collection(id) => Some(id),
            _ => None,
        }
    }
}

/// A field. One with the key of a built-in field has the changes of that field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDef {
    pub id: FieldId,
    /// The records with this field.
    pub home: Home,
    /// Name in JSON, filters and files; does not change when the label does.
    pub key: String,
    pub label: String,
    pub kind: Kind,
    /// Number format.
    pub look: Look,
    /// Heading of its group.
    pub group: String,
    pub choices: Vec<Choice>,
    /// Whether records must have a value.
    pub required: bool,
    /// Target table of a relation.
    pub to: u16,
    pub about: String,
    /// What agents may do with the field.
    pub agents: AgentsMay,
    /// Sort key among the fields.
    pub rank: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// For tags: the labels of the keys in cells. Names and colours are those of the labels.
    pub tags: Vec<Tag>,
}

/// A label of the workspace as a tag of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The key in cells.
    pub key: String,
    pub label: LabelId,
}

/// Layout 1: tags were choices of the field.
#[derive(Deserialize)]
struct FieldDefV1 {
    id: FieldId,
    home: Home,
    key: String,
    label: String,
    kind: Kind,
    look: Look,
    group: String,
    choices: Vec<Choice>,
    required: bool,
    to: u16,
    about: String,
    agents: AgentsMay,
    rank: String,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
}

impl From<FieldDefV1> for FieldDef {
    fn from(old: FieldDefV1) -> Self {
        Self {
            id: old.id,
            home: old.home,
            key: old.key,
            label: old.label,
            kind: old.kind,
            look: old.look,
            group: old.group,
            choices: old.choices,
            required: old.required,
            to: old.to,
            about: old.about,
            agents: old.agents,
            rank: old.rank,
            created_at: old.created_at,
            updated_at: old.updated_at,
            tags: Vec::new(),
        }
    }
}

impl Record for FieldDef {
    type Id = FieldId;
    const TABLE: Table = FIELDS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
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
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<FieldDefV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: FIELDS.name, version }),
        }
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
            tags: vec![Tag { key: "vip".into(), label: LabelId::from_bytes([21; 16]) }],
        }
    }
}
