//! What became of messages that calls queued for messengers. The channels package is above this one and knows them.

use std::sync::OnceLock;

use kernel::{RunId, Timestamp};
use store::{Read, StoreError};

/// The state of the messages of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    Queued,
    /// The messenger has accepted all parts.
    Accepted,
    /// At least a part may or may not have arrived.
    Unclear,
    /// At least a part was not sent, for this reason.
    Lost(String),
}

/// The state of what a run queued in the transaction of this time; `None` if it queued nothing.
pub type SendingOf = fn(&dyn Read, RunId, Timestamp) -> Result<Option<Sending>, StoreError>;

static OF: OnceLock<SendingOf> = OnceLock::new();

/// Installs the source, before the first run. Only the first call has an effect.
pub fn install(of: SendingOf) {
    // ok: a second server in the same process has the same functions.
    let _ = OF.set(of);
}

pub(super) fn of(
    read: &dyn Read,
    run: RunId,
    at: Timestamp,
) -> Result<Option<Sending>, StoreError> {
    OF.get().map_or(Ok(None), |of| of(read, run, at))
}
