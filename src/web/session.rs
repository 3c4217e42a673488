//! The sender of a request. `features/users/session.rs` converts a cookie or token into request extensions. This
//! module has the extractors that handlers use.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::error::{Failure, PageError};
use crate::shell::Shell;
use app::{Who, Ws};
use jiff::tz::TimeZone;
use kernel::{AccountId, Actor, Can, Cause, ProblemKind, Role, Via};

/// Capabilities of a request's sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(u16);

impl Access {
    /// A set of exactly these capabilities.
    #[must_use]
    pub fn of(all: &[Can]) -> Self {
        Self(all.iter().fold(0, |set, can| set | (1 << *can as u16)))
    }

    /// Intersection: a token never has more capabilities than its owner.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Union.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this set contains all of `other`.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether this set contains `can`. [`Can::Open`] is always allowed.
    #[must_use]
    pub fn may(self, can: Can) -> bool {
        can == Can::Open || self.0 & (1 << can as u16) != 0
    }
}

/// Request id, also returned as `X-Request-Id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub [u8; 16]);

/// The person who sends a request, as a member of the requested workspace.
#[derive(Clone, Debug)]
pub struct Person {
    /// Account of the person.
    pub account: AccountId,
    /// Display name.
    pub name: String,
    /// Email address.
    pub email: String,
    /// Role in the workspace.
    pub role: Role,
    /// Authentication method.
    pub via: Via,
    /// Id of the request.
    pub request: RequestId,
    /// Capabilities of this request.
    pub access: Access,
    /// Whether the sender has re-authenticated recently or need not; see [`Proof`].
    pub is_proved: bool,
    /// IANA name of the person's or the workspace's time zone.
    pub zone: String,
}

impl Person {
    /// The person's or the workspace's time zone; UTC if its name is unknown.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC)
    }
}

impl Who for Person {
    fn actor(&self) -> Actor {
        Actor::Person { account: self.account, via: self.via }
    }

    fn cause(&self) -> Cause {
        Cause::Request(self.request.0)
    }
}

/// Reads a request extension. A missing extension is a bug in the router.
pub(crate) fn extension<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, PageError> {
    parts.extensions.get::<T>().cloned().ok_or_else(|| {
        PageError(Failure::internal(format!(
            "{} was asked for on a route that has none",
            std::any::type_name::<T>()
        )))
    })
}

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        extension(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        extension(parts)
    }
}

/// Peer of the connection. Behind trusted proxies, the client address that they report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over the network.
    Net(IpAddr),
    /// Over the socket in the data directory.
    Socket {
        /// User id of the local process.
        uid: u32,
    },
}

impl Peer {
    /// Key for rate limits: an IPv4 address, or the /64 of an IPv6 address. An IPv4-mapped address counts as IPv4.
    #[must_use]
    pub fn key(self) -> String {
        match self {
            Self::Socket { uid } => format!("uid {uid}"),
            Self::Net(address) => match address.to_canonical() {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("{}/64", masked(v6, 64)),
            },
        }
    }

    /// The network without the part that identifies a single machine, as stored with a sign-in.
    #[must_use]
    pub fn network(self) -> String {
        match self {
            Self::Socket { .. } => "this machine".to_owned(),
            Self::Net(address) if address.to_canonical().is_loopback() => "this machine".to_owned(),
            Self::Net(address) => match address.to_canonical() {
                IpAddr::V4(v4) => {
                    let [a, b, c, _] = v4.octets();
                    format!("{a}.{b}.{c}.0/24")
                }
                IpAddr::V6(v6) => format!("{}/48", masked(v6, 48)),
            },
        }
    }
}

fn masked(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits)))
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        extension(parts)
    }
}

/// The error for writes to a closed workspace.
#[derive(Clone)]
pub struct Frozen(pub Failure);

/// Checks whether the request's authentication is still valid; for long-lived streams.
#[derive(Clone)]
pub struct Alive(pub std::sync::Arc<dyn Fn() -> bool + Send + Sync>);

impl<S: Send + Sync> FromRequestParts<S> for Alive {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        extension(parts)
    }
}

/// Whether the sender has re-authenticated recently or need not. Tokens need no re-authentication.
#[derive(Clone, Copy, Debug)]
pub struct Proof(pub bool);

/// Error code for a missing re-authentication.
pub const PROOF_REQUIRED: &str = "proof_required";

impl Proof {
    /// Rejects the request without a valid re-authentication.
    pub fn check(self) -> Result<(), PageError> {
        if self.0 {
            return Ok(());
        }
        let text = "confirm it's you first: send your password, a code or a passkey to \
                    /api/v1/proof; that lasts ten minutes";
        Err(PageError(Failure::new(ProblemKind::Forbidden, PROOF_REQUIRED, text)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Proof {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        extension(parts)
    }
}

/// Creates the shell of a page. `server` adds one to each request.
#[derive(Clone)]
pub struct ShellMaker(pub std::sync::Arc<ShellFn>);

/// Creates a shell from workspace, person and request.
pub type ShellFn = dyn Fn(&Ws, &Person, &Parts) -> Result<Shell, PageError> + Send + Sync;

impl<S: Send + Sync> FromRequestParts<S> for Shell {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        let (ws, who) = (extension::<Ws>(parts)?, extension::<Person>(parts)?);
        shell(&ws, &who, parts)
    }
}

/// The shell of a page of this request.
pub(crate) fn shell(ws: &Ws, who: &Person, parts: &Parts) -> Result<Shell, PageError> {
    let maker: ShellMaker = extension(parts)?;
    (maker.0)(ws, who, parts)
}

#[cfg(test)]
mod tests {
    use super::{Access, Peer};
    use kernel::Can;

    #[test]
    fn mapped_addresses_share_a_key_and_a_network_has_one() {
        let key = |text: &str| Peer::Net(text.parse().unwrap()).key();
        assert_eq!(key("127.0.0.1"), key("::ffff:127.0.0.1"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(Peer::Net("192.0.2.77".parse().unwrap()).network(), "192.0.2.0/24");
        assert_eq!(Peer::Net("::1".parse().unwrap()).network(), "this machine");
    }

    #[test]
    fn access_is_a_set() {
        let (read, both) = (Access::of(&[Can::Read]), Access::of(&[Can::Read, Can::Write]));
        assert!(both.covers(read) && !read.covers(both));
        assert_eq!(both.and(read), read);
        assert_eq!(read.or(both), both);
    }
}
