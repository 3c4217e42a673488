//! What one program may do, as JSON in one argument of the jail helper. Holds no secret: other users of the host
//! can read the arguments of a process.

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
            unix_sockets: false,
            limits: Limits::default(),
            without_landlock: WithoutLandlock::Refuse,
            landlock_ceiling: None,
            parent: None,
        }
    }
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
        Self::On(Ports { connect: ports.into_iter().collect(), listen: Vec::new(), no_udp: false })
    }

    /// TCP to this port only, where the kernel can tell ports apart, and nothing but TCP.
    #[must_use]
    pub fn through(port: u16) -> Self {
        Self::On(Ports { connect: vec![port], listen: Vec::new(), no_udp: true })
    }
}

/// TCP ports, enforced from Landlock ABI 4 on. UDP has no such filter: it is open, and needed to look names up, or
/// closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// Ports that may be connected to; empty means all.
    #[serde(default)]
    pub connect: Vec<u16>,
    /// Ports that may be listened on; empty means none.
    #[serde(default)]
    pub listen: Vec<u16>,
    /// Whether there is no UDP at all.
    #[serde(default)]
    pub no_udp: bool,
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
    /// Open files.
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
    fn a_policy_survives_its_way_through_the_argument() {
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
    fn an_unknown_word_in_a_policy_is_an_error_and_not_a_right() {
        assert!(serde_json::from_str::<Policy>(r#"{"cwd":"/tmp","writeable":["/"]}"#).is_err());
    }
}
