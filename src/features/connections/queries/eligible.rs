//! Whether a connection is usable, and the reason if not, shared by runs, `hq doctor` and the status page.

use jiff::SignedDuration;

use crate::connections::model::{Connection, ConnectionKey, Cooldown, Grant, SpareKeys};
use crypto::keyring::Keyring;
use kernel::Timestamp;
use providers::error::ErrorClass;
use providers::oauth::Client;
use store::{Read, ReadExt, StoreError};

use super::{base_of, first_model, needs_key, turns};

/// Maximum plausible validity of a token.
const LONGEST: SignedDuration = SignedDuration::from_hours(400 * 24 + 1);

/// Why a connection is unusable.
///
/// Every key of a connection is part of its order, so no key is ever excluded by the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No key was given, or no person has signed in.
    MissingCredential,
    /// The sign-in has expired.
    Expired,
    /// The expiry is implausible.
    InvalidExpires,
    /// The credential cannot be opened with the current master key.
    UnresolvedRef,
    /// The address is invalid.
    IneligibleProfile,
    /// No model is known.
    NoModel,
    /// The provider refuses all keys.
    Refused,
}

impl Reason {
    /// Stable identifier.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::MissingCredential => "missing_credential",
            Self::Expired => "expired",
            Self::InvalidExpires => "invalid_expires",
            Self::UnresolvedRef => "unresolved_ref",
            Self::IneligibleProfile => "ineligible_profile",
            Self::NoModel => "no_model",
            Self::Refused => "key_refused",
        }
    }

    /// What happened and what helps.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Self::MissingCredential => "Add a key or sign in first.",
            Self::Expired => "The sign-in has expired. Sign in again.",
            Self::InvalidExpires => "The sign-in has an invalid expiry date. Sign in again.",
            Self::UnresolvedRef => {
                "The saved key can't be opened with this master key. Enter it again or restore the \
                    master key."
            }
            Self::IneligibleProfile => "The address can't be used. Correct it.",
            Self::NoModel => "No models found. Test the connection or enter a model.",
            Self::Refused => "The provider rejected the key. Enter a different key.",
        }
    }

    /// Whether signing in fixes it.
    #[must_use]
    pub fn is_of_sign_in(self) -> bool {
        matches!(
            self,
            Self::MissingCredential | Self::Expired | Self::InvalidExpires | Self::UnresolvedRef
        )
    }
}

/// Why a connection is unusable; `None` if it is usable.
pub fn why_not(
    tx: &dyn Read,
    connection: &Connection,
    ring: &Keyring,
    now: Timestamp,
) -> Result<Option<Reason>, StoreError> {
    let Ok(base) = base_of(connection) else { return Ok(Some(Reason::IneligibleProfile)) };
    if connection.sign_in.is_some() {
        if let Some(reason) = of_account(tx, connection)? {
            return Ok(Some(reason));
        }
        if let Some(grant) = tx.get::<Grant>(connection.id)? {
            if !ring.knows(&grant.key_id) {
                return Ok(Some(Reason::UnresolvedRef));
            }
            // The sign-in is valid, but the maker issues no new tokens at the moment.
            if grant.failures > 0 && grant.expires_at.is_some_and(|end| end <= now) {
                return Ok(Some(Reason::Expired));
            }
        }
    } else {
        let first = tx.get::<ConnectionKey>(connection.id)?.map(|key| key.key_id);
        let spare = tx.get::<SpareKeys>(connection.id)?.map_or_else(Vec::new, |spare| spare.keys);
        let ids: Vec<String> =
            first.into_iter().chain(spare.into_iter().map(|key| key.key_id)).collect();
        if ids.is_empty() && needs_key(&base, connection.wire) {
            return Ok(Some(Reason::MissingCredential));
        }
        if !ids.is_empty() && !ids.iter().any(|id| ring.knows(id)) {
            return Ok(Some(Reason::UnresolvedRef));
        }
        if is_refused(tx, connection)? {
            return Ok(Some(Reason::Refused));
        }
    }
    Ok(first_model(connection).is_none().then_some(Reason::NoModel))
}

/// Whether the last failure of every key was a refusal.
fn is_refused(tx: &dyn Read, connection: &Connection) -> Result<bool, StoreError> {
    let slots = turns::slots(tx, connection.id)?;
    let mut refused = !slots.is_empty();
    for slot in slots {
        let last = tx.get::<Cooldown>(Cooldown::key(connection.id, slot, None))?;
        let refuses =
            |last: Cooldown| matches!(last.class, ErrorClass::Auth | ErrorClass::AuthPermanent);
        refused &= last.is_some_and(refuses);
    }
    Ok(refused)
}

/// Why an account is unusable; `None` if it is usable or the connection has keys.
pub fn of_account(tx: &dyn Read, connection: &Connection) -> Result<Option<Reason>, StoreError> {
    // A host cannot tell; the primary reports why there is no token.
    if connection.sign_in.as_ref().is_none_or(Client::is_bare) {
        return Ok(None);
    }
    let Some(grant) = tx.get::<Grant>(connection.id)? else {
        return Ok(Some(Reason::MissingCredential));
    };
    let span = grant.expires_at.map(|end| end.duration_since(grant.renewed_at));
    Ok(match span {
        _ if grant.lost_at.is_some() => Some(Reason::Expired),
        Some(span) if !span.is_positive() || LONGEST < span => Some(Reason::InvalidExpires),
        _ => None,
    })
}
