//! What a form sent, by the names of its fields, where fields are known only at run time.

use serde_json::{Map, Value};

/// What a form sent.
pub type FormValues = Map<String, Value>;

/// The words of a field; nothing when it was not sent.
#[must_use]
pub fn text<'t>(typed: &'t FormValues, key: &str) -> &'t str {
    typed.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The words of a field; none when it was not sent.
#[must_use]
pub fn given(typed: &FormValues, key: &str) -> Option<String> {
    typed.get(key).and_then(Value::as_str).map(str::to_owned)
}
