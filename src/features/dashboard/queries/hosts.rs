//! The machines that agents work on. Gateways stand above features and say which there are.

use std::sync::OnceLock;

use app::Ws;
use kernel::Timestamp;
use store::{Read, StoreError};

/// A machine that agents work on.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    /// Its page.
    pub href: String,
    /// The state word of how it stands with it.
    pub state: &'static str,
    /// The same for people.
    pub label: &'static str,
    /// Who works there, and since when it is silent.
    pub told: String,
}

/// Reads the machines of a workspace at a moment.
pub type HostsOf = fn(&dyn Read, &Ws, Timestamp) -> Result<Vec<Host>, StoreError>;

static OF: OnceLock<HostsOf> = OnceLock::new();

/// Says who knows the machines, before the first page; only the first call counts.
pub fn install(of: HostsOf) {
    // ok: a second call comes from a second server in the same process, with the same function.
    let _ = OF.set(of);
}

/// The machines of a workspace at a moment; none where there is only this one.
pub fn of(read: &dyn Read, ws: &Ws, now: Timestamp) -> Result<Vec<Host>, StoreError> {
    OF.get().map_or_else(|| Ok(Vec::new()), |of| of(read, ws, now))
}
