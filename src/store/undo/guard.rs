//! What only the features know: whether who undoes could do the same directly.
//!
//! The store asks a guard of each plan that is otherwise in order, with the store as the plan would
//! leave it. What the guard holds leaves the plan, a whole record or some of its fields, and the rest is
//! looked at again: the plan only shrinks.

use std::collections::BTreeMap;

use crate::error::StoreError;
use crate::range::Range;
use crate::read::{Read, Visit};
use crate::record::Root;
use kernel::Problem;

use super::Row;
use super::check::Planned;

/// Why something may not go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable word of the reason.
    pub code: &'static str,
    /// The reason, in a sentence.
    pub why: String,
}

impl Refusal {
    /// What a rule answers to who tries it directly.
    pub fn of(problem: &dyn Problem) -> Self {
        Self { code: problem.code(), why: problem.to_string() }
    }
}

/// What must stay as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The record.
    pub record: Root,
    /// Its fields that stay, by their names; none for the whole record.
    pub fields: &'static [&'static str],
    /// Why.
    pub refusal: Refusal,
}

/// What the features know of who undoes.
pub trait Guard {
    /// Whether rows of a table may go back at all.
    fn table(&self, table: u16) -> bool;

    /// Why a row of work that own entries made may not be taken away or cancelled, if it may not.
    fn work(&self, read: &dyn Read, made: &Root) -> Result<Option<Refusal>, StoreError>;

    /// What must stay of a plan.
    fn holds(&self, after: &After<'_>) -> Result<Vec<Hold>, StoreError>;
}

/// Nobody asks: HQ itself takes a whole store back.
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

/// A store as a plan would leave it: single records are what they would be, lists are what they are.
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

    /// The store as it is.
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
