//! CSV output that is safe against formula injection, and its inverse for reading.

use std::io;

/// Prefix of texts that a spreadsheet would evaluate.
const GUARD: char = '\'';

/// Writer of CSV (RFC 4180).
///
/// A text that starts with `=`, `+`, `-`, `@`, a tab or a carriage return gets an apostrophe as prefix. So does a text
/// with apostrophes before these, so that [`read`](crate::read) restores every text. Negative numbers stay plain; `+49
/// 30 1234` is no number.
pub struct CsvWriter<W: io::Write> {
    inner: csv::Writer<W>,
}

impl<W: io::Write> CsvWriter<W> {
    /// `out` needs no buffer.
    pub fn new(out: W) -> Self {
        let terminator = csv::Terminator::CRLF;
        Self {
            inner: csv::WriterBuilder::new().flexible(true).terminator(terminator).from_writer(out),
        }
    }

    /// Writes a row: column names or cells.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) -> io::Result<()> {
        for cell in cells {
            let cell = cell.as_ref();
            if is_guarded(cell) && !is_negative(cell) {
                self.inner.write_field(format!("{GUARD}{cell}"))?;
            } else {
                self.inner.write_field(cell)?;
            }
        }
        self.inner.write_record(None::<&[u8]>)?;
        Ok(())
    }

    /// Flushes and returns `out`.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn finish(self) -> io::Result<W> {
        self.inner.into_inner().map_err(|failed| io::Error::from(failed.error().kind()))
    }
}

/// Removes the prefix that [`CsvWriter`] added.
pub(crate) fn unguard(cell: &mut String) {
    if cell.starts_with(GUARD) && is_guarded(cell) {
        cell.remove(0);
    }
}

/// Whether a spreadsheet would evaluate this text without its leading apostrophes.
fn is_guarded(cell: &str) -> bool {
    cell.trim_start_matches(GUARD).starts_with(['=', '+', '-', '@', '\t', '\r'])
}

fn is_negative(cell: &str) -> bool {
    let Some(digits) = cell.strip_prefix('-') else { return false };
    let digits = digits.strip_suffix('%').unwrap_or(digits);
    let inner = |sign: u8| sign.is_ascii_digit() || sign == b'.' || sign == b',';
    digits.as_bytes().first().is_some_and(u8::is_ascii_digit) && digits.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::{CsvWriter, unguard};

    fn written(cells: &[&str]) -> String {
        let mut writer = CsvWriter::new(Vec::new());
        writer.row(cells).expect("memory takes it");
        String::from_utf8(writer.finish().expect("memory takes it")).expect("a text")
    }

    #[test]
    fn what_a_spreadsheet_would_run_gets_an_apostrophe() {
        assert_eq!(written(&["=1+1", "@x", "-x", "+49 30"]), "'=1+1,'@x,'-x,'+49 30\r\n");
        assert_eq!(written(&["-5", "-1,234.50", "-5%", "5"]), "-5,\"-1,234.50\",-5%,5\r\n");
        assert_eq!(written(&["-5+A1", "-", "\tx", "'=x"]), "'-5+A1,'-,'\tx,''=x\r\n");
        assert_eq!(written(&["a\"b", "c\nd", "it's", "'"]), "\"a\"\"b\",\"c\nd\",it's,'\r\n");
        assert_eq!(written(&[""]), "\"\"\r\n");
    }

    #[test]
    fn only_that_apostrophe_is_taken_off() {
        for (cell, wanted) in
            [("'=1", "=1"), ("''=1", "'=1"), ("'tis", "'tis"), ("=1", "=1"), ("'", "'")]
        {
            let mut cell = cell.to_owned();
            unguard(&mut cell);
            assert_eq!(cell, wanted);
        }
    }
}
