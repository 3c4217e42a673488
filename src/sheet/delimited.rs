//! Delimited text (CSV) with quoted cells.

use csv::{ReaderBuilder, StringRecord};

use super::place::{Notes, letters};
use super::table::Grid;
use super::{Format, Options, SheetError, Table, text};

/// Delimiters; of those that fit equally well, the first one is used.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Bytes used to guess the delimiter.
const SAMPLE: usize = 64 << 10;
/// Rows used to guess the delimiter.
const SAMPLE_ROWS: usize = 50;
/// Appended as a last row; if it is not read back as one, a quote was never closed.
const END: &str = "\n\u{1}end\u{1}";

pub(crate) fn read(bytes: &[u8], options: &Options) -> Result<Table, SheetError> {
    let mut notes = Notes::default();
    let (mut text, encoding) = text::decode(bytes, options.encoding.as_deref(), &mut notes)?;
    let (declared, skipped) = told_delimiter(&text);
    let delimiter = match options.delimiter {
        Some(delimiter) => u8::try_from(delimiter)
            .ok()
            .filter(|sign| sign.is_ascii() && !b"\"\r\n".contains(sign))
            .ok_or(SheetError::Delimiter(delimiter))?,
        None => declared.unwrap_or_else(|| guess_delimiter(&text)),
    };
    text.push_str(END);
    let grid = rows(&text, skipped, delimiter)?;
    let table = grid.into_table(Format::Csv, options, notes)?;
    Ok(Table { encoding: Some(encoding), delimiter: Some(char::from(delimiter)), ..table })
}

/// The delimiter of a first line `sep=;` (Excel), and the length of that line.
fn told_delimiter(text: &str) -> (Option<u8>, usize) {
    let line = text.lines().next().unwrap_or_default();
    match line.strip_prefix("sep=").map(str::as_bytes) {
        Some([sign]) if sign.is_ascii() => (Some(*sign), line.len()),
        _ => (None, 0),
    }
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes())
}

/// The delimiter with which most rows have the same number of cells, more than one.
fn guess_delimiter(text: &str) -> u8 {
    let whole = text.len() <= SAMPLE;
    let sample = if whole { text } else { &text[..text.floor_char_boundary(SAMPLE)] };
    let mut best = ((0, 0), DELIMITERS[0]);
    for delimiter in DELIMITERS {
        let mut widths: Vec<usize> = reader(sample, delimiter)
            .into_records()
            .map_while(Result::ok)
            .take(SAMPLE_ROWS)
            .map(|record| record.len())
            .collect();
        if !whole && widths.len() < SAMPLE_ROWS {
            // The sample ends within this row.
            widths.pop();
        }
        let same = |width: usize| widths.iter().filter(|other| **other == width).count();
        let wide = widths.iter().copied().filter(|width| *width > 1);
        let score = wide.map(|width| (same(width), width)).max().unwrap_or_default();
        if score > best.0 {
            best = (score, delimiter);
        }
    }
    best.1
}

/// All rows with their numbers in a spreadsheet: empty lines count, line breaks in quotes do not.
fn rows(text: &str, skipped: usize, delimiter: u8) -> Result<Grid, SheetError> {
    let body = &text[skipped..];
    let mut reader = reader(body, delimiter);
    let mut record = StringRecord::new();
    let mut grid = Grid::default();
    let (mut number, mut start) = (0, 0);
    // The rest of a `sep=` line is an empty line here, which counts as that line does.
    loop {
        if !reader.read_record(&mut record).expect("invariant: it is UTF-8 and in memory") {
            return Ok(grid);
        }
        let end = reader.position().byte() as usize;
        number += 1 + empty_lines(&body[start..end]);
        // The reader stops between CR and LF.
        start = end + usize::from(body[..end].ends_with('\r') && body[end..].starts_with('\n'));
        let last = record.iter().next_back().unwrap_or_default();
        if end == body.len() && last.ends_with(&END[1..]) {
            if last.len() == END.len() - 1 && record.len() == 1 {
                return Ok(grid);
            }
            let column = letters(record.len() - 1);
            return Err(SheetError::TornQuote { row: number, column });
        }
        grid.push(number, record.len(), record.iter().map(str::to_owned).collect())?;
    }
}

/// Number of empty lines before a row; the reader skips them.
fn empty_lines(text: &str) -> usize {
    let blank = text.len() - text.trim_start_matches(['\r', '\n']).len();
    let blank = &text[..blank];
    let count = |end: &str| blank.matches(end).count();
    count("\n") + count("\r") - count("\r\n")
}
