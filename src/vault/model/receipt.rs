//! Versions of secret values that each host has, as confirmed by the host. No other row records the transfer of values.

use gateways::model::Gateway;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{GatewayId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};

use super::{Secret, SecretId};

pub const SECRET_RECEIPTS: Table = Table::new(405, "secret_receipts");

/// A secret that agents of a host need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub gateway: GatewayId,
    pub secret: SecretId,
    /// Version that was sent last.
    pub sent: u32,
    /// When that version was first sent.
    #[serde(with = "millisecond::required")]
    pub sent_at: Timestamp,
    /// Version that the host confirmed last.
    pub has: Option<u32>,
    #[serde(with = "millisecond::optional")]
    pub has_at: Option<Timestamp>,
}

impl Record for Receipt {
    type Id = (GatewayId, SecretId);
    const TABLE: Table = SECRET_RECEIPTS;
    const CLASS: Class = Class::Remade;
    fn id(&self) -> (GatewayId, SecretId) {
        (self.gateway, self.secret)
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Secret>(1, Some(self.secret), OnDelete::Cascade);
        refs.to::<Gateway>(2, Some(self.gateway), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Secret>(self.secret)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            gateway: GatewayId::from_bytes([95; 16]),
            secret: SecretId::from_bytes([90; 16]),
            sent: 3,
            sent_at: at,
            has: Some(2),
            has_at: Some(at),
        }
    }
}
