//! Records of `system.redb`: who may come in, and which workspaces there are.
//!
//! Nothing that opens a door lies here in the clear: passwords, tokens and links are kept as hashes,
//! in rows whose values never enter the feed. A released layout is frozen: add `…V1`, raise `VERSION`.

pub mod devices;
pub mod factors;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crypto::token::TokenHash;
use kernel::time::from_ms;
use kernel::{
    AccountId, Scope, SignInId, Timestamp, TokenId, TypedId, WorkspaceId, WorkspaceState,
};
use store::codec::{self, DecodeError};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

pub const ACCOUNTS: Table = Table::new(100, "accounts");
/// The email address, in lower case.
pub const ACCOUNT_BY_EMAIL: Index = Index::unique(101, "accounts_by_email");
/// Password hashes.
pub const PASSWORDS: Table = Table::new(102, "passwords");
/// Browsers that are signed in.
pub const SIGN_INS: Table = Table::new(103, "sign_ins");
/// The hash of the cookie.
pub const SIGN_IN_BY_HASH: Index = Index::unique(104, "sign_ins_by_hash");
/// A person's sign-ins, oldest first.
pub const SIGN_IN_BY_ACCOUNT: Index = Index::multi(105, "sign_ins_by_account");
/// When a sign-in was last used.
pub const LAST_SEEN: Table = Table::new(106, "last_seen");
pub const TOKENS: Table = Table::new(107, "api_tokens");
/// The part of a token that may be shown.
pub const TOKEN_BY_PUBLIC: Index = Index::unique(108, "api_tokens_by_public");
/// A person's tokens, oldest first.
pub const TOKEN_BY_ACCOUNT: Index = Index::multi(109, "api_tokens_by_account");
pub const TOKEN_SECRETS: Table = Table::new(110, "api_token_hashes");
/// When a token was last used.
pub const LAST_USED: Table = Table::new(111, "last_used");
/// The list of workspaces.
pub const WORKSPACES: Table = Table::new(112, "workspaces");
/// The name in addresses.
pub const WORKSPACE_BY_SLUG: Index = Index::unique(113, "workspaces_by_slug");
/// One-time links.
pub const LINKS: Table = Table::new(114, "links");

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id, the same in all workspaces.
    pub id: AccountId,
    /// The email address, in lower case.
    pub email: String,
    pub name: String,
    /// IANA time zone, when it differs from the workspace's.
    pub zone: Option<String>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Since when this person may not come in any more.
    #[serde(with = "millisecond::optional")]
    pub disabled_at: Option<Timestamp>,
}

impl Record for Account {
    type Id = AccountId;
    const TABLE: Table = ACCOUNTS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[ACCOUNT_BY_EMAIL];
    fn id(&self) -> AccountId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(ACCOUNT_BY_EMAIL).text(&self.email);
    }
    fn sample() -> Self {
        Self {
            id: AccountId::from_bytes([1; 16]),
            email: "mira@marlow.example".into(),
            name: "Mira Lang".into(),
            zone: Some("Europe/Berlin".into()),
            created_at: from_ms(1_700_000_000_000),
            disabled_at: None,
        }
    }
}

/// The hash of a person's password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    pub account: AccountId,
    /// The Argon2id hash.
    pub hash: String,
    #[serde(with = "millisecond::required")]
    pub changed_at: Timestamp,
}

impl Record for Password {
    type Id = AccountId;
    const TABLE: Table = PASSWORDS;
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
            hash: "$argon2id$v=19$…".into(),
            changed_at: from_ms(1_700_000_000_000),
        }
    }
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    pub id: SignInId,
    pub account: AccountId,
    /// The hash of what the cookie holds.
    pub hash: TokenHash,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// The network it came from, cut so that it names no single machine.
    pub address: String,
    /// What the browser calls itself.
    pub agent: String,
}

impl Record for SignIn {
    type Id = SignInId;
    const TABLE: Table = SIGN_INS;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[SIGN_IN_BY_HASH, SIGN_IN_BY_ACCOUNT];
    const WHEN_FULL: bool = true;
    fn id(&self) -> SignInId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(SIGN_IN_BY_HASH).raw(self.hash.as_bytes());
        keys.entry(SIGN_IN_BY_ACCOUNT).part(self.account);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Account>(1, Some(self.account), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            id: SignInId::from_bytes([3; 16]),
            account: AccountId::from_bytes([1; 16]),
            hash: TokenHash::of(b"sample"),
            created_at: from_ms(1_700_000_000_000),
            address: "192.0.2.0/24".into(),
            agent: "Firefox on Linux".into(),
        }
    }
}

/// When a sign-in was last used; written at most once a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen {
    /// The sign-in.
    pub sign_in: SignInId,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for LastSeen {
    type Id = SignInId;
    const TABLE: Table = LAST_SEEN;
    const CLASS: Class = Class::Local;
    const WHEN_FULL: bool = true;
    fn id(&self) -> SignInId {
        self.sign_in
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<SignIn>(1, Some(self.sign_in), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { sign_in: SignInId::from_bytes([3; 16]), at: from_ms(1_700_000_000_000) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    pub id: TokenId,
    /// Its first eight characters behind the prefix, which lists may show.
    pub public: String,
    pub account: AccountId,
    /// The one workspace it is good for.
    pub workspace: WorkspaceId,
    /// What it is for, in the person's words.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub expires_at: Timestamp,
    /// Since when it is withdrawn.
    #[serde(with = "millisecond::optional")]
    pub revoked_at: Option<Timestamp>,
}

impl Record for ApiToken {
    type Id = TokenId;
    const TABLE: Table = TOKENS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[TOKEN_BY_PUBLIC, TOKEN_BY_ACCOUNT];
    fn id(&self) -> TokenId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(TOKEN_BY_PUBLIC).text(&self.public);
        keys.entry(TOKEN_BY_ACCOUNT).part(self.account);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Account>(1, Some(self.account), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            id: TokenId::from_bytes([4; 16]),
            public: "k3m9x2pa".into(),
            account: AccountId::from_bytes([1; 16]),
            workspace: WorkspaceId::from_bytes([2; 16]),
            name: "Nightly import".into(),
            scopes: vec![Scope::Read, Scope::Write],
            created_at: from_ms(1_700_000_000_000),
            expires_at: from_ms(1_707_776_000_000),
            revoked_at: None,
        }
    }
}

/// The hash of a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSecret {
    pub token: TokenId,
    pub hash: TokenHash,
}

impl Record for TokenSecret {
    type Id = TokenId;
    const TABLE: Table = TOKEN_SECRETS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> TokenId {
        self.token
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<ApiToken>(1, Some(self.token), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { token: TokenId::from_bytes([4; 16]), hash: TokenHash::of(b"sample") }
    }
}

/// When a token was last used; written at most once a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUsed {
    pub token: TokenId,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for LastUsed {
    type Id = TokenId;
    const TABLE: Table = LAST_USED;
    const CLASS: Class = Class::Local;
    fn id(&self) -> TokenId {
        self.token
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<ApiToken>(1, Some(self.token), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { token: TokenId::from_bytes([4; 16]), at: from_ms(1_700_000_000_000) }
    }
}

/// A workspace in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its id, also in its own store.
    pub id: WorkspaceId,
    /// Its folder and its name in addresses; never changes.
    pub slug: String,
    /// A copy of its name, for when its own store cannot be read or is gone.
    pub label: String,
    /// A copy of its emoji.
    pub emoji: String,
    /// Whether it is worked in.
    pub state: WorkspaceState,
    /// Since when it is here.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When it goes, if it is to be deleted.
    #[serde(with = "millisecond::optional")]
    pub delete_after: Option<Timestamp>,
}

/// The layout before workspaces could be archived and deleted. Frozen.
#[derive(Deserialize)]
struct WorkspaceV1 {
    id: WorkspaceId,
    slug: String,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
}

impl Record for Workspace {
    type Id = WorkspaceId;
    const TABLE: Table = WORKSPACES;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[WORKSPACE_BY_SLUG];
    fn id(&self) -> WorkspaceId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(WORKSPACE_BY_SLUG).text(&self.slug);
    }
    fn sample() -> Self {
        Self {
            id: WorkspaceId::from_bytes([2; 16]),
            slug: "marlow-cargo".into(),
            label: "Marlow Cargo".into(),
            emoji: "🚲".into(),
            state: WorkspaceState::Deleting,
            created_at: from_ms(1_700_000_000_000),
            delete_after: Some(from_ms(1_700_604_800_000)),
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        if version != 1 {
            return Err(DecodeError::UnknownVersion { table: WORKSPACES.name, version });
        }
        let old: WorkspaceV1 = codec::decode(body)?;
        Ok(Self {
            label: old.slug.clone(),
            slug: old.slug,
            emoji: String::new(),
            id: old.id,
            state: WorkspaceState::Active,
            created_at: old.created_at,
            delete_after: None,
        })
    }
}

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// The first person sets HQ up.
    SetUp,
    /// A person chooses a new password.
    Reset(AccountId),
    /// A person who has lost the second step chooses a new password and signs in without it.
    ResetAll(AccountId),
}

/// A one-time link. Used or replaced ones are deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The part of its token that finds it.
    pub public: String,
    pub hash: TokenHash,
    pub purpose: Purpose,
    /// Until when it works.
    #[serde(with = "millisecond::required")]
    pub expires_at: Timestamp,
}

impl Record for Link {
    type Id = String;
    const TABLE: Table = LINKS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> String {
        self.public.clone()
    }
    fn sample() -> Self {
        Self {
            public: "9d2kq7zx".into(),
            hash: TokenHash::of(b"sample"),
            purpose: Purpose::Reset(AccountId::from_bytes([1; 16])),
            expires_at: from_ms(1_700_001_800_000),
        }
    }
}
