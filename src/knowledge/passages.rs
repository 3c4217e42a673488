//! Splits a text into passages, the units of search and citation. Splits at headings and blocks, never across pages; a
//! long block is split between sentences or words.

use std::ops::Range;

use sha2::{Digest, Sha256};
use web::blocks;

/// Target size of a passage, in estimated tokens.
const TOKENS: usize = 256;
/// A heading starts a new passage if at least this much precedes it.
const ENOUGH: usize = 64;
/// Overlap of two passages of a long block.
const OVERLAP: usize = 32;
/// Maximum number of passages of a text.
const MOST: usize = 2_000;
/// Separates the pages of a file.
pub const PAGE_END: char = '\u{c}';

/// A passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Byte range in the text.
    pub range: Range<usize>,
    /// Page number from 1, if the text has pages.
    pub page: Option<u32>,
    /// The headings above it, outermost first.
    pub section: Vec<String>,
}

impl Passage {
    /// The headings above it in one line.
    #[must_use]
    pub fn trail(&self) -> String {
        self.section.join(" › ")
    }
}

/// Estimates tokens: one per four bytes, but one per character from U+2E80 on (such as CJK).
#[must_use]
pub fn tokens(text: &str) -> usize {
    let (mut wide, mut bytes) = (0, 0_usize);
    for sign in text.chars() {
        match 0x2e80 <= u32::from(sign) {
            true => wide += 1,
            false => bytes += sign.len_utf8(),
        }
    }
    wide + bytes.div_ceil(4)
}

/// Identifies the text of a passage in a citation; changes with the text.
#[must_use]
pub fn stamp(words: &str) -> String {
    hex::encode(&Sha256::digest(words)[..3])
}

/// Splits a text into passages.
#[must_use]
pub fn cut(text: &str) -> Vec<Passage> {
    let paged = text.contains(PAGE_END);
    let mut cutter = Cutter { text, done: Vec::new(), open: None, trail: Vec::new(), page: None };
    let mut at = 0;
    for (n, page) in text.split(PAGE_END).enumerate() {
        cutter.page = paged.then(|| u32::try_from(n + 1).unwrap_or(u32::MAX));
        for block in blocks::of(page) {
            let range = at + block.range.start..at + block.range.end;
            cutter.take(range, block.heading);
        }
        cutter.close();
        at += page.len() + PAGE_END.len_utf8();
    }
    cutter.done.truncate(MOST);
    cutter.done
}

struct Cutter<'t> {
    text: &'t str,
    done: Vec<Passage>,
    open: Option<Range<usize>>,
    trail: Vec<(u8, String)>,
    page: Option<u32>,
}

impl Cutter<'_> {
    fn take(&mut self, range: Range<usize>, heading: Option<(u8, String)>) {
        let cost = tokens(&self.text[range.clone()]);
        let so_far = self.open.clone().map_or(0, |open| tokens(&self.text[open]));
        let begins = heading.is_some() && ENOUGH <= so_far;
        if begins || TOKENS < so_far + cost {
            self.close();
        }
        if let Some((level, words)) = heading {
            // Text above a heading of the same or a higher level belongs to another section.
            let rises = self.trail.iter().any(|(above, _)| level <= *above);
            if rises {
                self.close();
            }
            self.trail.retain(|(above, _)| *above < level);
            self.trail.push((level, words));
        }
        if TOKENS < cost {
            self.long(range);
            return;
        }
        match &mut self.open {
            Some(open) => open.end = range.end,
            None => self.open = Some(range),
        }
    }

    /// Splits a block that is longer than a passage.
    fn long(&mut self, range: Range<usize>) {
        let mut from = range.start;
        while from < range.end {
            let rest = &self.text[from..range.end];
            let end = from + fitting(rest, TOKENS);
            self.open = Some(from..end);
            self.close();
            if end == range.end {
                return;
            }
            from = back(self.text, from, end);
        }
    }

    fn close(&mut self) {
        let Some(range) = self.open.take() else { return };
        if self.text[range.clone()].trim().is_empty() || MOST <= self.done.len() {
            return;
        }
        let section = self.trail.iter().map(|(_, words)| words.clone()).collect();
        self.done.push(Passage { range, page: self.page, section });
    }
}

/// Number of bytes for a passage: up to the end of the last complete sentence, or word.
fn fitting(text: &str, most: usize) -> usize {
    if tokens(text) <= most {
        return text.len();
    }
    let (mut end, mut cost) = (0, 0);
    for (at, sign) in text.char_indices() {
        // In quarters of a token, as in `tokens`.
        cost += if 0x2e80 <= u32::from(sign) { 4 } else { sign.len_utf8() };
        if 4 * most < cost {
            break;
        }
        end = at + sign.len_utf8();
    }
    let piece = &text[..end];
    let sentence = piece
        .rmatch_indices(['.', '!', '?', '\n', '。'])
        .map(|(at, sign)| at + sign.len())
        .find(|at| end / 2 <= *at && text[*at..].starts_with(|next: char| next.is_whitespace()));
    let word = || piece.rfind(char::is_whitespace).filter(|at| end / 2 <= *at);
    // White space may have several bytes.
    let word = || word().map(|at| text.ceil_char_boundary(at + 1));
    sentence.or_else(word).unwrap_or(end).max(1)
}

/// Start of the next passage: between two words, shortly before the end of this one.
fn back(text: &str, from: usize, end: usize) -> usize {
    let least = end.saturating_sub(4 * OVERLAP).max(from + 1);
    let piece = &text[text.ceil_char_boundary(least)..end];
    match piece.find(char::is_whitespace) {
        Some(at) => end - piece.len() + at,
        None => end,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Passage, TOKENS, cut, tokens};

    #[test]
    fn a_text_is_cut_along_its_headings_and_pages() {
        let para = "Customers pay a deposit of one monthly rate per bike. ".repeat(6);
        let text = format!("# Lease\n\n{para}\n\n## Deposit\n\n{para}\n\u{c}## Return\n\n{para}");
        let all = cut(&text);
        let parts: Vec<(Option<u32>, String)> = all.iter().map(|p| (p.page, p.trail())).collect();
        assert_eq!(
            parts,
            [
                (Some(1), "Lease".to_owned()),
                (Some(1), "Lease › Deposit".to_owned()),
                (Some(2), "Lease › Return".to_owned())
            ]
        );
        assert!(text[all[1].range.clone()].starts_with("## Deposit"));
    }

    #[test]
    fn a_long_paragraph_is_cut_between_sentences() {
        let text = "One sentence of some words. ".repeat(200);
        let all = cut(&text);
        assert!(3 < all.len());
        for Passage { range, .. } in &all {
            let piece = text[range.clone()].trim();
            assert!(tokens(piece) <= TOKENS && piece.ends_with('.'), "{piece}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn white_space_of_several_bytes_ends_a_passage_as_any_other(
            text in "([a-zäß京א👩\u{301}]{1,9}[\u{a0}\u{2003}\u{3000}\u{2028} ]){150,400}",
        ) {
            for Passage { range, .. } in cut(&text) {
                prop_assert!(text.get(range.clone()).is_some(), "{range:?}");
                prop_assert!(tokens(&text[range.clone()]) <= TOKENS, "{range:?}");
            }
        }

        #[test]
        fn passages_point_into_their_text_and_leave_no_word_out(text in "(\\PC|\n|\u{c}|# |京| |\u{a0}|\u{2003}|\u{3000}|\u{301}|\u{200d}|\u{1f469}|\u{202e}א){0,1200}") {
            let all = cut(&text);
            let mut covered = vec![false; text.len()];
            for passage in &all {
                prop_assert!(text.is_char_boundary(passage.range.start));
                prop_assert!(text.is_char_boundary(passage.range.end));
                covered[passage.range.clone()].fill(true);
            }
            for (at, sign) in text.char_indices() {
                let blank = sign.is_whitespace() || sign == '\u{c}' || sign == '\u{feff}';
                prop_assert!(blank || covered[at], "{sign:?} at {at}");
            }
        }
    }
}
