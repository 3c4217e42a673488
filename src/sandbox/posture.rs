//! Self-test behind `hq doctor sandbox`: determines by trying how programs are confined on this host.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::panic;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SandboxError;
use super::confine;
use super::job::Outcome;
use super::mechanisms::{self, Seen};
use super::output;
use super::policy::{Network, OwnNetwork, Policy, WithoutLandlock};
use super::probe::{self, Attempts, Check, Finding, Report};
use super::spawn::{Command, Output, Spawner};

const TIMEOUT: Duration = Duration::from_secs(20);
const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

/// Overall confinement on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// Files are not isolated: a program can do what HQ can.
    None,
    /// File contents are isolated; signals, ports or file modes less precisely than possible.
    Coarse,
    /// All attempts were refused.
    Strong,
}

/// Verdict of a report line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As required.
    Held,
    /// Less precise than on a newer kernel.
    Coarse,
    /// Not as required.
    Broken,
    /// A known limitation of every host.
    Limit,
}

/// A report line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The attempt; `None` for a remark.
    pub check: Option<Check>,
    pub verdict: Verdict,
    /// Description for people.
    pub text: String,
}

/// The report of a self-test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    pub overall: Overall,
    /// The Landlock ABI in use; 0 for none.
    pub landlock_abi: u8,
    /// Whether programs can be started at all.
    pub starts: bool,
    /// Attempts and remarks.
    pub lines: Vec<Line>,
}

#[derive(Clone, Debug)]
pub struct SelfTest {
    /// HQ's data folder. The test works in a new subfolder and removes it.
    pub data: PathBuf,
    /// The master key, if it is a file.
    pub master_key: Option<PathBuf>,
    /// The choice for hosts without Landlock.
    pub without_landlock: WithoutLandlock,
    /// Simulates an older kernel; for tests.
    pub landlock_ceiling: Option<u8>,
}

/// A test program.
struct Trial<'t> {
    name: &'t str,
    network: Network,
    own_network: OwnNetwork,
    /// Confined only by its network and the system call filter.
    is_bare: bool,
}

impl SelfTest {
    /// Runs three programs in the jail concurrently: without network, with network, and with only a network of its own
    /// as confinement. Reports what they could do. Blocks for some hundredths of a second; not for async code.
    pub fn run(&self, spawner: &Spawner) -> Result<Posture, SandboxError> {
        let stage = Stage::set(&self.data).map_err(SandboxError::Posture)?;
        let abi = confine::landlock_abi().min(self.landlock_ceiling.unwrap_or(u8::MAX));
        // A port without a listener of ours: the actual test port must stay unreachable.
        let other_port = if stage.port == 1 { 2 } else { 1 };
        let network = match confine::PORTS <= abi || spawner.has_own_networks_blocking() {
            true => Network::through(other_port),
            false => Network::to_ports([other_port]),
        };
        let off = Trial {
            name: "off",
            network: Network::Off,
            own_network: OwnNetwork::Unconnected,
            is_bare: false,
        };
        let on = Trial { name: "on", network, own_network: OwnNetwork::Served, is_bare: false };
        let bare = Network::to_ports([]);
        let bare =
            Trial { name: "bare", network: bare, own_network: OwnNetwork::Served, is_bare: true };
        // A person waits for this during setup, so the programs run concurrently.
        let [off, on, bare] = thread::scope(|scope| {
            [off, on, bare]
                .map(|trial| scope.spawn(|| self.attempt(spawner, &stage, trial)))
                .map(|one| one.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
        });
        let mut lines = Vec::new();
        let off = match off? {
            Ok(report) => report,
            Err(why) => {
                let text = format!("Programs don’t start: {why}.");
                let line = Line { check: None, verdict: Verdict::Broken, text };
                return Ok(Posture {
                    overall: Overall::None,
                    landlock_abi: abi,
                    starts: false,
                    lines: vec![line],
                });
            }
        };
        lines.extend(off.findings.iter().map(judge));
        let on = on?.ok(); // ok: a program that does not start reaches nothing
        lines.extend(on.iter().map(|report| ports(&report.findings)));
        lines.push(signals(abi));
        let found = mechanisms::Found {
            server: &Seen::here(),
            off: &off.seen,
            on: on.as_ref().map(|report| &report.seen),
            holds_alone: bare?.is_ok() && !stage.was_reached_bare(),
            abi,
            groups: spawner.control_groups(),
        };
        lines.extend(found.lines());
        if rustix::process::geteuid().is_root() {
            lines.push(Line {
                check: None,
                verdict: Verdict::Limit,
                text:
                    "HQ runs as root. Programs lose its special rights, but it is still safer to \
                       run HQ as its own user."
                        .into(),
            });
        }
        Ok(Posture { overall: overall(&lines), landlock_abi: abi, starts: true, lines })
    }

    /// Returns the report of one program, or why it did not start.
    fn attempt(
        &self,
        spawner: &Spawner,
        stage: &Stage,
        trial: Trial<'_>,
    ) -> Result<Result<Report, String>, SandboxError> {
        let program = fs::read_link(spawner.program()).unwrap_or_else(|_| spawner.program().into());
        let agent = stage.root.join("agent");
        let mut policy = Policy::for_agent(&agent, &agent, &self.data);
        policy.readable.push(program.clone());
        policy.network = trial.network;
        policy.own_network = trial.own_network;
        policy.without_landlock = self.without_landlock;
        policy.landlock_ceiling = self.landlock_ceiling;
        let mut attempts = stage.attempts(self);
        if trial.is_bare {
            (policy.without_landlock, policy.landlock_ceiling) = (WithoutLandlock::Start, Some(0));
            (attempts.tcp, attempts.udp) = stage.bare_addresses();
        }
        let name = trial.name;
        let attempts = serde_json::to_string(&attempts).map_err(SandboxError::Policy)?;
        let (out, error) = (stage.root.join(format!("{name}.out")), stage.root.join(name));
        let mut command = Command::new(program, policy);
        command.args = vec![probe::ARGUMENT.into(), attempts.into()];
        command.stdout = Output::File(out.clone());
        command.stderr = Output::File(error.clone());
        command.timeout = Some(TIMEOUT);
        let end = spawner.spawn_blocking(command)?.job.wait_blocking();
        if let Some(why) = end.not_started {
            return Ok(Err(why));
        }
        let text = fs::read(&out).map_err(SandboxError::Posture)?;
        match serde_json::from_slice(&text) {
            Ok(report) if end.outcome == Outcome::Code(0) => Ok(Ok(report)),
            _ => {
                let tail = output::tail(&error, 400).unwrap_or_default(); // ok: only a hint
                Ok(Err(format!("the test program ended with {:?} {}", end.outcome, tail.text())))
            }
        }
    }
}

/// Files and sockets of a test; removed on drop.
struct Stage {
    root: PathBuf,
    tcp: TcpListener,
    udp: UdpSocket,
    port: u16,
    /// Targets of the program that only its network confines.
    bare: (TcpListener, UdpSocket),
    _unix: Option<UnixListener>,
}

impl Stage {
    fn set(data: &Path) -> io::Result<Self> {
        let root = (0..100)
            .map(|n| data.join(format!("sandbox-test-{}-{n}", process::id())))
            .find(|path| fs::create_dir(path).is_ok())
            .ok_or_else(|| {
                io::Error::other(format!("no folder can be made in {}", data.display()))
            })?;
        fs::create_dir(root.join("agent"))?;
        fs::create_dir(root.join("other"))?;
        fs::write(root.join("other/notes.md"), "private")?;
        fs::write(root.join("key"), "stand-in")?;
        fs::write(root.join("mode"), "")?;
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let port = tcp.local_addr()?.port();
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        // The path may be too long for a socket. Then nothing listens, and the attempt fails as required.
        let unix = UnixListener::bind(root.join("s")).ok();
        let bare = (TcpListener::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        bare.0.set_nonblocking(true)?;
        bare.1.set_nonblocking(true)?;
        Ok(Self { root, tcp, udp, port, bare, _unix: unix })
    }

    fn bare_addresses(&self) -> (SocketAddr, SocketAddr) {
        let (tcp, udp) = &self.bare;
        (tcp.local_addr().unwrap_or(NOWHERE), udp.local_addr().unwrap_or(NOWHERE))
    }

    /// Returns `true` if that program reached anything.
    fn was_reached_bare(&self) -> bool {
        let (tcp, udp) = &self.bare;
        tcp.accept().is_ok() || udp.recv(&mut [0]).is_ok()
    }

    fn attempts(&self, test: &SelfTest) -> Attempts {
        Attempts {
            key: test.master_key.clone().unwrap_or_else(|| self.root.join("key")),
            data: test.data.clone(),
            other: self.root.join("other/notes.md"),
            outside: self.root.join("outside"),
            mode: self.root.join("mode"),
            own: self.root.join("agent/own"),
            tcp: self.tcp.local_addr().unwrap_or(NOWHERE),
            udp: self.udp.local_addr().unwrap_or(NOWHERE),
            unix: self.root.join("s"),
            server: process::id().cast_signed(),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            tracing::warn!("the folder {} of a self-test is left: {error}", self.root.display());
        }
    }
}

fn judge(finding: &Finding) -> Line {
    let what = match finding.check {
        Check::WriteOwn => "write in its own folder",
        Check::ReadKey => "read the master key",
        Check::ListData => "list HQ's data folder",
        Check::ReadOther => "read another agent's files",
        Check::WriteOutside => "write outside its folder",
        Check::ServerRoot => "reach the key through the server's entry in /proc",
        Check::OwnRoot => "reach the key through its own entry in /proc",
        Check::ServerEnvironment => "read the server's environment",
        Check::ConnectTcp => "connect to another host (TCP) with network off",
        Check::FastOpen => "connect by TCP Fast Open with network off",
        Check::SendUdp => "send to another host (UDP) with network off",
        Check::OtherSockets => "open other kinds of sockets (raw, SCTP, DCCP, MPTCP)",
        Check::Listen => "listen on a port",
        Check::ConnectUnix => "talk to local services of this user (Unix sockets)",
        Check::SignalServer => "signal the server",
        Check::SignalAll => "signal everything at once",
        Check::KeepRights => "keep or regain special rights",
        Check::ChangeMode => "change the mode (not the content) of HQ's files",
        Check::ChangeTimes => "change the times of HQ's files",
        Check::Attributes => "write attributes of HQ's files",
        Check::WatchOther => "watch another agent's folder (inotify)",
    };
    let worked = finding.refused.is_none();
    let verdict = match (finding.check, worked) {
        (Check::WriteOwn, true) => Verdict::Held,
        (Check::WriteOwn, false) => Verdict::Broken,
        // Needs a mount namespace, which not every machine supports.
        (Check::ChangeMode | Check::ChangeTimes, true) => Verdict::Coarse,
        (_, true) => Verdict::Broken,
        (_, false) => Verdict::Held,
    };
    let can = if worked { "can" } else { "cannot" };
    Line { check: Some(finding.check), verdict, text: format!("A program {can} {what}.") }
}

fn ports(findings: &[Finding]) -> Line {
    let worked = |wanted: &[Check]| {
        findings.iter().any(|f| f.refused.is_none() && wanted.contains(&f.check))
    };
    let (verdict, text) = if worked(&[Check::FastOpen, Check::OtherSockets, Check::Listen]) {
        (
            Verdict::Broken,
            "With network access, a program can bypass HQ's proxy or listen on a port.",
        )
    } else if worked(&[Check::ConnectTcp, Check::SendUdp]) {
        (
            Verdict::Coarse,
            "With network access, a program can reach every address and port, including this \
             machine and private networks, because this kernel can't distinguish ports.",
        )
    } else {
        (
            Verdict::Held,
            "With network access, a program can only reach HQ's proxy and can't listen on ports.",
        )
    };
    Line { check: None, verdict, text: text.into() }
}

fn signals(abi: u8) -> Line {
    let (verdict, text) = if confine::SCOPES <= abi {
        (Verdict::Held, "Signals are limited to the processes of one command.")
    } else {
        (
            Verdict::Coarse,
            "Signals: coarse. A program can only signal its own process group, so some programs \
             can't stop their own helpers.",
        )
    };
    Line { check: None, verdict, text: text.into() }
}

fn overall(lines: &[Line]) -> Overall {
    let files = [
        Check::WriteOwn,
        Check::ReadKey,
        Check::ListData,
        Check::ReadOther,
        Check::WriteOutside,
        Check::ServerRoot,
        Check::OwnRoot,
        Check::KeepRights,
    ];
    let broken = |line: &&Line| line.verdict == Verdict::Broken;
    if lines.iter().filter(broken).any(|l| l.check.is_none_or(|check| files.contains(&check))) {
        Overall::None
    } else if lines.iter().any(|l| matches!(l.verdict, Verdict::Broken | Verdict::Coarse)) {
        Overall::Coarse
    } else {
        Overall::Strong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: Check, refused: bool) -> Finding {
        Finding { check, refused: refused.then(|| "permission denied".into()) }
    }

    #[test]
    fn a_readable_key_is_no_sandbox_and_a_reachable_port_a_coarse_one() {
        let key = judge(&finding(Check::ReadKey, false));
        assert_eq!(key.text, "A program can read the master key.");
        assert_eq!(overall(&[key]), Overall::None);
        let tcp = judge(&finding(Check::ConnectTcp, false));
        assert_eq!(overall(&[tcp]), Overall::Coarse);
        assert_eq!(overall(&[signals(5)]), Overall::Coarse);
        let fine = judge(&finding(Check::ReadKey, true));
        assert_eq!(overall(&[fine, signals(6)]), Overall::Strong);
    }

    #[test]
    fn whatever_gets_past_the_way_out_is_told() {
        let refused = [finding(Check::ConnectTcp, true), finding(Check::SendUdp, true)];
        assert_eq!(ports(&refused).verdict, Verdict::Held);
        for past in [Check::ConnectTcp, Check::SendUdp] {
            assert_eq!(ports(&[finding(past, false)]).verdict, Verdict::Coarse);
        }
        for past in [Check::FastOpen, Check::OtherSockets, Check::Listen] {
            assert_eq!(ports(&[finding(past, false)]).verdict, Verdict::Broken);
        }
    }

    #[test]
    fn what_must_work_counts_when_it_does_not() {
        assert_eq!(overall(&[judge(&finding(Check::WriteOwn, true))]), Overall::None);
        assert_eq!(overall(&[judge(&finding(Check::WriteOwn, false))]), Overall::Strong);
    }
}
