//! Requests to engines, with the failures that all of them have in common.

use std::time::Duration;

use net::client::HttpClient;
use net::message::{Method, Policy, Request, Timeouts};
use serde_json::Value;
use url::Url;

use super::{Engine, EngineKind, Fault, FaultKind, Via};

/// Maximum size of an answer.
const MAX_BYTES: u64 = 2 * 1024 * 1024;
/// An agent waits for the next engine, too.
const TIMES: Timeouts = Timeouts {
    headers: Duration::from_secs(15),
    idle: Duration::from_secs(10),
    total: Some(Duration::from_secs(20)),
};
/// Signs of a page that asks whether a person is searching.
const CHALLENGES: [&str; 6] =
    ["captcha", "are you a robot", "unusual traffic", "cf-challenge", "just a moment", "anomaly"];

/// The address of an engine with parameters; parameters without a value are left out.
pub(super) fn address(engine: &Engine, pairs: &[(&str, &str)]) -> Result<String, Fault> {
    let own = match engine.via {
        Via::Kind(kind) => kind.address(),
        Via::Keyless(service) => service.address(),
        Via::Manifest(_) => "",
    };
    let text = if engine.address.is_empty() { own } else { engine.address.trim() };
    let wrong = |_| {
        let message = format!("the address of {} isn't valid; correct it", engine.name);
        Fault::new(FaultKind::Refused, message)
    };
    let mut url = Url::parse(text).map_err(wrong)?;
    let is_own_server = matches!(engine.via, Via::Kind(EngineKind::SearxNg));
    if is_own_server && !url.path().trim_end_matches('/').ends_with("/search") {
        let path = format!("{}/search", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    let pairs: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(url.into())
}

pub(super) fn get(url: String) -> Request {
    Request::new(Policy::Trusted, Method::Get, url)
}

pub(super) fn post(url: String, body: &Value) -> Request {
    Request::new(Policy::Trusted, Method::Post, url).body("application/json", body.to_string())
}

/// Sends a request and reads JSON. Other answers are faults.
pub(super) async fn json(
    client: &HttpClient,
    engine: &Engine,
    request: Request,
) -> Result<Value, Fault> {
    let name = &engine.name;
    let request = request.header("accept", "application/json").timeouts(TIMES).max_body(MAX_BYTES);
    let unreachable =
        |error: net::error::NetError| Fault::new(FaultKind::Unreachable, error.to_string());
    let answer = client.request(request).await.map_err(unreachable)?;
    let status = answer.status;
    let media = answer.headers.get("content-type").unwrap_or_default().to_ascii_lowercase();
    let body = answer.body.bytes().await.map_err(unreachable)?;
    let text = String::from_utf8_lossy(&body);
    let is_page = media.contains("html") || text.trim_start().starts_with('<');
    if is_page && status != 429 {
        let lower = text.to_ascii_lowercase();
        if CHALLENGES.iter().any(|sign| lower.contains(sign)) {
            let message = format!("{name} asks for a captcha");
            return Err(Fault::new(FaultKind::Captcha, message));
        }
    }
    match status {
        200..300 => {}
        429 | 432 | 433 => {
            return Err(limited(engine));
        }
        401..=403 => return Err(refused(engine, status)),
        _ => {
            let message = format!("{name} answered with status {status}");
            return Err(Fault::new(FaultKind::Failed, message));
        }
    }
    if is_page {
        let message = format!("{name} sent a page in place of results");
        return Err(Fault::new(FaultKind::NotJson, message));
    }
    serde_json::from_str(&text).map_err(|_invalid| {
        Fault::new(FaultKind::NotJson, format!("{name} sent something other than JSON"))
    })
}

/// The fault of an engine whose rate limit was reached.
pub(super) fn limited(engine: &Engine) -> Fault {
    let message = format!("{}’s rate limit was reached", maker(engine));
    Fault::new(FaultKind::RateLimited, message)
}

/// The fault of a service that refuses searches without a key.
pub(super) fn key_needed(engine: &Engine) -> Fault {
    let message = format!("{} no longer answers without a key", maker(engine));
    Fault::new(FaultKind::Refused, message)
}

/// The name of an engine; for a service without a key that of its maker, as the name says "without a key", too.
fn maker(engine: &Engine) -> &str {
    match engine.via {
        Via::Keyless(service) => service.label(),
        _ => &engine.name,
    }
}

fn refused(engine: &Engine, status: u16) -> Fault {
    let name = &engine.name;
    let message = match (&engine.via, status) {
        (Via::Kind(EngineKind::SearxNg), 403) => format!(
            "{name} refuses JSON: add json to formats below search in its settings.yml, and restart it"
        ),
        (_, 402) => format!("{name} has no credit left"),
        (Via::Keyless(_), _) => return key_needed(engine),
        _ => format!("{name} refuses the key"),
    };
    Fault::new(FaultKind::Refused, message)
}
