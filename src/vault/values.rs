//! Incoming values. They are checked and sealed here, before any transaction: rules receive envelopes only.

use std::sync::atomic::{AtomicU64, Ordering};

use app::App;
use crypto::keyring::{Binding, Keyring, SealError, Sealed, Secret};
use crypto::redact::is_short;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::model::SecretId;
use crate::ordinary;

/// Longest value, in bytes.
pub const MAX_VALUE: usize = 64 * 1024;

kernel::words! {
    /// What becomes of line breaks at the ends of a value.
    Ends {
        /// They are part of it.
        Keep = "keep", "Keep them";
        /// They are left out.
        Trim = "trim", "Remove them";
    }
}

#[derive(Clone, Debug)]
pub struct NewValue {
    pub sealed: Sealed,
    /// Id of the master key that sealed the value.
    pub key_id: String,
    /// Too short to be masked in output.
    pub is_short: bool,
}

/// Error text for a value that is ordinary text.
const ORDINARY: &str = "This value is a common word or number, so HQ would mask it everywhere it \
    appears. Choose another value, or confirm that you want to use it.";

/// Rejects a value that is ordinary text, unless it is not masked or is confirmed.
///
/// # Errors
/// At the field `ordinary`.
pub fn ask(value: &str, is_plain: bool, is_meant: bool) -> Result<(), VaultError> {
    match is_plain || is_meant || !ordinary::is_ordinary(value) {
        true => Ok(()),
        false => Err(VaultError::field("ordinary", ORDINARY)),
    }
}

/// Warning for a value that is too short to be masked.
pub const SHORT: &str =
    "The value has fewer than 8 characters, which is too short to mask in output.";

/// Seals a value. If `ends` is `None`, a value with line breaks at its ends is rejected with a question.
///
/// # Errors
/// If the text is no valid value.
pub fn seal(app: &App, text: &str, ends: Option<Ends>) -> Result<NewValue, VaultError> {
    let breaks = ['\n', '\r'];
    let value = match ends {
        Some(Ends::Trim) => text.trim_matches(breaks),
        Some(Ends::Keep) => text,
        None if text.starts_with(breaks) || text.ends_with(breaks) => {
            let words = "The value starts or ends with a line break. Choose whether to keep it.";
            return Err(VaultError::field("ends", words));
        }
        None => text,
    };
    if let Some(why) = wrong(value) {
        return Err(VaultError::field("value", why));
    }
    Ok(NewValue {
        sealed: app.keyring.seal(value.as_bytes()),
        key_id: app.keyring.key_id().to_string(),
        is_short: is_short(value.as_bytes()),
    })
}

/// As [`seal`], for an operation outside the vault's own interface: the redactor masks the value from now on, because
/// the vault registers values only when a workspace opens and after its own changes.
///
/// # Errors
/// As [`seal`].
pub fn seal_watched(
    app: &App,
    label: &str,
    text: &str,
    ends: Option<Ends>,
) -> Result<NewValue, VaultError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let value = seal(app, text, ends)?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    app.redactor.add(&format!("{label} {number}"), Secret::new(text.trim_matches(['\n', '\r'])));
    Ok(value)
}

/// What is wrong with a value. The text contains nothing of the value.
#[must_use]
pub fn wrong(value: &str) -> Option<&'static str> {
    match value {
        "" => Some("Enter a value."),
        _ if MAX_VALUE < value.len() => Some("Use at most 64 KiB."),
        _ if value.contains('\0') => Some("Remove zero bytes. Programs can’t read them."),
        _ => None,
    }
}

/// Decrypts a sealed value.
///
/// # Errors
/// If no available key opens it.
pub fn open(ring: &Keyring, id: SecretId, sealed: &str) -> Result<Secret, SealError> {
    let owner = id.to_string();
    let place = Binding { scope: "secret", owner: &owner, name: "value" };
    ring.open(&Sealed::from_stored(sealed), place)
}

/// A value in a request body. The error for a wrong type contains nothing of the value.
#[derive(Clone)]
pub struct SecretInput(Zeroizing<String>);

impl SecretInput {
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretInput {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl std::fmt::Debug for SecretInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed(hidden)")
    }
}

impl Default for SecretInput {
    fn default() -> Self {
        Self::from(String::new())
    }
}

impl<'de> serde::Deserialize<'de> for SecretInput {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(from)? {
            serde_json::Value::String(text) => Ok(Self::from(text)),
            _ => Err(serde::de::Error::custom("it isn't text")),
        }
    }
}

impl schemars::JsonSchema for SecretInput {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretValue".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}
