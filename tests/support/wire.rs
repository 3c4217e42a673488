//! API paths and bodies that the crash test and the benchmarks use.

use serde_json::{Value, json};

pub const TASKS: &str = "/api/v1/tasks";
pub const AGENTS: &str = "/api/v1/agents";
pub const CONNECTIONS: &str = "/api/v1/connections";
/// The OpenAI-compatible endpoint.
pub const CHAT: &str = "/v1/chat/completions";

/// Variables that lead programs of others to a proxy, which tests remove.
pub const PROXIES: [&str; 6] =
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// A client that does not follow redirects: they are the response to forms.
pub fn client() -> reqwest::ClientBuilder {
    // No TLS is used here, and loading the system's certificates takes longer than many tests.
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([])
}

/// Body of a new agent.
pub fn agent(name: &str) -> Value {
    json!({ "name": name, "slug": name.to_lowercase().replace(' ', "-"), "template": "default" })
}

/// Body of a new task, assigned to `agent` if given.
pub fn task(title: &str, agent: Option<&str>) -> Value {
    match agent {
        Some(id) => json!({ "title": title, "assignee": id }),
        None => json!({ "title": title }),
    }
}

/// Body that assigns a task.
pub fn assign(agent: &str) -> Value {
    json!({ "assignee": agent })
}

/// Body of a connection to an OpenAI-compatible server.
pub fn connection(base_url: &str) -> Value {
    json!({
        "kind": "openai", "name": "Mock", "base_url": base_url, "api_key": "sk-mock",
        "default_model": "mock", "is_default": true, "test": false,
    })
}

/// Body of a chat request to the default agent.
pub fn chat(text: &str, stream: bool) -> Value {
    json!({
        "model": "hq/default", "stream": stream, "messages": [{ "role": "user", "content": text }],
    })
}
