//! Choosing an appearance.

use store::{ReadExt, WriteTx};

use super::super::model::Account;
use super::super::model::appearance::Appearance;
use super::UsersError;

/// Sets how a person's pages look.
pub fn set(tx: &mut WriteTx<'_>, chosen: Appearance) -> Result<(), UsersError> {
    if tx.get::<Account>(chosen.account)?.is_none() {
        return Err(UsersError::NoAccount(chosen.account.to_string()));
    }
    tx.put(&chosen)?;
    Ok(())
}
