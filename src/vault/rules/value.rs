//! Replacing a secret's value, and putting the former one back.

use jiff::SignedDuration;
use store::WriteTx;

use super::FORMER_HOURS;
use super::secrets::{not_of_channel, there};
use crate::cards::SECRET;
use crate::error::VaultError;
use crate::model::{Former, Secret, SecretId, Value};
use crate::queries;
use crate::values::NewValue;

/// Replaces the value. The former value can be put back for a day, even one that cannot be decrypted.
///
/// # Errors
/// If the secret is removed.
pub fn set_value(
    tx: &mut WriteTx<'_>,
    id: SecretId,
    value: NewValue,
) -> Result<Secret, VaultError> {
    not_of_channel(&there(tx, id)?)?;
    set_value_of_channel(tx, id, value)
}

/// Replaces the value of a secret, also the token of a channel.
///
/// # Errors
/// If the secret is removed.
pub fn set_value_of_channel(
    tx: &mut WriteTx<'_>,
    id: SecretId,
    value: NewValue,
) -> Result<Secret, VaultError> {
    there(tx, id)?;
    let new = Value {
        secret: id,
        sealed: value.sealed.as_str().to_owned(),
        key_id: value.key_id,
        former: None,
    };
    replace(tx, new)
}

/// Swaps the present and the former value; the present one can be put back for a day.
///
/// # Errors
/// If the secret is removed, or the former value has expired.
pub fn put_back(tx: &mut WriteTx<'_>, id: SecretId) -> Result<Secret, VaultError> {
    not_of_channel(&there(tx, id)?)?;
    let former = queries::former(tx, id, tx.now())?;
    let Former { sealed, key_id, .. } = former.ok_or_else(|| {
        VaultError::Refused(format!(
            "there’s no previous value; HQ keeps it for {FORMER_HOURS} hours"
        ))
    })?;
    replace(tx, Value { secret: id, sealed, key_id, former: None })
}

fn replace(tx: &mut WriteTx<'_>, new: Value) -> Result<Secret, VaultError> {
    let old = there(tx, new.secret)?;
    let until = tx.now() + SignedDuration::from_hours(FORMER_HOURS);
    let former = queries::value(tx, old.id)?;
    let former = former.map(|Value { sealed, key_id, .. }| Former { sealed, key_id, until });
    let changed = Secret { version: old.version + 1, rotated_at: tx.now(), ..old.clone() };
    tx.put(&Value { former, ..new })?;
    tx.put(&changed)?;
    tx.emit(SECRET.changed(&old, &changed));
    Ok(changed)
}
