//! SSRF guard for all requests caused by agents, plugins or webhooks. They reach the public internet only, whatever the
//! URL looks like, whatever a name resolves to, wherever a redirect leads.
//!
//! A name is resolved once, by the connection itself, and only checked addresses are connected to. DNS rebinding has no
//! second lookup to attack. Exceptions are opened only by the [`Exceptions`] passed in, never by the environment.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use url::{Host, Url};

use super::address;

/// Maximum URL length.
const MAX_URL: usize = 8192;
const OPEN_PORTS: [u16; 2] = [80, 443];
/// Names that never lead to the public internet.
const CLOSED_NAMES: [&str; 8] =
    ["localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "onion"];

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The URL cannot be parsed.
    #[error("this isn't a web address ({reason}); use the form https://host/path")]
    BadUrl {
        /// Parser error.
        reason: String,
    },
    /// Scheme other than http and https.
    #[error("{scheme}: addresses aren't allowed; use https or http")]
    Scheme {
        /// The requested scheme.
        scheme: String,
    },
    /// User name or password in the URL.
    #[error("the address contains a user name or password; remove it")]
    Credentials,
    /// Port other than 80 and 443.
    #[error("port {port} of {host} isn't allowed; use 80 or 443")]
    Port {
        host: String,
        /// The requested port.
        port: u16,
    },
    /// The host, or every address that its name resolves to, is not public.
    #[error(
        "{host} isn't on the public internet, and private addresses aren't reachable from \
        here"
    )]
    Private { host: String },
    /// The host is not in the allowlist.
    #[error(
        "{host} isn't on this agent's list of allowed hosts; people can add it in its settings"
    )]
    NotListed { host: String },
    /// The name has no address.
    #[error("the host {host} wasn't found; check the spelling")]
    Unknown { host: String },
}

/// Exceptions that an owner has opened. Host names are in lower case, without a trailing dot.
pub trait Exceptions: Send + Sync + 'static {
    /// Returns `true` if host and port are allowed although the name or the port is closed.
    fn host(&self, host: &str, port: u16) -> bool;
    /// Returns `true` if the host may resolve to this address although it is not public.
    fn address(&self, host: &str, address: IpAddr) -> bool;
}

/// No exceptions.
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

/// Pending lookup of a name's addresses.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// DNS resolver.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `host`, in the order in which they should be tried.
    fn lookup(&self, host: &str) -> Lookup;
}

/// The system's resolver.
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
    /// Creates a guard. `own` are HQ's own public addresses, which are closed as well.
    pub fn new(
        resolver: Arc<dyn Resolver>,
        exceptions: Arc<dyn Exceptions>,
        own: &[IpAddr],
    ) -> Guard {
        Guard { resolver, exceptions, own: own.into(), own_name: None }
    }

    /// Also closes the public name of HQ. A reverse proxy with another address may grant requests from here more access
    /// than others.
    #[must_use]
    pub fn known_as(self, name: Option<&str>) -> Guard {
        Guard { own_name: name.map(|name| normal_name(name).into()), ..self }
    }

    /// Adds exceptions.
    #[must_use]
    pub fn opening(&self, opened: Opened) -> Guard {
        let exceptions = Arc::new(Both(Arc::clone(&self.exceptions), opened));
        Guard { exceptions, ..self.clone() }
    }

    /// Parses a URL and checks everything that needs no lookup. Called for each redirect hop.
    pub fn check(&self, text: &str) -> Result<Url, GuardError> {
        let url = parse(text)?;
        self.check_url(&url)?;
        Ok(url)
    }

    /// Like [`Guard::check`], for a parsed URL.
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

    /// The allowed addresses of a name; never empty.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, GuardError> {
        let host = normal_name(name);
        // ok: that the name cannot be resolved is all there is to report
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

    /// Checks the address that a connection was actually made to, as a last line of defence.
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

/// Parses a URL. Unusual number notations (decimal, octal, hexadecimal, short, escaped, full-width) become plain
/// addresses here, so later checks never see them.
pub fn parse(text: &str) -> Result<Url, GuardError> {
    let text = text.trim();
    if MAX_URL < text.len() {
        return Err(GuardError::BadUrl { reason: "it is too long".to_owned() });
    }
    Url::parse(text).map_err(|err| GuardError::BadUrl { reason: err.to_string() })
}

/// Checks for every URL, guarded or not.
pub fn check_shape(url: &Url) -> Result<(), GuardError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(GuardError::Scheme { scheme: url.scheme().to_owned() });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(GuardError::Credentials);
    }
    Ok(())
}

/// Hosts in private networks that people have opened: a name or address, with a port or for the web ports. Names may
/// resolve to private networks only, never to this machine or a cloud metadata endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened(Vec<(String, Option<u16>)>);

impl Opened {
    /// The hosts of normalized lines, as returned by [`Opened::line`].
    pub fn of(lines: &[String]) -> Opened {
        Opened(lines.iter().filter_map(|line| Opened::parts(line)).collect())
    }

    /// Normalizes a line. Returns `None` if it names no host, or one that nobody may open.
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
        // URL parsing drops the default port 80.
        let port = url.port().or(text.ends_with(":80").then_some(80));
        Some((host, port))
    }

    /// Returns `true` if the URL leads to one of the hosts.
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

/// Union of two sets of exceptions.
struct Both(Arc<dyn Exceptions>, Opened);

impl Exceptions for Both {
    fn host(&self, host: &str, port: u16) -> bool {
        self.0.host(host, port) || self.1.host(host, port)
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        self.0.address(host, address) || self.1.address(host, address)
    }
}

/// Allowlists of hosts. Each list contains names (`example.com`), subdomains (`*.example.com`) and addresses. A host
/// must be in every list. Without lists there is no restriction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hosts(Vec<Vec<String>>);

impl Hosts {
    /// The intersection of these lists of normalized lines, as returned by [`Hosts::line`].
    pub fn of(lists: Vec<Vec<String>>) -> Hosts {
        Hosts(lists)
    }

    /// Normalizes a line. Returns `None` if it names no host.
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

    /// Adds a list of normalized lines, as returned by [`Hosts::line`].
    #[must_use]
    pub fn and(mut self, list: Vec<String>) -> Hosts {
        self.0.push(list);
        self
    }

    /// Returns `true` if there is any list.
    pub fn are_listed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Checks the host of a URL.
    pub fn check(&self, url: &Url) -> Result<(), GuardError> {
        let host = host_name(url)?;
        match self.has(&host) {
            true => Ok(()),
            false => Err(GuardError::NotListed { host }),
        }
    }

    /// Returns `true` if the host is in every list.
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
