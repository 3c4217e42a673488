//! Text of a PDF, page by page. Images and text in them are skipped.
//!
//! Files are untrusted: unpacked, read and stored data is limited, and damaged parts are skipped.

mod annotations;
mod columns;
mod crypt;
mod damage;
mod filter;
mod font;
mod hyphens;
mod layout;
mod metrics;
mod object;
mod page;
mod rules;
mod value;

use std::collections::HashSet;

use encoding_rs::{UTF_8, UTF_16BE, WINDOWS_1252};

use super::markdown::plain_line;
use super::{Found, Refused};
use object::File;
use page::Pages;
use value::{Dict, Value, is};

/// Limit of pages read.
const PAGES: usize = 5_000;
/// Largest page count that is accepted from a cut-off file.
const CLAIMED: usize = 100_000;
/// Deepest page tree.
const DEPTH: usize = 40;
/// Bullets of list items; the last two are those of symbol fonts.
const POINTS: &str = "•‣▪●◦\u{f0b7}\u{f0a7}";
/// Placeholder titles that programs write.
const NAMELESS: &[&str] = &["(anonymous)", "untitled"];
/// Most bytes per character.
const LETTER: usize = 4;

pub(crate) fn read(data: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let file = File::read(data);
    if file.is_locked() {
        return Err(Refused::Encrypted);
    }
    let trailers = file.trailers();
    let newest =
        |name: &str| trailers.iter().rev().find_map(|trailer| file.get(trailer, name).dict());
    if let Some(Value::Text(title)) = newest("Info").map(|about| file.get(about, "Title")) {
        let title = letters(title);
        if !NAMELESS.contains(&title.trim().to_ascii_lowercase().as_str()) {
            found.name(&title);
        }
    }
    let (pages, root) = pages(&file, newest("Root"));
    if pages.is_empty() {
        return Err(Refused::Damaged);
    }
    let all = match root {
        Root::Found { pages } => pages,
        Root::Lost => pages.len(),
    };
    found.pages = u32::try_from(all).ok();
    found.missing = damage::missing(&file, &pages, root);
    let mut without_fonts = Vec::new();
    let mut reader = Pages::new(&file, found.limits.chars.saturating_mul(LETTER));
    for (number, page) in (1..).zip(&pages) {
        if found.is_full() || reader.is_full() {
            break;
        }
        let text = reader.page(page.dict, page.resources);
        if reader.lacks_fonts() {
            without_fonts.push(number as usize);
        }
        let lines: Vec<String> = hyphens::rejoined(&text).lines().map(line).collect();
        found.push(Some(number), lines.join("\n").trim().to_owned());
    }
    if !without_fonts.is_empty() && found.missing.is_none() {
        let word = if without_fonts.len() == 1 { "page" } else { "pages" };
        let pages = damage::ranges(&without_fonts);
        found.missing = Some(format!("partly read: the fonts on {word} {pages} are too large"));
    }
    if found.parts.is_empty() && file.is_spent() {
        return Err(Refused::Expands);
    }
    let has_more = PAGES <= pages.len() || reader.is_full() || file.is_spent();
    if has_more && !found.is_full() {
        found.cut = true;
        found.note("this PDF is too long to read at once, so part of it is missing".to_owned());
    }
    Ok(())
}

/// A line as Markdown; bullets become list items.
fn line(line: &str) -> String {
    let mut signs = line.trim_start().chars();
    match (signs.next(), signs.next()) {
        (Some(mark), Some(' ')) if POINTS.contains(mark) => format!("- {}", signs.as_str().trim()),
        _ => plain_line(line),
    }
}

/// Decodes a string of the file's metadata.
fn letters(bytes: &[u8]) -> String {
    let encoding = match bytes {
        [0xfe, 0xff, ..] => UTF_16BE,
        [0xef, 0xbb, 0xbf, ..] => UTF_8,
        _ => WINDOWS_1252,
    };
    encoding.decode_with_bom_removal(bytes).0.into_owned()
}

struct Page<'f> {
    dict: &'f Dict,
    resources: &'f Dict,
}

/// Result of the search for the page tree.
#[derive(Clone, Copy)]
enum Root {
    /// Found, with the page count that it declares.
    Found { pages: usize },
    /// Not found: pages are taken in file order.
    Lost,
}

/// The pages in order of the page tree, else in file order.
fn pages<'f>(file: &'f File<'_>, root: Option<&'f Dict>) -> (Vec<Page<'f>>, Root) {
    let root = root.or_else(|| {
        file.all().filter_map(|(_, value)| value.dict()).find(|dict| is(dict, "Catalog"))
    });
    let nothing: &Dict = file.nothing();
    let mut tree = Tree { file, seen: HashSet::new(), pages: Vec::new() };
    if let Some(top) = root.and_then(|root| root.get("Pages")) {
        tree.gather(top, nothing, 0);
    }
    if tree.pages.iter().any(|page| !page.dict.is_empty()) {
        let count = root.and_then(|root| file.get(root, "Pages").dict());
        let count = count.and_then(|top| file.get(top, "Count").number()).unwrap_or(0.0) as usize;
        let pages = match file.is_cut_off() {
            true => count.clamp(tree.pages.len(), CLAIMED.max(tree.pages.len())),
            false => tree.pages.len(),
        };
        return (tree.pages, Root::Found { pages });
    }
    let mut loose: Vec<(u32, &Dict)> = file
        .all()
        .filter_map(|(number, value)| Some((number, value.dict()?)))
        .filter(|(_, dict)| is(dict, "Page"))
        .collect();
    loose.sort_by_key(|(number, _)| *number);
    let own = |dict| file.get(dict, "Resources").dict().unwrap_or(nothing);
    let pages = loose.into_iter().map(|(_, dict)| Page { dict, resources: own(dict) });
    (pages.take(PAGES).collect(), Root::Lost)
}

struct Tree<'f, 'd> {
    file: &'f File<'d>,
    /// Visited nodes: a tree may contain itself.
    seen: HashSet<u32>,
    pages: Vec<Page<'f>>,
}

impl<'f> Tree<'f, '_> {
    fn gather(&mut self, node: &'f Value, above: &'f Dict, depth: usize) {
        if let Value::Ref(number) = node
            && !self.seen.insert(*number)
        {
            return;
        }
        let Some(dict) = self.file.real(node).dict() else {
            // Pages that were cut off keep their number.
            if matches!(node, Value::Ref(_)) && self.file.is_cut_off() && self.pages.len() < PAGES {
                self.pages.push(Page { dict: self.file.nothing(), resources: above });
            }
            return;
        };
        let resources = self.file.get(dict, "Resources").dict().unwrap_or(above);
        if PAGES <= self.pages.len() || DEPTH < depth {
            return;
        }
        match self.file.get(dict, "Kids") {
            Value::List(kids) => {
                for kid in kids {
                    self.gather(kid, resources, depth + 1);
                }
            }
            _ => self.pages.push(Page { dict, resources }),
        }
    }
}

#[cfg(test)]
mod tests;
