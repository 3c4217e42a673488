//! Records of a collection by the key column of an import. They are read once per import; changes by others are
//! followed in the feed.

use std::collections::{BTreeSet, HashMap};

use entity::{FieldValue, folded};
use kernel::TypedId as _;
use store::{Read, StoreError, WriteTx, feed};
use uuid::Uuid;

use super::fields::rows_of;
use crate::model::{EntryId, Goes, Home, Import, RECORDS, Row, RowKind};

/// Maximum number of feed entries to catch up on; with more, the collection is read again.
const MOST_BEHIND: u64 = 2_000;

/// Records of a collection by their value in the key field.
#[derive(Debug, Default)]
pub struct Keys {
    /// Key of the field; empty if there is no key column.
    field: String,
    rows: HashMap<String, BTreeSet<Uuid>>,
    /// The last feed entry that was taken into account; `None` before the collection was read.
    seen: Option<u64>,
    /// How often the collection was read.
    reads: usize,
}

impl Keys {
    /// Applies changes since the last call; the first call reads the collection of an import with a key column.
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

    /// Applies the records changed in these entries; returns whether all entries were available. Outdated values stay,
    /// because every match is checked against the record.
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

    /// Marks the entry of the current transaction as seen: its writes are already included.
    pub(super) fn seen(&mut self, seq: u64) {
        if self.seen.is_some() {
            self.seen = Some(seq);
        }
    }

    /// Key of the field.
    pub(super) fn field(&self) -> &str {
        &self.field
    }

    /// The value of a row in the key field.
    pub(super) fn value_in(&self, values: &[(String, FieldValue)]) -> Option<String> {
        values.iter().find(|(key, _)| *key == self.field).map(|(_, value)| written(value))
    }

    /// The records with the key value of a row, at most two, and the number of candidates.
    pub(super) fn rows_with(
        &self,
        tx: &WriteTx<'_>,
        (home, values): (Home, &[(String, FieldValue)]),
    ) -> Result<(Vec<Row>, usize), StoreError> {
        let value = self.value_in(values);
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

    /// Adds a record with its value.
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

/// A text that is equal for equivalent values.
fn written(value: &FieldValue) -> String {
    match (value.identity(), value) {
        (Some((kind, words)), _) => format!("{kind} {words}"),
        (None, FieldValue::Text(text)) => folded(text),
        (None, other) => format!("{other:?}"),
    }
}
