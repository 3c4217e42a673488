//! Strict parsing of request and response heads: anything that two parsers could interpret differently is refused.

use super::table::{HTTP, HTTPS, normal};

/// Maximum number of digits of a content length.
const MAX_DIGITS: usize = 18;

/// A header line.
pub(crate) struct HeaderLine {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

impl HeaderLine {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Returns `true` if the comma-separated list contains `word`.
    fn says(&self, word: &str) -> bool {
        self.value.split(|byte| *byte == b',').any(|part| is_word(part, word))
    }
}

/// Body length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    /// Until the connection closes.
    ToEnd,
}

/// A request head.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) lines: Vec<HeaderLine>,
    pub(crate) framing: Framing,
    /// Whether it requests an upgrade to WebSocket.
    pub(crate) upgrades: bool,
    /// Whether the program closes the connection after the response.
    pub(crate) closes: bool,
}

impl Request {
    /// Parses a request head for this host.
    pub(crate) fn read(head: &[u8], host: &str, port: u16) -> Result<Request, &'static str> {
        let (first, lines) = split(head)?;
        let mut words = first.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(b"HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("its first line is none of HTTP/1.1");
        };
        let is_method =
            !method.is_empty() && method.iter().all(|b| b.is_ascii_uppercase() || *b == b'-');
        if !is_method || method == b"CONNECT" {
            return Err("its method is none that is known here");
        }
        let is_path = target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS");
        if !is_path || target.contains(&b'#') {
            return Err("it does not ask for a path");
        }
        let mut named = lines.iter().filter(|line| line.is("host"));
        let is_named = named.next().is_some_and(|line| names(&line.value, host, port));
        if !is_named || named.next().is_some() {
            return Err("its Host is not the host of the tunnel");
        }
        let framing = match framing(&lines)? {
            Framing::ToEnd => Framing::Nothing,
            framing => framing,
        };
        Ok(Request {
            method: String::from_utf8_lossy(method).into_owned(),
            target: target.to_vec(),
            upgrades: one(&lines, "upgrade").is_some_and(|line| is_word(&line.value, "websocket")),
            closes: lines.iter().any(|line| line.is("connection") && line.says("close")),
            lines,
            framing,
        })
    }

    /// Returns `true` if the program waits for 100 Continue.
    pub(crate) fn waits(&self) -> bool {
        self.lines.iter().any(|line| line.is("expect"))
    }
}

/// A response head.
pub(crate) struct Answer {
    pub(crate) first: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) lines: Vec<HeaderLine>,
    pub(crate) framing: Framing,
    /// Whether the host closes the connection afterwards.
    pub(crate) closes: bool,
}

impl Answer {
    /// Parses the head of a response to a request with this method.
    pub(crate) fn read(head: &[u8], method: &str) -> Result<Answer, &'static str> {
        let (first, lines) = split(head)?;
        let status = match first {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', code @ ..] => {
                let digits = code.split(|byte| *byte == b' ').next().unwrap_or_default();
                number(digits).filter(|_| digits.len() == 3)
            }
            _ => None,
        };
        let status = status.and_then(|status| u16::try_from(status).ok());
        let status = status.ok_or("its first line is none of HTTP/1.1")?;
        let bare = method == "HEAD" || status < 200 || matches!(status, 204 | 304);
        let framing = if bare { Framing::Nothing } else { framing(&lines)? };
        let says = |word| lines.iter().any(|line| line.is("connection") && line.says(word));
        let closes = says("close") || (first.starts_with(b"HTTP/1.0") && !says("keep-alive"));
        Ok(Answer { first: first.to_vec(), status, lines, framing, closes })
    }

    /// Returns `true` if its body is compressed.
    pub(crate) fn is_packed(&self) -> bool {
        let packs =
            |line: &HeaderLine| line.is("content-encoding") && !is_word(&line.value, "identity");
        self.framing != Framing::Nothing && self.lines.iter().any(packs)
    }
}

/// Parses trailers.
pub(crate) fn trailers(bytes: &[u8]) -> Result<Vec<HeaderLine>, &'static str> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(line).collect()
}

/// Writes header lines and the closing empty line.
pub(crate) fn write(lines: &[HeaderLine], out: &mut Vec<u8>) {
    for line in lines {
        out.extend_from_slice(line.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(&line.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The line of this name, if it is unique.
pub(crate) fn one<'l>(lines: &'l [HeaderLine], name: &str) -> Option<&'l HeaderLine> {
    let mut found = lines.iter().filter(|line| line.is(name));
    found.next().filter(|_| found.next().is_none())
}

/// Parses a content length.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number =
        (1..=MAX_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Splits a head into its first line and header lines. The head includes its closing empty line.
fn split(head: &[u8]) -> Result<(&[u8], Vec<HeaderLine>), &'static str> {
    let mut rows = head.strip_suffix(b"\r\n").unwrap_or(head).split_inclusive(|b| *b == b'\n');
    let first = rows.next().and_then(|row| row.strip_suffix(b"\r\n")).unwrap_or_default();
    if first.iter().any(u8::is_ascii_control) {
        return Err("its first line holds what no line may hold");
    }
    Ok((first, rows.map(line).collect::<Result<_, _>>()?))
}

fn line(row: &[u8]) -> Result<HeaderLine, &'static str> {
    let row = row.strip_suffix(b"\r\n").ok_or("a line does not end as lines do")?;
    let at = row.iter().position(|byte| *byte == b':').ok_or("a header has no value")?;
    let (name, value) = (&row[..at], row[at + 1..].trim_ascii());
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    if name.is_empty() || !name.iter().all(is_token) {
        return Err("the name of a header is none");
    }
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err("a header holds what no header may hold");
    }
    Ok(HeaderLine { name: String::from_utf8_lossy(name).into_owned(), value: value.to_vec() })
}

fn framing(lines: &[HeaderLine]) -> Result<Framing, &'static str> {
    let has = |name: &str| lines.iter().any(|line| line.is(name));
    match (has("transfer-encoding"), has("content-length")) {
        (false, false) => Ok(Framing::ToEnd),
        (true, true) => Err("it has a Content-Length beside its Transfer-Encoding"),
        (true, false) => match one(lines, "transfer-encoding") {
            Some(line) if is_word(&line.value, "chunked") => Ok(Framing::Chunked),
            _ => Err("its Transfer-Encoding is not chunked alone"),
        },
        (false, true) => one(lines, "content-length")
            .and_then(|line| number(&line.value))
            .map(|length| if length == 0 { Framing::Nothing } else { Framing::Length(length) })
            .ok_or("its Content-Length is not one number"),
    }
}

/// Returns `true` if a `Host` header names this host and port.
fn names(value: &[u8], host: &str, port: u16) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let (name, own) = match text.rsplit_once(':') {
        Some((name, digits)) if !digits.contains(']') && !name.is_empty() => {
            (name, number(digits.as_bytes()).and_then(|own| u16::try_from(own).ok()))
        }
        _ => (text, matches!(port, HTTP | HTTPS).then_some(port)),
    };
    normal(name) == normal(host) && own == Some(port)
}

fn is_word(part: &[u8], word: &str) -> bool {
    part.trim_ascii().eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Answer, Framing, Request};

    fn framing(lines: &str) -> Result<Framing, &'static str> {
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n");
        Request::read(head.as_bytes(), "a.test", 443).map(|request| request.framing)
    }

    #[test]
    fn a_body_has_one_length() {
        assert_eq!(framing("Content-Length: 7\r\n"), Ok(Framing::Length(7)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing(""), Ok(Framing::Nothing));
        for lines in [
            "Content-Length: 7\r\nContent-Length: 7\r\n",
            "Content-Length: 7, 7\r\n",
            "Content-Length: +7\r\n",
            "Content-Length: 0x7\r\n",
            "Content-Length:\r\n",
            "Content-Length: 9999999999999999999\r\n",
            "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "X: a\r\n b\r\n",
            "X: a\n",
            "X: a\rb\r\n",
            "X: a\0b\r\n",
            "X\r\n",
            ": a\r\n",
            "Host: a.test\r\n",
        ] {
            assert!(framing(lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn a_request_is_for_the_host_of_its_tunnel() {
        let read = |first: &str, host: &str, port| {
            let head = format!("{first}\r\nHost: {host}\r\n\r\n");
            Request::read(head.as_bytes(), "a.test", port).is_ok()
        };
        let get = "GET /x?y HTTP/1.1";
        assert!(
            read(get, "a.test", 443) && read(get, "A.test:443", 443) && read(get, "a.test", 80)
        );
        assert!(read("OPTIONS * HTTP/1.1", "a.test:8443", 8443));
        for host in
            ["b.test", "a.test:80", "", "a.test:", "x@a.test", "a.test, b.test", "a.test:443:443"]
        {
            assert!(!read(get, host, 443), "{host}");
        }
        assert!(!read(get, "a.test", 8443));
        for first in [
            "GET https://b.test/ HTTP/1.1",
            "CONNECT a.test:443 HTTP/1.1",
            "GET / HTTP/1.0",
            "GET /  HTTP/1.1",
            "GET * HTTP/1.1",
            "get / HTTP/1.1",
            "GET /",
            "",
        ] {
            assert!(!read(first, "a.test", 443), "{first}");
        }
    }

    #[test]
    fn some_answers_have_no_body() {
        let read = |first: &str, lines: &str, method: &str| {
            Answer::read(format!("{first}\r\n{lines}\r\n").as_bytes(), method)
        };
        for (first, method) in [
            ("HTTP/1.1 200 OK", "HEAD"),
            ("HTTP/1.1 204 No Content", "GET"),
            ("HTTP/1.1 304", "GET"),
            ("HTTP/1.1 100 Continue", "PUT"),
        ] {
            let answer = read(first, "Content-Length: 5\r\n", method).unwrap();
            assert_eq!(answer.framing, Framing::Nothing, "{first}");
        }
        let old = read("HTTP/1.0 200 OK", "", "GET").unwrap();
        assert!(old.closes && old.framing == Framing::ToEnd && old.status == 200);
        for first in ["HTTP/2 200", "HTTP/1.1 20", "HTTP/1.1 2000 x", "ICY 200 OK", "HTTP/1.1 +20"]
        {
            assert!(read(first, "", "GET").is_err(), "{first}");
        }
    }
}
