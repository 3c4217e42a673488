//! Results of a file's rows, as a preview shows them.

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
    /// The result of a row with these changed cells.
    pub(super) fn of(cells: &[CellSeen]) -> Self {
        match cells.iter().all(|cell| cell.old.is_empty()) {
            true => Self::Fills,
            false => Self::Overwrites,
        }
    }
}

/// A changed cell of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellSeen {
    /// Key of the field.
    pub key: String,
    /// The old value in words; empty if there was none.
    pub old: String,
    /// The new value in words.
    pub new: String,
}

/// The result of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSeen {
    pub fate: Fate,
    /// Changed cells of an existing record.
    pub cells: Vec<CellSeen>,
    /// The matched record.
    pub met: Option<Met>,
}

/// A record that a row of a file matched.
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

/// The changed cells of a row.
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
