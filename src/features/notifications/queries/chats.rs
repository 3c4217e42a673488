//! Whether people can be reached on a channel. The channels package is above this one and knows.

use std::sync::OnceLock;

use kernel::AccountId;
use store::{Read, StoreError};

/// Whether a person has a direct chat with an agent's bot.
pub type HasChat = fn(&dyn Read, AccountId) -> Result<bool, StoreError>;

static OF: OnceLock<HasChat> = OnceLock::new();

/// Installs the source, before the first page. Only the first call has an effect.
pub fn install(of: HasChat) {
    // ok: a second server in the same process has the same function.
    let _ = OF.set(of);
}

/// Returns `true` if messages reach the person on a channel.
pub fn has_chat(read: &dyn Read, account: AccountId) -> Result<bool, StoreError> {
    OF.get().map_or(Ok(false), |of| of(read, account))
}
