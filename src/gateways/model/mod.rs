//! Records of gateways: machines, join tokens, the workspace's key, heartbeats, places of agents, outbox.

mod answer;
mod beat;
mod gateway;
mod key;
mod outbox;
mod place;
mod token;

use kernel::{GatewayId, TypedId as _, ids};

pub use answer::{RUN_ANSWERS, RunAnswer};
pub use beat::{Beat, Facts, GATEWAY_BEATS, Load, MINUTES};
pub use gateway::{CUT_HOURS, GATEWAYS, GRANT_MICROS, Gateway, Status};
pub use key::{GATEWAY_KEYS, GatewayKey};
pub(crate) use outbox::Head;
pub use outbox::{OUTBOX, Unsaid};
pub use place::{AGENT_PLACES, AgentPlace, FORMER_PLACES, FormerPlaces};
pub use token::{GATEWAY_TOKENS, GatewayToken};

ids! {
    /// A token by which a machine joins.
    GatewayTokenId,
    /// Whoever was answered: a run, or a gateway about none.
    HearerId,
}

/// Public Ed25519 key of a host.
pub type HostKey = [u8; 32];

/// The gateway of the machine that HQ runs on; exists in every workspace.
#[must_use]
pub fn local() -> GatewayId {
    GatewayId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
}
