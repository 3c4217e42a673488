//! Values of a submitted form by field name, for fields that are known only at run time.

use serde_json::{Map, Value};

/// Values of a submitted form.
pub type FormValues = Map<String, Value>;

/// The text of a field; empty if it was not sent.
#[must_use]
pub fn text<'t>(form: &'t FormValues, key: &str) -> &'t str {
    form.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The text of a field; `None` if it was not sent.
#[must_use]
pub fn given(form: &FormValues, key: &str) -> Option<String> {
    form.get(key).and_then(Value::as_str).map(str::to_owned)
}
