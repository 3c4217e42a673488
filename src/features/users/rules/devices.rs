//! Writes of remembered devices.

use crypto::token::TokenHash;
use kernel::{AccountId, SignInId};
use store::{ReadExt, WriteTx};

use super::super::model::devices::{KnownDevice, KnownDevices};
use super::UsersError;

/// Maximum number of devices per account. The least recently used one is dropped first.
const MOST: usize = 20;

/// Device cookies of a sign-in.
#[derive(Clone)]
pub struct DeviceCookies {
    /// Hash of the new cookie.
    pub new: TokenHash,
    /// Hash of the cookie that the browser sent. It becomes invalid.
    pub former: Option<TokenHash>,
}

/// Remembers the device of a sign-in.
pub(super) fn keep(
    tx: &mut WriteTx<'_>,
    (account, sign_in): (AccountId, SignInId),
    cookies: DeviceCookies,
) -> Result<(), UsersError> {
    let known = tx.get::<KnownDevices>(account)?;
    let mut devices = known.map_or_else(Vec::new, |known| known.devices);
    devices.retain(|one| Some(one.hash) != cookies.former);
    devices.drain(..(devices.len() + 1).saturating_sub(MOST));
    devices.push(KnownDevice { hash: cookies.new, sign_in, at: tx.now() });
    tx.put(&KnownDevices { account, devices })?;
    Ok(())
}

/// Forgets the account's devices except that of one sign-in.
pub(super) fn forget_others(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    keep: Option<SignInId>,
) -> Result<(), UsersError> {
    retain(tx, account, |one| Some(one.sign_in) == keep)
}

/// Forgets the device of a sign-in.
pub(super) fn forget(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    sign_in: SignInId,
) -> Result<(), UsersError> {
    retain(tx, account, |one| one.sign_in != sign_in)
}

fn retain(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    stays: impl Fn(&KnownDevice) -> bool,
) -> Result<(), UsersError> {
    let Some(mut known) = tx.get::<KnownDevices>(account)? else { return Ok(()) };
    let before = known.devices.len();
    known.devices.retain(stays);
    if known.devices.is_empty() {
        tx.delete::<KnownDevices>(account)?;
    } else if known.devices.len() != before {
        tx.put(&known)?;
    }
    Ok(())
}
