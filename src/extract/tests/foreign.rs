//! Files that other programs wrote.

use super::{Extracted, Kind, Limits, State, extract, whole};

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
    // Pages and books know links, but no notes.
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
