//! Completion: suggestions for a position in a query.

use std::ops::Range;

use super::parse::{self, Piece};
use super::{DATE_WORDS, Key, Kind, Term, key};

/// Maximum number of suggestions.
const MOST: usize = 12;

/// The token under the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The range of the text that a suggestion replaces.
    pub span: Range<usize>,
    /// The key whose value is typed; `None` while a key or words are typed.
    pub key: Option<String>,
    /// The typed part before the cursor.
    pub prefix: String,
    /// Other values of the same term.
    pub given: Vec<String>,
    /// Whether the term is negated.
    pub not: bool,
}

/// A completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The whole text with the suggestion applied.
    pub text: String,
    /// The new cursor position, in bytes.
    pub at: usize,
    /// The suggested word.
    pub word: String,
    /// Description of the word.
    pub about: String,
}

/// The token at byte offset `at`.
#[must_use]
pub fn ask(text: &str, at: usize) -> Ask {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let here = |span: &Range<usize>| span.start <= at && at <= span.end;
    let none =
        Ask { span: at..at, key: None, prefix: String::new(), given: Vec::new(), not: false };
    let Some(token) = parse::tokens(text).into_iter().find(|token| here(&token.span)) else {
        return none;
    };
    let prefix = |piece: &Piece| text[piece.span.start..at].trim_start_matches('"').to_owned();
    match &token.key {
        Some(key) if key.span.end <= at => {
            let Some(piece) = token.pieces.iter().find(|piece| here(&piece.span)) else {
                return none;
            };
            let others = token.pieces.iter().filter(|one| one.span != piece.span);
            let given = others.map(|one| one.text.clone()).filter(|text| !text.is_empty());
            Ask {
                span: piece.span.clone(),
                key: Some(key.text.clone()),
                prefix: prefix(piece),
                given: given.collect(),
                not: token.not,
            }
        }
        // Inside a key, the whole key is replaced, but not its values.
        Some(key) => {
            let prefix = text[key.span.start.min(at)..at].to_owned();
            Ask { span: key.span.clone(), prefix, not: token.not, ..none }
        }
        None => match token.pieces.first() {
            Some(piece) if piece.span.start <= at => {
                Ask { span: piece.span.clone(), prefix: prefix(piece), not: token.not, ..none }
            }
            _ => none,
        },
    }
}

/// Suggestions for a cursor position. `names` returns names and labels for a key that takes names.
#[must_use]
pub fn suggest(
    text: &str,
    at: usize,
    keys: &[Key],
    names: &dyn Fn(&str) -> Vec<(String, String)>,
) -> Vec<Suggestion> {
    let token = ask(text, at);
    let put = |insert: &str, word: &str, about: &str| {
        let mut whole = String::with_capacity(text.len() + insert.len());
        whole.push_str(&text[..token.span.start]);
        whole.push_str(insert);
        let at = whole.len();
        whole.push_str(&text[token.span.end..]);
        Suggestion { text: whole, at, word: word.to_owned(), about: about.to_owned() }
    };
    let Some(name) = &token.key else {
        let prefix = token.prefix.to_ascii_lowercase();
        let ready = keys.iter().filter(|key| !matches!(key.kind, Kind::Later(_)));
        let found = fitting(&prefix, ready.map(|key| (key.name.as_ref(), key.about.as_ref())));
        return found
            .into_iter()
            .map(|(word, about)| put(&format!("{word}:"), word, about))
            .collect();
    };
    let Some(key) = key(keys, name) else { return Vec::new() };
    let (fixed, named) = match key.kind {
        Kind::Words(words) | Kind::Text(words) => (words, Vec::new()),
        Kind::Names(words) => (words, names(name)),
        Kind::Date => (DATE_WORDS, Vec::new()),
        Kind::Number | Kind::Later(_) => return Vec::new(),
    };
    let fixed = fixed.iter().map(|(word, label)| (*word, *label));
    let all = fixed.chain(named.iter().map(|(word, label)| (word.as_str(), label.as_str())));
    let fresh =
        all.filter(|(word, _)| !token.given.iter().any(|one| one.eq_ignore_ascii_case(word)));
    let found = fitting(&token.prefix.to_lowercase(), fresh);
    let value = |word: &str| {
        let term = Term::new("x", word).to_string();
        term.split_once(':').map_or_else(String::new, |(_, value)| value.to_owned())
    };
    found.into_iter().map(|(word, about)| put(&value(word), word, about)).collect()
}

/// Words that begin with the typed letters, then words that contain them.
fn fitting<'w>(
    prefix: &str,
    words: impl Iterator<Item = (&'w str, &'w str)>,
) -> Vec<(&'w str, &'w str)> {
    let mut found: Vec<(usize, (&str, &str))> = words
        .filter_map(|(word, label)| {
            let (low, about) = (word.to_lowercase(), label.to_lowercase());
            let place = if low.starts_with(prefix) {
                0
            } else if about.starts_with(prefix) {
                1
            } else if low.contains(prefix) || about.contains(prefix) {
                2
            } else {
                return None;
            };
            Some((place, (word, label)))
        })
        .collect();
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().take(MOST).map(|(_, word)| word).collect()
}
