//! The OpenAPI document, put together from the table that mounts the routes: a route cannot be
//! missing from it. Made when somebody asks for it first.

use std::sync::{Arc, OnceLock};

use axum::Extension;
use serde_json::{Map, Value, json};

use crate::kernel::Can;
use crate::web::extract::Json;
use crate::web::routes::{Doc, Mounted, Needs, Routes};

/// The document and what it is made from.
pub struct Document {
    routes: Arc<Vec<Mounted>>,
    made: OnceLock<Value>,
}

impl Document {
    /// Of these routes.
    #[must_use]
    pub fn new(routes: Arc<Vec<Mounted>>) -> Arc<Self> {
        Arc::new(Self { routes, made: OnceLock::new() })
    }
}

/// Routes below `/api/v1`.
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

fn make(routes: &[Mounted]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let Some(doc) = route.doc else { continue };
        let item = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        item[route.method.as_str().to_lowercase()] = operation(route, &doc());
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "HQ",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The workspace comes from the token. Writes take an Idempotency-Key: a \
                            repeat within 24 hours gives the first answer. Records have an ETag; \
                            send it as If-Match to change only what you have read.",
        },
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Problem": problem() },
        },
        "security": [{ "token": [] }],
        "paths": paths,
    })
}

fn operation(route: &Mounted, doc: &Doc) -> Value {
    let mut parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect();
    if let Some(query) = &doc.query {
        parameters.extend(query_parameters(query));
    }
    let mut operation = json!({
        "summary": doc.about,
        "operationId": operation_id(route),
        "description": format!("Needs the right to \"{}\".", route.can.label()),
        "parameters": parameters,
        "responses": {
            doc.status.to_string(): answer(doc),
            "default": {
                "description": "What went wrong, and what would be right",
                "content": {
                    "application/problem+json": {
                        "schema": { "$ref": "#/components/schemas/Problem" },
                    },
                },
            },
        },
    });
    if let Some(body) = &doc.body {
        let content = json!({ "application/json": { "schema": body } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn answer(doc: &Doc) -> Value {
    match &doc.returns {
        Some(schema) => json!({
            "description": "Done",
            "content": { "application/json": { "schema": schema } },
        }),
        None => json!({ "description": "Done" }),
    }
}

/// The properties of a query's schema, each a parameter.
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

/// `GET /api/v1/tasks/{id}/comments` is `get_tasks_id_comments`.
fn operation_id(route: &Mounted) -> String {
    let path = route.path.trim_start_matches("/api/v1").trim_start_matches('/');
    let plain: String = path.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    let words = plain.replace(['/', '.', '-'], "_");
    format!("{}_{words}", route.method.as_str().to_lowercase())
}

/// The body of every refusal (RFC 9457).
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
