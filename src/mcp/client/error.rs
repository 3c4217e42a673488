//! Errors of a connection to a server.

use std::time::Duration;

use net::error::{NetError, Phase};

use super::elicit::Parked;
use crate::wire::RpcError;

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum McpError {
    /// The server ended the connection.
    #[error("the server ended the connection{}", in_brackets(.detail))]
    Closed { was_sent: bool, detail: String },
    /// No answer in time.
    #[error("the server didn't answer within {} s; try again later", limit.as_secs())]
    Timeout { was_sent: bool, limit: Duration },
    /// The caller cancelled the request.
    #[error("the request was cancelled")]
    Cancelled { was_sent: bool },
    /// A message exceeds the size limit.
    #[error("the server's answer is larger than {} MiB; request less at once", limit / 1024 / 1024)]
    TooLarge { limit: usize },
    /// The server wants a sign-in. The header's value names the place of its metadata.
    #[error("the server needs a sign-in")]
    Unauthorized { www_authenticate: Option<String> },
    /// The sign-in lacks rights, which the header's value may name.
    #[error("the sign-in isn't sufficient for this request; sign in again with more rights")]
    Forbidden { www_authenticate: Option<String> },
    /// An HTTP status that says nothing about the protocol.
    #[error("the server answered with HTTP status {status}{}", in_brackets(.detail))]
    Status { status: u16, detail: String },
    /// The network failed or the guard refused the address.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The server answered with an error.
    #[error("the server refused the request: {} ({})", .0.message, .0.code)]
    Rpc(RpcError),
    /// The server broke the protocol.
    #[error("the server doesn't keep to the protocol: {detail}")]
    Protocol { was_sent: bool, detail: String },
    /// No common version.
    #[error("the server speaks no supported version of the protocol, only {}", supported.join(", "))]
    Version { supported: Vec<String> },
    /// A value that cannot be sent.
    #[error("this request can't be sent: {detail}")]
    Unsendable { detail: String },
    /// The server has another session, or wants other headers for the tool. Whoever checks definitions of tools lists
    /// them and compares again before the call is repeated.
    #[error("the server or its tools have changed; call again")]
    Outdated { was_sent: bool },
    /// The connection or the list of tools before the request failed.
    #[error(transparent)]
    Before(Box<McpError>),
    /// Questions of the server wait for a person. [`super::Client::resume`] repeats the request with the answers.
    #[error("the server asked questions that wait for answers")]
    Parked(Box<Parked>),
}

fn in_brackets(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!(" ({text})"),
    }
}

impl McpError {
    /// Returns `true` if the server may have carried out the request. If `false`, it can be repeated safely.
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Closed { was_sent, .. }
            | Self::Timeout { was_sent, .. }
            | Self::Cancelled { was_sent }
            | Self::Outdated { was_sent }
            | Self::Protocol { was_sent, .. } => *was_sent,
            Self::TooLarge { .. } | Self::Rpc(_) | Self::Parked(_) => true,
            // These refuse a request before it is carried out.
            Self::Status { status, .. } => !matches!(status, 404 | 405 | 415 | 429),
            Self::Net(err) => match err {
                NetError::Timeout { phase: Phase::Connect, .. }
                | NetError::Refused(_)
                | NetError::BadHeader { .. }
                | NetError::UnknownHost { .. }
                | NetError::Connect { .. }
                | NetError::Setup { .. } => false,
                NetError::Timeout { .. }
                | NetError::TooLarge { .. }
                | NetError::Redirects { .. }
                | NetError::Broken { .. } => true,
            },
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Version { .. }
            | Self::Unsendable { .. }
            | Self::Before(_) => false,
        }
    }

    /// Returns `true` if the connection cannot be used any longer.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}
