//! Which era a request belongs to, and whether its headers agree with its body (2026-07-28, "Request Metadata" and
//! "Server Validation").

use serde_json::{Value, json};

use super::headers::{Header, Headers};
use super::message::Incoming;
use crate::wire::{
    Era, HEADER_MISMATCH, INVALID_PARAMS, LEGACY_VERSIONS, META_CAPABILITIES, META_VERSION,
    MODERN_VERSION, RpcError, UNSUPPORTED_VERSION,
};

/// All versions, the preferred one first.
pub(super) fn supported() -> Vec<&'static str> {
    std::iter::once(MODERN_VERSION).chain(LEGACY_VERSIONS).collect()
}

/// The era of a request. All errors are answered with 400.
pub(super) fn of(incoming: &Incoming, headers: &Headers) -> Result<Era, RpcError> {
    match incoming.meta(META_VERSION) {
        Some(Value::String(version)) => {
            let sent = required(&headers.version, "MCP-Protocol-Version")?;
            if sent != version {
                return Err(mismatch("MCP-Protocol-Version", sent, version));
            }
            match version.as_str() {
                MODERN_VERSION => modern(incoming, headers),
                legacy if LEGACY_VERSIONS.contains(&legacy) => Ok(Era::Legacy),
                other => Err(unsupported(other)),
            }
        }
        Some(_) => Err(RpcError::new(INVALID_PARAMS, format!("{META_VERSION} is not a string"))),
        None => undeclared(incoming, headers),
    }
}

/// The era of a request whose body declares no version.
fn undeclared(incoming: &Incoming, headers: &Headers) -> Result<Era, RpcError> {
    let is_modern_only = incoming.method == "server/discover";
    match &headers.version {
        // The handshake negotiates the version in its parameters.
        _ if incoming.method == "initialize" => Ok(Era::Legacy),
        Header::Missing if is_modern_only => {
            required(&headers.version, "MCP-Protocol-Version").map(|_| Era::Modern)
        }
        // Versions before 2025-06-18 have no such header.
        Header::Missing => Ok(Era::Legacy),
        Header::Malformed => Err(malformed("MCP-Protocol-Version")),
        Header::Text(version) if version == MODERN_VERSION || is_modern_only => {
            let text = format!("params._meta lacks {META_VERSION}");
            Err(RpcError::new(INVALID_PARAMS, text))
        }
        Header::Text(version) if LEGACY_VERSIONS.contains(&version.as_str()) => Ok(Era::Legacy),
        Header::Text(version) => Err(unsupported(version)),
    }
}

/// Checks the other headers and `_meta` of a modern request.
fn modern(incoming: &Incoming, headers: &Headers) -> Result<Era, RpcError> {
    let sent = required(&headers.method, "Mcp-Method")?;
    if sent != incoming.method {
        return Err(mismatch("Mcp-Method", sent, &incoming.method));
    }
    let field = match incoming.method.as_str() {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    };
    if let Some(field) = field {
        let sent = required(&headers.name, "Mcp-Name")?;
        let name = incoming.params.get(field).and_then(Value::as_str).unwrap_or_default();
        if sent != name {
            return Err(mismatch("Mcp-Name", sent, name));
        }
    }
    if !incoming.meta(META_CAPABILITIES).is_some_and(Value::is_object) {
        let text = format!("params._meta lacks {META_CAPABILITIES}");
        return Err(RpcError::new(INVALID_PARAMS, text));
    }
    Ok(Era::Modern)
}

fn required<'h>(header: &'h Header, name: &str) -> Result<&'h str, RpcError> {
    match header {
        Header::Text(text) => Ok(text),
        Header::Missing => {
            Err(RpcError::new(HEADER_MISMATCH, format!("Header mismatch: {name} is missing")))
        }
        Header::Malformed => Err(malformed(name)),
    }
}

fn malformed(name: &str) -> RpcError {
    RpcError::new(HEADER_MISMATCH, format!("Header mismatch: {name} is malformed or sent twice"))
}

fn mismatch(name: &str, sent: &str, body: &str) -> RpcError {
    let text =
        format!("Header mismatch: {name} header value '{sent}' does not match body value '{body}'");
    RpcError::new(HEADER_MISMATCH, text)
}

fn unsupported(version: &str) -> RpcError {
    RpcError::new(UNSUPPORTED_VERSION, "Unsupported protocol version")
        .with_data(json!({ "supported": supported(), "requested": version }))
}
