//! The headers that mirror parts of a message (2026-07-28, "Standard Request Headers" and "Value Encoding").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::wire::META_VERSION;

const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
/// Marks of a value in Base64.
const ENCODED: (&str, &str) = ("=?base64?", "?=");

/// Headers of an HTTP request that concern the protocol.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    pub(super) version: Header,
    pub(super) method: Header,
    /// Decoded.
    pub(super) name: Header,
}

/// Value of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Header {
    #[default]
    Missing,
    Text(String),
    /// Sent twice, or with characters that the header cannot have.
    Malformed,
}

impl Headers {
    /// Reads the headers of a request. Names in any case; all others are ignored.
    pub fn read<'h>(all: impl Iterator<Item = (&'h str, &'h [u8])>) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in all {
            let (header, is_encodable) = match name.to_ascii_lowercase().as_str() {
                VERSION => (&mut headers.version, false),
                METHOD => (&mut headers.method, false),
                NAME => (&mut headers.name, true),
                _ => continue,
            };
            *header = match header {
                Header::Missing => Header::parse(value, is_encodable),
                Header::Text(_) | Header::Malformed => Header::Malformed,
            };
        }
        headers
    }

    /// Whether the version, if one is declared, has batches.
    pub(super) fn may_batch(&self) -> bool {
        match &self.version {
            Header::Missing => true,
            Header::Text(version) => matches!(version.as_str(), "2025-03-26" | "2024-11-05"),
            Header::Malformed => false,
        }
    }
}

impl Header {
    fn parse(value: &[u8], is_encodable: bool) -> Header {
        let is_plain = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        let Some(text) = std::str::from_utf8(value).ok().filter(|_| is_plain) else {
            return Header::Malformed;
        };
        let text = text.trim_matches([' ', '\t']);
        let encoded = text.strip_prefix(ENCODED.0).and_then(|rest| rest.strip_suffix(ENCODED.1));
        let Some(encoded) = encoded.filter(|_| is_encodable) else {
            return Header::Text(text.to_owned());
        };
        // ok: whatever cannot be decoded is reported as malformed
        let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.map_or(Header::Malformed, Header::Text)
    }
}

/// Headers to send with a message over HTTP, for a program that passes on messages from a transport without headers.
/// Empty for a message that declares no version.
#[must_use]
pub fn request_headers(message: &Value) -> Vec<(&'static str, String)> {
    let Some(method) = message["method"].as_str() else { return Vec::new() };
    let params = &message["params"];
    let Some(version) = params["_meta"][META_VERSION].as_str() else { return Vec::new() };
    let mut headers = vec![(VERSION, encoded(version)), (METHOD, encoded(method))];
    let field = if method == "resources/read" { "uri" } else { "name" };
    headers.extend(params[field].as_str().map(|name| (NAME, encoded(name))));
    headers
}

/// The text if a header can carry it as it is, otherwise as Base64.
fn encoded(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim() == text
        && !text.starts_with(ENCODED.0);
    match is_plain {
        true => text.to_owned(),
        false => format!("{}{}{}", ENCODED.0, STANDARD.encode(text), ENCODED.1),
    }
}
