//! Why there is no table, as one sentence for people.

use kernel::problem::{Problem, ProblemKind};

use super::encoding::EncodingError;
use super::package::Fault;
use super::{MAX_CELLS, MAX_COLUMNS, MAX_ROWS};

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// More bytes than a file may have.
    #[error("the file is larger than 20 MB; split it, or leave out what is not needed")]
    TooLarge,
    /// Another program's format.
    #[error("{what} cannot be read; save it as XLSX or CSV and send that")]
    OtherFormat {
        /// What it is, with its article.
        what: &'static str,
    },
    /// A workbook behind a password.
    #[error("this file is protected by a password; save it as XLSX without one and send that")]
    Locked,
    /// A byte that no text has.
    #[error("row {row} holds a zero byte, so this is not a text; save it as XLSX or CSV")]
    NotText {
        /// The row in the file.
        row: usize,
    },
    /// Letters that are in no encoding that fits.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// A quoted cell without an end.
    #[error("row {row}, column {column}: a quote opens here and never closes")]
    TornQuote {
        /// The row in the file.
        row: usize,
        /// The column's letters.
        column: String,
    },
    /// A delimiter that cannot stand between cells.
    #[error("{0:?} cannot stand between cells; use a comma, a semicolon, a tab or a bar")]
    Delimiter(char),
    /// There is nothing in it.
    #[error("there are no rows in this file")]
    Empty,
    /// The row that was chosen for the names of columns has nothing in it.
    #[error("row {row} has no names of columns: it is empty or beyond the end")]
    NoHeader {
        /// The row that was asked for.
        row: usize,
    },
    /// A sheet that is not there.
    #[error("there is no sheet {}; this file has {count}", .asked + 1)]
    NoSheet {
        /// The sheet that was asked for, from 0.
        asked: usize,
        /// How many there are.
        count: usize,
    },
    /// More rows than a table may have.
    #[error("row {row} is beyond the {MAX_ROWS} rows that a table may have below its header")]
    TooManyRows {
        /// The first row too many.
        row: usize,
    },
    /// More columns than a table may have.
    #[error("row {row} has a cell in column {column}; a table may have {MAX_COLUMNS} columns")]
    TooManyColumns {
        /// The row in the file.
        row: usize,
        /// The column's letters, or its name.
        column: String,
    },
    /// More cells than a table may have.
    #[error(
        "{rows} rows of {columns} columns are too much: a table may have {MAX_CELLS} cells; \
         leave out columns that are not needed"
    )]
    TooManyCells {
        /// How many rows there are up to here.
        rows: usize,
        /// How many columns there are.
        columns: usize,
    },
    /// A cell that is too long.
    #[error("row {row}, column {column}: the text is longer than 64 KB")]
    LongCell {
        /// The row in the file.
        row: usize,
        /// The column's letters and its name.
        column: String,
    },
    /// A name of a column that is too long.
    #[error("row {row}: the name of column {column} is longer than 1 KB")]
    LongHeader {
        /// The row in the file.
        row: usize,
        /// The column's letters, or how the name begins.
        column: String,
    },
    /// A workbook that grows without measure.
    #[error("{}the file holds more than 200 MB when it is unpacked", up_to(*.row))]
    Inflated {
        /// The row that was read; 0 before the first.
        row: usize,
    },
    /// Text that is not JSON.
    #[error("this is not valid JSON: {reason}")]
    BadJson {
        /// What was expected, with line and column.
        reason: String,
    },
    /// JSON without a list.
    #[error("there is no list in this JSON; a list of objects is expected, or an object with one")]
    NoList,
    /// An entry of the list that is no object.
    #[error("entry {row} of the list is not an object with a name for each value")]
    NotAnObject {
        /// Its place in the list, from 1.
        row: usize,
    },
    /// A workbook that is broken.
    #[error(
        "this workbook is damaged: {part} cannot be read{}; open it, save it as XLSX and send that",
        after(.place)
    )]
    Damaged {
        part: String,
        /// The last row and column that could be read, where one could.
        place: Option<String>,
        /// What the reader of it said, in its own words: for whoever looks into it.
        cause: String,
    },
}

fn after(place: &Option<String>) -> String {
    place.as_ref().map(|place| format!(" after cell {place}")).unwrap_or_default()
}

fn up_to(row: usize) -> String {
    if row == 0 { String::new() } else { format!("up to row {row} ") }
}

impl From<Fault> for SheetError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged { part, cause } => Self::Damaged { part, place: None, cause },
            Fault::Locked => Self::Locked,
            Fault::Inflated => Self::Inflated { row: 0 },
            Fault::LongText { part } => {
                let cause = "a text is longer than a text may be".to_owned();
                Self::Damaged { part, place: None, cause }
            }
        }
    }
}

impl Problem for SheetError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "file_too_large",
            Self::OtherFormat { .. } => "format_unknown",
            Self::Locked => "file_locked",
            Self::NotText { .. } => "not_a_text",
            Self::Encoding(_) => "encoding_unfit",
            Self::TornQuote { .. } => "quote_torn",
            Self::Delimiter(_) => "delimiter_unfit",
            Self::Empty => "no_rows",
            Self::NoHeader { .. } => "no_such_header_row",
            Self::NoSheet { .. } => "no_such_sheet",
            Self::TooManyRows { .. } => "too_many_rows",
            Self::TooManyColumns { .. } => "too_many_columns",
            Self::TooManyCells { .. } => "too_many_cells",
            Self::LongCell { .. } => "cell_too_long",
            Self::LongHeader { .. } => "header_too_long",
            Self::Inflated { .. } => "file_inflates",
            Self::BadJson { .. } => "json_invalid",
            Self::NoList => "json_without_list",
            Self::NotAnObject { .. } => "json_not_an_object",
            Self::Damaged { .. } => "workbook_damaged",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::TooLarge
            | Self::TooManyRows { .. }
            | Self::TooManyColumns { .. }
            | Self::TooManyCells { .. }
            | Self::Inflated { .. } => ProblemKind::TooLarge,
            _ => ProblemKind::Invalid,
        }
    }
}
