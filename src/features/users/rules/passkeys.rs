//! Writes of passkeys.

use kernel::{AccountId, Event, FactorChange, PasskeyId};
use store::{ReadExt, WriteTx};

use super::super::model::factors::{Passkey, PasskeyUse};
use super::super::queries;
use super::UsersError;

/// Maximum number of passkeys per account.
const MOST: usize = 20;

pub struct NewPasskey {
    pub account: AccountId,
    /// Credential id.
    pub credential: Vec<u8>,
    pub key: Vec<u8>,
    /// Relying party id.
    pub host: String,
    pub name: String,
    /// Signature counter.
    pub count: u32,
}

/// Adds a passkey.
///
/// # Errors
/// If the name is invalid, the passkey already exists, or there are too many.
pub fn add(tx: &mut WriteTx<'_>, new: NewPasskey) -> Result<Passkey, UsersError> {
    let name = checked_name(&new.name)?;
    if MOST <= queries::passkeys(tx, new.account)?.len() {
        return Err(UsersError::Many("passkeys"));
    }
    if queries::passkey(tx, &new.credential)?.is_some() {
        return Err(UsersError::field("name", "this passkey is already added"));
    }
    let passkey = Passkey {
        id: tx.new_id(),
        account: new.account,
        credential: new.credential,
        key: new.key,
        host: new.host,
        name,
        created_at: tx.now(),
    };
    tx.put(&passkey)?;
    let at = tx.now();
    tx.put(&PasskeyUse { passkey: passkey.id, at, count: new.count, regressed: false })?;
    let change = FactorChange::PasskeyAdded;
    tx.emit(Event::FactorChanged { account: new.account, change });
    Ok(passkey)
}

/// Records a use. A counter that goes backwards is flagged but accepted, because synchronised passkeys often do not
/// count.
pub fn note_use(tx: &mut WriteTx<'_>, id: PasskeyId, count: u32) -> Result<(), UsersError> {
    let passkey = tx.get::<Passkey>(id)?.ok_or(UsersError::NoMatch)?;
    let before = tx.get::<PasskeyUse>(id)?;
    let last = before.as_ref().map_or(0, |before| before.count);
    let regressed = count <= last && (0 < count || 0 < last);
    let at = tx.now();
    let was = before.is_some_and(|before| before.regressed);
    tx.put(&PasskeyUse { passkey: id, at, count, regressed: regressed || was })?;
    if regressed {
        let change = FactorChange::PasskeyRegressed;
        tx.emit(Event::FactorChanged { account: passkey.account, change });
    }
    Ok(())
}

/// Validates a passkey's name.
fn checked_name(name: &str) -> Result<String, UsersError> {
    let name = name.trim();
    if name.is_empty() || 60 < name.chars().count() || name.chars().any(char::is_control) {
        return Err(UsersError::field("name", "enter a name (up to 60 characters)"));
    }
    Ok(name.to_owned())
}

/// Renames a passkey of the account.
///
/// # Errors
/// If the name is invalid, or the passkey does not exist or belongs to another account.
pub fn rename(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    id: PasskeyId,
    name: &str,
) -> Result<Passkey, UsersError> {
    let name = checked_name(name)?;
    let found = tx.get::<Passkey>(id)?.filter(|passkey| passkey.account == account);
    let passkey = Passkey { name, ..found.ok_or(UsersError::NotFound("passkey"))? };
    tx.put(&passkey)?;
    Ok(passkey)
}

/// Removes a passkey of the account.
///
/// # Errors
/// If it does not exist or belongs to another account.
pub fn remove(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    id: PasskeyId,
) -> Result<Passkey, UsersError> {
    let found = tx.get::<Passkey>(id)?.filter(|passkey| passkey.account == account);
    let passkey = found.ok_or(UsersError::NotFound("passkey"))?;
    tx.delete::<Passkey>(id)?;
    tx.emit(Event::FactorChanged { account, change: FactorChange::PasskeyRemoved });
    Ok(passkey)
}
