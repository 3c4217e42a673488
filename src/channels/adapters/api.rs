//! JSON requests of an adapter, and the meaning of their failures.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use bytes::Bytes;
use kernel::Timestamp;
use net::client::HttpClient;
use net::error::{NetError, Phase};
use net::guard;
use net::message::{Headers, Method, Policy, Request, Timeouts};
use serde_json::Value;

use super::{Fault, FaultKind};

/// Time limits for files.
pub(crate) const FILE: Timeouts = Timeouts {
    headers: Duration::from_secs(60),
    idle: Duration::from_secs(30),
    total: Some(Duration::from_secs(180)),
};

pub(crate) struct Reply {
    pub status: u16,
    pub headers: Headers,
    /// Null if the body is not JSON.
    pub body: Value,
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The wait that the platform asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        let header = self.headers.get("retry-after").and_then(|value| value.parse::<f64>().ok());
        let secs = self.body.get("retry_after").and_then(Value::as_f64).or(header)?;
        Duration::try_from_secs_f64(secs.min(3600.0)).ok()
    }
}

/// A guarded request to a platform, which never follows redirects.
pub(crate) fn request(method: Method, url: impl Into<String>) -> Request {
    Request::new(Policy::Guarded, method, url).redirects(0)
}

/// Sends a request. `platform` is for messages; `may_write` says that a repeat could do the same thing twice.
pub(crate) async fn call(
    client: &HttpClient,
    request: Request,
    platform: &str,
    may_write: bool,
) -> Result<Reply, Fault> {
    let failed = |err: NetError| net_fault(&err, platform, may_write);
    let response = client.request(request).await.map_err(failed)?;
    let (status, headers) = (response.status, response.headers);
    let body = response.body.bytes().await.map_err(failed)?;
    // ok: proxies answer errors in HTML; the status is enough then.
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Reply { status, headers, body })
}

pub(crate) fn net_fault(err: &NetError, platform: &str, may_write: bool) -> Fault {
    match err {
        NetError::Refused(_) | NetError::BadHeader { .. } => Fault::new(
            FaultKind::Permanent,
            format!(
                "HQ isn't allowed to connect to this address of {platform}; an administrator can open it"
            ),
        ),
        NetError::TooLarge { .. } if !may_write => {
            Fault::new(FaultKind::Permanent, format!("{platform} sent more than HQ accepts"))
        }
        NetError::TooLarge { .. }
        | NetError::Broken { .. }
        | NetError::Timeout { phase: Phase::Headers | Phase::Idle | Phase::Total, .. }
            if may_write =>
        {
            Fault::new(
                FaultKind::UnknownAfterSend,
                format!("the connection to {platform} broke before it confirmed the message"),
            )
        }
        _ => Fault::new(
            FaultKind::Transient,
            format!("HQ can't reach {platform} at the moment; check this machine's network"),
        ),
    }
}

/// The fault of a status that means the same on each platform; `None` for all others.
pub(crate) fn busy(status: u64, platform: &str) -> Option<Fault> {
    match status {
        429 => Some(waiting(platform)),
        500.. => Some(trouble(platform)),
        _ => None,
    }
}

pub(crate) fn waiting(platform: &str) -> Fault {
    let detail = format!("{platform} asks HQ to wait before it sends more");
    Fault::new(FaultKind::Transient, detail)
}

pub(crate) fn trouble(platform: &str) -> Fault {
    let detail = format!("{platform} has trouble at the moment; HQ tries again");
    Fault::new(FaultKind::Transient, detail)
}

/// Downloads a file of at most `most` bytes.
pub(crate) async fn download(
    client: &HttpClient,
    request: Request,
    platform: &str,
    most: u64,
) -> Result<Bytes, Fault> {
    let request = request.max_body(most).timeouts(FILE);
    let large = || Fault::new(FaultKind::Permanent, "the file is too large; send a smaller one");
    let failed = |err: NetError| match err {
        NetError::TooLarge { .. } => large(),
        other => net_fault(&other, platform, false),
    };
    let response = client.request(request).await.map_err(failed)?;
    match response.status {
        200 => Ok(response.body.bytes().await.map_err(failed)?.into()),
        429 | 500.. => Err(Fault::new(
            FaultKind::Transient,
            format!("{platform} doesn't hand out files at the moment; HQ tries again"),
        )),
        _ => Err(Fault::new(
            FaultKind::Permanent,
            format!("{platform} no longer has the file, or keeps it from the bot; send it again"),
        )),
    }
}

pub(crate) fn no_drafts() -> Fault {
    Fault::new(FaultKind::Permanent, "only Telegram has drafts")
}

/// The origin of a platform's API, without a slash at the end.
pub(crate) fn origin(api_base: Option<&str>, usual: &str) -> Result<String, Fault> {
    let base = api_base.unwrap_or(usual);
    let checked = guard::parse(base).and_then(|url| guard::check_shape(&url));
    checked.map_err(|err| Fault::new(FaultKind::Permanent, err.to_string()))?;
    Ok(base.trim().trim_end_matches('/').to_owned())
}

/// Returns `true` if a token has only characters that tokens have, so that it is a valid header.
pub(crate) fn is_token(text: &str) -> bool {
    (8..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The text at a JSON pointer; empty if there is none.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The text at a JSON pointer, if it is not empty.
pub(crate) fn some(value: &Value, pointer: &str) -> Option<String> {
    Some(text(value, pointer)).filter(|text| !text.is_empty()).map(str::to_owned)
}

pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A moment in milliseconds since 1970.
pub(crate) fn moment(ms: i64) -> Timestamp {
    kernel::time::from_ms(ms)
}

/// A random fraction, to spread load. Not for secrets.
pub(crate) fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish() >> 32;
    random as f64 / f64::from(u32::MAX)
}
