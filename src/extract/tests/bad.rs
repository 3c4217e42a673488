//! Malicious and damaged files.

use kernel::problem::Problem;

use super::super::Answer;
use super::{Kind, Limits, Refused, State, docx, extract, odf, read, refused, relations, whole};
use super::{zipped, zipped_bytes};

const MIB: usize = 1 << 20;

#[test]
fn bombs_are_counted_while_they_are_inflated() {
    // About 40 MiB of one letter, packed into about 40 KiB.
    let body = format!("<w:p><w:r><w:t>{}</w:t></w:r></w:p>", "a".repeat(3 * MIB)).repeat(12);
    assert_eq!(refused(&docx(&body.replace('a', " "), &[])), Refused::Expands);
    // One endless text is no damage.
    let endless = format!("<w:p><w:r><w:t>{}</w:t></w:r></w:p>", " ".repeat(5 * MIB));
    assert_eq!(refused(&docx(&endless, &[])), Refused::Expands);
    // With text in the file, reading ends at the text limit.
    assert_eq!(read(&docx(&body, &[])).state, State::Cut);
    // The other readers count alike.
    let limits = Limits { base: MIB as u64, ..Limits::default() };
    let refused = |bytes: &[u8]| extract(bytes, "a", &limits).expect_err("it is not read");
    let blank = " ".repeat(3 * MIB);
    assert_eq!(refused(&odf("text", &format!("<text:p>{blank}</text:p>"))), Refused::Expands);
    assert_eq!(refused(&xlsx(&format!("<row/>{blank}"))), Refused::Expands);
    assert_eq!(refused(&ods(&blank)), Refused::Expands);
    let book = zipped(&[
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", "<rootfile full-path='b.opf'/>"),
        ("b.opf", "<item id='1' href='a.xhtml'/><itemref idref='1'/>"),
        ("a.xhtml", &blank),
    ]);
    assert_eq!(refused(&book), Refused::Expands);
}

fn xlsx(rows: &str) -> Vec<u8> {
    zipped(&[
        ("_rels/.rels", &relations(&[("r", "officeDocument", "xl/workbook.xml")])),
        ("xl/workbook.xml", "<workbook><sheets><sheet name='S' r:id='s'/></sheets></workbook>"),
        ("xl/_rels/workbook.xml.rels", &relations(&[("s", "worksheet", "s.xml")])),
        ("xl/s.xml", &format!("<worksheet><sheetData>{rows}</sheetData></worksheet>")),
    ])
}

fn ods(rows: &str) -> Vec<u8> {
    odf(
        "spreadsheet",
        &format!(
            "<office:spreadsheet><table:table table:name='S'>{rows}</table:table></office:spreadsheet>"
        ),
    )
}

#[test]
fn what_repeats_is_counted_each_time() {
    let cell = |times: &str, text: &str| {
        format!(
            "<table:table-cell table:number-columns-repeated='{times}'>{text}</table:table-cell>"
        )
    };
    let row = |times: &str, cells: &str| {
        format!("<table:table-row table:number-rows-repeated='{times}'>{cells}</table:table-row>")
    };
    let word = "<text:p>word</text:p>";
    // A row and a cell with huge repeat counts.
    let most = usize::MAX.to_string();
    assert_eq!(read(&ods(&row(&most, &cell("1", word)))).state, State::Cut);
    assert_eq!(read(&ods(&row("1", &cell(&most, word)))).state, State::Cut);
    // Empty repeated cells and rows only shift what follows.
    let rows = row("2", &(cell("2", "") + &cell("2", word)))
        + &row(&most, &cell(&most, ""))
        + &row("1", &cell("1", word));
    let found = read(&ods(&rows));
    assert_eq!((found.kind, found.state, found.pages), (Kind::Ods, State::Text, Some(1)));
    assert_eq!(
        whole(&found),
        "[1]\n## S\n\n| | | word | word |\n| --- | --- | --- | --- |\n| | | word | word |\n| word |"
    );
}

#[test]
fn a_claimed_size_is_not_believed() {
    let mut bytes = docx(&"<w:p><w:r><w:t>word </w:t></w:r></w:p>".repeat(50), &[]);
    // The size of each part, in its own header and in the central directory, becomes 1 or 4 GiB.
    for claimed in [1_u32, u32::MAX] {
        for (mark, at) in [(&b"PK\x03\x04"[..], 22), (b"PK\x01\x02", 24)] {
            let places: Vec<usize> = memchr::memmem::find_iter(&bytes, mark).collect();
            for place in places {
                bytes[place + at..place + at + 4].copy_from_slice(&claimed.to_le_bytes());
            }
        }
        match extract(&bytes, "a", &Limits::default()) {
            Ok(found) => assert!(whole(&found).len() <= 350),
            Err(why) => assert_eq!(why, Refused::Damaged),
        }
    }
}

#[test]
fn too_many_entries_are_refused_before_they_are_read() {
    let names: Vec<String> = (0..10_001).map(|at| format!("{at}")).collect();
    let parts: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert_eq!(refused(&zipped_bytes(&parts)), Refused::TooManyEntries);
    let found = read(&zipped_bytes(&parts[..100]));
    assert_eq!((found.kind, found.state), (Kind::Other, State::NoText));
}

#[test]
fn nested_archives_stay_closed() {
    let inner = docx("<w:p><w:r><w:t>inner</w:t></w:r></w:p>", &[]);
    let found = read(&zipped_bytes(&[("a.docx", &inner), ("../../etc/passwd", b"x")]));
    assert_eq!((found.kind, found.state, found.notes.len()), (Kind::Other, State::NoText, 1));
    let outer = zipped_bytes(&[
        ("_rels/.rels", relations(&[("r", "officeDocument", "../word/../word/d.xml")]).as_bytes()),
        ("word/d.xml", b"<w:p><w:r><w:t>outer</w:t></w:r></w:p>"),
        ("word/embeddings/a.docx", &inner),
        ("../word/d.xml", b"<w:p><w:r><w:t>outside</w:t></w:r></w:p>"),
    ]);
    assert_eq!(whole(&read(&outer)), "outer");
}

#[test]
fn entities_are_not_expanded() {
    let laughs = "<?xml version='1.0'?><!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>\
        <!ENTITY f SYSTEM 'file:///etc/passwd'>]>";
    let text = "<w:p><w:r><w:t>x&b;&f;&lt;y</w:t></w:r></w:p>";
    let bytes = zipped(&[
        ("_rels/.rels", &relations(&[("r", "officeDocument", "word/d.xml")])),
        ("word/d.xml", &format!("{laughs}<w:document>{text}</w:document>")),
    ]);
    assert_eq!(whole(&read(&bytes)), "x<y");
}

#[test]
fn a_million_cells_are_cut_or_fit() {
    // Within the expansion limit, far beyond the text limit.
    let row: String = "<c><v>1</v></c>".repeat(400);
    let found = read(&xlsx(&format!("<row>{row}</row>").repeat(2_500)));
    assert_eq!((found.kind, found.state), (Kind::Xlsx, State::Cut));
    assert!(found.parts[0].text.starts_with("## S\n\n| 1 | 1 |"));
    // Cells beyond the column limit are listed with their addresses.
    let wide: String = "<c><v>1</v></c>".repeat(1_000);
    let found = read(&xlsx(&format!("<row>{wide}</row><row>{wide}</row>")));
    assert_eq!(found.state, State::Text);
    assert!(found.parts[0].text.ends_with("\n- ALL2: 1"), "{}", found.parts[0].text);
    let found = read(&xlsx(&format!("<row>{wide}</row>").repeat(100)));
    assert_eq!(found.state, State::Cut);
    for (cell, state) in [("<w:r><w:t>1</w:t></w:r>", State::Cut), ("", State::NoText)] {
        let row = format!("<w:tc><w:p>{cell}</w:p></w:tc>").repeat(1_000);
        let table = format!("<w:tbl>{}</w:tbl>", format!("<w:tr>{row}</w:tr>").repeat(200));
        assert_eq!(read(&docx(&table, &[])).state, state);
    }
    let csv = "1,2,3,4,5\n".repeat(200_000);
    let found = extract(csv.as_bytes(), "a.csv", &Limits::default()).expect("a text");
    assert_eq!((found.state, found.notes.len()), (State::Cut, 1));
}

#[test]
fn what_is_locked_says_so() {
    let mut old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    assert!(read(&old).notes[0].contains("old Office format"));
    old.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(refused(&old), Refused::Encrypted);
    assert_eq!(
        refused(b"%PDF-1.4\n1 0 obj <</Type /Page>> endobj trailer <</Encrypt 2 0 R>>"),
        Refused::Encrypted
    );
    let odt = zipped(&[
        ("mimetype", "application/vnd.oasis.opendocument.text"),
        (
            "META-INF/manifest.xml",
            "<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>",
        ),
        ("content.xml", "\u{1}\u{2}"),
    ]);
    assert_eq!(refused(&odt), Refused::Encrypted);
    let ods = zipped(&[
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        ("META-INF/manifest.xml", "<manifest:encryption-data/>"),
        ("content.xml", "\u{1}\u{2}"),
    ]);
    assert_eq!(refused(&ods), Refused::Encrypted);
    // Encryption flag of an entry, in its header and in the central directory.
    let mut bytes = docx("<w:p/>", &[]);
    for (mark, at) in [(&b"PK\x03\x04"[..], 6), (b"PK\x01\x02", 8)] {
        let places: Vec<usize> = memchr::memmem::find_iter(&bytes, mark).collect();
        for place in places.into_iter().skip(1) {
            bytes[place + at] |= 1;
        }
    }
    assert_eq!(refused(&bytes), Refused::Encrypted);
}

#[test]
fn what_is_cut_or_broken_ends() {
    let good = include_bytes!("files/libreoffice.docx");
    let half = &good[..good.len() / 2];
    // Bytes that start like a zip and are none get this note, whatever the file name.
    for bytes in [half, b"PK\x03\x04 and then nothing of a zip"] {
        let found = read(bytes);
        assert_eq!((found.kind, found.notes), (Kind::Other, vec![Refused::Unlisted.to_string()]));
        let named = extract(bytes, "Offer.DOCX", &Limits::default());
        assert_eq!(named.expect_err("it is not read"), Refused::Unlisted);
    }
    let whole = zipped(&[("a.txt", "words")]);
    assert_eq!(
        extract(&whole, "Offer.docx", &Limits::default()).expect_err("no document"),
        Refused::NoDocument
    );
    let frame = zipped(&[("[Content_Types].xml", "<Types/>"), ("word/a.xml", "")]);
    let empty = [&b"PK\x05\x06"[..], &[0; 18]].concat();
    let garbage: Vec<u8> = (0..512_u32).map(|at| (at * 167 % 251) as u8).collect();
    for (bytes, name, why) in [
        (&frame, "a.docx", Refused::Damaged),
        (&empty, "a.xlsx", Refused::NoDocument),
        (&garbage, "a.xlsx", Refused::Damaged),
        (&garbage, "a.pdf", Refused::Damaged),
    ] {
        assert_eq!(extract(bytes, name, &Limits::default()), Err(why), "{name}");
    }
    for (bytes, note) in [(&empty, "this archive is empty"), (&garbage, "it is damaged")] {
        let found = extract(bytes, "a.zip", &Limits::default()).expect("no document is meant");
        assert!(found.notes[0].contains(note), "{:?}", found.notes);
    }
    assert_eq!(
        refused(&zipped(&[("mimetype", "application/vnd.oasis.opendocument.text")])),
        Refused::Damaged
    );
    let binary = relations(&[("r", "officeDocument", "xl/workbook.bin")]);
    assert_eq!(read(&zipped(&[("_rels/.rels", &binary)])).kind, Kind::Other);
    // An unclosed deleted element.
    assert_eq!(read(&docx("<w:del><w:r><w:r><w:r>", &[])).state, State::NoText);
    let deep = docx(&"<w:sdt>".repeat(100_000), &[]);
    assert_eq!(refused(&deep), Refused::Damaged);
    let pdf = include_bytes!("files/reportlab.pdf");
    for end in [10, 600, 1_200, pdf.len() - 20] {
        match extract(&pdf[..end], "a.pdf", &Limits::default()) {
            Ok(found) => assert_eq!(found.kind, Kind::Pdf),
            Err(why) => assert_eq!(why, Refused::Damaged),
        }
    }
    let looping = b"%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n\
        2 0 obj <</Kids [2 0 R 3 0 R 3 0 R]>> endobj\n3 0 obj <</Type /Page /Contents 3 0 R \
        /Resources <</XObject <</X 4 0 R>>>> >> endobj\n4 0 obj <</Subtype /Form /Length 5 \
        /Resources <</XObject <</X 4 0 R>>>>>> stream\n/X Do\nendstream endobj";
    let found = read(looping);
    assert_eq!((found.pages, found.state), (Some(1), State::NoText));
}

#[test]
fn two_kinds_in_one_are_what_they_begin_with() {
    let zip = docx("<w:p><w:r><w:t>zip</w:t></w:r></w:p>", &[]);
    let pdf = b"%PDF-1.4\n1 0 obj <</Type /Page>> endobj\n";
    assert_eq!(read(&[&pdf[..], &zip].concat()).kind, Kind::Pdf);
    assert_eq!(read(&[&b"GIF89a"[..], &zip].concat()).kind, Kind::Image);
    assert_eq!(read(&[&zip[..], pdf].concat()).kind, Kind::Docx);
    let page = [&b"<html><p>page</p>".repeat(500)[..], &zip].concat();
    assert_eq!(Kind::of(&page, "a"), Kind::Html);
    assert_eq!(refused(&page), Refused::Letters);
}

#[test]
fn a_file_beyond_the_limit_is_not_looked_at() {
    assert_eq!(refused(&vec![b'a'; 200 * MIB]), Refused::TooLarge);
    // The largest permitted text costs no more than its beginning.
    let found = read(&vec![b'a'; 100 * MIB]);
    assert_eq!((found.state, found.parts[0].text.len()), (State::Cut, 500_000));
}

#[test]
fn the_text_is_cut_at_the_limit_to_the_letter() {
    let limits = Limits { chars: 5, ..Limits::default() };
    let of = |bytes: &[u8], name: &str| extract(bytes, name, &limits).expect("a text");
    for (text, kept, state) in
        [("äöüäö", "äöüäö", State::Text), ("äöüäöü", "äöüäö", State::Cut), ("", "", State::NoText)]
    {
        let found = of(text.as_bytes(), "a.txt");
        assert_eq!((whole(&found).as_str(), found.state), (kept, state));
    }
    for bytes in [
        &include_bytes!("files/python-docx.docx")[..],
        include_bytes!("files/python-pptx.pptx"),
        include_bytes!("files/openpyxl.xlsx"),
        include_bytes!("files/xlwt.xls"),
        include_bytes!("files/libreoffice.ods"),
        include_bytes!("files/libreoffice.odt"),
        include_bytes!("files/libreoffice.odp"),
        include_bytes!("files/ebooklib.epub"),
        include_bytes!("files/reportlab.pdf"),
        include_bytes!("files/pandoc.html"),
    ] {
        let found = of(bytes, "a");
        assert_eq!(found.state, State::Cut, "{:?}", found.kind);
        let chars: usize = found.parts.iter().map(|part| part.text.chars().count()).sum();
        assert_eq!(chars, 5, "{:?}", found.kind);
    }
}

#[test]
fn a_tag_of_countless_attributes_takes_no_time() {
    let attributes: String = (0..300_000).map(|at| format!(" a{at}")).collect();
    let found = read(format!("<html><p{attributes}>shown").as_bytes());
    assert_eq!(whole(&found), "shown");
    let links = "<a href=https://a.example>x</a>".repeat(100_000);
    assert_eq!(read(format!("<html>{links}").as_bytes()).state, State::Cut);
    assert_eq!(read("<html>".repeat(1_000_000).as_bytes()).state, State::NoText);
    // Text after excessive markup is not reached, which the state reports.
    let limits = Limits { chars: 10, ..Limits::default() };
    let far = format!("{}word", "<html>".repeat(100_000));
    assert_eq!(extract(far.as_bytes(), "a", &limits).expect("a page").state, State::Cut);
}

#[test]
fn each_refusal_is_a_sentence_with_a_stable_name() {
    for why in [
        Refused::TooLarge,
        Refused::Expands,
        Refused::TooManyEntries,
        Refused::Encrypted,
        Refused::Damaged,
        Refused::Unlisted,
        Refused::NoDocument,
        Refused::NoAnswer,
    ] {
        let sentence = why.to_string();
        assert!(sentence.starts_with("th") && !sentence.ends_with('.'), "{sentence}");
        assert!(!why.code().is_empty());
        let json = serde_json::to_vec(&Answer::Refused(why.clone())).expect("JSON");
        assert_eq!(Answer::receive(&json, &Limits::default()), Err(why));
    }
}
