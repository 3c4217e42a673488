//! The OpenAPI document, built from the table that mounts the routes, so that no route can be missing. Built at the
//! first request.

use std::sync::{Arc, OnceLock};

use axum::Extension;
use axum::http::Method;
use serde_json::{Map, Value, json};

use kernel::Can;
use web::extract::Json;
use web::routes::{Doc, Mounted, Needs, Routes};
use web::upload::BYTES;

/// Media type of an event stream.
const STREAM: &str = "text/event-stream";

/// The document, built on demand from the routes.
pub struct Document {
    routes: Arc<Vec<Mounted>>,
    made: OnceLock<Value>,
}

impl Document {
    /// Creates the document of these routes. Builds nothing yet.
    #[must_use]
    pub fn new(routes: Arc<Vec<Mounted>>) -> Arc<Self> {
        Arc::new(Self { routes, made: OnceLock::new() })
    }
}

#[must_use]
pub fn routes() -> Routes {
    Routes::new().get(
        "/openapi.json",
        show.needs(Can::Read).doc(|| Doc::new("This document").returns::<Value>()),
    )
}

async fn show(Extension(document): Extension<Arc<Document>>) -> Json<Value> {
    Json(document.made.get_or_init(|| make(&document.routes)).clone())
}

/// Paths of all GET routes outside the API. Browser tests use them to prove that they visit every page. Served in debug
/// builds only.
#[cfg(debug_assertions)]
pub async fn list_pages(Extension(document): Extension<Arc<Document>>) -> Json<Value> {
    let gets = document.routes.iter().filter(|route| route.method == Method::GET);
    let paths = gets.map(|route| route.path.as_str());
    Json(paths.filter(|path| !web::routes::is_api(path)).collect())
}

fn make(routes: &[Mounted]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let Some(doc) = &route.doc else { continue };
        let item = paths.entry(template(&route.path)).or_insert_with(|| json!({}));
        item[route.method.as_str().to_lowercase()] = operation(route, &doc());
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "HQ",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The token determines the workspace. Writes that list an \
             Idempotency-Key store it: a repeat within 24 hours changes nothing more, and a \
             repeated question below /v1 returns the first answer. Provider calls are not \
             stored. POST /api/v1/tokens refuses the key, because its response contains a \
             secret. Records have an ETag; send it as If-Match to change only what you have \
             read. Unknown fields are refused, except below /v1. Sign-ins, your profile and your \
             password are managed on the pages.",
        },
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Problem": problem(), "OpenAiError": openai_error() },
        },
        "security": [{ "token": [] }],
        "paths": paths,
    })
}

/// Converts the catch-all parameter in `/v1/models/{*id}` to the template `/v1/models/{id}`.
fn template(path: &str) -> String {
    path.replace("{*", "{")
}

fn operation(route: &Mounted, doc: &Doc) -> Value {
    let path = template(&route.path);
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect();
    if let Some(query) = &doc.query {
        parameters.extend(query_parameters(query));
    }
    let writes = route.method != Method::GET;
    if writes && doc.no_key.is_none() {
        let about = "1 to 200 plain characters: a repeat within 24 hours changes nothing more";
        parameters.push(header("Idempotency-Key", about));
    }
    if doc.if_match {
        let about = "the record's ETag when it was read; 412 when it has changed since";
        parameters.push(header("If-Match", about));
    }
    if doc.media.contains(&STREAM) && !writes {
        let about = "the id of the last message received before a stream was cut off";
        parameters.push(header("Last-Event-ID", about));
    }
    let mut about = format!("Needs the permission \"{}\".", route.can.label());
    if route.proved {
        about.push_str(
            " A sign-in needs a confirmation within the last ten minutes (POST \
                        /api/v1/proof); a token doesn't.",
        );
    }
    if let Some(why) = doc.no_key {
        about.push_str(&format!(" Keeps no Idempotency-Key: {why}."));
    }
    let mut operation = json!({
        "summary": doc.about,
        "operationId": operation_id(&path, &route.method),
        "description": about,
        "parameters": parameters,
        "responses": answers(route, doc),
    });
    if let Some(body) = &doc.body {
        let mut content = json!({ "application/json": { "schema": body } });
        if doc.takes_file {
            content[BYTES] = json!({ "schema": { "type": "string", "format": "binary" } });
        }
        let required = body["required"].as_array().is_some_and(|names| !names.is_empty());
        operation["requestBody"] = json!({ "required": required, "content": content });
    }
    operation
}

fn header(name: &str, about: &str) -> Value {
    json!({
        "name": name, "in": "header", "required": false,
        "description": about, "schema": { "type": "string" },
    })
}

/// Responses: the success, errors that clients should handle, and a default for all others.
fn answers(route: &Mounted, doc: &Doc) -> Value {
    let (media, schema) = match route.path.starts_with("/v1/") {
        true => ("application/json", "#/components/schemas/OpenAiError"),
        false => ("application/problem+json", "#/components/schemas/Problem"),
    };
    let refusal = |about: &str| {
        let content = json!({ media: { "schema": { "$ref": schema } } });
        json!({ "description": about, "content": content })
    };
    let mut all = json!({
        doc.status.to_string(): answer(doc),
        "401": refusal("Missing or invalid token"),
        "403": refusal("The token lacks the permission"),
        "429": refusal("Too many requests: Retry-After says when to retry"),
        "default": refusal("What went wrong and how to fix it"),
    });
    if route.path.contains('{') {
        all["404"] = refusal("Not found");
    }
    if route.method != Method::GET {
        all["409"] = refusal(
            "Conflicts with the current state, or the key was used with a different request",
        );
    }
    if doc.if_match {
        all["412"] = refusal("The record has changed since it was read");
    }
    all
}

fn answer(doc: &Doc) -> Value {
    let mut content = Map::new();
    if let Some(schema) = &doc.returns {
        content.insert("application/json".to_owned(), json!({ "schema": schema }));
    }
    for media in &doc.media {
        let schema = match *media {
            "application/json" => json!({ "type": "object" }),
            BYTES => json!({ "type": "string", "format": "binary" }),
            _ => json!({ "type": "string" }),
        };
        content.insert((*media).to_owned(), json!({ "schema": schema }));
    }
    match content.is_empty() {
        true => json!({ "description": "Done" }),
        false => json!({ "description": "Done", "content": content }),
    }
}

/// Converts the properties of a query schema to parameters.
fn query_parameters(schema: &Value) -> Vec<Value> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let parameter = |(name, property): (&String, &Value)| {
        let mut property = property.clone();
        let about = property.as_object_mut().and_then(|map| map.remove("description"));
        let is_required = required.contains(&name.as_str());
        let mut parameter =
            json!({ "name": name, "in": "query", "required": is_required, "schema": property });
        if let Some(about) = about {
            parameter["description"] = about;
        }
        parameter
    };
    properties.iter().map(parameter).collect()
}

/// `GET /api/v1/tasks/{id}/comments` becomes `get_tasks_id_comments`.
fn operation_id(path: &str, method: &Method) -> String {
    let path = path.trim_start_matches("/api/v1").trim_start_matches('/');
    let plain: String = path.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    let words = plain.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("{}_{words}", method.as_str().to_lowercase())
}

/// Error body below `/v1`.
fn openai_error() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": text, "type": text, "code": text,
                    "param": { "type": "string", "nullable": true },
                },
                "required": ["message", "type", "code"],
            },
        },
        "required": ["error"],
    })
}

/// Error body of all other routes (RFC 9457).
fn problem() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "type": text, "title": text, "detail": text, "code": text, "instance": text,
            "status": { "type": "integer" },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": { "field": text, "message": text },
                },
            },
        },
        "required": ["type", "title", "status", "detail", "code"],
    })
}
