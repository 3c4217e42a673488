//! XLS (BIFF5 and BIFF8, Excel 1993 to 2003): records in a compound file.
//!
//! Implemented by hand like XLSX: no number in the file is trusted or preallocated, and no chain or sheet is followed
//! beyond the length of the file.

mod book;
mod cells;
mod compound;
mod records;

use super::rows::Rows;
use super::xlsx::{caught, damaged};
use super::{Sheet, SheetError};
use book::Book;
use compound::Compound;

/// Records at the start and end of a workbook and of each sheet.
const BOF: u16 = 0x0809;
const EOF: u16 = 0x000a;

/// Names of the workbook stream, the newer one first.
const STREAMS: &[&str] = &["Workbook", "Book"];

/// Whether it is such a workbook; documents with an embedded workbook are not.
pub(crate) fn is_workbook(bytes: &[u8]) -> bool {
    Compound::open(bytes).is_ok_and(|file| STREAMS.iter().any(|name| file.has(name)))
}

/// Content of all sheets, up to about `most` bytes of text.
pub(crate) fn all(bytes: &[u8], most: usize) -> Result<Vec<Sheet>, SheetError> {
    caught(|| {
        let file = Compound::open(bytes)?;
        let name = STREAMS.iter().find(|name| file.has(name));
        let stream = name.map(|name| file.stream(name)).transpose()?.flatten();
        let stream =
            stream.ok_or_else(|| damaged("its list of streams", "there is no workbook"))?;
        let book = Book::read(&stream)?;
        let (mut most, mut left) = (most, stream.len());
        let mut sheets = Vec::with_capacity(book.sheets.len());
        for sheet in &book.sheets {
            let mut rows = Rows::new(most);
            cells::read(&stream, &book, sheet, &mut left, &mut rows)?;
            most = rows.left();
            sheets.push(rows.into_sheet(sheet.name.clone(), sheet.is_hidden));
        }
        Ok(sheets)
    })
}

#[cfg(test)]
mod tests;
