//! Cells of an XLS sheet.

use super::super::SheetError;
use super::super::rows::Rows;
use super::super::xlsx::damaged;
use super::super::xlsx::shown;
use super::book::{Book, Sheet};
use super::records::{Record, Records, u16_at, u32_at};
use super::{BOF, EOF};

const FORMULA: u16 = 0x0006;
const MUL_RK: u16 = 0x00bd;
const RICH_LABEL: u16 = 0x00d6;
const LABEL_SST: u16 = 0x00fd;
const NUMBER: u16 = 0x0203;
const LABEL: u16 = 0x0204;
const BOOL_ERR: u16 = 0x0205;
const STRING: u16 = 0x0207;
const RK: u16 = 0x027e;

/// Adds the cells of a sheet to `rows` until they are full. `left` limits the bytes of records over all sheets: in a
/// valid file, sheets do not overlap.
pub(super) fn read(
    stream: &[u8],
    book: &Book,
    sheet: &Sheet,
    left: &mut usize,
    rows: &mut Rows,
) -> Result<(), SheetError> {
    let broken = || damaged(&format!("sheet \"{}\"", sheet.name), "");
    let mut records = Records::from(stream, sheet.at);
    records.next().filter(|first| first.kind == BOF).ok_or_else(broken)?;
    // Embedded charts have records of their own.
    let mut depth = 1_usize;
    let mut reader = Reader { book, rows, formula: None };
    while let Some(record) = records.next() {
        *left = left.checked_sub(record.body.len() + 4).ok_or_else(broken)?;
        match record.kind {
            BOF => depth += 1,
            EOF if depth == 1 => return Ok(()),
            EOF => depth -= 1,
            _ if depth == 1 => reader.take(&record, &mut records).ok_or_else(broken)?,
            _ => (),
        }
        if reader.rows.is_full() {
            return Ok(());
        }
    }
    Err(broken())
}

struct Reader<'r> {
    book: &'r Book,
    rows: &'r mut Rows,
    /// Cell of a formula whose string result follows in another record.
    formula: Option<(usize, usize)>,
}

impl Reader<'_> {
    fn take<'b>(&mut self, record: &Record<'b>, records: &mut Records<'b>) -> Option<()> {
        let body = record.body;
        match record.kind {
            LABEL_SST => {
                let text = self.book.strings.get(u32_at(body, 6)? as usize)?;
                let (row, column) = place(body)?;
                self.rows.put(row, column, text);
            }
            LABEL | RICH_LABEL => {
                let text = self.book.text(&mut records.pieces(body.get(6..)?), false)?;
                let (row, column) = place(body)?;
                self.rows.put(row, column, &text);
            }
            NUMBER => self.number(body, f64_at(body, 6)?)?,
            RK => self.number(body, rk(u32_at(body, 6)?))?,
            MUL_RK => {
                let (row, first) = place(body)?;
                // Format and number per cell, then the last column.
                let cells = body.len().checked_sub(6)? / 6;
                for at in 0..cells {
                    let format = u16_at(body, 4 + 6 * at)?;
                    let value = rk(u32_at(body, 6 + 6 * at)?);
                    self.put_number(row, first + at, format, value);
                }
            }
            // Error values count as empty.
            BOOL_ERR if *body.get(7)? == 0 => self.truth(body, *body.get(6)?)?,
            FORMULA => self.formula(body)?,
            STRING => {
                let text = self.book.text(&mut records.pieces(body), false)?;
                if let Some((row, column)) = self.formula.take() {
                    self.rows.put(row, column, &text);
                }
            }
            _ => (),
        }
        Some(())
    }

    fn formula(&mut self, body: &[u8]) -> Option<()> {
        self.formula = None;
        // This marker means that the result is no number.
        if u16_at(body, 12)? != 0xffff {
            return self.number(body, f64_at(body, 6)?);
        }
        match *body.get(6)? {
            0 => self.formula = Some(place(body)?),
            1 => self.truth(body, *body.get(8)?)?,
            _ => (),
        }
        Some(())
    }

    fn truth(&mut self, body: &[u8], value: u8) -> Option<()> {
        let (row, column) = place(body)?;
        self.rows.put(row, column, if value == 0 { "false" } else { "true" });
        Some(())
    }

    fn number(&mut self, body: &[u8], value: f64) -> Option<()> {
        let (row, column) = place(body)?;
        self.put_number(row, column, u16_at(body, 4)?, value);
        Some(())
    }

    fn put_number(&mut self, row: usize, column: usize, format: u16, value: f64) {
        let value = value.to_string();
        let text = match self.book.styles.get(usize::from(format)) {
            Some(look) => shown::as_shown(&value, look, self.book.from_1904),
            None => shown::number(&value, shown::Style::Number, self.book.from_1904),
        };
        self.rows.put(row, column, &text);
    }
}

/// Row and column, from 0, at the start of a cell record.
fn place(body: &[u8]) -> Option<(usize, usize)> {
    Some((usize::from(u16_at(body, 0)?), usize::from(u16_at(body, 2)?)))
}

fn f64_at(body: &[u8], at: usize) -> Option<f64> {
    Some(f64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?))
}

/// RK number: the upper half of a float, or a 30-bit integer; optionally in hundredths.
fn rk(raw: u32) -> f64 {
    let value = match raw & 2 {
        0 => f64::from_bits(u64::from(raw & !3) << 32),
        _ => f64::from(raw.cast_signed() >> 2),
    };
    if raw & 1 == 0 { value } else { value / 100.0 }
}

#[cfg(test)]
mod tests {
    use super::rk;

    #[test]
    fn short_numbers_are_whole_or_halved_and_may_be_hundredths() {
        assert_eq!([rk((7 << 2) | 2), rk((1_250 << 2) | 3), rk(!1)], [7.0, 12.5, -1.0]);
        assert_eq!([rk(0x3ff0_0000), rk(0x4029_0000), rk(0x4093_8801)], [1.0, 12.5, 12.5]);
    }
}
