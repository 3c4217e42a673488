//! The records that hold sealed values, with the place for which each was sealed. A test walks the schemas and finds what
//! is missing here.

use std::sync::{PoisonError, RwLock};

use crypto::keyring::Binding;
use features::backups::model::BackupSecret;
use features::connections::model::{ConnectionKey, Grant, Login, SpareKeys};
use features::notifications::model::sending::NoticeSecret;
use features::rotation::pen::{Pen, Sealing};
use features::users::model::factors::Totp;
use kernel::WorkspaceId;
use store::{Read, Store, StoreError};

use super::Walk;
use crate::model::Value;

impl Sealing for Value {
    fn seal_anew(&mut self, pen: &mut Pen<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.secret.to_string();
        let place = Binding { scope: "secret", owner: &owner, name: "value" };
        pen.named(&mut self.sealed, &mut self.key_id, place);
        if let Some(former) = &mut self.former {
            pen.named(&mut former.sealed, &mut former.key_id, place);
        }
        Ok(())
    }
}

/// One way through a table of a store.
pub(super) type Pass = fn(&mut Walk<'_, '_>, &Store, Option<WorkspaceId>) -> Result<(), StoreError>;
/// The name of a table with the way through it.
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

const WORKSPACE: [Named; 6] = [
    named::<Value>(),
    named::<ConnectionKey>(),
    named::<SpareKeys>(),
    named::<Grant>(),
    named::<Login>(),
    named::<NoticeSecret>(),
];
const SYSTEM: [Named; 3] = [named::<Totp>(), named::<BackupSecret>(), named::<NoticeSecret>()];
/// Tables of workspaces in packages that are not known here.
static MORE: RwLock<Vec<Named>> = RwLock::new(Vec::new());

/// Has a table of workspaces covered whose package is not known here. `server` calls this before it opens a store.
pub fn cover<R: Sealing>() {
    let mut more = MORE.write().unwrap_or_else(PoisonError::into_inner);
    if more.iter().all(|(name, _)| *name != R::TABLE.name) {
        more.push(named::<R>());
    }
}

fn all(of_workspace: bool) -> Vec<Named> {
    if !of_workspace {
        return SYSTEM.to_vec();
    }
    let more = MORE.read().unwrap_or_else(PoisonError::into_inner);
    WORKSPACE.iter().chain(more.iter()).copied().collect()
}

/// The ways through all tables with sealed values, of a workspace or of the store of accounts.
pub(super) fn passes(of_workspace: bool) -> Vec<Pass> {
    all(of_workspace).into_iter().map(|(_, pass)| pass).collect()
}

/// The names of the tables with sealed values, of a workspace and of the store of accounts.
#[must_use]
pub fn sealed_tables() -> [Vec<&'static str>; 2] {
    [true, false].map(|of_workspace| all(of_workspace).into_iter().map(|(name, _)| name).collect())
}
