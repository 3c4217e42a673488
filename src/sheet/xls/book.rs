//! Globals of an XLS workbook: sheets, strings, formats and date system.

use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};

use super::super::SheetError;
use super::super::xlsx::strings::Strings;
use super::super::xlsx::styles::{self, Look};
use super::super::xlsx::{MOST_SHEETS, damaged};
use super::records::{Pieces, Record, Records, u16_at, u32_at};
use super::{BOF, EOF};

const LIST: &str = "the list of its sheets";
const TEXTS: &str = "the list of its texts";

const DATE_MODE: u16 = 0x0022;
const FILE_PASS: u16 = 0x002f;
const CODE_PAGE: u16 = 0x0042;
const BOUND_SHEET: u16 = 0x0085;
const XF: u16 = 0x00e0;
const SST: u16 = 0x00fc;
const FORMAT: u16 = 0x041e;

/// BIFF version in the first record: Excel 97 to 2003, or Excel 5 and 95.
const UNICODE: u16 = 0x0600;
const LETTERS_OF_A_PAGE: u16 = 0x0500;

/// A worksheet.
pub(super) struct Sheet {
    pub(super) name: String,
    /// Offset of its records.
    pub(super) at: usize,
    pub(super) is_hidden: bool,
}

/// The workbook without its cells.
pub(super) struct Book {
    pub(super) sheets: Vec<Sheet>,
    pub(super) strings: Strings,
    pub(super) styles: Vec<Look>,
    /// Dates count from 1904.
    pub(super) from_1904: bool,
    /// Code page of one-byte strings; `None` if strings are Unicode.
    page: Option<&'static Encoding>,
}

impl Book {
    pub(super) fn read(stream: &[u8]) -> Result<Self, SheetError> {
        let broken = || damaged(LIST, "it ends early");
        let mut records = Records::from(stream, 0);
        let first = records.next().filter(|first| first.kind == BOF).ok_or_else(broken)?;
        let page = match u16_at(first.body, 0) {
            Some(UNICODE) => None,
            Some(LETTERS_OF_A_PAGE) => Some(WINDOWS_1252),
            _ => return Err(damaged(LIST, "its version is not known")),
        };
        let mut book = Self {
            sheets: Vec::new(),
            strings: Strings::default(),
            styles: Vec::new(),
            from_1904: false,
            page,
        };
        let mut formats = Formats::default();
        while let Some(record) = records.next() {
            match record.kind {
                EOF => {
                    book.styles = formats.styles();
                    return Ok(book);
                }
                FILE_PASS => return Err(SheetError::Locked),
                SST => book.strings = texts(records.pieces(record.body))?,
                _ => book.take(&record, &mut records, &mut formats).ok_or_else(broken)?,
            }
            if book.sheets.len() > MOST_SHEETS || formats.used.len() > styles::MOST {
                return Err(damaged(LIST, "it is too long"));
            }
        }
        Err(broken())
    }

    fn take<'b>(
        &mut self,
        record: &Record<'b>,
        records: &mut Records<'b>,
        formats: &mut Formats,
    ) -> Option<()> {
        let body = record.body;
        match record.kind {
            DATE_MODE => self.from_1904 = u16_at(body, 0)? == 1,
            CODE_PAGE => {
                if let Some(page) = &mut self.page {
                    *page = page_of(u16_at(body, 0)?);
                }
            }
            XF => formats.used.push(u16_at(body, 2)?),
            FORMAT => {
                let mut pieces = records.pieces(body);
                let id = pieces.u16()?;
                let is_short = self.page.is_some();
                formats.own.insert(id, Look::of_code(&self.text(&mut pieces, is_short)?));
            }
            BOUND_SHEET => {
                let at = u32_at(body, 0)? as usize;
                // Charts and macro sheets have no cells.
                if *body.get(5)? == 0 {
                    let mut pieces = records.pieces(body.get(6..)?);
                    let name = self.text(&mut pieces, true)?;
                    let is_hidden = *body.get(4)? & 3 != 0;
                    self.sheets.push(Sheet { name, at, is_hidden });
                }
            }
            _ => (),
        }
        Some(())
    }

    /// A string after its length, which has one byte if `is_short`.
    pub(super) fn text(&self, pieces: &mut Pieces<'_>, is_short: bool) -> Option<String> {
        let letters =
            if is_short { usize::from(pieces.byte()?) } else { usize::from(pieces.u16()?) };
        match self.page {
            None => pieces.text(letters),
            Some(page) => {
                let bytes = pieces.bytes(letters)?;
                Some(page.decode_without_bom_handling(&bytes).0.replace('\0', ""))
            }
        }
    }
}

/// Formats by id, and the ids that cell formats use.
#[derive(Default)]
struct Formats {
    own: HashMap<u16, Look>,
    used: Vec<u16>,
}

impl Formats {
    fn styles(&self) -> Vec<Look> {
        let style =
            |id: &u16| self.own.get(id).cloned().unwrap_or_else(|| Look::built_in(u32::from(*id)));
        self.used.iter().map(style).collect()
    }
}

fn texts(mut pieces: Pieces<'_>) -> Result<Strings, SheetError> {
    let mut strings = Strings::default();
    let broken = || damaged(TEXTS, "it ends early");
    pieces.skip(4).ok_or_else(broken)?;
    // The declared count is not trusted: every string has to be in the file.
    for _ in 0..pieces.u32().ok_or_else(broken)? {
        let letters = pieces.u16().ok_or_else(broken)?;
        strings.push(&pieces.text(usize::from(letters)).ok_or_else(broken)?)?;
    }
    Ok(strings)
}

/// Encoding of a Windows code page.
fn page_of(number: u16) -> &'static Encoding {
    let label = match number {
        367 => "us-ascii".to_owned(),
        866 => "ibm866".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        10_000 | 32_768 => "macintosh".to_owned(),
        number => format!("windows-{number}"),
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252)
}
