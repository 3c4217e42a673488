//! Errors of requests to other servers.
//!
//! Messages never contain a URL beyond its host, a header or a body, because these may contain keys.

use std::time::Duration;

use kernel::problem::{Problem, ProblemKind};

use super::guard::GuardError;
use super::sse::SseError;

/// Which wait timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Until the connection was established.
    Connect,
    /// Until the response started.
    Headers,
    /// Until the next piece of the response.
    Idle,
    /// For the whole exchange.
    Total,
}

impl Phase {
    fn what(self) -> &'static str {
        match self {
            Phase::Connect => "didn't accept the connection",
            Phase::Headers => "didn't start to answer",
            Phase::Idle => "stopped during its answer",
            Phase::Total => "didn't finish its answer",
        }
    }
}

/// Why there is no complete response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// Refused by the guard.
    #[error(transparent)]
    Refused(#[from] GuardError),
    /// A header that cannot be sent.
    #[error(
        "the header {name} can't be sent; remove its line breaks and special characters, or the \
         header"
    )]
    BadHeader { name: String },
    /// The host name has no address.
    #[error("the host {host} wasn't found; check the address and the network")]
    UnknownHost { host: String },
    /// No connection, or no trusted one.
    #[error(
        "couldn't connect to {host} ({detail}); check that the server is running and its \
         certificate is valid"
    )]
    Connect {
        host: String,
        /// System error message.
        detail: String,
    },
    /// A wait timed out.
    #[error("{host} {} within {}; try again later", phase.what(), shown(*limit))]
    Timeout {
        host: String,
        /// The wait that timed out.
        phase: Phase,
        /// Its time limit.
        limit: Duration,
    },
    /// The response exceeds the size limit.
    #[error("the response of {host} is larger than {limit} bytes; request less")]
    TooLarge { host: String, limit: u64 },
    /// Too many redirects.
    #[error("{host} redirected more than {limit} times; use the final address")]
    Redirects {
        /// Host of the last hop.
        host: String,
        limit: u8,
    },
    /// The connection or the response was interrupted.
    #[error("the connection to {host} was lost; try again")]
    Broken {
        host: String,
        /// Library error, for the log only. People cannot act on it.
        detail: String,
    },
    /// The client cannot be initialized.
    #[error("requests aren't possible here ({detail}); check this machine's certificates")]
    Setup {
        /// Library error.
        detail: String,
    },
}

impl NetError {
    /// Returns `true` if the same request may succeed a moment later.
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
