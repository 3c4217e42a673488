//! How a server is reached and how long the client waits for it.

use std::fmt;
use std::time::Duration;

use net::client::HttpClient;
use net::guard::Hosts;
use net::message::{Headers, Policy};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::wire::Era;

/// Connection to a server.
pub enum Link {
    /// Output and input of a program, one message per line. Whoever started the program also ends it.
    Stdio { reader: Box<dyn AsyncRead + Send + Unpin>, writer: Box<dyn AsyncWrite + Send + Unpin> },
    /// Streamable HTTP, or HTTP+SSE if the server speaks only that.
    Http {
        http: HttpClient,
        url: String,
        /// Sent with each request, for example `authorization`.
        headers: Headers,
        policy: Policy,
        /// Allowed hosts.
        only: Hosts,
    },
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Link::Stdio { .. } => "Link::Stdio",
            Link::Http { .. } => "Link::Http",
        })
    }
}

/// Choices for a connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// The era that the server spoke last time, which is tried first.
    pub era: Option<Era>,
    pub timeouts: Timeouts,
    /// Name and version that the client states.
    pub client_name: String,
    pub client_version: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            era: None,
            timeouts: Timeouts::default(),
            client_name: "hq".to_owned(),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Time limits of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Wait for an answer to `server/discover` over stdio before `initialize` is tried beside it.
    pub probe: Duration,
    /// Until the era is known. Includes the start of the program.
    pub connect: Duration,
    /// Requests other than calls.
    pub request: Duration,
    /// A call without progress.
    pub call: Duration,
    /// A call with progress, without the time that people take for answers.
    pub longest: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            probe: Duration::from_secs(3),
            connect: Duration::from_secs(60),
            request: Duration::from_secs(30),
            call: Duration::from_secs(120),
            longest: Duration::from_secs(1800),
        }
    }
}
