//! Link errors. No message contains a token, a key or frame content.

use std::time::Duration;

use kernel::problem::{Problem, ProblemKind};

use super::handshake::Refusal;

/// Why a link was not established or has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The address is invalid.
    #[error("this isn't the address of a workspace ({detail}); use the form https://host")]
    BadAddress {
        /// Why it is invalid.
        detail: String,
    },
    /// There is no connection.
    #[error("{host} doesn't respond ({detail}); check the address and the network")]
    Unreachable {
        host: String,
        /// The system's error.
        detail: String,
    },
    /// The certificate of the address is invalid.
    #[error("the certificate of {host} isn't valid ({detail}); nothing was sent")]
    Certificate {
        host: String,
        /// Why it is invalid.
        detail: String,
    },
    /// The system's root certificates cannot be read.
    #[error(
        "certificates can't be verified here ({detail}); install this machine's root \
        certificates"
    )]
    Roots {
        /// The library's error.
        detail: String,
    },
    /// The server is no primary, or accepts no links now.
    #[error(
        "{host} refused the connection (status {status}); check the address, or try again \
        later"
    )]
    NoSocket {
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// The handshake or the connection took too long.
    #[error("the other side didn't finish within {} s; try again", limit.as_secs())]
    Slow {
        /// The limit that was exceeded.
        limit: Duration,
    },
    #[error("the connection was lost")]
    Cut,
    /// Nothing was received or could be sent for too long.
    #[error("no data for {} s", limit.as_secs())]
    Silent {
        /// The limit that was exceeded.
        limit: Duration,
    },
    /// One side has said goodbye.
    #[error("the link was closed")]
    Closed,
    #[error("a message has more than {limit} bytes")]
    TooLarge { limit: usize },
    /// A message is invalid.
    #[error("a message cannot be read ({0})")]
    Garbled(&'static str),
    /// A sealed message was repeated.
    #[error("a sealed message came a second time")]
    Replayed,
    /// A sealed message arrived before its predecessor.
    #[error("a sealed message is missing")]
    Missing,
    #[error("a sealed message was changed on its way")]
    Forged,
    /// The message numbers are used up; a new handshake is needed.
    #[error("the keys of this connection are used up; reconnect")]
    Worn,
    /// The answering primary is not the expected one.
    #[error(
        "a different workspace answered: its fingerprint is {found}, expected {expected}; nothing \
         was sent. Check the address and any proxy in between"
    )]
    OtherHome {
        /// The expected fingerprint.
        expected: String,
        /// The actual fingerprint.
        found: String,
    },
    /// The other side cannot sign with the key that it names.
    #[error("the other side couldn't prove its identity")]
    Unproven,
    /// The primary has refused.
    #[error("{}", .0.sentence)]
    Refused(Refusal),
    /// The other side sent more than its credit allows.
    #[error("the other side sent more than it is allowed to ({0})")]
    Overrun(&'static str),
}

impl LinkError {
    /// Returns `true` if the failure counts for the address in a [`FloodGuard`](super::FloodGuard). A broken connection
    /// or another version does not.
    #[must_use]
    pub fn is_hostile(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.code != Refusal::WIRE,
            Self::TooLarge { .. }
            | Self::Garbled(_)
            | Self::Replayed
            | Self::Missing
            | Self::Forged
            | Self::Unproven
            | Self::Slow { .. } => true,
            Self::BadAddress { .. }
            | Self::Unreachable { .. }
            | Self::Certificate { .. }
            | Self::Roots { .. }
            | Self::NoSocket { .. }
            | Self::Cut
            | Self::Silent { .. }
            | Self::Closed
            | Self::Worn
            | Self::OtherHome { .. }
            | Self::Overrun(_) => false,
        }
    }
}

impl Problem for LinkError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadAddress { .. } => "link_bad_address",
            Self::Unreachable { .. } => "link_unreachable",
            Self::Certificate { .. } => "link_bad_certificate",
            Self::Roots { .. } => "link_no_roots",
            Self::NoSocket { .. } => "link_no_socket",
            Self::Slow { .. } => "link_slow",
            Self::Cut => "link_cut",
            Self::Silent { .. } => "link_silent",
            Self::Closed => "link_closed",
            Self::TooLarge { .. } => "link_too_large",
            Self::Garbled(_) => "link_garbled",
            Self::Replayed => "link_replayed",
            Self::Missing => "link_missing",
            Self::Forged => "link_forged",
            Self::Worn => "link_worn",
            Self::OtherHome { .. } => "link_other_home",
            Self::Unproven => "link_unproven",
            Self::Refused(_) => "link_refused",
            Self::Overrun(_) => "link_overrun",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::BadAddress { .. } | Self::Garbled(_) => ProblemKind::Invalid,
            Self::TooLarge { .. } => ProblemKind::TooLarge,
            Self::Slow { .. } => ProblemKind::Slow,
            Self::Unproven | Self::Refused(_) | Self::OtherHome { .. } => ProblemKind::Forbidden,
            Self::Overrun(_) => ProblemKind::Limited,
            Self::Roots { .. } | Self::Worn | Self::Closed => ProblemKind::Unavailable,
            Self::Unreachable { .. }
            | Self::Certificate { .. }
            | Self::NoSocket { .. }
            | Self::Cut
            | Self::Silent { .. }
            | Self::Replayed
            | Self::Missing
            | Self::Forged => ProblemKind::Upstream,
        }
    }
}
