//! The other helper, `hq --probe <attempts>`: runs inside the jail, tries what must not work, and says what did.
//! It only looks: no key is read further than its first byte, no signal is delivered.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::procfs;

/// The argument that makes HQ the probe.
pub const ARGUMENT: &str = "--probe";

/// What to try. Everything named here is made for the purpose, except for the key and the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempts {
    /// The master key.
    pub key: PathBuf,
    /// HQ's data folder.
    pub data: PathBuf,
    /// A file in another agent's folder.
    pub other: PathBuf,
    /// A file to make outside of the own folder.
    pub outside: PathBuf,
    /// A file outside whose mode to change.
    pub mode: PathBuf,
    /// A file to write in the own folder; this one must work.
    pub own: PathBuf,
    /// Somebody who listens.
    pub tcp: SocketAddr,
    /// Somebody who receives.
    pub udp: SocketAddr,
    /// A Unix socket outside of the own folder.
    pub unix: PathBuf,
    /// The server's process.
    pub server: i32,
}

/// One thing that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Write in the own folder.
    WriteOwn,
    /// Read the master key.
    ReadKey,
    /// List the data folder.
    ListData,
    /// Read another agent's file.
    ReadOther,
    /// Make a file outside.
    WriteOutside,
    /// Reach the key through the root folder that `/proc` shows for the server.
    ServerRoot,
    /// Reach the key through the root folder that `/proc` shows for the program itself.
    OwnRoot,
    /// Read the server's environment.
    ServerEnvironment,
    /// Connect with TCP.
    ConnectTcp,
    /// Send with UDP.
    SendUdp,
    /// Connect to a Unix socket outside.
    ConnectUnix,
    /// Signal the server.
    SignalServer,
    /// Signal everything at once.
    SignalAll,
    /// Have capabilities, get new ones, or call the kernel without a filter.
    KeepRights,
    /// Change the mode of a file outside.
    ChangeMode,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was tried.
    pub check: Check,
    /// Why it did not work; none when it did.
    pub refused: Option<String>,
}

/// Runs the probe with the arguments after `--probe` and writes the findings as JSON.
#[must_use]
pub fn main_probe(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let attempts =
        arguments.next().and_then(|text| serde_json::from_str::<Attempts>(text.to_str()?).ok());
    let Some(attempts) = attempts else { return ExitCode::from(2) };
    let written = serde_json::to_vec(&run(&attempts))
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
        (Check::SendUdp, send(attempts.udp)),
        (Check::ConnectUnix, UnixStream::connect(&attempts.unix).map(drop)),
        (Check::SignalServer, signal(attempts.server)),
        (Check::SignalAll, signal_all()),
        (Check::KeepRights, rights()),
        (Check::ChangeMode, fs::set_permissions(&attempts.mode, Permissions::from_mode(0o644))),
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

fn send(address: SocketAddr) -> io::Result<()> {
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", address).map(drop)
}

fn signal(pid: i32) -> io::Result<()> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(rustix::process::test_kill_process(pid)?)
}

/// Number -1 stands for every process that may be signalled.
fn signal_all() -> io::Result<()> {
    Ok(rustix::process::test_kill_process_group(Pid::INIT)?)
}

/// Works when some right is left.
fn rights() -> io::Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    let none = sets.permitted.is_empty() && sets.effective.is_empty();
    if none && rustix::thread::no_new_privs()? && procfs::is_self_jailed() {
        return Err(io::Error::other("nothing is left"));
    }
    Ok(())
}
