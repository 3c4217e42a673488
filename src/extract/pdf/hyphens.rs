//! Rejoins words that are hyphenated at line ends.

use std::collections::HashSet;

/// After a hyphen, these stand for a suspended part: "Ein- und Ausgabe", "pre- and post-war".
const LINKS: &[&str] = &["und", "oder", "bis", "bzw.", "and", "or", "to"];
/// First parts that usually keep their hyphen, with the endings that are written without one.
const FIRSTS: &[(&str, &[&str])] = &[
    ("well", &["ness"]),
    ("self", &["ish", "less", "same"]),
    ("half", &["way", "back"]),
    ("long", &["er", "est", "ing", "hand", "itude", "evity"]),
    ("short", &["er", "est", "age", "en", "cut", "hand", "ly", "ness"]),
    ("high", &["er", "est", "light", "way", "land", "ly", "ness"]),
    ("low", &["er", "est", "land", "ly"]),
    ("full", &["er", "est", "ness"]),
];
/// Middle parts of compounds: "state-of-the-art", "day-to-day".
const MIDDLES: &[&str] = &["of", "the", "to", "by", "in", "and", "on", "off", "up", "for", "a"];
/// Soft hyphen.
const SOFT: char = '\u{ad}';

/// The text with each hyphenated word on the line where it starts.
pub(super) fn rejoined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let compounds = compounds(text);
    let mut lines = text.lines();
    let mut next = lines.next();
    while let Some(line) = next {
        out.push_str(line);
        next = lines.next();
        while let Some(below) = next {
            let (rest, follows) = below.split_once(' ').unwrap_or((below, ""));
            if !is_divided(&out, rest) {
                break;
            }
            if !keeps_hyphen(&out, rest, &compounds) {
                out.pop();
            }
            out.push_str(rest);
            next = if follows.is_empty() { lines.next() } else { Some(follows) };
            if !follows.is_empty() {
                break;
            }
        }
        out.push('\n');
    }
    out.retain(|sign| sign != SOFT);
    out
}

/// Whether the text ends within a word that `rest` continues.
fn is_divided(text: &str, rest: &str) -> bool {
    let mut signs = text.chars().rev();
    match (signs.next(), signs.next()) {
        (Some(SOFT), Some(before)) => {
            before.is_alphabetic() && rest.starts_with(char::is_alphabetic)
        }
        (Some('-' | '\u{2010}'), Some(before)) => {
            before.is_lowercase() && rest.starts_with(char::is_lowercase) && !LINKS.contains(&rest)
        }
        _ => false,
    }
}

/// Words with a hyphen within a line, in lower case.
fn compounds(text: &str) -> HashSet<String> {
    let words = text.split_whitespace().map(bare);
    words.filter(|word| word.contains(is_hyphen)).map(str::to_lowercase).collect()
}

/// Whether the hyphen at the text's end is part of the word that `rest` continues.
fn keeps_hyphen(text: &str, rest: &str, compounds: &HashSet<String>) -> bool {
    let word = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    let (word, rest) = (bare(word), bare(rest));
    let Some(hyphen) = text.chars().next_back().filter(|sign| is_hyphen(*sign)) else {
        return false;
    };
    if compounds.contains(&format!("{word}{hyphen}{rest}").to_lowercase()) {
        return true;
    }
    match word.rsplit_once(is_hyphen) {
        Some((_, last)) => MIDDLES.contains(&last),
        None => FIRSTS.iter().any(|(first, without)| {
            word.eq_ignore_ascii_case(first) && !without.iter().any(|end| rest.starts_with(end))
        }),
    }
}

/// A word without surrounding punctuation.
fn bare(word: &str) -> &str {
    word.trim_matches(|sign: char| !sign.is_alphanumeric())
}

fn is_hyphen(sign: char) -> bool {
    matches!(sign, '-' | '\u{2010}')
}

#[cfg(test)]
mod tests {
    use super::rejoined;

    #[test]
    fn divided_words_are_made_whole() {
        for (text, whole) in [
            ("der Mietver-\ntrag endet\nheute", "der Mietvertrag\nendet\nheute\n"),
            ("die Ein-\nund Ausgabe", "die Ein-\nund Ausgabe\n"),
            ("Müller-\nSchmidt 2024-\n2025", "Müller-\nSchmidt 2024-\n2025\n"),
            ("in\u{ad}ter\u{ad}\nNational", "interNational\n"),
            ("three-\nfold-\ned end", "threefolded\nend\n"),
            ("a well-\nknown, low-\ner self-\nish", "a well-known,\nlower\nselfish\n"),
            ("state-of-the-\nart E-mail-ad-\ndress", "state-of-the-art\nE-mail-address\n"),
            ("see (user-\nagent) or user-agent", "see (user-agent)\nor user-agent\n"),
            ("- point\n-\n- b", "- point\n-\n- b\n"),
        ] {
            assert_eq!(rejoined(text), whole, "{text}");
        }
    }
}
