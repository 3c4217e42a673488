//! All writes of accounts, sign-ins, tokens and links. Tokens and hashes are created by the callers; only storable
//! hashes get here.

pub mod accounts;
pub mod appearance;
pub mod devices;
pub mod factors;
pub mod passkeys;
pub mod restored;
pub mod workspaces;

use jiff::SignedDuration;

use crypto::password::PasswordError;
use crypto::token::{Token, TokenHash};
use kernel::{
    AccountId, Event, FieldError, Problem, ProblemKind, Scope, SignInId, Timestamp, TokenId,
    WorkspaceId,
};
use store::{Range, ReadExt, StoreError, WriteTx};

use super::model::{
    Account, ApiToken, LastSeen, LastUsed, Link, Password, Purpose, SignIn, TokenSecret, Workspace,
};
use super::queries;

/// Lifetime of a one-time link.
pub const LINK_LIFE: SignedDuration = SignedDuration::from_mins(30);
/// Allowed lifetime of a token, in days.
pub const TOKEN_DAYS: std::ops::RangeInclusive<i64> = 1..=365;
/// Maximum number of tokens, and of sign-ins, per account.
const MAX_EACH: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    #[error("{message}")]
    Field {
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Wrong password or unknown address. Deliberately not distinguished.
    #[error("email or password is incorrect; try again")]
    NoMatch,
    #[error("too many attempts; try again in {0}")]
    TooMany(String),
    /// The link was used, replaced or has expired.
    #[error("this link no longer works; restart HQ or run `hq user reset-link` for a new one")]
    DeadLink,
    #[error("the account {0} is disabled; `hq user enable {0}` enables it again")]
    Disabled(String),
    /// The account belongs to a workspace, or may belong to a closed one.
    #[error("the account {0} belongs to {1}; end that membership first, or disable the account")]
    Belongs(String, String),
    #[error("HQ is already set up; sign in")]
    SetUpDone,
    #[error("there is no account {0}; check the spelling")]
    NoAccount(String),
    #[error("HQ has no owner yet; open its set-up link first (`hq user reset-link` creates one)")]
    NoOwner,
    /// Does not exist or belongs to another account.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The workspace cannot be opened.
    #[error("{words}")]
    Shut {
        /// Tells whether a backup restores it.
        code: &'static str,
        /// Reason and advice.
        words: String,
    },
    /// Several workspaces are possible.
    #[error("say which workspace with --workspace: {0}")]
    WhichWorkspace(String),
    /// A requested scope exceeds the person's own permissions.
    #[error("a token can't have the scope \"{0}\", since you don't have that permission")]
    MoreThanOwn(&'static str),
    /// An admin cannot revoke an owner's token.
    #[error("this token belongs to an owner; only an owner can revoke it")]
    OwnersToken,
    /// The limit is reached.
    #[error("you already have {MAX_EACH} {0}; remove one first")]
    Many(&'static str),
    /// The password or code for confirmation was wrong.
    #[error("{0}")]
    NoProof(String),
    /// A TOTP or recovery code is wrong or was already used.
    #[error("this code is wrong or was already used; try the next one")]
    NoCode,
    /// TOTP is already enabled.
    #[error("app codes are already turned on; turn them off first")]
    FactorOn,
    /// The TOTP secret cannot be unsealed.
    #[error("the authenticator app's secret can't be read: {0}")]
    Unreadable(String),
    /// The password was rejected or cannot be verified.
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UsersError {
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Field { field, message: message.into() }
    }
}

impl Problem for UsersError {
    fn code(&self) -> &'static str {
        match self {
            Self::Field { .. } => "invalid",
            Self::NoMatch => "no_match",
            Self::TooMany(_) => "rate_limited",
            Self::DeadLink => "dead_link",
            Self::SetUpDone => "set_up_done",
            Self::NoAccount(_) => "no_account",
            Self::Disabled(_) => "account_disabled",
            Self::Belongs(..) => "account_in_use",
            Self::NoOwner => "setup_required",
            Self::NotFound(_) => "not_found",
            Self::Shut { code, .. } => code,
            Self::WhichWorkspace(_) => "workspace_required",
            Self::MoreThanOwn(_) => "more_than_own",
            Self::Many(_) => "too_many",
            Self::NoCode => "no_code",
            Self::NoProof(_) => "no_proof",
            Self::OwnersToken => "more_than_own",
            Self::FactorOn => "factor_on",
            Self::Unreadable(_) => "factor_unreadable",
            Self::Password(PasswordError::NoMemory) => "no_memory",
            Self::Password(PasswordError::PepperMissing | PasswordError::BadHash) => {
                "password_unreadable"
            }
            Self::Password(_) => "weak_password",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Field { .. }
            | Self::WhichWorkspace(_)
            | Self::NoMatch
            | Self::NoCode
            | Self::NoProof(_) => ProblemKind::Invalid,
            Self::TooMany(_) => ProblemKind::Limited,
            Self::DeadLink => ProblemKind::Gone,
            Self::SetUpDone
            | Self::Many(_)
            | Self::NoOwner
            | Self::FactorOn
            | Self::Belongs(..)
            | Self::Disabled(_) => ProblemKind::Conflict,
            Self::Unreadable(_) => ProblemKind::Internal,
            Self::NoAccount(_) | Self::NotFound(_) => ProblemKind::NotFound,
            Self::MoreThanOwn(_) | Self::OwnersToken => ProblemKind::Forbidden,
            Self::Shut { .. } | Self::Password(PasswordError::NoMemory) => ProblemKind::Unavailable,
            Self::Password(_) => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Field { field, message } => vec![FieldError::new(*field, message)],
            Self::WhichWorkspace(_) => vec![FieldError::new("workspace", self.to_string())],
            Self::Password(
                PasswordError::TooShort
                | PasswordError::TooLong
                | PasswordError::Guessable
                | PasswordError::Personal,
            ) => vec![FieldError::new("password", self.to_string())],
            Self::Store(error) => error.fields(),
            _ => Vec::new(),
        }
    }
}

pub struct NewAccount {
    /// Already known to the workspace.
    pub id: AccountId,
    pub name: String,
    /// Validated address.
    pub email: String,
    pub hash: String,
}

/// Second part of first boot: creates the owner's account, lists the workspace and deletes the link.
///
/// # Errors
/// If HQ is already set up or the link is invalid.
pub fn set_up(
    tx: &mut WriteTx<'_>,
    owner: NewAccount,
    workspace: &Workspace,
    link: &Token,
) -> Result<Account, UsersError> {
    if queries::any_account(tx)? {
        return Err(UsersError::SetUpDone);
    }
    use_link(tx, link, Purpose::SetUp)?;
    workspaces::list(tx, workspace)?;
    create_account(tx, owner)
}

/// Creates an account without a workspace.
///
/// # Errors
/// If the address is taken.
pub fn create_account(tx: &mut WriteTx<'_>, new: NewAccount) -> Result<Account, UsersError> {
    if queries::by_email(tx, &new.email)?.is_some() {
        let text = "an account with this address already exists; sign in with it";
        return Err(UsersError::field("email", text));
    }
    let now = tx.now();
    let account = Account {
        id: new.id,
        email: new.email,
        name: new.name,
        zone: None,
        created_at: now,
        disabled_at: None,
    };
    tx.put(&account)?;
    tx.put(&Password { account: new.id, hash: new.hash, changed_at: now })?;
    Ok(account)
}

/// A new sign-in.
pub struct NewSignIn {
    /// Hash of the cookie token.
    pub hash: TokenHash,
    /// Truncated network address.
    pub address: String,
    /// User agent.
    pub agent: String,
    /// Set if the browser should be remembered as a trusted device.
    pub device: Option<devices::DeviceCookies>,
}

/// Creates a sign-in. Deletes the oldest sign-ins above the limit.
///
/// # Errors
/// If there is no such account or it is disabled.
pub fn sign_in(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    new: NewSignIn,
) -> Result<SignIn, UsersError> {
    let known = tx.get::<Account>(account)?.ok_or(UsersError::NoMatch)?;
    if known.disabled_at.is_some() {
        return Err(UsersError::NoMatch);
    }
    let others = queries::sign_ins(tx, account)?;
    for old in others.iter().take((others.len() + 1).saturating_sub(MAX_EACH)) {
        sign_out(tx, old.id)?;
    }
    let now = tx.now();
    let sign_in = SignIn {
        id: tx.new_id(),
        account,
        hash: new.hash,
        created_at: now,
        address: new.address,
        agent: new.agent,
    };
    tx.put(&sign_in)?;
    tx.put(&LastSeen { sign_in: sign_in.id, at: now })?;
    if let Some(cookies) = new.device {
        devices::keep(tx, (account, sign_in.id), cookies)?;
    }
    tx.emit(Event::SignedIn { account, sign_in: sign_in.id });
    Ok(sign_in)
}

/// Replaces the cookie token of a sign-in. The former token becomes invalid.
///
/// # Errors
/// If the sign-in has ended.
pub fn renew_sign_in(
    tx: &mut WriteTx<'_>,
    id: SignInId,
    hash: TokenHash,
) -> Result<(), UsersError> {
    let mut sign_in = tx.get::<SignIn>(id)?.ok_or(UsersError::NotFound("sign-in"))?;
    sign_in.hash = hash;
    tx.put(&sign_in)?;
    Ok(())
}

/// Ends a sign-in, if it exists.
pub fn sign_out(tx: &mut WriteTx<'_>, id: SignInId) -> Result<(), UsersError> {
    if let Some(gone) = tx.get::<SignIn>(id)? {
        tx.delete::<SignIn>(id)?;
        tx.emit(Event::SignedOut { account: gone.account, sign_in: id });
    }
    Ok(())
}

/// Ends a sign-in of the account, and forgets its device.
///
/// # Errors
/// If it does not exist or belongs to another account.
pub fn revoke_sign_in(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    id: SignInId,
) -> Result<(), UsersError> {
    match tx.get::<SignIn>(id)? {
        Some(found) if found.account == account => {
            devices::forget(tx, account, id)?;
            sign_out(tx, id)
        }
        _ => Err(UsersError::NotFound("sign-in")),
    }
}

/// Ends all sign-ins of the account except one, and forgets all other devices.
pub fn revoke_others(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    keep: Option<SignInId>,
) -> Result<usize, UsersError> {
    let others = queries::sign_ins(tx, account)?;
    let gone: Vec<_> = others.iter().filter(|one| Some(one.id) != keep).collect();
    for one in &gone {
        sign_out(tx, one.id)?;
    }
    devices::forget_others(tx, account, keep)?;
    Ok(gone.len())
}

/// Records the use of a sign-in.
pub fn note_seen(tx: &mut WriteTx<'_>, sign_in: SignInId) -> Result<(), UsersError> {
    let at = tx.now();
    if tx.get::<SignIn>(sign_in)?.is_some() {
        tx.put(&LastSeen { sign_in, at })?;
    }
    Ok(())
}

/// Records the use of a token.
pub fn note_used(tx: &mut WriteTx<'_>, token: TokenId) -> Result<(), UsersError> {
    let at = tx.now();
    if tx.get::<ApiToken>(token)?.is_some() {
        tx.put(&LastUsed { token, at })?;
    }
    Ok(())
}

/// Sets a new password and ends the other sign-ins of the account.
pub fn set_password(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    hash: String,
    keep: Option<SignInId>,
) -> Result<(), UsersError> {
    let changed_at = tx.now();
    tx.put(&Password { account, hash, changed_at })?;
    revoke_others(tx, account, keep)?;
    devices::forget_others(tx, account, None)?;
    Ok(())
}

/// Replaces the hash of the same password with one using current parameters.
pub fn renew_hash(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    hash: String,
) -> Result<(), UsersError> {
    if let Some(mut kept) = tx.get::<Password>(account)? {
        kept.hash = hash;
        tx.put(&kept)?;
    }
    Ok(())
}

/// Sets a password with a one-time link and ends all sign-ins. Returns the account.
///
/// # Errors
/// If the link is invalid.
pub fn reset_password(
    tx: &mut WriteTx<'_>,
    link: &Token,
    hash: String,
) -> Result<AccountId, UsersError> {
    let purpose = queries::link(tx, link, tx.now())?.map(|link| link.purpose);
    let Some(purpose @ (Purpose::Reset(account) | Purpose::ResetAll(account))) = purpose else {
        return Err(UsersError::DeadLink);
    };
    use_link(tx, link, purpose)?;
    if matches!(purpose, Purpose::ResetAll(_)) {
        factors::clear(tx, account)?;
    }
    set_password(tx, account, hash, None)?;
    Ok(account)
}

/// Sets the account's time zone. `None` means that of the workspace.
pub fn set_zone(
    tx: &mut WriteTx<'_>,
    id: AccountId,
    zone: Option<String>,
) -> Result<Account, UsersError> {
    if zone.as_deref().is_some_and(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
        return Err(UsersError::field("zone", "choose a time zone like Europe/Berlin"));
    }
    let mut account =
        tx.get::<Account>(id)?.ok_or_else(|| UsersError::NoAccount(id.to_string()))?;
    account.zone = zone;
    tx.put(&account)?;
    Ok(account)
}

/// Stores a one-time link. Invalidates earlier links for the same purpose.
pub fn give_link(
    tx: &mut WriteTx<'_>,
    token: &Token,
    purpose: Purpose,
) -> Result<Link, UsersError> {
    let expires_at = tx.now() + LINK_LIFE;
    for old in tx.list::<Link>(&Range::all())? {
        if old.purpose == purpose || old.expires_at <= tx.now() {
            tx.delete::<Link>(old.public)?;
        }
    }
    let link = Link { public: token.id().to_owned(), hash: token.hash(), purpose, expires_at };
    tx.put(&link)?;
    Ok(link)
}

fn use_link(tx: &mut WriteTx<'_>, token: &Token, purpose: Purpose) -> Result<(), UsersError> {
    match queries::link(tx, token, tx.now())? {
        Some(link) if link.purpose == purpose => {
            tx.delete::<Link>(link.public)?;
            Ok(())
        }
        _ => Err(UsersError::DeadLink),
    }
}

pub struct NewToken {
    pub account: AccountId,
    pub workspace: WorkspaceId,
    pub name: String,
    /// At least one.
    pub scopes: Vec<Scope>,
    /// Lifetime in days.
    pub days: i64,
    /// Public part of the token.
    pub public: String,
    pub hash: TokenHash,
}

/// Creates an API token.
///
/// # Errors
/// If a field is invalid.
pub fn create_token(tx: &mut WriteTx<'_>, new: NewToken) -> Result<ApiToken, UsersError> {
    let name = new.name.trim().to_owned();
    if name.is_empty() || 80 < name.chars().count() {
        return Err(UsersError::field("name", "enter a name (up to 80 characters)"));
    }
    if new.scopes.is_empty() {
        return Err(UsersError::field("scopes", "choose at least one permission"));
    }
    if !TOKEN_DAYS.contains(&new.days) {
        return Err(UsersError::field("days", "choose 1 to 365 days"));
    }
    if MAX_EACH <= queries::tokens(tx, new.account)?.iter().filter(|t| t.is_open()).count() {
        return Err(UsersError::Many("tokens"));
    }
    let mut scopes = new.scopes;
    scopes.sort();
    scopes.dedup();
    let now = tx.now();
    let token = ApiToken {
        id: tx.new_id(),
        public: new.public,
        account: new.account,
        workspace: new.workspace,
        name,
        scopes,
        created_at: now,
        expires_at: now + SignedDuration::from_hours(24 * new.days),
        revoked_at: None,
    };
    tx.put(&token)?;
    tx.put(&TokenSecret { token: token.id, hash: new.hash })?;
    tx.emit(Event::TokenCreated { token: token.id });
    Ok(token)
}

/// Revokes a token of the account.
///
/// # Errors
/// If it does not exist or belongs to another account.
pub fn revoke_token(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    id: TokenId,
) -> Result<ApiToken, UsersError> {
    let found = tx.get::<ApiToken>(id)?.filter(|token| token.account == account);
    let mut token = found.ok_or(UsersError::NotFound("token"))?;
    if token.is_open() {
        token.revoked_at = Some(tx.now());
        tx.put(&token)?;
        tx.delete::<TokenSecret>(id)?;
        tx.emit(Event::TokenRevoked { token: id });
    }
    Ok(token)
}

/// Revokes another account's token of a workspace.
///
/// # Errors
/// If it does not exist or is for another workspace.
pub fn withdraw_token(
    tx: &mut WriteTx<'_>,
    workspace: WorkspaceId,
    id: TokenId,
) -> Result<ApiToken, UsersError> {
    let found = tx.get::<ApiToken>(id)?.filter(|token| token.workspace == workspace);
    let token = found.ok_or(UsersError::NotFound("token"))?;
    revoke_token(tx, token.account, id)
}

/// Deletes at most `limit` expired sign-ins and links. Returns the number.
pub fn sweep(tx: &mut WriteTx<'_>, oldest: Timestamp, limit: usize) -> Result<usize, UsersError> {
    let now = tx.now();
    let old: Vec<SignIn> = tx.list(&Range::all().limit(limit))?;
    let gone: Vec<_> = old.into_iter().take_while(|one| one.created_at < oldest).collect();
    for one in &gone {
        sign_out(tx, one.id)?;
    }
    let links = tx.list::<Link>(&Range::all())?;
    for link in links.into_iter().filter(|link| link.expires_at <= now) {
        tx.delete::<Link>(link.public)?;
    }
    Ok(gone.len())
}

impl ApiToken {
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.revoked_at.is_none()
    }
}
