//! What one program may do, as the jail helper is told it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a jailed program may read, write and reach. Everything not named is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The folder that the program starts in.
    pub cwd: PathBuf,
    /// Files and folders it may read, write and execute.
    #[serde(default)]
    pub writable: Vec<PathBuf>,
    /// Files and folders it may read and execute besides those of the system.
    #[serde(default)]
    pub readable: Vec<PathBuf>,
    /// Folders that stay unreadable although they lie below a folder of the system: HQ's data folder.
    #[serde(default)]
    pub concealed: Vec<PathBuf>,
    /// Which sockets it may open.
    #[serde(default)]
    pub network: Network,
    /// Whether it gets a network of its own, where the machine gives one.
    #[serde(default)]
    pub own_network: OwnNetwork,
    /// Whether it may open Unix sockets by name. Before Landlock ABI 9 such a socket reaches every service of
    /// the same user on the host, HQ's own control socket included, so only programs that cannot start without
    /// (Chromium) get it.
    #[serde(default)]
    pub unix_sockets: bool,
    /// Limits of the kernel on each of its processes.
    #[serde(default)]
    pub limits: Limits,
    /// What happens on a kernel that has no Landlock.
    #[serde(default)]
    pub without_landlock: WithoutLandlock,
    /// Behaves as an older kernel would: the highest Landlock ABI to use. For tests of the fallbacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock_ceiling: Option<u8>,
    /// The process that starts the helper; set by the spawner. If it is gone, nothing is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
}

impl Policy {
    /// The usual policy of an agent's command: its folder and its scratch folder, no network, default limits.
    #[must_use]
    pub fn for_agent(folder: &Path, scratch: &Path, data: &Path) -> Self {
        Self {
            cwd: folder.to_owned(),
            writable: vec![folder.to_owned(), scratch.to_owned()],
            readable: Vec::new(),
            concealed: vec![data.to_owned()],
            network: Network::Off,
            own_network: OwnNetwork::default(),
            unix_sockets: false,
            limits: Limits::default(),
            without_landlock: WithoutLandlock::Refuse,
            landlock_ceiling: None,
            parent: None,
        }
    }

    /// Whether it needs the network of the host.
    pub(super) fn shares_network(&self) -> bool {
        match self.own_network {
            OwnNetwork::Never => true,
            OwnNetwork::Unconnected => self.network != Network::Off,
            OwnNetwork::Served | OwnNetwork::Required => false,
        }
    }

    /// The port at which a way out is opened in its own network and handed to whoever starts it.
    pub(super) fn handed_out(&self) -> Option<u16> {
        if self.shares_network() { None } else { self.network.way_out() }
    }
}

/// Whether a program gets a network of its own: one in which nothing of this machine listens, and nothing stands beside
/// it. Landlock and the filter of system calls hold in there as elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnNetwork {
    /// If it has no network, and the machine gives one.
    #[default]
    Unconnected,
    /// If the machine gives one; whoever starts it serves the one port that it reaches ([`Network::through`]).
    Served,
    /// As `Served`, and it is not started otherwise.
    Required,
    /// Never: what happens on a machine that gives none.
    Never,
}

/// Which sockets a program may open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// No IPv4 or IPv6 socket at all.
    #[default]
    Off,
    /// TCP and UDP sockets.
    On(Ports),
}

impl Network {
    /// TCP to these ports only, where the kernel can tell ports apart; no port means all of them.
    #[must_use]
    pub fn to_ports(ports: impl IntoIterator<Item = u16>) -> Self {
        Self::On(Ports { connect: ports.into_iter().collect(), ..Ports::default() })
    }

    /// TCP to this port only, where the kernel can tell ports apart, and nothing but TCP.
    #[must_use]
    pub fn through(port: u16) -> Self {
        Self::On(Ports { connect: vec![port], no_udp: true, ..Ports::default() })
    }

    /// The one port that is reached.
    fn way_out(&self) -> Option<u16> {
        match self {
            Self::On(Ports { connect, no_udp: true, .. }) if connect.len() == 1 => {
                connect.first().copied()
            }
            _ => None,
        }
    }
}

/// TCP ports, enforced from Landlock ABI 4 on; none is listened on. UDP has no such filter: it is open, and needed to
/// look names up, or closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// Ports that may be connected to; empty means all.
    #[serde(default)]
    pub connect: Vec<u16>,
    /// Whether there is no UDP at all.
    #[serde(default)]
    pub no_udp: bool,
    /// Whether it cannot ask which interfaces there are. A browser that finds none but loopback tells pages that it is
    /// offline; one that cannot ask takes itself to be online.
    #[serde(default)]
    pub no_interfaces: bool,
}

/// Limits of the kernel on each process. They bound one process, not the sum of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Seconds of processor time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_secs: Option<u64>,
    /// Largest file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Address space in bytes. Off by default: Node and Java reserve far more than they use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_secs: None,
            file_bytes: Some(4 << 30),
            open_files: Some(4096),
            memory_bytes: None,
        }
    }
}

/// What happens on a kernel that has no Landlock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutLandlock {
    /// Nothing is started.
    #[default]
    Refuse,
    /// A person accepted for this host that programs can read and write what HQ's user can.
    Start,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_its_way_to_the_helper() {
        let mut policy = Policy::for_agent(
            Path::new("/data/agents/ada"),
            Path::new("/data/scratch/ada"),
            Path::new("/data"),
        );
        policy.network = Network::to_ports([443]);
        policy.limits.memory_bytes = Some(1 << 30);
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }

    #[test]
    fn what_a_policy_leaves_out_is_refused() {
        let policy: Policy = serde_json::from_str(r#"{"cwd":"/tmp"}"#).unwrap();
        assert_eq!(policy.network, Network::Off);
        assert_eq!(policy.without_landlock, WithoutLandlock::Refuse);
        assert!(policy.writable.is_empty() && !policy.unix_sockets);
    }

    #[test]
    fn a_program_leaves_the_network_of_the_host_unless_it_needs_that() {
        let mut policy: Policy = serde_json::from_str(r#"{"cwd":"/tmp"}"#).unwrap();
        assert!(!policy.shares_network() && policy.handed_out().is_none());
        policy.network = Network::through(8_080);
        assert!(policy.shares_network(), "nobody serves its way out");
        assert_eq!(policy.handed_out(), None);
        for own in [OwnNetwork::Served, OwnNetwork::Required] {
            policy.own_network = own;
            assert_eq!((policy.shares_network(), policy.handed_out()), (false, Some(8_080)));
        }
        policy.own_network = OwnNetwork::Never;
        assert_eq!((policy.shares_network(), policy.handed_out()), (true, None));
    }

    #[test]
    fn an_unknown_word_in_a_policy_is_an_error_and_not_a_right() {
        assert!(serde_json::from_str::<Policy>(r#"{"cwd":"/tmp","writeable":["/"]}"#).is_err());
    }
}
