//! Placeholder tokens: random, and useless anywhere else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Prefix of placeholders in the default format.
pub(crate) const PREFIX: &str = "hqs_";
/// Number of random characters after the prefix.
pub(crate) const RANDOM: usize = 43;
/// Minimum number of random characters of a placeholder.
const MIN_RANDOM: usize = 20;
/// Maximum length of a value whose format is copied.
const MAX_SHAPED: usize = 256;
/// Maximum length of a prefix that identifies the kind of key.
const MAX_PREFIX: usize = 16;

/// A placeholder.
pub(crate) struct Token {
    pub(crate) text: String,
    /// Number of leading characters that are public knowledge.
    pub(crate) known: usize,
}

/// A placeholder in the default format.
pub(crate) fn plain() -> Token {
    let mut bytes = [0; 32];
    fill(&mut bytes);
    let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    Token { text, known: PREFIX.len() }
}

/// A placeholder with the length and prefix (`ghp_`, `sk-`) of the value. Falls back to the default format if the value
/// has no such prefix or leaves too few random characters.
pub(crate) fn shaped(value: &[u8]) -> Token {
    let known = kind(value);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_short = value.len() < known + MIN_RANDOM || MAX_SHAPED < value.len();
    if known == 0 || is_short || !value.iter().all(is_word) {
        return plain();
    }
    let mut text = String::from_utf8_lossy(&value[..known]).into_owned();
    while text.len() < value.len() {
        text.push(letter());
    }
    Token { text, known }
}

/// Length of the prefix that identifies the kind of key: up to three short words of lower-case letters and digits.
fn kind(value: &[u8]) -> usize {
    let mut end = 0;
    for _ in 0..3 {
        let word = value[end..].iter().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let next = end + word.count();
        let ends = value.get(next).is_some_and(|byte| matches!(byte, b'-' | b'_'));
        if next == end || !ends || MAX_PREFIX <= next {
            break;
        }
        end = next + 1;
    }
    end
}

/// A uniformly distributed character out of 62.
fn letter() -> char {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    loop {
        let mut byte = [0];
        fill(&mut byte);
        if let Some(letter) = LETTERS.get(usize::from(byte[0] >> 2)) {
            return char::from(*letter);
        }
    }
}

/// Random bytes from the system.
pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("invariant: the system gives random bytes");
}

#[cfg(test)]
mod tests {
    use super::{plain, shaped};

    #[test]
    fn a_stand_in_looks_like_its_value_where_that_says_what_it_is() {
        let word = "Q7".repeat(20);
        for (value, known, len) in [
            (format!("ghp_{word}"), "ghp_", 44),
            (format!("sk-ant-api03-{word}"), "sk-ant-api03-", 53),
            (format!("github_pat_{word}"), "github_pat_", 51),
            (word.clone(), "hqs_", 47),
            ("sk-short".to_owned(), "hqs_", 47),
            (format!("sk-{word} x"), "hqs_", 47),
        ] {
            let token = shaped(value.as_bytes());
            assert!(token.text.starts_with(known) && token.text.len() == len, "{known}");
            assert_eq!(token.known, known.len());
            assert!(!token.text.contains("Q7Q7"));
        }
        assert_ne!(plain().text, plain().text);
    }
}
