//! Cells of a sheet, in any order.

use std::collections::BTreeMap;

use kernel::problem::{Problem, ProblemKind};
use quick_xml::events::{BytesStart, Event};

use super::super::package::{Package, Part, attribute, resolve};
use super::super::place::{Notes, letters};
use super::super::table::{ABOVE, Grid, first_beyond};
use super::super::{
    MAX_CELL, MAX_CELLS, MAX_COLUMNS, MAX_FAR, MAX_INFLATED, MAX_ROWS, Placed, Sheet, SheetError,
};
use super::book::Book;
use super::strings::{RichText, unescaped};
use super::styles::Style;
use super::{damaged, shown};

/// Limits of the file format.
const LAST_ROW: usize = 1 << 20;
const LAST_COLUMN: usize = 1 << 14;

/// Reads the non-empty rows.
pub(super) fn read(
    package: &mut Package<'_>,
    book: &Book,
    sheet: usize,
    notes: &mut Notes,
) -> Result<Grid, SheetError> {
    let sheet = &book.sheets[sheet];
    let what = format!("sheet \"{}\"", sheet.name);
    let mut part =
        package.part(&sheet.path, &what)?.ok_or_else(|| damaged(&what, "it is missing"))?;
    let mut reader = Reader::new(book, &what, notes);
    reader.read(&mut part)?;
    reader.into_grid()
}

/// The beginning of a sheet as displayed, up to about `most` bytes of text.
pub(super) fn first(
    package: &mut Package<'_>,
    book: &Book,
    sheet: usize,
    most: u64,
) -> Result<Sheet, SheetError> {
    let sheet = &book.sheets[sheet];
    let what = format!("sheet \"{}\"", sheet.name);
    let mut notes = Notes::default();
    let mut reader = Reader::new(book, &what, &mut notes);
    (reader.most, reader.is_shown) = (most, true);
    let more = match package.part(&sheet.path, &what)? {
        _ if most == 0 => true,
        None => false,
        Some(mut part) => match reader.read(&mut part) {
            Ok(()) => false,
            // Content beyond a limit is left out; zip bombs and damaged files are errors.
            Err(SheetError::Inflated { .. }) if reader.text > most => true,
            Err(fault) if fault.kind() == ProblemKind::TooLarge => match fault {
                SheetError::Inflated { .. } => return Err(fault),
                _ => true,
            },
            Err(SheetError::LongCell { .. }) => true,
            Err(fault) => return Err(fault),
        },
    };
    if most > 0 {
        reader.rows.insert(reader.current.0, reader.current.1);
    }
    Ok(Sheet {
        name: sheet.name.clone(),
        is_hidden: !sheet.visible,
        rows: reader.rows.into_values().collect(),
        far: reader.far,
        comments: Vec::new(),
        more,
    })
}

/// A cell under construction.
#[derive(Default)]
struct Open {
    kind: String,
    style: usize,
    value: String,
    /// Within the value element.
    within: bool,
    formula: bool,
}

struct Reader<'r> {
    book: &'r Book,
    what: &'r str,
    notes: &'r mut Notes,
    rows: BTreeMap<usize, Vec<String>>,
    /// Current row and column, from 0.
    row: usize,
    column: usize,
    /// Last cell that was read, for error messages.
    last: Option<(usize, usize)>,
    /// Index and cells of the current row.
    current: (usize, Vec<String>),
    open: Option<Open>,
    rich: RichText,
    /// Index of the next row without a number.
    next_row: usize,
    cells: usize,
    text: u64,
    /// Limit of text over all cells.
    most: u64,
    /// Render numbers as displayed, and keep cells beyond the column limit.
    is_shown: bool,
    /// Cells beyond the column limit.
    far: Vec<Placed>,
}

impl<'r> Reader<'r> {
    fn new(book: &'r Book, what: &'r str, notes: &'r mut Notes) -> Self {
        Self {
            book,
            what,
            notes,
            rows: BTreeMap::new(),
            row: 0,
            column: 0,
            last: None,
            current: (0, Vec::new()),
            open: None,
            rich: RichText::default(),
            next_row: 0,
            cells: 0,
            text: 0,
            most: MAX_INFLATED,
            is_shown: false,
            far: Vec::new(),
        }
    }

    fn read(&mut self, part: &mut Part<'_, '_>) -> Result<(), SheetError> {
        loop {
            let event = part.next().map_err(|fault| self.placed(fault.into()))?;
            match event {
                Event::Eof => return Err(self.damaged()),
                Event::End(element) if element.local_name().as_ref() == "sheetData" => {
                    return Ok(());
                }
                event => self.take(&event)?,
            }
        }
    }

    fn take(&mut self, event: &Event<'_>) -> Result<(), SheetError> {
        match event {
            Event::Start(element) => self.start(element)?,
            Event::End(element) => match element.local_name().as_ref() {
                "c" => {
                    if let Some(open) = self.open.take() {
                        self.close(open)?;
                    }
                    self.column += 1;
                }
                "v" => {
                    if let Some(open) = &mut self.open {
                        open.within = false;
                    }
                }
                _ => (),
            },
            Event::Text(text) => self.append(&text.xml10_content())?,
            Event::CData(text) => self.append(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let mut text = String::new();
                resolve(reference, &mut text);
                self.append(&text)?;
            }
            _ => (),
        }
        if self.open.is_some() {
            self.rich.take(event);
            self.check_length(self.rich.text.len())?;
        }
        Ok(())
    }

    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), SheetError> {
        match element.local_name().as_ref() {
            "row" => {
                let given = attribute(element, "r").map(|row| row.trim().parse::<usize>());
                self.row = match given {
                    None if self.next_row < LAST_ROW => self.next_row,
                    Some(Ok(row)) if (1..=LAST_ROW).contains(&row) => row - 1,
                    _ => return Err(self.damaged()),
                };
                self.next_row = self.row + 1;
                self.column = 0;
            }
            "c" => {
                if let Some(place) = attribute(element, "r") {
                    (self.row, self.column) = place_of(&place).ok_or_else(|| self.damaged())?;
                }
                if self.column >= LAST_COLUMN {
                    return Err(self.damaged());
                }
                self.rich.clear();
                self.open = Some(Open {
                    kind: attribute(element, "t").unwrap_or_default().into_owned(),
                    style: attribute(element, "s")
                        .and_then(|style| style.parse().ok())
                        .unwrap_or(0),
                    ..Open::default()
                });
            }
            name @ ("v" | "f") => {
                if let Some(open) = &mut self.open {
                    open.within = name == "v";
                    open.formula |= name == "f";
                }
            }
            _ => (),
        }
        Ok(())
    }

    fn append(&mut self, text: &str) -> Result<(), SheetError> {
        let Some(open) = self.open.as_mut().filter(|open| open.within) else { return Ok(()) };
        open.value.push_str(text);
        let length = open.value.len();
        self.check_length(length)
    }

    fn check_length(&self, length: usize) -> Result<(), SheetError> {
        match length > MAX_CELL {
            true => Err(SheetError::LongCell { row: self.row + 1, column: letters(self.column) }),
            false => Ok(()),
        }
    }

    /// Adds a finished cell to its row.
    fn close(&mut self, open: Open) -> Result<(), SheetError> {
        let (row, at) = (self.row + 1, self.column);
        let text = match open.kind.as_str() {
            "s" if open.value.is_empty() => String::new(),
            "s" => {
                let at = open.value.trim().parse().ok();
                let text =
                    at.and_then(|at| self.book.strings.get(at)).ok_or_else(|| self.damaged())?;
                self.check_length(text.len())?;
                text.to_owned()
            }
            "b" => match open.value.trim() {
                "" => String::new(),
                value => (value == "1" || value.eq_ignore_ascii_case("true")).to_string(),
            },
            // Kept as text: the caller of the table reports it.
            "e" => open.value.trim().to_owned(),
            "inlineStr" => unescaped(&self.rich.text).into_owned(),
            "d" => shown::iso(&open.value),
            "n" | "" if open.value.is_empty() => String::new(),
            "n" | "" => {
                let from_1904 = self.book.from_1904;
                match self.book.styles.get(open.style) {
                    Some(look) if self.is_shown => shown::as_shown(&open.value, look, from_1904),
                    Some(look) => shown::number(&open.value, look.style, from_1904),
                    None => shown::number(&open.value, Style::Number, from_1904),
                }
            }
            _ => unescaped(&open.value).into_owned(),
        };
        if open.formula && open.value.is_empty() && text.is_empty() && open.kind != "str" {
            self.notes.add(|| {
                let column = letters(at);
                format!(
                    "row {row}, column {column}: a formula without a stored result counts as \
                    empty"
                )
            });
        }
        self.last = Some((self.row, self.column));
        self.put(text)
    }

    fn put(&mut self, text: String) -> Result<(), SheetError> {
        if text.is_empty() {
            return Ok(());
        }
        let (row, column) = (self.row + 1, self.column);
        if column >= MAX_COLUMNS && !(self.is_shown && self.far.len() < MAX_FAR) {
            return Err(SheetError::TooManyColumns { row, column: letters(column) });
        }
        // One shared string may be in all cells, so each use counts.
        self.text += text.len() as u64;
        if self.text > self.most {
            return Err(SheetError::Inflated { row });
        }
        if column >= MAX_COLUMNS {
            self.far.push(Placed { place: format!("{}{row}", letters(column)), text });
            return Ok(());
        }
        if self.current.0 != self.row {
            let other = self.rows.remove(&self.row).unwrap_or_default();
            let (row, cells) = std::mem::replace(&mut self.current, (self.row, other));
            self.rows.insert(row, cells);
            if self.rows.len() > MAX_ROWS + ABOVE {
                let rows = self.rows.iter().map(|(row, cells)| (row + 1, cells.as_slice()));
                let row = first_beyond(rows).unwrap_or(self.row + 1);
                return Err(SheetError::TooManyRows { row });
            }
        }
        let cells = &mut self.current.1;
        if cells.len() <= column {
            self.cells += column + 1 - cells.len();
            cells.resize(column + 1, String::new());
        }
        cells[column] = text;
        match self.cells > MAX_CELLS {
            true => Err(SheetError::TooManyCells { rows: self.rows.len(), columns: column + 1 }),
            false => Ok(()),
        }
    }

    fn into_grid(mut self) -> Result<Grid, SheetError> {
        self.rows.insert(self.current.0, self.current.1);
        let mut grid = Grid::default();
        for (row, cells) in self.rows {
            grid.push(row + 1, 0, cells)?;
        }
        Ok(grid)
    }

    /// Adds the present position to an error.
    fn placed(&self, fault: SheetError) -> SheetError {
        match fault {
            SheetError::Inflated { .. } => SheetError::Inflated { row: self.row + 1 },
            SheetError::Damaged { part, cause, .. } => {
                SheetError::Damaged { part, place: self.place(), cause }
            }
            fault => fault,
        }
    }

    fn damaged(&self) -> SheetError {
        let (part, cause) = (self.what.to_owned(), String::new());
        SheetError::Damaged { part, place: self.place(), cause }
    }

    /// Address of the last cell that was read.
    fn place(&self) -> Option<String> {
        self.last.map(|(row, column)| format!("{}{}", letters(column), row + 1))
    }
}

/// Row and column, from 0, of a cell address such as `AB12`.
fn place_of(place: &str) -> Option<(usize, usize)> {
    let place = place.trim();
    let digits = place.find(|sign: char| sign.is_ascii_digit())?;
    let mut column = 0;
    for letter in place[..digits].bytes() {
        let letter = letter.to_ascii_uppercase();
        column = column * 26 + usize::from(letter.is_ascii_uppercase().then(|| letter - b'A' + 1)?);
        if column > LAST_COLUMN {
            return None;
        }
    }
    let row: usize = place[digits..].parse().ok().filter(|row| *row <= LAST_ROW)?;
    Some((row.checked_sub(1)?, column.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn places_are_read_or_refused() {
        assert_eq!(place_of("A1"), Some((0, 0)));
        assert_eq!(place_of("ab12"), Some((11, 27)));
        assert_eq!(place_of("XFD1048576"), Some((1_048_575, 16_383)));
        for place in
            ["", "A", "1", "A0", "XFE1", "A1048577", "ZZZZZZZZZZZZZZZZ1", "A-1", "Ä1", "A1:B2"]
        {
            assert_eq!(place_of(place), None, "{place}");
        }
    }
}
