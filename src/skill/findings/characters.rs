//! Characters that people do not see, and letters that they take for others.

use super::{FindingKind, Found};
use crate::File;
use crate::error::is_invisible;

/// Greek capitals and omicron look like Latin letters; other Greek letters are common in formulas.
const GREEK: &str = "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲϳ";

pub fn name(file: &File, found: &mut Found) {
    if file.path.chars().any(is_invisible) {
        found.add(&file.path, 0, FindingKind::HiddenText, &file.path);
    }
    if is_lookalike(&file.path) {
        found.add(&file.path, 0, FindingKind::LookalikeName, &file.path);
    }
}

pub fn look(file: &File, text: &str, found: &mut Found) {
    if text.is_ascii() && !text.bytes().any(|b| b.is_ascii_control() && !is_layout(b.into())) {
        return;
    }
    // A byte order mark at the start is no text.
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in body.lines().enumerate() {
        if hides(line) {
            found.add(&file.path, index + 1, FindingKind::HiddenText, line);
        }
        if !line.is_ascii()
            && let Some(word) = line.split(|c: char| !c.is_alphanumeric()).find(|w| is_lookalike(w))
        {
            found.add(&file.path, index + 1, FindingKind::LookalikeName, word);
        }
    }
}

fn is_layout(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{c}')
}

fn hides(line: &str) -> bool {
    let mut before = ' ';
    for character in line.chars() {
        // Joiners and variation selectors belong to emoji and to scripts such as Arabic and Hindi.
        let is_part_of_letter =
            matches!(character, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0e}')
                && !before.is_ascii()
                && !is_invisible(before);
        if is_invisible(character) && !is_layout(character) && !is_part_of_letter {
            return true;
        }
        before = character;
    }
    false
}

/// Whether one word mixes Latin letters with letters of other scripts that look like them.
pub fn is_lookalike(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_ascii()).any(|word| {
        let is_other = |c: char| {
            matches!(c, '\u{400}'..='\u{52f}' | '\u{531}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}'
                | '\u{ff21}'..='\u{ff5a}' | '\u{1d400}'..='\u{1d7ff}')
                || GREEK.contains(c)
        };
        word.chars().any(|c| c.is_ascii_alphabetic()) && word.chars().any(is_other)
    })
}
