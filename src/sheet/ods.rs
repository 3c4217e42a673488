//! OpenDocument spreadsheets, read as a stream. Rows and cells have repeat counts; empty ones are only counted, others
//! count against the limits for each repetition.

use std::collections::HashSet;

use quick_xml::events::{BytesStart, Event};

use super::package::{Package, Part, attribute, resolve};
use super::rows::Rows;
use super::xlsx::shown;
use super::xlsx::styles::Style;
use super::xlsx::{MOST_SHEETS, caught, damaged};
use super::{MAX_CELL, Sheet, SheetError};

const LIST: &str = "the part with its sheets";

/// Longest style name that is kept, in characters.
const LONGEST_STYLE: usize = 200;
/// Limit of rows and columns of the file format.
const LAST: usize = 1 << 20;

/// Elements that contain no cell text: drawings, tracked changes, copies of other files.
const ASIDE: &[&str] = &[
    "custom-shape",
    "dde-links",
    "forms",
    "frame",
    "note",
    "ruby-text",
    "shapes",
    "tracked-changes",
];

/// Content of all sheets, up to about `most` bytes of text.
pub(crate) fn all(bytes: &[u8], most: usize, inflated: u64) -> Result<Vec<Sheet>, SheetError> {
    caught(|| {
        let mut package = Package::open(bytes, inflated)?;
        let part = package.part("content.xml", LIST)?;
        let mut part = part.ok_or_else(|| damaged(LIST, "it is missing"))?;
        let mut reader = Reader::new(most);
        match reader.read(&mut part) {
            // The wanted content was read before.
            Err(SheetError::Inflated { .. }) if reader.is_full() => reader.close_sheet(),
            read => read?,
        }
        Ok(reader.sheets)
    })
}

/// A cell under construction.
struct Cell {
    /// Repeat count.
    times: usize,
    /// Value type.
    kind: String,
    /// Machine-readable value.
    value: Option<String>,
    /// Displayed text.
    text: String,
    /// Within the text element.
    within: bool,
}

impl Cell {
    fn of(element: &BytesStart<'_>) -> Self {
        let of = |name: &str| attribute(element, name).map(|value| value.into_owned());
        let kind = of("value-type").unwrap_or_default();
        let value = match kind.as_str() {
            "date" => of("date-value"),
            "boolean" => of("boolean-value"),
            "string" => of("string-value"),
            _ => of("value"),
        };
        let times = times(element, "number-columns-repeated");
        Self { times, kind, value, text: String::new(), within: false }
    }

    /// Adds text, with runs of whitespace collapsed.
    fn add(&mut self, added: &str) {
        for sign in added.chars() {
            if self.text.len() > MAX_CELL {
                return;
            }
            match sign.is_whitespace() {
                true if self.text.ends_with(char::is_whitespace) => (),
                true => self.text.push(' '),
                false => self.text.push(sign),
            }
        }
    }

    fn new_line(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// Text of the cell: dates in ISO form, numbers as displayed.
    fn into_text(self) -> String {
        let shown = self.text.trim();
        match (self.kind.as_str(), self.value) {
            ("date", Some(value)) => shown::iso(&value),
            ("boolean", Some(value)) => value,
            ("string", Some(value)) if shown.is_empty() => value,
            // In a column that is too narrow, `###` is displayed.
            ("float" | "percentage" | "currency", Some(value))
                if shown.is_empty() || shown.starts_with("##") =>
            {
                shown::number(&value, Style::Number, false)
            }
            _ => shown.to_owned(),
        }
    }
}

/// Repeat count, within the limits of the file format.
fn times(element: &BytesStart<'_>, name: &str) -> usize {
    let given = attribute(element, name).and_then(|times| times.parse().ok());
    given.unwrap_or(1).clamp(1, LAST)
}

struct Reader {
    sheets: Vec<Sheet>,
    /// Bytes of text that may still be added.
    left: usize,
    /// Name and rows of the current sheet.
    sheet: Option<(String, Rows)>,
    is_hidden: bool,
    /// Current row and column, from 0.
    row: usize,
    column: usize,
    /// Repeat count of the row.
    times: usize,
    /// Non-empty cells of the row: column, repeat count, text.
    cells: Vec<(usize, usize, String)>,
    cell: Option<Cell>,
    /// Text of the cell's comment, and whether the reader is within a paragraph of it.
    note: Option<(String, bool)>,
    /// Style being read, and styles of hidden sheets.
    style: String,
    hiding: HashSet<String>,
    /// Depth within a skipped element; 0 outside.
    skipped: usize,
}

impl Reader {
    fn new(most: usize) -> Self {
        Self {
            sheets: Vec::new(),
            left: most,
            sheet: None,
            is_hidden: false,
            row: 0,
            column: 0,
            times: 1,
            cells: Vec::new(),
            cell: None,
            note: None,
            style: String::new(),
            hiding: HashSet::new(),
            skipped: 0,
        }
    }

    fn is_full(&self) -> bool {
        let is_open_full = self.sheet.as_ref().is_some_and(|(_, rows)| rows.is_full());
        is_open_full || self.sheets.iter().any(|sheet| sheet.more)
    }

    fn read(&mut self, part: &mut Part<'_, '_>) -> Result<(), SheetError> {
        loop {
            match part.next()? {
                Event::Eof => return Err(damaged(LIST, "it ends early")),
                Event::Start(_) if self.skipped > 0 => self.skipped += 1,
                Event::End(_) if self.skipped > 0 => self.skipped -= 1,
                _ if self.skipped > 0 => (),
                Event::Start(element) => self.start(&element)?,
                Event::End(element) if element.local_name().as_ref() == "spreadsheet" => {
                    self.close_sheet();
                    return Ok(());
                }
                Event::End(element) => self.end(element.local_name().as_ref()),
                Event::Text(text) => self.add(&text.xml10_content()),
                Event::CData(text) => self.add(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let mut text = String::new();
                    resolve(&reference, &mut text);
                    self.add(&text);
                }
                _ => (),
            }
        }
    }

    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), SheetError> {
        match element.local_name().as_ref() {
            name if ASIDE.contains(&name) => self.skipped = 1,
            "annotation" if self.cell.is_some() => self.note = Some((String::new(), false)),
            "annotation" => self.skipped = 1,
            "p" if self.note.is_some() => {
                if let Some((note, within)) = &mut self.note {
                    if !note.is_empty() {
                        note.push(' ');
                    }
                    *within = true;
                }
            }
            "s" | "tab" | "line-break" if self.note.is_some() => self.add(" "),
            "style" => {
                let name = attribute(element, "name").unwrap_or_default();
                self.style = name.chars().take(LONGEST_STYLE).collect();
            }
            "table-properties" => {
                let is_hidden = attribute(element, "display").is_some_and(|shown| shown == "false");
                if is_hidden && self.hiding.len() < MOST_SHEETS {
                    self.hiding.insert(self.style.clone());
                }
            }
            // A table within a cell is no sheet.
            "table" if self.sheet.is_some() => self.skipped = 1,
            "table" => {
                if self.sheets.len() == MOST_SHEETS {
                    return Err(damaged(LIST, "it is too long"));
                }
                let name = attribute(element, "name").unwrap_or_default().into_owned();
                let style = attribute(element, "style-name").unwrap_or_default();
                self.is_hidden = self.hiding.contains(style.as_ref());
                self.sheet = Some((name, Rows::new(self.left)));
                self.row = 0;
            }
            "table-row" => {
                self.times = times(element, "number-rows-repeated");
                self.column = 0;
                self.cells.clear();
            }
            "table-cell" | "covered-table-cell" => self.cell = Some(Cell::of(element)),
            name => {
                if let Some(cell) = &mut self.cell {
                    match name {
                        "p" => {
                            cell.new_line();
                            cell.within = true;
                        }
                        "s" | "tab" => cell.add(" "),
                        "line-break" => cell.new_line(),
                        _ => (),
                    }
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, name: &str) {
        match name {
            "annotation" => self.close_note(),
            "p" if self.note.is_some() => {
                if let Some((_, within)) = &mut self.note {
                    *within = false;
                }
            }
            "table" => self.close_sheet(),
            "table-row" => {
                self.close_row();
                self.row = self.row.saturating_add(self.times);
            }
            "table-cell" | "covered-table-cell" => self.close_cell(),
            "p" => {
                if let Some(cell) = &mut self.cell {
                    cell.within = false;
                }
            }
            _ => (),
        }
    }

    fn add(&mut self, text: &str) {
        if let Some((note, within)) = &mut self.note {
            if *within && note.len() < MAX_CELL {
                note.push_str(text);
            }
            return;
        }
        if let Some(cell) = self.cell.as_mut().filter(|cell| cell.within) {
            cell.add(text);
        }
    }

    fn close_note(&mut self) {
        if let (Some((note, _)), Some((_, rows))) = (self.note.take(), &mut self.sheet) {
            rows.note(self.row, self.column, note);
        }
    }

    fn close_cell(&mut self) {
        let Some(cell) = self.cell.take() else { return };
        let (column, times) = (self.column, cell.times);
        self.column = column.saturating_add(times);
        let text = cell.into_text();
        if !text.is_empty() {
            self.cells.push((column, times, text));
        }
    }

    /// Adds the row to the sheet as often as it is repeated.
    fn close_row(&mut self) {
        let Some((_, rows)) = &mut self.sheet else { return };
        if self.cells.is_empty() {
            return;
        }
        for row in self.row..self.row.saturating_add(self.times) {
            for (column, times, text) in &self.cells {
                for column in *column..column.saturating_add(*times) {
                    rows.put(row, column, text);
                    if rows.is_full() {
                        return;
                    }
                }
            }
        }
    }

    fn close_sheet(&mut self) {
        if let Some((name, rows)) = self.sheet.take() {
            self.left = rows.left();
            self.sheets.push(rows.into_sheet(name, self.is_hidden));
        }
        (self.cell, self.note) = (None, None);
        self.cells.clear();
    }
}
