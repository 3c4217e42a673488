//! What can go wrong on the way to another server.
//!
//! No message holds an address beyond its host, a header or a body: they may hold keys.

use std::time::Duration;

use kernel::problem::{Problem, ProblemKind};

use super::guard::GuardError;
use super::sse::SseError;

/// Which wait was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Until the connection stood.
    Connect,
    /// Until the answer began.
    Headers,
    /// Until the next piece of the answer.
    Idle,
    /// For all of it together.
    Total,
}

impl Phase {
    fn what(self) -> &'static str {
        match self {
            Phase::Connect => "did not take the connection",
            Phase::Headers => "did not begin to answer",
            Phase::Idle => "stopped in the middle of its answer",
            Phase::Total => "was not done with its answer",
        }
    }
}

/// Why a request has no answer, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The guard does not let it out.
    #[error(transparent)]
    Refused(#[from] GuardError),
    /// A header that cannot be sent.
    #[error(
        "the header {name} cannot be sent; remove line breaks and special characters, or the header"
    )]
    BadHeader { name: String },
    /// The name of the host has no address.
    #[error("the host {host} cannot be found; check the address and the network")]
    UnknownHost { host: String },
    /// No connection, or none that can be trusted.
    #[error(
        "no connection to {host} ({detail}); check that the server runs and its certificate is good"
    )]
    Connect {
        host: String,
        /// What the system said.
        detail: String,
    },
    /// A wait was too long.
    #[error("{host} {} within {}; try again later", phase.what(), shown(*limit))]
    Timeout {
        host: String,
        /// Which wait.
        phase: Phase,
        /// How long it was.
        limit: Duration,
    },
    /// The answer has more bytes than allowed.
    #[error("the answer of {host} is larger than {limit} bytes; ask for less")]
    TooLarge { host: String, limit: u64 },
    /// Redirected too often.
    #[error("{host} redirected more than {limit} times; give the final address")]
    Redirects {
        /// The host of the last hop.
        host: String,
        limit: u8,
    },
    /// The connection or the answer broke off.
    #[error("the connection to {host} broke off; try again")]
    Broken {
        host: String,
        /// What the library said, for the log: people cannot do anything with it.
        detail: String,
    },
    /// The client itself cannot be set up.
    #[error("requests cannot be made here ({detail}); check the certificates of this machine")]
    Setup {
        /// What the library said.
        detail: String,
    },
}

impl NetError {
    /// Whether the same request may well succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::UnknownHost { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. } => true,
            Self::Refused(_)
            | Self::BadHeader { .. }
            | Self::TooLarge { .. }
            | Self::Redirects { .. }
            | Self::Setup { .. } => false,
        }
    }
}

fn shown(limit: Duration) -> String {
    match limit.as_millis() {
        millis if millis < 1000 => format!("{millis} ms"),
        _ => format!("{} s", limit.as_secs()),
    }
}

impl Problem for NetError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.code(),
            Self::BadHeader { .. } => "bad_header",
            Self::UnknownHost { .. } => "unknown_host",
            Self::Connect { .. } => "no_connection",
            Self::Timeout { .. } => "upstream_timeout",
            Self::TooLarge { .. } => "answer_too_large",
            Self::Redirects { .. } => "too_many_redirects",
            Self::Broken { .. } => "connection_broken",
            Self::Setup { .. } => "client_setup",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Refused(refused) => refused.kind(),
            Self::BadHeader { .. } => ProblemKind::Invalid,
            Self::Setup { .. } => ProblemKind::Unavailable,
            Self::UnknownHost { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::TooLarge { .. }
            | Self::Redirects { .. }
            | Self::Broken { .. } => ProblemKind::Upstream,
        }
    }
}

impl Problem for GuardError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadUrl { .. } => "bad_url",
            Self::Scheme { .. } => "scheme_not_allowed",
            Self::Credentials => "credentials_in_url",
            Self::Port { .. } => "port_not_allowed",
            Self::Private { .. } => "address_not_public",
            Self::NotListed { .. } => "host_not_listed",
            Self::Unknown { .. } => "unknown_host",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::BadUrl { .. } | Self::Scheme { .. } | Self::Credentials => ProblemKind::Invalid,
            Self::Port { .. } | Self::Private { .. } | Self::NotListed { .. } => {
                ProblemKind::Forbidden
            }
            Self::Unknown { .. } => ProblemKind::Upstream,
        }
    }
}

impl Problem for SseError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "event_too_large",
        }
    }

    fn kind(&self) -> ProblemKind {
        ProblemKind::Upstream
    }
}
