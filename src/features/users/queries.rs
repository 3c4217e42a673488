//! Reads of accounts, sign-ins, tokens and links, and validation of form input.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crypto::keyring::Keyring;
use crypto::password;
use crypto::token::{Token, TokenHash};
use kernel::key::KeyBuf;
use kernel::{AccountId, PasskeyId, SignInId, Timestamp, TokenId, WorkspaceId};
use store::{Range, Read, ReadExt, StoreError};

use super::model::devices::KnownDevices;
use super::model::factors::{
    PASSKEY_BY_ACCOUNT, PASSKEY_BY_CREDENTIAL, Passkey, PasskeyUse, RecoveryCodes, Totp,
};
use super::model::{
    ACCOUNT_BY_EMAIL, Account, ApiToken, LastSeen, LastUsed, Link, Password, SIGN_IN_BY_ACCOUNT,
    SIGN_IN_BY_HASH, SignIn, TOKEN_BY_ACCOUNT, TOKEN_BY_PUBLIC, TokenSecret, Workspace,
};
use super::rules::UsersError;

/// Returns `true` once HQ has an owner.
pub fn any_account(read: &dyn Read) -> Result<bool, StoreError> {
    Ok(!read.list::<Account>(&Range::all().limit(1))?.is_empty())
}

/// All accounts, in id order.
pub fn accounts(read: &dyn Read) -> Result<Vec<Account>, StoreError> {
    read.list(&Range::all())
}

/// Disabled accounts, with the time of disabling.
pub fn disabled(read: &dyn Read) -> Result<BTreeMap<AccountId, Timestamp>, StoreError> {
    let all = accounts(read)?.into_iter();
    Ok(all.filter_map(|one| one.disabled_at.map(|at| (one.id, at))).collect())
}

/// Owner of this HQ: the enabled account that was created here first. Commands on this machine act in its name. Ordered
/// by time and not by id, because an account imported with a workspace keeps its id.
pub fn keeper(read: &dyn Read) -> Result<Option<Account>, StoreError> {
    let open = accounts(read)?.into_iter().filter(|one| one.disabled_at.is_none());
    Ok(open.min_by_key(|one| (one.created_at, one.id)))
}

/// Finds an account by address, normalising the input.
pub fn by_email(read: &dyn Read, email: &str) -> Result<Option<Account>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&normal_email(email));
    read.find(ACCOUNT_BY_EMAIL, &key)
}

pub fn password_hash(read: &dyn Read, account: AccountId) -> Result<Option<String>, StoreError> {
    Ok(read.get::<Password>(account)?.map(|kept| kept.hash))
}

/// Sign-in of a cookie, and the time of its last use.
pub fn by_cookie(
    read: &dyn Read,
    token: &Token,
) -> Result<Option<(SignIn, Timestamp)>, StoreError> {
    let mut key = KeyBuf::new();
    key.raw(token.hash().as_bytes());
    let found = read.find::<SignIn>(SIGN_IN_BY_HASH, &key)?;
    // The index lookup is not constant-time, so this comparison decides.
    let Some(found) = found.filter(|found| found.hash == token.hash()) else { return Ok(None) };
    let seen = read.get::<LastSeen>(found.id)?.map_or(found.created_at, |seen| seen.at);
    Ok(Some((found, seen)))
}

/// How long a device is remembered after a sign-in.
pub const DEVICE_LIFE: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Returns `true` if the account has signed in with this device cookie and the device was not forgotten since.
pub fn knows_device(
    read: &dyn Read,
    account: AccountId,
    token: &Token,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let known = read.get::<KnownDevices>(account)?;
    let devices = known.map_or_else(Vec::new, |known| known.devices);
    let hash = token.hash();
    Ok(devices.iter().any(|one| one.hash == hash && now < one.at + DEVICE_LIFE))
}

/// Number of the account's remembered devices other than that of one sign-in.
pub fn other_devices(
    read: &dyn Read,
    account: AccountId,
    own: Option<SignInId>,
) -> Result<usize, StoreError> {
    let known = read.get::<KnownDevices>(account)?;
    let devices = known.map_or_else(Vec::new, |known| known.devices);
    Ok(devices.iter().filter(|one| Some(one.sign_in) != own).count())
}

/// Sign-ins of an account, oldest first.
pub fn sign_ins(read: &dyn Read, account: AccountId) -> Result<Vec<SignIn>, StoreError> {
    read.scan(SIGN_IN_BY_ACCOUNT, &Range::prefix(KeyBuf::of(&account)))
}

/// Time of the last use.
pub fn seen(read: &dyn Read, sign_in: &SignIn) -> Result<Timestamp, StoreError> {
    Ok(read.get::<LastSeen>(sign_in.id)?.map_or(sign_in.created_at, |seen| seen.at))
}

/// Row of a token, if its secret matches.
pub fn by_token(read: &dyn Read, token: &Token) -> Result<Option<ApiToken>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(token.id());
    let Some(found) = read.find::<ApiToken>(TOKEN_BY_PUBLIC, &key)? else { return Ok(None) };
    let right = read.get::<TokenSecret>(found.id)?.is_some_and(|kept| kept.hash == token.hash());
    Ok(right.then_some(found))
}

/// Tokens of an account, oldest first, including revoked ones.
pub fn tokens(read: &dyn Read, account: AccountId) -> Result<Vec<ApiToken>, StoreError> {
    read.scan(TOKEN_BY_ACCOUNT, &Range::prefix(KeyBuf::of(&account)))
}

pub fn last_used(read: &dyn Read, token: TokenId) -> Result<Option<Timestamp>, StoreError> {
    Ok(read.get::<LastUsed>(token)?.map(|used| used.at))
}

/// A one-time link that is valid at `now`.
pub fn link(read: &dyn Read, token: &Token, now: Timestamp) -> Result<Option<Link>, StoreError> {
    let found = read.get::<Link>(token.id().to_owned())?;
    Ok(found.filter(|link| link.hash == token.hash() && now < link.expires_at))
}

/// TOTP secret of an account, confirmed or not.
pub fn totp(read: &dyn Read, account: AccountId) -> Result<Option<Totp>, StoreError> {
    read.get::<Totp>(account)
}

/// Returns `true` if TOTP is enabled.
pub fn has_totp(read: &dyn Read, account: AccountId) -> Result<bool, StoreError> {
    Ok(totp(read, account)?.is_some_and(|kept| kept.confirmed_at.is_some()))
}

/// Number of unused recovery codes.
pub fn recovery_left(read: &dyn Read, account: AccountId) -> Result<usize, StoreError> {
    Ok(read.get::<RecoveryCodes>(account)?.map_or(0, |kept| kept.hashes.len()))
}

/// Passkeys of an account, oldest first.
pub fn passkeys(read: &dyn Read, account: AccountId) -> Result<Vec<Passkey>, StoreError> {
    read.scan(PASSKEY_BY_ACCOUNT, &Range::prefix(KeyBuf::of(&account)))
}

/// Finds a passkey by credential id.
pub fn passkey(read: &dyn Read, credential: &[u8]) -> Result<Option<Passkey>, StoreError> {
    let mut key = KeyBuf::new();
    key.raw(TokenHash::of(credential).as_bytes());
    let found = read.find::<Passkey>(PASSKEY_BY_CREDENTIAL, &key)?;
    Ok(found.filter(|found| found.credential == credential))
}

/// Last use of a passkey.
pub fn passkey_use(read: &dyn Read, id: PasskeyId) -> Result<Option<PasskeyUse>, StoreError> {
    read.get::<PasskeyUse>(id)
}

/// Returns `true` if the account has TOTP or a passkey.
pub fn has_factor(read: &dyn Read, account: AccountId) -> Result<bool, StoreError> {
    Ok(has_totp(read, account)? || !passkeys(read, account)?.is_empty())
}

/// Unrevoked tokens of a workspace, of all accounts.
pub fn tokens_of(
    read: &dyn Read,
    workspace: WorkspaceId,
    now: Timestamp,
) -> Result<Vec<ApiToken>, StoreError> {
    let all = read.list::<ApiToken>(&Range::all())?;
    let here = |token: &ApiToken| token.workspace == workspace && token.is_open();
    Ok(all.into_iter().filter(|token| here(token) && now < token.expires_at).collect())
}

/// The master key does not belong to this data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKeyMismatch {
    /// What is inaccessible, and what to do.
    pub words: String,
    /// `true` if the key fits no account.
    pub whole: bool,
}

/// Checks that the master key fits the data, using the password hashes, which depend on it and which every account has.
/// `None` if it fits.
pub fn key_trouble(
    read: &dyn Read,
    ring: &Keyring,
) -> Result<Option<MasterKeyMismatch>, StoreError> {
    let all: Vec<Password> = read.list(&Range::all())?;
    let keys = all.iter().filter_map(|one| password::rests_on(&one.hash));
    let strange: Vec<String> = keys.filter(|key| !ring.knows(key)).collect();
    let count = strange.len();
    let names: BTreeSet<String> = strange.into_iter().collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let words = format!(
        "{count} of {} passwords were set under a different master key ({names}) than the \
         current one ({}), and other values sealed with it can't be opened. Put that key back \
         and restart HQ. If it is lost, reset the passwords with `hq user reset-link`, and enter \
         the connection keys again",
        all.len(),
        ring.key_id()
    );
    Ok((0 < count).then_some(MasterKeyMismatch { words, whole: count == all.len() }))
}

/// All workspaces, oldest first.
pub fn workspaces(read: &dyn Read) -> Result<Vec<Workspace>, StoreError> {
    read.list(&Range::all())
}

/// Normalised address for storage and comparison.
#[must_use]
pub fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Validates and normalises an address. Accepts `mailto:` and angle brackets.
///
/// # Errors
/// If it is not a valid address.
pub fn checked_email(email: &str) -> Result<String, UsersError> {
    match entity::mail_address(email) {
        Ok(email) => Ok(normal_email(&email)),
        // ok: the sentence below says the same and what to write
        Err(_) => Err(UsersError::field("email", "enter an address like name@example.com")),
    }
}

/// Validates a person's name.
pub fn checked_name(name: &str) -> Result<String, UsersError> {
    let name = name.trim();
    if name.is_empty() || 80 < name.chars().count() || name.chars().any(char::is_control) {
        return Err(UsersError::field("name", "enter a name (up to 80 characters)"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{checked_email, checked_name};

    #[test]
    fn addresses_are_kept_in_lower_case_and_refused_when_they_cannot_be_one() {
        assert_eq!(checked_email(" Mira@Marlow.Example ").ok(), Some("mira@marlow.example".into()));
        for wrapped in ["mailto:mira@marlow.example", "Mira <mira@marlow.example>"] {
            assert_eq!(checked_email(wrapped).ok(), Some("mira@marlow.example".into()));
        }
        for bad in [
            "",
            "mira",
            "mira@x",
            "m..a@marlow.example",
            "@x",
            "mira@",
            "a b@c",
            "a@b@c",
            "a@.b",
            "a\u{7}@b",
        ] {
            assert!(checked_email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_trimmed_and_have_a_length() {
        assert_eq!(checked_name("  Mira ").ok(), Some("Mira".into()));
        assert!(checked_name(" ").is_err());
        assert!(checked_name(&"x".repeat(81)).is_err());
    }
}
