//! How both sides show who they are, before anything else is said.
//!
//! 1. *hello*, host to home: the number of its wire, its version, an ephemeral key, a nonce. Nothing of who it is.
//! 2. *answer*, home to host: its key, an ephemeral key, a nonce, and its signature over all that was said. The host
//!    goes on only if it is the home that was named to it.
//! 3. *proof*, host to home, sealed: its key, the token or the gateway that it is, what it has to say of its machine,
//!    and its signature over all that was said.
//! 4. *verdict*, home to host, sealed: what it is from now on. Or a *refusal*, signed by home, which may also stand in
//!    the place of the answer.
//!
//! A token is read by nobody but the home whose fingerprint came with it. What was recorded once is worth nothing the
//! second time, since both sides bring a new key to each handshake. These bytes never change: a host of any version
//! can be told what to fetch.

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

/// What a host says of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The name of the machine, as its system says.
    pub name: String,
    /// The system and its version.
    pub system: String,
    /// The processor's architecture.
    pub arch: String,
    /// How many processors HQ may use.
    pub cpus: u32,
    /// Its memory in bytes.
    pub memory: u64,
    /// The size in bytes of the disk that HQ's folder lies on.
    pub disk: u64,
    /// What it is to be known by: `gpu`, `region=eu`.
    pub labels: Vec<String>,
    /// Addresses under which it is reached, as far as it knows.
    pub addresses: Vec<String>,
    /// Names this start of its program: another one with the same key is another start, or another machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
    /// The life in which its folder was last held as one of two; empty if it never was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub branch: String,
}

/// Why a host knocks.
#[derive(Clone, PartialEq, Eq)]
pub enum Purpose {
    /// It wants to become a gateway.
    Join {
        /// The token that it was given.
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

/// Which home a host talks to, and to no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The one with this key, which it has met before.
    Key(PublicKey),
    /// The one with this fingerprint, as the command said with which it joins.
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

/// What a host brings to a handshake.
#[derive(Debug)]
pub struct Knock<'a> {
    pub identity: &'a Identity,
    /// Whom it wants to talk to.
    pub pin: &'a Pin,
    pub purpose: Purpose,
    /// What it says of its machine.
    pub facts: &'a Facts,
    /// The version of its program.
    pub version: &'a str,
    /// How long things may take.
    pub pace: Pace,
}

/// What a home brings to a handshake.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    pub identity: &'a Identity,
    /// The version of its program.
    pub version: &'a str,
    /// How long things may take.
    pub pace: Pace,
}

/// What a home has to judge: a host that has proved that it holds `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRequest {
    /// What it wants.
    pub purpose: Purpose,
    pub key: PublicKey,
    /// What it says of its machine.
    pub facts: Facts,
    /// The version of its program.
    pub version: String,
}

/// What a host is from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    pub gateway: GatewayId,
    /// What the gateway is called.
    pub label: String,
    /// How often what the host has was made void: it drops its mirror when this is another than before.
    pub epoch: u64,
}

/// A no, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable word for programs.
    pub code: String,
    /// A sentence for people.
    pub sentence: String,
    /// When to ask again; nothing where it makes no difference.
    pub wait: Option<Duration>,
    /// The number of home's wire.
    pub wire: u32,
    /// The version of home's program.
    pub version: String,
}

impl Refusal {
    /// The code where both sides do not speak the same.
    pub const WIRE: &'static str = "wire_mismatch";

    /// A refusal; home adds what it speaks itself.
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

    /// The same, to be asked again after a time.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// That of a host whose program speaks another wire.
    fn of_wire(theirs: u32, their_version: &str, our_version: &str) -> Self {
        let sentence = format!(
            "This host runs HQ {their_version} (wire {theirs}), and its workspace HQ {our_version} (wire {WIRE}). \
             Fetch HQ {our_version} from the workspace and start this host with it."
        );
        Self::new(Self::WIRE, sentence)
    }
}

/// A link, as its host has it.
#[derive(Debug)]
pub struct Linked {
    /// What it is from now on.
    pub admitted: Admitted,
    /// The key of its home, to be pinned.
    pub home: PublicKey,
    /// The version of home's program.
    pub version: String,
    /// What is said from now on.
    pub session: Session,
}

/// A link, as home has it.
#[derive(Debug)]
pub struct Accepted {
    /// What the host is.
    pub admitted: Admitted,
    pub key: PublicKey,
    /// What it says of its machine.
    pub facts: Facts,
    /// The version of its program.
    pub version: String,
    /// What is said from now on.
    pub session: Session,
}
