//! Property tests: for any bytes, reading ends, never panics and respects its limits.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use proptest::sample::Index;

use super::super::read;
use super::Limits;

const FILES: &[(&str, &[u8])] = &[
    ("a.docx", include_bytes!("files/libreoffice.docx")),
    ("a.pptx", include_bytes!("files/pandoc.pptx")),
    ("a.xlsx", include_bytes!("files/openpyxl.xlsx")),
    ("a.xls", include_bytes!("files/libreoffice.xls")),
    ("a.xls", include_bytes!("files/xlwt.xls")),
    ("a.ods", include_bytes!("files/libreoffice.ods")),
    ("a.odt", include_bytes!("files/pandoc.odt")),
    ("a.odp", include_bytes!("files/libreoffice.odp")),
    ("a.epub", include_bytes!("files/ebooklib.epub")),
    ("a.pdf", include_bytes!("files/reportlab.pdf")),
    ("a.pdf", include_bytes!("files/libreoffice.pdf")),
    ("a.html", include_bytes!("files/pandoc.html")),
    ("a.csv", b"Name;City\nZo\xc3\xab;\"K\xc3\xb6ln\"\n"),
];
/// Beginnings that lead to each reader.
const STARTS: &[&[u8]] = &[
    b"",
    b"PK\x03\x04",
    b"%PDF-1.7 1 0 obj ",
    b"<html>",
    b"\xff\xfe",
    b"{",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
];

/// Reads without the outer panic guard, so that panics are seen.
fn holds(bytes: &[u8], name: &str) -> Result<(), String> {
    let limits = Limits { chars: 2_000, expanded: 1 << 20, ..Limits::default() };
    let begun = Instant::now();
    if let Ok(found) = read(bytes, name.into(), &limits) {
        let chars: usize = found.parts.iter().map(|part| part.text.chars().count()).sum();
        if chars > limits.chars {
            return Err(format!("{chars} characters"));
        }
    }
    match begun.elapsed() > Duration::from_secs(20) {
        true => Err("it took too long".to_owned()),
        false => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_end(
        start in any::<Index>(),
        bytes in vec(any::<u8>(), 0..600),
        name in "[a-z]{0,3}[.](md|csv|json|html|txt|docx)",
    ) {
        let bytes = [STARTS[start.index(STARTS.len())], &bytes].concat();
        let held = holds(&bytes, &name);
        prop_assert!(held.is_ok(), "{held:?}");
    }

    #[test]
    fn a_good_file_with_other_bytes_ends(
        file in any::<Index>(),
        changes in vec((any::<Index>(), any::<u8>()), 1..20),
        cut in any::<Option<Index>>(),
    ) {
        let (name, bytes) = FILES[file.index(FILES.len())];
        let mut bytes = bytes.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let held = holds(&bytes, name);
        prop_assert!(held.is_ok(), "{held:?}");
    }

    #[test]
    fn a_part_with_other_words_ends(pieces in vec(piece(), 0..60)) {
        let content = pieces.concat();
        for bytes in [
            super::docx(&content, &[("styles", "s.xml", &content), ("numbering", "n.xml", &content)]),
            super::docx("", &[("footnotes", "f.xml", &content)]),
            super::odf("text", &content),
            super::odf("presentation", &content),
            super::odf("spreadsheet", &content),
            format!("<html>{content}").into_bytes(),
        ] {
            let held = holds(&bytes, "a");
            prop_assert!(held.is_ok(), "{held:?}");
        }
    }
}

/// Known tags in any order, opened and closed, with text between them.
fn piece() -> impl proptest::strategy::Strategy<Value = String> {
    proptest::string::string_regex(
        "</?(p|t|tbl|tr|tc|td|table|table-row|table-cell|list|list-item|li|ul|ol|h|h1|note|note-body|page|\
         notes|frame|text-box|AlternateContent|Choice|Fallback|pPr|numId|pStyle|style|num|a|pre|title)\
         ( (val|id|ilvl|level|class|href)='(title|0|1|9|99999999999|-1|https://x)')?/?>|[a-zäß<&; |#]{0,6}",
    )
    .expect("an expression")
}
