//! Exa (<https://docs.exa.ai/reference/search>).

use jiff::ToSpan as _;
use jiff::civil::Date;
use net::client::HttpClient;
use serde_json::{Value, json};

use super::reading::{self, Places};
use super::{Engine, Fault, Found, Freshness, Query, http};

const PLACES: Places<'static> = Places {
    title: "/title",
    url: "/url",
    snippets: &["/highlights"],
    published: "/publishedDate",
    site: "",
};

pub(super) async fn search(
    client: &HttpClient,
    engine: &Engine,
    query: &Query,
) -> Result<Found, Fault> {
    let mut body = json!({
        "query": query.query,
        "numResults": query.count,
        "type": "auto",
        "contents": { "highlights": true },
    });
    let mut set = |key: &str, value: Value| body[key] = value;
    if !query.domains.is_empty() {
        set("includeDomains", json!(query.domains));
    }
    if !query.country.is_empty() {
        set("userLocation", json!(query.country.to_ascii_uppercase()));
    }
    let from = query.freshness.map(|fresh| since(fresh, query.today)).or(query.from);
    for (key, date) in [("startPublishedDate", from), ("endPublishedDate", query.to)] {
        if let Some(date) = date {
            set(key, json!(format!("{date}T00:00:00.000Z")));
        }
    }
    let request =
        http::post(http::address(engine, &[])?, &body).header("x-api-key", engine.key.as_str());
    let answer = http::json(client, engine, request).await?;
    let hits = reading::hits(engine, &answer, "/results", &PLACES)?;
    let ignored = (!query.language.is_empty()).then_some("language").into_iter().collect();
    Ok(reading::results(hits, query.count, ignored))
}

/// The day on which a period up to today began.
fn since(fresh: Freshness, today: Date) -> Date {
    let span = match fresh {
        Freshness::Day => 1.day(),
        Freshness::Week => 7.days(),
        Freshness::Month => 1.month(),
        Freshness::Year => 1.year(),
    };
    today.saturating_sub(span)
}
