//! File text as edited by tools: lines with their line ends, the byte order mark, and hints for the model when a text
//! is not found. Text that is not replaced stays identical.

use std::borrow::Cow;
use std::collections::HashSet;

use kernel::text::{cut, distance};

/// Byte order mark.
pub const MARK: &str = "\u{feff}";
/// Maximum number of similar lines to show.
const NEAREST: usize = 3;
/// Maximum number of characters of a line to show.
const SHOWN: usize = 160;
/// Maximum number of lines to compare by edit distance.
const COMPARED: usize = 24;

/// A line and its line end: `\n`, `\r\n`, or empty at the end of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'t> {
    /// The line without its end.
    pub text: &'t str,
    /// The line end.
    pub end: &'t str,
}

/// Splits off the byte order mark, which may be empty.
#[must_use]
pub fn split_mark(text: &str) -> (&str, &str) {
    match text.strip_prefix(MARK) {
        Some(rest) => (MARK, rest),
        None => ("", text),
    }
}

/// The lines of a text. Concatenated, they equal the text.
#[must_use]
pub fn lines(text: &str) -> Vec<Line<'_>> {
    text.split_inclusive('\n')
        .map(|whole| {
            let text = whole.strip_suffix('\n').unwrap_or(whole);
            let text = if text.len() < whole.len() {
                text.strip_suffix('\r').unwrap_or(text)
            } else {
                text
            };
            Line { text, end: &whole[text.len()..] }
        })
        .collect()
}

/// The line end for a new line: that of the previous line, or else of the first line.
#[must_use]
pub fn end_at(lines: &[Line<'_>], at: usize) -> &'static str {
    let before = lines[..at.min(lines.len())].last();
    let like = before.filter(|line| !line.end.is_empty()).or(lines.first());
    if like.is_some_and(|line| line.end == "\r\n") { "\r\n" } else { "\n" }
}

/// The line end shared by all lines; `None` if they differ or there is only one line.
#[must_use]
pub fn common_end(text: &str) -> Option<&'static str> {
    let all = text.matches('\n').count();
    let with_return = text.matches("\r\n").count();
    match (all, with_return) {
        (0, _) => None,
        (_, 0) => Some("\n"),
        (all, some) if all == some => Some("\r\n"),
        _ => None,
    }
}

/// Converts all line ends.
#[must_use]
pub fn with_ends<'t>(text: &'t str, end: Option<&str>) -> Cow<'t, str> {
    match end {
        Some("\n") if text.contains("\r\n") => Cow::Owned(text.replace("\r\n", "\n")),
        Some("\r\n") if common_end(text) != Some("\r\n") && text.contains('\n') => {
            Cow::Owned(text.replace("\r\n", "\n").replace('\n', "\r\n"))
        }
        _ => Cow::Borrowed(text),
    }
}

/// The new content of a file with the byte order mark and line ends of the old content.
#[must_use]
pub fn in_place_of(old: &str, new: &str) -> String {
    let (mark, old) = split_mark(old);
    let (_, new) = split_mark(new);
    format!("{mark}{}", with_ends(new, common_end(old)))
}

/// Line number of a byte offset, from 1.
#[must_use]
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// Formats up to ten line numbers.
#[must_use]
pub fn numbers(of: &[usize]) -> String {
    let some: Vec<String> = of.iter().take(10).map(usize::to_string).collect();
    let more = if of.len() > 10 { format!(" and {} more", of.len() - 10) } else { String::new() };
    format!("{}{more}", some.join(", "))
}

/// The most similar lines, with numbers and visible white space.
#[must_use]
pub fn nearest(lines: &[Line<'_>], wanted: &str) -> String {
    let wanted = wanted.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
    let words: HashSet<&str> = pieces(wanted).collect();
    if words.is_empty() {
        return String::new();
    }
    let mut alike: Vec<(usize, usize)> = lines
        .iter()
        .enumerate()
        .map(|(n, line)| (pieces(line.text).filter(|word| words.contains(word)).count(), n))
        .filter(|(shared, _)| *shared > 0)
        .collect();
    alike.sort_by_key(|(shared, n)| (std::cmp::Reverse(*shared), *n));
    alike.truncate(COMPARED);
    let mut scored: Vec<(usize, usize)> = alike
        .into_iter()
        .map(|(_, n)| (distance(cut(lines[n].text.trim(), SHOWN), cut(wanted, SHOWN)), n))
        .collect();
    scored.sort_unstable();
    scored.truncate(NEAREST);
    scored.sort_by_key(|(_, n)| *n);
    let shown = scored.iter().map(|(_, n)| format!("\n{}: {}", n + 1, marked(lines[*n])));
    shown.collect()
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// A line with visible outer white space: `·` trailing space, `→` tab, `␍` carriage return.
#[must_use]
pub fn marked(line: Line<'_>) -> String {
    let inner = line.text.trim();
    let start = line.text.len() - line.text.trim_start().len();
    let mut out: String = line.text[..start].replace('\t', "→");
    out.extend(inner.chars().take(SHOWN));
    if inner.chars().count() > SHOWN {
        out.push('…');
    } else if !inner.is_empty() {
        out.push_str(&line.text[start + inner.len()..].replace('\t', "→").replace(' ', "·"));
    }
    if line.end == "\r\n" {
        out.push('␍');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_taken_apart_and_cut_between_two_characters(
            text in "([ -~]|[äßİ京あ한אبก]|\u{a0}|\u{2003}|\u{3000}|\u{2028}|\u{301}|\u{200d}|\u{1f469}|\u{202e}|\r?\n|\t|\u{c}|\u{1b}|[.!?。#<>&;@`*_|/-]){0,200}",
            old in "([ -~]|\u{a0}|[äé京\n]){1,12}",
        ) {
            let all = lines(&text);
            let joined: String = all.iter().flat_map(|line| [line.text, line.end]).collect();
            prop_assert_eq!(&joined, &text);
            all.iter().for_each(|line| drop(marked(*line)));
            drop(nearest(&all, &old));
            drop(crate::untrusted::wrap("1", &text));
            drop(crate::reduce::reduce("make", &text));
            let edit = crate::edits::Edit { old, new: text.clone() };
            // ok: a missing match is refused; the call must not panic
            let _ = crate::edits::apply(&text, &[edit], crate::edits::Places::One);
        }
    }

    #[test]
    fn lines_keep_their_ends_and_make_the_text_again() {
        let text = "a\r\nb\n\nc\rd";
        let all = lines(text);
        let ends: Vec<&str> = all.iter().map(|line| line.end).collect();
        assert_eq!(ends, ["\r\n", "\n", "\n", ""]);
        assert_eq!(all.iter().map(|l| format!("{}{}", l.text, l.end)).collect::<String>(), text);
        assert!(lines("").is_empty());
    }

    #[test]
    fn the_whole_of_a_file_keeps_its_mark_and_its_line_ends() {
        assert_eq!(in_place_of("\u{feff}a\r\nb\r\n", "x\ny\n"), "\u{feff}x\r\ny\r\n");
        assert_eq!(in_place_of("a\nb\n", "x\r\ny"), "x\ny");
        assert_eq!(in_place_of("a\r\nb\n", "x\ny\r\n"), "x\ny\r\n", "mixed ends say nothing");
        assert_eq!(in_place_of("", "x\r\n"), "x\r\n");
    }

    #[test]
    fn near_lines_show_the_white_space_that_is_in_the_way() {
        let text = "fn one() {\n\tlet total = sum(items);  \n}\r\nlet other = 3;\n";
        let shown = nearest(&lines(text), "    let total = sum(item);");
        assert!(shown.contains("\n2: →let total = sum(items);··"), "{shown}");
        assert_eq!(nearest(&lines(text), "  \n"), "");
        assert!(nearest(&lines(&"word ".repeat(900)), "word").chars().count() < 200);
    }
}
