//! The records of a collection by the key column of an import. They are read once for the whole import; what others change
//! meanwhile is taken from the feed.

use std::collections::{BTreeSet, HashMap};

use entity::{FieldValue, folded};
use kernel::TypedId as _;
use store::{Read, StoreError, WriteTx, feed};
use uuid::Uuid;

use super::fields::rows_of;
use crate::model::{EntryId, Goes, Home, Import, RECORDS, Row, RowKind};

/// So many entries of the feed are looked through; behind more than these the collection is read again.
const MOST_BEHIND: u64 = 2_000;

/// The records of a collection by what they have in the field by which rows of a file find them.
#[derive(Debug, Default)]
pub struct Keys {
    /// The key of the field; empty when rows find no record.
    field: String,
    rows: HashMap<String, BTreeSet<Uuid>>,
    /// The last entry of the feed whose changes are in here; none before the collection was read.
    seen: Option<u64>,
    /// How often the collection was read.
    reads: usize,
}

impl Keys {
    /// Takes in what was changed since the last time; reads the collection of an import that has a key column the first
    /// time.
    pub(super) fn refresh(&mut self, tx: &WriteTx<'_>, import: &Import) -> Result<(), StoreError> {
        let chosen = import.columns.iter().find_map(|mapped| match &mapped.goes {
            Goes::Key(key) => Some(key),
            _ => None,
        });
        let (Some(field), Home::Collection(_)) = (chosen, import.home) else { return Ok(()) };
        let last = Read::last_seq(tx)?;
        let is_there = match self.seen {
            Some(seen) if self.field == *field => self.follow(tx, (seen, last))?,
            _ => false,
        };
        if !is_there {
            self.field.clone_from(field);
            self.rows.clear();
            self.reads += 1;
            for row in rows_of(tx, import.home)? {
                self.add(row.value(field).map(written), row.id);
            }
        }
        self.seen = Some(last);
        Ok(())
    }

    /// Takes in the records that were changed in these entries; says whether all of them could be looked at. What a
    /// record had before stays: whoever finds it looks at the record itself.
    fn follow(&mut self, tx: &WriteTx<'_>, (seen, last): (u64, u64)) -> Result<bool, StoreError> {
        if MOST_BEHIND < last.saturating_sub(seen) {
            return Ok(false);
        }
        for seq in seen + 1..=last {
            let Some(entry) = feed::entry(tx, seq)? else { return Ok(false) };
            for change in entry.changes.iter().filter(|one| one.table == RECORDS.number) {
                let id = kernel::key::decode::<EntryId>(&change.key).map(EntryId::uuid);
                let row = id.map(|id| RowKind::RECORDS.get(tx, id)).transpose()?.flatten();
                if let Some(row) = row {
                    self.add(row.value(&self.field).map(written), row.id);
                }
            }
        }
        Ok(true)
    }

    /// Notes the entry that the transaction itself becomes: what it writes is in here already.
    pub(super) fn seen(&mut self, seq: u64) {
        if self.seen.is_some() {
            self.seen = Some(seq);
        }
    }

    /// The key of the field.
    pub(super) fn field(&self) -> &str {
        &self.field
    }

    /// What a row has in the field.
    pub(super) fn value_in(&self, typed: &[(String, FieldValue)]) -> Option<String> {
        typed.iter().find(|(key, _)| *key == self.field).map(|(_, value)| written(value))
    }

    /// The records that have what a row has, two at most, and how many there may be.
    pub(super) fn rows_with(
        &self,
        tx: &WriteTx<'_>,
        (home, typed): (Home, &[(String, FieldValue)]),
    ) -> Result<(Vec<Row>, usize), StoreError> {
        let value = self.value_in(typed);
        let ids = value.as_ref().and_then(|value| self.rows.get(value));
        let mut found = Vec::new();
        for id in ids.into_iter().flatten() {
            let row = RowKind::RECORDS.get(tx, *id)?;
            let has =
                |row: &Row| row.home() == home && row.value(&self.field).map(written) == value;
            found.extend(row.filter(has));
            if 2 <= found.len() {
                break;
            }
        }
        Ok((found, ids.map_or(0, BTreeSet::len)))
    }

    /// Notes a record that has a value.
    pub(super) fn add(&mut self, value: Option<String>, id: Uuid) {
        if let Some(value) = value.filter(|_| !self.field.is_empty()) {
            self.rows.entry(value).or_default().insert(id);
        }
    }

    /// How often the collection was read.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.reads
    }
}

/// A value in words that are the same for values that mean the same.
fn written(value: &FieldValue) -> String {
    match (value.identity(), value) {
        (Some((kind, words)), _) => format!("{kind} {words}"),
        (None, FieldValue::Text(text)) => folded(text),
        (None, other) => format!("{other:?}"),
    }
}
