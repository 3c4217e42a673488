//! Serper (<https://serper.dev>): results of Google.

use jiff::civil::Date;
use net::client::HttpClient;
use serde_json::{Value, json};

use super::reading::{self, Places};
use super::{Engine, Fault, Found, Freshness, Query, http};

const PLACES: Places<'static> = Places {
    title: "/title",
    url: "/link",
    snippets: &["/snippet"],
    published: "/date",
    site: "/source",
};

pub(super) async fn search(
    client: &HttpClient,
    engine: &Engine,
    query: &Query,
) -> Result<Found, Fault> {
    let mut body = json!({ "q": query.with_sites(), "num": query.count });
    let mut set = |key: &str, value: Value| body[key] = value;
    if !query.country.is_empty() {
        set("gl", json!(query.country));
    }
    if !query.language.is_empty() {
        set("hl", json!(query.language));
    }
    if let Some(range) = range(query) {
        set("tbs", json!(range));
    }
    let request =
        http::post(http::address(engine, &[])?, &body).header("x-api-key", engine.key.as_str());
    let answer = http::json(client, engine, request).await?;
    let hits = reading::hits(engine, &answer, "/organic", &PLACES)?;
    Ok(reading::results(hits, query.count, Vec::new()))
}

/// The period as Google writes it.
fn range(query: &Query) -> Option<String> {
    let american = |date: Option<Date>| {
        date.map(|date| format!("{}/{}/{}", date.month(), date.day(), date.year()))
            .unwrap_or_default()
    };
    Some(match (query.freshness, query.from, query.to) {
        (Some(Freshness::Day), ..) => "qdr:d".to_owned(),
        (Some(Freshness::Week), ..) => "qdr:w".to_owned(),
        (Some(Freshness::Month), ..) => "qdr:m".to_owned(),
        (Some(Freshness::Year), ..) => "qdr:y".to_owned(),
        (None, None, None) => return None,
        (None, from, to) => format!("cdr:1,cd_min:{},cd_max:{}", american(from), american(to)),
    })
}
