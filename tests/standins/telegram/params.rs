//! Parameters of a call: JSON, form, multipart or query.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Query, Request};
use axum::http::{Method, header};
use axum::{Form, RequestExt};
use serde_json::{Map, Value};

const MAX_BODY: usize = 60_000_000;
/// Parameters that forms carry as JSON.
const AS_JSON: [&str; 8] = [
    "allowed_updates",
    "caption_entities",
    "commands",
    "entities",
    "link_preview_options",
    "reply_markup",
    "reply_parameters",
    "update",
];

/// Parameters and the uploaded file.
#[derive(Default)]
pub(super) struct Params {
    pub values: Map<String, Value>,
    /// Name and content.
    pub file: Option<(String, Bytes)>,
}

impl Params {
    pub fn get(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or(&Value::Null)
    }

    pub fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    fn set(&mut self, name: String, text: String) {
        let read = AS_JSON.contains(&name.as_str()).then(|| serde_json::from_str(&text).ok());
        self.values.insert(name, read.flatten().unwrap_or(Value::String(text)));
    }
}

/// A number, which forms carry as text.
pub(super) fn int(params: &Params, name: &str) -> Option<i64> {
    let value = params.get(name);
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

pub(super) async fn read(mut request: Request) -> Result<Params, String> {
    let mut params = Params::default();
    let query: Query<BTreeMap<String, String>> =
        request.extract_parts().await.map_err(|err| format!("{err}"))?;
    for (name, text) in query.0 {
        params.set(name, text);
    }
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    if request.method() == Method::GET || kind.is_empty() {
        return Ok(params);
    }
    if kind.starts_with("application/x-www-form-urlencoded") {
        let form = Form::<BTreeMap<String, String>>::from_request(request, &()).await;
        for (name, text) in form.map_err(|err| format!("{err}"))?.0 {
            params.set(name, text);
        }
        return Ok(params);
    }
    // To the end: a connection with an unread rest would be closed.
    let body = to_bytes(request.into_body(), MAX_BODY).await.map_err(|err| format!("{err}"))?;
    if kind.starts_with("multipart/form-data") {
        parts(&mut params, &kind, body.into()).await.map_err(|err| format!("{err}"))?;
    } else if !body.is_empty() {
        let values: Map<String, Value> =
            serde_json::from_slice(&body).map_err(|err| format!("{err}"))?;
        params.values.extend(values);
    }
    Ok(params)
}

async fn parts(params: &mut Params, kind: &str, body: Body) -> Result<(), multer::Error> {
    let boundary = multer::parse_boundary(kind)?;
    let mut form = multer::Multipart::new(body.into_data_stream(), boundary);
    while let Some(field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        if let Some(file) = field.file_name().map(str::to_owned) {
            params.file = Some((file, field.bytes().await?));
        } else {
            let text = field.text().await?;
            params.set(name, text);
        }
    }
    Ok(())
}
