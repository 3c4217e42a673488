//! Request and response types, independent of the HTTP library.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::guard::Hosts;

/// Headers whose values are never displayed and are dropped when a redirect leaves the host.
const HIDDEN: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key"];

/// HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// Who caused a request, which determines where it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// An owner gave the URL: local servers are allowed. Redirects are not followed.
    Trusted,
    /// An agent, plugin or webhook gave the URL: the guard checks it and each redirect.
    Guarded,
}

/// Headers in insertion order. Names are case-insensitive.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Adds a header and keeps others of the same name.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Replaces all headers of the same name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.add(name, value);
    }

    /// Removes all headers of this name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Keeps the headers for whose names `keep` returns `true`.
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

/// Returns `true` if a header is likely to carry a secret.
pub(super) fn is_hidden(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    HIDDEN.contains(&name.as_str())
        || ["token", "secret", "key", "password", "signature"]
            .iter()
            .any(|part| name.contains(part))
}

/// Time limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the response starts, including the connection.
    pub headers: Duration,
    /// Between two pieces of the response.
    pub idle: Duration,
    /// Total, including redirects. `None` for streams that may run for hours.
    pub total: Option<Duration>,
}

impl Timeouts {
    /// For short responses: 30 s in total.
    pub const SHORT: Timeouts = Timeouts {
        headers: Duration::from_secs(30),
        idle: Duration::from_secs(30),
        total: Some(Duration::from_secs(30)),
    };
    /// For model streams: at most two minutes of silence.
    pub const STREAM: Timeouts =
        Timeouts { headers: Duration::from_secs(120), idle: Duration::from_secs(120), total: None };
}

#[derive(Clone)]
pub struct Request {
    /// Where the request may go.
    pub policy: Policy,
    pub method: Method,
    /// Absolute URL.
    pub url: String,
    /// Headers. Connection headers (`host`, `content-length` and so on) are refused.
    pub headers: Headers,
    pub body: Bytes,
    pub timeouts: Timeouts,
    /// Maximum size of the decompressed response body, in bytes.
    pub max_body: u64,
    /// Maximum number of redirects for the guarded policy, at most five. With 0, the redirect itself is the response.
    pub redirects: u8,
    /// Allowlist of hosts for the guarded policy, also applied to redirects.
    pub only: Hosts,
}

impl Request {
    /// A request with default limits: 30 s, 10 MiB, three redirects.
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

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.set(name, value);
        self
    }

    /// Sets the body and its content type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Request {
        self.headers.set("content-type", content_type);
        self.body = body.into();
        self
    }

    /// Sets the time limits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Request {
        self.timeouts = timeouts;
        self
    }

    /// Sets the maximum size of the response body.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Request {
        self.max_body = bytes;
        self
    }

    /// Restricts the request to these hosts.
    #[must_use]
    pub fn only(mut self, hosts: Hosts) -> Request {
        self.only = hosts;
        self
    }

    /// Sets the maximum number of redirects.
    #[must_use]
    pub fn redirects(mut self, redirects: u8) -> Request {
        self.redirects = redirects;
        self
    }
}

impl fmt::Debug for Request {
    /// Omits path, query and body, which may contain keys and prompts.
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
