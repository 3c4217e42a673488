//! Parser of assignments in the dialect of Node's `dotenv`: three kinds of quotes, multi-line quoted values, `\n` in
//! double quotes, `export`, comments. No variable expansion.

use zeroize::Zeroizing;

#[derive(Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Line number of the assignment's start.
    pub line: usize,
    pub key: String,
    pub value: Zeroizing<String>,
    /// An unquoted `#` ended the value, so more may have been meant.
    pub is_cut: bool,
}

#[derive(Default)]
pub struct Read {
    /// In the order of the text.
    pub assignments: Vec<Assignment>,
    /// Line numbers of lines that are neither assignments nor comments.
    pub others: Vec<usize>,
}

#[must_use]
pub fn read(text: &str) -> Read {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = Zeroizing::new(text.replace("\r\n", "\n").replace('\r', "\n"));
    let mut read = Read::default();
    let (mut rest, mut line) = (text.as_str(), 1);
    while !rest.is_empty() {
        let end = rest.find('\n').unwrap_or(rest.len());
        let taken = match assignment(rest) {
            Some((key, value, taken)) => {
                let quotes = ['\'', '"', '`'];
                let is_quoted = value.trim_start().starts_with(quotes) && value.ends_with(quotes);
                let is_cut = !is_quoted && rest[taken..].starts_with('#');
                let (key, value) = (key.to_owned(), unquoted(value.trim()));
                read.assignments.push(Assignment { line, key, value, is_cut });
                // The rest of a value's last line is a comment.
                taken + rest[taken..].find('\n').unwrap_or(rest.len() - taken)
            }
            None => {
                if !matches!(rest[..end].trim_start().chars().next(), None | Some('#')) {
                    read.others.push(line);
                }
                end
            }
        };
        line += rest[..taken].matches('\n').count() + 1;
        rest = rest.get(taken + 1..).unwrap_or_default();
    }
    read
}

/// The assignment at the start of `text`: variable, raw value, and length of both in bytes.
fn assignment(text: &str) -> Option<(&str, &str, usize)> {
    let start = text.trim_start_matches(is_blank);
    let exported = start.strip_prefix("export").filter(|rest| rest.starts_with(is_blank));
    let named = exported.and_then(|rest| variable(rest.trim_start_matches(is_blank)));
    let (key, after) = named.or_else(|| variable(start))?;
    let at = text.len() - after.len();
    let value =
        quoted(after).unwrap_or_else(|| &after[..after.find(['#', '\n']).unwrap_or(after.len())]);
    Some((key, value, at + value.len()))
}

/// Whitespace other than a line feed.
fn is_blank(sign: char) -> bool {
    sign != '\n' && sign.is_whitespace()
}

/// Splits after the variable and its separator: `=`, or `:` and a space.
fn variable(text: &str) -> Option<(&str, &str)> {
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '.' | '-');
    let (key, rest) = text.split_at(text.find(|sign| !is_part(sign))?);
    let after = match rest.trim_start_matches(is_blank).strip_prefix('=') {
        Some(after) => after,
        None => rest.strip_prefix(':').filter(|after| after.starts_with(char::is_whitespace))?,
    };
    (!key.is_empty()).then_some((key, after))
}

/// A quoted value with the whitespace before it; `None` if it is not closed, or if more than a comment follows. A quote
/// after a backslash closes the value only if no other quote does.
fn quoted(text: &str) -> Option<&str> {
    let inner = text.trim_start();
    let quote = inner.chars().next().filter(|sign| matches!(sign, '\'' | '"' | '`'))?;
    let first = text.len() - inner.len() + 1;
    let mut closing = Vec::new();
    for (at, _) in text[first..].match_indices(quote) {
        closing.push(first + at);
        if !text[..first + at].ends_with('\\') {
            break;
        }
    }
    let ends = |at: &usize| {
        let after = text[at + 1..].trim_start_matches(is_blank);
        matches!(after.chars().next(), None | Some('\n' | '#'))
    };
    closing.into_iter().rev().find(ends).map(|at| &text[..=at])
}

fn unquoted(value: &str) -> Zeroizing<String> {
    let quote = value.chars().next().filter(|sign| matches!(sign, '\'' | '"' | '`'));
    let inner = quote.and_then(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let inner = inner.unwrap_or(value);
    Zeroizing::new(match quote {
        Some('"') => inner.replace("\\n", "\n").replace("\\r", "\r"),
        _ => inner.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let all = read(text).assignments.into_iter();
        all.map(|one| (one.key, one.value.to_string())).collect()
    }

    /// Expected results are those of `dotenv` 16.
    #[test]
    fn the_dialect_is_that_of_node() {
        let all: &[(&str, &[(&str, &str)])] = &[
            ("A=\"C:\\dir\\\"\nB=c", &[("A", "C:\\dir\\"), ("B", "c")]),
            ("A=\"x\\\"\nB=\"y\"", &[("A", "x\\"), ("B", "y")]),
            ("A=\n'next'\nB=c", &[("A", "next"), ("B", "c")]),
            ("A=\"a\" \"b\"", &[("A", "a\" \"b")]),
            ("export=1\nexport B=2", &[("export", "1"), ("B", "2")]),
            ("  export   A = b", &[("A", "b")]),
            ("A=basic", &[("A", "basic")]),
            ("  A =  spaced  ", &[("A", "spaced")]),
            ("export A=x", &[("A", "x")]),
            ("A=", &[("A", "")]),
            ("A=\nB=c", &[("A", ""), ("B", "c")]),
            ("A='single $HOME \\n'", &[("A", "single $HOME \\n")]),
            ("A=\"double\\nlines\"", &[("A", "double\nlines")]),
            ("A=`back 'and' \"double\"`", &[("A", "back 'and' \"double\"")]),
            ("A=\"a\\\"b\"", &[("A", "a\\\"b")]),
            ("A=a#b", &[("A", "a")]),
            ("A=a # comment", &[("A", "a")]),
            ("A=\"a#b\" # comment", &[("A", "a#b")]),
            ("# A=b\nB=c", &[("B", "c")]),
            ("A=\"first\nsecond\"\nB=c", &[("A", "first\nsecond"), ("B", "c")]),
            (
                "A='-----BEGIN-----\nabc=\n-----END-----'",
                &[("A", "-----BEGIN-----\nabc=\n-----END-----")],
            ),
            ("A: yaml", &[("A", "yaml")]),
            ("A=\"open", &[("A", "\"open")]),
            ("A=\"a\" b", &[("A", "\"a\" b")]),
            ("A={\"foo\": \"bar\"}", &[("A", "{\"foo\": \"bar\"}")]),
            ("A=x\r\nB=y\r", &[("A", "x"), ("B", "y")]),
            ("A=  \"  kept  \"  ", &[("A", "  kept  ")]),
            ("A.b-c=x", &[("A.b-c", "x")]),
            ("A=therealnerdybeast@example.tld", &[("A", "therealnerdybeast@example.tld")]),
            ("A==x==", &[("A", "=x==")]),
        ];
        for (text, expected) in all {
            let expected: Vec<_> = expected
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(pairs(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mark_of_the_order_of_bytes_is_no_part_of_the_first_variable() {
        let all = [("A".to_owned(), "x".to_owned()), ("B".to_owned(), "y".to_owned())];
        assert_eq!(pairs("\u{feff}A=x\r\nexport B=y\r\n"), all);
    }

    #[test]
    fn a_value_that_a_hash_ended_is_told() {
        let cut =
            |text: &str| read(text).assignments.iter().map(|one| one.is_cut).collect::<Vec<_>>();
        assert_eq!(cut("A=a#b\nB=a # c\nC=#x\nD=a"), [true, true, true, false]);
        assert_eq!(cut("A='a#b' # c\nB=\"x\"#y\nC=\"open#x"), [false, false, true]);
    }

    #[test]
    fn lines_that_say_nothing_are_named() {
        let read = read("A=1\nwhat is this\n\n# no\nB=\"x\ny\"\nand this\n");
        assert_eq!(read.others, [2, 7]);
        let lines: Vec<_> = read.assignments.iter().map(|one| one.line).collect();
        assert_eq!(lines, [1, 5]);
    }
}
