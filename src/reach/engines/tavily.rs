//! Tavily (<https://docs.tavily.com/documentation/api-reference/endpoint/search>).

use net::client::HttpClient;
use serde_json::{Value, json};

use super::reading::{self, Places};
use super::{Engine, Fault, Found, Query, http};

const PLACES: Places<'static> = Places {
    title: "/title",
    url: "/url",
    snippets: &["/content"],
    published: "/published_date",
    site: "",
};

pub(super) async fn search(
    client: &HttpClient,
    engine: &Engine,
    query: &Query,
) -> Result<Found, Fault> {
    let mut body = json!({ "query": query.query, "max_results": query.count });
    let mut set = |key: &str, value: Value| body[key] = value;
    if let Some(fresh) = query.freshness {
        set("time_range", json!(fresh.word()));
    }
    for (key, date) in [("start_date", query.from), ("end_date", query.to)] {
        if let Some(date) = date {
            set(key, json!(date.to_string()));
        }
    }
    if !query.domains.is_empty() {
        set("include_domains", json!(query.domains));
    }
    let request = http::post(http::address(engine, &[])?, &body);
    let request = match engine.key.as_str() {
        // https://docs.tavily.com/documentation/keyless
        "" => request.header("x-tavily-access-mode", "keyless"),
        key => request.header("authorization", format!("Bearer {key}")),
    };
    let answer = http::json(client, engine, request).await?;
    let hits = reading::hits(engine, &answer, "/results", &PLACES)?;
    let mut ignored = Vec::new();
    // It takes English names of countries only.
    ignored.extend((!query.country.is_empty()).then_some("country"));
    ignored.extend((!query.language.is_empty()).then_some("language"));
    Ok(reading::results(hits, query.count, ignored))
}
