//! Requests to authorization servers and for metadata: guarded, small, quick and without redirects.

use std::time::Duration;

use app::Ws;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use net::client::HttpClient;
use net::error::NetError;
use net::guard::{self, GuardError, Opened};
use net::message::{Method, Policy, Request, Timeouts};
use serde_json::Value;
use url::{Host, Url, form_urlencoded};

use super::client::Client;
use crate::names;

/// Maximum size of a response, in bytes.
const MAX_BODY: u64 = 256 * 1024;
const WITHIN: Duration = Duration::from_secs(15);
const TIMEOUTS: Timeouts = Timeouts { headers: WITHIN, idle: WITHIN, total: Some(WITHIN) };
/// Longest error code or description that is shown.
const MAX_SHOWN: usize = 200;

/// Why a step of a sign-in failed. Messages are for people and may quote the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The server answered with an OAuth error.
    #[error("{host} refused it: {detail}")]
    Refused { host: String, detail: String },
    #[error("{0}")]
    Failed(String),
}

/// The network as a server's settings open it.
pub struct Wire {
    http: HttpClient,
}

impl Wire {
    /// Opens these private hosts, as a server's settings name them.
    pub fn opening(ws: &Ws, open_hosts: &[String]) -> Self {
        let opened = Opened::of(open_hosts);
        let http = match open_hosts.is_empty() {
            true => ws.app.http.clone(),
            false => ws.app.http.opening(opened),
        };
        Self { http }
    }

    /// A JSON document; `None` if the place has none.
    pub async fn document(&self, url: &str) -> Result<Option<Value>, Fault> {
        let place = place(url)?;
        let request = request(Method::Get, &place).header("accept", "application/json");
        let (status, body) = self.send(request).await?;
        match status {
            200..300 => match serde_json::from_slice(&body) {
                Ok(value @ Value::Object(_)) => Ok(Some(value)),
                // Some servers answer every path with a page.
                _ => Ok(None),
            },
            300..400 => Err(Fault::Failed(format!(
                "{} redirects the request for its metadata, which isn’t allowed",
                host_of(&place)
            ))),
            400..500 => Ok(None),
            status => Err(status_fault(&place, status)),
        }
    }

    /// Sends a form as a client. The answer of a success may be empty.
    pub async fn form(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        client: &Client,
    ) -> Result<Value, Fault> {
        let place = place(url)?;
        let request = request(Method::Post, &place).header("accept", "application/json");
        let request = as_client(request, fields, client);
        let (status, body) = self.send(request).await?;
        answered(&place, status, &body)
    }

    pub async fn json(&self, url: &str, body: &Value) -> Result<Value, Fault> {
        let place = place(url)?;
        let request = request(Method::Post, &place)
            .header("accept", "application/json")
            .body("application/json", body.to_string());
        let (status, body) = self.send(request).await?;
        answered(&place, status, &body)
    }

    async fn send(&self, request: Request) -> Result<(u16, Vec<u8>), Fault> {
        let response = self.http.request(request).await.map_err(net_fault)?;
        let status = response.status;
        Ok((status, response.body.bytes().await.map_err(net_fault)?))
    }
}

/// A request with a form of a client, which proves who it is.
fn as_client(request: Request, fields: &[(&str, &str)], client: &Client) -> Request {
    let mut form = form_urlencoded::Serializer::new(String::new());
    // Some servers want the id in the form even if it is in the header.
    form.extend_pairs(fields).append_pair("client_id", &client.id);
    let coded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let request = match &client.secret {
        Some(secret) if client.is_basic => {
            let pair = format!("{}:{}", coded(&client.id), coded(secret.reveal()));
            request.header("authorization", format!("Basic {}", STANDARD.encode(pair)))
        }
        Some(secret) => {
            form.append_pair("client_secret", secret.reveal());
            request
        }
        None => request,
    };
    request.body("application/x-www-form-urlencoded", form.finish())
}

fn request(method: Method, url: &Url) -> Request {
    Request::new(Policy::Guarded, method, url.as_str())
        .timeouts(TIMEOUTS)
        .max_body(MAX_BODY)
        .redirects(0)
}

fn net_fault(error: NetError) -> Fault {
    let is_closed =
        matches!(error, NetError::Refused(GuardError::Private { .. } | GuardError::Port { .. }));
    let hint =
        if is_closed { "; if you trust it, enter it as a private host of the server" } else { "" };
    Fault::Failed(format!("{error}{hint}"))
}

fn status_fault(url: &Url, status: u16) -> Fault {
    Fault::Failed(format!("{} answered with HTTP status {status}", host_of(url)))
}

/// The answer to a form, or the OAuth error in it.
fn answered(url: &Url, status: u16, body: &[u8]) -> Result<Value, Fault> {
    // ok: an answer that is no JSON says nothing.
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = value.get("error").and_then(Value::as_str).unwrap_or_default();
    let is_passing = matches!(code, "temporarily_unavailable" | "server_error" | "slow_down");
    match status {
        // Some servers report errors with a success.
        200..300 if code.is_empty() => Ok(value),
        200..300 | 400..=403 if !code.is_empty() && !is_passing => {
            let about = value.get("error_description").and_then(Value::as_str).unwrap_or_default();
            Err(Fault::Refused { host: host_of(url), detail: shown(code, about) })
        }
        300..400 => Err(Fault::Failed(format!(
            "{} redirects the request, which isn’t allowed",
            host_of(url)
        ))),
        status => Err(status_fault(url, status)),
    }
}

/// An OAuth error for people: short, and without hidden characters.
pub fn shown(code: &str, about: &str) -> String {
    let text = if about.trim().is_empty() { code } else { about };
    // Hidden characters are shown before lines are joined, which would drop some of them.
    let text = kernel::text::one_line(&names::visible(text));
    kernel::text::ellipsis(text.trim(), MAX_SHOWN)
}

/// An address that secrets may be sent to, or that metadata may come from: https, or this machine.
pub fn place(url: &str) -> Result<Url, Fault> {
    let failed = |error: GuardError| Fault::Failed(error.to_string());
    let url = guard::parse(url).map_err(failed)?;
    guard::check_shape(&url).map_err(failed)?;
    match url.scheme() == "https" || is_loopback(&url) {
        true => Ok(url),
        false => Err(Fault::Failed(format!(
            "{} can’t be used for a sign-in, because it has no https",
            host_of(&url)
        ))),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(v4)) => v4.is_loopback(),
        Some(Host::Ipv6(v6)) => v6.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{Fault, answered, place};

    #[test]
    fn secrets_are_sent_by_https_or_to_this_machine_only() {
        for good in
            ["https://a.example/t", "http://127.0.0.1:9/t", "http://[::1]/", "http://localhost:1/"]
        {
            assert!(place(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example/t",
            "http://10.0.0.5/t",
            "ftp://a.example/",
            "https://u:p@a.example/",
            "x",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn refusals_are_told_from_passing_faults() {
        let url = Url::parse("https://a.example/").unwrap();
        let is_refused = |status, body: &str| {
            matches!(answered(&url, status, body.as_bytes()), Err(Fault::Refused { .. }))
        };
        assert!(is_refused(400, r#"{"error":"invalid_grant"}"#));
        assert!(is_refused(401, r#"{"error":"invalid_client"}"#));
        assert!(is_refused(200, r#"{"error":"bad_refresh_token"}"#));
        for (status, body) in [
            (400, ""),
            (429, r#"{"error":"invalid_grant"}"#),
            (500, r#"{"error":"invalid_grant"}"#),
            (400, r#"{"error":"temporarily_unavailable"}"#),
            (302, ""),
        ] {
            let answer = answered(&url, status, body.as_bytes());
            assert!(matches!(answer, Err(Fault::Failed(_))), "{status} {body}");
        }
        assert!(answered(&url, 200, b"").is_ok());
    }
}
