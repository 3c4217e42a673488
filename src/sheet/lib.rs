//! Tables out of what a person sends: CSV, pasted text, JSON, XLSX; and CSV out. The words of XLS and ODS, too.
//!
//! Every cell comes out as text, as its author would write it: dates as `2026-11-26` or
//! `2026-11-26 14:30`, numbers plain. Nothing is lost in silence: what does not fit is an error that names
//! row and column, what was odd is a note. A file is foreign, so each size that it claims is counted
//! instead, and all work and memory stay within the limits below.

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

/// The largest file, in bytes.
pub const MAX_INPUT: usize = 20 << 20;
/// The most rows below the header.
pub const MAX_ROWS: usize = 50_000;
/// The most columns.
pub const MAX_COLUMNS: usize = 500;
/// The most cells right of these columns that are read of a sheet, and the most comments on its cells.
pub const MAX_FAR: usize = 10_000;
/// The most cells: rows times columns.
pub const MAX_CELLS: usize = 2_000_000;
/// The longest cell, in bytes.
pub const MAX_CELL: usize = 64 << 10;
/// The longest name of a column, in bytes.
pub const MAX_HEADER: usize = 1 << 10;
/// The most that is inflated of a workbook, and the most text in all its cells, in bytes.
pub const MAX_INFLATED: u64 = 200 << 20;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of cells with a delimiter between them.
    Csv,
    /// A list of objects, or an object that holds one.
    Json,
    /// A workbook of sheets.
    Xlsx,
}

impl Format {
    /// What the bytes are; the name decides only where they could be two things.
    ///
    /// # Errors
    /// If they are none of the formats; the error says what to save them as.
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

/// What a person chose; what is left open is guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The label of the encoding of a text.
    pub encoding: Option<String>,
    /// What stands between the cells of a CSV.
    pub delimiter: Option<char>,
    /// The row that names the columns, counted from 1; 0 if there is none and they go by their letters.
    pub header_row: Option<usize>,
    /// The sheet of a workbook, counted from 0.
    pub sheet: Option<usize>,
}

/// A table: each row has as many cells as there are headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it was read from.
    pub format: Format,
    /// The label of the encoding of a text; none of a workbook.
    pub encoding: Option<&'static str>,
    /// What stood between the cells of a CSV.
    pub delimiter: Option<char>,
    /// The names of the columns: trimmed, none empty, none twice.
    pub headers: Vec<String>,
    /// Which row of the file named the columns; 0 if none did.
    pub header_row: usize,
    /// The cells. Rows without any are left out.
    pub rows: Vec<Vec<String>>,
    /// For each row its number in the file, from 1, as a spreadsheet counts; in JSON its place in the list.
    pub numbers: Vec<usize>,
    /// The names of all sheets of a workbook.
    pub sheets: Vec<String>,
    /// Which of them was read.
    pub sheet: usize,
    /// What was odd, each with its row: for people.
    pub notes: Vec<String>,
}

/// Reads the table that a file or a pasted text holds; pasted text has no name. It may take seconds, so it
/// belongs on a thread that may block.
///
/// # Errors
/// If there is no table in it, or more than the limits allow; each error is one sentence for people.
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

/// Whether a cell says that its formula failed, as workbooks and what was saved from them do: `#DIV/0!`.
#[must_use]
pub fn is_error(cell: &str) -> bool {
    let words =
        ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#SPILL!", "#CALC!"];
    words.contains(&cell.trim())
}

/// A text and the cell that it belongs to, such as `B2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The cell.
    pub place: String,
    pub text: String,
}

/// What stands in one sheet of a workbook, as the sheet shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    pub name: String,
    /// Whether people do not see it unless they ask for it.
    pub is_hidden: bool,
    /// The cells of its rows in order, empty rows among them.
    pub rows: Vec<Vec<String>>,
    /// What stands right of the first [`MAX_COLUMNS`] columns.
    pub far: Vec<Placed>,
    /// What people have noted on cells.
    pub comments: Vec<Placed>,
    /// Whether there is more in it, which was left out.
    pub more: bool,
}

/// What stands in all sheets of a workbook, hidden ones too, up to about `most` bytes of text: for whoever wants to
/// know what it says, not to keep a table. At most `inflated` bytes of the zip are unpacked.
///
/// # Errors
/// If it is no workbook, or one that is locked, broken or a bomb.
pub fn workbook(bytes: &[u8], most: usize, inflated: u64) -> Result<Vec<Sheet>, SheetError> {
    xlsx::all(bytes, most, inflated.min(MAX_INFLATED))
}

/// The same of a spreadsheet of OpenDocument.
///
/// # Errors
/// If it is broken or a bomb.
pub fn opendocument(bytes: &[u8], most: usize, inflated: u64) -> Result<Vec<Sheet>, SheetError> {
    ods::all(bytes, most, inflated.min(MAX_INFLATED))
}

/// Whether it is a workbook of Excel as it was before XLSX.
#[must_use]
pub fn is_old_workbook(bytes: &[u8]) -> bool {
    xls::is_workbook(bytes)
}

/// The same as [`workbook`] of such a workbook; nothing in it is packed.
///
/// # Errors
/// If it is locked or broken.
pub fn old_workbook(bytes: &[u8], most: usize) -> Result<Vec<Sheet>, SheetError> {
    xls::all(bytes, most)
}

#[cfg(test)]
mod tests;
