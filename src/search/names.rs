//! Identifiers: literal tokens such as `libssl.so.3`, `C++`, `E-1042` or `10.0.12.7`. They are indexed whole, in lower
//! case and with the signs between their letters, in addition to their words.

use tantivy::tokenizer::{AsciiFoldingFilter, TextAnalyzer, Token, Tokenizer};

use super::words::{Cut, is_dense, is_mark};

/// Longer tokens, in bytes, are encoded data; their parts may still be identifiers.
const LONGEST: usize = 120;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Lower case, without diacritics.
    pub text: String,
    /// End in the text, in bytes.
    pub to: usize,
}

/// Tokenizer of identifiers.
pub(super) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(Cutter).filter(AsciiFoldingFilter).build()
}

/// The identifiers of a text in order, each followed by its parts.
pub(super) fn of(text: &str) -> Vec<Name> {
    let mut analyzer = analyzer();
    let mut stream = analyzer.token_stream(text);
    let mut found = Vec::new();
    while stream.advance() {
        let token = stream.token();
        found.push(Name { text: token.text.clone(), to: token.offset_to });
    }
    found
}

/// Whether an identifier is certainly no prose: it has a digit, or a sign other than those between words and in
/// abbreviations.
pub(super) fn is_certain(name: &str) -> bool {
    let is_short = name.split('.').all(|part| part.chars().nth(1).is_none());
    let tells = |sign: char| !sign.is_alphabetic() && !matches!(sign, '-' | '/' | '&' | '\'' | '’');
    name.contains(|sign: char| sign.is_numeric()) || (!is_short && name.contains(tells))
}

/// Whether a character ends an identifier. Scripts without spaces may be adjacent to identifiers.
fn is_end(sign: char) -> bool {
    if sign.is_ascii() {
        return sign.is_ascii_whitespace()
            || matches!(sign, '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '"' | '`' | '|')
            || matches!(sign, ',' | ';' | '=' | '*' | '?' | '!');
    }
    let belongs = sign.is_alphanumeric() || is_mark(sign) || plain(sign) == '-' || sign == '’';
    is_dense(sign) || !belongs
}

/// Whether a sign separates levels of an identifier, whose parts are indexed, too.
fn is_level(sign: char) -> bool {
    matches!(sign, '/' | '\\' | ':' | '@')
}

/// Normalizes hyphens and minus signs.
fn plain(sign: char) -> char {
    match sign {
        '\u{2010}'..='\u{2012}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}' => '-',
        sign => sign,
    }
}

/// Strips surrounding signs. A full stop before a letter (`.NET`) and `+` and `#` after one (`C#`) are kept.
fn trimmed(piece: &str) -> &str {
    let is_edge = |sign: char| !sign.is_alphanumeric();
    let begun = piece.trim_start_matches(is_edge);
    let before = &piece[..piece.len() - begun.len()];
    let is_dotted = before == "." && begun.starts_with(char::is_alphabetic);
    let begun = if is_dotted { piece } else { begun };
    let core = begun.trim_end_matches(is_edge);
    let behind = &begun[core.len()..];
    let signs = behind.find(|sign| !matches!(sign, '+' | '#')).unwrap_or(behind.len());
    &begun[..core.len() + signs]
}

/// Whether a stripped token is more than a word: it contains a sign other than an apostrophe.
fn is_name(piece: &str) -> bool {
    piece.contains(|sign: char| {
        !sign.is_alphanumeric() && !is_mark(sign) && !matches!(sign, '\'' | '’')
    })
}

fn cut(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    for piece in text.split_inclusive(is_end) {
        take(text, piece, at, &mut found);
        at += piece.len();
    }
    found
}

/// Adds the identifier in a piece that starts at byte `at`, and its parts.
fn take(text: &str, piece: &str, at: usize, found: &mut Vec<Token>) {
    let piece = piece.strip_suffix(is_end).unwrap_or(piece);
    let name = trimmed(piece);
    if !is_name(name) {
        return;
    }
    let from = at + trimmed_before(piece, name);
    push(text, (from, from + name.len()), found);
    if !name.contains(is_level) {
        return;
    }
    let mut start = from;
    for part in name.split_inclusive(is_level) {
        let inner = part.strip_suffix(is_level).unwrap_or(part);
        let kept = trimmed(inner);
        if is_name(kept) {
            let from = start + trimmed_before(inner, kept);
            push(text, (from, from + kept.len()), found);
        }
        start += part.len();
    }
}

/// Byte offset of the stripped token within the piece.
fn trimmed_before(piece: &str, kept: &str) -> usize {
    piece.find(kept).unwrap_or(0)
}

fn push(text: &str, (from, to): (usize, usize), found: &mut Vec<Token>) {
    let mut name = String::with_capacity(to - from);
    for sign in text[from..to].chars().map(plain) {
        name.extend(sign.to_lowercase().filter(|sign| !is_mark(*sign)));
    }
    if name.is_empty() || LONGEST < name.len() {
        return;
    }
    let position = found.len();
    let token =
        Token { offset_from: from, offset_to: to, position, text: name, position_length: 1 };
    found.push(token);
}

#[derive(Clone)]
struct Cutter;

impl Tokenizer for Cutter {
    type TokenStream<'a> = Cut;
    fn token_stream<'a>(&'a mut self, text: &'a str) -> Cut {
        Cut::new(cut(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{is_certain, of};

    fn names(text: &str) -> Vec<String> {
        of(text).into_iter().map(|name| name.text).collect()
    }

    #[test]
    fn an_identifier_is_kept_whole_with_its_signs() {
        assert_eq!(names("It needs libssl.so.3."), ["libssl.so.3"]);
        assert_eq!(names("(C++, C#; g++)."), ["c++", "c#", "g++"]);
        assert_eq!(names("Error E\u{2011}1042: see MC-142!"), ["e-1042", "mc-142"]);
        assert_eq!(names(".NET and ASP.NET …more"), [".net", "asp.net"]);
        assert_eq!(names("`snake_case` orders::list"), ["snake_case", "orders::list"]);
        assert_eq!(names("MÜLLER-7, 版本v1.2.3發布。"), ["muller-7", "v1.2.3"]);
        assert_eq!(names("One plain sentence, isn't it? (Yes) #12 50% --- a"), [""; 0]);
        assert_eq!(names(&format!("a-{}", "x".repeat(200))), [""; 0]);
    }

    #[test]
    fn the_parts_of_an_identifier_are_identifiers_too() {
        assert_eq!(names("/usr/lib/libssl.so.3"), ["usr/lib/libssl.so.3", "libssl.so.3"]);
        assert_eq!(names("10.0.12.7:8080"), ["10.0.12.7:8080", "10.0.12.7"]);
        assert_eq!(names("key=E-7"), ["e-7"]);
        assert_eq!(names("it@marlow.example"), ["it@marlow.example", "marlow.example"]);
    }

    #[test]
    fn words_with_hyphens_are_prose_and_digits_and_signs_of_code_are_not() {
        for prose in ["e-mail", "and/or", "puncture-proof", "z.b", "o'brien-smith"] {
            assert!(!is_certain(prose), "{prose}");
        }
        for name in ["c++", "libssl.so", "e-417", "10.0.12.7", "snake_case"] {
            assert!(is_certain(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn an_identifier_lies_between_two_characters(
            text in "([ -~]|[äßİ京]|\u{a0}|\u{2011}|\u{301}|\u{200d}|[.+#/:@-]){0,80}",
        ) {
            for name in of(&text) {
                prop_assert!(text.is_char_boundary(name.to) && !name.text.is_empty());
            }
        }
    }
}
