//! Which files of a folder are read, and how their texts and titles are derived.

use std::path::Path;

use sheet::encoding::{self, Hint};

use super::MOST_CHARS;

/// Plain text files.
const TEXTS: [&str; 7] = ["md", "markdown", "mdx", "txt", "text", "rst", "adoc"];
/// Documents, whose text is extracted later.
const FILES: [&str; 15] = [
    "pdf", "docx", "pptx", "xlsx", "xls", "ods", "odt", "odp", "epub", "eml", "html", "htm", "csv",
    "json", "tsv",
];
/// Treatment of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    File,
}

pub(crate) fn kind(name: &str) -> Option<Kind> {
    let end = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    match end.as_str() {
        end if TEXTS.contains(&end) => Some(Kind::Text),
        end if FILES.contains(&end) => Some(Kind::File),
        _ => None,
    }
}

/// Decodes a text; returns whether it was cut, or the reason why it is not readable.
pub(crate) fn words(bytes: &[u8]) -> Result<(String, bool), &'static str> {
    const NO_TEXT: &str = "It isn’t text.";
    if !encoding::is_text(bytes) {
        return Err(NO_TEXT);
    }
    let decoded = encoding::decode(bytes, Hint::default())
        .map_err(|_| "Its encoding can’t be detected. Save it as UTF-8.")?;
    let mut text = decoded.text;
    if text.contains('\0') {
        return Err(NO_TEXT);
    }
    let end = text.char_indices().nth(MOST_CHARS).map(|(end, _)| end);
    if let Some(end) = end {
        text.truncate(end);
    }
    Ok((text, end.is_some()))
}

/// Replaces control characters, so that the name is one line.
pub(crate) fn plain(name: &str) -> String {
    name.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}

/// A title derived from a file name.
pub(crate) fn titled(name: &str, kind: Kind) -> String {
    if kind == Kind::File {
        return name.to_owned();
    }
    let stem = Path::new(name).file_stem().map_or(name.into(), |stem| stem.to_string_lossy());
    let words: Vec<&str> = stem.split(['-', '_', ' ']).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}
