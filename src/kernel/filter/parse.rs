//! Splits a query into tokens with source positions.

use std::ops::Range;

use super::Term;

/// A word with its source range.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// Source range, including quotes.
    pub(super) span: Range<usize>,
    /// The text without quotes.
    pub(super) text: String,
}

/// A term with its source range.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// Source range.
    pub(super) span: Range<usize>,
    pub(super) not: bool,
    /// The key, including its colon.
    pub(super) key: Option<Piece>,
    /// The values, or the search word.
    pub(super) pieces: Vec<Piece>,
}

impl Token {
    /// The parsed term; `None` if it is empty.
    pub(super) fn term(self) -> Option<Term> {
        let key = self.key.map(|key| key.text).unwrap_or_default();
        let texts = self.pieces.into_iter().map(|piece| piece.text);
        let values: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
        if key.is_empty() && values.is_empty() {
            return None;
        }
        Some(Term { not: self.not, key, values })
    }
}

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        reader.skip_space();
        if reader.at == text.len() {
            return tokens;
        }
        tokens.push(reader.token());
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn token(&mut self) -> Token {
        let start = self.at;
        // A lone dash is a word.
        let mut chars = self.rest().chars();
        let not = chars.next() == Some('-') && chars.next().is_some_and(|c| !c.is_whitespace());
        self.at += usize::from(not);
        let key = self.key();
        let mut pieces = Vec::new();
        if key.is_some() {
            loop {
                pieces.push(self.piece(|c| c.is_whitespace() || c == ','));
                if self.peek() != Some(',') {
                    break;
                }
                self.at += 1;
            }
        } else {
            pieces.push(self.piece(char::is_whitespace));
        }
        Token { span: start..self.at, not, key, pieces }
    }

    /// A key: a word followed by a colon.
    fn key(&mut self) -> Option<Piece> {
        let rest = self.rest();
        let is_key = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let end = rest.find(|c: char| !is_key(c))?;
        let starts = rest.starts_with(char::is_alphabetic);
        if !starts || !rest[end..].starts_with(':') {
            return None;
        }
        let text = rest[..end].to_lowercase();
        let span = self.at..self.at + end + 1;
        self.at = span.end;
        Some(Piece { span, text })
    }

    /// Text up to a character that `ends` matches. Quoted text may contain any character.
    fn piece(&mut self, ends: impl Fn(char) -> bool) -> Piece {
        let start = self.at;
        let mut text = String::new();
        if self.peek() == Some('"') {
            self.at += 1;
            self.quoted(&mut text);
        }
        let rest = self.rest();
        let end = rest.find(ends).unwrap_or(rest.len());
        text.push_str(&rest[..end]);
        self.at += end;
        Piece { span: start..self.at, text }
    }

    /// Text up to the closing quote, or to the end if it is missing.
    fn quoted(&mut self, text: &mut String) {
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                '"' => return,
                '\\' if self.rest().starts_with(['"', '\\']) => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                c => text.push(c),
            }
        }
    }
}
