//! The link between *home*, which holds a workspace, and a *host*, which runs some of its agents: one connection that
//! carries binary messages, sealed from end to end, whatever lies between.
//!
//! A [`Carrier`] moves messages: a WebSocket, or a pipe with faults for tests. [`handshake`] lets both sides show who
//! they are, and gives a [`Session`] of typed [`Frame`]s. What lies between learns how long messages are and when they
//! pass, no more. Whatever is not as it should be ends the link with an error that says what; nothing is repeated
//! here, and what arrives of a lane is a beginning of what was sent on it, in order.
//!
//! Nothing here knows a store, a run or a page, and nothing is spawned: the caller drives [`Pump::run`] beside
//! [`Receiver::next`].

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

/// The number of what is spoken after the handshake. Both sides must have the same. The handshake itself, its refusal
/// and the frames that bring a program are the same under all numbers.
pub const WIRE: u32 = 1;
/// The longest message before it is sealed: 1 MiB.
pub const MAX_MESSAGE: usize = 1 << 20;
/// What sealing adds to a message: its number and its tag.
pub const OVERHEAD: usize = 8 + 16;
/// The longest message on a carrier.
pub const MAX_SEALED: usize = MAX_MESSAGE + OVERHEAD;
/// The longest message of somebody who has not shown yet who it is: 64 KiB.
pub const MAX_UNPROVEN: usize = 64 << 10;
/// The longest piece of a file or a pack: 256 KiB.
pub const CHUNK: usize = 256 << 10;
/// How many batches of the feed may be under way without being acknowledged.
pub const MAX_BATCHES: usize = 4;
/// How many commands may be under way without an answer.
pub const MAX_COMMANDS: usize = 32;

/// Where home takes links, below its address.
pub const PLACE: &str = "/gateway/link";

/// The address at which a home takes the links of one of its workspaces: `home` is the address that the command says, and
/// the fingerprint of the workspace's key names which of them it is. Home has to know it before it can sign anything.
#[must_use]
pub fn address(home: &str, fingerprint: &str) -> String {
    format!("{}{PLACE}?home={fingerprint}", home.trim_end_matches('/'))
}

/// The same for a host that is one already: it says which, so that home can tell people of whom it turns away before any of
/// them proves who it is.
#[must_use]
pub fn address_of(home: &str, fingerprint: &str, gateway: GatewayId) -> String {
    format!("{}&gateway={gateway}", address(home, fingerprint))
}

/// How long things may take. Tests are quicker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A whole handshake: 10 s.
    pub handshake: Duration,
    /// A side that has had nothing to say for so long says that it is there: 10 s.
    pub ping: Duration,
    /// A side that has heard nothing for so long, or could get rid of nothing, cuts the link: 30 s.
    pub silence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { handshake: secs(10), ping: secs(10), silence: secs(30) }
    }
}
