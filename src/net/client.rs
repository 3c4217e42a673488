//! The HTTP client. Trusted and guarded requests never share connections: a guarded request cannot use a connection
//! that a trusted one opened.
//!
//! Dropping the future cancels a request; dropping the body cancels a response. Proxy environment variables are
//! ignored.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use super::address;
use super::error::{NetError, Phase};
use super::guard::{
    self, Exceptions, Guard, GuardError, NoExceptions, Opened, Resolver, SystemResolver,
};
use super::message::{Headers, Method, Policy, Request, Timeouts, is_hidden};

/// Maximum number of redirects.
pub const MAX_REDIRECTS: u8 = 5;

const USER_AGENT: &str = concat!("hq/", env!("CARGO_PKG_VERSION"));
/// Set by the connection. If callers could set them, a second request could be smuggled.
const CONNECTION_HEADERS: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The only headers kept on a redirect to another origin.
const TRAVELLING_HEADERS: [&str; 6] =
    ["accept", "accept-encoding", "accept-language", "content-type", "range", "user-agent"];

/// Parts of a client.
pub struct ClientParts {
    /// DNS resolver for both policies.
    pub resolver: Arc<dyn Resolver>,
    /// What an owner has opened for guarded requests.
    pub exceptions: Arc<dyn Exceptions>,
    /// HQ's own public addresses, closed for guarded requests.
    pub own: Vec<IpAddr>,
    /// HQ's own public name, closed for guarded requests.
    pub own_name: Option<String>,
    /// Time limit for establishing a connection.
    pub connect_timeout: Duration,
}

impl Default for ClientParts {
    fn default() -> ClientParts {
        ClientParts {
            resolver: Arc::new(SystemResolver),
            exceptions: Arc::new(NoExceptions),
            own: Vec::new(),
            own_name: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl ClientParts {
    /// Closes HQ itself for guarded requests: its listen addresses and its public name.
    #[must_use]
    pub fn without(mut self, listen: SocketAddr, public: Option<&str>) -> ClientParts {
        self.own.extend(address::own(listen));
        // ok: an unparsable URL leads nowhere.
        let url = public.and_then(|url| guard::parse(url).ok());
        match url.as_ref().and_then(Url::host) {
            Some(Host::Domain(name)) => self.own_name = Some(name.to_owned()),
            Some(Host::Ipv4(v4)) => self.own.push(v4.into()),
            Some(Host::Ipv6(v6)) => self.own.push(v6.into()),
            None => {}
        }
        self
    }
}

/// HTTP client. Cheap to clone; clones share connections. Initialized on the first request.
#[derive(Clone)]
pub struct HttpClient {
    shared: Arc<Shared>,
}

struct Shared {
    guard: Guard,
    resolver: Arc<dyn Resolver>,
    connect_timeout: Duration,
    trusted: Mutex<Option<reqwest::Client>>,
    guarded: Mutex<Option<reqwest::Client>>,
    /// Clients with exceptions that are in use. Each holds its own copy of the certificate roots.
    openings: Mutex<Vec<(Opened, Weak<Shared>)>>,
}

impl HttpClient {
    /// A client with these parts.
    pub fn new(parts: ClientParts) -> HttpClient {
        let guard = Guard::new(Arc::clone(&parts.resolver), parts.exceptions, &parts.own)
            .known_as(parts.own_name.as_deref());
        HttpClient {
            shared: Arc::new(Shared {
                guard,
                resolver: parts.resolver,
                connect_timeout: parts.connect_timeout,
                trusted: Mutex::new(None),
                guarded: Mutex::new(None),
                openings: Mutex::default(),
            }),
        }
    }

    /// A client that also reaches the host of an address that people configured, which may be in a private network. An
    /// invalid address opens nothing; the request reports it.
    pub fn opening_host_of(&self, url: &str) -> HttpClient {
        let host = guard::parse(url).ok().and_then(|url| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("{}{port}", url.host_str()?))
        });
        host.map_or_else(|| self.clone(), |host| self.opening(Opened::of(&[host])))
    }

    /// A client with additional exceptions and connections apart from this one. Clients with the same exceptions share
    /// theirs.
    pub fn opening(&self, opened: Opened) -> HttpClient {
        let mut openings = self.shared.openings.lock();
        openings.retain(|(_, known)| known.strong_count() > 0);
        let mut known = openings.iter().filter(|(of, _)| *of == opened);
        if let Some(shared) = known.find_map(|(_, known)| known.upgrade()) {
            return HttpClient { shared };
        }
        let shared = Arc::new(Shared {
            guard: self.shared.guard.opening(opened.clone()),
            resolver: Arc::clone(&self.shared.resolver),
            connect_timeout: self.shared.connect_timeout,
            trusted: Mutex::new(None),
            guarded: Mutex::new(None),
            openings: Mutex::default(),
        });
        openings.push((opened, Arc::downgrade(&shared)));
        HttpClient { shared }
    }

    /// The guard of this client, for checks before a request is made.
    pub fn guard(&self) -> &Guard {
        &self.shared.guard
    }

    /// Sends a request. Returns as soon as the response starts.
    pub async fn request(&self, request: Request) -> Result<Response, NetError> {
        let deadline = request.timeouts.total.map(|total| Instant::now() + total);
        let client = self.client(request.policy)?;
        match request.policy {
            Policy::Trusted => {
                let url = guard::parse(&request.url)?;
                guard::check_shape(&url)?;
                self.hop(&client, &request, url, deadline).await
            }
            Policy::Guarded => self.follow(&client, request, deadline).await,
        }
    }

    /// Follows the redirects of a guarded request and checks each hop.
    async fn follow(
        &self,
        client: &reqwest::Client,
        mut request: Request,
        deadline: Option<Instant>,
    ) -> Result<Response, NetError> {
        let limit = request.redirects.min(MAX_REDIRECTS);
        let mut url = self.shared.guard.check(&request.url)?;
        request.only.check(&url)?;
        for hop in 0..=limit {
            let response = self.hop(client, &request, url.clone(), deadline).await?;
            let Some(location) = response.redirect() else { return Ok(response) };
            if limit == 0 {
                return Ok(response);
            }
            if hop == limit {
                return Err(NetError::Redirects { host: host_of(&url), limit });
            }
            let next = url
                .join(location)
                .map_err(|err| GuardError::BadUrl { reason: format!("redirected: {err}") })?;
            self.shared.guard.check_url(&next)?;
            request.only.check(&next)?;
            travel(&mut request, response.status, &url, &next);
            url = next;
        }
        Err(NetError::Redirects { host: host_of(&url), limit })
    }

    /// One exchange with one server.
    async fn hop(
        &self,
        client: &reqwest::Client,
        request: &Request,
        url: Url,
        deadline: Option<Instant>,
    ) -> Result<Response, NetError> {
        let clock = Clock { host: host_of(&url), timeouts: request.timeouts, deadline };
        let sent = client
            .request(method(request.method), url.clone())
            .headers(header_map(&request.headers)?)
            .body(request.body.clone())
            .send();
        let (wait, phase) = clock.wait(request.timeouts.headers, Phase::Headers);
        let answer = match timeout(wait, sent).await {
            Ok(answer) => answer.map_err(|err| self.failure(&clock, err))?,
            Err(_) => return Err(clock.late(phase)),
        };
        if let (Policy::Guarded, Some(peer)) = (request.policy, answer.remote_addr()) {
            self.shared.guard.check_peer(&url, peer)?;
        }
        Ok(Response {
            status: answer.status().as_u16(),
            headers: our_headers(answer.headers()),
            url: url.into(),
            body: Body { answer, clock, limit: request.max_body, taken: 0 },
        })
    }

    fn failure(&self, clock: &Clock, err: reqwest::Error) -> NetError {
        let host = clock.host.clone();
        match find::<GuardError>(&err) {
            Some(GuardError::Unknown { .. }) => return NetError::UnknownHost { host },
            Some(refused) => return NetError::Refused(refused.clone()),
            None => {}
        }
        if err.is_connect() && err.is_timeout() {
            let limit = self.shared.connect_timeout;
            return NetError::Timeout { host, phase: Phase::Connect, limit };
        }
        let detail = innermost(&err);
        match err.is_connect() {
            true => NetError::Connect { host, detail },
            false => NetError::Broken { host, detail },
        }
    }

    fn client(&self, policy: Policy) -> Result<reqwest::Client, NetError> {
        let (slot, guard) = match policy {
            Policy::Trusted => (&self.shared.trusted, None),
            Policy::Guarded => (&self.shared.guarded, Some(self.shared.guard.clone())),
        };
        let mut slot = slot.lock();
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let client = self
            .builder(guard)
            .build()
            .map_err(|err| NetError::Setup { detail: innermost(&err) })?;
        *slot = Some(client.clone());
        Ok(client)
    }

    fn builder(&self, guard: Option<Guard>) -> reqwest::ClientBuilder {
        let names = Names { resolver: Arc::clone(&self.shared.resolver), guard };
        reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .dns_resolver(names)
            .connect_timeout(self.shared.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(8)
            .tcp_keepalive(Duration::from_secs(30))
            .http2_keep_alive_interval(Duration::from_secs(30))
            .http2_keep_alive_timeout(Duration::from_secs(20))
    }

    /// Sends a guarded HTTP/1.1 request on a connection of its own, for an upgrade of this connection.
    pub(super) async fn upgrade(
        &self,
        url: &str,
        headers: HeaderMap,
    ) -> Result<reqwest::Response, NetError> {
        let url = self.shared.guard.check(url)?;
        let clock = Clock { host: host_of(&url), timeouts: Timeouts::SHORT, deadline: None };
        let client = self
            .builder(Some(self.shared.guard.clone()))
            .http1_only()
            .build()
            .map_err(|err| NetError::Setup { detail: innermost(&err) })?;
        let answer =
            timeout(clock.timeouts.headers, client.get(url.clone()).headers(headers).send())
                .await
                .map_err(|_| clock.late(Phase::Headers))?
                .map_err(|err| self.failure(&clock, err))?;
        if let Some(peer) = answer.remote_addr() {
            self.shared.guard.check_peer(&url, peer)?;
        }
        Ok(answer)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("guard", &self.shared.guard).finish_non_exhaustive()
    }
}

/// The resolver of the connection itself. With a guard, it returns checked addresses only.
struct Names {
    resolver: Arc<dyn Resolver>,
    guard: Option<Guard>,
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let host = name.as_str().to_owned();
        let (resolver, guard) = (Arc::clone(&self.resolver), self.guard.clone());
        Box::pin(async move {
            let found = match guard {
                Some(guard) => guard.resolve(&host).await?,
                None => match resolver.lookup(&host).await {
                    Ok(found) if !found.is_empty() => found,
                    Ok(_) | Err(_) => return Err(GuardError::Unknown { host }.into()),
                },
            };
            // Port 0 stands for the requested port.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as reqwest::dns::Addrs)
        })
    }
}

/// A server's response. The body is read on demand.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    /// Final URL, after all redirects.
    pub url: String,
    /// The unread body.
    pub body: Body,
}

impl Response {
    /// Returns `true` for a 2xx status.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn redirect(&self) -> Option<&str> {
        match self.status {
            301 | 302 | 303 | 307 | 308 => self.headers.get("location"),
            _ => None,
        }
    }
}

/// A response body, read in pieces as they arrive.
pub struct Body {
    answer: reqwest::Response,
    clock: Clock,
    limit: u64,
    taken: u64,
}

/// Whether a body was read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// There was more data.
    Cut,
}

impl Body {
    /// The next piece; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, NetError> {
        let (wait, phase) = self.clock.wait(self.clock.timeouts.idle, Phase::Idle);
        let piece = match timeout(wait, self.answer.chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(err)) => {
                let host = self.clock.host.clone();
                return Err(NetError::Broken { host, detail: innermost(&err) });
            }
            Err(_) => return Err(self.clock.late(phase)),
        };
        self.taken = self.taken.saturating_add(piece.len() as u64);
        if self.limit < self.taken {
            return Err(NetError::TooLarge { host: self.clock.host.clone(), limit: self.limit });
        }
        Ok(Some(piece))
    }

    /// The whole body. Fails if it exceeds the request's limit.
    pub async fn bytes(mut self) -> Result<Vec<u8>, NetError> {
        let mut all = Vec::new();
        while let Some(piece) = self.chunk().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// The first `most` bytes, and whether that was the whole body.
    pub async fn beginning(mut self, most: usize) -> Result<(Vec<u8>, Extent), NetError> {
        let mut all = Vec::new();
        while let Some(piece) = self.chunk().await? {
            all.extend_from_slice(&piece);
            if most < all.len() {
                all.truncate(most);
                return Ok((all, Extent::Cut));
            }
        }
        Ok((all, Extent::Whole))
    }

    /// The pieces as a stream, which ends after an error.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, NetError>> + Send {
        stream::try_unfold(self, |mut body| async move {
            Ok(body.chunk().await?.map(|piece| (piece, body)))
        })
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("taken", &self.taken).finish_non_exhaustive()
    }
}

/// Remaining time of an exchange.
struct Clock {
    host: String,
    timeouts: Timeouts,
    deadline: Option<Instant>,
}

impl Clock {
    /// The wait for one step, capped by the remaining total time.
    fn wait(&self, step: Duration, phase: Phase) -> (Duration, Phase) {
        let left = self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
        match left {
            Some(left) if left < step => (left, Phase::Total),
            Some(_) | None => (step, phase),
        }
    }

    fn late(&self, phase: Phase) -> NetError {
        let limit = match phase {
            Phase::Total => self.timeouts.total.unwrap_or_default(),
            Phase::Idle => self.timeouts.idle,
            Phase::Connect | Phase::Headers => self.timeouts.headers,
        };
        NetError::Timeout { host: self.host.clone(), phase, limit }
    }
}

/// Prepares the request of the next hop: changes the method as browsers do, and drops secrets on a change of origin.
fn travel(request: &mut Request, status: u16, from: &Url, to: &Url) {
    let becomes_get = match status {
        303 => request.method != Method::Head,
        301 | 302 => request.method == Method::Post,
        _ => false,
    };
    if becomes_get {
        request.method = Method::Get;
        request.body = Bytes::new();
        request.headers.retain(|name| !name.to_ascii_lowercase().starts_with("content-"));
    }
    if from.origin() != to.origin() {
        let travels = |name: &str| TRAVELLING_HEADERS.contains(&name.to_ascii_lowercase().as_str());
        request.headers.retain(travels);
    }
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

fn header_map(headers: &Headers) -> Result<HeaderMap, NetError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        let refused = || NetError::BadHeader { name: name.escape_default().to_string() };
        let lower = name.to_ascii_lowercase();
        if CONNECTION_HEADERS.contains(&lower.as_str()) || lower.starts_with("proxy-") {
            return Err(refused());
        }
        let key = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| refused())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
        value.set_sensitive(is_hidden(&lower));
        map.append(key, value);
    }
    Ok(map)
}

fn our_headers(map: &HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        headers.add(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    headers
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn causes<'e>(err: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(err), |err| (*err).source())
}

fn find<E: Error + 'static>(err: &reqwest::Error) -> Option<&E> {
    causes(err).find_map(|err| err.downcast_ref::<E>())
}

/// Message of the innermost cause. The outer ones repeat the URL, which may contain a key.
fn innermost(err: &reqwest::Error) -> String {
    if let Some(io) = find::<io::Error>(err) {
        let text = io.to_string();
        // Error numbers mean nothing to people.
        return text.split(" (os error").next().unwrap_or_default().to_owned();
    }
    match causes(err).skip(1).last() {
        Some(cause) => cause.to_string(),
        None => "the response is invalid".to_owned(),
    }
}

#[cfg(test)]
mod opening_tests {
    use std::sync::Arc;

    use super::{ClientParts, HttpClient, Opened};

    #[test]
    fn clients_with_the_same_exceptions_share_their_connections_while_in_use() {
        let client = HttpClient::new(ClientParts::default());
        let opened = |host: &str| Opened::of(&[host.to_owned()]);
        let first = client.opening(opened("10.0.0.1:8080"));
        let same = client.opening(opened("10.0.0.1:8080"));
        assert!(Arc::ptr_eq(&first.shared, &same.shared));
        let other = client.opening(opened("10.0.0.2:8080"));
        assert!(!Arc::ptr_eq(&first.shared, &other.shared));
        assert_eq!(client.shared.openings.lock().len(), 2);
        drop((first, same, other));
        let next = client.opening(opened("10.0.0.3:8080"));
        assert_eq!(client.shared.openings.lock().len(), 1);
        drop(next);
    }
}
