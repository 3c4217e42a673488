//! The Ed25519 key by which hosts know this workspace.

use serde::{Deserialize, Serialize};
use store::{Class, Record, Table};

/// The key of the workspace.
pub const GATEWAY_KEYS: Table = Table::new(392, "gateway_keys");

/// The workspace's own key. Made with the first token; sealed for this workspace alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayKey {
    /// The public half.
    pub public: [u8; 32],
    /// The envelope of the private half.
    pub sealed: String,
    /// The id of the master key that sealed it.
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
