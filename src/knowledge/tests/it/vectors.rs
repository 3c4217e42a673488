//! Embeddings by a connection instead of the local model, with a scripted server.

use std::time::Duration;

use features::connections::model::Wire;
use features::connections::provider::seal_key;
use features::connections::rules::{NewConnection, create};
use features::usage::model::Usage;
use kernel::{Actor, CallKind, Cause, Part, Payer};
use loopback::{Step, answer, serving};
use parking_lot::Mutex;
use serde_json::{Value, json};
use store::{Range, ReadExt as _};
use support::hq::{Person, TestHq};

use crate::HERE;

const KEY: &str = "sk-vectors-0123456789";
const GROUPS: [&[&str]; 3] = [&["dog", "canine"], &["rain", "downpour"], &["warm", "mild"]];
const SMALL: &str = "text-embedding-3-small";

/// Behaviour of the server.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Answers,
    /// Rate limit of one second.
    Limits,
    /// The key is invalid.
    Refuses,
}

/// The vector of a text: words of a group have the same meaning, other words have none.
fn vector(text: &str) -> [f32; 4] {
    let mut vector = [0.3, 0.0, 0.0, 0.0];
    for (group, words) in GROUPS.iter().enumerate() {
        if words.iter().any(|word| text.to_lowercase().contains(word)) {
            vector[group + 1] = 1.0;
        }
    }
    vector
}

/// The server's response; `slow` is a model that rejects passages.
fn script(request: &str, does: Does) -> Vec<Step> {
    let (head, body) = request.split_once("\r\n\r\n").expect("a request");
    if !head.starts_with("POST /v1/embeddings") {
        return answer("404 Not Found", "", "{}");
    }
    let body: Value = serde_json::from_str(body).expect("JSON");
    let texts: Vec<&str> =
        body["input"].as_array().expect("texts").iter().filter_map(Value::as_str).collect();
    let is_slow = body["model"] == "slow" && texts.iter().any(|text| text.contains('\n'));
    if does == Does::Limits || is_slow {
        let after = if is_slow { 3_600 } else { 1 };
        let headers = format!("retry-after: {after}\r\n");
        let words = format!(r#"{{"error":{{"message":"slower, {KEY}"}}}}"#);
        return answer("429 Too Many Requests", &headers, words);
    }
    if does == Does::Refuses {
        return answer("401 Unauthorized", "", r#"{"error":{"message":"Incorrect API key"}}"#);
    }
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({ "index": index, "embedding": vector(text) }))
        .collect();
    let whole = json!({ "data": data, "usage": { "prompt_tokens": 7 } });
    answer("200 OK", "content-type: application/json\r\n", whole.to_string())
}

async fn connected(hq: &TestHq, base_url: String) {
    let ws = hq.ws();
    let new = NewConnection {
        name: "Far".to_owned(),
        wire: Wire::OpenaiChat,
        base_url,
        key: seal_key(&ws.app, KEY),
        default_model: Some("mock".to_owned()),
    };
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let made = ws.write(&by, move |tx| create(tx, new));
    made.await.expect("a connection");
}

async fn written(api: &Person, title: &str, text: &str) {
    let made = api.post("/api/v1/knowledge", &json!({ "title": title, "text": text })).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

async fn chosen(api: &Person, model: &str) -> support::hq::Reply {
    let body = json!({ "connection": "far", "model": model });
    api.json("PUT", "/api/v1/meaning/connection", &body).await
}

/// The state of semantic search, once it matches.
async fn until(api: &Person, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let state = api.get("/api/v1/meaning").await.json();
        if wanted(&state) {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn has(passages: u64) -> impl Fn(&Value) -> bool {
    move |state| state["passages"] == passages && state["waiting"] == 0
}

/// The text above the list of models.
async fn meter(owner: &Person) -> String {
    owner.get(&format!("{HERE}/settings/meaning")).await.text_of(".k-ready")
}

/// Everything is found, and the requests have a cost.
async fn is_ready(owner: &Person, state: &Value) {
    assert_eq!(state["says"], "Search is ready for keywords and meaning.");
    assert!(state["cost_a_day_micros"].is_i64(), "what was asked is paid: {state}");
    let meter = meter(owner).await;
    for text in ["is ready", "Indexed passages2", "Cost per day", "today, "] {
        assert!(meter.contains(text), "{text}: {meter}");
    }
}

/// One of three passages is not embedded.
async fn is_behind(owner: &Person, state: &Value) {
    assert_eq!(state["ready"], false, "{state}");
    let says = state["says"].as_str().unwrap_or_default();
    assert!(says.contains("1 passage not found by meaning yet"), "{says}");
    let meter = meter(owner).await;
    assert!(meter.contains("2 of 3"), "{meter}");
}

async fn titles(api: &Person, query: &str) -> Vec<String> {
    let all = api.get(&format!("/api/v1/knowledge?{query}")).await;
    assert_eq!(all.status, 200, "{}", all.text);
    let items = all.json()["items"].as_array().expect("items").clone();
    items.iter().map(|one| one["title"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_makes_vectors_that_are_paid_and_a_pause_loses_none() {
    let does = Mutex::new(Does::Answers);
    serving(
        |request| script(request, *does.lock()),
        async |address| {
            let hq = TestHq::start().await;
            let (api, owner) = (hq.api().await, hq.owner());
            connected(&hq, format!("http://{address}/v1")).await;
            written(&api, "Walks", "The dog goes out.").await;
            written(&api, "Weather", "We stay in when there is rain.").await;
            let able = api.get("/api/v1/meaning/connections").await.json();
            assert_eq!(able["items"][0]["name"], "Far", "{able}");
            let price = format!("/api/v1/meaning/price?connection=Far&model={SMALL}");
            let price = api.get(&price).await.json();
            assert_eq!((&price["passages"], &price["free"]), (&json!(2), &json!(false)));
            assert_eq!(price["micros"], 1, "a list price is known: {price}");
            let page = format!("{HERE}/settings/meaning?connection=Far&model={SMALL}");
            let page = owner.get(&page).await;
            assert!(page.text.contains("2 passages, about"), "{}", page.text);

            // A refusing server changes nothing, and the key in its message is not shown.
            for does_not in [Does::Refuses, Does::Limits] {
                *does.lock() = does_not;
                let refused = chosen(&api, SMALL).await;
                assert_eq!(refused.status, 409, "{}", refused.text);
                assert!(!refused.text.contains(KEY), "{}", refused.text);
                let form = [("connection", "Far"), ("model", SMALL)];
                let back = owner.form(&format!("{HERE}/settings/meaning/connection"), &form).await;
                assert_eq!(back.status, 303, "{}", back.text);
            }
            *does.lock() = Does::Answers;
            assert_eq!(api.get("/api/v1/meaning").await.json()["connection"], Value::Null);
            let none = json!({ "connection": "nowhere", "model": SMALL });
            let none = api.json("PUT", "/api/v1/meaning/connection", &none).await;
            assert_eq!(none.status, 404, "{}", none.text);
            assert_eq!(chosen(&api, " ").await.status, 422);

            let taken = chosen(&api, SMALL).await;
            assert_eq!(taken.status, 200, "{}", taken.text);
            assert_eq!(taken.json()["connection"]["dimensions"], 4, "{}", taken.text);
            let state = until(&api, |state| has(2)(state) && state["ready"] == true).await;
            is_ready(&owner, &state).await;
            assert_eq!(titles(&api, "q=canine").await, ["Walks"]);
            assert_eq!(titles(&api, "q=downpour").await, ["Weather"]);
            let near = async |q: &str| owner.get(&format!("{HERE}/knowledge/near?q={q}")).await;
            // The palette requires all words, so a partial match is found by meaning only.
            for q in ["canine", "dog+canine"] {
                let near = near(q).await;
                assert_eq!(near.texts("[role=option] .nowrap")[0], "Walks", "{q}: {}", near.text);
            }
            let by_word = near("dog").await;
            assert!(!by_word.text.contains("Walks"), "{}", by_word.text);

            // The connection serves the embedding endpoints, too.
            let own = api.post("/api/v1/embed", &json!({ "input": "dog" })).await.json();
            assert_eq!((&own["dimensions"], &own["model"]), (&json!(4), &json!(SMALL)), "{own}");
            let chat = hq.token(&["chat", "read"]).await;
            let body = json!({ "model": SMALL, "input": ["dog", "rain"], "dimensions": 2 });
            let made = chat.post("/v1/embeddings", &body).await;
            assert_eq!(made.status, 200, "{}", made.text);
            let first = made.json()["data"][0]["embedding"].as_array().map(Vec::len);
            assert_eq!((first, &made.json()["usage"]["total_tokens"]), (Some(2), &json!(7)));

            // Passages written during a rate limit are embedded automatically afterwards.
            *does.lock() = Does::Limits;
            written(&api, "Summer", "It is warm.").await;
            let state = until(&api, |state| state["trouble"] != "").await;
            let trouble = state["trouble"].as_str().unwrap_or_default();
            assert!(trouble.contains("retrying") && !trouble.contains(KEY), "{trouble}");
            is_behind(&owner, &state).await;
            *does.lock() = Does::Answers;
            let state = until(&api, has(3)).await;
            assert_eq!(state["trouble"], "", "{state}");
            assert_eq!(titles(&api, "q=mild").await, ["Summer"]);

            // Each call is booked, and no cost remains reserved.
            let used: Vec<Usage> = hq.ws().read(|snap| snap.list(&Range::all())).expect("usage");
            assert!(5 < used.len(), "{used:?}");
            for one in &used {
                assert_eq!(
                    (one.kind, &one.payers[..]),
                    (CallKind::Embedding, &[Payer::Workspace][..])
                );
                assert!(one.billed_micros.is_some() && one.output == 0, "{one:?}");
            }
            // Without budget no call is made.
            let limit = json!({ "limit_tokens": 1 });
            let set = api.json("PUT", "/api/v1/budgets/workspace/day", &limit).await;
            assert!(set.status.is_success(), "{}", set.text);
            let refused = chosen(&api, SMALL).await;
            assert!(refused.status == 409 && refused.text.contains("budget"), "{}", refused.text);

            let off = json!({ "connection": null });
            let off = api.json("PUT", "/api/v1/meaning/connection", &off).await.json();
            assert_eq!((&off["used"], &off["connection"]), (&Value::Null, &Value::Null), "{off}");
            assert!(titles(&api, "q=canine").await.is_empty());
            hq.finish().await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_former_vectors_answer_until_those_of_another_model_are_made() {
    serving(
        |request| script(request, Does::Answers),
        async |address| {
            let hq = TestHq::start().await;
            let api = hq.api().await;
            connected(&hq, format!("http://{address}/v1")).await;
            written(&api, "Walks", "The dog goes out.").await;
            assert_eq!(chosen(&api, SMALL).await.status, 200);
            until(&api, has(1)).await;
            assert_eq!(chosen(&api, "slow").await.status, 200);
            until(&api, |state| state["waiting"] == 1 && state["trouble"] != "").await;
            let hits = api.get("/api/v1/knowledge?q=canine").await.json();
            assert_eq!(hits["items"][0]["title"], "Walks", "{hits}");
            let unknown = hits["not_known_yet"].as_str().unwrap_or_default();
            assert!(unknown.contains("being recreated"), "{hits}");

            // The vectors of the first model still exist.
            assert_eq!(chosen(&api, SMALL).await.status, 200);
            until(&api, has(1)).await;
            assert_eq!(titles(&api, "q=canine").await, ["Walks"]);
            hq.finish().await;
        },
    )
    .await;
}
