//! JSON stored as text in records, because the record codec is not self-describing.

use serde::{Deserialize, Serialize};

/// A JSON document as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(pub String);

impl JsonText {
    /// The document `{}`.
    #[must_use]
    pub fn empty() -> Self {
        Self("{}".to_owned())
    }
}

impl Default for JsonText {
    fn default() -> Self {
        Self::empty()
    }
}
