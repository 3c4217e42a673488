//! State of messages that calls queued for messengers. The channels package, a layer above, installs the query.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use kernel::{RunId, Timestamp};
use store::{Read, StoreError};

/// The state of the messages of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    Queued,
    /// The messenger has accepted all parts.
    Accepted,
    /// At least one part may or may not have arrived.
    Unclear,
    /// At least one part was not sent, for this reason.
    Lost(String),
}

/// Returns the state of the messages that a run queued, by the time of the transaction.
pub type SendingOf = fn(&dyn Read, RunId) -> Result<BTreeMap<Timestamp, Sending>, StoreError>;

static OF: OnceLock<SendingOf> = OnceLock::new();

/// Installs the source, before the first run. Only the first call has an effect.
pub fn install(of: SendingOf) {
    // ok: a second server in the same process has the same functions.
    let _ = OF.set(of);
}

pub(super) fn of_run(
    read: &dyn Read,
    run: RunId,
) -> Result<BTreeMap<Timestamp, Sending>, StoreError> {
    OF.get().map_or_else(|| Ok(BTreeMap::new()), |of| of(read, run))
}
