//! Words that are divided at the end of a line, made whole again.

/// Behind a hyphen these leave out a part of a word: "Ein- und Ausgabe", "pre- and post-war".
const LINKS: &[&str] = &["und", "oder", "bis", "bzw.", "and", "or", "to"];
/// A place where a word may be divided.
const SOFT: char = '\u{ad}';

/// The text with each divided word on the line where it begins.
pub(super) fn rejoined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
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
            out.pop();
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

/// Whether the text ends within a word of which this is the rest.
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
            ("- point\n-\n- b", "- point\n-\n- b\n"),
        ] {
            assert_eq!(rejoined(text), whole, "{text}");
        }
    }
}
