//! What can go wrong with stand-ins. No message holds a value, a stand-in or more of an address than its host.

use std::time::Duration;

use kernel::problem::{Problem, ProblemKind};

/// Why a table cannot be made, or why a connection ended otherwise than in good order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StandinError {
    /// A secret without a host.
    #[error("the secret {id} names no host; say which hosts its stand-in is for")]
    NoHost {
        /// The secret.
        id: String,
    },
    /// A host that is none.
    #[error("the secret {id} cannot be bound to this host; write example.com or *.example.com")]
    BadHost {
        /// The secret.
        id: String,
    },
    /// A secret without a value.
    #[error("the secret {id} is empty; give it a value")]
    Empty {
        /// The secret.
        id: String,
    },
    /// The same secret a second time.
    #[error("the secret {id} is named twice; name it once")]
    Twice {
        /// The secret.
        id: String,
    },
    /// Certificates cannot be made, or the system's not be read.
    #[error("certificates are not to be had here ({detail}); check those of this machine")]
    Setup {
        /// What the library said.
        detail: String,
    },
    /// The program names another host in its handshake than in its tunnel.
    #[error("the tunnel leads to {host}, but the program asks for another name; use one name")]
    OtherName {
        /// The host of the tunnel.
        host: String,
    },
    /// The program breaks the handshake off; usually it does not know the authority.
    #[error("the program took no connection to {host} ({detail}); let it read the file of roots")]
    Handshake {
        host: String,
        /// What the library said.
        detail: String,
    },
    /// The program went away in the middle.
    #[error("the program went away before all was said")]
    Gone,
    /// The program was silent although it had more to say, or took nothing.
    #[error("the program was silent for {} s in the middle of a request", limit.as_secs())]
    Idle {
        /// How long it may be.
        limit: Duration,
    },
    /// A request that can be read in more than one way, or in none.
    #[error("the request cannot be read ({0}); send plain HTTP/1.1")]
    Unclear(&'static str),
    /// A head that is too long.
    #[error("the head of the request is too long; send fewer or shorter headers")]
    TooLong,
    /// The host does not answer, or stops in the middle.
    #[error("{host} does not answer ({detail}); try again later")]
    Away {
        host: String,
        /// What went wrong.
        detail: String,
    },
    /// The host cannot show that it is the host.
    #[error("the certificate of {host} is not good ({detail}); nothing was sent")]
    Certificate {
        host: String,
        /// What is wrong with it.
        detail: String,
    },
    /// An answer that cannot be looked into.
    #[error("the answer of {host} cannot be passed on ({why}); ask in another way")]
    Answer {
        host: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl StandinError {
    /// The status line that tells a program of it; nothing when it would not hear it.
    pub(crate) fn status(&self) -> Option<&'static str> {
        match self {
            Self::Unclear(_) => Some("400 Bad Request"),
            Self::Idle { .. } => Some("408 Request Timeout"),
            Self::TooLong => Some("431 Request Header Fields Too Large"),
            Self::Away { .. } | Self::Certificate { .. } | Self::Answer { .. } => {
                Some("502 Bad Gateway")
            }
            _ => None,
        }
    }
}

impl Problem for StandinError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoHost { .. } => "secret_without_host",
            Self::BadHost { .. } => "bad_host",
            Self::Empty { .. } => "secret_empty",
            Self::Twice { .. } => "secret_twice",
            Self::Setup { .. } => "certificates_missing",
            Self::OtherName { .. } => "other_name",
            Self::Handshake { .. } => "handshake_failed",
            Self::Gone => "program_gone",
            Self::Idle { .. } => "program_silent",
            Self::Unclear(_) => "request_unclear",
            Self::TooLong => "head_too_long",
            Self::Away { .. } => "host_away",
            Self::Certificate { .. } => "bad_certificate",
            Self::Answer { .. } => "answer_unclear",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NoHost { .. }
            | Self::BadHost { .. }
            | Self::Empty { .. }
            | Self::Twice { .. }
            | Self::Unclear(_) => ProblemKind::Invalid,
            Self::Setup { .. } => ProblemKind::Unavailable,
            Self::OtherName { .. } => ProblemKind::Misdirected,
            Self::TooLong => ProblemKind::TooLarge,
            Self::Handshake { .. } | Self::Gone | Self::Idle { .. } => ProblemKind::Slow,
            Self::Away { .. } | Self::Certificate { .. } | Self::Answer { .. } => {
                ProblemKind::Upstream
            }
        }
    }
}
