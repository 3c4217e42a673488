//! Verifies second factors: authenticator and recovery codes. Wrong codes are delayed like wrong passwords, and all
//! errors give the same response.

use std::time::Duration;

use zeroize::Zeroizing;

use app::limits::Patience;
use app::{App, Who};
use crypto::keyring::Sealed;
use crypto::token::{TokenHash, code, normal_code};
use crypto::totp::TotpSecret;
use kernel::{AccountId, Actor, Cause, SignInId};
use web::session::Person;

use super::pages::waiting;
use features::users::model::factors::{Totp, totp_place};
use features::users::queries;
use features::users::rules::{UsersError, factors};

/// Number of recovery codes per person.
const CODES: usize = 10;
/// Limit on wrong codes of one account.
const WRONG: Patience = Patience {
    free: 5,
    window: Duration::from_secs(15 * 60),
    first: Duration::from_secs(60),
    longest: Duration::from_secs(60 * 60),
};

/// A new sealed authenticator secret.
#[must_use]
pub fn fresh(app: &App, account: AccountId) -> String {
    let secret = TotpSecret::issue();
    let sealed = app.keyring.seal_bound(totp_place(&account.to_string()), secret.bytes());
    sealed.as_str().to_owned()
}

/// Decrypts an authenticator secret.
///
/// # Errors
/// The master key cannot decrypt it.
pub fn open(app: &App, kept: &Totp) -> Result<TotpSecret, UsersError> {
    let sealed = Sealed::from_stored(kept.sealed.clone());
    let secret = app.keyring.open(&sealed, totp_place(&kept.account.to_string()));
    let secret = secret.map_err(|error| UsersError::Unreadable(error.to_string()))?;
    Ok(TotpSecret::from_bytes(secret.expose()))
}

/// Ten recovery codes of 80 bits, with their hashes.
#[must_use]
pub fn recovery_codes() -> (Vec<Zeroizing<String>>, Vec<TokenHash>) {
    let codes: Vec<_> = (0..CODES).map(|_| code(4)).collect();
    let hashes = codes.iter().map(|code| hash(code)).collect();
    (codes, hashes)
}

fn hash(code: &str) -> TokenHash {
    TokenHash::of(normal_code(code).as_bytes())
}

/// Enables an authenticator if its first code is correct; returns the recovery codes.
///
/// # Errors
/// No authenticator waits for its first code, or the code is wrong.
pub async fn confirm(
    app: &App,
    who: &Person,
    keep: Option<SignInId>,
    code: &str,
) -> Result<Vec<Zeroizing<String>>, UsersError> {
    let account = who.account;
    let kept = app.system.read(|snap| queries::totp(snap, account))?;
    let waits = kept.filter(|kept| kept.confirmed_at.is_none());
    let kept = waits.ok_or(UsersError::NotFound("set-up of an app"))?;
    let step = open(app, &kept)?.check(code, app.clock.now_ms(), 0).ok_or_else(|| {
        let wrong = "this isn't the app's current code; check that your phone's clock is right";
        UsersError::field("code", wrong)
    })?;
    let (codes, hashes) = recovery_codes();
    let write =
        move |tx: &mut store::WriteTx<'_>| factors::confirm_totp(tx, account, step, hashes, keep);
    app.system.write(who.actor(), who.cause(), write).await?;
    Ok(codes)
}

/// Verifies and consumes an authenticator or recovery code.
///
/// # Errors
/// The code is wrong or already used, or there were too many attempts.
pub async fn check(
    app: &App,
    account: AccountId,
    code: &str,
    by: (Actor, Cause),
) -> Result<(), UsersError> {
    check_counted(app, (account, &account.to_string()), code, by).await
}

/// The same, but counts wrong codes under `counted` instead of the account.
pub async fn check_counted(
    app: &App,
    (account, counted): (AccountId, &str),
    code: &str,
    by: (Actor, Cause),
) -> Result<(), UsersError> {
    let now = app.clock.now_ms();
    let slow = app.limiter.strike("factor", counted, WRONG, now);
    slow.map_err(|wait| UsersError::TooMany(waiting(wait)))?;
    let kept = app.system.read(|snap| queries::totp(snap, account))?;
    let kept = kept.filter(|kept| kept.confirmed_at.is_some()).ok_or(UsersError::NoCode)?;
    let step = open(app, &kept)?.check(code, now, kept.last_step);
    let recovery = hash(code);
    let used = app.system.write(by.0, by.1, move |tx| match step {
        Some(step) => factors::use_totp(tx, account, step),
        None => factors::use_recovery(tx, account, recovery),
    });
    match used.await {
        Ok(()) => {
            app.limiter.forgive("factor", counted);
            Ok(())
        }
        Err(error) => {
            tracing::warn!(%account, "a second factor was wrong");
            Err(error)
        }
    }
}
