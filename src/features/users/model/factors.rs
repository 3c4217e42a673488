//! Records of authentication factors other than the password. Everything is sealed, hashed, or useless without its
//! private half, and no change can be undone.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crypto::keyring::Binding;
use crypto::token::TokenHash;
use kernel::time::from_ms;
use kernel::{AccountId, PasskeyId, Timestamp, TypedId};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

use super::Account;

/// TOTP secrets.
pub const TOTP: Table = Table::new(130, "totp");
pub const RECOVERY: Table = Table::new(131, "recovery_codes");
pub const PASSKEYS: Table = Table::new(132, "passkeys");
/// Credential id.
pub const PASSKEY_BY_CREDENTIAL: Index = Index::unique(133, "passkeys_by_credential");
/// Passkeys of an account, oldest first.
pub const PASSKEY_BY_ACCOUNT: Index = Index::multi(134, "passkeys_by_account");
/// Last use of each passkey.
pub const PASSKEY_USE: Table = Table::new(135, "passkey_use");

/// Binding under which a TOTP secret is sealed. `owner` is the account id.
#[must_use]
pub fn totp_place(owner: &str) -> Binding<'_> {
    Binding { scope: "account", owner, name: "totp" }
}

/// TOTP secret of an account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totp {
    pub account: AccountId,
    /// The sealed secret.
    pub sealed: String,
    /// Time of the first valid code. `None` while unconfirmed.
    #[serde(with = "millisecond::optional")]
    pub confirmed_at: Option<Timestamp>,
    /// Time step of the last used code. Earlier and equal codes are rejected.
    pub last_step: u64,
}

impl Record for Totp {
    type Id = AccountId;
    const TABLE: Table = TOTP;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> AccountId {
        self.account
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Account>(1, Some(self.account), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            account: AccountId::from_bytes([1; 16]),
            sealed: "enc:v2:sample".into(),
            confirmed_at: Some(from_ms(1_700_000_000_000)),
            last_step: 56_666_666,
        }
    }
}

/// Unused recovery codes of an account. Each can be used once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryCodes {
    pub account: AccountId,
    pub hashes: Vec<TokenHash>,
    #[serde(with = "millisecond::required")]
    pub made_at: Timestamp,
}

impl Record for RecoveryCodes {
    type Id = AccountId;
    const TABLE: Table = RECOVERY;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> AccountId {
        self.account
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Account>(1, Some(self.account), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            account: AccountId::from_bytes([1; 16]),
            hashes: vec![TokenHash::of(b"one"), TokenHash::of(b"two")],
            made_at: from_ms(1_700_000_000_000),
        }
    }
}

/// Public half of a passkey (WebAuthn credential).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    pub id: PasskeyId,
    pub account: AccountId,
    /// Credential id.
    pub credential: Vec<u8>,
    /// Public key in COSE encoding, as received.
    pub key: Vec<u8>,
    /// Relying party id.
    pub host: String,
    pub name: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Passkey {
    type Id = PasskeyId;
    const TABLE: Table = PASSKEYS;
    // An undo must not restore access.
    const CLASS: Class = Class::Sealed;
    const INDEXES: &'static [Index] = &[PASSKEY_BY_CREDENTIAL, PASSKEY_BY_ACCOUNT];
    fn id(&self) -> PasskeyId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(PASSKEY_BY_CREDENTIAL).raw(TokenHash::of(&self.credential).as_bytes());
        keys.entry(PASSKEY_BY_ACCOUNT).part(self.account);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Account>(1, Some(self.account), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            id: PasskeyId::from_bytes([7; 16]),
            account: AccountId::from_bytes([1; 16]),
            credential: vec![9; 16],
            key: vec![0xa5, 1, 2],
            host: "hq.example.com".into(),
            name: "Laptop".into(),
            created_at: from_ms(1_700_000_000_000),
        }
    }
}

/// Last use of a passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyUse {
    pub passkey: PasskeyId,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// Last signature counter.
    pub count: u32,
    /// `true` if the counter ever went backwards, which indicates a cloned key.
    pub regressed: bool,
}

impl Record for PasskeyUse {
    type Id = PasskeyId;
    const TABLE: Table = PASSKEY_USE;
    const CLASS: Class = Class::Local;
    fn id(&self) -> PasskeyId {
        self.passkey
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Passkey>(1, Some(self.passkey), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            passkey: PasskeyId::from_bytes([7; 16]),
            at: from_ms(1_700_000_000_000),
            count: 12,
            regressed: false,
        }
    }
}
