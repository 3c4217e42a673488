//! Hosts of agents. The gateways package is above this one and provides the data.

use std::sync::OnceLock;

use app::Ws;
use kernel::Timestamp;
use store::{Read, StoreError};

/// A host of agents.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub href: String,
    /// State word.
    pub state: &'static str,
    /// State label.
    pub label: &'static str,
    /// Agents on the host, and since when it is silent.
    pub detail: String,
}

/// Lists the hosts of a workspace.
pub type HostsOf = fn(&dyn Read, &Ws, Timestamp) -> Result<Vec<Host>, StoreError>;

static OF: OnceLock<HostsOf> = OnceLock::new();

/// Installs the source of hosts, before the first page. Only the first call has an effect.
pub fn install(of: HostsOf) {
    // ok: a second call comes from a second server in the same process, with the same function.
    let _ = OF.set(of);
}

/// Hosts of a workspace. Empty if there is only this one.
pub fn of(read: &dyn Read, ws: &Ws, now: Timestamp) -> Result<Vec<Host>, StoreError> {
    OF.get().map_or_else(|| Ok(Vec::new()), |of| of(read, ws, now))
}
