//! The filter language of lists: `assignee:me due:<7d label:launch -status:done "two words"`.
//!
//! A query is a conjunction of terms. A term is words, or a key with alternative values; `-` negates it. Parsing never
//! fails: an unknown term is preserved, so that a page can flag it while the rest still filters. Each noun supplies its
//! keys and resolves names itself.

mod complete;
mod parse;
mod value;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use super::text;

pub use complete::{Ask, Suggestion, ask, suggest};
pub use value::{Days, Numbers, days, numbers};

/// Maximum number of terms. A list evaluates every term for each row.
pub const MAX_TERMS: usize = 40;
/// Maximum number of values per term.
pub const MAX_VALUES: usize = 100;

/// A filter key of a noun.
#[derive(Clone, Debug)]
pub struct Key {
    /// The word before the colon.
    pub name: Cow<'static, str>,
    /// The kind of its values.
    pub kind: Kind,
    /// Description for people.
    pub about: Cow<'static, str>,
}

impl Key {
    /// A built-in key of a noun.
    #[must_use]
    pub const fn of(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), kind, about: Cow::Borrowed(about) }
    }

    /// The key of a user-defined field.
    #[must_use]
    pub fn made(name: &str, kind: Kind, about: &str) -> Self {
        Self { name: Cow::Owned(name.to_owned()), kind, about: Cow::Owned(about.to_owned()) }
    }
}

/// Words of a key with their display labels.
pub type Words = &'static [(&'static str, &'static str)];

/// The kind of values after the colon.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One of these words.
    Words(Words),
    /// The name of a person or thing, or one of these words.
    Names(Words),
    /// A day or a range of days.
    Date,
    /// A number or a range of numbers.
    Number,
    /// Any text, or one of these words.
    Text(Words),
    /// Not supported, with the reason in words.
    Later(&'static str),
}

/// Suggested words for date keys.
pub const DATE_WORDS: Words = &[
    ("today", "Today"),
    ("tomorrow", "Tomorrow"),
    ("<today", "Before today"),
    ("<7d", "In less than seven days"),
    (">-7d", "Less than seven days ago"),
    ("none", "No date"),
    ("any", "Any date"),
];

/// One condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// Whether the condition is negated.
    pub not: bool,
    /// The key in lower case; empty for words.
    pub key: String,
    /// Alternative values after the colon, or the search words.
    pub values: Vec<String>,
}

impl Term {
    /// A term with one value.
    pub fn new(key: &str, value: impl Into<String>) -> Self {
        Self { not: false, key: key.to_owned(), values: vec![value.into()] }
    }

    /// Returns `true` for full-text search words.
    #[must_use]
    pub fn is_words(&self) -> bool {
        self.key.is_empty()
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.not {
            f.write_str("-")?;
        }
        if self.is_words() {
            let words = self.values.first().map_or("", String::as_str);
            return quoted(f, words, words.contains(':') || words.starts_with('-'));
        }
        write!(f, "{}:", self.key)?;
        for (n, value) in self.values.iter().enumerate() {
            if 0 < n {
                f.write_str(",")?;
            }
            quoted(f, value, value.contains(','))?;
        }
        Ok(())
    }
}

/// Writes a word, quoted if it would otherwise be parsed differently.
fn quoted(f: &mut fmt::Formatter<'_>, word: &str, special: bool) -> fmt::Result {
    let odd = |c: char| c.is_whitespace() || c == '"';
    if !(special || word.is_empty() || word.contains(odd)) {
        return f.write_str(word);
    }
    f.write_str("\"")?;
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("\"")
}

/// A conjunction of conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// In the order in which they were typed.
    pub terms: Vec<Term>,
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, term) in self.terms.iter().enumerate() {
            if 0 < n {
                f.write_str(" ")?;
            }
            term.fmt(f)?;
        }
        Ok(())
    }
}

impl Query {
    /// Parses a query. Never fails: invalid terms are found when the terms are looked up.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let terms = parse::tokens(text).into_iter().filter_map(parse::Token::term);
        Self { terms: terms.collect() }
    }

    /// The canonical form: keys in the noun's order, then unknown keys, then words; no duplicates.
    #[must_use]
    pub fn canonical(&self, keys: &[Key]) -> Self {
        let mut terms: Vec<Term> = Vec::with_capacity(self.terms.len());
        for term in &self.terms {
            let term = tidy(term, keys);
            if !terms.contains(&term) {
                terms.push(term);
            }
        }
        let place = |term: &Term| match term.is_words() {
            true => keys.len() + 1,
            false => keys.iter().position(|key| key.name == term.key).unwrap_or(keys.len()),
        };
        terms.sort_by_key(|term| (place(term), term.not));
        Self { terms }
    }

    /// This query without one of its terms.
    #[must_use]
    pub fn without(&self, term: &Term) -> Self {
        Self { terms: self.terms.iter().filter(|one| *one != term).cloned().collect() }
    }

    /// This query with `term` added. Terms with the same key and sign are replaced.
    #[must_use]
    pub fn with(&self, term: Term) -> Self {
        let same = |one: &&Term| one.key != term.key || one.not != term.not;
        let mut terms: Vec<Term> = self.terms.iter().filter(same).cloned().collect();
        terms.push(term);
        Self { terms }
    }
}

/// A term without duplicate values, with its key's known words in lower case.
fn tidy(term: &Term, keys: &[Key]) -> Term {
    if term.is_words() {
        return term.clone();
    }
    let key = key(keys, &term.key);
    let known = key.map_or(&[][..], |key| match key.kind {
        Kind::Words(words) | Kind::Names(words) | Kind::Text(words) => words,
        Kind::Date => DATE_WORDS,
        Kind::Number | Kind::Later(_) => &[],
    });
    let mut values: Vec<String> = Vec::with_capacity(term.values.len());
    for value in &term.values {
        let word = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
        let value = word.map_or_else(|| value.clone(), |(word, _)| (*word).to_owned());
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Term { values, ..term.clone() }
}

/// Finds a key by name.
#[must_use]
pub fn key<'k>(keys: &'k [Key], name: &str) -> Option<&'k Key> {
    keys.iter().find(|key| key.name == name)
}

/// The name closest to `name`.
#[must_use]
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = text::cut(name, 64);
    names.min_by_key(|one| text::distance(name, one))
}

/// Error message for an unknown key.
#[must_use]
pub fn unknown_key(name: &str, keys: &[Key]) -> String {
    let near = nearest(name, keys.iter().map(|key| key.name.as_ref())).unwrap_or_default();
    format!("There is no filter \"{}\"; did you mean {near}?", text::ellipsis(name, 40))
}

/// Error message for an unknown value.
#[must_use]
pub fn unknown_value<'n>(key: &str, value: &str, names: impl Iterator<Item = &'n str>) -> String {
    let value = text::ellipsis(value, 40);
    match nearest(&value, names) {
        Some(near) => format!("\"{value}\" isn’t a known {key}; did you mean {near}?"),
        None => format!("\"{value}\" isn’t a known {key}; there are none yet."),
    }
}
