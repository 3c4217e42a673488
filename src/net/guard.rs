//! The guard of every request that an agent, a plugin or a webhook causes: it reaches the public
//! internet only, whatever the address looks like, whatever a name resolves to, wherever a redirect
//! leads.
//!
//! An address is looked up once, by the connection itself, and only what was found good is connected
//! to; a second lookup that gives something else has nothing to attack. What is refused can be opened
//! only by an [`Exceptions`] that is handed in, never by the environment.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use url::{Host, Url};

use super::address;

/// The longest address that is taken.
const MAX_URL: usize = 8192;
const OPEN_PORTS: [u16; 2] = [80, 443];
/// Names that never lead to the public internet.
const CLOSED_NAMES: [&str; 8] =
    ["localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "onion"];

/// Why a request is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// Not an address that can be understood.
    #[error("this is not a web address ({reason}); give it as https://host/path")]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// Another scheme than http and https.
    #[error("addresses with {scheme}: are not allowed; use https or http")]
    Scheme {
        /// The scheme that was asked for.
        scheme: String,
    },
    /// A name or password within the address.
    #[error("the address holds a user name or password; leave it out")]
    Credentials,
    /// Neither 80 nor 443.
    #[error("port {port} of {host} is not allowed; only 80 and 443 are")]
    Port {
        host: String,
        /// The port that was asked for.
        port: u16,
    },
    /// The host, or all that its name resolves to, is not on the public internet.
    #[error("{host} is not on the public internet, and nothing else is reached from here")]
    Private { host: String },
    /// The host is not among those that alone are reached.
    #[error(
        "{host} is not among the hosts that this agent reaches; people can add it in its settings"
    )]
    NotListed { host: String },
    /// The name has no address.
    #[error("the host {host} cannot be found; check the spelling")]
    Unknown { host: String },
}

/// What an owner has opened in spite of the guard. Host names come in lower case, without a final dot.
pub trait Exceptions: Send + Sync + 'static {
    /// Whether this host may be asked at this port, although its name or the port is closed.
    fn host(&self, host: &str, port: u16) -> bool;
    /// Whether this address may be reached by this host name, although it is not public.
    fn address(&self, host: &str, address: IpAddr) -> bool;
}

/// Nothing is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoExceptions;

impl Exceptions for NoExceptions {
    fn host(&self, _host: &str, _port: u16) -> bool {
        false
    }

    fn address(&self, _host: &str, _address: IpAddr) -> bool {
        false
    }
}

/// The addresses of a name, later.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of a name.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `host`, in the order in which they should be tried.
    fn lookup(&self, host: &str) -> Lookup;
}

/// Asks the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn lookup(&self, host: &str) -> Lookup {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Decides where a request may go. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    resolver: Arc<dyn Resolver>,
    exceptions: Arc<dyn Exceptions>,
    own: Arc<[IpAddr]>,
    own_name: Option<Arc<str>>,
}

impl Guard {
    /// A guard. `own` holds the public addresses that HQ itself listens on: they are closed as well.
    pub fn new(
        resolver: Arc<dyn Resolver>,
        exceptions: Arc<dyn Exceptions>,
        own: &[IpAddr],
    ) -> Guard {
        Guard { resolver, exceptions, own: own.into(), own_name: None }
    }

    /// The same guard, which closes the name as well by which HQ itself is known outside: a proxy before it,
    /// with another address, may let in from here what it lets in from nowhere else.
    #[must_use]
    pub fn known_as(self, name: Option<&str>) -> Guard {
        Guard { own_name: name.map(|name| normal_name(name).into()), ..self }
    }

    /// The same guard with more that is open.
    #[must_use]
    pub fn opening(&self, opened: Opened) -> Guard {
        let exceptions = Arc::new(Both(Arc::clone(&self.exceptions), opened));
        Guard { exceptions, ..self.clone() }
    }

    /// Reads an address and checks all of it that needs no lookup. Done for each hop of a redirect.
    pub fn check(&self, text: &str) -> Result<Url, GuardError> {
        let url = parse(text)?;
        self.check_url(&url)?;
        Ok(url)
    }

    /// As [`Guard::check`], for an address that was read before.
    pub fn check_url(&self, url: &Url) -> Result<(), GuardError> {
        check_shape(url)?;
        let host = host_name(url)?;
        let port = url.port_or_known_default().unwrap_or_default();
        let opened = self.exceptions.host(&host, port);
        if !OPEN_PORTS.contains(&port) && !opened {
            return Err(GuardError::Port { host, port });
        }
        let literal = match url.host() {
            Some(Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => Some(IpAddr::V6(v6)),
            Some(Host::Domain(_)) | None => None,
        };
        match literal {
            Some(address) if self.may_reach(&host, address) => Ok(()),
            Some(_) => Err(GuardError::Private { host }),
            None if opened => Ok(()),
            None if is_closed_name(&host) || self.own_name.as_deref() == Some(host.as_str()) => {
                Err(GuardError::Private { host })
            }
            None => Ok(()),
        }
    }

    /// The addresses of a name that may be connected to; never empty.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, GuardError> {
        let host = normal_name(name);
        // ok: that a name cannot be found is all there is to say about it
        let found = self.resolver.lookup(&host).await.unwrap_or_default();
        if found.is_empty() {
            return Err(GuardError::Unknown { host });
        }
        let good: Vec<IpAddr> =
            found.into_iter().filter(|address| self.may_reach(&host, *address)).collect();
        if good.is_empty() {
            return Err(GuardError::Private { host });
        }
        Ok(good)
    }

    /// Checks where a connection really went: the last look, after all rules before it.
    pub fn check_peer(&self, url: &Url, peer: SocketAddr) -> Result<(), GuardError> {
        let host = host_name(url)?;
        match self.may_reach(&host, peer.ip()) {
            true => Ok(()),
            false => Err(GuardError::Private { host }),
        }
    }

    fn may_reach(&self, host: &str, address: IpAddr) -> bool {
        let open = address::is_public(address) && !self.own.contains(&address);
        open || self.exceptions.address(host, address)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("own", &self.own).finish_non_exhaustive()
    }
}

/// Reads an address. Odd notations of numbers (decimal, octal, hexadecimal, short, escaped, full-width)
/// become plain addresses here, so no later check meets them.
pub fn parse(text: &str) -> Result<Url, GuardError> {
    let text = text.trim();
    if MAX_URL < text.len() {
        return Err(GuardError::BadUrl { reason: "it is too long".to_owned() });
    }
    Url::parse(text).map_err(|err| GuardError::BadUrl { reason: err.to_string() })
}

/// What is asked of every address, guarded or not.
pub fn check_shape(url: &Url) -> Result<(), GuardError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(GuardError::Scheme { scheme: url.scheme().to_owned() });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(GuardError::Credentials);
    }
    Ok(())
}

/// Hosts in networks of their own that people have opened: a name or an address, with a port or for those of the
/// web. A name leads to such networks only, whatever it resolves to: not to this machine, not to a cloud's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened(Vec<(String, Option<u16>)>);

impl Opened {
    /// The hosts of these lines, which were read by [`Opened::line`].
    pub fn of(lines: &[String]) -> Opened {
        Opened(lines.iter().filter_map(|line| Opened::parts(line)).collect())
    }

    /// A line as it is kept; nothing when it names no host, or one that nobody may open.
    pub fn line(written: &str) -> Option<String> {
        let (host, port) = Opened::parts(written)?;
        if let Ok(address) = host.parse::<IpAddr>()
            && !(address::is_private(address) || address.is_loopback())
        {
            return None;
        }
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Some(port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
    }

    fn parts(written: &str) -> Option<(String, Option<u16>)> {
        let text = written.trim();
        if text.is_empty() || text.contains(['/', '\\', '@', '*', '?', '#', '%', ' ']) {
            return None;
        }
        let url = Url::parse(&format!("http://{text}/")).ok()?;
        let host = host_name(&url).ok()?;
        // The port of plain http is said by saying none.
        let port = url.port().or(text.ends_with(":80").then_some(80));
        Some((host, port))
    }

    /// Whether an address leads to one of them.
    pub fn has(&self, url: &Url) -> bool {
        let port = url.port_or_known_default().unwrap_or_default();
        host_name(url).is_ok_and(|host| self.host(&host, port))
    }
}

impl Exceptions for Opened {
    fn host(&self, host: &str, port: u16) -> bool {
        let fits = |own: &Option<u16>| own.map_or(OPEN_PORTS.contains(&port), |own| own == port);
        self.0.iter().any(|(name, own)| name == host && fits(own))
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        let written = host.parse::<IpAddr>().is_ok_and(|own| own == address);
        let same = written || (host == "localhost" && address.is_loopback());
        self.0.iter().any(|(name, _)| name == host) && (same || address::is_private(address))
    }
}

/// What one or the other has opened.
struct Both(Arc<dyn Exceptions>, Opened);

impl Exceptions for Both {
    fn host(&self, host: &str, port: u16) -> bool {
        self.0.host(host, port) || self.1.host(host, port)
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        self.0.address(host, address) || self.1.address(host, address)
    }
}

/// Hosts that alone are reached. Each list holds names (`example.com`), all below a name (`*.example.com`) and
/// addresses; a host has to stand in every list. Without a list there is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hosts(Vec<Vec<String>>);

impl Hosts {
    /// The hosts that stand in all of these, whose lines were read by [`Hosts::line`].
    pub fn of(lists: Vec<Vec<String>>) -> Hosts {
        Hosts(lists)
    }

    /// A line of a list as it is kept; nothing when it names no host.
    pub fn line(written: &str) -> Option<String> {
        let text = written.trim().to_lowercase();
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => ("*.", name),
            None => ("", text.as_str()),
        };
        if name.is_empty() || name.contains(['/', '\\', '@', '*', '?', '#', '%', ' ']) {
            return None;
        }
        let url = Url::parse(&format!("https://{name}/")).ok()?;
        let host = normal_name(url.host_str()?);
        (!host.is_empty() && url.port().is_none()).then(|| format!("{below}{host}"))
    }

    /// These, as far as they stand in this list as well, whose lines were read by [`Hosts::line`].
    #[must_use]
    pub fn and(mut self, list: Vec<String>) -> Hosts {
        self.0.push(list);
        self
    }

    /// Whether there is any list.
    pub fn are_listed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether an address leads to one of them.
    pub fn check(&self, url: &Url) -> Result<(), GuardError> {
        let host = host_name(url)?;
        match self.has(&host) {
            true => Ok(()),
            false => Err(GuardError::NotListed { host }),
        }
    }

    /// Whether a host is one of them.
    pub fn has(&self, host: &str) -> bool {
        let host = normal_name(host);
        let fits = |line: &String| match line.strip_prefix("*.") {
            Some(name) => host.strip_suffix(name).is_some_and(|below| below.ends_with('.')),
            None => *line == host,
        };
        self.0.iter().all(|list| list.iter().any(fits))
    }
}

fn host_name(url: &Url) -> Result<String, GuardError> {
    match url.host_str().map(normal_name).filter(|host| !host.is_empty()) {
        Some(host) => Ok(host),
        None => Err(GuardError::BadUrl { reason: "it names no host".to_owned() }),
    }
}

fn normal_name(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

fn is_closed_name(host: &str) -> bool {
    CLOSED_NAMES.iter().any(|name| {
        host.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

#[cfg(test)]
mod tests;
