//! The probe helper, `hq --probe <attempts>`: runs inside the jail, attempts what must fail, and reports what
//! succeeded. Harmless: reads only the first byte of a key and delivers no signal.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::{AtFlags, XattrFlags, inotify};
use rustix::net::{self, AddressFamily, SendFlags, SocketType, ipproto};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::mechanisms::Seen;
use super::procfs;

/// Argument that makes HQ the probe.
pub const ARGUMENT: &str = "--probe";

const MSG_FASTOPEN: SendFlags = SendFlags::from_bits_retain(0x2000_0000);
/// `SOCK_DCCP`
const DCCP: SocketType = SocketType::from_raw(6);

/// Targets of the attempts. All are created for the purpose, except for the key and the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempts {
    /// Master key file.
    pub key: PathBuf,
    /// HQ's data folder.
    pub data: PathBuf,
    /// A file in another agent's folder.
    pub other: PathBuf,
    /// A file to create outside of the own folder.
    pub outside: PathBuf,
    /// A file outside whose mode, times and attributes to change.
    pub mode: PathBuf,
    /// A file to write in the own folder; this must succeed.
    pub own: PathBuf,
    /// A listening TCP socket.
    pub tcp: SocketAddr,
    /// A bound UDP socket.
    pub udp: SocketAddr,
    /// A Unix socket outside of the own folder.
    pub unix: PathBuf,
    /// Process id of the server.
    pub server: i32,
}

/// An attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Write to the own folder.
    WriteOwn,
    /// Read the master key.
    ReadKey,
    /// List the data folder.
    ListData,
    /// Read another agent's file.
    ReadOther,
    /// Create a file outside.
    WriteOutside,
    /// Reach the key through the server's root folder in `/proc`.
    ServerRoot,
    /// Reach the key through the program's own root folder in `/proc`.
    OwnRoot,
    /// Read the server's environment.
    ServerEnvironment,
    ConnectTcp,
    /// Connect with TCP Fast Open, which bypasses connection checks.
    FastOpen,
    SendUdp,
    /// Open another kind of network socket: raw, SCTP, DCCP, MPTCP, packet.
    OtherSockets,
    /// Listen on a port of all addresses.
    Listen,
    /// Connect to a Unix socket outside.
    ConnectUnix,
    SignalServer,
    /// Signal all processes.
    SignalAll,
    /// Have or gain capabilities, or make system calls without a filter.
    KeepRights,
    /// Change the mode of a file outside.
    ChangeMode,
    /// Change the times of a file outside.
    ChangeTimes,
    /// Write an attribute of a file outside.
    Attributes,
    /// Watch another agent's folder.
    WatchOther,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub check: Check,
    /// The error; `None` if the attempt succeeded.
    pub refused: Option<String>,
}

/// The output of a probe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    pub(super) seen: Seen,
}

/// Runs the probe with the arguments after `--probe` and writes the findings as JSON.
#[must_use]
pub fn main_probe(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let attempts =
        arguments.next().and_then(|text| serde_json::from_str::<Attempts>(text.to_str()?).ok());
    let Some(attempts) = attempts else { return ExitCode::from(2) };
    let report = Report { findings: run(&attempts), seen: Seen::here() };
    let written = serde_json::to_vec(&report)
        .map_err(io::Error::other)
        .and_then(|json| io::stdout().write_all(&json));
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(attempts: &Attempts) -> Vec<Finding> {
    let proc_root = |who: String| {
        let path = attempts.key.strip_prefix("/").unwrap_or(&attempts.key);
        read(&Path::new("/proc").join(who).join("root").join(path))
    };
    let server = attempts.server.to_string();
    [
        (Check::WriteOwn, write(&attempts.own)),
        (Check::ReadKey, read(&attempts.key)),
        (Check::ListData, fs::read_dir(&attempts.data).map(drop)),
        (Check::ReadOther, read(&attempts.other)),
        (Check::WriteOutside, write(&attempts.outside)),
        (Check::ServerRoot, proc_root(server.clone())),
        (Check::OwnRoot, proc_root("self".into())),
        (Check::ServerEnvironment, read(&Path::new("/proc").join(server).join("environ"))),
        (Check::ConnectTcp, connect(attempts.tcp)),
        (Check::FastOpen, fast_open(attempts.tcp)),
        (Check::SendUdp, send(attempts.udp)),
        (Check::OtherSockets, other_sockets()),
        (Check::Listen, listen()),
        (Check::ConnectUnix, UnixStream::connect(&attempts.unix).map(drop)),
        (Check::SignalServer, signal(attempts.server)),
        (Check::SignalAll, signal_all()),
        (Check::KeepRights, rights()),
        (Check::ChangeMode, fs::set_permissions(&attempts.mode, Permissions::from_mode(0o644))),
        (Check::ChangeTimes, change_times(&attempts.mode)),
        (Check::Attributes, attribute(&attempts.mode)),
        (Check::WatchOther, watch(&attempts.other)),
    ]
    .into_iter()
    .map(|(check, done)| Finding { check, refused: done.err().map(|error| error.to_string()) })
    .collect()
}

fn read(path: &Path) -> io::Result<()> {
    let mut first = [0];
    File::open(path)?.read(&mut first).map(drop)
}

fn write(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(b"x")
}

fn connect(address: SocketAddr) -> io::Result<()> {
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).map(drop)
}

fn fast_open(address: SocketAddr) -> io::Result<()> {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    net::sendto(&socket, b"x", MSG_FASTOPEN, &address)?;
    Ok(())
}

fn other_sockets() -> io::Result<()> {
    let kinds = [
        (AddressFamily::INET, SocketType::SEQPACKET, None),
        (AddressFamily::INET, DCCP, None),
        (AddressFamily::INET, SocketType::STREAM, Some(ipproto::SCTP)),
        (AddressFamily::INET, SocketType::STREAM, Some(ipproto::MPTCP)),
        (AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)),
        (AddressFamily::PACKET, SocketType::RAW, None),
        (AddressFamily::VSOCK, SocketType::STREAM, None),
    ];
    let opened = kinds.map(|(family, kind, protocol)| net::socket(family, kind, protocol));
    let [first, rest @ ..] = opened;
    Ok(rest.into_iter().fold(first, |found, one| found.or(one)).map(drop)?)
}

/// Without `bind`, the kernel chooses a port on all addresses. Succeeds if it has.
fn listen() -> io::Result<()> {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    net::listen(&socket, 1)?;
    let at = SocketAddr::try_from(net::getsockname(&socket)?).map_err(io::Error::other)?;
    match at.port() {
        0 => Err(io::Error::other("nothing listens")),
        _ => Ok(()),
    }
}

fn change_times(path: &Path) -> io::Result<()> {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let both = rustix::fs::Timestamps { last_access: now, last_modification: now };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &both, AtFlags::empty())?)
}

fn attribute(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::setxattr(path, c"user.hq", b"x", XattrFlags::empty())?)
}

fn watch(path: &Path) -> io::Result<()> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    let folder = path.parent().unwrap_or(path);
    Ok(inotify::add_watch(watch, folder, inotify::WatchFlags::ATTRIB).map(drop)?)
}

fn send(address: SocketAddr) -> io::Result<()> {
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", address).map(drop)
}

fn signal(pid: i32) -> io::Result<()> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(rustix::process::test_kill_process(pid)?)
}

/// Process id -1 addresses every process that may be signalled.
fn signal_all() -> io::Result<()> {
    Ok(rustix::process::test_kill_process_group(Pid::INIT)?)
}

/// Succeeds if some right is left.
fn rights() -> io::Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    let none = sets.permitted.is_empty() && sets.effective.is_empty();
    if none && rustix::thread::no_new_privs()? && procfs::is_self_jailed() {
        return Err(io::Error::other("nothing is left"));
    }
    Ok(())
}
