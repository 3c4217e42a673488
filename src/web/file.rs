//! File responses: streamed, whole or in part, and never rendered as a page of HQ.
//!
//! The type of a file is determined by its bytes, not by its name or its sender. Raster images and PDF may be shown
//! inline. Everything else, in particular SVG and HTML, is sent as a download of unknown type. The content security
//! policy of a file allows nothing, so a file opened in a tab runs no scripts.

use std::io::SeekFrom;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
    IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse as _, Response};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::error::{Failure, PageError};
use app::{Ws, blocking};
use kernel::ProblemKind;
use store::BlobId;

/// Number of leading bytes that determine the type of a file.
pub const TELLING: usize = 32;
/// Read buffer size in bytes.
const PIECE: usize = 64 * 1024;
/// Policy for all files except inline PDF: no scripts, no subresources, no framing.
const CLOSED: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";
/// Policy for a PDF, which pages of HQ may embed. Browsers' PDF viewers do not open in a sandbox. They are isolated
/// from this origin and use inline styles.
const VIEWER: &str =
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'";

/// Type of a file, as far as relevant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A raster image that every browser shows, with its media type.
    Image(&'static str),
    /// A PDF.
    Pdf,
    /// Anything else.
    Other,
}

impl Kind {
    /// Determines the type from the first bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let within = |at: usize, mark: &[u8]| head.get(at..).is_some_and(|b| b.starts_with(mark));
        match head {
            _ if within(0, b"\x89PNG\r\n\x1a\n") => Self::Image("image/png"),
            _ if within(0, b"\xff\xd8\xff") => Self::Image("image/jpeg"),
            _ if within(0, b"GIF87a") || within(0, b"GIF89a") => Self::Image("image/gif"),
            _ if within(0, b"RIFF") && within(8, b"WEBP") => Self::Image("image/webp"),
            _ if within(4, b"ftypavif") => Self::Image("image/avif"),
            _ if within(0, b"%PDF-") => Self::Pdf,
            _ => Self::Other,
        }
    }

    /// The media type for inline responses.
    #[must_use]
    pub fn media(self) -> &'static str {
        match self {
            Self::Image(media) => media,
            Self::Pdf => "application/pdf",
            Self::Other => "application/octet-stream",
        }
    }
}

/// Whether a file may be shown inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Inline, if the file is an image or a PDF.
    InPlace,
    /// As a download.
    Download,
}

/// Responds with a stored file under this name, or with the requested range.
///
/// # Errors
/// When the blob is missing on disk or cannot be read.
pub async fn serve(
    ws: &Ws,
    (name, blob): (&str, BlobId),
    show: Show,
    request: &HeaderMap,
) -> Result<Response, PageError> {
    let tag = format!("\"{blob}\"");
    if is_known(request, &tag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        put(response.headers_mut(), ETAG, &tag);
        return Ok(response);
    }
    let own = ws.clone();
    let early = |why: String| PageError(Failure::internal(format!("a file: {why}")));
    let opened = blocking(move || own.blobs.open_blob(blob), early).await?;
    let file = File::from_std(opened.map_err(|error| missing(&error))?);
    hand_out((name, &tag), file, show, request).await
}

/// Responds with an open file that may change. The response has no ETag.
pub async fn serve_open(
    name: &str,
    file: File,
    show: Show,
    request: &HeaderMap,
) -> Result<Response, PageError> {
    hand_out((name, ""), file, show, request).await
}

/// `tag` is empty for a file without a version.
async fn hand_out(
    (name, tag): (&str, &str),
    mut file: File,
    show: Show,
    request: &HeaderMap,
) -> Result<Response, PageError> {
    let looked = inspect(&mut file).await;
    let (len, kind) = looked.map_err(|error| missing(&error))?;
    let ranged = request.get(IF_RANGE).is_none_or(|known| known.as_bytes() == tag.as_bytes());
    let range = request.get(RANGE).filter(|_| ranged).and_then(|text| text.to_str().ok());
    let (status, from, to) = match range.map_or(Wanted::All, |text| wanted(text, len)) {
        Wanted::All => (StatusCode::OK, 0, len),
        Wanted::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Wanted::Nothing => return Ok(out_of_range(len)),
    };
    file.seek(SeekFrom::Start(from)).await.map_err(|error| missing(&error))?;
    let part = file.take(to - from);
    let body = Body::from_stream(ReaderStream::with_capacity(part, PIECE));
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    describe(headers, name, kind, show);
    if !tag.is_empty() {
        put(headers, ETAG, tag);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(to - from));
    if status == StatusCode::PARTIAL_CONTENT {
        put(headers, CONTENT_RANGE, &format!("bytes {from}-{}/{len}", to - 1));
    }
    Ok(response)
}

/// Returns length and type of a file.
async fn inspect(file: &mut File) -> std::io::Result<(u64, Kind)> {
    let mut head = Vec::with_capacity(TELLING);
    file.take(TELLING as u64).read_to_end(&mut head).await?;
    Ok((file.metadata().await?.len(), Kind::of(&head)))
}

/// Sets the headers for type, name and policy.
fn describe(headers: &mut HeaderMap, name: &str, kind: Kind, show: Show) {
    let in_place = show == Show::InPlace && kind != Kind::Other;
    let media = if in_place { kind.media() } else { Kind::Other.media() };
    let (policy, framed) = match in_place && kind == Kind::Pdf {
        true => (VIEWER, "SAMEORIGIN"),
        false => (CLOSED, "DENY"),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static(framed));
    let own = HeaderValue::from_static("same-origin");
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), own);
    // The browser may store the file but must revalidate: permissions may change, the content cannot.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    put(headers, CONTENT_DISPOSITION, &disposition(name, in_place));
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let known =
        request.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').any(|one| matches!(one.trim(), "*") || one.trim() == tag)
}

/// Error for a blob that is missing or unreadable. Logged for the operator.
fn missing(error: &std::io::Error) -> PageError {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            let text = "this file's content is missing on the server's disk. Upload the file \
                        again, or have it restored from a backup (`hq doctor blobs` lists what \
                        is missing)";
            PageError(Failure::new(ProblemKind::Gone, "file_missing", text))
        }
        std::io::ErrorKind::InvalidData => {
            let text = "this file's content is damaged on the server's disk, so it can't be \
                        downloaded. Upload the file again, or have its workspace restored from a \
                        backup (`hq doctor blobs` lists what is damaged)";
            PageError(Failure::new(ProblemKind::Gone, "file_damaged", text))
        }
        _ => PageError(Failure::internal(format!("a file: {error}"))),
    }
}

fn out_of_range(len: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    put(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{len}"));
    response
}

/// A parsed `Range` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The whole file: there is no range, several ranges, or an invalid range.
    All,
    /// From the first offset (inclusive) to the second (exclusive).
    Part(u64, u64),
    /// A range outside the file.
    Nothing,
}

fn wanted(text: &str, len: u64) -> Wanted {
    let Some((from, to)) = text.strip_prefix("bytes=").and_then(|one| one.trim().split_once('-'))
    else {
        return Wanted::All;
    };
    let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    match (from, to) {
        ("", last) => match number(last) {
            Some(0) => Wanted::Nothing,
            Some(_) if len == 0 => Wanted::Nothing,
            Some(n) => Wanted::Part(len.saturating_sub(n), len),
            None => Wanted::All,
        },
        (from, to) => match (number(from), number(to)) {
            (Some(from), None) if to.is_empty() => part(from, u64::MAX, len),
            (Some(from), Some(to)) if from <= to => part(from, to, len),
            _ => Wanted::All,
        },
    }
}

fn part(from: u64, to: u64, len: u64) -> Wanted {
    if from < len { Wanted::Part(from, to.saturating_add(1).min(len)) } else { Wanted::Nothing }
}

/// `Content-Disposition` with an ASCII name for old browsers and the full name by RFC 5987.
fn disposition(name: &str, in_place: bool) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    let mut full = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                full.push(char::from(byte));
            }
            _ => full.push_str(&format!("%{byte:02X}")),
        }
    }
    let how = if in_place { "inline" } else { "attachment" };
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{full}")
}

/// A name that is safe to store and to show: no directories, no control or bidirectional characters, at most 255
/// bytes.
#[must_use]
pub fn clean_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let kept: String =
        last.chars().filter(|c| !c.is_control() && !turns(*c) && *c != '"').collect();
    let mut name = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    while 255 < name.len() {
        // Keep the extension and shorten the rest.
        let ending = name.rfind('.').filter(|at| name.len() - at <= 20).unwrap_or(name.len());
        let Some((at, _)) = name[..ending].char_indices().next_back() else { break };
        name.remove(at);
    }
    match name.as_str() {
        "" | "." | ".." => "file".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Wanted, clean_name, disposition, wanted};

    #[test]
    fn what_a_file_is_its_bytes_say() {
        assert_eq!(Kind::of(b"\x89PNG\r\n\x1a\n..").media(), "image/png");
        assert_eq!(Kind::of(b"RIFF\0\0\0\0WEBPVP8 ").media(), "image/webp");
        assert_eq!(Kind::of(b"%PDF-1.7"), Kind::Pdf);
        for other in [&b"<svg xmlns="[..], b"<!doctype html>", b"GIF8", b"", b"RIFF....WAVE"] {
            assert_eq!(Kind::of(other), Kind::Other);
        }
    }

    #[test]
    fn one_range_is_given_and_a_wrong_one_refused() {
        assert_eq!(wanted("bytes=0-", 10), Wanted::Part(0, 10));
        assert_eq!(wanted("bytes=2-4", 10), Wanted::Part(2, 5));
        assert_eq!(wanted("bytes=2-400", 10), Wanted::Part(2, 10));
        assert_eq!(wanted("bytes=9-9", 10), Wanted::Part(9, 10));
        assert_eq!(wanted("bytes=-3", 10), Wanted::Part(7, 10));
        assert_eq!(wanted("bytes=-300", 10), Wanted::Part(0, 10));
        for none in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(wanted(none, 10), Wanted::Nothing, "{none}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(wanted("bytes=-1", 0), Wanted::Nothing);
        for all in [
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=4-2",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes",
            "bytes=-",
        ] {
            assert_eq!(wanted(all, 10), Wanted::All, "{all}");
        }
    }

    #[test]
    fn names_are_safe_in_headers_and_on_pages() {
        assert_eq!(
            disposition("Preise ü\".pdf", false),
            "attachment; filename=\"Preise___.pdf\"; filename*=UTF-8''Preise%20%C3%BC%22.pdf"
        );
        assert!(disposition("a\r\nset-cookie: x", true).is_ascii());
        assert!(!disposition("a\r\nb", true).contains(['\r', '\n']));
        assert_eq!(clean_name("C:\\Users\\x\\offer.pdf"), "offer.pdf");
        assert_eq!(clean_name("../../etc/passwd"), "passwd");
        assert_eq!(clean_name("invoice\u{202e}fdp.exe\0"), "invoicefdp.exe");
        assert_eq!(clean_name("  "), "file");
        assert_eq!(clean_name(".."), "file");
        let long = clean_name(&format!("{}.docx", "ü".repeat(400)));
        assert!(long.len() <= 255 && long.ends_with(".docx"), "{long}");
    }
}
