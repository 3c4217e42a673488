//! What becomes of the rows of a file, as a preview tells it.

use entity::{Column, Target};

use super::rows::Changed;
use crate::model::Row;
use crate::names::Known;

kernel::words! {
    /// What becomes of a row of a file.
    Fate {
        /// A new record.
        New = "new", "New";
        /// Empty cells of a record take values.
        Fills = "fills", "Fills";
        /// Cells of a record take other values.
        Overwrites = "overwrites", "Overwrites";
        /// Nothing: its record is here already.
        Skipped = "skipped", "Skipped";
        /// It cannot come in.
        Wrong = "wrong", "Wrong";
    }
}

impl Fate {
    /// That of a row whose record took these values.
    pub(super) fn of(cells: &[CellSeen]) -> Self {
        match cells.iter().all(|cell| cell.old.is_empty()) {
            true => Self::Fills,
            false => Self::Overwrites,
        }
    }
}

/// A cell of a record that takes another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellSeen {
    /// The key of the field.
    pub key: String,
    /// What stands there, in words; empty when nothing does.
    pub old: String,
    /// What stands there then.
    pub new: String,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSeen {
    /// In a word.
    pub fate: Fate,
    /// Cells of a record that is here already which take other values.
    pub cells: Vec<CellSeen>,
    /// The record that it met.
    pub met: Option<Met>,
}

/// A record that a row of a file met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub record: Target,
    pub name: String,
}

impl Met {
    pub(super) fn of(row: &Row) -> Self {
        Self { record: row.target(), name: row.name().to_owned() }
    }
}

/// The cells of a row that took other values.
pub(super) fn cells_seen(
    columns: &[Column],
    known: &Known<'_>,
    old: &Row,
    now: &Changed,
) -> Vec<CellSeen> {
    let cell = |key: &String| {
        let column = columns.iter().find(|column| column.key == *key)?;
        let shown =
            |row: &Row| row.value(key).map_or_else(String::new, |value| column.shown(value, known));
        Some(CellSeen { key: key.clone(), old: shown(old), new: shown(&now.row) })
    };
    now.written.iter().filter_map(cell).collect()
}
