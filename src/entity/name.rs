//! Compares names: ignores case, equivalent spellings of letters and the amount of white space.

use kernel::text::one_line;
use unicode_normalization::UnicodeNormalization as _;

/// Maximum length of an HTML character reference between `&` and `;`, in bytes.
const LONGEST: usize = 32;

/// Comparison key: equal for names that differ only in case, white space, zero-width characters, compatibility forms
/// (NFKC) or references such as `&amp;`.
#[must_use]
pub fn folded(name: &str) -> String {
    if name.is_ascii() && !name.contains(['&', '\t', '\n', '\r']) && !name.contains("  ") {
        return name.trim().to_ascii_lowercase();
    }
    let plain: String = tidied(name).nfkc().collect();
    one_line(&caseless::default_case_fold_str(&plain)).nfkc().collect()
}

/// Search form: lower case, Latin letters without diacritics, `ß` as `ss`.
#[must_use]
pub fn searched(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_ascii() => plain.push(c),
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' | 'ð' => plain.push('d'),
            'ı' => plain.push('i'),
            'ё' => plain.push('е'),
            // Combining marks of decomposed letters.
            '\u{300}'..='\u{36f}' => {}
            c => {
                let base = std::iter::once(c).nfd().next().filter(char::is_ascii_alphabetic);
                plain.push(base.unwrap_or(c));
            }
        }
    }
    plain
}

/// Cleans a name from a foreign file: one line, composed letters, no zero-width characters, HTML references such as
/// `&amp;` decoded.
#[must_use]
pub fn tidied(name: &str) -> String {
    let meant = unescaped(name);
    one_line(&meant.nfc().filter(|c| !is_unseen(*c)).collect::<String>())
}

/// Returns `true` for zero-width characters: joiners, separators, direction marks.
pub(crate) fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

/// Decodes HTML character references. Unknown references stay unchanged.
fn unescaped(text: &str) -> String {
    let (mut meant, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('&') {
        meant.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(LONGEST).position(|byte| byte == b';');
        match end.and_then(|end| Some((referred(&rest[..=end])?, end))) {
            Some((character, end)) => {
                meant.push_str(&character);
                rest = &rest[end + 1..];
            }
            None => {
                meant.push('&');
                rest = &rest[1..];
            }
        }
    }
    meant + rest
}

/// The text of one reference: `&amp;`, `&#38;`, `&#x26;`.
fn referred(reference: &str) -> Option<String> {
    if let Some(number) = reference.strip_prefix("&#") {
        let number = number.strip_suffix(';')?;
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control()).map(String::from);
    }
    let found = entities::ENTITIES.iter().find(|one| one.entity == reference)?;
    Some(found.characters.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{folded, searched, tidied};

    #[test]
    fn a_name_in_other_writing_is_the_same_name() {
        let wanted = folded("Friedrich Drächsler & Dahl");
        for other in [
            "Friedrich Drächsler &amp; Dahl",
            "Friedrich Drächsler &#38; Dahl",
            "FRIEDRICH DRÄCHSLER & DAHL",
            "Friedrich Drächsler\u{a0}& Dahl ",
            "Friedrich Dra\u{308}chsler &  Dahl",
            "Fried\u{200b}rich\u{3000}Drächsler & Dahl",
        ] {
            assert_eq!(folded(other), wanted, "{other}");
        }
        assert_eq!(folded("STRASSE 1"), folded("Straße 1"));
        assert_eq!(folded("ＡＢＣ"), "abc");
        assert_eq!(folded(" Rosa T. "), "rosa t.");
        assert_ne!(folded("Werft Nord"), folded("Werft Süd"));
        assert_eq!(folded("\u{200b}"), "");
    }

    #[test]
    fn words_are_searched_without_their_marks() {
        for (text, plain) in [
            ("Straße 7", "strasse 7"),
            ("GROẞ", "gross"),
            ("Café Núñez", "cafe nunez"),
            ("Cafe\u{301}", "cafe"),
            ("Łódź, Ålesund, Tromsø", "lodz, alesund, tromso"),
            ("Тёплый", "теплый"),
            ("がく 한국", "がく 한국"),
        ] {
            assert_eq!(searched(text), plain, "{text}");
        }
    }

    #[test]
    fn references_that_are_none_stay() {
        assert_eq!(tidied("R&D; Fish &amp;  Chips &nothing; &"), "R&D; Fish & Chips &nothing; &");
        assert_eq!(tidied("A&#x110000;B &#0;"), "A&#x110000;B &#0;");
        assert_eq!(tidied("Caf\u{65}\u{301}"), "Café");
    }
}
