//! Discovery of model servers on this machine.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use net::client::HttpClient;
use net::message::{Method, Policy, Request};

/// Time limit of a request, including name resolution.
const PATIENCE: Duration = Duration::from_millis(300);
/// Maximum size of a model list in bytes.
const MOST: u64 = 256 * 1024;
/// This machine, and the host of a container.
const HOSTS: [&str; 2] = ["127.0.0.1", "host.docker.internal"];

/// A possible address of a model server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Connection preset.
    pub kind: &'static str,
    /// Base URL, as a person would enter it.
    pub address: String,
    /// URL of the model list.
    pub list: String,
}

impl Place {
    /// A server with the Ollama API.
    #[must_use]
    pub fn ollama(host: &str, port: u16) -> Self {
        let address = format!("http://{host}:{port}");
        Self { kind: "ollama", list: format!("{address}/api/tags"), address }
    }

    /// A server with the OpenAI API.
    #[must_use]
    pub fn openai(kind: &'static str, host: &str, port: u16) -> Self {
        let address = format!("http://{host}:{port}/v1");
        Self { kind, list: format!("{address}/models"), address }
    }
}

/// A server that responded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub place: Place,
    pub models: Vec<String>,
}

/// Default addresses of Ollama, LM Studio, vLLM and llama.cpp, and SGLang.
#[must_use]
pub fn usual() -> Vec<Place> {
    let at = |host: &'static str| {
        [
            Place::ollama(host, 11_434),
            Place::openai("lm-studio", host, 1_234),
            Place::openai("vllm", host, 8_000),
            Place::openai("openai-compatible", host, 30_000),
        ]
    };
    HOSTS.into_iter().flat_map(at).collect()
}

/// Queries all addresses concurrently and returns the servers that list at least one model. A server that is reachable
/// under two names is returned once, under the first.
pub async fn find_servers(http: &HttpClient, places: Vec<Place>) -> Vec<Found> {
    let requests = places.into_iter().map(|place| async move {
        let answer = tokio::time::timeout(PATIENCE, list(http, &place.list)).await;
        let models = answer.ok().flatten().filter(|models| !models.is_empty())?;
        Some(Found { place, models })
    });
    let mut found: Vec<Found> = Vec::new();
    for one in join_all(requests).await.into_iter().flatten() {
        if !found
            .iter()
            .any(|other| other.place.kind == one.place.kind && other.models == one.models)
        {
            found.push(one);
        }
    }
    found
}

async fn list(http: &HttpClient, url: &str) -> Option<Vec<String>> {
    let request = Request::new(Policy::Trusted, Method::Get, url).max_body(MOST);
    // ok: no response, or another one, means no model server.
    let answer = http.request(request).await.ok()?;
    if !answer.is_success() {
        return None;
    }
    // ok: as above.
    let json: Value = serde_json::from_slice(&answer.body.bytes().await.ok()?).ok()?;
    let of = |list: &str, name: &str| {
        let all = json.get(list)?.as_array()?;
        let names = all.iter().filter_map(|one| one.get(name)?.as_str());
        Some(names.map(str::to_owned).collect::<Vec<_>>())
    };
    of("data", "id").or_else(|| of("models", "name"))
}
