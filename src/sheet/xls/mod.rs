//! XLS: workbooks as Excel wrote them from 1993 to 2003, records in a container of sectors.
//!
//! Read by hand for the same reasons as XLSX: no number of the file is reserved for or believed, no chain and no sheet
//! is followed further than the file is long.

mod book;
mod cells;
mod compound;
mod records;

use super::rows::Rows;
use super::xlsx::{caught, damaged};
use super::{Sheet, SheetError};
use book::Book;
use compound::Compound;

/// The records with which a workbook and each sheet begin and end.
const BOF: u16 = 0x0809;
const EOF: u16 = 0x000a;

/// Under which names the records lie, the newer one first.
const STREAMS: &[&str] = &["Workbook", "Book"];

/// Whether it is such a workbook; documents in which one is embedded are none.
pub(crate) fn is_workbook(bytes: &[u8]) -> bool {
    Compound::open(bytes).is_ok_and(|file| STREAMS.iter().any(|name| file.has(name)))
}

/// What stands in all sheets, up to about `most` bytes of text.
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
