//! Browsers in which a person has signed in before. Being known opens nothing: the limits of sign-in tries that
//! others use up do not count there.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crypto::token::TokenHash;
use kernel::time::from_ms;
use kernel::{AccountId, SignInId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

use super::Account;

/// Known devices, by account.
pub const DEVICES: Table = Table::new(136, "known_devices");

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevice {
    /// The hash of its cookie.
    pub hash: TokenHash,
    /// The last sign-in on it, which may have ended.
    pub sign_in: SignInId,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// The known devices of a person, the last one at the end.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevices {
    pub account: AccountId,
    /// The last one is at the end.
    pub devices: Vec<KnownDevice>,
}

impl Record for KnownDevices {
    type Id = AccountId;
    const TABLE: Table = DEVICES;
    const CLASS: Class = Class::Sealed;
    const WHEN_FULL: bool = true;
    fn id(&self) -> AccountId {
        self.account
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Account>(1, Some(self.account), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let device = KnownDevice {
            hash: TokenHash::of(b"sample"),
            sign_in: SignInId::from_bytes([3; 16]),
            at: from_ms(1_700_000_000_000),
        };
        Self { account: AccountId::from_bytes([1; 16]), devices: vec![device] }
    }
}
