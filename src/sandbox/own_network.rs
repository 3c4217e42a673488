//! A network of a program's own: a network namespace in which nothing is but a loopback interface. What listens on this
//! machine or stands beside it does not exist in there, by whatever call somebody looks for it.
//!
//! Whoever may (root) just makes it; everybody else makes a user namespace around it in which they are who they were.
//! Where neither is to be had (a container, `user.max_user_namespaces = 0`, AppArmor) the host's network stays, behind
//! Landlock and seccomp. A mount namespace is made along with it; what is mounted in there is not changed here.

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
/// The number of the loopback interface, in every namespace.
const LOOPBACK: u32 = 1;

/// In which network a helper is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Own,
    /// In the host's.
    Host,
    /// In one that is of no use: such a helper ends.
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

/// Leaves the host's network, if this machine lets it. For a process with one thread that has its rights still.
pub(super) fn leave() -> Place {
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

/// The way out, where a program in the own network looks for it. Whoever has this socket takes its connections, in
/// whatever namespace they are.
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

/// Leaves the host's mounts alone, without its network. For whoever may: a user namespace for that alone is not made.
pub(super) fn leave_mounts() -> bool {
    unshare(UnshareFlags::NEWNS).is_ok()
}

/// The same user and group inside as outside, and no other.
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
        None, // the first of its protocols: links, addresses and routes
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

/// Asks the kernel to switch the loopback interface on: `nlmsghdr`, then `ifinfomsg`.
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

/// The number in the kernel's answer: 0, or the error below it.
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
