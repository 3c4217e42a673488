//! SearXNG (<https://docs.searxng.org/dev/search_api.html>). Its JSON format is off unless the server's settings allow it.

use net::client::HttpClient;
use serde_json::Value;

use super::reading::{self, Places};
use super::{Engine, Fault, FaultKind, Found, Query, http};

const PLACES: Places<'static> = Places {
    title: "/title",
    url: "/url",
    snippets: &["/content"],
    published: "/publishedDate",
    site: "",
};

pub(super) async fn search(
    client: &HttpClient,
    engine: &Engine,
    query: &Query,
) -> Result<Found, Fault> {
    let words = query.with_sites();
    let language = match (query.language.as_str(), query.country.as_str()) {
        ("", _) => String::new(),
        (language, "") => language.to_owned(),
        (language, country) => format!("{language}-{}", country.to_ascii_uppercase()),
    };
    let pairs = [
        ("q", words.as_str()),
        ("format", "json"),
        ("language", language.as_str()),
        ("time_range", query.freshness.map_or("", super::Freshness::word)),
    ];
    let mut request = http::get(http::address(engine, &pairs)?);
    if !engine.key.is_empty() {
        request = request.header("authorization", format!("Bearer {}", engine.key));
    }
    let answer = http::json(client, engine, request).await?;
    let hits = reading::hits(engine, &answer, "/results", &PLACES)?;
    if hits.is_empty()
        && let Some(fault) = silent(engine, &answer)
    {
        return Err(fault);
    }
    let mut ignored = Vec::new();
    if query.language.is_empty() && !query.country.is_empty() {
        ignored.push("country");
    }
    if query.from.is_some() || query.to.is_some() {
        ignored.push("dates");
    }
    Ok(reading::results(hits, query.count, ignored))
}

/// Nothing was found because the engines behind the server did not answer.
fn silent(engine: &Engine, answer: &Value) -> Option<Fault> {
    let silent = answer.get("unresponsive_engines")?.as_array().filter(|all| !all.is_empty())?;
    let is_captcha =
        silent.iter().any(|one| one.to_string().to_ascii_lowercase().contains("captcha"));
    let name = &engine.name;
    Some(match is_captcha {
        true => {
            Fault::new(FaultKind::Captcha, format!("the engines behind {name} ask for captchas"))
        }
        false => Fault::new(FaultKind::Failed, format!("the engines behind {name} don't answer")),
    })
}
