//! Well-formed and malformed PDFs.

mod columns;

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::{any, proptest};

use super::super::{Extracted, Found, Kind, Limits, Refused, State};

fn packed(text: &[u8]) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
    out.write_all(text).expect("it is packed");
    out.finish().expect("it is packed")
}

/// A one-page file with this content stream; `more` are further objects.
fn file(program: &str, more: &str) -> Vec<u8> {
    let bytes = packed(program.as_bytes());
    let mut out = b"%PDF-1.7\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n\
        2 0 obj <</Type /Pages /Kids [3 0 R] /Resources <</Font <</F1 5 0 R>>>> >> endobj\n\
        3 0 obj <</Type /Page /Contents 4 0 R>> endobj\n"
        .to_vec();
    out.extend(
        format!("4 0 obj <</Filter /FlateDecode /Length {}>> stream\n", bytes.len()).bytes(),
    );
    out.extend(&bytes);
    out.extend(b"\nendstream endobj\n");
    out.extend(more.bytes());
    out.extend(b"\ntrailer <</Root 1 0 R>>\n%%EOF");
    out
}

const PLAIN: &str = "5 0 obj <</Type /Font /Subtype /Type1 /Encoding /WinAnsiEncoding>> endobj";

fn words(data: &[u8], chars: usize) -> Result<Extracted, Refused> {
    let limits = Limits { chars, ..Limits::default() };
    let mut found = Found::new(Kind::Pdf, &limits);
    super::read(data, &mut found)?;
    Ok(found.finish())
}

fn text(data: &[u8], chars: usize) -> String {
    let parts = words(data, chars).expect("it is read").parts;
    parts.into_iter().map(|part| part.text).collect()
}

fn read(program: &str, more: &str) -> String {
    text(&file(program, more), 100_000)
}

#[test]
fn lines_and_spaces_are_found_by_where_things_stand() {
    let program = "BT /F1 10 Tf 50 700 Td (Offer No. 7) Tj 0 -14 Td (Gr\\374\\337e) Tj T* \
        [(Two) -600 (words) 20 (s)] TJ 1 0 0 1 50 600 Tm (Far) Tj 200 0 Td (right) Tj ET";
    let program = program.replace("T*", "12 TL T*");
    assert_eq!(read(&program, PLAIN), "Offer No. 7\nGrüße\nTwo wordss\nFar right");
}

#[test]
fn codes_are_read_by_the_tables_of_their_font() {
    let differences = "5 0 obj <</Type /Font /Subtype /Type1 /Encoding \
        <</Differences [65 /adieresis /fi]>> >> endobj";
    assert_eq!(read("BT /F1 9 Tf (xAB) Tj ET", differences), "xa\u{308}fi");
    let table = "5 0 obj <</Type /Font /Subtype /Type0 /ToUnicode 6 0 R \
        /DescendantFonts [<</DW 600 /W [1 [500 700]]>>]>> endobj\n\
        6 0 obj <<>> stream\n1 begincodespacerange <0000> <FFFF> endcodespacerange \
        2 beginbfchar <0001> <4E16> <0002> <754C> endbfchar\nendstream endobj";
    assert_eq!(read("BT /F1 9 Tf <00010002> Tj ET", table), "世界");
}

#[test]
fn drawings_and_packed_objects_are_read_too() {
    let form = format!(
        "{PLAIN}\n3 0 obj <</Type /Page /Contents 4 0 R /Resources \
         <</XObject <</X 7 0 R>> /Font <</F1 5 0 R>>>> >> endobj\n\
         7 0 obj <</Subtype /Form /Matrix [1 0 0 1 0 50] /Resources <</Font <</F1 5 0 R>>>> >> \
         stream\nBT /F1 9 Tf (inside) Tj ET\nendstream endobj"
    );
    assert_eq!(read("BT /F1 9 Tf (before) Tj ET q /X Do Q", &form), "before\ninside");

    let inner = b"5 0 <</Type /Font /Subtype /Type1>>";
    let bytes = packed(inner);
    let mut data = file("BT /F1 9 Tf (packed) Tj ET", "");
    let head = format!(
        "8 0 obj <</Type /ObjStm /N 1 /First 4 /Filter /FlateDecode /Length {}>> stream\n",
        bytes.len()
    );
    data.extend(head.bytes());
    data.extend(&bytes);
    data.extend(b"\nendstream endobj");
    assert_eq!(text(&data, 1_000), "packed");
}

/// A font that maps all 65,536 codes.
fn huge(number: usize) -> String {
    format!(
        "{number} 0 obj <</Type /Font /Subtype /Type0 /ToUnicode 99 0 R \
         /DescendantFonts [<</W [0 65535 500]>>]>> endobj\n"
    )
}

#[test]
fn large_fonts_of_one_page_leave_out_nothing_on_another() {
    let mut pdf = String::from(
        "%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n99 0 obj <<>> stream\n\
         1 beginbfrange <0000> <FFFF> <0000> endbfrange\nendstream endobj\n",
    );
    let (pages, mut kids) = (10, String::new());
    for page in 0..pages {
        pdf += &huge(50 + page);
        pdf += &format!(
            "1{page} 0 obj <</Type /Page /Contents 3 0 R /Resources <</Font <</F1 5{page} 0 R>>>> >> endobj\n"
        );
        kids += &format!("1{page} 0 R ");
    }
    pdf += &format!("2 0 obj <</Type /Pages /Kids [{kids}]>> endobj\n");
    let end = "trailer <</Root 1 0 R>>\n%%EOF";
    let one = "3 0 obj <<>> stream\nBT /F1 9 Tf <00480069> Tj ET\nendstream endobj\n";
    let found = words(format!("{pdf}{one}{end}").as_bytes(), 1_000).expect("it is read");
    assert_eq!((found.parts.len(), found.missing), (pages, None));

    // Too many codes for one page.
    let fonts: String = (0..pages).map(|font| format!("/F{font} 5{font} 0 R ")).collect();
    let shown: String =
        (0..pages).map(|font| format!("BT /F{font} 9 Tf <00480069> Tj ET\n")).collect();
    let both = format!(
        "3 0 obj <<>> stream\n{shown}\nendstream endobj\n\
         10 0 obj <</Type /Page /Contents 3 0 R /Resources <</Font <<{fonts}>>>> >> endobj\n"
    );
    let pdf = pdf.replace("10 0 obj <</Type /Page", "98 0 obj <</Type /Nothing");
    let found = words(format!("{pdf}{both}{end}").as_bytes(), 1_000).expect("it is read");
    // The second page uses font names that it does not define.
    assert_eq!(found.missing.as_deref(), Some("partly read: the fonts on page 1 are too large"));
}

#[test]
fn stretches_with_actual_text_are_said_once() {
    let program = "BT /F1 9 Tf (Re) Tj /Span <</ActualText <FEFF0066006C>>> BDC (x) Tj /P BMC (y) Tj EMC \
        0 -30 Td (z) Tj EMC ( end) Tj ET";
    assert_eq!(read(program, PLAIN), "Refl end");
    let named = format!(
        "{PLAIN}\n3 0 obj <</Type /Page /Contents 4 0 R /Resources <</Font <</F1 5 0 R>> \
         /Properties <</P1 <</ActualText (word)>>>>>> >> endobj"
    );
    assert_eq!(read("BT /F1 9 Tf /Span /P1 BDC (x) Tj EMC ET", &named), "word");
    // An image with replacement text.
    assert_eq!(read("/Span <</ActualText (drawn)>> BDC 0 0 5 5 re f EMC", PLAIN), "drawn");
}

#[test]
fn pictures_in_a_program_hide_nothing_behind_them() {
    // `EI` within image data does not end the image.
    let picture = "BI /W 1 /H 1 /F [/A85] ID\nGb\nEI5?\u{e4}~>\nEI \u{e4}\u{e4}\nEI Q\n";
    let program = format!("{picture}BT /F1 9 Tf (behind) Tj ET");
    assert_eq!(read(&program, PLAIN), "behind");
    // A page of thousands of images is read in linear time.
    let program = format!("{}BT /F1 9 Tf (behind) Tj ET", picture.repeat(20_000));
    assert_eq!(read(&program, PLAIN), "behind");
}

#[test]
fn what_cannot_be_read_says_why() {
    assert_eq!(words(b"%PDF-1.4 nothing", 100), Err(Refused::Damaged));
    let mut locked = file("BT ET", PLAIN);
    locked.extend(b"\ntrailer <</Root 1 0 R /Encrypt 9 0 R>>");
    assert_eq!(words(&locked, 100), Err(Refused::Encrypted));
    let empty = words(&file("0 0 100 100 re f", PLAIN), 100).expect("it has a page");
    assert_eq!((empty.pages, empty.state), (Some(1), State::NoText));
    let circle = b"1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj \
        2 0 obj <</Kids [2 0 R 2 0 R]>> endobj trailer <</Root 1 0 R>>";
    assert_eq!(words(circle, 100), Err(Refused::Damaged));
}

#[test]
fn what_is_packed_small_and_claims_to_be_huge_ends() {
    let long = "(a) Tj ".repeat(200_000);
    let text = read(&format!("BT /F1 9 Tf {long} ET"), PLAIN);
    assert!(text.len() <= 100_000);
    let bomb = " ".repeat(40 * 1024 * 1024);
    assert_eq!(words(&file(&bomb, PLAIN), 1_000), Err(Refused::Expands));
}

proptest! {
    #[test]
    fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = words(&bytes, 1_000); // ok: text or an error, without a panic
    }

    #[test]
    fn a_file_with_a_hole_comes_to_an_end(from in 0_usize..900, length in 0_usize..200, byte in any::<u8>()) {
        let mut data = file("BT /F1 10 Tf 5 5 Td (Hello) Tj ET", PLAIN);
        let from = from.min(data.len());
        let to = (from + length).min(data.len());
        data.splice(from..to, [byte]).for_each(drop);
        let _ = words(&data, 1_000); // ok: text or an error, without a panic
    }
}
