//! One layer of a write set: the changes of a transaction, or of an attempt inside it.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::record::Root;
use crate::range::Range;

/// A pending change of one row.
pub(super) struct Laid {
    /// The new bytes; `None` if the row is deleted.
    pub value: Option<Vec<u8>>,
    /// For rows of a record: the aggregate that it belongs to.
    pub root: Option<Root>,
}

type Rows = BTreeMap<Vec<u8>, Laid>;

/// Rows by table and key, in redb's order.
#[derive(Default)]
pub(super) struct Layer(BTreeMap<u16, Rows>);

impl Layer {
    pub(super) fn get(&self, table: u16, key: &[u8]) -> Option<&Laid> {
        self.0.get(&table)?.get(key)
    }

    pub(super) fn insert(&mut self, table: u16, key: Vec<u8>, laid: Laid) {
        self.0.entry(table).or_default().insert(key, laid);
    }

    /// Merges an upper layer, whose rows win.
    pub(super) fn merge(&mut self, above: Self) {
        for (table, rows) in above.0 {
            self.0.entry(table).or_default().extend(rows);
        }
    }

    /// Number of rows in the tables that `counts` selects.
    pub(super) fn count(&self, mut counts: impl FnMut(u16) -> bool) -> usize {
        self.0.iter().filter(|(table, _)| counts(**table)).map(|(_, rows)| rows.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All rows, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u16, &[u8], &Laid)> {
        self.0.iter().flat_map(|(table, rows)| {
            rows.iter().map(move |(key, laid)| (*table, key.as_slice(), laid))
        })
    }

    /// The rows in a range of a table, ordered by key.
    pub(super) fn range(&self, table: u16, range: &Range) -> impl Iterator<Item = (&[u8], &Laid)> {
        let lo: &[u8] = &range.lo;
        let hi = range.hi.as_deref();
        // `BTreeMap::range` panics if the end is before the start.
        let rows = self.0.get(&table).filter(|_| hi.is_none_or(|hi| lo < hi));
        let hi = hi.map_or(Bound::Unbounded, Bound::Excluded);
        rows.into_iter()
            .flat_map(move |rows| rows.range::<[u8], _>((Bound::Included(lo), hi)))
            .map(|(key, laid)| (key.as_slice(), laid))
    }
}
