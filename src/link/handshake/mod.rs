//! Mutual authentication. The layout never changes, so a host of any version can be told what to fetch.
//! 1. *hello*, host to primary: protocol version, HQ version, an ephemeral key, a nonce. No identity.
//! 2. *answer*, primary to host: key, ephemeral key, nonce, and a signature over all so far. The host checks the key.
//! 3. *proof*, host to primary, sealed: its key, a token or gateway id, machine facts, and a signature over all so far.
//! 4. *verdict*, primary to host, sealed: the host's role. Or, also in place of the answer, a signed *refusal*.
//!
//! Only the primary with the expected fingerprint can read a token. Fresh ephemeral keys prevent replays.

use std::fmt;
use std::time::Duration;

use kernel::GatewayId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::identity::{Identity, PublicKey};
use super::session::Session;
use super::{Pace, WIRE};

mod layout;
mod talk;

#[cfg(test)]
pub(crate) use talk::{Fresh, answered, knocked};
pub use talk::{accept, knock};

/// Facts about a host's machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The host name of the system.
    pub name: String,
    /// The operating system and its version.
    pub system: String,
    /// The processor's architecture.
    pub arch: String,
    /// Processors that HQ may use.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Size in bytes of the disk with HQ's folder.
    pub disk: u64,
    /// Labels such as `gpu`, `region=eu`.
    pub labels: Vec<String>,
    /// Known addresses of the host.
    pub addresses: Vec<String>,
    /// Id of this process start. Another one with the same key is another start, or another machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
    /// The process start in which this host was last held because of a copied folder; empty if never.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub branch: String,
}

/// The purpose of a handshake.
#[derive(Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To become a gateway.
    Join {
        token: Zeroizing<String>,
    },
    Known {
        gateway: GatewayId,
    },
}

impl fmt::Debug for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join { .. } => f.write_str("Join(hidden)"),
            Self::Known { gateway } => f.debug_tuple("Known").field(gateway).finish(),
        }
    }
}

/// The only primary that a host accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// By its key, for a primary that is known.
    Key(PublicKey),
    /// By the fingerprint in the join command.
    Fingerprint(String),
}

impl Pin {
    fn fits(&self, key: &PublicKey) -> bool {
        match self {
            Self::Key(known) => known == key,
            Self::Fingerprint(known) => key.is(known),
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Key(known) => known.fingerprint(),
            Self::Fingerprint(known) => known.clone(),
        }
    }
}

/// The host's input to a handshake.
#[derive(Debug)]
pub struct Knock<'a> {
    pub identity: &'a Identity,
    /// The expected primary.
    pub pin: &'a Pin,
    pub purpose: Purpose,
    pub facts: &'a Facts,
    /// The version of HQ.
    pub version: &'a str,
    /// The time limits.
    pub pace: Pace,
}

/// The primary's input to a handshake.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    pub identity: &'a Identity,
    /// The version of HQ.
    pub version: &'a str,
    /// The time limits.
    pub pace: Pace,
}

/// A request of a host that has proved to hold `key`, for the primary's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRequest {
    pub purpose: Purpose,
    pub key: PublicKey,
    pub facts: Facts,
    /// The version of HQ.
    pub version: String,
}

/// The role of an admitted host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    pub gateway: GatewayId,
    /// The gateway's name.
    pub label: String,
    /// How often the host's data was made void: the host drops its mirror if this differs from its last value.
    pub epoch: u64,
}

/// A refusal, with advice for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable code for programs.
    pub code: String,
    /// A sentence for people.
    pub sentence: String,
    /// When to retry; `None` if a retry is pointless.
    pub wait: Option<Duration>,
    /// The primary's protocol version.
    pub wire: u32,
    /// The primary's version of HQ.
    pub version: String,
}

impl Refusal {
    /// The code for different protocol versions.
    pub const WIRE: &'static str = "wire_mismatch";

    /// A refusal; the primary adds its versions.
    #[must_use]
    pub fn new(code: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            sentence: sentence.into(),
            wait: None,
            wire: WIRE,
            version: String::new(),
        }
    }

    /// The same, with a retry delay.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// The refusal for another protocol version.
    fn of_wire(theirs: u32, their_version: &str, our_version: &str) -> Self {
        let sentence = format!(
            "This host runs HQ {their_version} (wire {theirs}), and its workspace HQ {our_version} (wire {WIRE}). \
             Fetch HQ {our_version} from the workspace and start this host with it."
        );
        Self::new(Self::WIRE, sentence)
    }
}

/// An established link on the host.
#[derive(Debug)]
pub struct Linked {
    pub admitted: Admitted,
    /// The key of the primary, to be pinned.
    pub home: PublicKey,
    /// The primary's version of HQ.
    pub version: String,
    pub session: Session,
}

/// An established link on the primary.
#[derive(Debug)]
pub struct Accepted {
    pub admitted: Admitted,
    pub key: PublicKey,
    pub facts: Facts,
    /// The host's version of HQ.
    pub version: String,
    pub session: Session,
}
