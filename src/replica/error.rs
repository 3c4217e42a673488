//! Errors of a host, in sentences that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use kernel::Problem as _;
use link::{IdentityError, LinkError, Refusal};
use mirror::MirrorError;
use store::StoreError;

/// How a machine gets the primary's version of HQ.
const FETCH: &str = "Create a command in Settings, Gateways there and run it on this machine: it \
                     downloads that program, and the machine stays the same gateway. Or copy that \
                     program here and start it instead of this one.";

#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The folder is a primary's data directory.
    #[error("{} contains an HQ of its own; give the gateway another folder with \
        --data", .0.display())]
    Home(PathBuf),
    /// The folder belongs to a host.
    #[error("{} is the folder of a gateway, which `hq replica` runs; give HQ another one with --data", .0.display())]
    Host(PathBuf),
    /// The host has joined no workspace, and there is no join command.
    #[error(
        "this machine hasn't joined a workspace; create a command in Settings, Gateways there: hq \
         replica --join URL --token-file FILE --fingerprint FINGERPRINT"
    )]
    NotJoined,
    /// The command has no fingerprint.
    #[error(
        "the workspace's fingerprint is missing; copy --fingerprint from the command in Settings, Gateways"
    )]
    NoFingerprint,
    #[error("joining requires a token; give it with --token-file FILE")]
    NoToken,
    /// No workspace at this address has the key.
    #[error(
        "no workspace at {home} has the fingerprint {fingerprint}; copy the command again and \
         check the address"
    )]
    NoSuchHome {
        home: String,
        /// The fingerprint in the command.
        fingerprint: String,
    },
    /// The folder belongs to another workspace.
    #[error(
        "this folder has joined the workspace {fingerprint} at {home}, not the one of this command; run \
         `hq replica leave` first, or give another folder with --data"
    )]
    Elsewhere {
        home: String,
        /// The fingerprint of its key.
        fingerprint: String,
    },
    /// The primary has rejected this copy of the folder for good.
    #[error(
        "another copy of this folder was chosen as the gateway; remove this one, or run `hq replica leave` here and join \
         with a new command"
    )]
    Copied,
    /// `replica.toml` is invalid.
    #[error("{} can't be read ({detail}); remove it and join again", path.display())]
    Notes {
        path: PathBuf,
        /// Why it is invalid.
        detail: String,
    },
    #[error("{}: {source}; check the owner and mode of the folder", path.display())]
    Disk {
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The key of this host.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("replica.redb: {0}")]
    Mirror(#[from] MirrorError),
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl From<StoreError> for ReplicaError {
    fn from(error: StoreError) -> Self {
        Self::Mirror(error.into())
    }
}

impl ReplicaError {
    pub(crate) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }

    /// The error, and what to do about it.
    #[must_use]
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Link(LinkError::Refused(refusal)) if refusal.code == Refusal::WIRE => {
                format!("{self} {FETCH}")
            }
            other => other.to_string(),
        }
    }

    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Home(_) => "folder_of_a_home",
            Self::Host(_) => "folder_of_a_host",
            Self::NotJoined => "not_joined",
            Self::NoFingerprint => "no_fingerprint",
            Self::NoToken => "no_token",
            Self::NoSuchHome { .. } => "no_such_home",
            Self::Elsewhere { .. } => "joined_elsewhere",
            Self::Copied => crate::shut_out::COPIED,
            Self::Notes { .. } => "notes_unreadable",
            Self::Disk { .. } => "disk",
            Self::Identity(error) => error.code(),
            Self::Mirror(error) => error.code(),
            Self::Link(LinkError::Refused(refusal)) => &refusal.code,
            Self::Link(error) => error.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_another_program_hears_how_to_get_the_right_one() {
        let refused =
            |code| ReplicaError::Link(LinkError::Refused(Refusal::new(code, "Fetch HQ 7.")));
        let sentence = refused(Refusal::WIRE).sentence();
        assert!(
            sentence.contains("Fetch HQ 7. Create a command in Settings, Gateways"),
            "{sentence}"
        );
        assert!(!refused("gateway_revoked").sentence().contains("Create a command"));
    }
}
