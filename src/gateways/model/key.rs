//! The workspace's Ed25519 key, which hosts verify.

use serde::{Deserialize, Serialize};
use store::{Class, Record, Table};

pub const GATEWAY_KEYS: Table = Table::new(392, "gateway_keys");

/// Created with the first token. Sealed for this workspace only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayKey {
    pub public: [u8; 32],
    /// Envelope of the private key.
    pub sealed: String,
    /// Id of the master key that sealed the private key.
    pub key_id: String,
}

impl std::fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GatewayKey(hidden, {})", self.key_id)
    }
}

impl Record for GatewayKey {
    type Id = ();
    const TABLE: Table = GATEWAY_KEYS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) {}
    fn sample() -> Self {
        Self { public: [9; 32], sealed: "enc:v2:sample".into(), key_id: "k1".into() }
    }
}
