//! Rows that identify their records by id, as in exports of HQ. Their texts are the written form of fields and are read
//! literally, and a cell with the record's present value changes nothing.

use entity::{Column, FieldValue, Kind, value_in};
use serde_json::Value;
use store::{StoreError, WriteTx};
use uuid::Uuid;

use super::cells::{Cells, Told};
use super::imports::{Numbered, One};
use crate::columns::{self, ORGANIZATION};
use crate::model::{Clash, Goes, Mapped, Row};
use crate::names::Known;

/// Suffixes of headings of a relation in JSON.
pub(crate) const PARTS: [&str; 2] = [".id", ".name"];

impl One<'_> {
    /// The record with the id in a row; `None` without an id, or if no such record exists.
    pub(super) fn by_id(
        &self,
        tx: &WriteTx<'_>,
        (_, cells): Numbered<'_>,
        message: &mut Told<'_>,
    ) -> Result<Option<Row>, StoreError> {
        let mut columns = self.import.columns.iter().zip(cells);
        let Some((mapped, text)) = columns.find(|(mapped, _)| mapped.goes == Goes::Id) else {
            return Ok(None);
        };
        if text.trim().is_empty() || self.import.clash == Clash::New {
            return Ok(None);
        }
        let Ok(id) = Uuid::try_parse(text.trim()) else {
            message.cell((&mapped.header, ""), "This isn't a record ID.".to_owned());
            return Ok(None);
        };
        let row = self.import.home.kind().get(tx, id)?;
        Ok(row.filter(|row| row.home() == self.import.home))
    }

    /// Reads a cell literally; returns whether it did.
    pub(super) fn takes(
        &self,
        (mapped, column): (&Mapped, &Column),
        text: &str,
        known: &Known<'_>,
        (here, all): (Option<&entity::Cells>, &mut Cells),
    ) -> bool {
        let is_there = here
            .and_then(|cells| value_in(cells, &column.key))
            .is_some_and(|value| says((&mapped.header, column), text, (value, known)));
        let leads = column.kind == Kind::Relation;
        let goes_there = |mapped: &&Mapped| mapped.goes.field() == Some(column.key.as_str());
        if !leads && 1 < self.import.columns.iter().filter(goes_there).count() {
            return false;
        }
        let is_taken =
            leads && (all.same.contains(&column.key) || all.values.contains_key(&column.key));
        let is_id = leads && mapped.header.ends_with(PARTS[0]);
        if is_there {
            all.same.push(column.key.clone());
            return true;
        }
        // A record of another workspace is found by its name, which is in another column.
        if is_taken || (column.kind == Kind::Number && self.import.decimal_comma) {
            return is_taken;
        }
        match column.read(text, known) {
            Ok(Some(value)) => {
                all.put(&column.key, text.to_owned(), value);
                true
            }
            _ if column.key == ORGANIZATION && !is_id => {
                all.values.insert(column.key.clone(), Value::String(text.to_owned()));
                true
            }
            _ => is_id,
        }
    }
}

/// Whether a cell has the present value of a field.
fn says(
    (header, column): (&str, &Column),
    text: &str,
    (value, known): (&FieldValue, &Known<'_>),
) -> bool {
    let json = match columns::json(column, value, known) {
        Value::String(text) => text,
        Value::Array(all) => {
            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            all.join(", ")
        }
        Value::Object(parts) => {
            let part = header.rsplit_once('.').and_then(|(_, part)| parts.get(part));
            part.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        other => other.to_string(),
    };
    let text = text.trim();
    json.trim() == text || column.written(value, known).trim() == text
}
