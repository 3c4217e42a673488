//! What proves who somebody is, besides the password. All of it is sealed or hashed, or says nothing
//! without the other half, and none of it is ever undone.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crypto::keyring::Binding;
use crypto::token::TokenHash;
use kernel::time::from_ms;
use kernel::{AccountId, PasskeyId, Timestamp, TypedId};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

use super::Account;

/// Secrets of authenticator apps.
pub const TOTP: Table = Table::new(130, "totp");
pub const RECOVERY: Table = Table::new(131, "recovery_codes");
pub const PASSKEYS: Table = Table::new(132, "passkeys");
/// What the browser calls a passkey.
pub const PASSKEY_BY_CREDENTIAL: Index = Index::unique(133, "passkeys_by_credential");
/// A person's passkeys, oldest first.
pub const PASSKEY_BY_ACCOUNT: Index = Index::multi(134, "passkeys_by_account");
/// How a passkey was used last.
pub const PASSKEY_USE: Table = Table::new(135, "passkey_use");

/// The place for which the secret of an authenticator app is sealed, by the account's id.
#[must_use]
pub fn totp_place(owner: &str) -> Binding<'_> {
    Binding { scope: "account", owner, name: "totp" }
}

/// The secret of a person's authenticator app.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totp {
    pub account: AccountId,
    /// The secret in its envelope.
    pub sealed: String,
    /// Since when codes are asked for; none until the first code was right.
    #[serde(with = "millisecond::optional")]
    pub confirmed_at: Option<Timestamp>,
    /// The step of the last code that was used; no code is good twice.
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

/// What is left of a person's recovery codes: each is good once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryCodes {
    pub account: AccountId,
    /// Hashes of those that were not used.
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

/// A passkey: the public half of a key that a person's device or password manager keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    pub id: PasskeyId,
    pub account: AccountId,
    /// What the browser calls it.
    pub credential: Vec<u8>,
    /// The public key as it came, in COSE.
    pub key: Vec<u8>,
    /// The host name that it is good for.
    pub host: String,
    /// What the person calls it.
    pub name: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Passkey {
    type Id = PasskeyId;
    const TABLE: Table = PASSKEYS;
    // An undo must not open a door again.
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

/// How a passkey was used last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyUse {
    pub passkey: PasskeyId,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// What its counter said.
    pub count: u32,
    /// Whether the counter ever went backwards, as that of a copied key does.
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
