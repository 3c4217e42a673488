//! Brave Search (<https://api-dashboard.search.brave.com/documentation>): web search and LLM context.

use net::client::HttpClient;
use net::message::Request;
use serde_json::Value;

use super::reading::{self, Places};
use super::{Engine, Fault, Found, Freshness, Query, http};

const WEB: Places<'static> = Places {
    title: "/title",
    url: "/url",
    snippets: &["/description"],
    published: "/page_age",
    site: "/profile/name",
};
const CONTEXT: Places<'static> =
    Places { title: "/title", url: "/url", snippets: &["/snippets"], published: "", site: "" };

pub(super) async fn web(
    client: &HttpClient,
    engine: &Engine,
    query: &Query,
) -> Result<Found, Fault> {
    let request = request(engine, query, "count", &[("text_decorations", "false")])?;
    let answer = http::json(client, engine, request).await?;
    let hits = reading::hits(engine, &answer, "/web/results", &WEB)?;
    Ok(reading::results(hits, query.count, Vec::new()))
}

pub(super) async fn context(
    client: &HttpClient,
    engine: &Engine,
    query: &Query,
) -> Result<Found, Fault> {
    let request = request(engine, query, "maximum_number_of_urls", &[])?;
    let answer = http::json(client, engine, request).await?;
    let mut hits = reading::hits(engine, &answer, "/grounding/generic", &CONTEXT)?;
    for hit in &mut hits {
        let source = answer.get("sources").and_then(|all| all.get(&hit.url));
        let ages = source.and_then(|source| source.get("age")).and_then(Value::as_array);
        // The ages of a source: in words, as a date, in days.
        let date = ages.and_then(|ages| ages.iter().filter_map(Value::as_str).nth(1));
        hit.published = date.and_then(reading::published);
    }
    Ok(reading::results(hits, query.count, Vec::new()))
}

fn request(
    engine: &Engine,
    query: &Query,
    most: &str,
    more: &[(&str, &str)],
) -> Result<Request, Fault> {
    let (words, count) = (query.with_sites(), query.count.to_string());
    let country = query.country.to_ascii_uppercase();
    let fresh = freshness(query);
    let mut pairs = vec![
        ("q", words.as_str()),
        (most, count.as_str()),
        ("country", country.as_str()),
        ("search_lang", query.language.as_str()),
        ("freshness", fresh.as_str()),
    ];
    pairs.extend(more);
    let url = http::address(engine, &pairs)?;
    Ok(http::get(url).header("x-subscription-token", engine.key.as_str()))
}

fn freshness(query: &Query) -> String {
    match (query.freshness, query.from, query.to) {
        (Some(Freshness::Day), ..) => "pd".to_owned(),
        (Some(Freshness::Week), ..) => "pw".to_owned(),
        (Some(Freshness::Month), ..) => "pm".to_owned(),
        (Some(Freshness::Year), ..) => "py".to_owned(),
        (None, None, None) => String::new(),
        (None, from, to) => {
            let from = from.unwrap_or(jiff::civil::date(1990, 1, 1));
            let to = to.unwrap_or(jiff::civil::date(2100, 1, 1));
            format!("{from}to{to}")
        }
    }
}
