//! Top-level blocks of a Markdown text with their byte ranges, for passages and for the editor. Content that has no
//! node in the tree, such as a link definition, becomes a source block.

use std::ops::Range;

use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options, format_html, parse_document};
use serde::Serialize;

use crate::html::escape;

/// A block of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Byte range in the text, without surrounding blank lines.
    pub range: Range<usize>,
    /// Level (from 1) and text of a heading.
    pub heading: Option<(u8, String)>,
}

/// A block for the editor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Editable {
    /// Start offset in bytes.
    pub from: usize,
    /// End offset in bytes (exclusive).
    pub to: usize,
    /// The block as HTML.
    pub html: String,
    /// Whether the block can only be edited as source.
    pub source: bool,
}

/// The blocks of a text, in order.
#[must_use]
pub fn of(text: &str) -> Vec<Block> {
    let arena = Arena::new();
    let options = crate::md::options(text);
    let root = parse_document(&arena, text, &options);
    let lines = Lines::of(text);
    let blocks = root.children().map(|node| Block {
        range: lines.of_node(node),
        heading: match &node.data.borrow().value {
            NodeValue::Heading(heading) => Some((heading.level, words(node))),
            _ => None,
        },
    });
    let plain = |range| Block { range, heading: None };
    whole(text, blocks.filter(|block| !block.range.is_empty()), |block| block.range.clone(), plain)
}

/// The blocks of a text for the editor.
#[must_use]
pub fn editable(text: &str) -> Vec<Editable> {
    let arena = Arena::new();
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.tasklist = true;
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    options.extension.front_matter_delimiter = crate::md::front_matter(text);
    options.render.escape = true;
    options.render.full_info_string = true;
    let root = parse_document(&arena, text, &options);
    crate::md::table::size(&arena, root, text);
    let lines = Lines::of(text);
    let source = |range: Range<usize>| Editable {
        html: format!("<pre>{}</pre>", escape(&text[range.clone()])),
        from: range.start,
        to: range.end,
        source: true,
    };
    let blocks = root.children().filter_map(|node| {
        let range = lines.of_node(node);
        if range.is_empty() {
            return None;
        }
        let mut html = String::new();
        if has_no_form(node) || format_html(node, &options, &mut html).is_err() {
            return Some(source(range));
        }
        Some(Editable { from: range.start, to: range.end, html, source: false })
    });
    whole(text, blocks, |block| block.from..block.to, source)
}

/// Whether the editor would lose content of a block. The editor keeps inline tags as text.
fn has_no_form<'a>(node: &'a AstNode<'a>) -> bool {
    let is_plain = |sign: char| sign.is_alphanumeric() || matches!(sign, '-' | '_' | '.');
    node.descendants().any(|node| match &node.data.borrow().value {
        NodeValue::HtmlBlock(_)
        | NodeValue::FootnoteDefinition(_)
        | NodeValue::Math(_)
        | NodeValue::FrontMatter(_) => true,
        // The editor keeps `[^name]` as words.
        NodeValue::FootnoteReference(note) => !note.name.chars().all(is_plain),
        _ => false,
    })
}

/// Adds blocks for the ranges that the tree does not cover.
fn whole<B>(
    text: &str,
    blocks: impl Iterator<Item = B>,
    at: impl Fn(&B) -> Range<usize>,
    plain: impl Fn(Range<usize>) -> B,
) -> Vec<B> {
    let (mut all, mut end) = (Vec::new(), 0);
    let gap = |range: Range<usize>, all: &mut Vec<B>| {
        let words = text[range.clone()].trim();
        if !words.is_empty() {
            let piece = &text[range.clone()];
            // Whole lines: indentation before the first word belongs to the block.
            let blank = piece.len() - piece.trim_start().len();
            let from = piece[..blank].rfind('\n').map_or(0, |n| n + 1);
            let to = piece.trim_end().len();
            all.push(plain(range.start + from..range.start + to));
        }
    };
    for block in blocks {
        let range = at(&block);
        // Footnotes are at the end of the tree, independent of their position in the text.
        if range.start < end {
            continue;
        }
        gap(end..range.start, &mut all);
        end = range.end;
        all.push(block);
    }
    gap(end..text.len(), &mut all);
    all
}

/// The words of a node without their marks.
pub(crate) fn words<'a>(node: &'a AstNode<'a>) -> String {
    let mut words = String::new();
    for node in node.descendants() {
        match &node.data.borrow().value {
            NodeValue::Text(piece) => words.push_str(piece),
            NodeValue::Code(code) => words.push_str(&code.literal),
            NodeValue::SoftBreak | NodeValue::LineBreak => words.push(' '),
            _ => {}
        }
    }
    words
}

/// Byte offsets of the lines of a text.
struct Lines {
    starts: Vec<usize>,
    ends: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let (mut starts, mut ends, mut at) = (Vec::new(), Vec::new(), 0);
        for line in text.split_inclusive(['\n', '\r']) {
            // CR LF ends one line, not two.
            if line == "\n" && text[..at].ends_with('\r') {
                at += 1;
                continue;
            }
            starts.push(at);
            ends.push(at + line.trim_end_matches(['\n', '\r']).len());
            at += line.len();
        }
        Self { starts, ends }
    }

    /// The byte range of a node's lines; empty without a position.
    fn of_node<'a>(&self, node: &'a AstNode<'a>) -> Range<usize> {
        let place = node.data.borrow().sourcepos;
        let start = place.start.line.checked_sub(1).and_then(|n| self.starts.get(n));
        let end = place.end.line.checked_sub(1).and_then(|n| self.ends.get(n));
        match (start, end.or(self.ends.last())) {
            (Some(start), Some(end)) if start <= end => *start..*end,
            _ => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{editable, of};

    #[test]
    fn each_block_has_its_bytes_and_nothing_is_left_out() {
        let text = "# One *two*\r\n\r\nwords\r\nmore\n\n- a\n  - b\n\n[x]: http://example.com\n\n<div>\nhi\n</div>\n\n| a |\n|---|\n| 1 |\n";
        let blocks = of(text);
        let pieces: Vec<&str> = blocks.iter().map(|block| &text[block.range.clone()]).collect();
        assert_eq!(
            pieces,
            [
                "# One *two*",
                "words\r\nmore",
                "- a\n  - b",
                "[x]: http://example.com",
                "<div>\nhi\n</div>",
                "| a |\n|---|\n| 1 |"
            ]
        );
        assert_eq!(blocks[0].heading, Some((1, "One two".to_owned())));
        let shown = editable(text);
        let sources: Vec<bool> = shown.iter().map(|block| block.source).collect();
        assert_eq!(sources, [false, false, false, true, true, false]);
        assert!(shown[1].html.contains("<p>words"), "{:?}", shown[1]);
    }

    #[test]
    fn definitions_of_notes_and_front_matter_are_source() {
        let text = "---\na: 1\n---\n\nSee[^1] it.\n\n[^1]: There.\n\nEnd.\n";
        assert!(of(text).iter().all(|block| block.heading.is_none()));
        let shown = editable(text);
        let found: Vec<(&str, bool)> =
            shown.iter().map(|one| (&text[one.from..one.to], one.source)).collect();
        assert_eq!(
            found,
            [
                ("---\na: 1\n---", true),
                ("See[^1] it.", false),
                ("[^1]: There.", true),
                ("End.", false)
            ]
        );
    }
}
