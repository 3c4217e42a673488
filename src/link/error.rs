//! Why there is no link, or why it has ended. No message holds a token, a key or what was said.

use std::time::Duration;

use kernel::problem::{Problem, ProblemKind};

use super::handshake::Refusal;

/// Why a link was not made, or has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not an address of a home.
    #[error("this is no address of a workspace ({detail}); give it as https://host")]
    BadAddress {
        /// What is wrong with it.
        detail: String,
    },
    /// No connection.
    #[error("{host} does not answer ({detail}); check the address and the network")]
    Unreachable {
        host: String,
        /// What the system said.
        detail: String,
    },
    /// The certificate of the address is not good.
    #[error("the certificate of {host} is not good ({detail}); nothing was sent")]
    Certificate {
        host: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The roots of this machine cannot be read.
    #[error("certificates cannot be checked here ({detail}); install the roots of this machine")]
    Roots {
        /// What the library said.
        detail: String,
    },
    /// Something else than a home answers, or it does not take links now.
    #[error("{host} takes no link (it answered {status}); check the address, or try again later")]
    NoSocket {
        host: String,
        /// The status that it answered with.
        status: u16,
    },
    /// The handshake, or the connection before it, took too long.
    #[error("the other side was not done within {} s; try again", limit.as_secs())]
    Slow {
        /// How long it may take.
        limit: Duration,
    },
    /// The connection broke off.
    #[error("the connection broke off")]
    Cut,
    /// Nothing was heard, or nothing could be got rid of, for too long.
    #[error("nothing passed for {} s", limit.as_secs())]
    Silent {
        /// How long it may be.
        limit: Duration,
    },
    /// One side has said goodbye.
    #[error("the link was closed")]
    Closed,
    /// A message is longer than allowed.
    #[error("a message has more than {limit} bytes")]
    TooLarge { limit: usize },
    /// A message that cannot be read.
    #[error("a message cannot be read ({0})")]
    Garbled(&'static str),
    /// A sealed message that came before.
    #[error("a sealed message came a second time")]
    Replayed,
    /// A sealed message came before the one in front of it.
    #[error("a sealed message is missing")]
    Missing,
    /// A sealed message was changed on its way.
    #[error("a sealed message was changed on its way")]
    Forged,
    /// So much was said that a new handshake is needed.
    #[error("the keys of this link are used up; link again")]
    Worn,
    /// Who answers is not the home that was named.
    #[error(
        "another workspace answers: its fingerprint is {found}, expected was {expected}; nothing was sent. \
         Check the address, and who stands between"
    )]
    OtherHome {
        /// The fingerprint that was to be met.
        expected: String,
        /// The one that was met.
        found: String,
    },
    /// The other side names a key that it cannot sign with.
    #[error("the other side could not prove who it is")]
    Unproven,
    /// Home has said no.
    #[error("{}", .0.sentence)]
    Refused(Refusal),
    /// The other side sent more than it has credit for.
    #[error("the other side sent more than it may ({0})")]
    Overrun(&'static str),
}

impl LinkError {
    /// Whether whoever caused it at home's door is to be counted by a [`FloodGuard`](super::FloodGuard). A line that
    /// breaks off is not, nor is a program of another version.
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
