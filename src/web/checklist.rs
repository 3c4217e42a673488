//! Checklists in Markdown: parses the items of a text and ticks an item in the source.
//!
//! Ticking changes one character of the source. A tick identifies its item by position if the text has not changed
//! except for ticks, otherwise by its line if exactly one line matches. If neither identifies one item, nothing is
//! changed.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::str::FromStr;

use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, parse_document};

use crate::md;
use store::BlobId;

/// A checklist item that can be ticked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Byte offset of the character in the brackets.
    at: usize,
    /// Whether the item is ticked.
    pub ticked: bool,
    /// The text of the item without markup.
    pub words: String,
}

/// An item as it was displayed, and its new state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    at: usize,
    line: String,
    text: String,
    /// The new state.
    pub done: bool,
}

/// Error: the submitted value does not identify an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTick;

impl Display for Tick {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.at, self.line, self.text, u8::from(self.done))
    }
}

impl FromStr for Tick {
    type Err = NoTick;
    fn from_str(text: &str) -> Result<Self, NoTick> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(NoTick);
        let at = next()?.parse().map_err(|_| NoTick)?;
        let (line, text) = (next()?.to_owned(), next()?.to_owned());
        let done = match next()? {
            "1" => true,
            "0" => false,
            _ => return Err(NoTick),
        };
        Ok(Self { at, line, text, done })
    }
}

/// The items of a text, in order.
#[must_use]
pub fn items(text: &str) -> Vec<Item> {
    // Fast path: lists call this for every task, and few have a checklist.
    if !["[ ]", "[x]", "[X]"].iter().any(|sign| text.contains(sign)) {
        return Vec::new();
    }
    let arena = Arena::new();
    let root = parse_document(&arena, text, &md::options(text));
    of(root, text).into_iter().flatten().collect()
}

/// The items of a parsed text, in order; `None` for an item without a valid bracket.
pub(super) fn of<'a>(root: &'a AstNode<'a>, text: &str) -> Vec<Option<Item>> {
    let starts = starts(text);
    root.descendants()
        .filter_map(|node| {
            let data = node.data.borrow();
            let NodeValue::TaskItem(item) = &data.value else { return None };
            let sign = item.symbol_sourcepos.start;
            let start = sign.line.checked_sub(1).and_then(|line| starts.get(line));
            let at = start.zip(sign.column.checked_sub(1)).map(|(start, column)| start + column);
            let at = at.filter(|at| is_sign(text, *at));
            let ticked = item.symbol.is_some();
            Some(at.map(|at| Item { at, ticked, words: words(node) }))
        })
        .collect()
}

/// Byte offsets of the lines. Markdown accepts all line endings.
fn starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let ends = (0..bytes.len()).filter(|at| match bytes[*at] {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(ends.map(|at| at + 1)).collect()
}

fn is_sign(text: &str, at: usize) -> bool {
    let around = at.checked_sub(1).and_then(|before| text.as_bytes().get(before..at + 2));
    matches!(around, Some([b'[', b' ' | b'x' | b'X', b']']))
}

/// The text of an item without its nested items.
fn words<'a>(item: &'a AstNode<'a>) -> String {
    let mut words = String::new();
    let first = item.first_child();
    for node in first.iter().flat_map(|block| block.descendants()) {
        match &node.data.borrow().value {
            NodeValue::Text(piece) => words.push_str(piece),
            NodeValue::HtmlInline(tag) => words.push_str(tag),
            NodeValue::Code(code) => words.push_str(&code.literal),
            NodeValue::Math(math) => words.push_str(&math.literal),
            NodeValue::SoftBreak | NodeValue::LineBreak => words.push(' '),
            _ => {}
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The number of ticked items and of all items.
#[must_use]
pub fn progress(items: &[Item]) -> (usize, usize) {
    (items.iter().filter(|item| item.ticked).count(), items.len())
}

/// The values to submit for toggling each of these items.
#[must_use]
pub fn ticks(text: &str, items: &[Item]) -> Vec<Tick> {
    let whole = hash(&bare(text, items));
    let tick = |item: &Item| Tick {
        at: item.at,
        line: line_mark(text, item),
        text: whole.clone(),
        done: !item.ticked,
    };
    items.iter().map(tick).collect()
}

/// Returns the text with an item toggled; `None` if the item cannot be identified.
#[must_use]
pub fn ticked(text: &str, tick: &Tick) -> Option<String> {
    let all = items(text);
    let item = match hash(&bare(text, &all)) == tick.text {
        true => all.iter().find(|item| item.at == tick.at)?,
        false => {
            let mut alike = all.iter().filter(|item| line_mark(text, item) == tick.line);
            let first = alike.next()?;
            if alike.next().is_some() {
                return None;
            }
            first
        }
    };
    Some(turned(text, item, tick.done))
}

/// Returns the text with this item set to `done`.
#[must_use]
pub fn turned(text: &str, item: &Item, done: bool) -> String {
    let sign = match (item.ticked, done) {
        (true, false) => " ",
        (false, true) => "x",
        _ => return text.to_owned(),
    };
    format!("{}{sign}{}", &text[..item.at], &text[item.at + 1..])
}

/// A text with all its ticks removed.
fn bare(text: &str, items: &[Item]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for item in items {
        bytes[item.at] = b' ';
    }
    bytes
}

/// Hash of an item's line, independent of its tick.
fn line_mark(text: &str, item: &Item) -> String {
    let Range { start, end } = line_of(text, item.at);
    hash(format!("{} {}", &text[start..item.at], &text[item.at + 1..end]).as_bytes())
}

fn line_of(text: &str, at: usize) -> Range<usize> {
    let ends = ['\n', '\r'];
    let start = text[..at].rfind(ends).map_or(0, |before| before + 1);
    start..text[at..].find(ends).map_or(text.len(), |end| at + end)
}

fn hash(bytes: &[u8]) -> String {
    BlobId::of(bytes).to_string()[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::{Tick, items, progress, ticked, ticks, turned};

    const LIST: &str = "Before we go:\n\n- [ ] Ask the *bank*\n- [x] Call `Jana`\n  - [ ] her number\n\n\
                        > 1. [X] quoted\n\n```\n- [ ] no item\n```\n\nSee [x] and - [ ] in words.";

    #[test]
    fn the_items_of_a_text_are_those_that_are_drawn_as_boxes() {
        let found = items(LIST);
        let words: Vec<_> = found.iter().map(|item| item.words.as_str()).collect();
        assert_eq!(words, ["Ask the bank", "Call Jana", "her number", "quoted"]);
        assert_eq!(progress(&found), (2, 4));
        assert!(items("").is_empty() && items("plain").is_empty());
        assert_eq!(items("- [ ] ünd\r\n- [x] b").len(), 2);
    }

    #[test]
    fn a_tick_changes_one_sign() {
        let all = ticks(LIST, &items(LIST));
        let done = ticked(LIST, &all[0]).expect("it is there");
        assert_eq!(done, LIST.replace("- [ ] Ask", "- [x] Ask"));
        let open = ticked(LIST, &all[3]).expect("it is there");
        assert_eq!(open, LIST.replace("[X] quoted", "[ ] quoted"));
        // A repeated tick has no effect, and other ticks in between do not interfere.
        assert_eq!(ticked(&done, &all[0]).as_deref(), Some(done.as_str()));
        let both = ticked(&done, &all[2]).expect("it is there");
        assert_eq!(both, done.replace("- [ ] her", "- [x] her"));
    }

    #[test]
    fn an_item_is_found_again_by_its_line_or_not_at_all() {
        let before = "- [ ] one\n- [ ] two\n- [ ] two";
        let all = ticks(before, &items(before));
        let after = "New words.\n\n- [ ] two\n- [ ] two\n- [ ] one";
        let moved = ticked(after, &all[0]);
        assert_eq!(moved.as_deref(), Some("New words.\n\n- [ ] two\n- [ ] two\n- [x] one"));
        assert_eq!(ticked(after, &all[1]), None, "there are two like it");
        assert_eq!(ticked("- [ ] One", &all[0]), None, "its words have changed");
        assert_eq!(ticked("", &all[0]), None);
        let second = ticked(before, &all[2]);
        assert_eq!(second.as_deref(), Some("- [ ] one\n- [ ] two\n- [x] two"));
    }

    #[test]
    fn what_is_sent_names_an_item_or_nothing() {
        let tick = &ticks(LIST, &items(LIST))[1];
        assert_eq!(tick.to_string().parse::<Tick>().as_ref(), Ok(tick));
        assert!(!tick.done);
        for wrong in ["", "1", "1.a.b", "1.a.b.2", "x.a.b.1", "-1.a.b.0"] {
            assert!(wrong.parse::<Tick>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_text_a_tick_changes_its_item_and_nothing_else(
            pieces in prop::collection::vec("(- \\[[ xX]\\] |> |  |1\\. |```\n|\n|[a-zä☂ `*_]{1,6}|\\[x\\]|\t|\r)", 0..30),
            which in 0usize..8,
        ) {
            let text = pieces.concat();
            let all = items(&text);
            let marks = ticks(&text, &all);
            if let Some((item, tick)) = all.get(which).zip(marks.get(which)) {
                let after = ticked(&text, tick).expect("it is there");
                prop_assert_eq!(after.len(), text.len());
                let differ = after.bytes().zip(text.bytes()).filter(|(a, b)| a != b).count();
                prop_assert_eq!(differ, 1);
                let now = items(&after);
                prop_assert_eq!(now.len(), all.len());
                prop_assert_eq!(now[which].ticked, !item.ticked);
                prop_assert_eq!(turned(&after, &now[which], item.ticked).to_lowercase(), text.to_lowercase());
                prop_assert!(now.iter().zip(&all).enumerate().all(|(n, (a, b))| n == which || a == b));
            }
        }
    }
}
