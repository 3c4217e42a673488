//! The filter language of lists: `assignee:me due:<7d label:launch -status:done "two words"`.
//!
//! A query is terms that must all hold; a term is words, or a key with values of which any must hold;
//! `-` turns it around. Reading never fails: what a noun does not know stays a term, so that a page can
//! show it as wrong while the rest still filters. Each noun brings its own keys; names are looked up
//! by it, not here.

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

/// How many terms count; a list answers each of its rows with all of them.
pub const MAX_TERMS: usize = 40;
/// How many values of a term count.
pub const MAX_VALUES: usize = 100;

/// What a noun can be asked for.
#[derive(Clone, Debug)]
pub struct Key {
    /// The word before the colon.
    pub name: Cow<'static, str>,
    /// What may stand behind it.
    pub kind: Kind,
    /// What it asks, for people.
    pub about: Cow<'static, str>,
}

impl Key {
    /// A key that a noun brings along.
    #[must_use]
    pub const fn of(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), kind, about: Cow::Borrowed(about) }
    }

    /// The key of a field that people made.
    #[must_use]
    pub fn made(name: &str, kind: Kind, about: &str) -> Self {
        Self { name: Cow::Owned(name.to_owned()), kind, about: Cow::Owned(about.to_owned()) }
    }
}

/// Words of a key with what they say to people.
pub type Words = &'static [(&'static str, &'static str)];

/// What may stand behind a colon.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One of these words.
    Words(Words),
    /// The name of somebody or something, or one of these words.
    Names(Words),
    /// A day or days.
    Date,
    /// A number or numbers.
    Number,
    /// Any text, or one of these words.
    Text(Words),
    /// It cannot be asked for: why, in words.
    Later(&'static str),
}

/// The words that each date understands.
pub const DATE_WORDS: Words = &[
    ("today", "Today"),
    ("tomorrow", "Tomorrow"),
    ("<today", "Before today"),
    ("<7d", "In less than seven days"),
    (">-7d", "Less than seven days ago"),
    ("none", "Without a date"),
    ("any", "With any date"),
];

/// One condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// Whether it must not hold.
    pub not: bool,
    /// The word before the colon in lower case; empty for words.
    pub key: String,
    /// What stands behind the colon, any of which will do; or the words.
    pub values: Vec<String>,
}

impl Term {
    /// A term with one value.
    pub fn new(key: &str, value: impl Into<String>) -> Self {
        Self { not: false, key: key.to_owned(), values: vec![value.into()] }
    }

    /// Whether these are words to be found in a text.
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

/// Writes a word, in quotes when it would be read as something else without them.
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

/// Conditions that must all hold.
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
    /// Reads what was typed. Nothing is refused: what cannot be meant is found when the terms are
    /// looked up.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let terms = parse::tokens(text).into_iter().filter_map(parse::Token::term);
        Self { terms: terms.collect() }
    }

    /// The same query as everybody would write it: keys in the order of the noun, unknown ones behind
    /// them, words last; nothing twice.
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

    /// This query with one term more, which takes the place of others with its key and sign.
    #[must_use]
    pub fn with(&self, term: Term) -> Self {
        let same = |one: &&Term| one.key != term.key || one.not != term.not;
        let mut terms: Vec<Term> = self.terms.iter().filter(same).cloned().collect();
        terms.push(term);
        Self { terms }
    }
}

/// A term with each value once, and the words that its key knows in lower case.
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

/// The key of a name.
#[must_use]
pub fn key<'k>(keys: &'k [Key], name: &str) -> Option<&'k Key> {
    keys.iter().find(|key| key.name == name)
}

/// The name most like a given one.
#[must_use]
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = text::cut(name, 64);
    names.min_by_key(|one| text::distance(name, one))
}

/// What to say of a key that is not known.
#[must_use]
pub fn unknown_key(name: &str, keys: &[Key]) -> String {
    let near = nearest(name, keys.iter().map(|key| key.name.as_ref())).unwrap_or_default();
    format!("There is no filter \"{}\"; did you mean {near}?", text::ellipsis(name, 40))
}

/// What to say of a value that is not known.
#[must_use]
pub fn unknown_value<'n>(key: &str, value: &str, names: impl Iterator<Item = &'n str>) -> String {
    let value = text::ellipsis(value, 40);
    match nearest(&value, names) {
        Some(near) => format!("\"{value}\" is no {key}; did you mean {near}?"),
        None => format!("\"{value}\" is no {key}; there is none yet."),
    }
}
