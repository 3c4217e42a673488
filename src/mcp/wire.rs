//! JSON-RPC messages and the protocol's types.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The protocol version of the modern era.
pub const MODERN_VERSION: &str = "2026-07-28";
/// Protocol versions of the legacy era, newest first.
pub const LEGACY_VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

pub const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;
pub const INTERNAL_ERROR: i64 = -32603;
/// Too many calls. The protocol has no code for it; this one is free for servers.
pub const LIMITED: i64 = -32000;
/// Headers and body of an HTTP request contradict each other, or a required header is missing.
pub const HEADER_MISMATCH: i64 = -32020;
/// The client did not declare a capability that the request needs.
pub const MISSING_CAPABILITY: i64 = -32021;
/// The server does not speak the requested version. `data.supported` lists the versions it speaks.
pub const UNSUPPORTED_VERSION: i64 = -32022;
/// Version 2025-11-25 only: a person has to visit the URLs in `data.elicitations` first.
pub const URL_ELICITATION_REQUIRED: i64 = -32042;

/// Keys of `_meta` in requests and results of the modern era.
pub const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
pub const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";
pub const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Generation of the protocol that a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Era {
    /// 2026-07-28: no handshake and no session.
    Modern,
    /// 2025-11-25 back to 2024-11-05: `initialize` first.
    Legacy,
}

/// Id of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    Number(serde_json::Number),
    Text(String),
}

impl From<u64> for Id {
    fn from(number: u64) -> Id {
        Id::Number(number.into())
    }
}

impl Id {
    fn from_value(value: Value) -> Option<Id> {
        match value {
            Value::Number(number) => Some(Id::Number(number)),
            Value::String(text) => Some(Id::Text(text)),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The id as a number. Some servers return the number of a request as text.
    pub fn number(&self) -> Option<u64> {
        match self {
            Id::Number(number) => number.as_u64(),
            Id::Text(text) => text.parse().ok(), // ok: ids of other forms were never sent
        }
    }
}

/// Error of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    pub code: i64,
    #[serde(default)]
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    pub fn new(code: i64, message: impl Into<String>) -> RpcError {
        RpcError { code, message: message.into(), data: None }
    }

    #[must_use]
    pub fn with_data(self, data: Value) -> RpcError {
        RpcError { data: Some(data), ..self }
    }

    /// Returns `true` for an error that only servers of the modern era send.
    pub fn is_modern(&self) -> bool {
        matches!(self.code, HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION)
    }

    /// Versions that the server says it speaks.
    pub fn supported(&self) -> Vec<String> {
        let listed = self.data.as_ref().and_then(|data| data.get("supported")?.as_array());
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        listed.map(str::to_owned).collect()
    }
}

/// One JSON-RPC message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Request { id: Id, method: String, params: Map<String, Value> },
    Notification { method: String, params: Map<String, Value> },
    Response { id: Option<Id>, outcome: Result<Value, RpcError> },
}

impl Message {
    /// The messages of a line or body; several if it is a batch of version 2025-03-26. Values that are no messages are
    /// left out. Returns `None` if this is not JSON.
    pub fn parse_all(bytes: &[u8]) -> Option<Vec<Message>> {
        // ok: whatever is not JSON is no message
        match serde_json::from_slice(bytes).ok()? {
            Value::Array(all) => Some(all.into_iter().filter_map(Message::from_value).collect()),
            value => Some(Message::from_value(value).into_iter().collect()),
        }
    }

    /// Returns `None` for JSON that is no message.
    pub fn from_value(value: Value) -> Option<Message> {
        let Value::Object(mut fields) = value else { return None };
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return None;
        }
        let id = fields.remove("id").and_then(Id::from_value);
        if let Some(Value::String(method)) = fields.remove("method") {
            let params = match fields.remove("params") {
                Some(Value::Object(params)) => params,
                Some(_) | None => Map::new(),
            };
            return Some(match id {
                Some(id) => Message::Request { id, method, params },
                None => Message::Notification { method, params },
            });
        }
        if let Some(error) = fields.remove("error") {
            let error = serde_json::from_value(error).unwrap_or_else(|_| {
                RpcError::new(INTERNAL_ERROR, "the server sent an error without a code")
            });
            return Some(Message::Response { id, outcome: Err(error) });
        }
        let result = fields.remove("result")?;
        Some(Message::Response { id, outcome: Ok(result) })
    }

    pub fn to_value(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("jsonrpc".to_owned(), "2.0".into());
        let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        let id_value = |id: &Id| match id {
            Id::Number(number) => Value::Number(number.clone()),
            Id::Text(text) => Value::String(text.clone()),
        };
        match self {
            Message::Request { id, method, params } => {
                set("id", id_value(id));
                set("method", method.as_str().into());
                set("params", Value::Object(params.clone()));
            }
            Message::Notification { method, params } => {
                set("method", method.as_str().into());
                set("params", Value::Object(params.clone()));
            }
            Message::Response { id, outcome } => {
                set("id", id.as_ref().map_or(Value::Null, id_value));
                match outcome {
                    Ok(result) => set("result", result.clone()),
                    Err(error) => set("error", error_value(error)),
                };
            }
        }
        Value::Object(fields)
    }
}

fn error_value(error: &RpcError) -> Value {
    let mut fields = Map::new();
    fields.insert("code".to_owned(), error.code.into());
    fields.insert("message".to_owned(), error.message.as_str().into());
    if let Some(data) = &error.data {
        fields.insert("data".to_owned(), data.clone());
    }
    Value::Object(fields)
}

/// Name and version of a client or server, as it states them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Implementation {
    #[serde(default)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default)]
    pub version: String,
}

/// Hints of a server about a tool. They are suggestions of a party that is not trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_hint: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent_hint: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world_hint: Option<bool>,
}

/// Definition of a tool. Serialized as the server sent it, including fields that are unknown here.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub input_schema: Value,
    pub output_schema: Option<Value>,
    pub annotations: Annotations,
    pub definition: Map<String, Value>,
}

impl Tool {
    /// Reads a definition. The error says what is wrong with it.
    pub fn from_value(value: Value) -> Result<Tool, String> {
        let Value::Object(definition) = value else {
            return Err("the definition is not an object".to_owned());
        };
        let text = |key: &str| definition.get(key).and_then(Value::as_str).map(str::to_owned);
        let name = text("name").filter(|name| !name.is_empty()).ok_or("the tool has no name")?;
        let input_schema = definition
            .get("inputSchema")
            .filter(|schema| schema.is_object())
            .cloned()
            .ok_or("the tool has no input schema")?;
        // ok: annotations of a wrong type are no hints
        let annotations = definition.get("annotations").cloned().unwrap_or_default();
        Ok(Tool {
            name,
            title: text("title"),
            description: text("description"),
            input_schema,
            output_schema: definition.get("outputSchema").filter(|one| one.is_object()).cloned(),
            annotations: serde_json::from_value(annotations).unwrap_or_default(),
            definition,
        })
    }

    /// Canonical JSON of the whole definition, for pinning by its hash.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        write_object(&mut out, &self.definition);
        out
    }
}

impl Serialize for Tool {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.definition.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Tool, D::Error> {
        Tool::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// JSON without insignificant spaces and with keys sorted by their bytes, so equal values have equal texts.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(&mut out, value);
    out
}

fn write_canonical(out: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => write_object(out, fields),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_canonical(out, item);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            write!(out, "{value}").expect("invariant: writing to a string succeeds");
        }
    }
}

fn write_object(out: &mut String, fields: &Map<String, Value>) {
    let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
    sorted.sort_by_key(|(key, _)| key.as_str());
    out.push('{');
    for (at, (key, value)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let key = Value::String(key.clone());
        write!(out, "{key}:").expect("invariant: writing to a string succeeds");
        write_canonical(out, value);
    }
    out.push('}');
}

/// One part of a tool's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    Text {
        text: String,
    },
    Image {
        /// Base64.
        data: String,
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
    Audio {
        /// Base64.
        data: String,
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
    ResourceLink(ResourceLink),
    Resource {
        resource: Resource,
    },
    /// A type that is unknown here.
    #[serde(untagged)]
    Other(Value),
}

impl Content {
    pub fn text(text: impl Into<String>) -> Content {
        Content::Text { text: text.into() }
    }
}

/// Link to a resource that the client may read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceLink {
    pub uri: String,
    #[serde(default)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Contents of a resource: text or bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    pub uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
}

/// Result of a tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallResult {
    #[serde(default)]
    pub content: Vec<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Value>,
    #[serde(default)]
    pub is_error: bool,
}
