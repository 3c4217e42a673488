//! Kinds of input with parameters of their own.

use serde_json::Value;

/// A JSON value with its own schema.
#[derive(Clone, Copy, Debug)]
pub struct JsonKind {
    /// The JSON schema.
    pub schema: fn() -> Value,
    /// Validates a value. The error is a sentence.
    pub check: fn(&Value) -> Result<(), String>,
}

/// An uploaded file.
#[derive(Clone, Copy, Debug)]
pub struct FileKind {
    /// Endings that a browser offers, as in the attribute `accept` of HTML: `.zip,.tgz`.
    pub accept: &'static str,
    /// The server's limit for uploads applies as well.
    pub max_bytes: u64,
}
