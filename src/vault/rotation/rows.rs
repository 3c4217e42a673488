//! Records with sealed values, and the binding of each value. A test walks the schemas and finds missing records.

use crypto::keyring::Binding;
use features::backups::job;
use features::backups::model::BackupSecret;
use features::connections::logins;
use features::connections::model::{Connection, ConnectionKey, Grant, Login, SpareKeys};
use features::connections::rules::sign_in;
use features::notifications::model::sending::{NoticeSecret, VAPID};
use features::notifications::sending::{letters, push};
use features::rotation::resealer::Resealer;
use features::users::model::factors::{Totp, totp_place};
use gateways::identity;
use gateways::model::GatewayKey;
use kernel::WorkspaceId;
use store::{Read, ReadExt as _, Record, Store, StoreError};

use super::Walk;
use crate::model::Value;

/// A record with sealed values.
pub(super) trait Sealing: Record + Clone + PartialEq + Send + 'static {
    /// Seals the record's values again if a former key has sealed them.
    fn seal_anew(&mut self, resealer: &mut Resealer<'_>, read: &dyn Read)
    -> Result<(), StoreError>;
}

impl Sealing for Value {
    fn seal_anew(&mut self, resealer: &mut Resealer<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.secret.to_string();
        let place = Binding { scope: "secret", owner: &owner, name: "value" };
        resealer.named(&mut self.sealed, &mut self.key_id, place);
        if let Some(former) = &mut self.former {
            resealer.named(&mut former.sealed, &mut former.key_id, place);
        }
        Ok(())
    }
}

/// Binding of a connection's keys.
fn key_of(owner: &str) -> Binding<'_> {
    Binding { scope: "connection", owner, name: "key" }
}

impl Sealing for ConnectionKey {
    fn seal_anew(&mut self, resealer: &mut Resealer<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.connection.to_string();
        resealer.named(&mut self.sealed, &mut self.key_id, key_of(&owner));
        Ok(())
    }
}

impl Sealing for SpareKeys {
    fn seal_anew(&mut self, resealer: &mut Resealer<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.connection.to_string();
        for key in &mut self.keys {
            resealer.named(&mut key.sealed, &mut key.key_id, key_of(&owner));
        }
        Ok(())
    }
}

impl Sealing for Grant {
    fn seal_anew(
        &mut self,
        resealer: &mut Resealer<'_>,
        read: &dyn Read,
    ) -> Result<(), StoreError> {
        let connection = read.get::<Connection>(self.connection)?;
        let Some(name) = connection.as_ref().and_then(sign_in::place) else {
            // A value whose connection is gone cannot be opened, whatever the key.
            return Ok(());
        };
        let owner = self.connection.to_string();
        let place = Binding { scope: "connection", owner: &owner, name: &name };
        resealer.named(&mut self.sealed, &mut self.key_id, place);
        Ok(())
    }
}

impl Sealing for Login {
    fn seal_anew(&mut self, resealer: &mut Resealer<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.connection.to_string();
        resealer.named(&mut self.sealed, &mut self.key_id, logins::place(&owner));
        Ok(())
    }
}

impl Sealing for NoticeSecret {
    fn seal_anew(&mut self, resealer: &mut Resealer<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = resealer.workspace.map(|id| id.to_string()).unwrap_or_default();
        let place = if self.name == VAPID { push::PLACE } else { letters::place(&owner) };
        resealer.value(&mut self.sealed, place);
        Ok(())
    }
}

impl Sealing for BackupSecret {
    fn seal_anew(&mut self, resealer: &mut Resealer<'_>, _: &dyn Read) -> Result<(), StoreError> {
        resealer.value(&mut self.sealed, job::binding(&self.name));
        Ok(())
    }
}

impl Sealing for Totp {
    fn seal_anew(&mut self, resealer: &mut Resealer<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.account.to_string();
        resealer.text(&mut self.sealed, totp_place(&owner));
        Ok(())
    }
}

impl Sealing for GatewayKey {
    fn seal_anew(&mut self, resealer: &mut Resealer<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = resealer.workspace.map(|id| id.to_string()).unwrap_or_default();
        resealer.named(&mut self.sealed, &mut self.key_id, identity::place(&owner));
        Ok(())
    }
}

/// A pass through one table of a store.
pub(super) type Pass = fn(&mut Walk<'_, '_>, &Store, Option<WorkspaceId>) -> Result<(), StoreError>;
/// A table's name and its pass.
type Named = (&'static str, Pass);

fn through<R: Sealing>(
    walk: &mut Walk<'_, '_>,
    store: &Store,
    workspace: Option<WorkspaceId>,
) -> Result<(), StoreError> {
    walk.pass::<R>(store, workspace)
}

const fn named<R: Sealing>() -> Named {
    let pass: Pass = through::<R>;
    (R::TABLE.name, pass)
}

static WORKSPACE: [Named; 7] = [
    named::<Value>(),
    named::<ConnectionKey>(),
    named::<SpareKeys>(),
    named::<Grant>(),
    named::<Login>(),
    named::<NoticeSecret>(),
    named::<GatewayKey>(),
];
static SYSTEM: [Named; 3] = [named::<Totp>(), named::<BackupSecret>(), named::<NoticeSecret>()];

fn all(of_workspace: bool) -> &'static [Named] {
    if of_workspace { &WORKSPACE } else { &SYSTEM }
}

/// Passes of all tables with sealed values, of a workspace or of the store of accounts.
pub(super) fn passes(of_workspace: bool) -> Vec<Pass> {
    all(of_workspace).iter().map(|(_, pass)| *pass).collect()
}

/// Names of the tables with sealed values, of a workspace and of the store of accounts.
#[must_use]
pub fn sealed_tables() -> [Vec<&'static str>; 2] {
    [true, false].map(|of_workspace| all(of_workspace).iter().map(|(name, _)| *name).collect())
}
