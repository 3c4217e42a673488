//! Where an item contains the words of a search: the address of a hit, and what the preview of a PDF marks.

use std::collections::BTreeSet;

use search::Wanted;
use web::format;

use crate::cut::Cut;
use crate::model::Item;

/// How many passages are searched for the words to mark.
const LOOKED: u32 = 64;
/// Maximum number of words to mark.
const MARKED: usize = 40;
/// Maximum number of words in an address.
const NAMED: usize = 4;

/// Whether the page of an item shows its file as a PDF.
pub fn is_pdf(item: &Item) -> bool {
    item.file.as_ref().is_some_and(|file| file.media == "application/pdf")
}

/// The address of a passage below that of its item. For a PDF, it names the words of `text` that the search has found,
/// so that the preview marks them.
pub fn place(item: &Item, n: u32, (text, wanted): (&str, Option<&Wanted>)) -> String {
    let mut words = BTreeSet::new();
    if let Some(wanted) = wanted.filter(|_| is_pdf(item)) {
        collect(text, wanted, &mut words);
    }
    let words = words.into_iter().take(NAMED).collect::<Vec<_>>().join(" ");
    match words.as_str() {
        "" => format!("?p={n}#cited"),
        words => format!("?p={n}&q={}#cited", format::query_value(words)),
    }
}

/// The page of a file, from 1, where the words of a search are, and the words as the text has them, one a line.
/// `passage` is the hit, if known.
pub fn on_page(cut: &Cut, passage: Option<u32>, query: &str) -> (u32, String) {
    let page_of = |n: u32| cut.quote(n, None).and_then(|quote| quote.page);
    let mut page = passage.and_then(page_of);
    let mut words = BTreeSet::new();
    if let Some(wanted) = Wanted::of(query) {
        for n in passage.into_iter().chain(0..cut.len().min(LOOKED)) {
            let before = words.len();
            collect(cut.words(n).unwrap_or_default(), &wanted, &mut words);
            if before < words.len() {
                page = page.or_else(|| page_of(n));
            }
        }
    }
    let words = words.into_iter().take(MARKED).collect::<Vec<_>>().join("\n");
    (page.unwrap_or(1), words)
}

/// Adds the words of a text that a search has found, each in lower case and on one line.
fn collect(text: &str, wanted: &Wanted, words: &mut BTreeSet<String>) {
    for mark in wanted.marks(text) {
        let word = text[mark].split_whitespace().collect::<Vec<_>>().join(" ");
        words.insert(word.to_lowercase());
    }
}
