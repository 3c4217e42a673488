//! Cells: a value with its origin. Each cell is a top-level field of its record, so conflicts, history and undo work
//! per cell.

use std::collections::BTreeMap;

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{AccountId, Actor, Cause, Timestamp};
use serde::{Deserialize, Serialize};

use crate::FieldValue;

/// Maximum number of sources per cell.
pub const MAX_SOURCES: usize = 3;
/// Maximum length of a source's address and of its quote, in characters.
pub const MAX_SOURCE: usize = 500;

/// A source that supports a cell's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// A web address, or a record described in words.
    pub at: String,
    /// The quoted text.
    pub quote: String,
}

/// Origin of a value: who set it, when, through what and from which sources. Kept permanently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Who set the value.
    pub by: Actor,
    /// Why the value was set.
    pub cause: Cause,
    /// When the value was set.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Row number in the imported file.
    pub row: Option<u32>,
    /// Supporting sources, at most [`MAX_SOURCES`].
    pub sources: Vec<Source>,
    /// The person who confirmed an agent's value.
    pub right: Option<AccountId>,
}

impl Origin {
    /// Returns `true` if an agent set the value and no person has confirmed it.
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        self.by.agent().is_some() && self.right.is_none()
    }

    /// Returns `true` if a person set or confirmed the value. Agents can then only suggest a change.
    #[must_use]
    pub fn is_a_persons(&self) -> bool {
        self.by.agent().is_none() || self.right.is_some()
    }
}

/// A value with its origin. A cleared cell keeps the origin of the clearing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The value; `None` if it was cleared.
    pub value: Option<FieldValue>,
    /// The origin of the value.
    pub origin: Origin,
}

/// The cells of a record by field key.
pub type Cells = BTreeMap<String, Cell>;

/// The value of a cell.
#[must_use]
pub fn value_in<'c>(cells: &'c Cells, key: &str) -> Option<&'c FieldValue> {
    cells.get(key).and_then(|cell| cell.value.as_ref())
}
