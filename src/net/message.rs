//! Requests and answers in our own words.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::guard::Hosts;

/// Headers whose values are shown to nobody and stay behind when a redirect leaves the host.
const HIDDEN: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key"];

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read the headers only.
    Head,
    /// Create or act.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Remove.
    Delete,
}

/// Who caused a request, and so where it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// An owner gave the address: local servers are welcome. Redirects are not followed.
    Trusted,
    /// An agent, plugin or webhook did: the guard decides, at each redirect anew.
    Guarded,
}

/// Names and values in the order in which they were given. Names compare without case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// No headers.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Adds one, beside others of the same name.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Puts one in the place of all of the same name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.add(name, value);
    }

    /// Removes all of a name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Keeps those for which `keep` says so.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            self.iter().map(|(name, value)| (name, if is_hidden(name) { "…" } else { value }));
        f.debug_map().entries(shown).finish()
    }
}

/// Whether a header is known to carry a secret.
pub(super) fn is_hidden(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    HIDDEN.contains(&name.as_str())
        || ["token", "secret", "key", "password", "signature"]
            .iter()
            .any(|part| name.contains(part))
}

/// How long each step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the answer begins, the connection included.
    pub headers: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// For everything, redirects included. None for streams that may go on for hours.
    pub total: Option<Duration>,
}

impl Timeouts {
    /// For answers that come at once: 30 s in all.
    pub const SHORT: Timeouts = Timeouts {
        headers: Duration::from_secs(30),
        idle: Duration::from_secs(30),
        total: Some(Duration::from_secs(30)),
    };
    /// For the stream of a model: two minutes of silence at most.
    pub const STREAM: Timeouts =
        Timeouts { headers: Duration::from_secs(120), idle: Duration::from_secs(120), total: None };
}

#[derive(Clone)]
pub struct Request {
    /// Where it may go.
    pub policy: Policy,
    /// What is asked.
    pub method: Method,
    /// The whole address.
    pub url: String,
    /// The headers. Those of the connection itself (`host`, `content-length` and so on) are refused.
    pub headers: Headers,
    /// What is sent.
    pub body: Bytes,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// The most bytes of the answer, unpacked.
    pub max_body: u64,
    /// How many redirects are followed if the policy is guarded, five at most. With none, the answer
    /// that redirects is the answer.
    pub redirects: u8,
    /// The hosts that alone are asked if the policy is guarded, wherever redirects lead.
    pub only: Hosts,
}

impl Request {
    /// A request with usual limits: 30 s, 10 MiB, three redirects.
    pub fn new(policy: Policy, method: Method, url: impl Into<String>) -> Request {
        Request {
            policy,
            method,
            url: url.into(),
            headers: Headers::new(),
            body: Bytes::new(),
            timeouts: Timeouts::SHORT,
            max_body: 10 * 1024 * 1024,
            redirects: 3,
            only: Hosts::default(),
        }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.set(name, value);
        self
    }

    /// With something to send.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Request {
        self.headers.set("content-type", content_type);
        self.body = body.into();
        self
    }

    /// With other time limits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Request {
        self.timeouts = timeouts;
        self
    }

    /// With another limit for the answer.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Request {
        self.max_body = bytes;
        self
    }

    /// With these hosts alone.
    #[must_use]
    pub fn only(mut self, hosts: Hosts) -> Request {
        self.only = hosts;
        self
    }

    /// With another number of redirects.
    #[must_use]
    pub fn redirects(mut self, redirects: u8) -> Request {
        self.redirects = redirects;
        self
    }
}

impl fmt::Debug for Request {
    /// Leaves out the path, the query and the body: they may hold keys and prompts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.split(['/', '?', '#']).nth(2).unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        f.debug_struct("Request")
            .field("policy", &self.policy)
            .field("method", &self.method)
            .field("host", &host)
            .field("headers", &self.headers)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_compare_without_case() {
        let mut headers = Headers::new();
        headers.add("Set-Cookie", "a");
        headers.add("set-cookie", "b");
        assert_eq!(headers.get("SET-COOKIE"), Some("a"));
        headers.set("Set-cookie", "c");
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("Set-cookie", "c")]);
        headers.remove("SET-cookie");
        assert_eq!(headers.get("set-cookie"), None);
    }

    #[test]
    fn a_request_shows_nothing_that_may_be_secret() {
        let request = Request::new(
            Policy::Trusted,
            Method::Post,
            "https://u:pw1234@api.example/v1?key=abc123",
        )
        .header("Authorization", "Bearer abc123")
        .header("x-goog-api-key", "abc123")
        .header("X-Auth-Token", "abc123")
        .header("accept", "text/plain")
        .body("text/plain", "abc123");
        let shown = format!("{request:?}");
        assert!(!shown.contains("abc123") && !shown.contains("pw1234"), "{shown}");
        assert!(shown.contains("api.example") && shown.contains("text/plain"), "{shown}");
    }
}
