//! Tokenizer of command lines: words and operators, decoded like a POSIX shell.
//!
//! All shells agree on what is accepted; where dash and bash differ, the line is opaque.

use super::reduce::Join;
use super::{MAX_LINE, Why};

/// Redirections without input or output files.
const HARMLESS: &[&str] = &[
    ">&1",
    ">&2",
    ">/dev/null",
    "> /dev/null",
    ">>/dev/null",
    ">> /dev/null",
    "</dev/null",
    "< /dev/null",
];
/// Characters that end a word.
const ENDS: &[char] = &[' ', '\t', '\n', ';', '&', '|', '<', '>', '(', ')'];

pub(crate) enum Token {
    Word(Word),
    Newline,
    Operator(Join),
    /// A harmless redirection.
    Silenced,
}

/// A word after quote removal.
#[derive(Default)]
pub(crate) struct Word {
    pub text: String,
    /// Partly quoted, so it is no reserved word.
    pub quoted: bool,
    /// Contains an unquoted `=`.
    pub assigns: bool,
    /// Contains a line continuation.
    continued: bool,
}

pub(crate) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// Fails for lines that are too long or have hidden characters.
    pub fn new(line: &'a str) -> Result<Self, Why> {
        if line.len() > MAX_LINE {
            return Err(Why::Long);
        }
        match line.chars().any(is_hidden) {
            true => Err(Why::Hidden),
            false => Ok(Self { rest: line }),
        }
    }

    /// The next token; `None` at the end.
    pub fn token(&mut self) -> Result<Option<Token>, Why> {
        self.skip_blanks();
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let token = match first {
            '#' => {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
                return self.token();
            }
            '\n' => {
                self.rest = &self.rest[1..];
                Token::Newline
            }
            ';' | '&' | '|' => self.operator()?,
            '(' | ')' => return Err(Why::Compound),
            '<' | '>' => self.redirection()?,
            '0'..='9' => self.digits()?,
            _ => Token::Word(self.word()?),
        };
        Ok(Some(token))
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        while let Some(next) = self.rest.strip_prefix("\\\n") {
            self.rest = next.trim_start_matches([' ', '\t']);
        }
    }

    fn operator(&mut self) -> Result<Token, Why> {
        let found = [("&&", Join::And), ("||", Join::Or), ("|", Join::Pipe), (";", Join::Then)];
        for (sign, join) in found {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest;
                return match rest.starts_with(['&', '|', ';']) {
                    true => Err(Why::Compound),
                    false => Ok(Token::Operator(join)),
                };
            }
        }
        Err(Why::Background)
    }

    /// A word that starts with digits, or a file descriptor before a redirection.
    fn digits(&mut self) -> Result<Token, Why> {
        let behind = self.rest.trim_start_matches(|sign: char| sign.is_ascii_digit());
        if !behind.starts_with(['<', '>']) {
            return self.word().map(Token::Word);
        }
        let number = &self.rest[..self.rest.len() - behind.len()];
        if !matches!(number, "1" | "2") || behind.starts_with('<') {
            return Err(Why::Redirection);
        }
        self.rest = behind;
        self.redirection()
    }

    fn redirection(&mut self) -> Result<Token, Why> {
        for sign in HARMLESS {
            if let Some(rest) = self.rest.strip_prefix(sign)
                && (rest.is_empty() || rest.starts_with([' ', '\t', '\n', ';', '|', '&']))
            {
                self.rest = rest;
                return Ok(Token::Silenced);
            }
        }
        Err(Why::Redirection)
    }

    fn word(&mut self) -> Result<Word, Why> {
        let mut word = Word::default();
        while let Some(sign) = self.rest.chars().next() {
            if ENDS.contains(&sign) {
                break;
            }
            self.rest = &self.rest[sign.len_utf8()..];
            match sign {
                '\'' => self.single(&mut word)?,
                '"' => self.double(&mut word)?,
                '\\' => self.escape(&mut word)?,
                _ => self.plain(sign, &mut word)?,
            }
        }
        let digits = !word.text.is_empty() && word.text.bytes().all(|byte| byte.is_ascii_digit());
        match digits && word.continued && self.rest.starts_with(['<', '>']) {
            true => Err(Why::Quoting),
            false => Ok(word),
        }
    }

    /// An unquoted character, which has been consumed.
    fn plain(&mut self, sign: char, word: &mut Word) -> Result<(), Why> {
        match sign {
            '$' | '`' => return Err(Why::Substitution),
            '*' | '?' | '[' => return Err(Why::Glob),
            '{' if self.rest.starts_with('}') => {
                self.rest = &self.rest[1..];
                word.text.push('{');
                word.text.push('}');
                return Ok(());
            }
            '{' | '}' => return Err(Why::Braces),
            '~' if !word
                .text
                .ends_with(|before: char| before.is_ascii_alphanumeric() || before == '^') =>
            {
                return Err(Why::Home);
            }
            '=' => word.assigns = true,
            _ => {}
        }
        word.text.push(sign);
        Ok(())
    }

    fn single(&mut self, word: &mut Word) -> Result<(), Why> {
        let (inner, rest) = self.rest.split_once('\'').ok_or(Why::Quoting)?;
        word.quoted = true;
        word.text.push_str(inner);
        self.rest = rest;
        Ok(())
    }

    fn double(&mut self, word: &mut Word) -> Result<(), Why> {
        word.quoted = true;
        let mut signs = self.rest.chars();
        while let Some(sign) = signs.next() {
            match sign {
                '"' => {
                    self.rest = signs.as_str();
                    return Ok(());
                }
                '$' | '`' => return Err(Why::Substitution),
                '\\' => match signs.next().ok_or(Why::Quoting)? {
                    '\n' => {}
                    escaped @ ('$' | '`' | '"' | '\\') => word.text.push(escaped),
                    other => word.text.extend(['\\', other]),
                },
                _ => word.text.push(sign),
            }
        }
        Err(Why::Quoting)
    }

    fn escape(&mut self, word: &mut Word) -> Result<(), Why> {
        let escaped = self.rest.chars().next().ok_or(Why::Quoting)?;
        self.rest = &self.rest[escaped.len_utf8()..];
        match escaped {
            '\n' => word.continued = true,
            _ => {
                word.quoted = true;
                word.text.push(escaped);
            }
        }
        Ok(())
    }
}

/// Whether a character is invisible, or looks like a space that the shell does not treat as one.
fn is_hidden(sign: char) -> bool {
    match sign {
        '\t' | '\n' | ' ' => false,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => sign.is_control() || sign.is_whitespace(),
    }
}
