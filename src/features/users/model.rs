//! Records of `system.redb`: accounts, credentials, sign-ins, tokens and the list of workspaces.
//!
//! Credentials are never stored in the clear: passwords, tokens and links are stored as hashes, in rows whose values
//! never enter the feed. A released layout is frozen: add `…V1`, raise `VERSION`.

pub mod appearance;
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
/// Email address in lower case.
pub const ACCOUNT_BY_EMAIL: Index = Index::unique(101, "accounts_by_email");
pub const PASSWORDS: Table = Table::new(102, "passwords");
pub const SIGN_INS: Table = Table::new(103, "sign_ins");
/// Hash of the cookie token.
pub const SIGN_IN_BY_HASH: Index = Index::unique(104, "sign_ins_by_hash");
/// Sign-ins of an account, oldest first.
pub const SIGN_IN_BY_ACCOUNT: Index = Index::multi(105, "sign_ins_by_account");
/// Last use of each sign-in.
pub const LAST_SEEN: Table = Table::new(106, "last_seen");
pub const TOKENS: Table = Table::new(107, "api_tokens");
/// Public part of a token.
pub const TOKEN_BY_PUBLIC: Index = Index::unique(108, "api_tokens_by_public");
/// Tokens of an account, oldest first.
pub const TOKEN_BY_ACCOUNT: Index = Index::multi(109, "api_tokens_by_account");
pub const TOKEN_SECRETS: Table = Table::new(110, "api_token_hashes");
/// Last use of each token.
pub const LAST_USED: Table = Table::new(111, "last_used");
pub const WORKSPACES: Table = Table::new(112, "workspaces");
pub const WORKSPACE_BY_SLUG: Index = Index::unique(113, "workspaces_by_slug");
pub const LINKS: Table = Table::new(114, "links");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The same in all workspaces.
    pub id: AccountId,
    /// Lower case.
    pub email: String,
    pub name: String,
    /// IANA time zone, if it differs from the workspace's.
    pub zone: Option<String>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Set while the account is disabled.
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

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    pub account: AccountId,
    /// Argon2id hash.
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

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    pub id: SignInId,
    pub account: AccountId,
    /// Hash of the cookie token.
    pub hash: TokenHash,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Network address, truncated so that it identifies no single machine.
    pub address: String,
    /// User agent.
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

/// Last use of a sign-in. Written at most once a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen {
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
    /// First eight characters after the prefix. Not secret.
    pub public: String,
    pub account: AccountId,
    /// The token is valid only for this workspace.
    pub workspace: WorkspaceId,
    /// Purpose in the person's words.
    pub name: String,
    pub scopes: Vec<Scope>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub expires_at: Timestamp,
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

/// Last use of a token. Written at most once a minute.
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

/// A listed workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Same as in its own store.
    pub id: WorkspaceId,
    /// Folder name and URL path. Never changes.
    pub slug: String,
    /// Copy of the workspace's name, in case its own store cannot be read.
    pub label: String,
    /// Copy of its emoji.
    pub emoji: String,
    pub state: WorkspaceState,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Time of the scheduled deletion.
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

/// Purpose of a one-time link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// The first person sets up HQ.
    SetUp,
    /// Choose a new password.
    Reset(AccountId),
    /// Choose a new password and disable the lost second factor.
    ResetAll(AccountId),
}

/// A one-time link. Used or replaced links are deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Public part of the token, for lookup.
    pub public: String,
    pub hash: TokenHash,
    pub purpose: Purpose,
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
