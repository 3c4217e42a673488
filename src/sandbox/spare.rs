//! The jail helper while it waits. Loading the program, relocation and creating a network namespace take longer than
//! the rest of the jail setup, so a spare helper does this in advance, while other programs run.
//!
//! Protocol over a socket: the helper sends its network (`Place`, one letter). It receives the order's length in four
//! bytes (little-endian), the order, and with the first byte the program's three descriptors. If the order has an
//! egress port and the network is its own, it returns the listening socket. One more byte starts the program: until
//! then, the helper may still be on its way into its control group ([`super::cgroup`]). It ends when the socket is
//! closed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{self, Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::FileType;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use serde::{Deserialize, Serialize};

use super::cgroup::{Group, Groups};
use super::jail;
use super::own_network::{self, Place};
use super::policy::{OwnNetwork, Policy};
use super::spawn;
use super::streams::Given;

/// Argument that makes HQ a jail helper. It is followed by the id of the starting process, and optionally by `SHARES`.
pub const ARGUMENT: &str = "--jail";
/// Argument that keeps the helper in the host's network.
const SHARES: &str = "shares-network";

/// Orders of up to this size fit into the socket buffer, so sending never blocks. Longer ones get a helper of their
/// own.
const MAX_AHEAD: usize = 64 * 1024;
/// Upper limit for command line, environment and policy.
const MAX_ORDER: usize = 16 << 20;
/// Time limit of a helper for each step.
const PATIENCE: Duration = Duration::from_secs(10);

/// The program that a helper becomes.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) policy: Policy,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    /// The whole environment.
    pub(super) env: Vec<(OsString, OsString)>,
}

/// A serialized order.
pub(super) struct Sealed {
    bytes: Vec<u8>,
    /// Needs the host's network.
    pub(super) shares: bool,
    has_way_out: bool,
}

impl Order {
    pub(super) fn sealed(&self) -> serde_json::Result<Sealed> {
        let (policy, has_way_out) = (&self.policy, self.policy.handed_out().is_some());
        Ok(Sealed {
            bytes: serde_json::to_vec(self)?,
            shares: policy.shares_network(),
            has_way_out,
        })
    }
}

impl Sealed {
    /// Returns `true` if the order may go to a spare helper.
    pub(super) fn is_short(&self) -> bool {
        self.bytes.len() <= MAX_AHEAD
    }
}

/// A helper that received its order and is now the program.
pub(super) struct Begun {
    pub(super) child: Child,
    /// Listener of the egress port in the program's own network.
    pub(super) way_out: Option<TcpListener>,
    /// Control group of the program.
    pub(super) group: Option<Group>,
}

/// A helper that waits for its order. Ended on drop.
pub(super) struct Spare {
    child: Option<Child>,
    /// Thread that moves the helper into a control group.
    moving: Option<JoinHandle<Option<Group>>>,
    socket: UnixStream,
    pid: i32,
    /// Started with the argument to stay in the host's network.
    shares: bool,
    place: Option<Place>,
}

impl Spare {
    /// Starts a helper, which moves into a control group while it starts.
    pub(super) fn start(
        program: &Path,
        shares: bool,
        groups: Option<&Arc<Groups>>,
    ) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut command = Command::new(program);
        command.env_clear().current_dir("/").arg(ARGUMENT).arg(process::id().to_string());
        if shares {
            command.arg(SHARES);
        }
        let child = command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pid = child.id().cast_signed();
        let moving = groups.and_then(|groups| move_into(groups, pid));
        Ok(Self { child: Some(child), moving, socket, pid, shares, place: None })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns `true` if it was started to stay in the host's network.
    pub(super) fn shares(&self) -> bool {
        self.shares
    }

    /// Waits until the helper is ready and returns its network.
    pub(super) fn place(&mut self) -> io::Result<Place> {
        if let Some(place) = self.place {
            return Ok(place);
        }
        let mut letter = [0];
        (&self.socket).read_exact(&mut letter)?;
        let place = Place::of(letter[0]).ok_or(io::ErrorKind::InvalidData)?;
        self.place = Some(place);
        Ok(place)
    }

    /// Sends the order. `None` if this helper cannot run it; nothing of the order was started then.
    pub(super) fn give(mut self, order: &Sealed, given: &Given) -> Option<Begun> {
        if self.has_ended() {
            return None;
        }
        // ok, here and below: it has ended, and another one is started
        let place = self.place().ok()?;
        if place == Place::Unusable || (place == Place::Own && order.shares) {
            return None;
        }
        self.send(&order.bytes, given).ok()?;
        let answers = place == Place::Own && order.has_way_out;
        // Without a response, the helper has ended and reports the reason itself.
        let way_out = if answers { self.answer().ok() } else { None };
        let group = self.group();
        (&self.socket).write_all(&[0]).ok(); // ok: it has ended and reports the reason itself
        Some(Begun { child: self.child.take()?, way_out, group })
    }

    /// Returns `true` if the helper has ended. It is not reaped, so that its id is not reused while it is being moved.
    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let wait = |pid| rustix::process::waitid(WaitId::Pid(pid), look);
        Pid::from_raw(self.pid).is_none_or(|pid| !matches!(wait(pid), Ok(None)))
    }

    /// Waits until the helper has moved.
    fn group(&mut self) -> Option<Group> {
        self.moving.take()?.join().ok()? // ok: then it has none
    }

    fn send(&self, bytes: &[u8], given: &Given) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes();
        let streams = [given.stdin.as_fd(), given.stdout.as_fd(), given.stderr.as_fd()];
        pass(&self.socket, &length, &streams)?;
        (&self.socket).write_all(bytes)
    }

    fn answer(&self) -> io::Result<TcpListener> {
        let mut letter = [0];
        let [listener] = passed(&self.socket, &mut letter)?;
        Ok(listener.into())
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok(); // ok: it has ended already
        }
        let group = self.group();
        if let Some(child) = &mut self.child {
            child.wait().ok(); // ok: as above
        }
        drop(group);
    }
}

fn move_into(groups: &Arc<Groups>, pid: i32) -> Option<JoinHandle<Option<Group>>> {
    let groups = Arc::clone(groups);
    let place = move || {
        let placed = groups.place(pid);
        placed.inspect_err(|error| tracing::debug!("no control group for a program: {error}")).ok()
    };
    // ok: without a thread, it has no group
    thread::Builder::new().name("hq-group".into()).stack_size(spawn::STACK).spawn(place).ok()
}

/// Sends bytes, with these descriptors attached to the first of them.
fn pass<const N: usize>(
    socket: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>; N],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("no room for the descriptors"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives exactly `bytes.len()` bytes and the attached descriptors.
fn passed<const N: usize>(socket: &UnixStream, bytes: &mut [u8]) -> io::Result<[OwnedFd; N]> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let length = bytes.len();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(bytes)];
    let got = rustix::net::recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let descriptors = <[OwnedFd; N]>::try_from(descriptors).map_err(|_other| short())?;
    if got.bytes == length { Ok(descriptors) } else { Err(short()) }
}

/// Runs the helper with the arguments after [`ARGUMENT`]. Returns only if nothing could be started.
#[must_use]
pub fn main_jail(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let not_set_up = ExitCode::from(jail::NOT_SET_UP);
    let parent = arguments.next().and_then(|argument| argument.to_str()?.parse::<i32>().ok());
    let shares = arguments.next().is_some_and(|argument| argument == SHARES);
    // A waiting helper also ends with the server. The check covers a server that ended before the signal was set.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).ok(); // ok: closing the socket ends it too
    let there = rustix::process::getppid().map(|pid| pid.as_raw_pid());
    if parent.is_none() || parent != there {
        return not_set_up;
    }
    let place = if shares { Place::Host } else { own_network::isolate() };
    // ok, here and below: nobody is there to receive it; the server has gone or will not need it.
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned() else { return not_set_up };
    let socket = UnixStream::from(socket);
    if (&socket).write_all(&[place.letter()]).is_err() || place == Place::Unusable {
        return not_set_up;
    }
    let Ok((order, given)) = receive(&socket) else { return not_set_up };
    let Ok(complaints) = given.stderr.try_clone().map(File::from) else { return not_set_up };
    if let Err(why) = open_way(&order.policy, place, &socket) {
        return jail::fail(&why, complaints);
    }
    let mut program = Command::new(order.program);
    program.args(order.args).env_clear().envs(order.env);
    let Given { stdin, stdout, stderr } = given;
    program.stdin(stream(stdin)).stdout(stream(stdout)).stderr(stream(stderr));
    let may_start = move || (&socket).read_exact(&mut [0]).is_ok();
    jail::become_program(&order.policy, place == Place::Own, &mut program, complaints, may_start)
}

/// A stream of the program. For a device, which is `/dev/null`, the program opens it anew in a read-only mount: if HQ
/// is root, the program could change its mode through an inherited descriptor.
fn stream(given: OwnedFd) -> Stdio {
    let found = rustix::fs::fstat(&given);
    match found.map(|found| FileType::from_raw_mode(found.st_mode)) {
        Ok(FileType::CharacterDevice) => Stdio::null(),
        _ => given.into(),
    }
}

/// Opens the egress port of this network and passes its listener on, if requested.
fn open_way(policy: &Policy, place: Place, socket: &UnixStream) -> Result<(), String> {
    if place != Place::Own {
        return match policy.own_network {
            OwnNetwork::Required => {
                Err("this machine has no network of its own for a program now; try again"
                    .to_owned())
            }
            _ => Ok(()),
        };
    }
    let Some(port) = policy.handed_out() else { return Ok(()) };
    own_network::way_out(port)
        .and_then(|listener| pass(socket, &[0], &[listener.as_fd()]))
        .map_err(|error| format!("the way out of the program's network cannot be opened: {error}"))
}

fn receive(socket: &UnixStream) -> io::Result<(Order, Given)> {
    let mut length = [0; 4];
    let [stdin, stdout, stderr] = passed(socket, &mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    if MAX_ORDER < length {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    let mut from = socket;
    from.read_exact(&mut bytes)?;
    let order = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    Ok((order, Given { stdin, stdout, stderr }))
}
