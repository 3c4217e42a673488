//! Errors of the credential proxy. Messages never contain a value, a placeholder, or more of a URL than its host.

use std::time::Duration;

use kernel::problem::{Problem, ProblemKind};

/// Why a table cannot be created, or why a connection ended abnormally.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StandinError {
    /// A secret without a host.
    #[error("the secret {id} has no host; set the hosts its placeholder is for")]
    NoHost {
        /// Id of the secret.
        id: String,
    },
    /// An invalid host.
    #[error("the secret {id} can't be bound to this host; write example.com or *.example.com")]
    BadHost {
        /// Id of the secret.
        id: String,
    },
    /// A secret without a value.
    #[error("the secret {id} is empty; give it a value")]
    Empty {
        /// Id of the secret.
        id: String,
    },
    /// A duplicate secret.
    #[error("the secret {id} is named twice; name it once")]
    Twice {
        /// Id of the secret.
        id: String,
    },
    /// Certificates cannot be created, or the system's cannot be read.
    #[error("certificates can't be created here ({detail}); check this machine's certificates")]
    Setup {
        /// Library error.
        detail: String,
    },
    /// The SNI of the program differs from the tunnel's host.
    #[error("the tunnel leads to {host}, but the program requests another name; use one name")]
    OtherName {
        /// Host of the tunnel.
        host: String,
    },
    /// The program aborted the handshake, usually because it does not trust the authority.
    #[error(
        "the program refused the connection to {host} ({detail}); configure it to trust HQ's \
        root certificates"
    )]
    Handshake {
        host: String,
        /// Library error.
        detail: String,
    },
    /// The program disconnected prematurely.
    #[error("the program disconnected early")]
    Gone,
    /// The program stalled in the middle of a request, or blocked writes.
    #[error("the program sent nothing for {} s during a request", limit.as_secs())]
    Idle {
        /// The time limit.
        limit: Duration,
    },
    /// A malformed or ambiguous request.
    #[error("the request can't be read ({0}); send plain HTTP/1.1")]
    Unclear(&'static str),
    /// A head that exceeds the limit.
    #[error("the request head is too long; send fewer or shorter headers")]
    TooLong,
    /// The host does not respond, or stopped in the middle.
    #[error("{host} doesn't respond ({detail}); try again later")]
    Away {
        host: String,
        /// Connection or library error.
        detail: String,
    },
    /// The host's certificate is invalid.
    #[error("the certificate of {host} isn't valid ({detail}); nothing was sent")]
    Certificate {
        host: String,
        /// Connection or library error.
        detail: String,
    },
    /// A response that cannot be inspected.
    #[error("the response of {host} can't be passed on ({why}); send the request differently")]
    Answer {
        host: String,
        /// The reason, as a phrase.
        why: &'static str,
    },
}

impl StandinError {
    /// The status line that reports the error to a program; `None` if the program could not receive it.
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
