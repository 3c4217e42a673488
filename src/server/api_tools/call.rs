//! A tool call as a request to the tool's API route inside the process.

use app::Ws;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH};
use axum::http::{Extensions, Method, Request, StatusCode};
use axum::response::Response;
use interfaces_account::users::session::{Caller, Rights};
use kernel::{FieldError, ProblemKind};
use knowledge::model::ItemKind;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;
use web::appearance::Viewer;
use web::error::{ApiError, Failure};
use web::session::{Access, Alive, Frozen, Peer, Person, Proof, RequestId};

use super::{ApiTool, ApiTools, Given, Sender, schema};

/// Maximum size of a response in bytes. Lists of the API are paged and far smaller.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a route answered.
pub(super) struct Outcome {
    pub(super) status: StatusCode,
    /// The JSON of the answer, its text as a string, or null without a body.
    pub(super) value: Value,
    /// For a later change: `if_match`.
    pub(super) etag: Option<String>,
}

impl Outcome {
    pub(super) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// The reason of a failure, with the fields that it concerns.
    pub(super) fn reason(&self) -> String {
        let detail = self.value["detail"].as_str().or(self.value.as_str()).unwrap_or_default();
        let mut reason = match detail.is_empty() {
            true => "The requested item was not found".to_owned(),
            false => detail.to_owned(),
        };
        for error in self.value["errors"].as_array().into_iter().flatten() {
            let (field, message) = (error["field"].as_str(), error["message"].as_str());
            let (Some(field), Some(message)) = (field, message) else { continue };
            if !reason.contains(message) {
                reason.push_str(&format!("\n{field}: {message}"));
            } else if !reason.contains(field) {
                reason.push_str(&format!(" ({field})"));
            }
        }
        reason
    }

    /// The stable code of a failure.
    pub(super) fn code(&self) -> &str {
        self.value["code"].as_str().unwrap_or("not_found")
    }

    fn refused(status: StatusCode, code: &str, detail: String) -> Self {
        let value = json!({ "status": status.as_u16(), "code": code, "detail": detail });
        Self { status, value, etag: None }
    }

    fn invalid(errors: Vec<FieldError>) -> Self {
        let words: Vec<String> =
            errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect();
        let detail = format!("the arguments don't fit the tool: {}", words.join("; "));
        let value = json!({
            "status": 422, "code": "invalid_arguments", "detail": detail, "errors": errors,
        });
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, value, etag: None }
    }
}

impl ApiTools {
    /// Calls a tool with the rights of the sender. The route checks them again.
    pub(super) async fn call(
        &self,
        sender: &Sender<'_>,
        tool: &ApiTool,
        mut given: Given,
    ) -> Result<Outcome, ApiError> {
        let errors = tool.arguments.check(&given.arguments);
        if !errors.is_empty() {
            return Ok(Outcome::invalid(errors));
        }
        if tool.only_pages
            && let Some(refused) = other_than_page(sender.ws, &mut given.arguments)
        {
            return Ok(refused);
        }
        let mut request = request(tool, given)?;
        carry(&sender.parts.extensions, request.extensions_mut());
        let answer = match self.router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        read(answer).await
    }
}

/// Refuses a file, a skill or a synced item. The name of a page is replaced with its id, so that the route changes the
/// item that was checked.
fn other_than_page(ws: &Ws, arguments: &mut Map<String, Value>) -> Option<Outcome> {
    let name = arguments.get("id").and_then(Value::as_str).unwrap_or_default();
    // ok: the route reports the same error.
    let item = ws.read(|snap| knowledge::queries::item(snap, name, None)).ok()?;
    if item.kind != ItemKind::Page {
        let kind = item.kind.label().to_lowercase();
        let detail = format!("this item has the kind “{kind}”; tools change pages only");
        return Some(Outcome::refused(StatusCode::FORBIDDEN, "not_a_page", detail));
    }
    arguments.insert("id".to_owned(), Value::String(item.id.to_string()));
    None
}

/// Who sends the request, and to which workspace: everything that authentication found out, and nothing else. An
/// idempotency key of the outer request is not passed on, because it belongs to another content.
fn carry(from: &Extensions, to: &mut Extensions) {
    fn one<T: Clone + Send + Sync + 'static>(from: &Extensions, to: &mut Extensions) {
        if let Some(value) = from.get::<T>() {
            to.insert(value.clone());
        }
    }
    one::<Ws>(from, to);
    one::<Person>(from, to);
    one::<Access>(from, to);
    one::<Proof>(from, to);
    one::<Frozen>(from, to);
    one::<Alive>(from, to);
    one::<Caller>(from, to);
    one::<Rights>(from, to);
    one::<Viewer>(from, to);
    one::<RequestId>(from, to);
    one::<Peer>(from, to);
}

fn request(tool: &ApiTool, given: Given) -> Result<Request<Body>, ApiError> {
    let Given { mut arguments, key } = given;
    let mut path = tool.path.clone();
    for name in &tool.arguments.path {
        let value = text(arguments.remove(name).unwrap_or_default());
        if value.is_empty() {
            return Err(ApiError::invalid(name, "is empty"));
        }
        path = path.replacen(&format!("{{{name}}}"), &encoded(&value)?, 1);
    }
    let mut headers = HeaderMap::new();
    if let Some(tag) = arguments.remove(schema::IF_MATCH) {
        // Models leave out the quotes of a tag.
        let tag = text(tag);
        let tag = if tag == "*" || tag.starts_with('"') { tag } else { format!("\"{tag}\"") };
        headers.insert(IF_MATCH, header("if_match", &tag)?);
    }
    if let Some(key) = key.filter(|_| tool.method != Method::GET) {
        headers.insert(IDEMPOTENCY_KEY, header("idempotencyKey", &key)?);
    }
    let query: Vec<(String, String)> = tool
        .arguments
        .query
        .iter()
        .filter_map(|name| Some((name.clone(), arguments.remove(name)?)))
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name, text(value)))
        .collect();
    if !query.is_empty() {
        let query = serde_urlencoded::to_string(&query).map_err(internal)?;
        path = format!("{path}?{query}");
    }
    let body = match tool.arguments.body {
        schema::Body::None => None,
        schema::Body::Fields => Some(Value::Object(arguments)),
        schema::Body::Values => arguments.remove(schema::VALUES),
    };
    let body = match body {
        Some(body) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let mut request =
        Request::builder().method(tool.method.clone()).uri(path).body(body).map_err(internal)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// A value in a path, a query or a header. Lists have commas there.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        Value::Array(all) => all.into_iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A segment of a path.
fn encoded(text: &str) -> Result<String, ApiError> {
    let pair = serde_urlencoded::to_string([("", text)]).map_err(internal)?;
    Ok(pair.trim_start_matches('=').replace('+', "%20"))
}

fn header(name: &str, value: &str) -> Result<HeaderValue, ApiError> {
    // ok: the cause only repeats that a character is not allowed.
    HeaderValue::try_from(value)
        .map_err(|_| ApiError::invalid(name, "has characters that it can't have"))
}

fn internal(error: impl std::fmt::Display) -> ApiError {
    ApiError(Failure::internal(error))
}

async fn read(answer: Response) -> Result<Outcome, ApiError> {
    let (parts, body) = answer.into_parts();
    let is_json = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json =
        is_json.is_some_and(|kind| kind.split(';').next().unwrap_or_default().ends_with("json"));
    // ok: a response inside the process fails to be read only by its size.
    let bytes = to_bytes(body, MAX_ANSWER).await.map_err(|_| {
        let text = "the answer is too large for a tool; ask for less, with `limit` or a filter";
        ApiError(Failure::new(ProblemKind::TooLarge, "answer_too_large", text))
    })?;
    let value = match (bytes.is_empty(), is_json) {
        (true, _) => Value::Null,
        (false, true) => serde_json::from_slice(&bytes).map_err(internal)?,
        (false, false) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
    };
    let etag = parts.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    Ok(Outcome { status: parts.status, value, etag })
}

#[cfg(test)]
mod tests {
    use super::{Given, request};
    use crate::api_tools::{ApiTool, annotations, schema::Arguments};
    use axum::http::Method;
    use kernel::Can;
    use serde_json::{Map, Value, json};
    use web::routes::Doc;

    #[test]
    fn only_tools_that_keep_what_exists_are_called_harmless() {
        let destroys =
            |method, only_adds| annotations(&method, only_adds)["destructiveHint"].clone();
        assert_eq!(destroys(Method::GET, false), false);
        assert_eq!(destroys(Method::POST, true), false);
        for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
            assert_eq!(destroys(method, false), true);
        }
    }

    fn tool(method: Method, path: &str, doc: &Doc) -> ApiTool {
        let arguments = Arguments::of(path, doc, &[]);
        let definition = json!({
            "name": "t",
            "inputSchema": arguments.listed(&method),
            "annotations": annotations(&method, false),
        });
        let definition = ::mcp::wire::Tool::from_value(definition).expect("a tool");
        let (path, can) = (path.to_owned(), Can::Read);
        ApiTool { method, path, can, only_pages: false, arguments, definition }
    }

    fn given(arguments: Value) -> Given {
        let arguments: Map<String, Value> = arguments.as_object().expect("an object").clone();
        Given { arguments, key: Some("once".to_owned()) }
    }

    #[test]
    fn arguments_go_where_the_route_expects_them() {
        let query = json!({
            "properties": { "q": { "type": "string" }, "limit": {}, "label": { "type": "array" } },
        });
        let list = tool(Method::GET, "/tasks/{task}/x", &Doc::new("List").query_of(query));
        let asked =
            given(json!({ "task": "a/b c?", "q": "1&2", "limit": null, "label": ["a", "b"] }));
        let request_made = request(&list, asked).expect("a request");
        assert_eq!(request_made.uri(), "/tasks/a%2Fb%20c%3F/x?label=a%2Cb&q=1%262");
        assert!(request_made.headers().get("idempotency-key").is_none());

        let body = json!({
            "type": "object", "properties": { "title": {} }, "additionalProperties": false,
        });
        let change =
            tool(Method::PATCH, "/tasks/{task}", &Doc::new("Change").if_match().body_of(body));
        let asked = given(json!({ "task": "MC-1", "title": "A", "if_match": "7" }));
        let request_made = request(&change, asked).expect("a request");
        assert_eq!(request_made.uri(), "/tasks/MC-1");
        assert_eq!(request_made.headers()["if-match"], "\"7\"");
        assert_eq!(request_made.headers()["idempotency-key"], "once");
        assert!(request(&change, given(json!({ "task": "" }))).is_err());
    }
}
