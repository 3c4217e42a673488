//! A helper that is started before it is needed. Loading the program and setting its addresses right takes longer
//! than all that the jail does; so while one program runs, the helper of the next one gets that far and waits.
//!
//! It is told over a socket what to run: the length of the order in four bytes (little-endian), the order, and with
//! the first byte the three descriptors of the program. It reads one order, and ends when the socket is closed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{self, Child, Command, ExitCode, Stdio};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::jail;
use super::streams::Given;

/// The argument that makes HQ such a helper; the number of the process that started it follows.
pub const ARGUMENT: &str = "--jail-ahead";

/// A longer order goes to a helper of its own: this much fits into the socket, so giving it never waits.
const MAX_ORDER: usize = 64 * 1024;

/// What a helper is to become.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// The policy as JSON.
    pub(super) policy: String,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    /// The whole environment.
    pub(super) env: Vec<(OsString, OsString)>,
}

impl Order {
    /// Starts a helper for this order alone.
    pub(super) fn start(self, jail_program: &Path, given: Given) -> io::Result<Child> {
        helper(jail_program)
            .arg(jail::ARGUMENT)
            .arg(self.policy)
            .arg("--")
            .arg(self.program)
            .args(self.args)
            .envs(self.env)
            .stdin(given.stdin)
            .stdout(given.stdout)
            .stderr(given.stderr)
            .spawn()
    }
}

fn helper(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/");
    command
}

/// A helper that waits for its order. Ended when it is dropped.
pub(super) struct Spare {
    child: Option<Child>,
    socket: UnixStream,
    pid: i32,
}

impl Spare {
    pub(super) fn start(program: &Path) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = helper(program)
            .arg(ARGUMENT)
            .arg(process::id().to_string())
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pid = child.id().cast_signed();
        Ok(Self { child: Some(child), socket, pid })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Gives the order; the helper is the program from now on. None when this helper cannot do it: nothing of the
    /// order was begun then.
    pub(super) fn give(mut self, order: &Order, given: &Given) -> Option<Child> {
        let bytes = serde_json::to_vec(order).ok().filter(|bytes| bytes.len() <= MAX_ORDER)?;
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        if self.child.as_mut().is_none_or(ended) {
            return None;
        }
        self.send(&bytes, given).ok()?; // ok: it has ended by now, and another is started
        self.child.take()
    }

    fn send(&self, bytes: &[u8], given: &Given) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes();
        let streams = [given.stdin.as_fd(), given.stdout.as_fd(), given.stderr.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&streams)) {
            return Err(io::Error::other("no room for three descriptors"));
        }
        let parts = [IoSlice::new(&length)];
        rustix::net::sendmsg(&self.socket, &parts, &mut control, SendFlags::NOSIGNAL)?;
        (&self.socket).write_all(bytes)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok(); // ok: it has ended by itself
            child.wait().ok(); // ok: as above
        }
    }
}

/// Runs the helper with the arguments after [`ARGUMENT`]. Comes back only when nothing could be started.
#[must_use]
pub fn main_ahead(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = arguments.next().and_then(|argument| argument.to_str()?.parse::<i32>().ok());
    // Also one that waits ends with the server. Too late for the signal if that ended before.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).ok(); // ok: the closed socket ends it, too
    let there = rustix::process::getppid().map(|pid| pid.as_raw_pid());
    if parent.is_none() || parent != there {
        return ExitCode::from(jail::NOT_SET_UP);
    }
    // ok: nobody is there to be told; the server has gone, or will not need it.
    let Ok((order, given)) = receive() else { return ExitCode::from(jail::NOT_SET_UP) };
    let Ok(complaints) = given.stderr.try_clone().map(File::from) else {
        return ExitCode::from(jail::NOT_SET_UP);
    };
    let mut program = Command::new(order.program);
    program.args(order.args).env_clear().envs(order.env);
    program.stdin(given.stdin).stdout(given.stdout).stderr(given.stderr);
    jail::become_program(&order.policy, &mut program, complaints)
}

fn receive() -> io::Result<(Order, Given)> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let parts = &mut [IoSliceMut::new(&mut length)];
    let got = rustix::net::recvmsg(&socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut streams: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            streams.extend(received);
        }
    }
    let [stdin, stdout, stderr] = <[OwnedFd; 3]>::try_from(streams).map_err(|_other| short())?;
    if got.bytes != length.len() {
        return Err(short());
    }
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    if MAX_ORDER < length {
        return Err(short());
    }
    let mut bytes = vec![0; length];
    UnixStream::from(socket).read_exact(&mut bytes)?;
    let order = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    Ok((order, Given { stdin, stdout, stderr }))
}
