//! What a noun gets by its card: history, undo, search, activity, a routine's trigger, links, an export, a doctor's
//! check. Nothing else of HQ knows boats.

use std::ops::ControlFlow;
use std::time::Duration;

use entity::Entity;
use kernel::{AccountId, Actor, Cause};
use sample::{BOAT, Boat, BoatId, rules};
use serde_json::{Value, json};
use store::{Range, ReadExt as _, doctor};
use support::hq::{Person, TestHq};
use support::work;

/// HQ with boats.
async fn harbour() -> TestHq {
    static NOUNS: [&Entity; 1] = [&BOAT];
    features::cards::install(&NOUNS);
    TestHq::start().await
}

/// The owner, by a request.
fn by(hq: &TestHq) -> (Actor, Cause) {
    (work::owner(hq).0, Cause::Request([7; 16]))
}

/// A boat that the owner made.
async fn boat(hq: &TestHq, name: &'static str, size: u32) -> BoatId {
    let by = by(hq);
    hq.ws().write(&by, move |tx| rules::create(tx, name, size)).await.expect("a boat")
}

async fn change(hq: &TestHq, id: BoatId, how: impl FnOnce(&mut Boat) + Send + 'static) {
    let by = by(hq);
    hq.ws().write(&by, move |tx| rules::change(tx, id, how)).await.expect("a change");
}

fn kept(hq: &TestHq, id: BoatId) -> Boat {
    hq.ws().read(|snap| snap.get::<Boat>(id)).expect("readable").expect("a boat")
}

async fn history(api: &Person, id: BoatId) -> Vec<Value> {
    let told = api.get(&format!("/api/v1/history/boats/{id}")).await;
    assert_eq!(told.status, 200, "{}", told.text);
    told.json()["items"].as_array().expect("versions").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_history_is_told_in_its_own_words_and_goes_back() {
    let hq = harbour().await;
    let (api, id) = (hq.api().await, boat(&hq, "Dora", 7).await);
    let skipper = work::owner(&hq).0.account().expect("a person");
    change(&hq, id, move |boat| (boat.size, boat.parent) = (12, Some(skipper))).await;

    let told = history(&api, id).await;
    assert_eq!(told.len(), 2);
    let page = hq.owner().get(&format!("/w/marlow-cargo/history/boats/{id}")).await;
    for words in ["Boat Dora", "Length in metres", "Skipper", "Mira Lindqvist"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    for others in ["Size in bytes", "Part of"] {
        assert!(!page.text.contains(others), "{others} is a word of other nouns");
    }

    let body =
        json!({ "change": { "seq": told[0]["seq"], "table": "boats", "id": id.to_string() } });
    let seen = api.post("/api/v1/undo/preview", &body).await;
    assert_eq!(seen.json()["back"][0]["title"], "Boat Dora", "{}", seen.text);
    let done = api.post("/api/v1/undo", &body).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!((kept(&hq, id).size, kept(&hq, id).parent), (7, None::<AccountId>));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_found_and_what_happened_to_it_is_told() {
    let hq = harbour().await;
    let (api, id) = (hq.api().await, boat(&hq, "Seagull", 9).await);
    change(&hq, id, |boat| boat.size = 10).await;

    let found = api.get("/api/v1/search?q=seagull").await.json();
    let hit = &found["items"][0];
    assert_eq!((&hit["title"], &hit["type"]), (&json!("Seagull"), &json!("boat")), "{found}");
    assert_eq!(hit["id"], id.to_string(), "{found}");
    let page = hq.owner().get("/w/marlow-cargo/search?q=seagull&kind=boat").await;
    assert!(page.text.contains("Boats") && page.text.contains("Seagull"), "{}", page.text);

    let told = api.get("/api/v1/activity?event=boat.changed").await.json();
    let text = told["items"][0]["text"].as_str().unwrap_or_default();
    assert!(text.ends_with("changed the boat Seagull"), "{told}");
    let entries = api.get("/api/v1/changes?after=start&kinds=boat.*").await;
    let data = entries.json()["items"][1]["events"][0].clone();
    let wanted =
        json!({ "name": "boat.changed", "data": { "boat": id.to_string(), "fields": ["size"] } });
    assert_eq!(data, wanted, "{}", entries.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_waits_for_it_and_a_link_leads_to_it() {
    let hq = harbour().await;
    let (api, id) = (hq.api().await, boat(&hq, "Alma", 5).await);
    let task = api.post("/api/v1/tasks", &json!({ "title": "Paint her" })).await.json();
    let key = task["key"].as_str().expect("a key").to_owned();
    let linked =
        api.post(&format!("/api/v1/tasks/{key}/links"), &json!({ "target": "boat:alma" })).await;
    assert_eq!(
        (linked.status.as_u16(), &linked.json()["name"]),
        (201, &json!("Alma")),
        "{}",
        linked.text
    );
    assert_eq!(linked.json()["path"], format!("boats/{id}"));

    let events = api.get("/api/v1/routines/events").await.json();
    let all = events["items"].as_array().expect("events");
    let one = all.iter().find(|one| one["event"] == "boat.changed").expect("of boats");
    let names: Vec<_> =
        one["fields"].as_array().expect("fields").iter().map(|one| &one["name"]).collect();
    for name in ["title", "size", "old_size", "parent", "changed", "actor"] {
        assert!(names.contains(&&json!(name)), "{name}: {names:?}");
    }
    let agent = json!({ "name": "Ada", "template": "assistant" });
    assert_eq!(api.post("/api/v1/agents", &agent).await.status, 201);
    hq.settle().await;
    let routine = json!({
        "name": "Longer boats", "agent": "ada", "instruction": "Look at {{title}}: {{size}} m",
        "event": { "when": "boat.changed", "all": [{ "field": "size", "op": "greater", "value": "8" }] },
    });
    let made = api.post("/api/v1/routines", &routine).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/api/v1/routines/{}", made.json()["id"].as_str().expect("an id"));
    change(&hq, id, |boat| boat.size = 6).await;
    change(&hq, id, |boat| boat.size = 11).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let firings = api.get(&format!("{path}/runs")).await.json();
        if let Some(one) = firings["items"].get(0) {
            assert_eq!(firings["items"].as_array().map(Vec::len), Some(1), "{firings}");
            assert!(one.to_string().contains("Alma"), "{one}");
            break;
        }
        assert!(tokio::time::Instant::now() < end, "it did not fire");
        tokio::task::yield_now().await;
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_along_with_an_export_and_doctor_looks_at_it() {
    let hq = harbour().await;
    boat(&hq, "Whole", 4).await;
    let flat = boat(&hq, "Flat", 0).await;
    let ws = hq.ws();
    let found = ws
        .read_blocking(|ws| doctor::diagnose(&ws.store, &mut |_| ControlFlow::Continue(())))
        .await
        .expect("a diagnosis");
    let said: Vec<_> =
        found.differences.iter().map(|one| (&*one.table, &*one.of, &*one.what)).collect();
    assert_eq!(said, [("boats", flat.to_string().as_str(), "it has no length")]);
    drop(ws);

    let file = hq.api().await.download("/api/v1/export").await;
    let (status, text) = hq.api().await.post_bytes("/api/v1/import?slug=second", file).await;
    assert_eq!(status, 201, "{text}");
    let second = hq.running().app.workspace("second").expect("a workspace");
    let all: Vec<Boat> = second.read(|snap| snap.list(&Range::all())).expect("readable");
    let names: Vec<_> = all.iter().map(|boat| boat.name.as_str()).collect();
    assert_eq!(names, ["Whole", "Flat"]);
    drop(second);
    hq.finish().await;
}
