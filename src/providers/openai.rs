//! Shared by both OpenAI protocols, at OpenAI and compatible servers: authentication, output formats and model lists.

use serde_json::{Value, json};

use super::base::{Base, Server};
use super::catalog::{self, Price};
use super::error::ProviderError;
use super::known;
use super::model::{Abilities, AnswerFormat, ChatRequest, ModelInfo, Part};
use super::wire::Connection;
use net::message::{Method, Request};

/// Id substrings of models without chat.
const NO_CHAT: &[&str] = &[
    "embed",
    "whisper",
    "tts",
    "transcribe",
    "realtime",
    "moderation",
    "dall-e",
    "image",
    "sora",
    "rerank",
    "ocr",
    "davinci",
    "babbage",
    "-audio",
    "computer-use",
    "deep-research",
    "-live-",
];

/// A request with the key in the server's header.
pub(super) fn head(connection: &Connection, method: Method, path: &str) -> Request {
    let request = connection.request(method, path);
    match (&connection.key, connection.base.server) {
        (Some(key), Server::Azure) => request.header("api-key", key.reveal()),
        (Some(key), _) => request.header("authorization", format!("Bearer {}", key.reveal())),
        (None, _) => request,
    }
}

/// A POST request, with additional headers where the server requires them.
pub(super) fn post(connection: &Connection, path: &str, request: &ChatRequest) -> Request {
    let post = head(connection, Method::Post, path);
    if connection.base.server != Server::Copilot {
        return post;
    }
    // Copilot bills requests by persons, but not their automatic continuations.
    let last = request.messages.last().map_or(&[][..], |message| message.parts.as_slice());
    let goes_on = last.iter().any(|part| matches!(part, Part::ToolResult { .. }));
    let post = post.header("x-initiator", if goes_on { "agent" } else { "user" });
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    match parts.any(|part| matches!(part, Part::Image { .. })) {
        true => post.header("copilot-vision-request", "true"),
        false => post,
    }
}

/// The output format for Chat Completions.
pub(super) fn chat_format(format: &AnswerFormat) -> Value {
    let Some(schema) = &format.schema else { return json!({ "type": "json_object" }) };
    let mut described = json!({ "name": format.name, "schema": schema });
    if let Some(strict) = format.strict {
        described["strict"] = json!(strict);
    }
    json!({ "type": "json_schema", "json_schema": described })
}

/// The output format for Responses.
pub(super) fn format(format: &AnswerFormat) -> Value {
    let mut flat = chat_format(format);
    if let Some(Value::Object(described)) =
        flat.as_object_mut().and_then(|o| o.remove("json_schema"))
        && let Some(flat) = flat.as_object_mut()
    {
        flat.extend(described);
    }
    flat
}

/// The service tier for priority and normal requests.
pub(super) fn tier(fast: bool) -> &'static str {
    if fast { "priority" } else { "default" }
}

/// Whether the reported tier is a priority tier.
pub(super) fn sooner(tier: Option<&Value>) -> Option<bool> {
    match tier?.as_str()? {
        "priority" => Some(true),
        "default" | "flex" | "standard" => Some(false),
        _ => None,
    }
}

/// The models at a server, best known first.
///
/// # Errors
/// If the call fails or returns no list.
pub(super) async fn list(connection: &Connection) -> Result<Vec<ModelInfo>, ProviderError> {
    read(&document(connection).await?, &connection.base)
}

/// The unparsed model list of a server.
///
/// # Errors
/// If the call fails.
pub(super) async fn document(connection: &Connection) -> Result<Value, ProviderError> {
    let path = match connection.base.server {
        // The server lists the models that the client version may use.
        Server::ChatGpt => concat!("models?client_version=", env!("CARGO_PKG_VERSION")),
        _ => "models",
    };
    connection.get(head(connection, Method::Get, path)).await
}

/// The models that, according to the list, are available only over Responses.
pub(super) fn responses_only(list: &Value) -> Vec<String> {
    let Some(data) = list.get("data").and_then(Value::as_array) else { return Vec::new() };
    let only = |entry: &&Value| {
        let ways = entry.get("supported_endpoints").and_then(Value::as_array);
        ways.is_some_and(|ways| {
            let has = |tail: &str| ways.iter().filter_map(Value::as_str).any(|w| w.ends_with(tail));
            has("/responses") && !has("/chat/completions")
        })
    };
    let ids = data.iter().filter(only).filter_map(|entry| entry.get("id")?.as_str());
    ids.map(str::to_owned).collect()
}

/// Parses a model list, best known models first.
///
/// # Errors
/// If it is not a list.
pub(super) fn read(list: &Value, base: &Base) -> Result<Vec<ModelInfo>, ProviderError> {
    // Some servers send a bare list, or use another field name.
    let data = list
        .as_array()
        .or_else(|| ["data", "models"].iter().find_map(|key| list.get(key)?.as_array()));
    let Some(data) = data else {
        return Err(ProviderError::garbage(
            "the server sent no list of models; check the base URL",
        ));
    };
    let mut models: Vec<ModelInfo> = data.iter().filter_map(|entry| info(entry, base)).collect();
    if matches!(base.server, Server::OpenAi | Server::Google | Server::Mistral) {
        models.retain(|m| !NO_CHAT.iter().any(|word| m.id.contains(word)));
    }
    models.sort_by_cached_key(|m| (catalog::rank(&m.id), m.id.clone()));
    Ok(models)
}

fn info(entry: &Value, base: &Base) -> Option<ModelInfo> {
    let id = ["id", "slug", "name"].iter().find_map(|key| entry.get(*key))?.as_str()?;
    // Embedding models have no chat.
    let says = |key: &str| entry.get("capabilities")?.get(key);
    if says("type").is_some_and(|kind| kind != "chat") {
        return None;
    }
    let id = id.strip_prefix("models/").unwrap_or(id);
    let number =
        |value: Option<&Value>| value.and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let windows = ["context_length", "max_model_len", "context_window", "max_context_length"];
    let top = entry.get("top_provider");
    let limit = |key: &str| number(says("limits").and_then(|limits| limits.get(key)));
    let known = known(&catalog::describe(id).at(base));
    Some(ModelInfo {
        id: id.to_owned(),
        name: entry.get("name").and_then(Value::as_str).unwrap_or(&known.name).to_owned(),
        window: windows
            .iter()
            .find_map(|key| number(entry.get(key)))
            .or_else(|| limit("max_context_window_tokens"))
            .or(known.window),
        max_output: number(top.and_then(|t| t.get("max_completion_tokens")))
            .or_else(|| limit("max_output_tokens"))
            .or(known.max_output),
        price: entry.get("pricing").and_then(price).or(known.price),
        can: abilities(entry, known.can),
    })
}

/// Abilities reported by routers and some servers; else those from the catalogue.
fn abilities(entry: &Value, known: Abilities) -> Abilities {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned();
    let has = |words: &[Value], word: &str| words.iter().any(|w| w == word);
    let parameters = list(entry.get("supported_parameters"));
    let inputs = list(entry.get("architecture").and_then(|a| a.get("input_modalities")));
    // Mistral sends flags, Copilot nested flags.
    let flag = |name: &str| entry.get("capabilities")?.get(name)?.as_bool();
    let support = |name: &str| entry.get("capabilities")?.get("supports")?.get(name)?.as_bool();
    Abilities {
        tools: parameters
            .as_ref()
            .map(|p| has(p, "tools"))
            .or_else(|| flag("function_calling"))
            .or_else(|| support("tool_calls"))
            .or(known.tools),
        vision: inputs
            .map(|i| has(&i, "image"))
            .or_else(|| flag("vision"))
            .or_else(|| support("vision"))
            .or(known.vision),
        thinking: parameters.map(|p| has(&p, "reasoning")).or(known.thinking),
    }
}

/// A router's prices: dollars per token, as text.
fn price(pricing: &Value) -> Option<Price> {
    let micros = |key: &str| {
        let dollars: f64 = pricing.get(key)?.as_str()?.parse().ok()?;
        // A negative price means "it depends".
        let micros = (dollars * 1e12).round();
        (0.0..1e12).contains(&micros).then_some(micros as u64)
    };
    let (input, output) = (micros("prompt")?, micros("completion")?);
    Some(Price {
        input,
        output,
        cache_read: micros("input_cache_read").unwrap_or(input),
        cache_write: micros("input_cache_write").unwrap_or(input),
    })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::base::{self, Wire, normalise};

    #[test]
    fn a_routers_prices_are_read_as_micro_dollars_for_a_million() {
        let read = price(
            &json!({"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"}),
        );
        let want = Price {
            input: 3_000_000,
            cache_read: 300_000,
            cache_write: 3_000_000,
            output: 15_000_000,
        };
        assert_eq!(read, Some(want));
        assert_eq!(price(&json!({"prompt": "0", "completion": "0"})), Some(Price::default()));
        assert_eq!(price(&json!({"prompt": "-1", "completion": "-1"})), None);
        assert_eq!(price(&json!({})), None);
    }

    #[test]
    fn a_subscriptions_list_tells_limits_and_ways() {
        let base = base::exact("https://api.example.com", Server::Copilot).expect("an address");
        let list = json!({"data": [
            {"id": "talks", "name": "Talks", "supported_endpoints": ["/chat/completions", "/responses"],
             "capabilities": {"type": "chat", "supports": {"tool_calls": true, "vision": false},
                "limits": {"max_context_window_tokens": 128_000, "max_output_tokens": 16_384}}},
            {"id": "codes", "supported_endpoints": ["/responses"]},
            {"id": "vectors", "capabilities": {"type": "embeddings"}},
        ]});
        let models = read(&list, &base).expect("a list");
        let mut ids: Vec<&str> = models.iter().map(|m| m.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["codes", "talks"]);
        let talks = models.iter().find(|m| m.id == "talks").expect("it is there");
        assert_eq!((talks.window, talks.max_output), (Some(128_000), Some(16_384)));
        assert_eq!((talks.can.tools, talks.can.vision), (Some(true), Some(false)));
        assert_eq!(responses_only(&list), ["codes"]);
        let slugs = read(&json!({"models": [{"slug": "gpt-x"}]}), &base).expect("a list");
        assert_eq!(slugs[0].id, "gpt-x");
    }

    #[test]
    fn a_routers_list_tells_windows_and_abilities() {
        let base = normalise(Wire::OpenAiChat, "openrouter.ai").expect("an address");
        let list = json!({"data": [
            {"id": "some/plain-7b", "name": "Plain", "context_length": 4_096,
             "architecture": {"input_modalities": ["text"]}, "supported_parameters": ["stop"],
             "top_provider": {"max_completion_tokens": 1_024}},
            {"id": "some/eyes", "architecture": {"input_modalities": ["text", "image"]},
             "supported_parameters": ["tools", "reasoning"]},
            {"id": "silent"},
        ]});
        let models = read(&list, &base).expect("a list");
        let of = |id: &str| models.iter().find(|m| m.id == id).expect("it is there");
        let plain = of("some/plain-7b");
        assert_eq!((plain.window, plain.max_output), (Some(4_096), Some(1_024)));
        let can = |tools, vision, thinking| Abilities { tools, vision, thinking };
        assert_eq!(plain.can, can(Some(false), Some(false), Some(false)));
        assert_eq!(of("some/eyes").can, can(Some(true), Some(true), Some(true)));
        assert_eq!(of("silent").can, Abilities::default());
        assert!(read(&json!({"hello": 1}), &base).is_err());
    }
}
