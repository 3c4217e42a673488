//! Errors of reading a table, each one sentence for people.

use kernel::problem::{Problem, ProblemKind};

use super::encoding::EncodingError;
use super::package::Fault;
use super::{MAX_CELLS, MAX_COLUMNS, MAX_ROWS};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// Exceeds the size limit.
    #[error("the file is larger than 20 MB; split it or remove what isn't needed")]
    TooLarge,
    /// Format of another program.
    #[error("HQ can't read {what}; save it as XLSX or CSV and upload that")]
    OtherFormat {
        /// Name of the format with its article.
        what: &'static str,
    },
    #[error("this file is password-protected; save it as XLSX without a password and upload that")]
    Locked,
    /// A NUL character.
    #[error("row {row} contains a zero byte, so this isn't text; save it as XLSX or CSV")]
    NotText {
        /// From 1.
        row: usize,
    },
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// A quoted cell without end.
    #[error("row {row}, column {column}: a quotation mark opens here and never closes")]
    TornQuote {
        row: usize,
        /// Letters of the column.
        column: String,
    },
    /// Unusable delimiter.
    #[error("{0:?} can't separate cells; use a comma, a semicolon, a tab or a vertical bar")]
    Delimiter(char),
    #[error("there are no rows in this file")]
    Empty,
    /// The chosen header row is empty or missing.
    #[error("row {row} has no column names: it is empty or past the end")]
    NoHeader {
        /// From 1.
        row: usize,
    },
    #[error("there is no sheet {}; this file has {count}", .index + 1)]
    NoSheet {
        /// Requested sheet, from 0.
        index: usize,
        /// Number of sheets.
        count: usize,
    },
    #[error("row {row} exceeds the limit of {MAX_ROWS} rows below the header")]
    TooManyRows {
        /// The first row beyond the limit.
        row: usize,
    },
    #[error("row {row} has a cell in column {column}, and the limit is {MAX_COLUMNS} columns")]
    TooManyColumns {
        row: usize,
        /// Letters or name of the column.
        column: String,
    },
    #[error(
        "{rows} rows of {columns} columns are too many: the limit is {MAX_CELLS} cells; remove \
         columns you don't need"
    )]
    TooManyCells {
        /// Rows up to here.
        rows: usize,
        columns: usize,
    },
    #[error("row {row}, column {column}: the text is longer than 64 KB")]
    LongCell {
        row: usize,
        /// Letters and name of the column.
        column: String,
    },
    #[error("row {row}: the name of column {column} is longer than 1 KB")]
    LongHeader {
        row: usize,
        /// Letters of the column, or the beginning of the name.
        column: String,
    },
    /// A workbook exceeds the limit of inflated bytes.
    #[error("{}the file unpacks to more than 200 MB", up_to(*.row))]
    Inflated {
        /// The row that was read; 0 before the first one.
        row: usize,
    },
    #[error("this isn't valid JSON: {reason}")]
    BadJson {
        /// The parser's expectation, with line and column.
        reason: String,
    },
    #[error("this JSON has no list; use a list of objects, or an object that contains one")]
    NoList,
    /// An entry of the list is no object.
    #[error("entry {row} of the list isn't an object with a name for each value")]
    NotAnObject {
        /// Position in the list, from 1.
        row: usize,
    },
    #[error(
        "this workbook is damaged: {part} can't be read{}; open it, save it as XLSX and upload \
         that",
        after(.place)
    )]
    Damaged {
        part: String,
        /// Address of the last cell that was read, if there is one.
        place: Option<String>,
        /// Error of the parser, for diagnosis.
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
                let cause = "a text is too long".to_owned();
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
