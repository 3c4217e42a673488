//! Record of a join token: single use, valid for minutes.

use crypto::token::TokenHash;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, GatewayId, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Record, Table};

use super::{GatewayTokenId, HostKey};

pub const GATEWAY_TOKENS: Table = Table::new(391, "gateway_tokens");

/// Only the hash of the token is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayToken {
    pub id: GatewayTokenId,
    /// The public part.
    pub public: String,
    pub hash: TokenHash,
    /// Display name of the machine.
    pub label: String,
    /// Labels of the machine.
    pub labels: Vec<String>,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// End of validity.
    #[serde(with = "millisecond::required")]
    pub expires_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub revoked_at: Option<Timestamp>,
    /// First call of a machine with the token.
    #[serde(with = "millisecond::optional")]
    pub called_at: Option<Timestamp>,
    /// When a machine joined with the token.
    #[serde(with = "millisecond::optional")]
    pub used_at: Option<Timestamp>,
    /// Key of that machine; no other key is admitted with this token.
    pub host_key: Option<HostKey>,
    /// The gateway that joined.
    pub gateway: Option<GatewayId>,
    /// How many other machines were refused.
    pub refused: u32,
}

impl GatewayToken {
    /// Whether a machine may still join with the token.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.used_at.is_none() && now < self.expires_at
    }
}

impl Record for GatewayToken {
    type Id = GatewayTokenId;
    const TABLE: Table = GATEWAY_TOKENS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> GatewayTokenId {
        self.id
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: GatewayTokenId::from_bytes([96; 16]),
            public: "7kq2m4td".into(),
            hash: TokenHash::of(b"sample"),
            label: "Packing room".into(),
            labels: vec!["gpu".into()],
            by: Actor::System(Part::Setup),
            created_at: at,
            expires_at: at,
            revoked_at: Some(at),
            called_at: Some(at),
            used_at: Some(at),
            host_key: Some([7; 32]),
            gateway: Some(GatewayId::from_bytes([95; 16])),
            refused: 1,
        }
    }
}
