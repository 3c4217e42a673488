//! The link between the *primary* (home), which has a workspace, and a *host*, which runs some of its agents: one
//! connection with binary messages, encrypted end to end across any proxy.
//!
//! A [`Carrier`] moves messages. [`handshake`] authenticates both sides and gives a [`Session`] of typed [`Frame`]s. An
//! observer learns only lengths and times of messages. Any violation ends the link; nothing is retried here, and the
//! frames of a lane arrive as a prefix of those sent, in order. The package knows no store, run or page, and spawns
//! nothing: the caller drives [`Pump::run`] beside [`Receiver::next`].

use std::time::Duration;

use kernel::GatewayId;

pub mod error;
pub mod identity;
pub mod carrier;
pub mod pipe;
pub mod tls;
pub mod socket;
pub mod handshake;
pub mod frame;
pub mod session;
pub mod backoff;
pub mod flood;

mod field;
mod seal;
mod lanes;

#[cfg(test)]
mod handshake_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod golden_tests;

pub use backoff::Backoff;
pub use carrier::Carrier;
pub use error::LinkError;
pub use flood::FloodGuard;
pub use frame::{Frame, Lane};
pub use handshake::{
    Accepted, Admitted, Door, Facts, HostRequest, Knock, Linked, Pin, Purpose, Refusal, accept,
    knock,
};
pub use identity::{Identity, IdentityError, PublicKey, grouped};
pub use session::{Pump, Receiver, Sender, Session};
pub use socket::connect;
pub use tls::Trust;

/// The protocol version after the handshake; both sides must have the same. The handshake, its refusal and the frames
/// that transfer HQ itself are the same in all versions.
pub const WIRE: u32 = 1;
/// The longest message before sealing, in bytes.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Bytes that sealing adds: message number and tag.
pub const OVERHEAD: usize = 8 + 16;
/// The longest message on a carrier.
pub const MAX_SEALED: usize = MAX_MESSAGE + OVERHEAD;
/// The longest message of a side that has not proved its identity, in bytes.
pub const MAX_UNPROVEN: usize = 64 << 10;
/// The longest piece of a file or pack, in bytes.
pub const CHUNK: usize = 256 << 10;
/// Most unacknowledged batches of the feed.
pub const MAX_BATCHES: usize = 4;
/// Most unanswered commands.
pub const MAX_COMMANDS: usize = 32;

/// The path of the link endpoint.
pub const PLACE: &str = "/gateway/link";

/// The link URL of a workspace. `home` is the address in the join command; the fingerprint selects the workspace, which
/// the primary must know before it can sign.
#[must_use]
pub fn address(home: &str, fingerprint: &str) -> String {
    format!("{}{PLACE}?home={fingerprint}", home.trim_end_matches('/'))
}

/// The same for a known gateway. The id lets the primary report whom it rejects before the host proves its identity.
#[must_use]
pub fn address_of(home: &str, fingerprint: &str, gateway: GatewayId) -> String {
    format!("{}&gateway={gateway}", address(home, fingerprint))
}

/// Time limits of a link. Tests use shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The whole handshake: 10 s.
    pub handshake: Duration,
    /// An idle side sends a keep-alive after this time: 10 s.
    pub ping: Duration,
    /// A side that has received nothing, or could send nothing, for this time cuts the link: 30 s.
    pub silence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { handshake: secs(10), ping: secs(10), silence: secs(30) }
    }
}
