//! Live region stream and change stream: contents, resumption, end.

use reqwest::StatusCode;
use serde_json::{Value, json};

use kernel::{GatewayId, TypedId as _};
use support::hq::{Person, TestHq};
use web::sse::Position;

const EVENTS: &str = "/w/marlow-cargo/events";

async fn rename(hq: &TestHq, name: &str) {
    let body = json!({ "name": name });
    let reply = hq.owner().json("PATCH", "/api/v1/settings", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

async fn cursor(person: &Person) -> String {
    person.get("/w/marlow-cargo/tasks").await.attr("body", "data-cursor")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_hears_what_changed_and_never_what_it_says() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let mut stream = owner.stream(&format!("{EVENTS}?after={}", cursor(&owner).await)).await;
    rename(&hq, "Marlow Bicycles").await;
    let message = stream.next_of("hq").await;
    assert_eq!(message.json(), json!({ "t": [["settings", "00"]] }));
    assert_eq!(message.id, Position::now(&hq.ws()).to_string());
    assert!(!message.data.contains("Bicycles"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_comes_back_is_told_what_it_missed_or_to_begin_anew() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let before = cursor(&owner).await;
    rename(&hq, "One").await;
    rename(&hq, "Two").await;
    let mut stream = owner.stream(&format!("{EVENTS}?after={before}")).await;
    let message = stream.next().await.expect("a message");
    assert_eq!(message.event, "hq");
    assert_eq!(message.json(), json!({ "t": [["settings", "00"]] }), "both at once");
    let (_, seq) = before.split_once('.').expect("a cursor");
    let foreign = format!("{EVENTS}?after=1234.{seq}");
    let mut stream = owner.stream(&foreign).await;
    assert_eq!(stream.next().await.expect("a message").event, "hq-resync");
    let resumed = owner.with("last-event-id", &before).stream(EVENTS).await.next().await;
    assert_eq!(resumed.expect("a message").event, "hq");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_lost_between_a_page_and_its_stream_is_told() {
    let hq = TestHq::start().await;
    let (owner, ws) = (hq.owner(), hq.ws());
    let hosts = json!({ "t": [["hosts"]] });
    let gateway = GatewayId::from_bytes([7; 16]);
    let line = ws.app.hosts.enter(ws.id, gateway, ws.app.clock.now());
    let before = cursor(&owner).await;
    drop(line);
    let mut stream = owner.stream(&format!("{EVENTS}?after={before}")).await;
    let message = stream.next().await.expect("a message");
    assert_eq!((message.json(), message.id), (hosts.clone(), cursor(&owner).await));

    // Nothing has changed since.
    let mut stream = owner.stream(&format!("{EVENTS}?after={}", cursor(&owner).await)).await;
    rename(&hq, "One").await;
    assert_eq!(stream.next_of("hq").await.json(), json!({ "t": [["settings", "00"]] }));
    let line = ws.app.hosts.enter(ws.id, gateway, ws.app.clock.now());
    assert_eq!(stream.next_of("hq").await.json(), hosts);
    drop(line);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_sign_in() {
    let hq = TestHq::start().await;
    let (owner, viewer) = (hq.owner(), hq.another("Vera", Some(kernel::Role::Viewer)).await);
    let mut theirs = viewer.stream(EVENTS).await;
    let mut own = owner.stream(EVENTS).await;
    viewer.form("/logout", &[]).await;
    while theirs.next().await.is_some() {}
    rename(&hq, "Still here").await;
    own.next_of("hq").await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_person_may_less() {
    let hq = TestHq::start().await;
    let person = hq.another("Tom", Some(kernel::Role::Admin)).await;
    let mut stream = person.stream(EVENTS).await;
    let me = person.get("/api/v1/me").await.json()["account"]["id"].clone();
    let id: kernel::AccountId = me.as_str().expect("an id").parse().expect("an id");
    let by = (kernel::Actor::System(kernel::Part::Setup), kernel::Cause::Setup);
    let demote = move |tx: &mut store::WriteTx<'_>| {
        use store::ReadExt as _;
        let member = tx.get::<features::workspace::model::Member>(id)?;
        let mut member = member.expect("a member");
        member.role = kernel::Role::Viewer;
        tx.put(&member)
    };
    hq.ws().write(&by, demote).await.expect("demoted");
    while stream.next().await.is_some() {}
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_so_many_streams_and_no_more() {
    let setup =
        support::hq::Setup::default().config(|config| config.limits.streams_per_sign_in = 2);
    let hq = setup.start().await;
    let owner = hq.owner();
    let first = owner.stream(EVENTS).await;
    let _second = owner.stream(EVENTS).await;
    assert_eq!(owner.get(EVENTS).await.status, StatusCode::TOO_MANY_REQUESTS);
    drop(first);
    // The server notices a closed connection at its next write.
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        rename(&hq, &format!("Marlow {}", hq.ws().store.head().seq)).await;
        let tried = owner.get(EVENTS);
        let tried = tokio::time::timeout(std::time::Duration::from_millis(200), tried).await;
        // An accepted stream does not end, so the request runs into the time limit.
        if tried.is_err() {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "the place is free again in time");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_read_the_feed_in_pages_and_as_a_stream_that_resumes() {
    let hq = TestHq::start().await;
    let program = hq.token(&["read"]).await;
    let start = program.get("/api/v1/changes?after=start&limit=1").await.json();
    let first = &start["items"][0];
    assert_eq!(first["seq"], 1);
    assert_eq!(first["cause"]["kind"], "setup");
    assert_eq!(first["events"][0]["name"], "member.joined");
    rename(&hq, "Renamed").await;
    let next = start["next"].as_str().expect("a cursor");
    let rest = program.get(&format!("/api/v1/changes?after={next}&include=rows")).await.json();
    let change = &rest["items"][0]["changes"][0];
    assert_eq!((&change["table"], &change["op"]), (&json!("settings"), &json!("update")));
    assert_eq!(change["row"]["name"], "Renamed");
    assert_eq!(rest["items"][0]["actor"]["kind"], "person");
    let end = rest["next"].as_str().expect("a cursor").to_owned();
    let empty = program.get(&format!("/api/v1/changes?after={end}")).await.json();
    assert_eq!((empty["items"].clone(), empty["next"].clone()), (json!([]), json!(end)));

    let mut stream = program.stream(&format!("/api/v1/changes?after={next}")).await;
    let message = stream.next().await.expect("a message");
    assert_eq!((message.event.as_str(), message.id.as_str()), ("change", end.as_str()));
    let again = program.clone().with("last-event-id", next);
    let resumed = again.stream("/api/v1/changes").await.next().await.expect("a message");
    assert_eq!(resumed.id, end, "nothing is left out");
    rename(&hq, "Again").await;
    let message: Value = stream.next().await.expect("a message").json();
    assert_eq!(message["events"], json!([]));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_answers_as_soon_as_something_happens() {
    let hq = TestHq::start().await;
    let program = hq.token(&["read"]).await;
    let now = program.get("/api/v1/changes").await.json()["next"].clone();
    let path = format!("/api/v1/changes?after={}&wait=30", now.as_str().expect("a cursor"));
    let (polled, ()) = tokio::join!(program.get(&path), rename(&hq, "Polled"));
    assert_eq!(polled.json()["items"].as_array().expect("a list").len(), 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_another_life_is_gone_and_a_bad_one_is_refused() {
    let hq = TestHq::start().await;
    let program = hq.token(&["read"]).await;
    let gone = program.get("/api/v1/changes?after=1.1").await;
    assert_eq!(gone.status, StatusCode::GONE);
    assert!(gone.json()["detail"].as_str().is_some_and(|text| text.contains("take a snapshot")));
    for path in ["after=x", "limit=0", "limit=501", "include=all"] {
        let reply = program.get(&format!("/api/v1/changes?{path}")).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(!reply.json()["errors"].as_array().expect("a list").is_empty(), "{path}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_activity_page_says_who_did_what_and_filters_by_address() {
    let hq = TestHq::start().await;
    rename(&hq, "Renamed").await;
    let page = hq.owner().get("/w/marlow-cargo/activity").await;
    let lines = page.texts(".feed li .what");
    assert_eq!(lines[0], "Mira Lindqvist changed the workspace settings");
    assert_eq!(lines[1], "Mira Lindqvist joined the workspace");
    let none = hq.owner().get("/w/marlow-cargo/activity?by=agents").await;
    assert!(none.text.contains("No matching activity"));
    let region = hq.owner().htmx("activity").get("/w/marlow-cargo/activity").await;
    assert_eq!(region.texts(".feed li").len(), 2);
    assert!(!region.text.contains("<html"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_describes_itself_from_its_routes() {
    let hq = TestHq::start().await;
    let document = hq.token(&["read"]).await.get("/api/v1/openapi.json").await.json();
    for route in hq.running().routes.iter().filter(|route| route.path.starts_with("/api/v1/")) {
        let method = route.method.as_str().to_lowercase();
        let operation = &document["paths"][&route.path.replace("{*", "{")][&method];
        assert!(operation["summary"].is_string(), "{method} {} is not described", route.path);
    }
    let create = &document["paths"]["/api/v1/tokens"]["post"];
    let body = &create["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["properties"]["name"]["type"], "string");
    assert!(create["responses"]["201"].is_object());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_looks_as_it_did_is_not_sent_again() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let made = api.post("/api/v1/agents", &json!({ "name": "Ada" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let region = || hq.owner().htmx("fleet");
    let first = region().get("/w/marlow-cargo/").await;
    assert_eq!(first.status, StatusCode::OK);
    let tag = first.header("etag").expect("a tag").to_owned();
    let again = region().with("if-none-match", &tag).get("/w/marlow-cargo/").await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NO_CONTENT, ""));
    let renamed = api.json("PATCH", "/api/v1/agents/ada", &json!({ "name": "Adele" })).await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text);
    let changed = region().with("if-none-match", &tag).get("/w/marlow-cargo/").await;
    assert_eq!(changed.status, StatusCode::OK);
    assert!(changed.text.contains("Adele"), "{}", changed.text);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    // A full page has no `ETag`: it contains more than its regions.
    assert_eq!(hq.owner().get("/w/marlow-cargo/").await.header("etag"), None);
    hq.finish().await;
}
