//! The record codec, used in this file only: postcard 1.x, whose wire format is specified and stable. A stored value is
//! `version u8, rev u64 (big-endian), body`.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Why bytes could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body does not match the type.
    #[error("the stored bytes do not fit the record: {0}")]
    Body(#[from] postcard::Error),
    /// The program does not know this layout version.
    #[error("record version {version} of {table} is not known to this program")]
    UnknownVersion {
        /// Name of the table.
        table: &'static str,
        /// The version found.
        version: u8,
    },
    /// Shorter than a header, or an invalid key.
    #[error("the stored bytes are cut short")]
    Short,
}

/// Length in bytes of version and rev before a body.
pub const HEADER: usize = 9;

/// Encodes a value.
///
/// # Errors
/// When the codec cannot represent the type.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, DecodeError> {
    Ok(postcard::to_stdvec(value)?)
}

/// Decodes a value; remaining bytes are an error.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    view(bytes)
}

/// Decodes a value that borrows from the bytes; remaining bytes are an error.
pub fn view<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(bytes)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::Short) }
}

/// Decodes the beginning of a value: its first field, or a tuple of its first fields.
pub(super) fn first<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    Ok(postcard::take_from_bytes(bytes)?.0)
}

/// Encodes a row in one buffer: version, rev, record.
pub fn encode_row<T: Serialize>(version: u8, rev: u64, record: &T) -> Result<Vec<u8>, DecodeError> {
    Ok(postcard::to_extend(record, wrap(version, rev, &[]))?)
}

/// Prefixes a body with version and rev.
#[must_use]
pub fn wrap(version: u8, rev: u64, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.push(version);
    out.extend_from_slice(&rev.to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// Splits a stored value into version, rev and body.
pub fn unwrap(value: &[u8]) -> Result<(u8, u64, &[u8]), DecodeError> {
    let (version, rest) = value.split_first().ok_or(DecodeError::Short)?;
    let (rev, body) = rest.split_first_chunk::<8>().ok_or(DecodeError::Short)?;
    Ok((*version, u64::from_be_bytes(*rev), body))
}

/// Whether two stored values differ in more than the rev.
#[must_use]
pub fn differ(a: &[u8], b: &[u8]) -> bool {
    a.len() < HEADER || b.len() < HEADER || a[0] != b[0] || a[HEADER..] != b[HEADER..]
}
