//! Places on messengers that an agent's messages go to. The channels package is above this one and knows them.

use std::sync::OnceLock;

use kernel::{AgentId, RunId};
use store::{Read, StoreError};

use crate::trust::authorize::Reach;

/// The tool that sends messages.
pub const SEND: &str = "channel_send";

/// Whether an agent answers on any channel.
pub type HasChannel = fn(&dyn Read, AgentId) -> Result<bool, StoreError>;
/// The reach of a run's message to a place, which is named as in the call.
pub type ReachOf = fn(&dyn Read, (AgentId, RunId), &str) -> Result<Reach, StoreError>;

/// What is known of places.
#[derive(Clone, Copy)]
pub struct Places {
    pub has_channel: HasChannel,
    pub reach: ReachOf,
}

static OF: OnceLock<Places> = OnceLock::new();

/// Installs the source, before the first run. Only the first call has an effect.
pub fn install(of: Places) {
    // ok: a second server in the same process has the same functions.
    let _ = OF.set(of);
}

/// Whether an agent can send messages at all.
pub fn has_channel(read: &dyn Read, agent: AgentId) -> Result<bool, StoreError> {
    OF.get().map_or(Ok(false), |of| (of.has_channel)(read, agent))
}

/// The reach of a run's message to a place.
pub fn reach(read: &dyn Read, run: (AgentId, RunId), to: &str) -> Result<Reach, StoreError> {
    OF.get().map_or(Ok(Reach::Elsewhere), |of| (of.reach)(read, run, to))
}
