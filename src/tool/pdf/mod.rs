//! The words of a PDF, for models that read no documents. Pictures stay out, and so do words that stand in them.
//!
//! Nothing that a file claims is believed: what is unpacked, read and kept has limits, and whatever is broken is
//! passed over.

mod font;
mod object;
mod page;

use std::collections::HashSet;

use object::{Dict, File, Value};
use page::Pages;

/// The most pages that are read.
const PAGES: usize = 2_000;
/// How deep the tree of pages may be.
const DEPTH: usize = 40;

/// The words of a PDF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// How many pages it has, as far as they were counted.
    pub pages: usize,
    /// What they say, an empty line between two pages; empty when nothing can be read.
    pub text: String,
}

/// Reads a PDF, up to about `most` bytes of text. It takes a moment for a large one.
///
/// # Errors
/// Says why it cannot be read.
pub fn words(data: &[u8], most: usize) -> Result<Words, &'static str> {
    let mut file = File::read(data);
    let trailers = file.trailers();
    if trailers.iter().any(|trailer| trailer.contains_key("Encrypt")) {
        return Err("it is encrypted");
    }
    let root = trailers.iter().rev().map(|trailer| file.get(trailer, "Root").dict());
    let root = root.flatten().next().or_else(|| {
        file.all().filter_map(|(_, value)| value.dict()).find(|dict| object::is(dict, "Catalog"))
    });
    let mut pages: Vec<(Dict, Dict)> = Vec::new();
    if let Some(tree) = root.and_then(|root| root.get("Pages")) {
        let mut seen = HashSet::new();
        gather(&file, tree, &Dict::new(), &mut (&mut seen, &mut pages), 0);
    }
    if pages.is_empty() {
        let mut loose: Vec<(u32, &Dict)> = file
            .all()
            .filter_map(|(number, value)| Some((number, value.dict()?)))
            .filter(|(_, dict)| object::is(dict, "Page"))
            .collect();
        loose.sort_by_key(|(number, _)| *number);
        let own = |dict: &Dict| file.get(dict, "Resources").dict().cloned().unwrap_or_default();
        pages = loose.into_iter().map(|(_, dict)| (dict.clone(), own(dict))).take(PAGES).collect();
    }
    if pages.is_empty() {
        return Err("it is damaged: no page can be found in it");
    }
    let count = pages.len();
    let mut reader = Pages::new(&mut file, most);
    for (page, resources) in &pages {
        if reader.is_full() {
            break;
        }
        reader.page(page, resources);
    }
    let text = std::mem::take(&mut reader.out).trim().to_owned();
    Ok(Words { pages: count, text })
}

/// Pages that were come by, and those that were found with what they use.
type Found<'a> = (&'a mut HashSet<u32>, &'a mut Vec<(Dict, Dict)>);

fn gather(file: &File<'_>, node: &Value, above: &Dict, found: &mut Found<'_>, depth: usize) {
    if let Value::Ref(number) = node
        && !found.0.insert(*number)
    {
        return;
    }
    let Some(dict) = file.real(node).dict() else { return };
    let own = file.get(dict, "Resources").dict().unwrap_or(above);
    if PAGES <= found.1.len() || DEPTH < depth {
        return;
    }
    match file.get(dict, "Kids") {
        Value::List(kids) => {
            for kid in kids {
                gather(file, kid, own, found, depth + 1);
            }
        }
        _ => found.1.push((dict.clone(), own.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::{any, proptest};

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
        out.write_all(text).expect("it is packed");
        out.finish().expect("it is packed")
    }

    /// A file of one page with this program; `more` are further objects.
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

    fn read(program: &str, more: &str) -> String {
        words(&file(program, more), 100_000).expect("it is read").text
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
        assert_eq!(words(&data, 1_000).expect("it is read").text, "packed");
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        assert!(words(b"%PDF-1.4 nothing", 100).is_err());
        let mut locked = file("BT ET", PLAIN);
        locked.extend(b"\ntrailer <</Root 1 0 R /Encrypt 9 0 R>>");
        assert_eq!(words(&locked, 100), Err("it is encrypted"));
        let empty = words(&file("0 0 100 100 re f", PLAIN), 100).expect("it has a page");
        assert_eq!((empty.pages, empty.text.as_str()), (1, ""));
        let circle = b"1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj \
            2 0 obj <</Kids [2 0 R 2 0 R]>> endobj trailer <</Root 1 0 R>>";
        assert!(words(circle, 100).is_err());
    }

    #[test]
    fn what_is_packed_small_and_claims_to_be_huge_ends() {
        let long = "(a) Tj ".repeat(200_000);
        let text = read(&format!("BT /F1 9 Tf {long} ET"), PLAIN);
        assert!(text.len() <= 100_000);
        let bomb = " ".repeat(40 * 1024 * 1024);
        assert_eq!(read(&bomb, PLAIN), "");
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = words(&bytes, 1_000); // ok: words or a reason, but an end
        }

        #[test]
        fn a_file_with_a_hole_comes_to_an_end(from in 0_usize..900, length in 0_usize..200, byte in any::<u8>()) {
            let mut data = file("BT /F1 10 Tf 5 5 Td (Hello) Tj ET", PLAIN);
            let from = from.min(data.len());
            let to = (from + length).min(data.len());
            data.splice(from..to, [byte]).for_each(drop);
            let _ = words(&data, 1_000); // ok: words or a reason, but an end
        }
    }
}
