//! Reads of accounts, sign-ins, tokens and links, and the checks of what people type.

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

/// Whether HQ has an owner.
pub fn any_account(read: &dyn Read) -> Result<bool, StoreError> {
    Ok(!read.list::<Account>(&Range::all().limit(1))?.is_empty())
}

/// All accounts, in the order of their ids.
pub fn accounts(read: &dyn Read) -> Result<Vec<Account>, StoreError> {
    read.list(&Range::all())
}

/// The accounts that are closed, with since when.
pub fn disabled(read: &dyn Read) -> Result<BTreeMap<AccountId, Timestamp>, StoreError> {
    let all = accounts(read)?.into_iter();
    Ok(all.filter_map(|one| one.disabled_at.map(|at| (one.id, at))).collect())
}

/// The account that was made first here and is open: in whose name whoever runs the machine acts. An id does not tell
/// that: somebody who came with a workspace from another HQ keeps the one from there.
pub fn keeper(read: &dyn Read) -> Result<Option<Account>, StoreError> {
    let open = accounts(read)?.into_iter().filter(|one| one.disabled_at.is_none());
    Ok(open.min_by_key(|one| (one.created_at, one.id)))
}

/// An account by its address, however it was typed.
pub fn by_email(read: &dyn Read, email: &str) -> Result<Option<Account>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&normal_email(email));
    read.find(ACCOUNT_BY_EMAIL, &key)
}

/// The stored hash of a person's password.
pub fn password_hash(read: &dyn Read, account: AccountId) -> Result<Option<String>, StoreError> {
    Ok(read.get::<Password>(account)?.map(|kept| kept.hash))
}

/// The sign-in of a cookie, with when it was last seen.
pub fn by_cookie(
    read: &dyn Read,
    token: &Token,
) -> Result<Option<(SignIn, Timestamp)>, StoreError> {
    let mut key = KeyBuf::new();
    key.raw(token.hash().as_bytes());
    let found = read.find::<SignIn>(SIGN_IN_BY_HASH, &key)?;
    // The index compares bytes as it likes; what decides is compared in constant time.
    let Some(found) = found.filter(|found| found.hash == token.hash()) else { return Ok(None) };
    let seen = read.get::<LastSeen>(found.id)?.map_or(found.created_at, |seen| seen.at);
    Ok(Some((found, seen)))
}

/// How long a device is known after a sign-in on it.
pub const DEVICE_LIFE: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Whether a person has signed in with this device cookie, and nobody has made HQ forget it since.
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

/// How many devices of a person are known besides that of one sign-in.
pub fn other_devices(
    read: &dyn Read,
    account: AccountId,
    own: Option<SignInId>,
) -> Result<usize, StoreError> {
    let known = read.get::<KnownDevices>(account)?;
    let devices = known.map_or_else(Vec::new, |known| known.devices);
    Ok(devices.iter().filter(|one| Some(one.sign_in) != own).count())
}

/// A person's sign-ins, oldest first.
pub fn sign_ins(read: &dyn Read, account: AccountId) -> Result<Vec<SignIn>, StoreError> {
    read.scan(SIGN_IN_BY_ACCOUNT, &Range::prefix(KeyBuf::of(&account)))
}

/// When a sign-in was last seen.
pub fn seen(read: &dyn Read, sign_in: &SignIn) -> Result<Timestamp, StoreError> {
    Ok(read.get::<LastSeen>(sign_in.id)?.map_or(sign_in.created_at, |seen| seen.at))
}

/// The row of a token that somebody has sent, if it is the right one.
pub fn by_token(read: &dyn Read, token: &Token) -> Result<Option<ApiToken>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(token.id());
    let Some(found) = read.find::<ApiToken>(TOKEN_BY_PUBLIC, &key)? else { return Ok(None) };
    let right = read.get::<TokenSecret>(found.id)?.is_some_and(|kept| kept.hash == token.hash());
    Ok(right.then_some(found))
}

/// A person's tokens, oldest first, withdrawn ones too.
pub fn tokens(read: &dyn Read, account: AccountId) -> Result<Vec<ApiToken>, StoreError> {
    read.scan(TOKEN_BY_ACCOUNT, &Range::prefix(KeyBuf::of(&account)))
}

/// When a token was last used.
pub fn last_used(read: &dyn Read, token: TokenId) -> Result<Option<Timestamp>, StoreError> {
    Ok(read.get::<LastUsed>(token)?.map(|used| used.at))
}

/// A one-time link that still works.
pub fn link(read: &dyn Read, token: &Token, now: Timestamp) -> Result<Option<Link>, StoreError> {
    let found = read.get::<Link>(token.id().to_owned())?;
    Ok(found.filter(|link| link.hash == token.hash() && now < link.expires_at))
}

/// The secret of a person's app, also one that waits for its first code.
pub fn totp(read: &dyn Read, account: AccountId) -> Result<Option<Totp>, StoreError> {
    read.get::<Totp>(account)
}

/// Whether a code is asked for after the password.
pub fn has_totp(read: &dyn Read, account: AccountId) -> Result<bool, StoreError> {
    Ok(totp(read, account)?.is_some_and(|kept| kept.confirmed_at.is_some()))
}

/// How many recovery codes a person has left.
pub fn recovery_left(read: &dyn Read, account: AccountId) -> Result<usize, StoreError> {
    Ok(read.get::<RecoveryCodes>(account)?.map_or(0, |kept| kept.hashes.len()))
}

/// A person's passkeys, oldest first.
pub fn passkeys(read: &dyn Read, account: AccountId) -> Result<Vec<Passkey>, StoreError> {
    read.scan(PASSKEY_BY_ACCOUNT, &Range::prefix(KeyBuf::of(&account)))
}

/// A passkey by what the browser calls it.
pub fn passkey(read: &dyn Read, credential: &[u8]) -> Result<Option<Passkey>, StoreError> {
    let mut key = KeyBuf::new();
    key.raw(TokenHash::of(credential).as_bytes());
    let found = read.find::<Passkey>(PASSKEY_BY_CREDENTIAL, &key)?;
    Ok(found.filter(|found| found.credential == credential))
}

/// How a passkey was used last.
pub fn passkey_use(read: &dyn Read, id: PasskeyId) -> Result<Option<PasskeyUse>, StoreError> {
    read.get::<PasskeyUse>(id)
}

/// Whether a person proves who they are by more than a password.
pub fn has_factor(read: &dyn Read, account: AccountId) -> Result<bool, StoreError> {
    Ok(has_totp(read, account)? || !passkeys(read, account)?.is_empty())
}

/// The open tokens of a workspace, whoever made them.
pub fn tokens_of(
    read: &dyn Read,
    workspace: WorkspaceId,
    now: Timestamp,
) -> Result<Vec<ApiToken>, StoreError> {
    let all = read.list::<ApiToken>(&Range::all())?;
    let here = |token: &ApiToken| token.workspace == workspace && token.is_open();
    Ok(all.into_iter().filter(|token| here(token) && now < token.expires_at).collect())
}

/// A master key that does not belong to this folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKeyMismatch {
    /// What it shuts, and what to do.
    pub words: String,
    /// Whether it fits nobody.
    pub whole: bool,
}

/// That the master key is another one than the data needs; none when it fits: passwords rest on it, and
/// everybody has one.
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
        "{count} of {} passwords were set under another master key ({names}) than the one that is here \
         ({}), and what else was sealed with it stays closed: put that key back and start HQ again; if it \
         is lost, set the passwords anew with `hq user reset-link`, and enter the keys of connections \
         again",
        all.len(),
        ring.key_id()
    );
    Ok((0 < count).then_some(MasterKeyMismatch { words, whole: count == all.len() }))
}

/// All workspaces, oldest first.
pub fn workspaces(read: &dyn Read) -> Result<Vec<Workspace>, StoreError> {
    read.list(&Range::all())
}

/// An address as it is kept and compared.
#[must_use]
pub fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// An address that can be one, read as everywhere else: without `mailto:` and the brackets around it.
///
/// # Errors
/// Says what is missing.
pub fn checked_email(email: &str) -> Result<String, UsersError> {
    match entity::mail_address(email) {
        Ok(email) => Ok(normal_email(&email)),
        // ok: the sentence below says the same and what to write
        Err(_) => Err(UsersError::field("email", "write an address like name@example.com")),
    }
}

/// A person's name.
pub fn checked_name(name: &str) -> Result<String, UsersError> {
    let name = name.trim();
    if name.is_empty() || 80 < name.chars().count() || name.chars().any(char::is_control) {
        return Err(UsersError::field("name", "write a name of 1 to 80 characters"));
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
