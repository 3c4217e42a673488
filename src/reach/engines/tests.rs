//! Engines against recorded answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::civil::date;
use loopback::{Step, answer, serving};
use net::client::{ClientParts, HttpClient};
use net::guard::{Lookup, Resolver};
use serde_json::{Value, json};

use super::cache::{Cache, KEPT};
use super::manifest::Manifest;
use super::{Engine, EngineKind, Fault, FaultKind, Found, Freshness, Hit, Query, Via, search};

const JSON: &str = "content-type: application/json\r\n";

struct Loopback;

impl Resolver for Loopback {
    fn lookup(&self, _host: &str) -> Lookup {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

fn client() -> HttpClient {
    HttpClient::new(ClientParts { resolver: Arc::new(Loopback), ..ClientParts::default() })
}

fn engine(via: Via, address: SocketAddr) -> Engine {
    Engine {
        id: "one".into(),
        name: "One".into(),
        via,
        address: format!("http://{address}/search"),
        key: "k-1".into(),
        may_cache: true,
        cost_micros: 0,
    }
}

fn query() -> Query {
    Query::new("rust async", date(2026, 11, 30))
}

/// Asks an engine that answers in this way, and returns the request, too.
async fn asked(via: Via, query: Query, reply: Vec<u8>) -> (Result<Found, Fault>, String) {
    let seen = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&seen);
    let found = serving(
        move |request| {
            *log.lock().unwrap() = request.to_owned();
            vec![Step::Send(reply.clone())]
        },
        async |address| super::ask(&client(), &engine(via, address), &query).await,
    )
    .await;
    let seen = seen.lock().unwrap().clone();
    (found, seen)
}

fn bytes(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let steps = answer(status, headers, body).into_iter();
    steps.flat_map(|step| if let Step::Send(bytes) = step { bytes } else { Vec::new() }).collect()
}

fn recorded(name: &str) -> Vec<u8> {
    let body = match name {
        "brave" => include_str!("fixtures/brave.json"),
        "brave_context" => include_str!("fixtures/brave_context.json"),
        "tavily" => include_str!("fixtures/tavily.json"),
        "exa" => include_str!("fixtures/exa.json"),
        "serper" => include_str!("fixtures/serper.json"),
        "searxng" => include_str!("fixtures/searxng.json"),
        other => panic!("no fixture {other}"),
    };
    bytes("200 OK", JSON, body)
}

fn hits(found: &Found) -> &[Hit] {
    match found {
        Found::Results { hits, .. } => hits,
        Found::Answer { .. } => panic!("results expected"),
    }
}

#[tokio::test]
async fn every_engine_reads_its_recorded_answer() {
    for kind in [
        EngineKind::Brave,
        EngineKind::BraveContext,
        EngineKind::Tavily,
        EngineKind::Exa,
        EngineKind::Serper,
        EngineKind::SearxNg,
    ] {
        let (found, request) = asked(Via::Kind(kind), query(), recorded(kind.word())).await;
        let found = found.unwrap();
        let hits = hits(&found);
        assert_eq!(hits.len(), 2, "{kind:?}: {hits:?}");
        let first = &hits[0];
        assert_eq!(first.url, "https://rust-lang.org/async", "{kind:?}");
        assert_eq!(first.title, "Async Rust", "{kind:?}");
        assert!(first.snippet.as_deref().unwrap().contains("futures are lazy"), "{kind:?}");
        assert!(first.published.as_deref().unwrap().contains("2026"), "{kind:?}: {first:?}");
        assert!(hits.iter().all(|hit| hit.url.starts_with("http")), "{kind:?}: {hits:?}");
        assert!(request.contains("k-1"), "{kind:?}: the key is sent");
        assert!(!request.split("\r\n").next().unwrap().contains("k-1"), "{kind:?}: not in the URL");
    }
}

#[tokio::test]
async fn conditions_are_sent_as_each_engine_writes_them() {
    let wanted = Query {
        count: 7,
        country: "de".into(),
        language: "de".into(),
        freshness: Some(Freshness::Week),
        domains: vec!["rust-lang.org".into()],
        ..query()
    };
    for (kind, parts) in [
        (
            EngineKind::Brave,
            &["q=rust+async+site%3Arust-lang.org", "count=7", "country=DE", "freshness=pw"][..],
        ),
        (EngineKind::Tavily, &["\"max_results\":7", "\"time_range\":\"week\"", "include_domains"]),
        (
            EngineKind::Exa,
            &["\"numResults\":7", "2026-11-23T00:00:00.000Z", "\"userLocation\":\"DE\""],
        ),
        (EngineKind::Serper, &["\"num\":7", "qdr:w", "\"gl\":\"de\"", "site:rust-lang.org"]),
        (EngineKind::SearxNg, &["language=de-DE", "time_range=week", "format=json"]),
    ] {
        let (found, request) = asked(Via::Kind(kind), wanted.clone(), recorded(kind.word())).await;
        found.unwrap();
        for part in parts {
            assert!(request.contains(part), "{kind:?}: {part} in {request}");
        }
    }
    let dates = Query { from: Some(date(2026, 1, 2)), to: Some(date(2026, 3, 4)), ..query() };
    for (kind, part) in [
        (EngineKind::Brave, "freshness=2026-01-02to2026-03-04"),
        (EngineKind::Tavily, "\"start_date\":\"2026-01-02\""),
        (EngineKind::Exa, "\"endPublishedDate\":\"2026-03-04"),
        (EngineKind::Serper, "cdr:1,cd_min:1/2/2026,cd_max:3/4/2026"),
    ] {
        let (_, request) = asked(Via::Kind(kind), dates.clone(), recorded(kind.word())).await;
        assert!(request.contains(part), "{kind:?}: {request}");
    }
    let (found, _) = asked(Via::Kind(EngineKind::SearxNg), dates, recorded("searxng")).await;
    let Ok(Found::Results { ignored, .. }) = found else { panic!("{found:?}") };
    assert_eq!(ignored, ["dates"]);
}

#[tokio::test]
async fn failures_are_told_apart() {
    let html = "content-type: text/html\r\n";
    for (status, headers, body, expected) in [
        ("429 Too Many Requests", JSON, "{}", FaultKind::RateLimited),
        ("429 Too Many Requests", html, "<p>captcha", FaultKind::RateLimited),
        ("432 Limit", JSON, "{}", FaultKind::RateLimited),
        ("401 Unauthorized", JSON, "{}", FaultKind::Refused),
        ("500 Oops", JSON, "{}", FaultKind::Failed),
        ("302 Found", "location: http://10.0.0.1/\r\n", "", FaultKind::Failed),
        ("200 OK", html, "<html><h1>Welcome</h1>", FaultKind::NotJson),
        ("200 OK", JSON, "<html><h1>Welcome</h1>", FaultKind::NotJson),
        ("200 OK", html, "<form>Solve this CAPTCHA</form>", FaultKind::Captcha),
        ("403 Forbidden", html, "<title>Just a moment...</title>", FaultKind::Captcha),
        ("200 OK", JSON, "{\"results\": [", FaultKind::NotJson),
        ("200 OK", JSON, "{\"error\": \"broken\"}", FaultKind::Failed),
        ("200 OK", JSON, "[]", FaultKind::Failed),
        ("200 OK", JSON, "{\"results\": \"none\"}", FaultKind::Failed),
    ] {
        let via = Via::Kind(EngineKind::Tavily);
        let (found, _) = asked(via, query(), bytes(status, headers, body)).await;
        let fault = found.unwrap_err();
        assert_eq!(fault.kind, expected, "{status} {body}: {fault}");
        assert!(!fault.message.contains("k-1"), "{fault}");
    }
}

#[tokio::test]
async fn the_refusal_of_searxng_names_the_setting() {
    let via = Via::Kind(EngineKind::SearxNg);
    let (found, _) = asked(via.clone(), query(), bytes("403 Forbidden", JSON, "{}")).await;
    assert!(found.unwrap_err().message.contains("add json to formats"));
    let silent = r#"{"results": [], "unresponsive_engines": [["google", "Suspended: CAPTCHA"]]}"#;
    let (found, _) = asked(via.clone(), query(), bytes("200 OK", JSON, silent)).await;
    assert_eq!(found.unwrap_err().kind, FaultKind::Captcha);
    let (found, _) = asked(via, query(), bytes("200 OK", JSON, r#"{"results": []}"#)).await;
    assert!(hits(&found.unwrap()).is_empty());
}

#[tokio::test]
async fn only_web_addresses_are_results() {
    let body = json!({ "results": [
        { "title": "a", "url": "javascript:alert(1)" },
        { "title": "b", "url": "file:///etc/passwd" },
        { "title": "c", "url": "https://user:pw@evil.example/" },
        { "title": "", "url": "https://fine.example/x" },
        { "title": "d" },
        7,
    ] });
    let via = Via::Kind(EngineKind::Tavily);
    let (found, _) = asked(via, query(), bytes("200 OK", JSON, &body.to_string())).await;
    let found = found.unwrap();
    let urls: Vec<&str> = hits(&found).iter().map(|hit| hit.url.as_str()).collect();
    assert_eq!(urls, ["https://fine.example/x"]);
    assert_eq!(hits(&found)[0].title, "fine.example");
}

fn written(method: &str, address: &str) -> Value {
    json!({
        "url": format!("http://{address}/find?q={{{{query}}}}&n={{{{count}}}}"),
        "method": method,
        "headers": { "X-Key": "Token {{secret:KEY}}" },
        "body": { "words": "{{query}}", "most": "{{count}}", "lang": "{{language}}", "flags": ["{{freshness}}", "x"] },
        "at": { "results": "/data/items", "title": "/name", "url": "/link", "snippet": "/text/0", "published": "/at" },
    })
}

#[tokio::test]
async fn a_manifest_describes_an_engine() {
    let reply = json!({ "data": { "items": [
        { "name": "N", "link": "https://n.example/", "text": ["first"], "at": "2026-01-01" },
    ] } });
    for (method, parts) in [
        ("GET", &["GET /find?q=a%26b+%C3%BC&n=5 ", "x-key: Token k-1"][..]),
        ("POST", &["POST /find", "\"flags\":[\"x\"]", "\"most\":5", "\"words\":\"a&b ü\""]),
    ] {
        let seen = Mutex::new(String::new());
        let found = serving(
            |request| {
                *seen.lock().unwrap() = request.to_owned();
                answer("200 OK", JSON, reply.to_string())
            },
            async |address| {
                let text = written(method, &address.to_string()).to_string();
                let manifest = Manifest::parse(&text).unwrap();
                let engine = engine(Via::Manifest(Box::new(manifest)), address);
                let query = Query { query: "a&b ü".into(), ..query() };
                super::ask(&client(), &engine, &query).await
            },
        )
        .await
        .unwrap();
        assert_eq!(hits(&found)[0].snippet.as_deref(), Some("first"));
        for part in parts {
            assert!(seen.lock().unwrap().contains(part), "{part} in {}", seen.lock().unwrap());
        }
    }
}

#[test]
fn a_wrong_manifest_is_refused_with_the_reason() {
    let parsed = |change: fn(&mut Value)| {
        let mut value = written("GET", "site.test");
        change(&mut value);
        Manifest::parse(&value.to_string()).unwrap_err()
    };
    for (error, part) in [
        (parsed(|m| m["url"] = json!("ftp://x/")), "http or https"),
        (parsed(|m| m["url"] = json!("https://{{query}}.example/")), "url"),
        (parsed(|m| m["url"] = json!("https://x.example/?k={{secret:KEY}}")), "in a header"),
        (parsed(|m| m["url"] = json!("https://x.example/?k={{ secret:KEY }}")), "in a header"),
        (parsed(|m| m["headers"]["X-Key"] = json!("{{secret:OTHER}}")), "secret:OTHER"),
        (parsed(|m| m["body"]["words"] = json!("{{wrds}}")), "wrds"),
        (parsed(|m| m["at"]["title"] = json!("name")), "JSON pointer"),
        (parsed(|m| m["more"] = json!(1)), "more"),
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn an_engine_has_the_origin_of_its_own_or_its_makers_server() {
    let origin = |kind, address: &str, manifest: &str| super::origin(kind, address, manifest);
    let manifest = written("GET", "site.test:8080").to_string();
    for (found, expected) in [
        (origin(EngineKind::Brave, "", ""), Some("https://api.search.brave.com")),
        (origin(EngineKind::Brave, "https://b.test/a?x", &manifest), Some("https://b.test")),
        (origin(EngineKind::SearxNg, " http://b.test:81/ ", ""), Some("http://b.test:81")),
        (origin(EngineKind::Manifest, "https://b.test/", &manifest), Some("http://site.test:8080")),
        (origin(EngineKind::Manifest, "https://b.test/", ""), None),
        (origin(EngineKind::SearxNg, "file:///b", ""), None),
    ] {
        assert_eq!(found.as_deref(), expected);
    }
}

/// A chain of two engines whose first one answers in this way.
async fn chained(first: Vec<u8>, times: usize) -> (Vec<super::Outcome>, usize) {
    let count = Mutex::new(0);
    let outcomes = serving(
        |request| {
            *count.lock().unwrap() += 1;
            let bytes = match request.starts_with("POST /first") {
                true => first.clone(),
                false => recorded("tavily"),
            };
            vec![Step::Send(bytes)]
        },
        async |address| {
            let (cache, client) = (Cache::default(), client());
            let named = |name: &str| Engine {
                id: name.into(),
                name: name.into(),
                address: format!("http://{address}/{name}"),
                ..engine(Via::Kind(EngineKind::Tavily), address)
            };
            let engines = [named("first"), named("second")];
            let mut all = Vec::new();
            for _ in 0..times {
                all.push(search(&client, &cache, &engines, &query()).await);
            }
            all
        },
    )
    .await;
    let count = *count.lock().unwrap();
    (outcomes, count)
}

#[tokio::test]
async fn the_next_engine_is_asked_after_a_failure() {
    let html = "content-type: text/html\r\n";
    for first in [
        bytes("429 Too Many Requests", JSON, "{}"),
        bytes("500 Oops", JSON, "{}"),
        bytes("200 OK", html, "<p>captcha"),
        bytes("200 OK", html, "<p>hello"),
    ] {
        let (outcomes, _) = chained(first, 1).await;
        let (at, found) = outcomes[0].found.as_ref().unwrap();
        assert_eq!((*at, hits(found).len(), outcomes[0].failed.len()), (1, 2, 1));
        assert_eq!(outcomes[0].failed[0].engine, "first");
    }
}

#[tokio::test]
async fn no_results_are_an_answer() {
    let (outcomes, count) = chained(bytes("200 OK", JSON, r#"{"results": []}"#), 1).await;
    let (at, found) = outcomes[0].found.as_ref().unwrap();
    assert_eq!((*at, hits(found).len(), count), (0, 0, 1));
}

#[tokio::test]
async fn an_answer_is_kept_for_the_next_search() {
    let (outcomes, count) = chained(recorded("tavily"), 3).await;
    let cached: Vec<bool> = outcomes.iter().map(|outcome| outcome.is_cached).collect();
    assert_eq!((cached.as_slice(), count), (&[false, true, true][..], 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_a_quarter_of_an_hour() {
    let (cache, found) = (Cache::default(), Found::Results { hits: vec![], ignored: vec![] });
    cache.keep("one", &query(), &found);
    tokio::time::advance(KEPT - Duration::from_secs(1)).await;
    assert_eq!(cache.find("one", &query()), Some(found));
    assert_eq!(cache.find("two", &query()), None);
    assert_eq!(cache.find("one", &Query { count: 6, ..query() }), None);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(cache.find("one", &query()), None);
}

#[tokio::test]
async fn a_service_without_a_key_gets_none() {
    let via = Via::Keyless(super::keyless::Service::Tavily);
    let seen = Mutex::new(String::new());
    let found = serving(
        |request| {
            *seen.lock().unwrap() = request.to_owned();
            vec![Step::Send(recorded("tavily"))]
        },
        async |address| {
            let engine = Engine { key: String::new(), ..engine(via, address) };
            super::ask(&client(), &engine, &query()).await
        },
    )
    .await;
    assert_eq!(hits(&found.unwrap()).len(), 2);
    let request = seen.lock().unwrap().clone();
    assert!(request.contains("x-tavily-access-mode: keyless"), "{request}");
    assert!(!request.contains("authorization"), "{request}");
}

#[tokio::test]
async fn faults_name_the_maker_of_a_service_once() {
    for (status, message) in [
        ("429 Too Many Requests", "Tavily’s rate limit was reached"),
        ("401 Unauthorized", "Tavily no longer answers without a key"),
    ] {
        let fault = serving(
            |_| answer(status, JSON, "{}"),
            async |address| {
                let via = Via::Keyless(super::keyless::Service::Tavily);
                let name = "Tavily without a key".to_owned();
                let engine = Engine { key: String::new(), name, ..engine(via, address) };
                super::ask(&client(), &engine, &query()).await
            },
        )
        .await
        .unwrap_err();
        assert_eq!(fault.message, message);
    }
}
