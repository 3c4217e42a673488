//! The policy of one program, as passed to the jail helper.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a jailed program may read, write and reach. Everything else is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Working folder.
    pub cwd: PathBuf,
    /// Files and folders that it may read, write and execute.
    #[serde(default)]
    pub writable: Vec<PathBuf>,
    /// Files and folders that it may read and execute, besides system folders.
    #[serde(default)]
    pub readable: Vec<PathBuf>,
    /// Folders that stay unreadable although a system folder contains them: HQ's data folder.
    #[serde(default)]
    pub concealed: Vec<PathBuf>,
    /// Network access.
    #[serde(default)]
    pub network: Network,
    /// Whether it gets a network of its own, if the machine supports it.
    #[serde(default)]
    pub own_network: OwnNetwork,
    /// Whether it may open named Unix sockets. Before Landlock ABI 9, such a socket reaches every service of the same
    /// user, including HQ's own control socket. Granted only to programs that cannot start without (Chromium).
    #[serde(default)]
    pub unix_sockets: bool,
    /// Kernel limits for each of its processes.
    #[serde(default)]
    pub limits: Limits,
    /// What to do on a kernel without Landlock.
    #[serde(default)]
    pub without_landlock: WithoutLandlock,
    /// Simulates an older kernel: the highest Landlock ABI to use. For tests of the fallbacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock_ceiling: Option<u8>,
    /// Process id of the spawner, which sets it. If that process is gone, nothing is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
}

impl Policy {
    /// Default policy of an agent's command: its folder and its scratch folder, no network, default limits.
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

    /// Returns `true` if it needs the host's network.
    pub(super) fn shares_network(&self) -> bool {
        match self.own_network {
            OwnNetwork::Never => true,
            OwnNetwork::Unconnected => self.network != Network::Off,
            OwnNetwork::Served | OwnNetwork::Required => false,
        }
    }

    /// The egress port that is opened in its own network and passed to the spawner.
    pub(super) fn handed_out(&self) -> Option<u16> {
        if self.shares_network() { None } else { self.network.way_out() }
    }
}

/// Whether a program gets a network of its own, without access to this machine and its neighbours. Landlock and system
/// call filter apply there too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnNetwork {
    /// If it has no network access and the machine supports it.
    #[default]
    Unconnected,
    /// If the machine supports it. The spawner serves the only reachable port ([`Network::through`]).
    Served,
    /// Like `Served`, and it is not started otherwise.
    Required,
    /// Never, as on a machine without support.
    Never,
}

/// Which sockets a program may open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// No IPv4 or IPv6 sockets.
    #[default]
    Off,
    /// TCP and UDP sockets.
    On(Ports),
}

impl Network {
    /// TCP to these ports only, if the kernel supports port rules; no port means all ports.
    #[must_use]
    pub fn to_ports(ports: impl IntoIterator<Item = u16>) -> Self {
        Self::On(Ports { connect: ports.into_iter().collect(), ..Ports::default() })
    }

    /// TCP to this port only, if the kernel supports port rules; no UDP.
    #[must_use]
    pub fn through(port: u16) -> Self {
        Self::On(Ports { connect: vec![port], no_udp: true, ..Ports::default() })
    }

    /// The only reachable port.
    fn way_out(&self) -> Option<u16> {
        match self {
            Self::On(Ports { connect, no_udp: true, .. }) if connect.len() == 1 => {
                connect.first().copied()
            }
            _ => None,
        }
    }
}

/// TCP port rules, enforced from Landlock ABI 4. Listening is not allowed. UDP cannot be filtered by port: it is either
/// open, as name resolution needs it, or closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// Ports that may be connected to; empty means all.
    #[serde(default)]
    pub connect: Vec<u16>,
    /// Disables UDP.
    #[serde(default)]
    pub no_udp: bool,
    /// Hides the network interfaces. A browser that sees only loopback reports to pages that it is offline; one that
    /// cannot ask assumes to be online.
    #[serde(default)]
    pub no_interfaces: bool,
}

/// Kernel limits for each process, not for their sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Processor time in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_secs: Option<u64>,
    /// Maximum file size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Address space in bytes. Unlimited by default: Node and Java reserve far more than they use.
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

/// What to do on a kernel without Landlock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutLandlock {
    /// Start nothing.
    #[default]
    Refuse,
    /// Start programs. A person has accepted for this host that they can read and write what HQ's user can.
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
