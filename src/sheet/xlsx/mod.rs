//! XLSX (ECMA-376): a zip of XML parts, read as a stream.
//!
//! Implemented on `zip` and `quick-xml` directly: declared counts and sizes are never preallocated, and nothing is
//! copied per cell or style, because a failed allocation would abort the process.

use std::panic::catch_unwind;

use std::fmt::Display;

use super::package::{Fault, Package};
use super::place::Notes;
use super::{Format, MAX_INFLATED, Options, Sheet, SheetError, Table};
use book::Book;

mod book;
mod cells;
mod comments;
mod format;
pub(crate) mod shown;
pub(crate) mod strings;
pub(crate) mod styles;

/// Limit of sheets: each needs more memory than its bytes in the file.
pub(crate) const MOST_SHEETS: usize = 4_096;
/// Parts that identify other formats.
const OTHERS: &[(&str, &str)] = &[
    ("mimetype", "an OpenDocument file (.ods)"),
    ("xl/workbook.bin", "a binary Excel file (.xlsb)"),
    ("word/document.xml", "a Word document"),
    ("ppt/presentation.xml", "a presentation"),
    ("index/document.iwa", "an Apple Numbers file"),
    ("index.zip", "an Apple Numbers file"),
];

/// Rejects zips of other formats.
pub(crate) fn is_workbook(bytes: &[u8]) -> Result<(), SheetError> {
    caught(|| {
        let package = Package::open(bytes, MAX_INFLATED)?;
        if let Some((_, what)) = OTHERS.iter().find(|(name, _)| package.has(name)) {
            return Err(SheetError::OtherFormat { what });
        }
        match package.has("_rels/.rels") {
            true => Ok(()),
            false => Err(SheetError::OtherFormat { what: "an archive" }),
        }
    })
}

/// Reads the requested sheet, else the first visible non-empty one.
pub(crate) fn read(bytes: &[u8], options: &Options) -> Result<Table, SheetError> {
    caught(|| {
        let mut package = Package::open(bytes, MAX_INFLATED)?;
        let book = Book::open(&mut package)?;
        let sheets: Vec<String> = book.sheets.iter().map(|sheet| sheet.name.clone()).collect();
        let count = sheets.len();
        let (candidates, fallback) = match options.sheet {
            Some(index) if index >= count => return Err(SheetError::NoSheet { index, count }),
            Some(index) => (Vec::new(), index),
            None => {
                let visible: Vec<usize> =
                    (0..count).filter(|at| book.sheets[*at].visible).collect();
                let first = visible.first().copied().unwrap_or(0);
                (visible, first)
            }
        };
        let (mut sheet, mut found) = (fallback, None);
        for at in candidates {
            let mut notes = Notes::default();
            let grid = cells::read(&mut package, &book, at, &mut notes)?;
            if !grid.is_empty() {
                (sheet, found) = (at, Some((grid, notes)));
                break;
            }
        }
        let (grid, notes) = match found {
            Some(found) => found,
            None if count == 0 => return Err(SheetError::Empty),
            None => {
                let mut notes = Notes::default();
                (cells::read(&mut package, &book, sheet, &mut notes)?, notes)
            }
        };
        let table = grid.into_table(Format::Xlsx, options, notes)?;
        Ok(Table { sheets, sheet, ..table })
    })
}

/// Content of all sheets, up to about `most` bytes of text.
pub(crate) fn all(bytes: &[u8], most: usize, inflated: u64) -> Result<Vec<Sheet>, SheetError> {
    caught(|| {
        let mut package = Package::open(bytes, inflated)?;
        let book = Book::open(&mut package)?;
        let mut left = most;
        let mut sheets = Vec::with_capacity(book.sheets.len());
        for (at, listed) in book.sheets.iter().enumerate() {
            let mut sheet = cells::first(&mut package, &book, at, left as u64)?;
            let text: usize = sheet.rows.iter().flatten().map(String::len).sum();
            let far: usize = sheet.far.iter().map(|cell| cell.text.len()).sum();
            left = left.saturating_sub(text + far);
            sheet.comments = comments::read(&mut package, &listed.path, left)?;
            let noted: usize = sheet.comments.iter().map(|comment| comment.text.len()).sum();
            left = left.saturating_sub(noted);
            sheets.push(sheet);
        }
        Ok(sheets)
    })
}

/// Error for a damaged workbook; the cause is for diagnosis.
pub(crate) fn damaged(part: &str, cause: impl Display) -> SheetError {
    Fault::damaged(part, cause).into()
}

/// Turns a panic of a library into an error of the file.
pub(crate) fn caught<T>(
    work: impl FnOnce() -> Result<T, SheetError> + std::panic::UnwindSafe,
) -> Result<T, SheetError> {
    catch_unwind(work).unwrap_or_else(|_| Err(damaged("its content", "a panic")))
}

#[cfg(test)]
mod tests;
