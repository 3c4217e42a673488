//! Conversions: a field that gets another kind, whose values follow row by row, with a cursor that survives a kill.

use entity::{Choice, Column, Kind, Look};
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};
use uuid::Uuid;

use super::{CONTACTS, Collection, ConversionId, Home, ImportState, Stayed};

pub const CONVERSIONS: Table = Table::new(394, "conversions");
/// Conversions that are under way.
pub const CONVERSIONS_RUNNING: Index = Index::multi(395, "conversions_running");

/// What the values of a field are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Their kind.
    pub kind: Kind,
    /// The look of numbers.
    pub look: Look,
    /// What can be chosen.
    pub choices: Vec<Choice>,
    /// The table that a relation leads to.
    pub to: u16,
}

impl Shape {
    /// That of a column.
    #[must_use]
    pub fn of(column: &Column) -> Self {
        Self {
            kind: column.kind,
            look: column.look,
            choices: column.choices.clone(),
            to: column.to,
        }
    }

    /// A column with values of this shape.
    #[must_use]
    pub fn on(&self, column: &Column) -> Column {
        Column {
            kind: self.kind,
            look: self.look,
            choices: self.choices.clone(),
            to: self.to,
            ..column.clone()
        }
    }
}

/// How many values became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cast {
    /// They read as before.
    pub same: u32,
    /// They read otherwise.
    pub other: u32,
    /// They could not be read as the new kind.
    pub lost: u32,
}

impl Cast {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            same: self.same + more.same,
            other: self.other + more.other,
            lost: self.lost + more.lost,
        }
    }
}

/// A field that gets another kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversion {
    pub id: ConversionId,
    /// Whose field.
    pub home: Home,
    /// The key of the field.
    pub key: String,
    /// What people called it then.
    pub label: String,
    /// What its values were.
    pub from: Shape,
    /// What they become.
    pub to: Shape,
    /// How far it is: never a draft, and never stopped half-way.
    pub state: ImportState,
    /// How many rows had a value when it began.
    pub rows: u32,
    /// How many of them were looked at.
    pub next: u32,
    /// The last of them.
    pub after: Option<Uuid>,
    /// What became of their values.
    pub counts: Cast,
    /// The entries of the feed in which it happened; when it was taken back those that did so, and on the way both, as
    /// [`super::back`] says.
    pub entries: Vec<u64>,
    /// Who converts.
    pub by: Actor,
    /// When it was begun.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When it last went on.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Records that stayed when it was taken back, as others have changed them since.
    pub kept: u32,
    /// Single fields that stayed then.
    pub kept_fields: u32,
    /// What stayed, as much as is kept.
    pub stayed: Vec<Stayed>,
}

impl Record for Conversion {
    type Id = ConversionId;
    const TABLE: Table = CONVERSIONS;
    // An undo of the rows must not take the account of them back.
    const CLASS: Class = Class::Sealed;
    const INDEXES: &'static [Index] = &[CONVERSIONS_RUNNING];
    fn id(&self) -> ConversionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.state == ImportState::Running {
            keys.entry(CONVERSIONS_RUNNING);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Collection>(1, self.home.collection(), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        let shape = |kind, look, choices| Shape { kind, look, choices, to: CONTACTS.number };
        Self {
            id: ConversionId::from_bytes([67; 16]),
            home: Home::Contacts,
            key: "bikes_wanted".into(),
            label: "Bikes wanted".into(),
            from: shape(Kind::Select, Look::Plain, vec![Choice::called("Some")]),
            to: shape(Kind::Number, Look::Currency(*b"EUR"), Vec::new()),
            state: ImportState::Running,
            rows: 3,
            next: 2,
            after: Some(Uuid::from_bytes([60; 16])),
            counts: Cast { same: 1, other: 0, lost: 1 },
            entries: vec![7],
            by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
            kept: 0,
            kept_fields: 1,
            stayed: vec![Stayed {
                record: entity::Target { table: CONTACTS.number, id: Uuid::from_bytes([60; 16]) },
                field: "Bikes wanted".into(),
                says: "Rosa changed it.".into(),
            }],
        }
    }
}
