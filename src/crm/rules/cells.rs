//! Reads the cells of a row of a file by their fields. An invalid cell is left out and reported; the rest of its row is
//! imported.

use std::sync::Arc;

use entity::{Column, FieldValue, Kind, Names as _};
use features::tasks::queries::people::assignee_of;
use kernel::text::ellipsis;
use serde_json::{Map, Value};
use store::WriteTx;

use super::imports::{Numbered, One};
use super::person::{self, NamePart, name_part};
use super::several::{self, Address};
use super::words;
use crate::columns::{ORGANIZATION, STAGE, TAGS};
use crate::error::CrmError;
use crate::model::{Clash, Home, Mapped, NAME, RowProblem};
use crate::names::Known;

/// The key of the field for values without a field.
const NOTES: &str = "notes";

/// Maximum characters of a cell that a message quotes.
const QUOTED: usize = 40;

/// The cells of a row of the file.
#[derive(Default)]
pub(super) struct Cells {
    /// By field key, as text.
    pub(super) values: Map<String, Value>,
    /// By field key, parsed.
    pub(super) typed: Vec<(String, FieldValue)>,
    /// Values without a field: heading of the column, label, text.
    pub(super) more: Vec<(String, String, String)>,
    /// Keys of fields whose value equals that of the record.
    pub(super) same: Vec<String>,
}

/// Collects the problems of a row.
pub(super) struct Told<'p> {
    pub(super) row: u32,
    pub(super) problems: &'p mut Vec<RowProblem>,
    /// Number of cells left out because they are unreadable.
    pub(super) left: u32,
}

impl Told<'_> {
    /// Reports a cell that stays empty.
    pub(super) fn cell(&mut self, (header, key): (&str, &str), says: String) {
        // A new record gets the first stage instead.
        self.left += u32::from(key != STAGE);
        self.hint(header, says);
    }

    /// Reports something in a column, or in the whole row, that somebody should check.
    pub(super) fn hint(&mut self, header: &str, says: String) {
        self.problems.push(RowProblem { row: self.row, column: header.to_owned(), says });
    }
}

/// Cells collected to be combined to values.
#[derive(Default)]
struct Collected {
    /// Parts of a person's name, and the heading of the first part.
    names: Vec<(NamePart, String)>,
    header: Option<String>,
    addresses: Vec<Address>,
    /// Companies and roles by field key: heading and text of each.
    listed: Vec<(String, Vec<(String, String)>)>,
}

/// Fields of contacts whose cells may list several values, of which one counts.
const LISTED: [&str; 3] = [ORGANIZATION, "company", "title"];

impl Cells {
    pub(super) fn put(&mut self, key: &str, text: String, value: FieldValue) {
        self.typed.retain(|(one, _)| one != key);
        self.typed.push((key.to_owned(), value));
        self.values.insert(key.to_owned(), Value::String(text));
    }

    /// Appends values without a field to the notes; reports those that cannot be there.
    pub(super) fn note_rest(&mut self, columns: &[Column], report: &mut Told<'_>) {
        let has_notes =
            columns.iter().any(|column| column.key == NOTES && column.kind == Kind::LongText);
        for (header, label, text) in std::mem::take(&mut self.more) {
            if !has_notes {
                report.cell((&header, ""), format!("No field left for {text}."));
                continue;
            }
            let before = self.values.get(NOTES).and_then(Value::as_str).unwrap_or_default();
            let all = match before {
                "" => format!("{label}: {text}"),
                before => format!("{before}\n\n{label}: {text}"),
            };
            self.values.insert(NOTES.to_owned(), Value::String(all));
        }
    }
}

impl One<'_> {
    /// Reads the cells of a row, with the existing cells of a record that it identifies by id.
    pub(super) fn read(
        &self,
        tx: &WriteTx<'_>,
        ((_, cells), here): (Numbered<'_>, Option<&entity::Cells>),
        report: &mut Told<'_>,
    ) -> Cells {
        let is_literal = self.import.has_ids();
        let known = Known::with(Arc::clone(self.people), tx, assignee_of(tx.by()));
        let (mut all, mut collected) = (Cells::default(), Collected::default());
        for (mapped, text) in self.import.columns.iter().zip(cells) {
            let Some(column) = self.column_of(mapped) else { continue };
            if text.trim().is_empty() {
                self.empties(column, (here, &mut all));
                continue;
            }
            if is_literal && self.takes((mapped, column), text.trim(), &known, (here, &mut all)) {
                continue;
            }
            if !is_literal && !self.is_typed && sheet::is_error(text) {
                let says = format!("The file contains an error: {}.", text.trim());
                report.cell((&mapped.header, &column.key), says);
                continue;
            }
            if self.collects(
                (mapped, column),
                text,
                &known,
                (&mut collected, &mut all, &mut *report),
            ) {
                continue;
            }
            let text = match words::is_chosen(column) {
                true => words::in_place(column, mapped, text),
                false => self.clean((mapped, column), text.trim()),
            };
            if text.is_empty() {
                continue;
            }
            let text = match all.values.get(&column.key).and_then(Value::as_str) {
                Some(before) if before == text => continue,
                Some(before) => match column.kind {
                    Kind::Text => format!("{before} {text}"),
                    Kind::LongText => format!("{before}\n\n{text}"),
                    Kind::MultiSelect => format!("{before}, {text}"),
                    // The first filled column wins.
                    _ => continue,
                },
                None => text,
            };
            // Missing records are created with the row.
            if column.key == ORGANIZATION || column.key == TAGS {
                all.values.insert(column.key.clone(), Value::String(text));
                continue;
            }
            match column.read(&text, &known) {
                Ok(Some(value)) => all.put(&column.key, text, value),
                Ok(None) => {}
                Err(says) => {
                    let is_day = matches!(column.kind, Kind::Date | Kind::Datetime);
                    let says = match is_day && !says.contains(&text) {
                        true => format!("\"{}\" isn’t a date. {says}", ellipsis(&text, QUOTED)),
                        false => says,
                    };
                    report.cell((&mapped.header, &column.key), says);
                }
            }
        }
        self.put_collected(collected, &known, (&mut all, report));
        all
    }

    /// Clears the field of an empty cell if the row identifies its record by id and the import overwrites. JSON omits
    /// unset fields, so an empty value there does not clear.
    fn empties(&self, column: &Column, (here, all): (Option<&entity::Cells>, &mut Cells)) {
        let is_sole = || {
            let goes_there = |one: &&Mapped| one.goes.field() == Some(column.key.as_str());
            self.import.columns.iter().filter(goes_there).count() == 1
        };
        let is_filled = here.is_some_and(|cells| entity::value_in(cells, &column.key).is_some());
        if is_filled
            && self.import.clash == Clash::Overwrite
            && !self.is_typed
            && !column.required
            && is_sole()
        {
            all.values.insert(column.key.clone(), Value::Null);
        }
    }

    /// Collects cells whose field takes several columns or several values; returns whether it did.
    fn collects(
        &self,
        (mapped, column): (&Mapped, &Column),
        text: &str,
        known: &Known<'_>,
        (collected, all, report): (&mut Collected, &mut Cells, &mut Told<'_>),
    ) -> bool {
        let header = &mapped.header;
        if column.key == NAME && self.import.home == Home::Contacts {
            let part = name_part(&crate::import::headings::plain(header));
            collected.names.push((part, entity::tidied(text)));
            collected.header.get_or_insert_with(|| header.clone());
            return true;
        }
        if column.kind == Kind::Date && person::is_no_date(text) {
            return true;
        }
        if column.kind == Kind::Date
            && let Some(day) = person::yearless(text)
        {
            all.more.push((header.clone(), column.label.clone(), day));
            return true;
        }
        if LISTED.contains(&column.key.as_str())
            && self.import.home == Home::Contacts
            && matches!(column.kind, Kind::Text | Kind::Relation)
        {
            // A single name may contain the separator.
            let is_one = column.kind == Kind::Relation && known.record(column.to, text).is_ok();
            let pieces = if is_one { vec![entity::tidied(text)] } else { several::listed(text) };
            let at = collected.listed.iter().position(|(key, _)| *key == column.key);
            let at = at.unwrap_or_else(|| {
                collected.listed.push((column.key.clone(), Vec::new()));
                collected.listed.len() - 1
            });
            let pairs = pieces.into_iter().map(|text| (header.clone(), text));
            collected.listed[at].1.extend(pairs);
            return true;
        }
        let Some(pieces) = several::pieces(column.kind, text) else { return false };
        for text in pieces {
            match column.read(&text, known) {
                Ok(Some(value)) => {
                    let (key, header) = (column.key.clone(), header.clone());
                    collected.addresses.push(Address { key, header, text, value });
                }
                Ok(None) => {}
                Err(says) => report.cell((header, &column.key), says),
            }
        }
        true
    }

    fn put_collected(
        &self,
        Collected { names, header, addresses, listed }: Collected,
        known: &Known<'_>,
        (all, report): (&mut Cells, &mut Told<'_>),
    ) {
        let name = person::name_of(&names);
        let column = self.columns.iter().find(|column| column.key == NAME);
        match column.map(|column| column.read(&name, known)) {
            Some(Ok(Some(value))) => all.put(NAME, name, value),
            Some(Err(says)) => report.cell((&header.unwrap_or_default(), NAME), says),
            Some(Ok(None)) | None => {}
        }
        for (key, values) in listed {
            let Some(column) = self.columns.iter().find(|column| column.key == key) else {
                continue;
            };
            let Some((text, rest)) = several::first(values) else { continue };
            let label = |(header, text)| (header, column.label.clone(), text);
            all.more.extend(rest.into_iter().map(label));
            // Missing records are created with the row.
            if column.key == ORGANIZATION {
                all.values.insert(key, Value::String(text));
                continue;
            }
            match column.read(&text, known) {
                Ok(Some(value)) => all.put(&key, text, value),
                Ok(None) => {}
                Err(says) => report.cell((&self.header_of(&key), &key), says),
            }
        }
        let (placed, left) = several::placed(addresses, self.columns);
        for Address { key, text, value, .. } in placed {
            all.put(&key, text, value);
        }
        for Address { key, header, text, value } in left {
            let column = self.columns.iter().find(|column| column.key == key);
            let label = column.map_or_else(|| header.clone(), |column| column.label.clone());
            all.more.push((header, label, text));
            all.typed.push((key, value));
        }
    }

    /// Names a person without a name after the organization, else after an address.
    pub(super) fn call(&self, tx: &WriteTx<'_>, cells: &mut Cells) {
        let known = Known::with(Arc::clone(self.people), tx, assignee_of(tx.by()));
        let Some(column) = self.columns.iter().find(|column| column.key == NAME) else { return };
        let parts = [ORGANIZATION, "company", "email", "email_2", "phone", "phone_2"]
            .into_iter()
            .filter_map(|key| cells.values.get(key).and_then(Value::as_str));
        let read = |text: &str| Some((text.to_owned(), column.read(text, &known).ok()??));
        if let Some((text, value)) = parts.filter_map(read).next() {
            cells.put(NAME, text, value);
        }
    }

    /// The field that a column of the file is mapped to.
    fn column_of(&self, mapped: &Mapped) -> Option<&Column> {
        let key = mapped.goes.field()?;
        self.columns.iter().find(|column| column.key == key)
    }

    /// The heading of the column mapped to a field, else the label of the field.
    pub(super) fn header_of(&self, key: &str) -> String {
        let goes = |mapped: &&Mapped| mapped.goes.field() == Some(key);
        if let Some(mapped) = self.import.columns.iter().find(goes) {
            return mapped.header.clone();
        }
        let column = self.columns.iter().find(|column| column.key == key);
        column.map_or_else(|| key.to_owned(), |column| column.label.clone())
    }

    /// Writes a row. Values that are invalid in their cells, such as an ambiguous organization name, are left out and
    /// reported; the rest of the row is imported.
    pub(super) fn written<T>(
        &self,
        tx: &mut WriteTx<'_>,
        mut values: Map<String, Value>,
        report: &mut Told<'_>,
        write: impl Fn(&mut WriteTx<'_>, Map<String, Value>) -> Result<T, CrmError>,
    ) -> Result<T, CrmError> {
        loop {
            let wrong = match tx.attempt(|tx| write(tx, values.clone())) {
                Err(CrmError::Invalid(wrong)) => wrong,
                other => return other,
            };
            let is_cell = |key: &str| key != NAME && values.contains_key(key);
            if wrong.is_empty() || !wrong.iter().all(|one| is_cell(&one.field)) {
                return Err(CrmError::Invalid(wrong));
            }
            for one in wrong {
                if values.remove(&one.field).is_some() {
                    let header = self.header_of(&one.field);
                    report.cell((&header, &one.field), one.message);
                }
            }
        }
    }
}
