//! Small text rules used by several features.

/// The longest text that a person writes into one field, in bytes (64 KiB).
pub const MAX_TEXT: usize = 64 * 1024;

/// Makes a slug: lower-case ASCII letters and digits in groups joined by `-`, at most `max` bytes.
/// Common Latin letters with marks lose the mark; other letters are left out.
#[must_use]
pub fn slug(text: &str, max: usize) -> String {
    let mut out = String::new();
    for ch in text.chars().flat_map(char::to_lowercase) {
        let plain: &str = match ch {
            'a'..='z' | '0'..='9' => {
                out.push(ch);
                continue;
            }
            'ä' | 'æ' => "ae",
            'ö' | 'ø' | 'œ' => "oe",
            'ü' => "ue",
            'ß' => "ss",
            'à' | 'á' | 'â' | 'ã' | 'å' => "a",
            'è' | 'é' | 'ê' | 'ë' => "e",
            'ì' | 'í' | 'î' | 'ï' => "i",
            'ò' | 'ó' | 'ô' | 'õ' => "o",
            'ù' | 'ú' | 'û' => "u",
            'ç' => "c",
            'ñ' => "n",
            '\'' | '’' => "",
            _ => "-",
        };
        if plain == "-" && (out.is_empty() || out.ends_with('-')) {
            continue;
        }
        out.push_str(plain);
    }
    cut(&out, max).trim_end_matches('-').to_owned()
}

/// At most `max` bytes of a text, cut at a character.
#[must_use]
pub fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The text of bytes; none when they are none. A cut may have gone through a character.
#[must_use]
pub fn of_bytes(bytes: Vec<u8>, is_cut: bool) -> Option<String> {
    if bytes.contains(&0) {
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if is_cut => {
            let whole = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            if bytes.len() - whole > 3 {
                return None;
            }
            bytes.truncate(whole);
            String::from_utf8(bytes).ok()
        }
        Err(_) => None,
    }
}

/// At most `max` characters, with an ellipsis when something was left out.
#[must_use]
pub fn ellipsis(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// The same with a capital letter first.
#[must_use]
pub fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// "a, b and c".
#[must_use]
pub fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Keeps the head and the tail of a long text, 70 to 30, with a marker between them.
#[must_use]
pub fn head_tail(text: &str, max: usize, marker: &str) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let head = cut(text, max * 7 / 10);
    let mut start = text.len() - max * 3 / 10;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    format!("{head}{marker}{}", &text[start..])
}

/// The word that was probably meant, if one is near: at most a third of its letters differ.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.map(|one| (distance(word, one), one)).min()?;
    (near.0 * 3 <= near.1.chars().count()).then_some(near.1)
}

/// How many letters must be added, removed or replaced to make one word of the other.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{capitalized, cut, ellipsis, head_tail, nearest, of_bytes, slug};

    #[test]
    fn the_first_letter_is_a_capital() {
        assert_eq!(
            ["a backup", "éclair", "ßa", "", "42"].map(capitalized),
            ["A backup", "Éclair", "SSa", "", "42"]
        );
    }

    #[test]
    fn only_text_is_read_as_text() {
        assert_eq!(of_bytes(b"hello".to_vec(), false).as_deref(), Some("hello"));
        assert_eq!(of_bytes(vec![0x89, b'P', b'N', b'G', 0], false), None);
        let cut = "grün".as_bytes()[..3].to_vec();
        assert_eq!(of_bytes(cut.clone(), true).as_deref(), Some("gr"));
        assert_eq!(of_bytes(cut, false), None);
    }

    #[test]
    fn the_nearest_word_is_one_that_may_have_been_meant() {
        let known = || ["HQ_DATA", "HQ_LISTEN", "HQ_LOG"].into_iter();
        assert_eq!(nearest("HQ_DATE", known()), Some("HQ_DATA"));
        assert_eq!(nearest("HQ_LISTENS", known()), Some("HQ_LISTEN"));
        assert_eq!(nearest("HQ_MASTER_KEY", known()), None);
    }

    #[test]
    fn slugs_are_plain() {
        assert_eq!(slug("Marlow Cargo", 40), "marlow-cargo");
        assert_eq!(slug("  Éva's Über-Büro! ", 40), "evas-ueber-buero");
        assert_eq!(slug("日本", 40), "");
        assert_eq!(slug("a-----b", 40), "a-b");
        assert_eq!(slug("abc def", 4), "abc");
    }

    #[test]
    fn cutting_never_splits_a_character() {
        assert_eq!(cut("äöü", 3), "ä");
        assert_eq!(ellipsis("one two", 5), "one…");
        let long = "ä".repeat(100);
        assert!(head_tail(&long, 41, "[…]").contains("[…]"));
    }
}
