//! Small text functions used by several features.

use super::FieldError;

/// Maximum length of a text field, in bytes (64 KiB).
pub const MAX_TEXT: usize = 64 * 1024;

/// Makes a slug: groups of lower-case ASCII letters and digits joined by `-`, at most `max` bytes. Common Latin letters
/// lose their diacritics. Other characters are dropped.
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

/// Collapses text to one line: runs of white space and control characters become one space, and bidirectional controls
/// are removed. Returns an empty string if nothing visible is left.
#[must_use]
pub fn one_line(text: &str) -> String {
    let text = text.replace(TURNS, "");
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.chars().all(|c| c == ' ' || is_unseen(c)) { String::new() } else { line }
}

/// Bidirectional embeddings, overrides and isolates, which extend to an end that may never come. Plain direction marks,
/// which writers of mixed text need, are not in the list.
const TURNS: [char; 9] = [
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}',
    '\u{2069}',
];

/// Returns `true` if the text contains a character that reverses the direction of surrounding text.
#[must_use]
pub fn turns(text: &str) -> bool {
    text.contains(TURNS)
}

/// Returns `true` for characters without a glyph: joiners, direction marks, fillers, variation selectors.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// Rejects names that are reserved words in filters: `label:none` selects records without a label.
#[must_use]
pub fn word_of_filters(field: &str, name: &str) -> Option<FieldError> {
    let is_word = ["none", "any"].iter().any(|word| name.eq_ignore_ascii_case(word));
    let message = format!("\"{name}\" is reserved in filters. Choose another name.");
    is_word.then(|| FieldError::new(field, message))
}

/// At most `max` bytes of a text, cut at a character boundary.
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

/// Decodes UTF-8 text. Returns `None` for binary data. `is_cut` allows an incomplete last character.
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

/// At most `max` characters, with an ellipsis if text was dropped.
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

/// A noun with its indefinite article: `a task`, `an agent`. A noun with `u` gets `a`, as in `a user`. An abbreviation in
/// capitals is spelled: `an MCP server`.
#[must_use]
pub fn with_article(noun: &str) -> String {
    let spelled = noun.chars().take(2).all(|c| c.is_ascii_uppercase());
    let vowel = if spelled {
        noun.starts_with(|c| "AEFHILMNORSX".contains(c))
    } else {
        noun.starts_with(['a', 'e', 'i', 'o'])
    };
    let article = if vowel { "an" } else { "a" };
    format!("{article} {noun}")
}

/// The text with its first letter capitalised.
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

/// The message of a panic without quoted data. The standard library quotes the sliced text and the unwrapped error, and
/// neither may appear in a log, response or page.
#[must_use]
pub fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    const QUOTES: [&str; 4] = ["; it is inside", " of `", " slicing `", "\n"];
    const INVARIANT: &str = "invariant: ";
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("a panic without a message");
    let from = if message.starts_with(INVARIANT) { INVARIANT.len() } else { 0 };
    let error = message[from..].find(": ").map(|at| from + at);
    let quotes = QUOTES.iter().filter_map(|quote| message.find(quote));
    let end = quotes.chain(error).min().unwrap_or(message.len());
    cut(&message[..end], 200).to_owned()
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

/// The closest known word, if at most a third of its letters differ.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.map(|one| (distance(word, one), one)).min()?;
    (near.0 * 3 <= near.1.chars().count()).then_some(near.1)
}

/// Edit distance: insertions, deletions, replacements and swaps of adjacent letters.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(x != y);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if 0 < i && 0 < j && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Returns `true` if each word of `query` begins a word of `text`, which is in lower case.
#[must_use]
pub fn begins_words(text: &str, query: &str) -> bool {
    let text = format!(" {text}");
    query.to_lowercase().split_whitespace().all(|word| text.contains(&format!(" {word}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_cut_between_two_characters(
            text in "([ -~]|[äßİ京あ한אبก]|\u{a0}|\u{2003}|\u{3000}|\u{2028}|\u{301}|\u{200d}|\u{1f469}|\u{202e}|\n|\t|\u{c}|[.!?。#<>&;@`*_|/-]){0,300}",
            max in 0_usize..90,
        ) {
            prop_assert!(text.starts_with(cut(&text, max)) && cut(&text, max).len() <= max);
            prop_assert!(ellipsis(&text, max).chars().count() <= max.max(1));
            prop_assert!(slug(&text, max).len() <= max);
            let short = head_tail(&text, max, "…");
            prop_assert!(short.len() <= text.len().max(max + 3));
            prop_assert!(of_bytes(cut(&text, max).as_bytes().to_vec(), true).is_some());
            drop((super::one_line(&text), super::capitalized(&text)));
            drop(crate::filter::ask(&text, max));
            drop(crate::filter::Query::parse(&text));
        }
    }

    #[test]
    fn a_panic_is_told_without_what_it_was_about() {
        let panic = std::panic::catch_unwind(|| {
            let text = String::from("a\u{a0}secret");
            text[..2].len()
        });
        let words = super::panic_words(&*panic.expect_err("it is cut in a character"));
        assert!(words.contains("char boundary") && !words.contains("secret"), "{words}");
        let panic = std::panic::catch_unwind(|| {
            "secret".parse::<u8>().or(Err("secret")).expect("invariant: it is there")
        });
        let words = super::panic_words(&*panic.expect_err("it is none"));
        assert!(words.contains("it is there") && !words.contains("secret"), "{words}");
    }

    #[test]
    fn a_line_that_nobody_sees_is_empty() {
        use super::{one_line, turns, word_of_filters};
        assert_eq!(one_line(" Two\tbikes\u{0}\nand \u{7}a trailer "), "Two bikes and a trailer");
        for unseen in
            ["\u{200b}\u{200b}", " \u{feff} ", "\u{0}\u{1b}", "\u{3164}", "\u{202e}\u{2066}"]
        {
            assert_eq!(one_line(unseen), "", "{unseen:?}");
        }
        let family = "👩\u{200d}👧 ❤\u{fe0f}";
        assert_eq!(one_line(family), family, "joiners within what is seen stay");
        assert_eq!(one_line("invoice \u{202e}fdp.exe"), "invoice fdp.exe");
        assert!(turns("a\u{202e}b") && !turns("a\u{200f}b"));
        assert_eq!(one_line("\u{2067}שלום\u{2069} \u{200f}a"), "שלום \u{200f}a");
        assert!(
            word_of_filters("name", "None").is_some() && word_of_filters("name", "any").is_some()
        );
        assert!(word_of_filters("name", "Nonesuch").is_none());
    }

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
        assert_eq!(nearest("gol", ["log"].into_iter()), None, "only letters that stand together");
        assert_eq!(nearest("lgo", ["log"].into_iter()), Some("log"));
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
