//! Engines behind the Model Context Protocol: one connection and one call per search, without a key.

use std::time::Duration;

use mcp::client::{Client, DeclineAll, Link, McpError, Options, Timeouts};
use mcp::wire::{CallResult, Content};
use net::client::HttpClient;
use net::guard::Hosts;
use net::message::{Headers, Policy};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::keyless::Service;
use super::{Engine, Fault, FaultKind, Found, Hit, Query, http, loose, reading};

const CONNECT: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(20);

pub(super) async fn search(
    client: &HttpClient,
    engine: &Engine,
    service: Service,
    query: &Query,
) -> Result<Found, Fault> {
    let own = service.address();
    let url = if engine.address.is_empty() { own } else { &engine.address };
    let link = Link::Http {
        http: client.clone(),
        url: url.to_owned(),
        headers: Headers::new(),
        policy: Policy::Trusted,
        only: Hosts::default(),
    };
    let timeouts = Timeouts {
        connect: CONNECT,
        request: CONNECT,
        call: CALL,
        longest: CALL,
        ..Timeouts::default()
    };
    let options = Options { timeouts, ..Options::default() };
    let connection = Client::connect(link, options).await.map_err(|error| fault(engine, &error))?;
    let (tool, arguments) = call(service, query);
    let result = connection.call(tool, &arguments, &CancellationToken::new(), &DeclineAll).await;
    connection.close().await;
    let hits = hits(engine, &result.map_err(|error| fault(engine, &error))?)?;
    let mut ignored = Vec::new();
    ignored.extend((!query.country.is_empty()).then_some("country"));
    ignored.extend((!query.language.is_empty()).then_some("language"));
    ignored.extend(query.freshness.is_some().then_some("freshness"));
    ignored.extend((query.from.is_some() || query.to.is_some()).then_some("dates"));
    Ok(reading::results(hits, query.count, ignored))
}

/// The tool of a service and its arguments.
fn call(service: Service, query: &Query) -> (&'static str, Map<String, Value>) {
    let words = query.with_sites();
    let (tool, arguments) = match service {
        Service::Parallel => {
            ("web_search", json!({ "objective": words, "search_queries": [words] }))
        }
        Service::Firecrawl => ("firecrawl_search", json!({ "query": words, "limit": query.count })),
        Service::Tavily => ("tavily_search", json!({ "query": words, "max_results": query.count })),
    };
    let Value::Object(arguments) = arguments else { return (tool, Map::new()) };
    (tool, arguments)
}

fn hits(engine: &Engine, result: &CallResult) -> Result<Vec<Hit>, Fault> {
    let name = &engine.name;
    let texts: Vec<&str> = result
        .content
        .iter()
        .filter_map(|content| match content {
            Content::Text { text } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let text = texts.join("\n");
    if result.is_error {
        let lower = text.to_ascii_lowercase();
        let is_limit = ["rate limit", "429", "too many", "quota", "limit"]
            .iter()
            .any(|word| lower.contains(word));
        return Err(match is_limit {
            true => http::limited(engine),
            false => Fault::new(FaultKind::Failed, format!("{name} answered with an error")),
        });
    }
    let structured = result.structured_content.as_ref().and_then(loose::in_json);
    // ok: a text that isn't JSON is read as blocks.
    let parsed = || serde_json::from_str(&text).ok().as_ref().and_then(loose::in_json);
    structured
        .or_else(parsed)
        .or_else(|| loose::in_text(&text))
        .ok_or_else(|| Fault::new(FaultKind::Failed, format!("{name} answered in an unknown form")))
}

fn fault(engine: &Engine, error: &McpError) -> Fault {
    let name = &engine.name;
    match error {
        McpError::Status { status: 429, .. } => http::limited(engine),
        McpError::Unauthorized { .. } | McpError::Forbidden { .. } => http::key_needed(engine),
        McpError::Rpc(_) | McpError::Protocol { .. } | McpError::Version { .. } => {
            Fault::new(FaultKind::Failed, format!("{name} answered with an error"))
        }
        // The message may quote the service, and models read the reason as HQ's own words.
        McpError::Status { status, .. } => {
            Fault::new(FaultKind::Failed, format!("{name} answered with status {status}"))
        }
        error => Fault::new(FaultKind::Unreachable, format!("{name}: {error}")),
    }
}
