//! Sealed value of a secret, and the former value.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};

use super::{Secret, SecretId};

pub const SECRET_VALUES: Table = Table::new(362, "secret_values");

/// The former value, which can be put back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// Envelope.
    pub sealed: String,
    /// Id of the master key that sealed the value.
    pub key_id: String,
    /// End of the period in which the value can be put back.
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

/// Value of a secret, sealed as `enc:v1`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    pub secret: SecretId,
    /// Envelope.
    pub sealed: String,
    /// Id of the master key that sealed the value.
    pub key_id: String,
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
