//! Browsers in which an account has signed in before. A remembered device grants no access. It is only exempt from
//! sign-in rate limits that others use up.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crypto::token::TokenHash;
use kernel::time::from_ms;
use kernel::{AccountId, SignInId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

use super::Account;

/// Remembered devices by account.
pub const DEVICES: Table = Table::new(136, "known_devices");

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevice {
    /// Hash of the device cookie.
    pub hash: TokenHash,
    /// Last sign-in on the device. It may have ended.
    pub sign_in: SignInId,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// Remembered devices of an account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevices {
    pub account: AccountId,
    /// Most recently used last.
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
