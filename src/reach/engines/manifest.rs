//! Engines that a manifest describes: a request with placeholders, and JSON pointers into the answer.
//!
//! ```json
//! {
//!   "url": "https://search.example/api?q={{query}}&n={{count}}",
//!   "headers": { "X-Key": "{{secret:KEY}}" },
//!   "at": { "results": "/items", "title": "/name", "url": "/link", "snippet": "/text", "published": "/date" }
//! }
//! ```
//!
//! With `"method": "POST"`, `body` is any JSON with placeholders in its texts. Placeholders are `query`, `count`,
//! `country`, `language`, `freshness`, `date_from`, `date_to` and `secret:KEY`, the engine's key, which is allowed in
//! headers and in the body only.

use std::collections::BTreeMap;

use net::client::HttpClient;
use net::message::{Method, Policy, Request};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::reading::{self, Places};
use super::{Engine, Fault, FaultKind, Found, Query, http};

/// The placeholder of the engine's key.
const KEY: &str = "secret:KEY";
const NAMES: [&str; 7] =
    ["query", "count", "country", "language", "freshness", "date_from", "date_to"];
/// Longest manifest, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;

/// A described engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub url: String,
    #[serde(default)]
    pub method: Verb,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Value,
    pub at: At,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    #[default]
    Get,
    Post,
}

/// JSON pointers (RFC 6901): `results` into the answer, the others into a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct At {
    pub results: String,
    pub title: String,
    pub url: String,
    #[serde(default)]
    pub snippet: String,
    #[serde(default)]
    pub published: String,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// What is wrong, for the person who wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if MAX_BYTES < text.len() {
            return Err("use at most 16 KB".to_owned());
        }
        let read: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let url = Url::parse(&read.url).map_err(|error| format!("url: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("url: use an http or https address".to_owned());
        }
        if url.host_str().is_some_and(|host| host.contains("%7B") || host.contains('{')) {
            return Err("url: write the host without placeholders".to_owned());
        }
        if names_in(&read.url).any(|name| name == KEY) {
            return Err("url: put the key in a header or in the body".to_owned());
        }
        for text in read.texts() {
            for name in names_in(&text) {
                if !NAMES.contains(&name) && name != KEY {
                    let names = NAMES.join(", ");
                    return Err(format!("{{{{{name}}}}} is unknown: use {names} or {KEY}"));
                }
            }
        }
        let At { results, title, url, snippet, published } = &read.at;
        for pointer in [results, title, url, snippet, published] {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                return Err(format!("at: {pointer} isn't a JSON pointer such as /items"));
            }
        }
        Ok(read)
    }

    fn texts(&self) -> Vec<String> {
        let mut all: Vec<String> = self.headers.values().cloned().collect();
        all.push(self.url.clone());
        all.push(self.body.to_string());
        all
    }

    /// Whether requests contain the engine's key.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.texts().iter().any(|text| names_in(text).any(|name| name == KEY))
    }
}

fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split("{{").skip(1);
    parts.filter_map(|part| part.split_once("}}").map(|(name, _)| name.trim()))
}

/// The value of a placeholder; `None` if it is unknown.
fn value(name: &str, engine: &Engine, query: &Query) -> Option<String> {
    Some(match name {
        "query" => query.with_sites(),
        "count" => query.count.to_string(),
        "country" => query.country.clone(),
        "language" => query.language.clone(),
        "freshness" => query.freshness.map(|fresh| fresh.word().to_owned()).unwrap_or_default(),
        "date_from" => query.from.map(|date| date.to_string()).unwrap_or_default(),
        "date_to" => query.to.map(|date| date.to_string()).unwrap_or_default(),
        KEY => engine.key.clone(),
        _ => return None,
    })
}

fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = text.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let filled =
            part.split_once("}}").and_then(|(name, rest)| Some((value(name.trim())?, rest)));
        match filled {
            Some((value, rest)) => {
                out.push_str(&value);
                out.push_str(rest);
            }
            None => {
                out.push_str("{{");
                out.push_str(part);
            }
        }
    }
    out
}

/// The body with values. A member that is a placeholder without a value is left out; a count is a number.
fn filled(body: &Value, engine: &Engine, query: &Query) -> Option<Value> {
    Some(match body {
        Value::String(text) if text.trim() == "{{count}}" => query.count.into(),
        Value::String(text) => {
            let written = fill(text, |name| value(name, engine, query));
            if written.is_empty() && !text.is_empty() {
                return None;
            }
            written.into()
        }
        Value::Array(list) => list.iter().filter_map(|one| filled(one, engine, query)).collect(),
        Value::Object(map) => {
            let members = map
                .iter()
                .filter_map(|(key, one)| Some((key.clone(), filled(one, engine, query)?)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    })
}

pub(super) async fn search(
    client: &HttpClient,
    engine: &Engine,
    manifest: &Manifest,
    query: &Query,
) -> Result<Found, Fault> {
    if engine.key.is_empty() && manifest.needs_key() {
        let message = format!("{} has no key; enter it in Settings → Web search", engine.name);
        return Err(Fault::new(FaultKind::Refused, message));
    }
    let encoded = |name: &str| {
        let value = value(name, engine, query)?;
        Some(url::form_urlencoded::byte_serialize(value.as_bytes()).collect())
    };
    let url = fill(&manifest.url, encoded);
    let mut request = match manifest.method {
        Verb::Get => Request::new(Policy::Trusted, Method::Get, url),
        Verb::Post => {
            http::post(url, &filled(&manifest.body, engine, query).unwrap_or(Value::Null))
        }
    };
    for (name, template) in &manifest.headers {
        let written = fill(template, |name| value(name, engine, query));
        request = request.header(&name.to_ascii_lowercase(), written);
    }
    let answer = http::json(client, engine, request).await?;
    let At { results, title, url, snippet, published } = &manifest.at;
    let snippets = [snippet.as_str()];
    let snippets = if snippet.is_empty() { &[][..] } else { &snippets[..] };
    // An empty pointer would be the result itself, which is no text.
    let places = Places { title, url, snippets, published, site: "" };
    let hits = reading::hits(engine, &answer, results, &places)?;
    let known = manifest.texts();
    let uses = |name: &str| known.iter().any(|text| names_in(text).any(|one| one == name));
    let mut ignored = Vec::new();
    ignored.extend((!query.country.is_empty() && !uses("country")).then_some("country"));
    ignored.extend((!query.language.is_empty() && !uses("language")).then_some("language"));
    ignored.extend((query.freshness.is_some() && !uses("freshness")).then_some("freshness"));
    let has_dates = query.from.is_some() || query.to.is_some();
    ignored.extend((has_dates && !uses("date_from") && !uses("date_to")).then_some("dates"));
    Ok(reading::results(hits, query.count, ignored))
}
