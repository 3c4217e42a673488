//! Tokenizer of HTML: one pass, linear time for any input.

use std::collections::HashMap;
use std::sync::OnceLock;

use memchr::memmem;

/// Elements with raw text content.
const RAW: &[&str] = &["script", "style", "title", "textarea", "iframe", "noembed", "noframes"];
/// Longest name of a character reference.
const LONGEST_NAME: usize = 34;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text between tags, with unresolved references.
    Text(&'a str),
    Open(Tag<'a>),
    /// Name of an end tag, in lower case.
    Close(String),
    /// Name and content of a raw text element.
    Raw(String, &'a str),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// Lower case.
    pub(super) name: String,
    inner: &'a str,
}

impl<'a> Tag<'a> {
    /// Whether the tag is self-closing, as in XHTML.
    pub(super) fn is_closed(&self) -> bool {
        self.inner.ends_with('/')
    }

    /// Value of the first attribute with this name, with unresolved references.
    pub(super) fn get(&self, wanted: &str) -> Option<&'a str> {
        let mut rest = self.inner;
        loop {
            rest = rest.trim_start_matches(|sign: char| sign.is_ascii_whitespace() || sign == '/');
            let ends = |sign: char| sign.is_ascii_whitespace() || "=/".contains(sign);
            let first = rest.chars().next()?.len_utf8();
            let end = rest[first..].find(ends).map_or(rest.len(), |end| first + end);
            let name = &rest[..end];
            rest = rest[end..].trim_start();
            let mut value = "";
            if let Some(after) = rest.strip_prefix('=') {
                let after = after.trim_start();
                let quote = after.chars().next().filter(|sign| "\"'".contains(*sign));
                (value, rest) = match quote {
                    Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                    None => after.split_at(
                        after.find(|sign: char| sign.is_ascii_whitespace()).unwrap_or(after.len()),
                    ),
                };
            }
            if name.eq_ignore_ascii_case(wanted) {
                return Some(value);
            }
        }
    }
}

/// Iterator over the tokens of a page.
pub(super) struct Tags<'a> {
    rest: &'a str,
}

impl<'a> Tags<'a> {
    pub(super) fn new(page: &'a str) -> Self {
        Self { rest: page }
    }

    /// Consumes through `end` and returns the text before it; everything if `end` does not occur.
    fn until(&mut self, end: &str) -> &'a str {
        let (before, rest) = match memmem::find(self.rest.as_bytes(), end.as_bytes()) {
            Some(at) => (&self.rest[..at], &self.rest[at + end.len()..]),
            None => (self.rest, ""),
        };
        self.rest = rest;
        before
    }

    fn skip(&mut self, end: &str) {
        self.until(end);
    }

    /// Content of a tag. A `>` in quotes does not end the tag.
    fn inner(&mut self) -> &'a str {
        let (mut quote, mut last) = (None, b' ');
        for (at, byte) in self.rest.bytes().enumerate() {
            match (quote, byte) {
                (Some(open), byte) if open == byte => quote = None,
                (Some(_), _) => (),
                (None, b'"' | b'\'') if last == b'=' => quote = Some(byte),
                (None, b'>') => {
                    let inner = &self.rest[..at];
                    self.rest = &self.rest[at + 1..];
                    return inner;
                }
                (None, _) => (),
            }
            if !byte.is_ascii_whitespace() {
                last = byte;
            }
        }
        std::mem::take(&mut self.rest)
    }

    fn name(inner: &str) -> (String, &str) {
        let ends = |sign: char| sign.is_ascii_whitespace() || sign == '/';
        let (name, rest) = inner.split_at(inner.find(ends).unwrap_or(inner.len()));
        (name.to_ascii_lowercase(), rest)
    }

    /// Content of a raw text element; its end tag is consumed.
    fn raw(&mut self, name: &str) -> &'a str {
        let page = self.rest;
        for at in memmem::find_iter(page.as_bytes(), "</") {
            let after = &page.as_bytes()[at + 2..];
            let named =
                after.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()));
            if named && !after.get(name.len()).is_some_and(u8::is_ascii_alphanumeric) {
                self.rest = &page[at + 2..];
                self.skip(">");
                return &page[..at];
            }
        }
        std::mem::take(&mut self.rest)
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let page = self.rest;
            if page.is_empty() {
                return None;
            }
            if !page.starts_with('<') {
                let (text, rest) = page.split_at(page.find('<').unwrap_or(page.len()));
                self.rest = rest;
                return Some(Token::Text(text));
            }
            self.rest = &page[1..];
            match page.as_bytes().get(1) {
                Some(b'!') if page.starts_with("<!--") => {
                    self.rest = &page[4..];
                    match self.rest.strip_prefix('>').or(self.rest.strip_prefix("->")) {
                        Some(rest) => self.rest = rest,
                        None => self.skip("-->"),
                    }
                }
                Some(b'!') if page.starts_with("<![CDATA[") => {
                    self.rest = &page[9..];
                    return Some(Token::Text(self.until("]]>")));
                }
                Some(b'!' | b'?') => self.skip(">"),
                Some(b'/') => {
                    self.rest = &page[2..];
                    return Some(Token::Close(Self::name(self.until(">")).0));
                }
                Some(letter) if letter.is_ascii_alphabetic() => {
                    let (name, inner) = Self::name(self.inner());
                    if RAW.contains(&name.as_str()) && !inner.ends_with('/') {
                        let content = self.raw(&name);
                        return Some(Token::Raw(name, content));
                    }
                    return Some(Token::Open(Tag { name, inner }));
                }
                // A `<` that starts no tag is text.
                _ => return Some(Token::Text(&page[..1])),
            }
        }
    }
}

/// Replaces character references.
pub(super) fn resolved(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.bytes().take(LONGEST_NAME).position(|byte| byte == b';');
        match end.and_then(|end| Some((end, signs(&after[..end])?))) {
            Some((end, signs)) => {
                out.push_str(&signs);
                rest = &after[end + 1..];
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn signs(name: &str) -> Option<String> {
    let Some(number) = name.strip_prefix('#') else {
        return names().get(name).map(|signs| (*signs).to_owned());
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    // ok: malformed numbers stay as they are
    char::from_u32(code.ok()?).filter(|sign| *sign != '\0').map(String::from)
}

/// Named character references.
fn names() -> &'static HashMap<&'static str, &'static str> {
    static NAMES: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let all = entities::ENTITIES.iter();
        let named = all.filter_map(|one| {
            let name = one.entity.strip_prefix('&')?.strip_suffix(';')?;
            Some((name, one.characters))
        });
        named.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::{Tags, Token, resolved};

    fn shown(page: &str) -> Vec<String> {
        let pieces = Tags::new(page).map(|token| match token {
            Token::Text(text) => text.to_owned(),
            Token::Open(tag) => format!("<{} {:?}", tag.name, tag.get("href")),
            Token::Close(name) => format!("/{name}"),
            Token::Raw(name, content) => format!("<{name}>{content}"),
        });
        pieces.collect()
    }

    #[test]
    fn tags_text_and_what_is_no_markup_are_told_apart() {
        for (page, wanted) in [
            ("a<B>c</b >d", vec!["a", "<b None", "c", "/b", "d"]),
            ("<!doctype html><!--><!-- <p> -->x<![CDATA[y<z]]>", vec!["x", "y<z"]),
            ("1 < 2", vec!["1 ", "<", " 2"]),
            ("<a title='a>b' HREF = \"x y\" href=z>", vec!["<a Some(\"x y\")"]),
            ("<a x\"y href=z>b", vec!["<a Some(\"z\")", "b"]),
            ("<script>a</b>'</scripts>'</SCRIPT >y", vec!["<script>a</b>'</scripts>'", "y"]),
            ("<script/>y", vec!["<script None", "y"]),
            ("<title>never closed", vec!["<title>never closed"]),
            ("x<a href='never closed>y", vec!["x", "<a Some(\"never closed>y\")"]),
            ("<", vec!["<"]),
            ("</", vec!["/"]),
        ] {
            assert_eq!(shown(page), wanted, "{page}");
        }
    }

    #[test]
    fn references_are_resolved() {
        assert_eq!(
            resolved("&lt;&eacute;&nbsp;&#65;&#x42; &CounterClockwiseContourIntegral;"),
            "<é\u{a0}AB ∳"
        );
        assert_eq!(
            resolved("&amp;lt; &no; & &; &#0; &#xffffffff; &ä;"),
            "&lt; &no; & &; &#0; &#xffffffff; &ä;"
        );
    }
}
