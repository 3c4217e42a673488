//! Builds tables from rows: finds the header row, names the columns, and arranges the cells.

use std::collections::HashSet;

use super::place::{Notes, letters};
use super::{
    Format, MAX_CELL, MAX_CELLS, MAX_COLUMNS, MAX_HEADER, MAX_ROWS, Options, SheetError, Table,
    write,
};

/// Rows searched for the header row.
pub(crate) const ABOVE: usize = 30;
/// Rows below that determine the width of the table.
const BELOW: usize = 50;

/// A non-empty row.
struct Row {
    number: usize,
    /// Number of cells in the file; 0 if unknown.
    width: usize,
    /// Without trailing empty cells.
    cells: Vec<String>,
}

impl Row {
    fn filled(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
    }

    /// Number of cells through the last non-empty one.
    fn extent(&self) -> usize {
        self.cells.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1)
    }
}

/// Rows of a file before the header row is known.
#[derive(Default)]
pub(crate) struct Grid {
    rows: Vec<Row>,
    cells: usize,
}

impl Grid {
    /// Adds a row unless it is empty; `width` is its number of cells in the file, 0 if unknown.
    pub(crate) fn push(
        &mut self,
        number: usize,
        width: usize,
        mut cells: Vec<String>,
    ) -> Result<(), SheetError> {
        cells.iter_mut().for_each(write::unguard);
        let end = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        cells.truncate(end);
        let row = Row { number, width, cells };
        if row.extent() == 0 {
            return Ok(());
        }
        if end > MAX_COLUMNS {
            return Err(SheetError::TooManyColumns { row: number, column: letters(end - 1) });
        }
        if self.rows.len() > MAX_ROWS + ABOVE {
            let rows = self.rows.iter().map(|row| (row.number, row.cells.as_slice()));
            return Err(SheetError::TooManyRows { row: first_beyond(rows).unwrap_or(number) });
        }
        self.cells += end;
        if self.cells > MAX_CELLS {
            return Err(SheetError::TooManyCells { rows: self.rows.len(), columns: end });
        }
        self.rows.push(row);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn into_table(
        self,
        format: Format,
        options: &Options,
        mut notes: Notes,
    ) -> Result<Table, SheetError> {
        if self.is_empty() {
            return Err(SheetError::Empty);
        }
        let header = match options.header_row {
            Some(0) => None,
            Some(number) => {
                let at = self.rows.iter().position(|row| row.number == number);
                Some(at.ok_or(SheetError::NoHeader { row: number })?)
            }
            None => Some(guess_header(&self.rows)),
        };
        let mut rows = self.rows;
        let header = header
            .map(|at| rows.drain(..=at).next_back().expect("invariant: the range ends with it"));
        if let Some(row) = rows.get(MAX_ROWS) {
            return Err(SheetError::TooManyRows { row: row.number });
        }
        let columns = Columns::of(header.as_ref(), &rows, &mut notes)?;
        if rows.len() * columns.kept.len() > MAX_CELLS {
            let columns = columns.kept.len();
            return Err(SheetError::TooManyCells { rows: rows.len(), columns });
        }
        if let Some(header) = &header {
            note_ragged(header, &rows, &mut notes);
        }
        let mut table = Table {
            format,
            encoding: None,
            delimiter: None,
            header_row: header.map_or(0, |row| row.number),
            rows: Vec::with_capacity(rows.len()),
            numbers: rows.iter().map(|row| row.number).collect(),
            headers: Vec::new(),
            sheets: Vec::new(),
            sheet: 0,
            notes: notes.into_lines(),
        };
        for row in rows {
            table.rows.push(columns.cells(row)?);
        }
        table.headers = columns.names;
        Ok(table)
    }
}

/// The non-empty columns.
struct Columns {
    /// Their indexes in the file.
    kept: Vec<usize>,
    names: Vec<String>,
}

impl Columns {
    fn of(header: Option<&Row>, rows: &[Row], notes: &mut Notes) -> Result<Self, SheetError> {
        // First row with content, per column.
        let mut used: Vec<Option<usize>> = Vec::new();
        for row in rows {
            let extent = row.extent();
            used.resize(used.len().max(extent), None);
            for (first, cell) in used.iter_mut().zip(&row.cells[..extent]) {
                if first.is_none() && !cell.trim().is_empty() {
                    *first = Some(row.number);
                }
            }
        }
        let named = header.map_or(0, Row::extent);
        used.resize(used.len().max(named), None);
        let mut columns = Self { kept: Vec::new(), names: Vec::new() };
        let mut taken = HashSet::new();
        for (at, first) in used.into_iter().enumerate() {
            let own =
                header.and_then(|row| row.cells.get(at)).map(String::as_str).unwrap_or_default();
            let own = own.split_whitespace().collect::<Vec<_>>().join(" ");
            if own.len() > MAX_HEADER {
                let row = header.map_or(0, |row| row.number);
                return Err(SheetError::LongHeader { row, column: letters(at) });
            }
            let wanted = match (own.is_empty(), first) {
                (false, _) => own,
                (true, None) => continue,
                (true, Some(row)) => {
                    let name = format!("Column {}", letters(at));
                    if header.is_some() {
                        notes.add(|| format!("row {row}: an unnamed column is called \"{name}\""));
                    }
                    name
                }
            };
            let name = unique(&wanted, &taken);
            if name != wanted {
                let row = header.map_or(0, |row| row.number);
                notes.add(|| {
                    let column = letters(at);
                    format!(
                        "row {row}, column {column}: a second \"{wanted}\" is called \"{name}\""
                    )
                });
            }
            taken.insert(name.clone());
            columns.kept.push(at);
            columns.names.push(name);
        }
        Ok(columns)
    }

    /// The cells of a row for these columns.
    fn cells(&self, mut row: Row) -> Result<Vec<String>, SheetError> {
        let mut cells = Vec::with_capacity(self.kept.len());
        for (at, name) in self.kept.iter().zip(&self.names) {
            let cell = row.cells.get_mut(*at).map(std::mem::take).unwrap_or_default();
            if cell.len() > MAX_CELL {
                let column = format!("{} ({name})", letters(*at));
                return Err(SheetError::LongCell { row: row.number, column });
            }
            cells.push(cell);
        }
        Ok(cells)
    }
}

/// The name, with the first free number appended if it is taken.
pub(crate) fn unique(wanted: &str, taken: &HashSet<String>) -> String {
    if !taken.contains(wanted) {
        return wanted.to_owned();
    }
    let numbered = (2..).map(|number| format!("{wanted} {number}"));
    numbered.into_iter().find(|name| !taken.contains(name)).expect("invariant: numbers do not end")
}

/// Notes rows with fewer cells than the header: an unquoted delimiter or a broken quote causes such rows.
fn note_ragged(header: &Row, rows: &[Row], notes: &mut Notes) {
    for row in rows.iter().filter(|row| row.width < header.width && row.width > 0) {
        notes.add(|| {
            let (cells, columns) = (row.width, header.width);
            let cells = if cells == 1 { "1 cell".to_owned() } else { format!("{cells} cells") };
            format!("row {} has {cells}, but there are {columns} columns", row.number)
        });
    }
}

/// Guesses the header row: the first row with words that is as wide as the rows below. Titles and remarks above it are
/// narrower.
fn guess_header(rows: &[Row]) -> usize {
    let fits = |at: usize| {
        let row = &rows[at];
        let below = &rows[at + 1..rows.len().min(at + 1 + BELOW)];
        let mut extents: Vec<usize> = below.iter().map(Row::extent).collect();
        extents.sort_unstable();
        let wanted = extents.get(extents.len() / 2).copied().unwrap_or(1);
        let Some((words, others)) = words(row) else { return false };
        // In the first row, a missing name of the last column is tolerated.
        let missing = wanted.saturating_sub(row.extent());
        let wide = missing == 0 || (missing == 1 && at == 0 && others == 0);
        wide && words + others >= wanted.min(2) && words > 0 && words >= others
    };
    (0..rows.len().min(ABOVE)).find(|at| fits(*at)).unwrap_or(0)
}

/// Number of the first row beyond the table's limit, counted from the guessed header row; `None` if all rows fit.
pub(crate) fn first_beyond<'r>(
    rows: impl Iterator<Item = (usize, &'r [String])> + Clone,
) -> Option<usize> {
    let row = |(number, cells): (usize, &[String])| Row { number, width: 0, cells: cells.to_vec() };
    let filled = |row: &Row| 0 < row.extent();
    let top: Vec<Row> = rows.clone().map(row).filter(filled).take(ABOVE + BELOW).collect();
    let below = guess_header(&top) + 1;
    let is_filled =
        |(_, cells): &(usize, &[String])| cells.iter().any(|cell| !cell.trim().is_empty());
    rows.filter(is_filled).nth(below + MAX_ROWS).map(|(number, _)| number)
}

/// Numbers of cells that look like column names and that do not; `None` if one is certainly a value.
fn words(row: &Row) -> Option<(usize, usize)> {
    let (mut words, mut others) = (0, 0);
    for cell in row.filled() {
        let digits = cell.bytes().filter(u8::is_ascii_digit).count();
        if cell.contains('@') || cell.contains("://") || cell.len() > 200 {
            return None;
        }
        match cell.chars().any(char::is_alphabetic) && digits * 2 <= cell.len() {
            true => words += 1,
            false => others += 1,
        }
    }
    Some((words, others))
}
