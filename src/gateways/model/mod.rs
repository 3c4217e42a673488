//! Records of gateways: the machines, the tokens by which one joins, the key of the workspace, the last beats.

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

/// The public Ed25519 key of a host.
pub type HostKey = [u8; 32];

/// The gateway that every workspace has: the machine that HQ runs on.
#[must_use]
pub fn local() -> GatewayId {
    GatewayId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
}
