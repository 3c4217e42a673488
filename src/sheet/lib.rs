//! Tables from CSV, pasted text, JSON and XLSX; text of XLS and ODS; CSV output.
//!
//! All cells are text in a plain form: dates as `2026-11-26` or `2026-11-26 14:30`, numbers without grouping. Nothing
//! is dropped silently: violations are errors with row and column, oddities are notes. Files are untrusted: declared
//! sizes are never trusted, and work and memory stay within the limits below.

mod delimited;
pub mod encoding;
mod json;
mod ods;
pub mod package;
mod place;
mod problem;
mod rows;
mod table;
mod text;
mod write;
mod xls;
mod xlsx;

pub use problem::SheetError;
pub use write::CsvWriter;

/// Largest file, in bytes.
pub const MAX_INPUT: usize = 20 << 20;
/// Limit of rows below the header.
pub const MAX_ROWS: usize = 50_000;
pub const MAX_COLUMNS: usize = 500;
/// Limit of cells beyond these columns that are read per sheet, and of comments per sheet.
pub const MAX_FAR: usize = 10_000;
/// Limit of cells: rows times columns.
pub const MAX_CELLS: usize = 2_000_000;
/// Longest cell, in bytes.
pub const MAX_CELL: usize = 64 << 10;
/// Longest column name, in bytes.
pub const MAX_HEADER: usize = 1 << 10;
/// Limit of inflated bytes per workbook, and of text in all its cells.
pub const MAX_INFLATED: u64 = 200 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Delimited text.
    Csv,
    /// A list of objects, or an object with such a list.
    Json,
    Xlsx,
}

impl Format {
    /// Detects the format; the name decides in ambiguous cases only.
    ///
    /// # Errors
    /// If the format is not supported; the error says what to save the file as.
    pub fn guess(name: &str, bytes: &[u8]) -> Result<Self, SheetError> {
        if bytes.starts_with(b"PK\x03\x04") {
            return xlsx::is_workbook(bytes).map(|()| Self::Xlsx);
        }
        text::refuse_binary(bytes)?;
        let (_, end) = name.rsplit_once('.').unwrap_or_default();
        match end.to_ascii_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "csv" | "tsv" | "tab" => Ok(Self::Csv),
            _ => Ok(text::first_sign(bytes).map_or(Self::Csv, |sign| match sign {
                b'[' | b'{' => Self::Json,
                _ => Self::Csv,
            })),
        }
    }
}

/// Choices of a person; `None` means automatic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Label of the encoding.
    pub encoding: Option<String>,
    pub delimiter: Option<char>,
    /// Header row, from 1; 0 if there is none and columns are named by letters.
    pub header_row: Option<usize>,
    /// Index of the sheet, from 0.
    pub sheet: Option<usize>,
}

/// A table; each row has as many cells as there are headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub format: Format,
    /// Label of the encoding; `None` for workbooks.
    pub encoding: Option<&'static str>,
    pub delimiter: Option<char>,
    /// Column names: trimmed, non-empty, unique.
    pub headers: Vec<String>,
    /// Header row, from 1; 0 if there is none.
    pub header_row: usize,
    /// Without empty rows.
    pub rows: Vec<Vec<String>>,
    /// Row numbers in the file, from 1, as in a spreadsheet; in JSON the position in the list.
    pub numbers: Vec<usize>,
    /// Names of all sheets of the workbook.
    pub sheets: Vec<String>,
    /// Index of the sheet that was read.
    pub sheet: usize,
    /// Oddities with their rows, for people.
    pub notes: Vec<String>,
}

/// Reads a table from a file or pasted text (with an empty name). May block for seconds.
///
/// # Errors
/// If there is no table, or a limit is exceeded; each error is one sentence for people.
pub fn read(name: &str, bytes: &[u8], options: &Options) -> Result<Table, SheetError> {
    if bytes.len() > MAX_INPUT {
        return Err(SheetError::TooLarge);
    }
    match Format::guess(name, bytes)? {
        Format::Csv => delimited::read(bytes, options),
        Format::Json => json::read(bytes, options),
        Format::Xlsx => xlsx::read(bytes, options),
    }
}

/// Whether a cell contains a formula error such as `#DIV/0!`.
#[must_use]
pub fn is_error(cell: &str) -> bool {
    let words =
        ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#SPILL!", "#CALC!"];
    words.contains(&cell.trim())
}

/// A text with the address of its cell, such as `B2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub place: String,
    pub text: String,
}

/// Content of a sheet as displayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    pub name: String,
    pub is_hidden: bool,
    /// Cells by row, including empty rows.
    pub rows: Vec<Vec<String>>,
    /// Cells beyond the first [`MAX_COLUMNS`] columns.
    pub far: Vec<Placed>,
    /// Comments on cells.
    pub comments: Vec<Placed>,
    /// Content was cut.
    pub more: bool,
}

/// Content of all sheets of an XLSX workbook including hidden ones, up to about `most` bytes of text: for text
/// extraction, not for tables. At most `inflated` bytes of the zip are inflated.
///
/// # Errors
/// If it is no workbook, protected, damaged or a zip bomb.
/// If it is no workbook, or one that is locked, broken or a bomb.
pub fn workbook(bytes: &[u8], most: usize, inflated: u64) -> Result<Vec<Sheet>, SheetError> {
    xlsx::all(bytes, most, inflated.min(MAX_INFLATED))
}

/// Like [`workbook`], for OpenDocument spreadsheets.
///
/// # Errors
/// If it is damaged or a zip bomb.
pub fn opendocument(bytes: &[u8], most: usize, inflated: u64) -> Result<Vec<Sheet>, SheetError> {
    ods::all(bytes, most, inflated.min(MAX_INFLATED))
}

/// Whether it is an XLS workbook (Excel before 2007).
#[must_use]
pub fn is_old_workbook(bytes: &[u8]) -> bool {
    xls::is_workbook(bytes)
}

/// Like [`workbook`], for XLS workbooks, which are not compressed.
///
/// # Errors
/// If it is protected or damaged.
pub fn old_workbook(bytes: &[u8], most: usize) -> Result<Vec<Sheet>, SheetError> {
    xls::all(bytes, most)
}

#[cfg(test)]
mod tests;
