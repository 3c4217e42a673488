//! Files written by other programs.

use super::{Extracted, Kind, Limits, Refused, State, extract, whole};

fn read(bytes: &[u8], kind: Kind) -> Extracted {
    let found = extract(bytes, "file", &Limits::default()).expect("it is read");
    assert_eq!((found.kind, found.state), (kind, State::Text));
    assert!(found.notes.is_empty(), "{:?}", found.notes);
    found
}

const OFFER: &str = "# Offer\n\n# Scope of work\n\nWe deliver three machines to Köln.\n\n\
    - Crane\n- Press\n- Inner\n1. First step\n2. Second step\n\n## Prices\n\n\
    | Item | Price |\n| --- | --- |\n| Crane | 1,000 € |\n| Press \\| large | 2,500 € |\n\n\
    Valid until 31 December.";

#[test]
fn one_document_reads_the_same_whoever_wrote_it() {
    for (bytes, kind) in [
        (&include_bytes!("files/python-docx.docx")[..], Kind::Docx),
        (include_bytes!("files/libreoffice.docx"), Kind::Docx),
        (include_bytes!("files/libreoffice.odt"), Kind::Odt),
    ] {
        let found = read(bytes, kind);
        assert_eq!(whole(&found), OFFER);
        assert_eq!(found.title.as_deref(), Some("Offer for Müller & Söhne"));
        assert_eq!(found.pages, None);
    }
}

#[test]
fn one_text_reads_the_same_in_every_format() {
    let handbook = "# Handbook\n\n# Start\n\nSome text with a link and a note.[^1]\n\n\
        1. one\n2. two\n    - inner\n\n## Table\n\n| Name | City |\n| --- | --- |\n| Zoë | Köln |\n\n\
        quoted\n\n[^1]: The note itself.";
    assert_eq!(whole(&read(include_bytes!("files/pandoc.docx"), Kind::Docx)), handbook);
    assert_eq!(whole(&read(include_bytes!("files/pandoc.odt"), Kind::Odt)), handbook);
    // Web pages and books keep links but no notes.
    let page = handbook
        .replace("a link", "a [link](https://example.com/a)")
        .replace("[^1]: The note itself.", "1. The note itself.↩\u{fe0e}")
        .replace("[^1]", "1");
    let found = read(include_bytes!("files/pandoc.html"), Kind::Html);
    assert_eq!((whole(&found), found.title.as_deref()), (page.clone(), Some("Handbook")));
    let found = read(include_bytes!("files/pandoc.epub"), Kind::Epub);
    assert_eq!((whole(&found), found.title.as_deref()), (page, Some("Handbook")));
    let slides = read(include_bytes!("files/pandoc.pptx"), Kind::Pptx);
    assert_eq!(
        slides.parts[1].text,
        "## Slide 2: Start\n\nSome text with a link and a note.1\n\n1. one\n2. two\n    - inner\n\n\
         Table\n\n| Name | City |\n| --- | --- |\n| Zoë | Köln |"
    );
}

#[test]
fn slides_have_their_order_and_their_notes() {
    for (bytes, kind) in [
        (&include_bytes!("files/python-pptx.pptx")[..], Kind::Pptx),
        (include_bytes!("files/libreoffice.odp"), Kind::Odp),
    ] {
        let found = read(bytes, kind);
        assert_eq!(
            whole(&found),
            "[1]\n## Slide 1: Annual review\n\nResults of 2026\n\n\
             [2]\n## Slide 2: Figures\n\n| Month | Sum |\n| --- | --- |\n| May | 7 |\n\n\
             Source: own count\n\n\
             [3]\n## Slide 3: Sales\n\n- Up by 12 %\n    - Mostly exports\n\n\
             Notes:\nMention the strike.\nThank the team."
        );
        assert_eq!((found.title.as_deref(), found.pages), (Some("Review"), Some(3)));
    }
}

#[test]
fn workbooks_have_their_sheets() {
    for (bytes, kind) in [
        (&include_bytes!("files/openpyxl.xlsx")[..], Kind::Xlsx),
        (include_bytes!("files/libreoffice.xlsx"), Kind::Xlsx),
        (include_bytes!("files/libreoffice.xls"), Kind::Xls),
        (include_bytes!("files/xlwt.xls"), Kind::Xls),
        (include_bytes!("files/libreoffice.ods"), Kind::Ods),
    ] {
        let found = read(bytes, kind);
        assert_eq!(
            whole(&found),
            "[1]\n## Customers\n\n| Name | Since | Debt |\n| --- | --- | --- |\n\
             | Zoë GmbH | 2024-05-17 | 12.5 |\n| Émile |\n\n\
             [3]\n## Notes\n\n| | far away |\n| --- | --- |"
        );
        assert_eq!(found.pages, Some(3));
    }
}

#[test]
fn books_are_read_in_the_order_of_reading() {
    let found = read(include_bytes!("files/ebooklib.epub"), Kind::Epub);
    assert_eq!(
        whole(&found),
        "# Lowering\n\nLower it — with care.\n\n# Lifting\n\nLift slowly.\n\n- check\n- lift"
    );
    assert_eq!(found.title.as_deref(), Some("The Crane Handbook"));
}

#[test]
fn pages_of_a_pdf_keep_their_numbers() {
    let found = read(include_bytes!("files/reportlab.pdf"), Kind::Pdf);
    assert_eq!(whole(&found), "[1]\nFirst page: Grüße\nof the report\n\n[3]\nThird page");
    assert_eq!((found.title.as_deref(), found.pages), (Some("Report of the year"), Some(3)));
    let found = read(include_bytes!("files/libreoffice.pdf"), Kind::Pdf);
    assert!(whole(&found).starts_with(
        "[1]\nOffer\nScope of work\nWe deliver three machines to Köln.\n- Crane\n- Press\n"
    ));
}

#[test]
fn encrypted_files_that_everybody_may_open_are_read() {
    for bytes in [
        &include_bytes!("files/encrypted-rc4-40.pdf")[..],
        include_bytes!("files/encrypted-rc4-128.pdf"),
        include_bytes!("files/encrypted-aes-128.pdf"),
        include_bytes!("files/encrypted-aes-256.pdf"),
    ] {
        let found = read(bytes, Kind::Pdf);
        assert_eq!(whole(&found), "[1]\nFirst page: Grüße\nof the report\n\n[3]\nThird page");
        assert_eq!(found.title.as_deref(), Some("Report of the year"));
    }
    let locked = include_bytes!("files/encrypted-password.pdf");
    assert_eq!(extract(locked, "file", &Limits::default()), Err(Refused::Encrypted));
}

#[test]
fn a_one_byte_font_with_a_two_byte_table_is_read_by_one_byte() {
    let found = read(include_bytes!("files/adobe-codespace.pdf"), Kind::Pdf);
    assert_eq!(whole(&found), "[1]\nThe quarterly invoice is due in March");
}

#[test]
fn actual_text_stands_for_what_is_shown() {
    let found = read(include_bytes!("files/actualtext.pdf"), Kind::Pdf);
    assert_eq!(whole(&found), "[1]\nPlease reflect on the rent");
}

#[test]
fn columns_are_read_one_after_the_other() {
    let found = read(include_bytes!("files/columns.pdf"), Kind::Pdf);
    assert_eq!(
        whole(&found),
        "[1]\nLEFT one\nLEFT two\nLEFT three\nRIGHT one\nRIGHT two\nRIGHT three"
    );
}

#[test]
fn fields_of_forms_and_notes_are_read() {
    let found = read(include_bytes!("files/form-and-ocr.pdf"), Kind::Pdf);
    assert_eq!(
        whole(&found),
        "[1]\nOCRWORD invisible layer\nROTATEDWORD\ntenant: FORMWORD Ada\n\
         Note: NOTEWORD in an annotation"
    );
}

#[test]
fn a_cut_off_pdf_says_what_was_read() {
    let of = |bytes: &[u8]| extract(bytes, "file", &Limits::default()).expect("it is read");
    let found = of(include_bytes!("files/cut-off.pdf"));
    assert_eq!(found.missing.as_deref(), Some("damaged: only the beginning was read"));
    // Three pages in the page tree; the content of the third is cut off.
    let mut pdf = String::from(
        "%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n2 0 obj <</Type /Pages /Count 3 \
         /Kids [10 0 R 11 0 R 12 0 R] /Resources <</Font <</F1 3 0 R>>>> >> endobj\n\
         3 0 obj <</Type /Font /Subtype /Type1>> endobj\n",
    );
    for page in 0..3 {
        pdf += &format!(
            "1{page} 0 obj <</Type /Page /Contents 2{page} 0 R>> endobj\n2{page} 0 obj <<>> stream\n\
             BT /F1 9 Tf (Page {page} of the lease) Tj ET\nendstream endobj\n"
        );
    }
    let end = pdf.find("of the lease) Tj ET\nendstream endobj\n12").expect("the second page");
    let last = pdf.rfind("lease").expect("the third page");
    for (bytes, missing, pages) in [
        (format!("{pdf}trailer <</Root 1 0 R>>\n%%EOF"), None, 3),
        (pdf[..last].to_owned(), Some("damaged: pages 1 to 2 of 3 read"), 2),
        (pdf[..end].to_owned(), Some("damaged: page 1 of 3 read"), 1),
    ] {
        let found = of(bytes.as_bytes());
        assert_eq!((found.missing.as_deref(), found.pages), (missing, Some(3)), "{bytes}");
        assert!(pages <= found.parts.len());
    }
}

#[test]
fn headers_and_footers_of_word_are_read_and_hidden_text_is_not() {
    let text = whole(&read(include_bytes!("files/lease.docx"), Kind::Docx));
    for word in ["HEADERWORD contract 17", "FOOTERWORD page", "Donaudampfschiff", "LINKWORD terms"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    for word in ["HIDDENWORD", "DELETEDWORD", "\u{200b}"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

#[test]
fn workbooks_are_read_as_they_are_shown_with_what_is_hidden_noted_or_far_out() {
    let text = whole(&read(include_bytes!("files/formats.xlsx"), Kind::Xlsx));
    for shown in [
        "| percent | 7.5% |",
        "| currency | $1,234.50 |",
        "| date | 03/15/2026 |",
        "| duration | 27:30 |",
        "| fraction | 1/4 |",
        "| phone | 0774768867 |",
        "| negative | (5) |",
        "| text zero | 00123 |",
        "Comments:\n\n- A2: COMMENTWORD",
        "## Salaries (hidden)\n\nHIDDENSHEETWORD",
        "LASTROWWORD",
        "- XFD1: LASTCOLWORD",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
}
