//! Disabling, enabling and removing accounts.

use kernel::{AccountId, Event};
use store::{Range, ReadExt, WriteTx};

use super::super::model::{Account, Link, Purpose};
use super::workspaces::withdraw_tokens;
use super::{UsersError, revoke_others};

fn known(tx: &WriteTx<'_>, account: AccountId) -> Result<Account, UsersError> {
    tx.get::<Account>(account)?.ok_or_else(|| UsersError::NoAccount(account.to_string()))
}

/// Disables an account. Ends its sign-ins and one-time links and revokes its tokens; enabling restores none of them.
/// Memberships stay.
pub fn disable(tx: &mut WriteTx<'_>, account: AccountId) -> Result<Account, UsersError> {
    let mut closed = known(tx, account)?;
    if closed.disabled_at.is_some() {
        return Ok(closed);
    }
    closed.disabled_at = Some(tx.now());
    tx.put(&closed)?;
    tx.emit(Event::AccountDisabled { account });
    revoke_others(tx, account, None)?;
    withdraw_tokens(tx, |token| token.account == account)?;
    for link in tx.list::<Link>(&Range::all())? {
        if matches!(link.purpose, Purpose::Reset(of) | Purpose::ResetAll(of) if of == account) {
            tx.delete::<Link>(link.public)?;
        }
    }
    Ok(closed)
}

/// Removes an account with its password, factors, sign-ins and tokens. The caller has checked that it belongs to no
/// workspace.
pub fn remove(tx: &mut WriteTx<'_>, account: AccountId) -> Result<Account, UsersError> {
    let gone = known(tx, account)?;
    tx.delete::<Account>(account)?;
    Ok(gone)
}

/// Enables an account. The person must sign in again.
pub fn enable(tx: &mut WriteTx<'_>, account: AccountId) -> Result<Account, UsersError> {
    let mut open = known(tx, account)?;
    if open.disabled_at.take().is_some() {
        tx.put(&open)?;
        tx.emit(Event::AccountEnabled { account });
    }
    Ok(open)
}
