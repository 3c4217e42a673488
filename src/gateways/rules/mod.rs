//! All writes to gateways.

mod gateways;
mod joining;
pub mod outbox;
mod places;
mod tokens;
mod trouble;
mod words;

use store::WriteTx;

use crate::error::GatewayError;
use crate::model::GatewayKey;
use crate::queries;

pub use gateways::{Patch, change, keep_copy, pause, remove, resume, revoke};
pub(crate) use joining::silent_from;
pub use joining::{
    Judgement, Refusal, beat, goodbye, hello, judge_join, judge_known, lied, ready, snapshot,
    tell_silence,
};
pub use places::{answered, bind, bind_off_silent, forget_answers};
pub use tokens::{NewToken, called, mint, revoke_token};
pub use trouble::{clean, tell_trouble};
pub use words::labels_of;

/// Stores the workspace's key unless one exists. Returns the stored key.
pub fn keep_key(tx: &mut WriteTx<'_>, key: GatewayKey) -> Result<GatewayKey, GatewayError> {
    if let Some(kept) = queries::key(tx)? {
        return Ok(kept);
    }
    tx.put(&key)?;
    Ok(key)
}
