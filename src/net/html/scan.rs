//! Splits HTML into tags and text, in one pass and without building a tree.

/// The attributes that callers use. Others are dropped.
const KEPT: [&str; 13] = [
    "href",
    "src",
    "alt",
    "hidden",
    "aria-hidden",
    "style",
    "role",
    "class",
    "id",
    "rel",
    "name",
    "content",
    "type",
];
/// Elements whose content is not markup.
const RAW: [&str; 9] =
    ["script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "plaintext"];

/// A part of a page.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Text between tags, with character references.
    Text(&'a str),
    /// A start tag, its name in lower case.
    Open(Tag<'a>),
    /// An end tag, its name in lower case.
    Close(String),
    /// An element whose content is not markup, with that content.
    Raw(String, &'a str),
}

/// A start tag.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Name in lower case.
    pub name: String,
    attributes: Vec<(&'static str, &'a str)>,
}

impl<'a> Tag<'a> {
    /// The value of an attribute, with character references.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.attributes.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }
}

/// Iterates over the tokens of a page.
pub struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of a page.
    #[must_use]
    pub fn new(page: &'a str) -> Scanner<'a> {
        Scanner { rest: page }
    }

    fn text(&mut self, end: usize) -> Token<'a> {
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Token::Text(text)
    }

    /// Skips everything up to and including `end`, or all if it is missing.
    fn skip_past(&mut self, end: &str) {
        self.rest = match self.rest.find(end) {
            Some(at) => &self.rest[at + end.len()..],
            None => "",
        };
    }

    fn name(&mut self) -> String {
        let end = self
            .rest
            .find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_ascii_lowercase()
    }

    /// Parses the attributes up to the end of the tag. `None` if the page ends before.
    fn attributes(&mut self) -> Option<Vec<(&'static str, &'a str)>> {
        let mut attributes: Vec<(&'static str, &'a str)> = Vec::new();
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            match self.rest.chars().next()? {
                '>' => {
                    self.rest = &self.rest[1..];
                    return Some(attributes);
                }
                first => {
                    // A leading `=` belongs to the name.
                    let after = first.len_utf8();
                    let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '=');
                    let end = after + self.rest[after..].find(ends)?;
                    let (name, rest) = self.rest.split_at(end);
                    self.rest = rest.trim_start();
                    let value = match self.rest.strip_prefix('=') {
                        Some(rest) => {
                            self.rest = rest.trim_start();
                            self.value()?
                        }
                        None => "",
                    };
                    let kept = KEPT.iter().find(|kept| kept.eq_ignore_ascii_case(name));
                    if let Some(kept) = kept
                        && !attributes.iter().any(|(other, _)| other == kept)
                    {
                        attributes.push((kept, value));
                    }
                }
            }
        }
    }

    fn value(&mut self) -> Option<&'a str> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, rest) = match quote {
            Some(quote) => self.rest[1..].split_once(quote)?,
            None => {
                self.rest.split_at(self.rest.find(|c: char| c.is_ascii_whitespace() || c == '>')?)
            }
        };
        self.rest = rest;
        Some(value)
    }

    /// The content of a raw element; also skips its end tag.
    fn raw(&mut self, name: &str) -> &'a str {
        let bytes = self.rest.as_bytes();
        let mut from = 0;
        while let Some(at) = self.rest[from..].find("</").map(|at| from + at) {
            let after = at + 2 + name.len();
            let named =
                bytes.get(at + 2..after).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()));
            let ended =
                bytes.get(after).is_none_or(|b| b.is_ascii_whitespace() || b"/>".contains(b));
            if named && ended {
                let content = &self.rest[..at];
                self.rest = &self.rest[after..];
                self.skip_past(">");
                return content;
            }
            from = at + 2;
        }
        std::mem::take(&mut self.rest)
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let bytes = self.rest.as_bytes();
            if bytes.first()? != &b'<' {
                let end = self.rest.find('<').unwrap_or(self.rest.len());
                return Some(self.text(end));
            }
            match (bytes.get(1), bytes.get(2)) {
                (Some(b'!'), _) if self.rest.starts_with("<!--") => {
                    self.rest = &self.rest[4..];
                    match self.rest.strip_prefix('>').or_else(|| self.rest.strip_prefix("->")) {
                        Some(rest) => self.rest = rest,
                        None => self.skip_past("-->"),
                    }
                }
                (Some(b'!' | b'?'), _) => self.skip_past(">"),
                (Some(b'/'), Some(letter)) if letter.is_ascii_alphabetic() => {
                    self.rest = &self.rest[2..];
                    let name = self.name();
                    self.attributes()?;
                    return Some(Token::Close(name));
                }
                (Some(b'/'), Some(_)) => self.skip_past(">"),
                (Some(letter), _) if letter.is_ascii_alphabetic() => {
                    self.rest = &self.rest[1..];
                    let name = self.name();
                    let attributes = self.attributes()?;
                    if RAW.contains(&name.as_str()) {
                        let content = self.raw(&name);
                        return Some(Token::Raw(name, content));
                    }
                    return Some(Token::Open(Tag { name, attributes }));
                }
                // A literal `<`, not a tag.
                _ => return Some(self.text(1)),
            }
        }
    }
}

/// Decodes the character references that occur in URLs, titles and plain text.
#[must_use]
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = rest[1..].bytes().take(10).position(|b| b == b';');
        match found.and_then(|end| Some((end, character(&rest[1..1 + end])?))) {
            Some((end, c)) => {
                out.push(c);
                rest = &rest[end + 2..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        // ok: an invalid number stays unchanged
        return char::from_u32(code.ok()?).filter(|c| *c != '\0');
    }
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "sbquo" => '‚',
        "ldquo" => '“',
        "rdquo" => '”',
        "bdquo" => '„',
        "laquo" => '«',
        "raquo" => '»',
        "lsaquo" => '‹',
        "rsaquo" => '›',
        "bull" => '•',
        "middot" => '·',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "deg" => '°',
        "plusmn" => '±',
        "times" => '×',
        "frac12" => '½',
        "sect" => '§',
        "para" => '¶',
        "euro" => '€',
        "pound" => '£',
        "yen" => '¥',
        "cent" => '¢',
        "larr" => '←',
        "rarr" => '→',
        "shy" => '\u{ad}',
        "zwnj" => '\u{200c}',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        "agrave" => 'à',
        "ccedil" => 'ç',
        "ntilde" => 'ñ',
        _ => return None,
    };
    Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(page: &str) -> Vec<String> {
        Scanner::new(page)
            .map(|token| match token {
                Token::Text(text) => format!("text {text}"),
                Token::Open(tag) => format!("open {} {:?}", tag.name, tag.attributes),
                Token::Close(name) => format!("close {name}"),
                Token::Raw(name, content) => format!("raw {name} {content}"),
            })
            .collect()
    }

    #[test]
    fn tags_text_and_comments_are_told_apart() {
        for (page, expected) in [
            ("a<b>c</B>d", vec!["text a", "open b []", "text c", "close b", "text d"]),
            (
                "<!DOCTYPE html><?xml?><!-- <p> -->x<!-->y<!--->z",
                vec!["text x", "text y", "text z"],
            ),
            (
                "1 < 2 <3 </ >x",
                vec!["text 1 ", "text <", "text  2 ", "text <", "text 3 ", "text x"],
            ),
            (
                "<script>if (a</b>c) '</scriptx>'</SCRIPT >y",
                vec!["raw script if (a</b>c) '</scriptx>'", "text y"],
            ),
            ("<title>a &amp; <b></title>", vec!["raw title a &amp; <b>"]),
            ("<style>never closed", vec!["raw style never closed"]),
            ("<br/><img/alt=x>", vec!["open br []", "open img [(\"alt\", \"x\")]"]),
            ("x<p", vec!["text x"]),
            ("x<p class='", vec!["text x"]),
            ("<!-- never closed <p>", vec![]),
        ] {
            assert_eq!(shown(page), expected, "{page}");
        }
    }

    #[test]
    fn attributes_are_read_in_all_their_forms() {
        let page =
            r#"<A HREF="a>b" src = 'c d' alt=e/f hidden href=second =odd class=x title=t role="">"#;
        assert_eq!(
            shown(page),
            [
                r#"open a [("href", "a>b"), ("src", "c d"), ("alt", "e/f"), ("hidden", ""), ("class", "x"), ("role", "")]"#
            ]
        );
    }

    #[test]
    fn character_references_are_replaced() {
        for (text, expected) in [
            ("a &amp; b &lt;&#65;&#x42;&gt;", "a & b <AB>"),
            (
                "&amp;lt; &unknown; &; & &#0; &#xffffffff; &#;",
                "&lt; &unknown; &; & &#0; &#xffffffff; &#;",
            ),
            ("caf&eacute;&nbsp;&euro;5 &ä;", "café €5 &ä;"),
        ] {
            assert_eq!(unescape(text), expected);
        }
    }
}
