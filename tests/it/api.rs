//! JSON API: errors for bad input, idempotent repeats, chat, streams, and a valid OpenAPI document.

use std::collections::BTreeSet;

use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Reply, TestHq};
use support::model::{Gate, Turn};
use support::work;

const NONE: &str = "00000000-0000-7000-8000-000000000000";

/// Fields named in a validation error.
fn fields(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", reply.text);
    let errors = reply.json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|e| e["field"].as_str().expect("a field").to_owned()).collect()
}

async fn document(hq: &TestHq) -> Value {
    hq.token(&["read"]).await.get("/api/v1/openapi.json").await.json()
}

/// Every operation with its path and method.
fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("a path item");
        item.iter().map(move |(method, operation)| (path, method, operation))
    });
    all.collect()
}

/// Visits every value in a document.
fn walk(value: &Value, each: &mut dyn FnMut(&Value)) {
    each(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, each)),
        Value::Object(map) => map.values().for_each(|item| walk(item, each)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_and_no_query_of_ours_takes_a_field_that_it_does_not_know() {
    let hq = TestHq::start().await;
    let (api, document) = (hq.api().await, document(&hq).await);
    let (mut bodies, mut queries) = (0, 0);
    for (path, method, operation) in operations(&document) {
        if path.starts_with("/v1/") {
            continue;
        }
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        bodies += usize::from(body.is_object());
        walk(body, &mut |schema| {
            if schema["properties"].is_object() && schema["type"] == "object" {
                assert_eq!(schema["additionalProperties"], false, "{method} {path}: {schema}");
            }
        });
        let parameters = operation["parameters"].as_array().expect("parameters");
        if method == "get" && parameters.iter().any(|one| one["in"] == "query") {
            queries += 1;
            let words: Vec<&str> = path
                .split('/')
                .map(|part| match part {
                    // An enumeration: a browser's storage.
                    "{kind}" => "local",
                    part if part.starts_with('{') => NONE,
                    part => part,
                })
                .collect();
            let reply = api.get(&format!("{}?nonsense=1", words.join("/"))).await;
            assert_eq!(fields(&reply), ["nonsense"], "{path}: {}", reply.text);
        }
    }
    assert!(14 < bodies && 8 < queries, "{bodies} bodies, {queries} queries");
    hq.finish().await;
}

/// Records that only a messenger, an MCP server or a source of skills makes; the kit refuses late changes of all its nouns alike.
const NOT_MADE: [&str; 6] = [
    "/api/v1/channels/{channel}",
    "/api/v1/channel-rooms/{room}",
    // Its name cannot be changed.
    "/api/v1/mcp-servers/{server}",
    "/api/v1/mcp-tools/{tool}",
    // It needs a source, and a list needs an agent.
    "/api/v1/skills/{skill}",
    "/api/v1/skill-lists/{list}",
];

/// Path and body to create a record whose change can be stale; `None` if one exists.
fn made_at(path: &str) -> Option<(&'static str, Value)> {
    let every = json!({ "cadence_type": "weekdays", "time_of_day": "09:00" });
    Some(match path.trim_start_matches("/api/v1") {
        "/settings" => return None,
        "/agents/{agent}" => ("agents", json!({ "name": "Ada" })),
        "/connections/{id}" => {
            let url = "http://127.0.0.1:9";
            let key = "sk-late-0123456789abcdef";
            let new = json!({ "name": "Own", "kind": "openai", "base_url": url, "api_key": key, "test": false });
            ("connections", new)
        }
        "/search-engines/{engine}" => ("search-engines", json!({ "name": "T", "kind": "tavily" })),
        "/streams/{stream}" => ("streams", json!({ "name": "Launch" })),
        "/views/{id}" => ("views", json!({ "name": "Mine" })),
        "/series/{id}" => ("series", json!({ "title": "Look", "schedule": every })),
        "/task-templates/{template}" => {
            ("task-templates", json!({ "name": "Launch", "items": [{ "title": "Write" }] }))
        }
        "/labels/{label}" => ("labels", json!({ "name": "red" })),
        "/tasks/{task}" => ("tasks", json!({ "title": "Offer" })),
        "/comments/{comment}" => ("tasks/MC-1/comments", json!({ "body": "Hello" })),
        "/contacts/{id}" => ("contacts", json!({ "name": "Rosa" })),
        "/organizations/{id}" => ("organizations", json!({ "name": "Rosa Ltd" })),
        "/records/{id}" => ("collections/bikes/records", json!({ "name": "Red bike" })),
        "/knowledge/{id}" => ("knowledge", json!({ "title": "Prices", "text": "Ten." })),
        other => panic!("say here how a record of {other} is made"),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_that_is_late_is_refused_with_what_stands_there_now() {
    let hq = TestHq::start().await;
    let (api, document) = (hq.api().await, document(&hq).await);
    for (path, body) in
        [("tasks", json!({ "title": "First" })), ("collections", json!({ "name": "Bikes" }))]
    {
        let made = api.post(&format!("/api/v1/{path}"), &body).await;
        assert!(made.status.is_success(), "{path}: {}", made.text);
    }
    let late = api.clone().with("If-Match", "\"4294967295\"");
    let (mut heeded, mut others) = (0, 0);
    for (path, _, operation) in operations(&document)
        .into_iter()
        .filter(|(path, method, _)| *method == "patch" && !NOT_MADE.contains(&path.as_str()))
    {
        let parameters = operation["parameters"].as_array().expect("parameters");
        let words = path.split('/').map(|part| if part.starts_with('{') { NONE } else { part });
        let nobody = words.collect::<Vec<_>>().join("/");
        if !parameters.iter().any(|one| one["name"] == "If-Match") {
            let mut refused = late.json("PATCH", &nobody, &json!({})).await;
            if refused.status == StatusCode::FORBIDDEN {
                // Tokens have no access to a person's own account.
                let late = hq.owner().with("If-Match", "\"4294967295\"");
                refused = late.json("PATCH", &nobody, &json!({})).await;
            }
            assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{path}: {}", refused.text);
            assert_eq!(refused.json()["code"], "no_etag", "{path}");
            others += 1;
            continue;
        }
        heeded += 1;
        let mut name = "name";
        let at = match made_at(path) {
            None => nobody,
            Some((to, body)) => {
                name = ["name", "title", "body"]
                    .into_iter()
                    .find(|name| body[*name].is_string())
                    .expect("one");
                let made = api.post(&format!("/api/v1/{to}"), &body).await;
                assert!(made.status.is_success(), "{to}: {}", made.text);
                nobody.replace(NONE, made.json()["id"].as_str().expect("an id"))
            }
        };
        let before = api.get(&at).await;
        let tag = before.header("etag").unwrap_or_else(|| panic!("{at} has no tag")).to_owned();
        let refused = late.json("PATCH", &at, &json!({ name: "Late" })).await;
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{at}: {}", refused.text);
        let told = refused.json();
        assert_eq!(
            (&told["code"], &told["sent"][name]),
            (&json!("stale"), &json!("Late")),
            "{told}"
        );
        assert_eq!(told["now"][name], before.json()[name], "{told}");
        assert_eq!(refused.header("etag"), Some(tag.as_str()), "{at}");
        assert!(!refused.text.contains("sk-late"), "{}", refused.text);
        let in_time = api.clone().with("If-Match", &tag);
        let done = in_time.json("PATCH", &at, &json!({ name: "In time" })).await;
        assert_eq!(done.status, StatusCode::OK, "{at}: {}", done.text);
        assert_ne!(done.header("etag"), Some(tag.as_str()), "{at}");
    }
    assert!(11 < heeded && 8 < others, "{heeded} heeded, {others} refused");
    // A page is changed by its text as well as by its name, and a key is not returned.
    let page =
        api.post("/api/v1/knowledge", &json!({ "title": "Tax", "text": "One." })).await.json();
    let at = format!("/api/v1/knowledge/{}", page["id"].as_str().expect("an id"));
    let tag = api.get(&at).await.header("etag").expect("a tag").to_owned();
    let seen = api.clone().with("If-Match", &tag);
    assert_eq!(seen.json("PATCH", &at, &json!({ "text": "Two." })).await.status, StatusCode::OK);
    for change in [json!({ "text": "Three." }), json!({ "title": "Taxes" })] {
        let late = seen.json("PATCH", &at, &change).await;
        assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{}", late.text);
        assert_eq!(late.json()["now"]["text"], "Two.", "{}", late.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_of_the_api_is_valid() {
    let hq = TestHq::start().await;
    let document = document(&hq).await;
    walk(&document, &mut |value| {
        let Some(target) = value.get("$ref").and_then(Value::as_str) else { return };
        let pointer = target.strip_prefix('#').expect("a reference into the document");
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    });
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("an operationId");
        let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(plain && ids.insert(id), "{method} {path}: {id}");
        assert!(!path.contains('*'), "{path}");
        let parameters = operation["parameters"].as_array().expect("parameters");
        let named = |place: &str| -> BTreeSet<&str> {
            let here = parameters.iter().filter(|one| one["in"] == place);
            here.map(|one| one["name"].as_str().expect("a name")).collect()
        };
        let template: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(named("path"), template, "{method} {path}");
        for one in parameters {
            assert!(one["schema"].is_object(), "{method} {path}: {one}");
            assert!(one["in"] != "path" || one["required"] == true, "{method} {path}: {one}");
        }
        let answers = operation["responses"].as_object().expect("answers");
        let success = answers.keys().filter(|status| status.starts_with('2')).count();
        assert_eq!(success, 1, "{method} {path}");
        assert!(answers.contains_key("401") && answers.contains_key("429"), "{method} {path}");
        let about = operation["description"].as_str().expect("a description");
        let keyed = named("header").contains("Idempotency-Key");
        assert_eq!(keyed, method != "get" && !about.contains("Idempotency-Key"), "{method} {path}");
        let conditional = named("header").contains("If-Match");
        assert_eq!(conditional, answers.contains_key("412"), "{method} {path}");
    }
    let changes = &document["paths"]["/api/v1/changes"]["get"]["responses"]["200"]["content"];
    assert!(changes["text/event-stream"].is_object());
    assert!(document["paths"]["/v1/models/{id}"].is_object());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_named_by_its_field_and_changes_nothing() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    for (body, field) in [
        (json!({ "name": 5 }), "name"),
        (json!({ "name": "Zed", "thinking": "a lot" }), "thinking"),
        (json!({ "name": "Zed", "connection": "no id" }), "connection"),
        (json!({ "name": "Zed", "nick": "Z" }), "nick"),
        (json!({}), "name"),
    ] {
        let reply = api.post("/api/v1/agents", &body).await;
        assert_eq!(fields(&reply), [field], "{body}: {}", reply.text);
        assert!(!reply.text.contains("struct "), "{}", reply.text);
    }
    for list in [json!(["Zed", "zed", null]), json!("Zed"), json!(null)] {
        let reply = api.post("/api/v1/agents", &list).await;
        assert!(fields(&reply).is_empty(), "{}", reply.text);
        assert_eq!(reply.json()["code"], "bad_json");
    }
    assert_eq!(api.get("/api/v1/agents").await.json()["items"], json!([]));
    for (path, field) in [
        ("/api/v1/agents?archived=banana", "archived"),
        ("/api/v1/runs?limit=x", "limit"),
        ("/api/v1/runs?state=banana", "state"),
        ("/api/v1/runs?after=zz", "after"),
        ("/api/v1/runs?agent=nobody", "agent"),
        ("/api/v1/runs?task=MC-99", "task"),
    ] {
        let reply = api.get(path).await;
        assert_eq!(fields(&reply), [field], "{path}: {}", reply.text);
    }
    work::agent(&hq, "Ada").await;
    assert_eq!(fields(&api.get("/api/v1/agents/ada/inbox?after=zz").await), ["after"]);
    api.post("/api/v1/tasks", &json!({ "title": "Prices" })).await;
    let runs = api.get("/api/v1/runs?task=MC-1&agent=ada").await;
    assert_eq!(runs.json()["items"], json!([]), "{}", runs.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_an_address_does_not_take_is_called_so() {
    let hq = TestHq::start().await;
    let reply = hq.api().await.call("DELETE", "/api/v1/tasks").await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.json()["status"], 405);
    assert_eq!(reply.json()["code"], "method_not_allowed");
    let allowed = reply.header("allow").expect("the methods that it takes");
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    let page = hq.owner().call("DELETE", "/w/marlow-cargo/tasks").await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(page.text.contains("supported here"), "{}", page.text);
    let openai = hq.api().await.call("DELETE", "/v1/models").await;
    assert_eq!(openai.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(openai.json()["error"]["code"], "method_not_allowed");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_with_its_key_changes_nothing_more() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let keyed = |key: &str| api.clone().with("idempotency-key", key);

    let token = json!({ "name": "Second", "scopes": ["read"] });
    let before = hq.owner().get("/api/v1/tokens").await.json();
    let refused = hq.owner().with("idempotency-key", "t").post("/api/v1/tokens", &token).await;
    assert_eq!(fields(&refused), ["Idempotency-Key"]);
    assert_eq!(hq.owner().get("/api/v1/tokens").await.json(), before);

    api.post("/api/v1/tasks", &json!({ "title": "Prices" })).await;
    let comment = api.post("/api/v1/tasks/MC-1/comments", &json!({ "body": "Hm" })).await.json();
    let path = format!("/api/v1/comments/{}", comment["id"].as_str().expect("an id"));
    let gone = keyed("c").call("DELETE", &path).await;
    let again = keyed("c").call("DELETE", &path).await;
    assert_eq!((gone.status, &gone.text), (again.status, &again.text));
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);

    work::agent(&hq, "Ada").await;
    let limits = json!({ "month_micros": 5_000_000, "run_micros": 0 });
    for (method, path, body) in [
        ("PUT", "/api/v1/usage/limits", limits),
        ("PATCH", "/api/v1/settings", json!({ "emoji": "🚲" })),
        ("POST", "/api/v1/agents/ada/pause", json!({})),
        ("PUT", "/api/v1/connections/default", json!({ "model": "practice" })),
    ] {
        let first = keyed(path).json(method, path, &body).await;
        assert!(first.status.is_success(), "{path}: {}", first.text);
        let head = hq.ws().store.head();
        let again = keyed(path).json(method, path, &body).await;
        assert_eq!(first.text, again.text, "{path}");
        assert_eq!(hq.ws().store.head(), head, "{path}: nothing was written");
        let other = keyed(path).json(method, path, &json!({ "name": "Other" })).await;
        assert!(
            [409, 422].contains(&other.status.as_u16()),
            "{path}: another body with the same key: {}",
            other.text
        );
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_talks_with_an_agent_as_a_person_does() {
    let (hq, model, program) = work::with_program().await;
    assert_eq!(program.get("/api/v1/agents/ada/sessions").await.json()["items"], json!([]));
    let gate = Gate::new();
    model.push(Turn::text("Two tasks are open.").behind(&gate)).push(Turn::text("Good."));
    let (say, hello) = ("/api/v1/agents/ada/messages", json!({ "text": "What is open?" }));
    let keyed = program.clone().with("idempotency-key", "hello");
    let said = keyed.post(say, &hello).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    assert_eq!(keyed.post(say, &hello).await.json(), said.json(), "said once");
    let said = said.json();
    gate.reached().await;

    // During the run: a message to it, and a withdrawn one.
    let run = format!("/api/v1/runs/{}", said["run"].as_str().expect("a run"));
    let word = json!({ "text": "Only mine." });
    let steered = program.post(&format!("{run}/messages"), &word).await;
    assert_eq!(steered.status, StatusCode::CREATED, "{}", steered.text);
    let session = format!("/api/v1/sessions/{}", said["session"].as_str().expect("a session"));
    let shown = program.get(&session).await.json();
    assert_eq!((&shown["yours"], &shown["active_run"]), (&json!(true), &said["run"]));
    assert_eq!(shown["waiting"][0]["text"], "Only mine.");
    let message = steered.json()["message"].as_str().expect("a message").to_owned();
    let cancel = format!("/api/v1/messages/{message}/cancel");
    let stranger = hq.another("Jonas", Some(Role::Member)).await;
    assert_eq!(stranger.post(&cancel, &json!({})).await.status, StatusCode::NOT_FOUND);
    let taken = program.post(&cancel, &json!({})).await;
    assert_eq!(taken.json()["state"], "cancelled", "{}", taken.text);
    gate.open();
    hq.settle().await;

    let events = format!("{session}/events");
    let first = program.get(&format!("{events}?limit=1")).await.json();
    assert_eq!(first["items"][0]["kind"], "run_started", "{first}");
    let next = first["next"].as_str().expect("there is more");
    let rest = program.get(&format!("{events}?after={next}")).await;
    let told = rest.json();
    let input = told["items"].as_array().expect("events").iter().find(|one| one["kind"] == "input");
    assert_eq!(input.expect("a message")["content"]["text"], "What is open?", "{}", rest.text);
    assert!(rest.text.contains("Two tasks are open.") && !rest.text.contains("Only mine."));
    assert_eq!(rest.json()["next"], Value::Null);
    let ended = program.post(&format!("{run}/messages"), &word).await;
    assert_eq!(ended.status, StatusCode::CONFLICT, "{}", ended.text);
    assert_eq!(fields(&program.post(say, &json!({ "body": "x" })).await), ["body"]);
    assert_eq!(program.post(say, &json!({ "text": " " })).await.status, 422);

    // A new conversation; the former one stays.
    let anew = program.post("/api/v1/agents/ada/sessions", &json!({})).await.json();
    assert_ne!(anew["id"], said["session"]);
    let listed = program.get("/api/v1/agents/ada/sessions").await.json();
    let yours: Vec<&Value> = listed["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["yours"] == true)
        .collect();
    assert_eq!((yours.len(), &yours[0]["id"]), (1, &anew["id"]));
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));

    // Others cannot see it, or write without the right.
    for path in [&session, &events] {
        assert_eq!(stranger.get(path).await.status, StatusCode::NOT_FOUND);
    }
    let reader = hq.token(&["read"]).await;
    assert_eq!(reader.post(say, &hello).await.status, StatusCode::FORBIDDEN);
    assert_eq!(program.post("/api/v1/agents/bob/messages", &hello).await.status, 404);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_changes_says_where_it_begins_and_goes_on_from_there() {
    let hq = TestHq::start().await;
    let (reader, api) = (hq.token(&["read"]).await, hq.api().await);
    let mut stream = reader.stream("/api/v1/changes").await;
    let place = stream.place().await;
    assert_eq!(place, hq.ws().store.head().to_string());
    drop(stream);
    api.post("/api/v1/tasks", &json!({ "title": "Prices" })).await;
    let resumed = reader.clone().with("last-event-id", &place);
    let change = resumed.stream("/api/v1/changes").await.next_of("change").await;
    assert!(change.data.contains("tasks"), "{}", change.data);

    for header in ["junk", "start!"] {
        let reply = reader.clone().with("last-event-id", header).get("/api/v1/changes").await;
        assert_eq!(fields(&reply), ["Last-Event-ID"], "{header}");
    }
    // A page with an unreadable cursor starts afresh.
    let mut page = hq.owner().stream("/w/marlow-cargo/events?after=junk").await;
    let told = page.next().await.expect("a message");
    let now = web::sse::Position::now(&hq.ws()).to_string();
    assert_eq!((told.event.as_str(), told.id), ("hq-resync", now));
    hq.finish().await;
}
