//! The sealed value of a secret, and the one before it.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};

use super::{Secret, SecretId};

/// Sealed values.
pub const SECRET_VALUES: Table = Table::new(362, "secret_values");

/// The value that was there before, for whoever wants it back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// The envelope.
    pub sealed: String,
    /// The id of the master key that sealed it.
    pub key_id: String,
    /// Until when it is kept.
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

/// The value of a secret, sealed with `enc:v1`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    pub secret: SecretId,
    /// The envelope.
    pub sealed: String,
    /// The id of the master key that sealed it.
    pub key_id: String,
    /// The one before.
    pub former: Option<Former>,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({})", self.secret)
    }
}

impl std::fmt::Debug for Former {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Former(until {})", self.until)
    }
}

impl Record for Value {
    type Id = SecretId;
    const TABLE: Table = SECRET_VALUES;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> SecretId {
        self.secret
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Secret>(1, Some(self.secret), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Secret>(self.secret)
    }
    fn sample() -> Self {
        let until = kernel::time::from_ms(1_700_000_000_000);
        let former = Former { sealed: "enc:v1:former".into(), key_id: "k1".into(), until };
        Self {
            secret: SecretId::from_bytes([90; 16]),
            sealed: "enc:v1:sample".into(),
            key_id: "k1".into(),
            former: Some(former),
        }
    }
}
