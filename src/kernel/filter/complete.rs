//! What could come next at a place of a query.

use std::ops::Range;

use super::parse::{self, Piece};
use super::{DATE_WORDS, Key, Kind, Term, key};

/// How many suggestions are made.
const MOST: usize = 12;

/// What is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The part of the text that a suggestion takes the place of.
    pub span: Range<usize>,
    /// The key whose value is typed; none while a key or words are.
    pub key: Option<String>,
    /// What stands before the cursor.
    pub typed: String,
    /// Values of the same term.
    pub given: Vec<String>,
    /// Whether a dash stands before it.
    pub not: bool,
}

/// Something that could come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The whole text with it.
    pub text: String,
    /// Where the cursor stands then, in bytes.
    pub at: usize,
    /// The word itself.
    pub word: String,
    /// What it means.
    pub about: String,
}

/// What is being typed at a place of a text, in bytes.
#[must_use]
pub fn ask(text: &str, at: usize) -> Ask {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let here = |span: &Range<usize>| span.start <= at && at <= span.end;
    let none = Ask { span: at..at, key: None, typed: String::new(), given: Vec::new(), not: false };
    let Some(token) = parse::tokens(text).into_iter().find(|token| here(&token.span)) else {
        return none;
    };
    let typed = |piece: &Piece| text[piece.span.start..at].trim_start_matches('"').to_owned();
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
                typed: typed(piece),
                given: given.collect(),
                not: token.not,
            }
        }
        // Inside of a key all of it is replaced, but not its values.
        Some(key) => {
            let typed = text[key.span.start.min(at)..at].to_owned();
            Ask { span: key.span.clone(), typed, not: token.not, ..none }
        }
        None => match token.pieces.first() {
            Some(piece) if piece.span.start <= at => {
                Ask { span: piece.span.clone(), typed: typed(piece), not: token.not, ..none }
            }
            _ => none,
        },
    }
}

/// What could come next. `names` gives what a key that takes names knows, with labels.
#[must_use]
pub fn suggest(
    text: &str,
    at: usize,
    keys: &[Key],
    names: &dyn Fn(&str) -> Vec<(String, String)>,
) -> Vec<Suggestion> {
    let asked = ask(text, at);
    let put = |insert: &str, word: &str, about: &str| {
        let mut whole = String::with_capacity(text.len() + insert.len());
        whole.push_str(&text[..asked.span.start]);
        whole.push_str(insert);
        let at = whole.len();
        whole.push_str(&text[asked.span.end..]);
        Suggestion { text: whole, at, word: word.to_owned(), about: about.to_owned() }
    };
    let Some(name) = &asked.key else {
        let typed = asked.typed.to_ascii_lowercase();
        let ready = keys.iter().filter(|key| !matches!(key.kind, Kind::Later(_)));
        let found = fitting(&typed, ready.map(|key| (key.name.as_ref(), key.about.as_ref())));
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
        all.filter(|(word, _)| !asked.given.iter().any(|one| one.eq_ignore_ascii_case(word)));
    let found = fitting(&asked.typed.to_lowercase(), fresh);
    let value = |word: &str| {
        let term = Term::new("x", word).to_string();
        term.split_once(':').map_or_else(String::new, |(_, value)| value.to_owned())
    };
    found.into_iter().map(|(word, about)| put(&value(word), word, about)).collect()
}

/// What begins with the typed letters, then what holds them.
fn fitting<'w>(
    typed: &str,
    words: impl Iterator<Item = (&'w str, &'w str)>,
) -> Vec<(&'w str, &'w str)> {
    let mut found: Vec<(usize, (&str, &str))> = words
        .filter_map(|(word, label)| {
            let (low, about) = (word.to_lowercase(), label.to_lowercase());
            let place = if low.starts_with(typed) {
                0
            } else if about.starts_with(typed) {
                1
            } else if low.contains(typed) || about.contains(typed) {
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
