//! HTTP clients: a browser without scripts, and an API client.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use super::super::wire;
use super::TestHq;
use super::reply::{Events, Reply};

/// An HTTP client: a browser with cookies, or a program with a token.
#[derive(Clone)]
pub struct Person {
    client: Client,
    pub(super) base: String,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
    headers: HeaderMap,
}

impl Person {
    pub(super) fn new(base: String) -> Self {
        Self {
            client: wire::client().build().expect("a client without special settings"),
            base,
            cookies: Arc::default(),
            headers: HeaderMap::new(),
        }
    }

    /// The same client after a restart of the server.
    #[must_use]
    pub fn back_at(&self, hq: &TestHq) -> Self {
        Self { base: hq.url(), ..self.clone() }
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header's name");
        self.headers.insert(name, HeaderValue::try_from(value).expect("a header's value"));
        self
    }

    /// Sends requests like htmx, for the region with this id.
    #[must_use]
    pub fn htmx(self, target: &str) -> Self {
        self.with("hx-request", "true")
            .with("hx-request-type", "partial")
            .with("hx-target", &format!("div#{target}"))
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// Submits a form as one of HQ's pages does.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = serde_urlencoded::to_string(fields).expect("pairs of text");
        let kind = "application/x-www-form-urlencoded";
        let own = self.clone().with("sec-fetch-site", "same-origin");
        own.send(Method::POST, path, Some((kind, body.into()))).await
    }

    /// Submits the query of an address as a form.
    pub async fn form_of(&self, address: &str) -> Reply {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let kind = "application/x-www-form-urlencoded";
        let own = self.clone().with("sec-fetch-site", "same-origin");
        own.send(Method::POST, path, Some((kind, query.to_owned().into()))).await
    }

    /// Submits a form without same-origin headers, as another site would.
    pub async fn form_as(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = serde_urlencoded::to_string(fields).expect("pairs of text");
        let kind = "application/x-www-form-urlencoded";
        self.send(Method::POST, path, Some((kind, body.into()))).await
    }

    /// Sends a request without a body.
    pub async fn call(&self, method: &str, path: &str) -> Reply {
        let own = self.clone().with("sec-fetch-site", "same-origin");
        own.send(method.parse().expect("a method"), path, None).await
    }

    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        let method = method.parse().expect("a method");
        let own = self.clone().with("sec-fetch-site", "same-origin");
        own.send(method, path, Some(("application/json", body.to_string().into()))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.json("POST", path, body).await
    }

    /// Opens an event stream.
    pub async fn stream(&self, path: &str) -> Events {
        let request = self.client.get(format!("{}{path}", self.base)).headers(self.headers.clone());
        let request = request.header("cookie", self.cookie()).header("accept", "text/event-stream");
        let answer = request.send().await.expect("the server answers");
        assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
        Events::of(answer)
    }

    /// Posts JSON and opens the event stream of the response.
    pub async fn post_stream(&self, path: &str, body: &Value) -> Events {
        let request =
            self.client.post(format!("{}{path}", self.base)).headers(self.headers.clone());
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.expect("the server answers");
        assert_eq!(answer.status(), StatusCode::OK, "POST {path}");
        Events::of(answer)
    }

    /// Sends bytes with a content type.
    pub async fn bytes(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Reply {
        let own = self.clone().with("sec-fetch-site", "same-origin");
        own.send(method.parse().expect("a method"), path, Some((kind, body.into()))).await
    }

    /// Sends a chunked body of unknown length.
    pub async fn streamed(&self, path: &str, kind: &str, pieces: Vec<Vec<u8>>) -> Reply {
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        self.send(Method::POST, path, Some((kind, body))).await
    }

    /// Sends the start of a body and then stalls.
    pub async fn stuck(&self, path: &str, kind: &str, start: Vec<u8>) -> Reply {
        use futures_util::StreamExt as _;
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(start)]);
        let body = reqwest::Body::wrap_stream(first.chain(futures_util::stream::pending()));
        self.send(Method::POST, path, Some((kind, body))).await
    }

    /// Downloads binary data.
    pub async fn download(&self, path: &str) -> Vec<u8> {
        let request = self.client.get(format!("{}{path}", self.base)).headers(self.headers.clone());
        let answer = request.header("cookie", self.cookie()).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
        answer.bytes().await.expect("a body").to_vec()
    }

    /// Posts binary data; returns status and body.
    pub async fn post_bytes(&self, path: &str, bytes: Vec<u8>) -> (u16, String) {
        let request =
            self.client.post(format!("{}{path}", self.base)).headers(self.headers.clone());
        let request = request.header("content-type", "application/octet-stream").body(bytes);
        let answer = request.send().await.expect("the server answers");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    }

    async fn send(&self, method: Method, path: &str, body: Option<(&str, reqwest::Body)>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.headers(self.headers.clone());
        let cookie = self.cookie();
        if !cookie.is_empty() {
            request = request.header("cookie", cookie);
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let answer = request.send().await.expect("the server answers");
        for cookie in answer.headers().get_all("set-cookie") {
            self.keep(cookie.to_str().expect("a cookie of plain characters"));
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        Reply { status, headers, text: answer.text().await.expect("a whole answer") }
    }

    /// A header that is sent with every request.
    pub fn header(&self, name: &str) -> String {
        self.headers[name].to_str().expect("plain characters").to_owned()
    }

    /// Value of the `Cookie` header.
    pub fn cookie(&self) -> String {
        let cookies = self.cookies.lock();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn keep(&self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').expect("a cookie has a name and a value");
        let mut cookies = self.cookies.lock();
        if attributes.to_ascii_lowercase().contains("max-age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}
