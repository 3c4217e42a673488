//! The shapes of the API that the crash test and the benches speak, in one place.

use serde_json::{Value, json};

/// Where tasks are listed and made.
pub const TASKS: &str = "/api/v1/tasks";
/// Where agents are listed and made.
pub const AGENTS: &str = "/api/v1/agents";
/// Where provider connections are listed and made.
pub const CONNECTIONS: &str = "/api/v1/connections";
/// The OpenAI-compatible endpoint.
pub const CHAT: &str = "/v1/chat/completions";

/// A client that follows no redirect: a form's answer is the redirect.
pub fn client() -> reqwest::ClientBuilder {
    // Nobody here speaks TLS; reading what the machine trusts takes longer than many a test.
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([])
}

/// A new agent.
pub fn agent(name: &str) -> Value {
    json!({ "name": name, "slug": name.to_lowercase().replace(' ', "-"), "template": "default" })
}

/// A new task, for an agent if one is named.
pub fn task(title: &str, agent: Option<&str>) -> Value {
    match agent {
        Some(id) => json!({ "title": title, "assignee": id }),
        None => json!({ "title": title }),
    }
}

/// A change of a task: it goes to this agent.
pub fn assign(agent: &str) -> Value {
    json!({ "assignee": agent })
}

/// A connection to a server that speaks the OpenAI API.
pub fn connection(base_url: &str) -> Value {
    json!({
        "kind": "openai", "name": "Mock", "base_url": base_url, "api_key": "sk-mock",
        "default_model": "mock", "is_default": true, "test": false,
    })
}

/// One turn of a chat with the default agent.
pub fn chat(text: &str, stream: bool) -> Value {
    json!({
        "model": "hq/default", "stream": stream, "messages": [{ "role": "user", "content": text }],
    })
}
