//! The final state of terminal output: without colours, and with only the last version of redrawn lines.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// Lines wrap at this width.
const WIDTH: usize = 64 * 1024;
/// Maximum cursor movement per sequence.
const FAR: usize = 1_000;

/// Removes terminal control sequences. Line ends stay unchanged.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.split_inclusive('\n').any(|line| is_odd(split_end(line).0)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (words, end) = split_end(line);
        if is_odd(words) {
            Row::default().draw(words, &mut out);
        } else {
            out.push_str(words);
        }
        out.push_str(end);
    }
    Cow::Owned(out)
}

fn split_end(line: &str) -> (&str, &str) {
    let words = line.strip_suffix("\r\n").or_else(|| line.strip_suffix('\n')).unwrap_or(line);
    (words, &line[words.len()..])
}

fn is_odd(words: &str) -> bool {
    words.chars().any(|c| c.is_control() && c != '\t')
}

/// A rendered line.
#[derive(Default)]
struct Row {
    cells: Vec<char>,
    at: usize,
}

impl Row {
    fn draw(mut self, words: &str, out: &mut String) {
        let mut chars = words.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\r' => self.at = 0,
                '\u{8}' => self.at = self.at.saturating_sub(1),
                '\u{1b}' => self.escape(&mut chars),
                '\u{9b}' => self.control(&mut chars),
                '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_words(&mut chars),
                c if c.is_control() && c != '\t' => {}
                c => self.put(c),
            }
            if WIDTH <= self.at {
                out.extend(self.cells.drain(..));
                self.at = 0;
            }
        }
        out.extend(self.cells);
    }

    fn put(&mut self, c: char) {
        if self.cells.len() < self.at {
            self.cells.resize(self.at, ' ');
        }
        match self.cells.get_mut(self.at) {
            Some(cell) => *cell = c,
            None => self.cells.push(c),
        }
        self.at += 1;
    }

    /// Handles an escape sequence.
    fn escape(&mut self, chars: &mut Peekable<Chars<'_>>) {
        match chars.next() {
            Some('[') => self.control(chars),
            Some(']' | 'P' | 'X' | '^' | '_') => skip_words(chars),
            // Character set selection takes one more character.
            Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
                chars.next();
            }
            _ => {}
        }
    }

    /// Handles a control sequence (CSI): movement, erasure, colours.
    fn control(&mut self, chars: &mut Peekable<Chars<'_>>) {
        let mut given = String::new();
        while let Some(c) = chars.next_if(|c| (' '..='?').contains(c)) {
            if given.len() < 32 {
                given.push(c);
            }
        }
        let Some(last) = chars.next_if(|c| ('@'..='~').contains(c)) else { return };
        let number = given.split(';').next().and_then(|n| n.parse::<usize>().ok());
        let count = number.unwrap_or(1).clamp(1, FAR);
        match (last, number.unwrap_or(0)) {
            ('K', 0) => self.cells.truncate(self.at),
            ('K', 1) => {
                let upto = (self.at + 1).min(self.cells.len());
                self.cells[..upto].fill(' ');
            }
            ('K', _) => self.cells.clear(),
            ('G', _) => self.at = count - 1,
            ('C', _) => self.at = (self.at + count).min(WIDTH - 1),
            ('D', _) => self.at = self.at.saturating_sub(count),
            _ => {}
        }
    }
}

/// Skips titles, links and similar strings, which end with BEL or ST.
fn skip_words(chars: &mut Peekable<Chars<'_>>) {
    while let Some(c) = chars.next() {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                chars.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{WIDTH, plain};

    #[test]
    fn a_line_is_what_was_drawn_last() {
        for (given, seen) in [
            ("\u{1b}[1;31merror\u{1b}[0m: no", "error: no"),
            (" 10%\r 50%\r100%\ndone", "100%\ndone"),
            ("a long line\r\u{1b}[Kshort", "short"),
            ("a long line\u{1b}[2K\rshort", "short"),
            ("abc\u{8}\u{8}X", "aXc"),
            ("abc\rX", "Xbc"),
            ("a\u{1b}[3Cb", "a   b"),
            ("abcd\u{1b}[2GX", "aXcd"),
            ("\u{1b}]8;;https://x.test\u{7}link\u{1b}]8;;\u{1b}\\ here", "link here"),
            ("\u{1b}]0;title\u{7}words", "words"),
            ("\u{1b}(Bplain\u{1b}=", "plain"),
            ("\u{9b}31mred", "red"),
            ("bell\u{7} and null\0", "bell and null"),
            ("tab\tstays\u{1b}[m", "tab\tstays"),
            ("cut off \u{1b}[3", "cut off "),
            ("a\r\r\nb\r\n", "a\r\nb\r\n"),
        ] {
            assert_eq!(plain(given), seen, "{given:?}");
        }
    }

    #[test]
    fn text_without_any_of_it_is_not_copied() {
        assert!(matches!(plain("a\r\nb\tc\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_line_without_end_is_drawn_in_bounded_room() {
        let long = format!("\u{1b}[31m{}\rx", "ä".repeat(3 * WIDTH));
        let seen = plain(&long);
        assert_eq!(seen.chars().count(), 3 * WIDTH + 1);
        let far = plain("\u{1b}[999999C\u{1b}[999999Cx").into_owned();
        assert!(far.len() < 3_000, "{}", far.len());
    }
}
