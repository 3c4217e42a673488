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
        /// The host.
        host: String,
        /// The port that was asked for.
        port: u16,
    },
    /// The host, or all that its name resolves to, is not on the public internet.
    #[error("{host} is not on the public internet, and nothing else is reached from here")]
    Private {
        /// The host.
        host: String,
    },
    /// The host is not among those that alone are reached.
    #[error(
        "{host} is not among the hosts that this agent reaches; people can add it in its settings"
    )]
    NotListed {
        /// The host.
        host: String,
    },
    /// The name has no address.
    #[error("the host {host} cannot be found; check the spelling")]
    Unknown {
        /// The host.
        host: String,
    },
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
}

impl Guard {
    /// A guard. `own` holds the public addresses that HQ itself listens on: they are closed as well.
    pub fn new(
        resolver: Arc<dyn Resolver>,
        exceptions: Arc<dyn Exceptions>,
        own: &[IpAddr],
    ) -> Guard {
        Guard { resolver, exceptions, own: own.into() }
    }

    /// The same guard with more that is open.
    #[must_use]
    pub fn opening(&self, opened: Opened) -> Guard {
        let exceptions = Arc::new(Both(Arc::clone(&self.exceptions), opened));
        Guard { resolver: Arc::clone(&self.resolver), exceptions, own: Arc::clone(&self.own) }
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
            None if is_closed_name(&host) && !opened => Err(GuardError::Private { host }),
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

    /// Whether there is any list.
    pub fn are_listed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether an address leads to one of them.
    pub fn check(&self, url: &Url) -> Result<(), GuardError> {
        let host = host_name(url)?;
        let fits = |line: &String| match line.strip_prefix("*.") {
            Some(name) => host.strip_suffix(name).is_some_and(|below| below.ends_with('.')),
            None => *line == host,
        };
        let is_listed = self.0.iter().all(|list| list.iter().any(fits));
        match is_listed {
            true => Ok(()),
            false => Err(GuardError::NotListed { host }),
        }
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
mod tests {
    use super::*;

    /// Opens one host at any address and port, and answers lookups from a list.
    struct OneHost(&'static str);

    impl Exceptions for OneHost {
        fn host(&self, host: &str, _port: u16) -> bool {
            host == self.0
        }

        fn address(&self, host: &str, _address: IpAddr) -> bool {
            host == self.0
        }
    }

    struct Answers(Vec<IpAddr>);

    impl Resolver for Answers {
        fn lookup(&self, _host: &str) -> Lookup {
            let found = self.0.clone();
            Box::pin(async move { Ok(found) })
        }
    }

    fn guard() -> Guard {
        Guard::new(Arc::new(SystemResolver), Arc::new(NoExceptions), &[])
    }

    fn answering(addresses: &[&str]) -> Guard {
        let found = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Guard::new(Arc::new(Answers(found)), Arc::new(NoExceptions), &[])
    }

    #[test]
    fn ordinary_addresses_pass() {
        for url in [
            "https://example.com/a?b#c",
            "http://example.com",
            " https://EXAMPLE.com:443/ ",
            "http://example.com:80",
            "https://example.com:80",
            "https://8.8.8.8/",
            "https://[2606:4700:4700::1111]/",
            "https://bücher.example/",
            "https://example.com./",
            "https://local.example/",
            "https://notlocalhost.com/",
        ] {
            assert!(guard().check(url).is_ok(), "{url}: {:?}", guard().check(url));
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        for url in [
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "data:text/html,x",
            "javascript:alert(1)",
            "ws://example.com/",
            "unix:/run/hq.sock",
            "about:blank",
        ] {
            assert!(matches!(guard().check(url), Err(GuardError::Scheme { .. })), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "",
            "example.com",
            "/path",
            "https://",
            "http://[::1",
            "https://exa mple.com/",
            "http://256.256.256.256/",
            "http://[fe80::1%25eth0]/",
            "http://[fe80::1%eth0]/",
            "http://example.com:99999/",
            "http://a%00b/",
        ] {
            assert!(
                matches!(guard().check(url), Err(GuardError::BadUrl { .. })),
                "{url}: {:?}",
                guard().check(url)
            );
        }
        let long = format!("https://example.com/{}", "x".repeat(MAX_URL));
        assert!(matches!(guard().check(&long), Err(GuardError::BadUrl { .. })));
    }

    #[test]
    fn credentials_in_an_address_are_refused() {
        for url in [
            "https://user@example.com/",
            "https://user:pw@example.com/",
            "https://:pw@example.com/",
            "https://example.com@8.8.8.8/",
        ] {
            assert_eq!(guard().check(url), Err(GuardError::Credentials), "{url}");
        }
    }

    #[test]
    fn other_ports_are_refused() {
        for port in [1, 22, 25, 81, 444, 6379, 8080, 8443, 65535] {
            let refused = guard().check(&format!("https://example.com:{port}/"));
            assert_eq!(refused, Err(GuardError::Port { host: "example.com".into(), port }));
        }
        assert!(matches!(guard().check("https://example.com:0/"), Err(GuardError::Port { .. })));
    }

    #[test]
    fn private_hosts_are_refused_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0x7F.0x0.0x0.0x1",
            "0177.0.0.1",
            "0177.1",
            "017700000001",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "127.0.0.0x1",
            "１２７.0.0.1",
            "①②⑦.⓪.⓪.①",
            "127。0。0。1",
            "0",
            "0.0.0.0",
            "00.0.0.0",
            "10.0.0.1",
            "10.1",
            "167772161",
            "0x0a000001",
            "192.168.1.1",
            "3232235777",
            "172.16.0.1",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::8.8.8.8]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[ff02::1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "printer.local",
            "metadata.google.internal",
            "router.home.arpa",
            "nas.lan",
            "x.onion",
            "localhost.localdomain",
            "ⓛocalhost",
        ] {
            let refused = guard().check(&format!("http://{host}/"));
            assert!(matches!(refused, Err(GuardError::Private { .. })), "{host}: {refused:?}");
        }
    }

    #[test]
    fn own_addresses_are_refused_though_they_are_public() {
        let own: IpAddr = "93.184.216.34".parse().unwrap();
        let guard = Guard::new(Arc::new(SystemResolver), Arc::new(NoExceptions), &[own]);
        assert!(matches!(guard.check("https://93.184.216.34/"), Err(GuardError::Private { .. })));
        assert!(guard.check("https://93.184.216.35/").is_ok());
    }

    #[test]
    fn only_listed_hosts_are_reached_where_there_is_a_list() {
        for (written, kept) in [
            (" Example.COM ", Some("example.com")),
            ("*.Docs.example.com.", Some("*.docs.example.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("[2606:4700::1]", Some("2606:4700::1")),
            ("", None),
            ("*", None),
            ("*.", None),
            ("https://example.com/", None),
            ("example.com:8080", None),
            ("a b", None),
            ("me@example.com", None),
        ] {
            assert_eq!(Hosts::line(written).as_deref(), kept, "{written}");
        }
        let list = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let fine = |hosts: &Hosts, url: &str| hosts.check(&parse(url).unwrap()).is_ok();
        assert!(fine(&Hosts::default(), "https://any.example/") && !Hosts::default().are_listed());
        let one = Hosts::of(vec![list(&["example.com", "*.docs.test", "2606:4700::1"])]);
        for url in ["http://EXAMPLE.com./x", "https://a.b.docs.test/", "https://[2606:4700::1]/"] {
            assert!(fine(&one, url), "{url}");
        }
        for url in ["https://a.example.com/", "https://docs.test/", "https://xdocs.test/"] {
            assert!(!fine(&one, url), "{url}");
        }
        let both = Hosts::of(vec![list(&["a.test", "b.test"]), list(&["b.test"])]);
        assert!(fine(&both, "https://b.test/") && !fine(&both, "https://a.test/"));
    }

    #[test]
    fn an_owner_can_open_one_host_and_no_other() {
        let guard = Guard::new(Arc::new(SystemResolver), Arc::new(OneHost("wiki.lan")), &[]);
        assert!(guard.check("http://WIKI.lan.:8080/").is_ok());
        assert!(matches!(guard.check("http://other.lan/"), Err(GuardError::Private { .. })));
        assert!(matches!(guard.check("http://a.wiki.lan/"), Err(GuardError::Private { .. })));
        assert!(matches!(guard.check("http://127.0.0.1/"), Err(GuardError::Private { .. })));
        assert!(matches!(guard.check("ftp://wiki.lan/"), Err(GuardError::Scheme { .. })));
        let literal = Guard::new(Arc::new(SystemResolver), Arc::new(OneHost("::1")), &[]);
        assert!(literal.check("http://[::1]:9/").is_ok());
    }

    #[tokio::test]
    async fn what_people_open_leads_to_their_networks_and_no_further() {
        for (written, kept) in [
            (" Wiki.LAN ", Some("wiki.lan")),
            ("wiki.lan:8080", Some("wiki.lan:8080")),
            ("wiki.lan:80", Some("wiki.lan:80")),
            ("192.168.1.5", Some("192.168.1.5")),
            ("127.0.0.1:3000", Some("127.0.0.1:3000")),
            ("localhost:3000", Some("localhost:3000")),
            ("[fd00::1]:81", Some("[fd00::1]:81")),
            ("169.254.169.254", None),
            ("8.8.8.8", None),
            ("0.0.0.0", None),
            ("*.lan", None),
            ("http://wiki.lan", None),
            ("", None),
        ] {
            assert_eq!(Opened::line(written).as_deref(), kept, "{written}");
        }
        let open = |addresses: &[&str], lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            answering(addresses).opening(Opened::of(&lines))
        };
        let wiki =
            open(&["192.168.1.5", "127.0.0.1", "169.254.169.254"], &["wiki.lan:8080", "nas.lan"]);
        assert!(
            wiki.check("http://wiki.lan:8080/").is_ok() && wiki.check("http://nas.lan/").is_ok()
        );
        for url in
            ["http://wiki.lan/", "http://nas.lan:8080/", "http://other.lan/", "http://10.0.0.1/"]
        {
            assert!(wiki.check(url).is_err(), "{url}");
        }
        assert_eq!(wiki.resolve("wiki.lan").await, Ok(vec!["192.168.1.5".parse().unwrap()]));
        assert!(wiki.resolve("other.example").await.is_err());
        let own = open(&["127.0.0.1"], &["127.0.0.1:3000", "localhost:3000"]);
        assert!(own.check("http://127.0.0.1:3000/").is_ok());
        assert!(
            own.check("http://127.0.0.1:3001/").is_err()
                && own.check("http://127.0.0.2:3000/").is_err()
        );
        assert!(own.resolve("localhost").await.is_ok());
        let url = parse("http://nas.lan:80/").unwrap();
        assert!(Opened::of(&["nas.lan".to_owned()]).has(&url));
    }

    #[tokio::test]
    async fn a_name_gives_its_public_addresses_only() {
        let mixed = answering(&["127.0.0.1", "8.8.8.8", "::1", "10.0.0.1"]);
        assert_eq!(mixed.resolve("mixed.example").await, Ok(vec!["8.8.8.8".parse().unwrap()]));
        let private = answering(&["192.168.0.1", "::ffff:8.8.8.8"]);
        let refused = private.resolve("Rebind.Example.").await;
        assert_eq!(refused, Err(GuardError::Private { host: "rebind.example".into() }));
        let unknown = answering(&[]).resolve("nowhere.example").await;
        assert_eq!(unknown, Err(GuardError::Unknown { host: "nowhere.example".into() }));
    }

    #[test]
    fn a_connection_that_went_elsewhere_is_noticed() {
        let url = parse("https://example.com/").unwrap();
        assert!(guard().check_peer(&url, "8.8.8.8:443".parse().unwrap()).is_ok());
        assert!(guard().check_peer(&url, "127.0.0.1:443".parse().unwrap()).is_err());
    }
}
