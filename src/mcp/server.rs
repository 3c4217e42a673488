//! A stateless MCP server over one HTTP exchange. It speaks 2026-07-28, where each request declares its version, and
//! the versions with `initialize` back to 2024-11-05, without sessions in either era.
//!
//! The transport authenticates the caller, checks `Origin` and limits the size. A [`Host`] knows the tools of that
//! caller. Nothing is kept between two requests.

mod era;
mod headers;
mod message;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use crate::wire::{
    CallResult, Era, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Id, Implementation,
    LEGACY_VERSIONS, LIMITED, META_SERVER, METHOD_NOT_FOUND, MISSING_CAPABILITY, PARSE_ERROR,
    RpcError, Tool,
};

pub use headers::{Headers, request_headers};
use message::Incoming;

/// Tools of a page of `tools/list`. Many clients read the first page only.
const PAGE: usize = 250;
/// Messages of a batch of version 2025-03-26.
const MAX_BATCH: usize = 50;
/// How long a client may keep the list of tools, in milliseconds. It depends on the rights of the caller.
const LIST_TTL_MS: u64 = 5 * 60 * 1000;

/// The tools of one caller.
pub trait Host: Send + Sync {
    fn about(&self) -> About;

    /// The tools that the caller may call. The order has no meaning: lists are sorted by name.
    fn tools(&self) -> Vec<&Tool>;

    fn call(&self, call: Call) -> BoxFuture<'_, Result<CallResult, HostError>>;

    /// Counts a message after the first of a batch. The transport counts HTTP requests only.
    ///
    /// # Errors
    /// The reason, if the caller has sent too many.
    fn count(&self) -> Result<(), String>;
}

/// How the server introduces itself.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub server: Implementation,
    /// For models: how to use the tools together.
    pub instructions: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    pub name: String,
    pub arguments: Map<String, Value>,
    /// `_meta` of the request.
    pub meta: Map<String, Value>,
}

/// Why a call has no result. Failures that a model can correct are results with `is_error` instead.
#[derive(Clone, Debug, PartialEq)]
pub enum HostError {
    /// There is no such tool, or the caller may not use it.
    UnknownTool,
    /// The client did not declare these capabilities.
    MissingCapability(Value),
    Internal(String),
}

/// The answer to one HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// JSON; `None` for a notification.
    pub body: Option<Value>,
}

/// Handles the body of one POST.
pub async fn handle(body: &[u8], headers: &Headers, host: &dyn Host) -> Response {
    match serde_json::from_slice::<Value>(body) {
        Err(error) => {
            let error = RpcError::new(PARSE_ERROR, format!("the body is not JSON: {error}"));
            refuse(400, None, &error)
        }
        Ok(Value::Array(all)) => batch(all, headers, host).await,
        Ok(value) => single(value, headers, host).await,
    }
}

/// Batches exist in versions before 2025-06-18 only.
async fn batch(all: Vec<Value>, headers: &Headers, host: &dyn Host) -> Response {
    if !headers.may_batch() || all.is_empty() || all.len() > MAX_BATCH {
        let error = RpcError::new(INVALID_REQUEST, "send one message per request");
        return refuse(400, None, &error);
    }
    let mut answers = Vec::new();
    for (at, value) in all.into_iter().enumerate() {
        let counted = if at == 0 { Ok(()) } else { host.count() };
        let answer = match counted {
            Ok(()) => single(value, headers, host).await,
            Err(reason) => limited(value, reason),
        };
        answers.extend(answer.body);
    }
    match answers.is_empty() {
        true => Response { status: 202, body: None },
        false => Response { status: 200, body: Some(Value::Array(answers)) },
    }
}

/// The answer to a message of a batch that comes too soon. Notifications have none.
fn limited(value: Value, reason: String) -> Response {
    match Incoming::parse(value) {
        Ok(Incoming { id: None, .. }) => Response { status: 202, body: None },
        Ok(Incoming { id, .. }) => refuse(200, id.as_ref(), &RpcError::new(LIMITED, reason)),
        Err((id, error)) => refuse(400, id.as_ref(), &error),
    }
}

async fn single(value: Value, headers: &Headers, host: &dyn Host) -> Response {
    let incoming = match Incoming::parse(value) {
        Ok(incoming) => incoming,
        Err((id, error)) => return refuse(400, id.as_ref(), &error),
    };
    let Some(id) = incoming.id.clone() else {
        return Response { status: 202, body: None };
    };
    let era = match era::of(&incoming, headers) {
        Ok(era) => era,
        Err(error) => return refuse(400, Some(&id), &error),
    };
    match (respond(era, incoming, host).await, era) {
        (Ok(result), _) => {
            let body = json!({ "jsonrpc": "2.0", "id": id, "result": result });
            Response { status: 200, body: Some(body) }
        }
        (Err(error), era) => refuse(status(&error, era), Some(&id), &error),
    }
}

/// HTTP status of an error of a well-formed request. Older clients expect errors of the protocol with 200.
fn status(error: &RpcError, era: Era) -> u16 {
    match (error.code, era) {
        (METHOD_NOT_FOUND, Era::Modern) => 404,
        (MISSING_CAPABILITY, _) => 400,
        _ => 200,
    }
}

fn refuse(status: u16, id: Option<&Id>, error: &RpcError) -> Response {
    let mut body = json!({ "jsonrpc": "2.0", "error": error });
    if let Some(id) = id {
        body["id"] = json!(id);
    }
    Response { status, body: Some(body) }
}

async fn respond(era: Era, incoming: Incoming, host: &dyn Host) -> Result<Value, RpcError> {
    let about = host.about();
    let result = match (era, incoming.method.as_str()) {
        (Era::Modern, "server/discover") => cacheable(discover(&about)),
        (Era::Legacy, "initialize") => initialize(&about, &incoming.params),
        (Era::Legacy, "ping") => json!({}),
        (Era::Modern, "tools/list") => cacheable(list(host, &incoming.params)?),
        (Era::Legacy, "tools/list") => list(host, &incoming.params)?,
        (_, "tools/call") => call(era, host, incoming.params).await?,
        (_, method) => {
            let text = format!("this server has no method {method}");
            return Err(RpcError::new(METHOD_NOT_FOUND, text));
        }
    };
    Ok(match era {
        Era::Modern => complete(result, &about.server),
        Era::Legacy => result,
    })
}

fn complete(mut result: Value, server: &Implementation) -> Value {
    result["resultType"] = json!("complete");
    result["_meta"] = json!({ META_SERVER: server });
    result
}

/// Hints for caches. The scope is private, because the tools depend on the caller's rights.
fn cacheable(mut result: Value) -> Value {
    result["ttlMs"] = json!(LIST_TTL_MS);
    result["cacheScope"] = json!("private");
    result
}

fn discover(about: &About) -> Value {
    json!({
        "supportedVersions": era::supported(),
        "capabilities": { "tools": {} },
        "instructions": about.instructions,
    })
}

/// Answers with the requested version if it is one with `initialize`, otherwise with the newest of them.
fn initialize(about: &About, params: &Map<String, Value>) -> Value {
    let requested = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
    let version = LEGACY_VERSIONS.into_iter().find(|version| *version == requested);
    json!({
        "protocolVersion": version.unwrap_or(LEGACY_VERSIONS[0]),
        "capabilities": { "tools": {} },
        "serverInfo": about.server,
        "instructions": about.instructions,
    })
}

/// A page of the tools by name. The cursor is the last name of the page before, so it survives changes of the list.
fn list(host: &dyn Host, params: &Map<String, Value>) -> Result<Value, RpcError> {
    let after = match params.get("cursor") {
        None | Some(Value::Null) => None,
        Some(cursor) => {
            let name = cursor.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            let name = name.and_then(|bytes| String::from_utf8(bytes).ok());
            Some(name.ok_or_else(|| RpcError::new(INVALID_PARAMS, "the cursor is not valid"))?)
        }
    };
    let mut tools = host.tools();
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    let rest: Vec<&Tool> = match &after {
        Some(after) => tools.into_iter().filter(|tool| tool.name > *after).collect(),
        None => tools,
    };
    let page = &rest[..rest.len().min(PAGE)];
    let mut result = json!({ "tools": page });
    if let Some(last) = page.last().filter(|_| page.len() < rest.len()) {
        result["nextCursor"] = json!(URL_SAFE_NO_PAD.encode(&last.name));
    }
    Ok(result)
}

async fn call(
    era: Era,
    host: &dyn Host,
    mut params: Map<String, Value>,
) -> Result<Value, RpcError> {
    let Some(Value::String(name)) = params.remove("name") else {
        return Err(RpcError::new(INVALID_PARAMS, "params.name is missing"));
    };
    let arguments = match params.remove("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(RpcError::new(INVALID_PARAMS, "params.arguments is not an object")),
    };
    let meta = match params.remove("_meta") {
        Some(Value::Object(meta)) => meta,
        _ => Map::new(),
    };
    let made = host.call(Call { name: name.clone(), arguments, meta }).await;
    let mut result = made.map_err(|error| match error {
        HostError::UnknownTool => RpcError::new(INVALID_PARAMS, format!("Unknown tool: {name}")),
        HostError::MissingCapability(required) => {
            RpcError::new(MISSING_CAPABILITY, "the client lacks a capability that this call needs")
                .with_data(json!({ "requiredCapabilities": required }))
        }
        HostError::Internal(message) => RpcError::new(INTERNAL_ERROR, message),
    })?;
    if era == Era::Legacy {
        // Before 2026-07-28, structured content is an object.
        result.structured_content = result.structured_content.filter(Value::is_object);
    }
    serde_json::to_value(&result).map_err(|error| {
        RpcError::new(INTERNAL_ERROR, format!("the result cannot be sent: {error}"))
    })
}
