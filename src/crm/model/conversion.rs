//! Conversions: a field that gets another kind, and its values, converted row by row with a cursor that survives a
//! crash.

use entity::{Choice, Column, Kind, Look};
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};
use uuid::Uuid;

use super::{CONTACTS, Collection, ConversionId, Home, ImportState, Stayed};

pub const CONVERSIONS: Table = Table::new(394, "conversions");
/// Index of running conversions.
pub const CONVERSIONS_RUNNING: Index = Index::multi(395, "conversions_running");

/// The type of a field's values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub kind: Kind,
    /// Number format.
    pub look: Look,
    pub choices: Vec<Choice>,
    /// Target table of a relation.
    pub to: u16,
}

impl Shape {
    /// The shape of a column.
    #[must_use]
    pub fn of(column: &Column) -> Self {
        Self {
            kind: column.kind,
            look: column.look,
            choices: column.choices.clone(),
            to: column.to,
        }
    }

    /// A column with this shape.
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

/// Number of values by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cast {
    /// Unchanged text.
    pub same: u32,
    /// Changed text.
    pub other: u32,
    /// Not convertible.
    pub lost: u32,
}

impl Cast {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            same: self.same + more.same,
            other: self.other + more.other,
            lost: self.lost + more.lost,
        }
    }
}

/// The conversion of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversion {
    pub id: ConversionId,
    /// The records with the field.
    pub home: Home,
    pub key: String,
    /// Label of the field at that time.
    pub label: String,
    /// Shape before.
    pub from: Shape,
    /// Shape after.
    pub to: Shape,
    /// Never `Draft` or `Cancelled`.
    pub state: ImportState,
    /// Number of rows with a value at the start.
    pub rows: u32,
    /// Number of processed rows.
    pub next: u32,
    /// The last processed row.
    pub after: Option<Uuid>,
    /// Results of the processed rows.
    pub counts: Cast,
    /// The feed entries of the conversion; after an undo, its entries; during either, both, as described in
    /// [`super::back`].
    pub entries: Vec<u64>,
    /// Who converts.
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Time of the latest progress.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Number of records that stayed after an undo, because others have changed them.
    pub kept: u32,
    /// Number of single fields that stayed after an undo.
    pub kept_fields: u32,
    /// What stayed after an undo, up to a limit.
    pub stayed: Vec<Stayed>,
}

impl Record for Conversion {
    type Id = ConversionId;
    const TABLE: Table = CONVERSIONS;
    // An undo of the rows must not revert their accounting.
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
