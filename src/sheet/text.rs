//! Text input: decoding, and rejection of binary data.

use super::SheetError;
use super::encoding::{self, Broken, Decoded, Hint};
use super::place::Notes;

/// Bytes examined to detect binary data.
const HEAD: usize = 8 << 10;

/// Signatures of formats other than text and workbooks.
const SIGNS: &[(&[u8], &str)] = &[
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "an archive"),
    (b"PK\x05\x06", "an archive"),
    (b"Rar!", "an archive"),
    (b"7z\xbc\xaf", "an archive"),
    (b"SQLite format 3", "a database"),
    (b"\x09\x08\x10\x00\x00\x06", "an old Excel file (.xls)"),
];

/// Starts of web pages and Excel 2003 XML, which some programs save as `.xls`.
const MARKUP: &[&str] = &["<!doctype", "<html", "<table", "<?xml", "<meta", "<head"];

/// Compound file signature: old Office files and encrypted new ones.
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// Rejects binary data with the name of its format.
pub(crate) fn refuse_binary(bytes: &[u8]) -> Result<(), SheetError> {
    if bytes.starts_with(COMPOUND) {
        let locked: Vec<u8> =
            "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
        return Err(match memchr::memmem::find(bytes, &locked) {
            Some(_) => SheetError::Locked,
            None => SheetError::OtherFormat { what: "an old Excel file (.xls)" },
        });
    }
    if let Some((_, what)) = SIGNS.iter().find(|(sign, _)| bytes.starts_with(sign)) {
        return Err(SheetError::OtherFormat { what });
    }
    let head = &bytes[..bytes.len().min(HEAD)];
    if !encoding::is_text(head) {
        return Err(SheetError::OtherFormat { what: "this binary file" });
    }
    let start = String::from_utf8_lossy(&head[..head.len().min(64)]).trim_start().to_lowercase();
    let start = start.trim_start_matches('\u{feff}');
    if MARKUP.iter().any(|sign| start.starts_with(sign)) {
        return Err(SheetError::OtherFormat { what: "a web page or XML" });
    }
    Ok(())
}

/// The first byte that is neither whitespace nor part of a byte order mark.
pub(crate) fn first_sign(bytes: &[u8]) -> Option<u8> {
    let skipped =
        |byte: &u8| byte.is_ascii_whitespace() || b"\0\xef\xbb\xbf\xff\xfe".contains(byte);
    bytes.iter().copied().find(|byte| !skipped(byte))
}

/// Decodes text, without byte order mark; returns the label of the encoding.
pub(crate) fn decode(
    bytes: &[u8],
    chosen: Option<&str>,
    notes: &mut Notes,
) -> Result<(String, &'static str), SheetError> {
    let hint = Hint { chosen, ..Hint::default() };
    let Decoded { text, encoding, broken } = encoding::decode(bytes, hint)?;
    if let Some(at) = memchr::memchr(0, text.as_bytes()) {
        return Err(SheetError::NotText { row: row_at(&text, at) });
    }
    if encoding != "utf-8" && !text.is_ascii() {
        notes.add(|| format!("the text was read as {}", encoding::name(encoding)));
    }
    if let Some(Broken { count, line, byte }) = broken {
        let name = encoding::name(encoding);
        let what = byte.map_or("a letter".to_owned(), |byte| format!("byte 0x{byte:02X}"));
        let more = if count == 1 { String::new() } else { format!("; {count} broken in total") };
        notes.add(|| format!("row {line}: {what} isn't valid {name} and shows as \u{fffd}{more}"));
    }
    Ok((text, encoding))
}

/// Line number of a byte offset, from 1.
fn row_at(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at];
    1 + memchr::memchr_iter(b'\n', before).count()
}

#[cfg(test)]
mod tests {
    use super::super::place::Notes;
    use super::{SheetError, decode, first_sign, refuse_binary};

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn text(bytes: &[u8]) -> (String, Vec<String>) {
        let mut notes = Notes::default();
        let (text, _) = decode(bytes, None, &mut notes).expect("a text");
        (text, notes.into_lines())
    }

    #[test]
    fn the_common_encodings_are_read_with_and_without_their_mark() {
        let wanted = "Name,Ort\nZoë,Köln\n李,東京\n";
        assert_eq!(text(wanted.as_bytes()), (wanted.to_owned(), vec![]));
        for mark in ["", "\u{feff}"] {
            let whole = format!("{mark}Name,Ort,Land\nZoë,Köln,Germany\n");
            let plain = whole.trim_start_matches('\u{feff}');
            assert_eq!(text(whole.as_bytes()).0, plain);
            assert_eq!(text(&utf16(&whole, u16::to_le_bytes)).0, plain);
            assert_eq!(text(&utf16(&whole, u16::to_be_bytes)).0, plain);
        }
        let (western, notes) = text(b"Name;Preis\nZo\xeb;5 \x80\n");
        assert_eq!(western, "Name;Preis\nZoë;5 €\n");
        assert!(notes[0].contains("Windows-1252"), "{notes:?}");
    }

    #[test]
    fn one_torn_letter_does_not_change_all_others() {
        let mut bytes = "Name\nZoë\nJosé\nKöln\nÅsa\nRené\n".as_bytes().to_vec();
        bytes.extend(b"Torn \xc3");
        let (text, notes) = text(&bytes);
        assert!(text.contains("José") && text.ends_with("Torn \u{fffd}"), "{text}");
        assert_eq!(notes, ["row 7: byte 0xC3 isn't valid Unicode (UTF-8) and shows as \u{fffd}"]);
    }

    #[test]
    fn what_is_no_text_is_refused_by_its_name() {
        let why = |bytes: &[u8]| refuse_binary(bytes).expect_err("no text").to_string();
        let mut old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        assert!(why(&old).contains(".xls") && why(&old).contains("save it as XLSX or CSV"));
        old.extend(utf16("EncryptedPackage", u16::to_le_bytes));
        assert_eq!(refuse_binary(&old), Err(SheetError::Locked));
        assert!(why(b"%PDF-1.7").contains("PDF"));
        assert!(why(b"\n <HTML><table>").contains("web page"));
        assert!(why(&(0..=255).collect::<Vec<u8>>()).contains("binary"));
        assert_eq!(refuse_binary(b""), Ok(()));
        assert_eq!(refuse_binary("a\tb\r\n".as_bytes()), Ok(()));
        let torn = decode(b"a,b\nc,\0d\n", None, &mut Notes::default());
        assert_eq!(torn, Err(SheetError::NotText { row: 2 }));
    }

    #[test]
    fn the_first_sign_is_found_behind_marks_and_blanks() {
        assert_eq!(first_sign("\u{feff} \n[1]".as_bytes()), Some(b'['));
        assert_eq!(first_sign(&utf16("\u{feff}{", u16::to_le_bytes)), Some(b'{'));
        assert_eq!(first_sign("Ü[".as_bytes()), Some(0xc3));
        assert_eq!(first_sign(b"  "), None);
    }
}
