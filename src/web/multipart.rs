//! Streaming parser for `multipart/form-data`. A part is never entirely in memory.

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use futures_util::StreamExt as _;

/// Maximum size of a part's header in bytes.
const MAX_HEAD: usize = 8 * 1024;
/// Maximum length of a boundary (RFC 2046).
const MAX_BOUNDARY: usize = 70;

/// Why a form could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// The content type is not `multipart/form-data`.
    #[error("this isn't a file form; send multipart/form-data")]
    NotAForm,
    /// The form is malformed.
    #[error("the form is invalid: {0}")]
    Broken(&'static str),
    /// The body ended early.
    #[error("the form was cut off: {0}")]
    CutOff(#[from] axum::Error),
}

/// Header of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Field name.
    pub name: String,
    /// File name, if the part is a file.
    pub file: Option<String>,
}

/// A form that is being received.
pub struct Multipart {
    body: BodyDataStream,
    /// Received bytes that were not returned yet.
    rest: Vec<u8>,
    /// The delimiter between parts, with its leading line break.
    between: Vec<u8>,
    /// Whether the body has ended.
    ended: bool,
    /// Whether the current part has more data.
    inside: bool,
}

impl Multipart {
    /// Starts to read a form.
    ///
    /// # Errors
    /// When the content type is wrong.
    pub fn new(headers: &HeaderMap, body: Body) -> Result<Self, FormError> {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.filter(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data"));
        let boundary = kind.and_then(|kind| parameter(kind, "boundary"));
        let boundary = boundary.filter(|b| !b.is_empty() && b.len() <= MAX_BOUNDARY);
        let boundary = boundary.ok_or(FormError::NotAForm)?;
        let between = format!("\r\n--{boundary}").into_bytes();
        // The first boundary has no leading line break.
        let rest = b"\r\n".to_vec();
        Ok(Self { body: body.into_data_stream(), rest, between, ended: false, inside: true })
    }

    /// Returns the next part. Skips the rest of the previous one.
    ///
    /// # Errors
    /// When the form is malformed or cut off.
    pub async fn part(&mut self) -> Result<Option<Part>, FormError> {
        while self.inside {
            self.piece().await?;
        }
        loop {
            if self.rest.starts_with(b"--") {
                return Ok(None);
            }
            if let Some(end) = find(&self.rest, b"\r\n\r\n") {
                let head: Vec<u8> = self.rest.drain(..end + 4).collect();
                self.inside = true;
                return described(&head).map(Some);
            }
            if MAX_HEAD < self.rest.len() {
                return Err(FormError::Broken("the header of a part is too long"));
            }
            self.more().await?;
        }
    }

    /// Returns the next chunk of the part; `None` at its end.
    ///
    /// # Errors
    /// When the form is malformed or cut off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, FormError> {
        while self.inside {
            if let Some(at) = find(&self.rest, &self.between) {
                let piece: Vec<u8> = self.rest.drain(..at + self.between.len()).take(at).collect();
                self.inside = false;
                // The next two bytes decide whether another part follows.
                while self.rest.len() < 2 {
                    self.more().await?;
                }
                return Ok(Some(piece.into()).filter(|piece: &Bytes| !piece.is_empty()));
            }
            // All bytes that cannot be the start of a boundary.
            let sure = self.rest.len().saturating_sub(self.between.len() - 1);
            if sure > 0 {
                return Ok(Some(self.rest.drain(..sure).collect::<Vec<u8>>().into()));
            }
            self.more().await?;
        }
        Ok(None)
    }

    /// The unread rest of the body.
    pub fn rest_of_body(&mut self) -> &mut BodyDataStream {
        &mut self.body
    }

    async fn more(&mut self) -> Result<(), FormError> {
        if self.ended {
            return Err(FormError::Broken("it ends within a part"));
        }
        match self.body.next().await {
            Some(piece) => self.rest.extend_from_slice(&piece?),
            None => self.ended = true,
        }
        Ok(())
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == wanted[0]) {
        if text[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn described(head: &[u8]) -> Result<Part, FormError> {
    let head = std::str::from_utf8(head).map_err(|_| FormError::Broken("a name isn't UTF-8"))?;
    let line = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then(|| value.trim())
    });
    let line = line.ok_or(FormError::Broken("a part has no disposition"))?;
    let name = parameter(line, "name").ok_or(FormError::Broken("a part has no name"))?;
    Ok(Part { name, file: parameter(line, "filename") })
}

/// A parameter of a header value. Browsers encode a quote in a name as `%22`.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once(';') {
        let (name, after) = after.split_once('=')?;
        let (found, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"')?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            let text = found.replace("%22", "\"").replace("%0D", " ").replace("%0A", " ");
            return Some(text.trim().to_owned());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Multipart, parameter};
    use axum::body::{Body, Bytes};
    use axum::http::{HeaderMap, HeaderValue};
    use futures_util::stream;

    const FORM: &str = "--x1\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n--x1\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"a%22;b.txt\"\r\n\
        Content-Type: text/html\r\n\r\none\r\n--x\r\n--x2\r\ntwo\r\n--x1\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n--x1--\r\n";

    /// Reads all parts of a form that arrives in chunks of `size` bytes.
    async fn read(
        text: &str,
        size: usize,
    ) -> Result<Vec<(String, Option<String>, String)>, String> {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("multipart/form-data; boundary=\"x1\"");
        headers.insert("content-type", kind);
        let pieces: Vec<Result<Bytes, std::io::Error>> =
            text.as_bytes().chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut form = Multipart::new(&headers, Body::from_stream(stream::iter(pieces))).unwrap();
        let mut parts = Vec::new();
        while let Some(part) = form.part().await.map_err(|e| e.to_string())? {
            let mut content = Vec::new();
            while let Some(piece) = form.piece().await.map_err(|e| e.to_string())? {
                content.extend_from_slice(&piece);
            }
            parts.push((part.name, part.file, String::from_utf8(content).unwrap()));
        }
        Ok(parts)
    }

    #[tokio::test]
    async fn a_form_is_the_same_in_pieces_of_any_size() {
        let wanted = vec![
            ("note".to_owned(), None, "hi".to_owned()),
            (
                "file".to_owned(),
                Some("a\";b.txt".to_owned()),
                "one\r\n--x\r\n--x2\r\ntwo".to_owned(),
            ),
            ("file".to_owned(), Some(String::new()), String::new()),
        ];
        for size in 1..=FORM.len() {
            assert_eq!(read(FORM, size).await.as_ref(), Ok(&wanted), "pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_broken_form_is_refused_and_ends() {
        for cut in 0..FORM.len() - 4 {
            assert!(read(&FORM[..cut], 7).await.is_err(), "cut at {cut}");
        }
        let endless = format!("--x1\r\nContent-Disposition: {}", "a".repeat(20_000));
        assert!(read(&endless, 1000).await.is_err());
        assert!(read("--x1\r\nnothing: here\r\n\r\na\r\n--x1--", 9).await.is_err());
        assert!(Multipart::new(&HeaderMap::new(), Body::empty()).is_err());
        assert_eq!(
            parameter("form-data; name=a; filename=b c", "filename"),
            Some("b c".to_owned())
        );
    }
}
