//! Detection of file formats by content. The name only distinguishes kinds of text.

use memchr::memmem;
use serde::{Deserialize, Serialize};
use sheet::encoding::is_text;

use super::refused::UNLISTED;
use super::{Refused, mail, office, text};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Pdf,
    /// Word.
    Docx,
    /// PowerPoint.
    Pptx,
    /// Excel.
    Xlsx,
    /// OpenDocument text.
    Odt,
    /// OpenDocument presentation.
    Odp,
    /// E-book.
    Epub,
    Html,
    Markdown,
    Csv,
    Json,
    /// Other text: notes, code, settings.
    Text,
    Image,
    /// Unknown or unreadable.
    Other,
    /// Excel before 2007.
    Xls,
    /// OpenDocument spreadsheet.
    Ods,
    Mail,
}

/// Offset within which a PDF header may start.
const PDF_WITHIN: usize = 1 << 10;
/// Note about archives.
const UNPACKED: &str = "files inside an archive aren't read; upload them separately";
const ZIP: &[u8] = b"PK\x03\x04";
/// An empty zip consists of this record.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06";
/// Compound file header (CFB): old office files and encrypted new ones.
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// Signatures of images.
const PICTURES: &[&[u8]] =
    &[b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"BM"];
/// Extensions of documents that are zip files.
const PACKED: &[&str] = &["docx", "pptx", "xlsx", "odt", "odp", "ods", "epub"];
/// Extensions of other binary documents.
const BINARY: &[&str] = &["pdf", "xls"];
/// Starts of web pages, in lower case.
const PAGES: &[&str] = &["<!doctype html", "<html", "<head", "<body"];

impl Kind {
    /// Whether it is a document format; web pages and other kinds of text are not.
    #[must_use]
    pub fn is_document(self) -> bool {
        matches!(
            self,
            Self::Pdf
                | Self::Docx
                | Self::Pptx
                | Self::Xlsx
                | Self::Xls
                | Self::Ods
                | Self::Odt
                | Self::Odp
                | Self::Epub
                | Self::Mail
        )
    }

    /// Detects the format. The name only decides about the kind of text.
    pub fn of(bytes: &[u8], name: &str) -> Self {
        if is_zip(bytes) {
            return office::kind(bytes).unwrap_or(Self::Other);
        }
        if is_picture(bytes) {
            return Self::Image;
        }
        let head = &bytes[..bytes.len().min(PDF_WITHIN)];
        if memmem::find(head, b"%PDF-").is_some() {
            return Self::Pdf;
        }
        if sheet::is_old_workbook(bytes) {
            return Self::Xls;
        }
        if bytes.starts_with(COMPOUND) || !is_text(bytes) || bytes.starts_with(br"{\rtf") {
            return Self::Other;
        }
        let head = text::head(bytes);
        if ending(name) == "eml" && mail::is_mail(&head) {
            return Self::Mail;
        }
        let start = head.trim_start().to_ascii_lowercase();
        if PAGES.iter().any(|sign| start.starts_with(sign)) {
            return Self::Html;
        }
        if start.starts_with("<svg") || (start.starts_with("<?xml") && start.contains("<svg")) {
            return Self::Image;
        }
        if start.starts_with("<?xml") && start.contains("<html") {
            return Self::Html;
        }
        match ending(name).as_str() {
            "html" | "htm" | "xhtml" => Self::Html,
            "md" | "markdown" => Self::Markdown,
            "csv" | "tsv" | "tab" => Self::Csv,
            "json" | "jsonl" | "ndjson" => Self::Json,
            _ => Self::Text,
        }
    }
}

/// Extension in lower case.
fn ending(name: &str) -> String {
    let (_, end) = name.rsplit_once('.').unwrap_or_default();
    end.to_ascii_lowercase()
}

pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP)
}

fn is_picture(bytes: &[u8]) -> bool {
    let heif = |brand: &[u8]| [&b"heic"[..], b"heix", b"mif1", b"avif"].contains(&brand);
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => true,
        [_, _, _, _, b'f', b't', b'y', b'p', a, b, c, d, ..] => heif(&[*a, *b, *c, *d]),
        // Text may start with these two letters, too.
        [b'B', b'M', ..] => !is_text(bytes),
        bytes => PICTURES.iter().any(|sign| bytes.starts_with(sign)),
    }
}

/// Why a file of unknown format was not read, if there is a reason to give. An error if the name is that of a document.
pub(crate) fn unread(bytes: &[u8], name: &str) -> Result<Option<&'static str>, Refused> {
    let ending = ending(name);
    let is_packed = PACKED.contains(&ending.as_str());
    if bytes.starts_with(EMPTY_ZIP) {
        return match is_packed {
            true => Err(Refused::NoDocument),
            false => Ok(Some("this archive is empty")),
        };
    }
    if is_zip(bytes) {
        return match office::has_list(bytes) {
            false if is_packed => Err(Refused::Unlisted),
            false => Ok(Some(UNLISTED)),
            // A document with its frame but without its content.
            true if is_packed && office::has_frame(bytes) => Err(Refused::Damaged),
            true if is_packed => Err(Refused::NoDocument),
            true => Ok(Some(UNPACKED)),
        };
    }
    let locked: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    if bytes.starts_with(COMPOUND) {
        return match memmem::find(bytes, &locked) {
            Some(_) => Err(Refused::Encrypted),
            None => {
                Ok(Some("HQ can't read this old Office format; save it as .docx, .xlsx or .pptx"))
            }
        };
    }
    match bytes {
        [b'{', b'\\', b'r', b't', b'f', ..] => {
            Ok(Some("HQ can't read rich text format; save it as .docx"))
        }
        [0x1f, 0x8b, ..] | [b'R', b'a', b'r', b'!', ..] => Ok(Some(UNPACKED)),
        _ if is_packed || BINARY.contains(&ending.as_str()) => Err(Refused::Damaged),
        _ if ending == "zip" => {
            Ok(Some("this file's name suggests an archive, but it isn't one: it is damaged"))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn bytes_decide_and_names_only_separate_texts() {
        for (bytes, name, kind) in [
            (&b"%PDF-1.7"[..], "a.txt", Kind::Pdf),
            (b"\xef\xbb\xbf\n%PDF-1.4", "a", Kind::Pdf),
            (b"GIF89a PK\x03\x04 %PDF-1.4", "a.pdf", Kind::Image),
            (b"\xff\xd8\xff\xe0", "a.docx", Kind::Image),
            (b"BM is no picture", "a.txt", Kind::Text),
            (b"RIFF\0\0\0\0WEBP", "a", Kind::Image),
            (b"\0\0\0 ftypavif", "a", Kind::Image),
            (b"<?xml version='1.0'?><svg/>", "a.html", Kind::Image),
            (b" \n<!DOCTYPE HTML><p>", "a.md", Kind::Html),
            (b"<?xml version='1.0'?>\n<!DOCTYPE html><html/>", "a.xml", Kind::Html),
            (b"\xff\xfe<\0h\0t\0m\0l\0>\0", "a", Kind::Html),
            (b"<p>part", "a.HTM", Kind::Html),
            (b"# x", "a.md", Kind::Markdown),
            (b"a;b", "a.CSV", Kind::Csv),
            (b"{}", "a.json", Kind::Json),
            (b"fn main() {}", "a.rs", Kind::Text),
            (b"", "a.docx", Kind::Text),
            (b"{\\rtf1", "a.txt", Kind::Other),
            (b"\x7fELF\x01\x02\x03\0\0\0", "a.txt", Kind::Other),
            (b"PK\x03\x04 torn", "a.docx", Kind::Other),
        ] {
            assert_eq!(Kind::of(bytes, name), kind, "{name}: {}", bytes.escape_ascii());
        }
    }
}
