//! Writes of second factors. Every change ends the account's other sign-ins.

use crypto::token::TokenHash;
use kernel::{AccountId, Event, FactorChange, SignInId};
use store::{ReadExt, WriteTx};

use super::super::model::Account;
use super::super::model::factors::{Passkey, RecoveryCodes, Totp};
use super::super::queries;
use super::{UsersError, revoke_others};

fn changed(tx: &mut WriteTx<'_>, account: AccountId, change: FactorChange) {
    tx.emit(Event::FactorChanged { account, change });
}

/// Stores a TOTP secret that is unconfirmed until its first valid code.
///
/// # Errors
/// If TOTP is already enabled.
pub fn begin_totp(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    sealed: String,
) -> Result<(), UsersError> {
    if tx.get::<Totp>(account)?.is_some_and(|kept| kept.confirmed_at.is_some()) {
        return Err(UsersError::FactorOn);
    }
    tx.put(&Totp { account, sealed, confirmed_at: None, last_step: 0 })?;
    Ok(())
}

/// Enables TOTP and stores the recovery codes.
///
/// # Errors
/// If there is no unconfirmed secret.
pub fn confirm_totp(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    step: u64,
    codes: Vec<TokenHash>,
    keep: Option<SignInId>,
) -> Result<(), UsersError> {
    let waits = tx.get::<Totp>(account)?.filter(|kept| kept.confirmed_at.is_none());
    let mut totp = waits.ok_or(UsersError::NotFound("set-up of an app"))?;
    (totp.confirmed_at, totp.last_step) = (Some(tx.now()), step);
    tx.put(&totp)?;
    tx.put(&RecoveryCodes { account, hashes: codes, made_at: tx.now() })?;
    revoke_others(tx, account, keep)?;
    changed(tx, account, FactorChange::TotpOn);
    Ok(())
}

/// Consumes a TOTP code. Of two concurrent uses the second fails.
///
/// # Errors
/// If this code or a later one was already used.
pub fn use_totp(tx: &mut WriteTx<'_>, account: AccountId, step: u64) -> Result<(), UsersError> {
    let on = tx.get::<Totp>(account)?.filter(|kept| kept.last_step < step);
    let mut totp = on.ok_or(UsersError::NoCode)?;
    totp.last_step = step;
    tx.put(&totp)?;
    Ok(())
}

/// Consumes a recovery code.
///
/// # Errors
/// If it is not one of the unused codes.
pub fn use_recovery(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    entered: TokenHash,
) -> Result<(), UsersError> {
    let mut codes = tx.get::<RecoveryCodes>(account)?.ok_or(UsersError::NoCode)?;
    let at = codes.hashes.iter().position(|hash| *hash == entered).ok_or(UsersError::NoCode)?;
    codes.hashes.remove(at);
    tx.put(&codes)?;
    changed(tx, account, FactorChange::CodeUsed);
    Ok(())
}

/// Replaces the recovery codes.
///
/// # Errors
/// If TOTP is not enabled.
pub fn renew_recovery(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    codes: Vec<TokenHash>,
) -> Result<(), UsersError> {
    if !queries::has_totp(tx, account)? {
        return Err(UsersError::NotFound("authenticator app"));
    }
    tx.put(&RecoveryCodes { account, hashes: codes, made_at: tx.now() })?;
    changed(tx, account, FactorChange::CodesMade);
    Ok(())
}

/// Disables TOTP.
pub fn drop_totp(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    keep: Option<SignInId>,
) -> Result<(), UsersError> {
    if let Some(kept) = tx.get::<Totp>(account)? {
        tx.delete::<Totp>(account)?;
        if tx.get::<RecoveryCodes>(account)?.is_some() {
            tx.delete::<RecoveryCodes>(account)?;
        }
        if kept.confirmed_at.is_some() {
            revoke_others(tx, account, keep)?;
            changed(tx, account, FactorChange::TotpOff);
        }
    }
    Ok(())
}

/// Removes all second factors and passkeys of an account that has lost them.
pub fn clear(tx: &mut WriteTx<'_>, account: AccountId) -> Result<(), UsersError> {
    if tx.get::<Account>(account)?.is_none() {
        return Err(UsersError::NoAccount(account.to_string()));
    }
    drop_totp(tx, account, None)?;
    for passkey in queries::passkeys(tx, account)? {
        tx.delete::<Passkey>(passkey.id)?;
        changed(tx, account, FactorChange::PasskeyRemoved);
    }
    revoke_others(tx, account, None)?;
    Ok(())
}
