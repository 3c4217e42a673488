//! Agents whose files lie on another machine: they are changed there.

use std::sync::OnceLock;

use app::Ws;
use kernel::AgentId;
use store::StoreError;

/// What the other machine is called that an agent works on; none where its files lie here.
pub type PlaceOf = fn(&Ws, AgentId) -> Result<Option<String>, StoreError>;

static OF: OnceLock<PlaceOf> = OnceLock::new();

/// Says who knows the machines, before the first page; only the first call counts.
pub fn install(of: PlaceOf) {
    // ok: a second call comes from a second server in the same process, with the same function.
    let _ = OF.set(of);
}

/// What the other machine is called that an agent works on; none where its files lie here.
///
/// # Errors
/// When the store fails.
pub fn of(ws: &Ws, agent: AgentId) -> Result<Option<String>, StoreError> {
    OF.get().map_or(Ok(None), |of| of(ws, agent))
}
