//! A separate network for a program: a network namespace with nothing but a loopback interface. Services on this
//! machine and its neighbours do not exist in it, whatever call a program uses.
//!
//! Root creates it directly. Other users create a user namespace around it with unchanged ids. Where both are refused
//! (a container, `user.max_user_namespaces = 0`, AppArmor), the program stays in the host's network, confined by
//! Landlock and seccomp. A mount namespace is created along with it, without changing any mounts.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

/// From `linux/netlink.h` and `linux/rtnetlink.h`.
const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const IFF_UP: u32 = 1;
/// Index of the loopback interface, in every namespace.
const LOOPBACK: u32 = 1;

/// The network of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Own,
    /// The host's network.
    Host,
    /// An unusable network: such a helper ends.
    Unusable,
}

impl Place {
    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Own => b'o',
            Self::Host => b'h',
            Self::Unusable => b'u',
        }
    }

    pub(super) fn of(letter: u8) -> Option<Self> {
        [Self::Own, Self::Host, Self::Unusable].into_iter().find(|one| one.letter() == letter)
    }
}

/// Leaves the host's network, if this machine allows it. For a single-threaded process that still has its rights.
pub(super) fn isolate() -> Place {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let own = UnshareFlags::NEWNET | UnshareFlags::NEWNS;
    if unshare(own).is_err() {
        if unshare(own | UnshareFlags::NEWUSER).is_err() {
            return Place::Host;
        }
        if stay(user.as_raw(), group.as_raw()).is_err() {
            return Place::Unusable;
        }
    }
    if raise_loopback().is_ok() { Place::Own } else { Place::Unusable }
}

/// Listener of the egress port in the own network. Whoever holds the socket accepts its connections, in whatever
/// namespace.
pub(super) fn way_out(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[expect(
    deprecated,
    reason = "unsafe with threads that share descriptors; a helper has one thread"
)]
fn unshare(what: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(what)
}

/// Creates only a mount namespace. For privileged processes: no user namespace is created for it.
pub(super) fn leave_mounts() -> bool {
    unshare(UnshareFlags::NEWNS).is_ok()
}

/// Maps only the current user and group to themselves.
fn stay(user: u32, group: u32) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

fn raise_loopback() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // `NETLINK_ROUTE`: links, addresses and routes
    )?;
    rustix::net::send(&socket, &up(), SendFlags::empty())?;
    let mut answer = [0; 256];
    let (_, count) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    match refusal(&answer[..count]) {
        Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(-number)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Netlink request to enable the loopback interface: `nlmsghdr`, then `ifinfomsg`.
fn up() -> [u8; 32] {
    let mut message = [0; 32];
    message[..4].copy_from_slice(&32u32.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message[20..24].copy_from_slice(&LOOPBACK.to_ne_bytes());
    message[24..28].copy_from_slice(&IFF_UP.to_ne_bytes());
    message[28..32].copy_from_slice(&IFF_UP.to_ne_bytes());
    message
}

/// The error code of the kernel's response: 0, or a negative number.
fn refusal(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let number = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_without_an_error_is_a_yes() {
        let mut answer = [0; 36];
        answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        assert_eq!(refusal(&answer), Some(0));
        answer[16..20].copy_from_slice(&(-1i32).to_ne_bytes());
        assert_eq!(refusal(&answer), Some(-1));
        assert_eq!(refusal(&answer[..18]), None);
        answer[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        assert_eq!(refusal(&answer), None);
    }

    #[test]
    fn a_helper_says_where_it_is_in_one_letter() {
        for place in [Place::Own, Place::Host, Place::Unusable] {
            assert_eq!(Place::of(place.letter()), Some(place));
        }
        assert_eq!(Place::of(b'x'), None);
    }
}
