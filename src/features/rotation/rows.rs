//! The records of these packages that hold sealed values, with the place for which each was sealed.

use crypto::keyring::Binding;
use store::{Read, ReadExt as _, StoreError};

use super::pen::{Pen, Sealing};
use crate::backups::job;
use crate::backups::model::BackupSecret;
use crate::connections::logins;
use crate::connections::model::{Connection, ConnectionKey, Grant, Login, SpareKeys};
use crate::connections::rules::sign_in;
use crate::notifications::model::sending::{NoticeSecret, VAPID};
use crate::notifications::sending::{letters, push};
use crate::users::model::factors::{Totp, totp_place};

/// The place of a connection's keys.
fn key_of(owner: &str) -> Binding<'_> {
    Binding { scope: "connection", owner, name: "key" }
}

impl Sealing for ConnectionKey {
    fn seal_anew(&mut self, pen: &mut Pen<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.connection.to_string();
        pen.named(&mut self.sealed, &mut self.key_id, key_of(&owner));
        Ok(())
    }
}

impl Sealing for SpareKeys {
    fn seal_anew(&mut self, pen: &mut Pen<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.connection.to_string();
        for key in &mut self.keys {
            pen.named(&mut key.sealed, &mut key.key_id, key_of(&owner));
        }
        Ok(())
    }
}

impl Sealing for Grant {
    fn seal_anew(&mut self, pen: &mut Pen<'_>, read: &dyn Read) -> Result<(), StoreError> {
        let connection = read.get::<Connection>(self.connection)?;
        let Some(name) = connection.as_ref().and_then(sign_in::place) else {
            // Whose place is gone opens no more, whatever the key.
            return Ok(());
        };
        let owner = self.connection.to_string();
        let place = Binding { scope: "connection", owner: &owner, name: &name };
        pen.named(&mut self.sealed, &mut self.key_id, place);
        Ok(())
    }
}

impl Sealing for Login {
    fn seal_anew(&mut self, pen: &mut Pen<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.connection.to_string();
        pen.named(&mut self.sealed, &mut self.key_id, logins::place(&owner));
        Ok(())
    }
}

impl Sealing for NoticeSecret {
    fn seal_anew(&mut self, pen: &mut Pen<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = pen.workspace.map(|id| id.to_string()).unwrap_or_default();
        let place = if self.name == VAPID { push::PLACE } else { letters::place(&owner) };
        pen.value(&mut self.sealed, place);
        Ok(())
    }
}

impl Sealing for BackupSecret {
    fn seal_anew(&mut self, pen: &mut Pen<'_>, _: &dyn Read) -> Result<(), StoreError> {
        pen.value(&mut self.sealed, job::binding(&self.name));
        Ok(())
    }
}

impl Sealing for Totp {
    fn seal_anew(&mut self, pen: &mut Pen<'_>, _: &dyn Read) -> Result<(), StoreError> {
        let owner = self.account.to_string();
        pen.text(&mut self.sealed, totp_place(&owner));
        Ok(())
    }
}
