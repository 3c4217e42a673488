//! Cells: a value with its origin. Each cell is a top-level field of its record, so conflicts, history and undo work per
//! cell.

use std::collections::BTreeMap;

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{AccountId, Actor, Cause, Timestamp};
use serde::{Deserialize, Serialize};

use crate::FieldValue;

/// The most sources of one cell.
pub const MAX_SOURCES: usize = 3;
/// The longest address and the longest quote of a source, in characters.
pub const MAX_SOURCE: usize = 500;

/// A place that says what a cell says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// An address of the web, or a record in words.
    pub at: String,
    /// The words there.
    pub quote: String,
}

/// Who put a value into a cell, when, through what, and on which grounds. Kept for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Who.
    pub by: Actor,
    /// Why.
    pub cause: Cause,
    /// When.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// The row of the file, when it was imported.
    pub row: Option<u32>,
    /// What it stands on, at most [`MAX_SOURCES`].
    pub sources: Vec<Source>,
    /// The person who called an agent's value right.
    pub right: Option<AccountId>,
}

impl Origin {
    /// Whether an agent wrote it and nobody has called it right yet.
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        self.by.agent().is_some() && self.right.is_none()
    }

    /// Whether a person stands for it: an agent only suggests in its place.
    #[must_use]
    pub fn is_a_persons(&self) -> bool {
        self.by.agent().is_none() || self.right.is_some()
    }
}

/// A value with its origin. A cell that was emptied keeps who emptied it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The value; none when it was taken away.
    pub value: Option<FieldValue>,
    /// Where it comes from.
    pub origin: Origin,
}

/// The cells of a record by the keys of their fields.
pub type Cells = BTreeMap<String, Cell>;

/// The value in a cell.
#[must_use]
pub fn value_in<'c>(cells: &'c Cells, key: &str) -> Option<&'c FieldValue> {
    cells.get(key).and_then(|cell| cell.value.as_ref())
}
