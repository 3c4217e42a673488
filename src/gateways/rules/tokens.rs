//! Rules for join tokens.

use crypto::token::TokenHash;
use jiff::SignedDuration;
use kernel::{FieldError, RowAct, Timestamp};
use store::WriteTx;

use super::words;
use crate::cards::TOKEN;
use crate::error::GatewayError;
use crate::model::{GatewayToken, GatewayTokenId};
use crate::queries;

/// Validity of a token in minutes: minimum, default, maximum.
const MINUTES: (i64, i64, i64) = (5, 15, 60);
/// Limit of unused valid tokens.
const MOST_OPEN: usize = 20;
/// Used and expired tokens are kept this long, to show who joined with what.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Repeated calls with a token are recorded at most once in this time.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);

#[derive(Clone, Debug)]
pub struct NewToken {
    /// The public part.
    pub public: String,
    pub hash: TokenHash,
    /// Display name of the machine.
    pub label: String,
    pub labels: Vec<String>,
    /// Validity; `None` for the default.
    pub minutes: Option<i64>,
}

/// Creates a token, and deletes tokens that ended long ago.
///
/// # Errors
/// Invalid input, or too many valid tokens.
pub fn mint(tx: &mut WriteTx<'_>, new: NewToken) -> Result<GatewayToken, GatewayError> {
    let (now, (least, usual, most)) = (tx.now(), MINUTES);
    let all = queries::tokens(tx)?;
    if MOST_OPEN <= all.iter().filter(|one| one.is_open(now)).count() {
        let words = format!("{MOST_OPEN} tokens are open; revoke one or wait until one expires");
        return Err(GatewayError::Refused(words));
    }
    let mut wrong: Vec<FieldError> = Vec::new();
    let label = words::label(&new.label).map_err(|error| wrong.push(error));
    let labels = words::labels(&new.labels).map_err(|error| wrong.push(error));
    let minutes = new.minutes.unwrap_or(usual);
    if !(least..=most).contains(&minutes) {
        let words = format!("Enter {least} to {most} minutes.");
        wrong.push(FieldError::new("minutes", words));
    }
    let (Ok(label), Ok(labels), true) = (label, labels, wrong.is_empty()) else {
        return Err(GatewayError::Invalid(wrong));
    };
    for old in all.iter().filter(|one| is_forgotten(one, now)) {
        tx.delete::<GatewayToken>(old.id)?;
    }
    let made = GatewayToken {
        id: tx.new_id(),
        public: new.public,
        hash: new.hash,
        label,
        labels,
        by: tx.by(),
        created_at: now,
        expires_at: now + SignedDuration::from_mins(minutes),
        revoked_at: None,
        called_at: None,
        used_at: None,
        host_key: None,
        gateway: None,
        refused: 0,
    };
    tx.put(&made)?;
    tx.emit(TOKEN.event(&made.id, RowAct::Created));
    Ok(made)
}

/// Whether the record may be deleted. The gateway itself holds the key that the token was bound to.
fn is_forgotten(one: &GatewayToken, now: Timestamp) -> bool {
    !one.is_open(now) && one.expires_at + KEPT < now
}

/// Revokes a token. A machine that has joined with it stays.
pub fn revoke_token(
    tx: &mut WriteTx<'_>,
    id: GatewayTokenId,
) -> Result<GatewayToken, GatewayError> {
    let old = queries::token_by_id(tx, id)?;
    if old.revoked_at.is_some() || old.used_at.is_some() {
        return Ok(old);
    }
    let new = GatewayToken { revoked_at: Some(tx.now()), ..old.clone() };
    tx.put(&new)?;
    tx.emit(TOKEN.changed(&old, &new));
    Ok(new)
}

/// Records that a machine has called with a valid token.
pub fn called(tx: &mut WriteTx<'_>, id: GatewayTokenId) -> Result<(), GatewayError> {
    let (old, now) = (queries::token_by_id(tx, id)?, tx.now());
    if old.called_at.is_none_or(|at| at + AGAIN < now) {
        tx.put(&GatewayToken { called_at: Some(now), ..old })?;
    }
    Ok(())
}
