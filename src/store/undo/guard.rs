//! The guard of an undo: checks that only the features know, namely whether the requester could make the same changes
//! directly.
//!
//! The store calls the guard for each plan that is otherwise consistent, with the store as the plan would leave it.
//! Records or fields that the guard holds leave the plan, and the rest is checked again; the plan only shrinks.

use std::collections::BTreeMap;

use crate::error::StoreError;
use crate::range::Range;
use crate::read::{Read, Visit};
use crate::record::Root;
use kernel::Problem;

use super::Row;
use super::check::Planned;

/// Why something may not be reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code of the reason.
    pub code: &'static str,
    /// The reason as a sentence.
    pub why: String,
}

impl Refusal {
    /// Converts the error that a rule returns for the direct change.
    pub fn of(problem: &dyn Problem) -> Self {
        Self { code: problem.code(), why: problem.to_string() }
    }
}

/// Something that must stay unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The record.
    pub record: Root,
    /// Names of the fields that stay; empty for the whole record.
    pub fields: &'static [&'static str],
    /// The reason.
    pub refusal: Refusal,
}

/// Checks the requester's permissions.
pub trait Guard {
    /// Whether rows of a table may be reverted at all.
    fn table(&self, table: u16) -> bool;

    /// Why a `Work` row that own entries created may not be deleted or cancelled; `None` if it may.
    fn work(&self, read: &dyn Read, made: &Root) -> Result<Option<Refusal>, StoreError>;

    /// The parts of a plan that must stay unchanged.
    fn holds(&self, after: &After<'_>) -> Result<Vec<Hold>, StoreError>;
}

/// Allows everything: HQ itself reverts a whole store.
pub struct Unguarded;

impl Guard for Unguarded {
    fn table(&self, _: u16) -> bool {
        true
    }

    fn work(&self, _: &dyn Read, _: &Root) -> Result<Option<Refusal>, StoreError> {
        Ok(None)
    }

    fn holds(&self, _: &After<'_>) -> Result<Vec<Hold>, StoreError> {
        Ok(Vec::new())
    }
}

/// A store as a plan would leave it. Single records have their future state, lists their current one.
pub struct After<'a> {
    now: &'a dyn Read,
    rows: &'a BTreeMap<Root, Planned>,
}

impl<'a> After<'a> {
    pub(super) fn new(now: &'a dyn Read, rows: &'a BTreeMap<Root, Planned>) -> Self {
        Self { now, rows }
    }

    /// The rows of the plan.
    pub fn rows(&self) -> impl Iterator<Item = &'a Row> {
        self.rows.values().map(|planned| &planned.row)
    }

    /// The store in its current state.
    #[must_use]
    pub fn now(&self) -> &'a dyn Read {
        self.now
    }
}

impl Read for After<'_> {
    fn raw_get(&self, table: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.rows.get(&Root { table, key: key.to_vec() }) {
            Some(planned) => Ok(planned.row.to.clone()),
            None => self.now.raw_get(table, key),
        }
    }

    fn raw_scan(&self, table: u16, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.now.raw_scan(table, range, visit)
    }
}
