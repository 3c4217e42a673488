//! Access after a full restore: access that was revoked since the backup must stay revoked, and scheduled deletions
//! start over.

use std::collections::BTreeSet;

use kernel::{AccountId, Event, FactorChange, PasskeyId, TokenId, WorkspaceId, WorkspaceState};
use store::{Range, Read, ReadExt, StoreError, WriteTx};

use super::super::model::devices::KnownDevices;
use super::super::model::factors::Passkey;
use super::super::model::{Account, ApiToken, Link, SignIn, Workspace};
use super::UsersError;
use super::accounts::disable;
use super::workspaces::{GRACE, forget, withdraw_tokens};

/// What was revoked in the store that a restore replaces. Only explicit revocations count: a store of other people says
/// nothing about these accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Former {
    tokens: BTreeSet<TokenId>,
    accounts: BTreeSet<AccountId>,
    /// All accounts in that store, and their passkeys.
    known: BTreeSet<AccountId>,
    passkeys: BTreeSet<PasskeyId>,
}

impl Former {
    pub fn of(read: &dyn Read) -> Result<Self, StoreError> {
        let tokens = read.list::<ApiToken>(&Range::all())?;
        let accounts = read.list::<Account>(&Range::all())?;
        let passkeys = read.list::<Passkey>(&Range::all())?;
        Ok(Self {
            known: accounts.iter().map(|one| one.id).collect(),
            passkeys: passkeys.iter().map(|one| one.id).collect(),
            tokens: tokens.iter().filter(|one| !one.is_open()).map(|one| one.id).collect(),
            accounts: accounts
                .iter()
                .filter(|one| one.disabled_at.is_some())
                .map(|one| one.id)
                .collect(),
        })
    }
}

impl Former {
    /// Accounts that were disabled.
    #[must_use]
    pub fn shut(&self) -> &BTreeSet<AccountId> {
        &self.accounts
    }

    /// Returns `true` if the passkey was removed: its account is known but the passkey is missing.
    fn has_lost(&self, passkey: &Passkey) -> bool {
        self.known.contains(&passkey.account) && !self.passkeys.contains(&passkey.id)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    pub sign_ins: u64,
    /// Tokens that were revoked since the backup and are revoked again.
    pub tokens: u64,
    /// Accounts that were disabled since the backup and are disabled again.
    pub accounts: u64,
    /// Passkeys that were removed since the backup and are removed again.
    pub passkeys: u64,
    /// Slugs of workspaces whose grace period starts over.
    pub graces: Vec<String>,
}

/// Ends all sign-ins and one-time links, and forgets all devices. Revokes again what `former` had revoked: tokens,
/// accounts and passkeys. Without `former`, because that store could not be read, they stay as in the backup.
/// Workspaces scheduled for deletion get a full grace period.
pub fn after_restore(tx: &mut WriteTx<'_>, former: Option<&Former>) -> Result<Closed, UsersError> {
    let mut closed = Closed::default();
    for one in tx.list::<SignIn>(&Range::all())? {
        tx.delete::<SignIn>(one.id)?;
        closed.sign_ins += 1;
    }
    for link in tx.list::<Link>(&Range::all())? {
        tx.delete::<Link>(link.public)?;
    }
    for known in tx.list::<KnownDevices>(&Range::all())? {
        tx.delete::<KnownDevices>(known.account)?;
    }
    if let Some(former) = former {
        let withdrawn = withdraw_tokens(tx, |token| former.tokens.contains(&token.id))?;
        closed.tokens = withdrawn as u64;
        for account in tx.list::<Account>(&Range::all())? {
            if account.disabled_at.is_none() && former.accounts.contains(&account.id) {
                disable(tx, account.id)?;
                closed.accounts += 1;
            }
        }
        let passkeys = tx.list::<Passkey>(&Range::all())?;
        for lost in passkeys.into_iter().filter(|passkey| former.has_lost(passkey)) {
            tx.delete::<Passkey>(lost.id)?;
            let change = FactorChange::PasskeyRemoved;
            tx.emit(Event::FactorChanged { account: lost.account, change });
            closed.passkeys += 1;
        }
    }
    for mut row in tx.list::<Workspace>(&Range::all())? {
        if row.state == WorkspaceState::Deleting {
            row.delete_after = Some(tx.now() + GRACE);
            tx.put(&row)?;
            closed.graces.push(row.slug);
        }
    }
    Ok(closed)
}

/// Removes workspaces that were not restored from the list. Returns their slugs.
pub fn forget_others(
    tx: &mut WriteTx<'_>,
    restored: &BTreeSet<String>,
) -> Result<Vec<String>, UsersError> {
    let rows = tx.list::<Workspace>(&Range::all())?;
    let gone: Vec<(WorkspaceId, String)> = rows
        .into_iter()
        .filter(|row| !restored.contains(&row.slug))
        .map(|row| (row.id, row.slug))
        .collect();
    for (id, _) in &gone {
        forget(tx, *id)?;
    }
    Ok(gone.into_iter().map(|(_, slug)| slug).collect())
}

/// Lists workspaces that exist besides the restored ones, unless they are already listed.
pub fn keep_listed(tx: &mut WriteTx<'_>, stay: Vec<Workspace>) -> Result<(), UsersError> {
    let listed = tx.list::<Workspace>(&Range::all())?;
    let is_new =
        |row: &Workspace| !listed.iter().any(|one| one.id == row.id || one.slug == row.slug);
    for row in stay.into_iter().filter(|row| is_new(row)) {
        tx.put(&row)?;
    }
    Ok(())
}
