//! Everything that a noun gets from its descriptor (history, undo, search, activity, triggers, links, export, doctor)
//! and from its ops and field table (API, tools, page).

use std::ops::ControlFlow;
use std::time::Duration;

use entity::{Entity, Field, InputKind};
use kernel::{Actor, Assignee, Can, Cause, Error, RowAct};
use kit::{Answers, Noun, On, Op, Page, Row, Run};
use sample::{BOAT, BOATS, Boat, BoatId};
use serde_json::{Value, json};
use store::{Range, ReadExt as _, StoreError, doctor};
use support::hq::{Person, TestHq};
use support::work;
use tool::Effect;

/// Operations that fail in one of their two parts.
static WRECKS: Noun = Noun {
    ops: &[
        Op { name: "sink", run: Run::Write(|_, _| panic!("a hole in a rule")), ..SINK },
        Op {
            name: "strand",
            run: Run::Prepared(
                |_, _| panic!("a hole before the rule"),
                |_, _, _| Ok(kit::Reply::Empty),
            ),
            ..SINK
        },
        Op {
            name: "salvage",
            verb: "Salvage",
            input: &[Field::entered("boat", "boat that helps", InputKind::Record("boat"))],
            run: Run::Write(|cx, _| match cx.text("boat") {
                "" if !cx.input.contains_key("boat") => Ok(kit::Reply::Empty),
                name => Err(Error::field("boat", format!("{name} is away."))),
            }),
            ..SINK
        },
    ],
    page: Some(Page {
        title: "Wrecks",
        row: Row::plain,
        live: Vec::new,
        delete: "It is gone for good.",
        tabs: &[],
        detail: kit::no_detail,
        others: kit::no_others,
    }),
    commands: false,
    ..Noun::of(&BOAT, "wrecks", "Boats again.")
};

const SINK: Op = Op {
    name: "sink",
    on: On::All,
    can: Can::Write,
    effect: Effect::Change,
    about: "Sink",
    verb: "Sink",
    done: "Sunk",
    confirm: "",
    input: &[],
    answers: Answers::Empty,
    tool: false,
    guide: kit::no_guide,
    links: &[],
    offered: kit::always,
    run: Run::Write(|_, _| Ok(kit::Reply::Empty)),
};

/// An HQ with the noun boats.
async fn harbour() -> TestHq {
    static ENTITIES: [&Entity; 1] = [&BOAT];
    static NOUNS: [&Noun; 3] = [&interfaces_work::tasks::labels::LABELS, &BOATS, &WRECKS];
    features::cards::install(&ENTITIES);
    kit::registry::install(&NOUNS);
    TestHq::start().await
}

/// The owner, acting through a request.
fn by(hq: &TestHq) -> (Actor, Cause) {
    (work::owner(hq).0, Cause::Request([7; 16]))
}

/// Creates a boat as the owner.
async fn boat(hq: &TestHq, name: &'static str, size: u32) -> BoatId {
    let by = by(hq);
    let made = hq.ws().write(&by, move |tx| {
        let boat = Boat { id: tx.new_id(), name: name.to_owned(), size, parent: None };
        tx.put(&boat)?;
        tx.emit(BOAT.event(&boat.id, RowAct::Created));
        Ok::<_, StoreError>(boat.id)
    });
    made.await.expect("a boat")
}

async fn change(hq: &TestHq, id: BoatId, how: impl FnOnce(&mut Boat) + Send + 'static) {
    let by = by(hq);
    let changed = hq.ws().write(&by, move |tx| {
        let old: Boat = tx.get(id)?.ok_or(StoreError::Stale)?;
        let mut boat = old.clone();
        how(&mut boat);
        tx.put(&boat)?;
        tx.emit(BOAT.changed(&old, &boat));
        Ok::<_, StoreError>(())
    });
    changed.await.expect("a change");
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
async fn history_uses_the_labels_of_the_noun_and_undo_restores_values() {
    let hq = harbour().await;
    let (api, id) = (hq.api().await, boat(&hq, "Dora", 7).await);
    let skipper = work::owner(&hq).0.account().expect("a person");
    change(&hq, id, move |boat| (boat.size, boat.parent) = (12, Some(Assignee::Person(skipper))))
        .await;

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
    assert_eq!((kept(&hq, id).size, kept(&hq, id).parent), (7, None::<Assignee>));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boats_appear_in_search_activity_and_the_feed() {
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
async fn routines_start_on_changes_and_tasks_link_to_boats() {
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
    assert_eq!(linked.json()["path"], "settings/boats");

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
async fn exports_include_boats_and_doctor_checks_them() {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_generated_operations_work() {
    let hq = harbour().await;
    support::walk::Walk::all(&hq, &BOATS, None).await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_and_field_limits_apply_to_api_page_and_operations() {
    let hq = harbour().await;
    let (api, owner) = (hq.api().await, hq.owner());
    let made = api.post("/api/v1/boats", &json!({ "name": "Elsa", "size": 8 })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let longer = api.post("/api/v1/boats/elsa/lengthen", &json!({ "by": 2 })).await;
    assert_eq!(longer.json()["size"], 10, "{}", longer.text);
    for by in [json!(0), json!(51), json!("two"), Value::Null] {
        let refused = api.post("/api/v1/boats/elsa/lengthen", &json!({ "by": by })).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["errors"][0]["field"].clone()),
            (422, json!("by"))
        );
    }
    let refused = api.json("PATCH", "/api/v1/boats/elsa", &json!({ "name": "A/B" })).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let here = "/w/marlow-cargo/settings/boats";
    let page = owner.get(&format!("{here}?edit={id}")).await;
    assert!(page.text.contains("Lengthen boat"), "{}", page.text);
    let sent = owner.form(&format!("{here}/{id}/lengthen"), &[("by", "5")]).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let wrong = owner.form(&format!("{here}/{id}/lengthen"), &[("by", "90")]).await;
    assert!(wrong.text.contains("Enter a whole number between 1 and 50."), "{}", wrong.text);
    assert_eq!(api.get("/api/v1/boats/elsa").await.json()["size"], 15);
    // Operations validate against the field table, too.
    ok_size(&api, "elsa", 490).await;
    let beyond = owner.form(&format!("{here}/{id}/lengthen"), &[("by", "50")]).await;
    assert_eq!(beyond.status, 422, "{}", beyond.text);
    assert!(beyond.text.contains("Enter a whole number between 0 and 500."), "{}", beyond.text);
    ok_size(&api, "elsa", 15).await;
    // Two people change the same boat: the second gets a conflict and keeps the typed text.
    let rev = page.attr("input[name=rev]", "value");
    let late = owner
        .form(&format!("{here}/{id}"), &[("rev", &rev), ("name", "Elsa II"), ("size", "9")])
        .await;
    assert_eq!(late.status, 409, "{}", late.text);
    assert!(late.text.contains("You, in another window"), "{}", late.text);
    assert_eq!(late.attr("#f-name", "value"), "Elsa II");
    hq.finish().await;
}

async fn ok_size(api: &Person, name: &str, size: u32) {
    let set = api.json("PATCH", &format!("/api/v1/boats/{name}"), &json!({ "size": size })).await;
    assert_eq!(set.json()["size"], size, "{}", set.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_operation_returns_500_and_later_requests_work() {
    let hq = harbour().await;
    let api = hq.api().await;
    for name in ["sink", "strand"] {
        let failed = api.post(&format!("/api/v1/wrecks/{name}"), &json!({})).await;
        assert_eq!(failed.status, 500, "{name}: {}", failed.text);
        assert!(!failed.text.contains("a hole"), "{}", failed.text);
    }
    let made = api.post("/api/v1/boats", &json!({ "name": "Still here" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_name_does_not_select_the_only_boat() {
    let hq = harbour().await;
    let (api, owner) = (hq.api().await, hq.owner());
    assert_eq!(api.post("/api/v1/boats", &json!({ "name": "Only" })).await.status, 201);
    assert_eq!(api.post("/api/v1/boats/%20/lengthen", &json!({ "by": 1 })).await.status, 404);
    let page = owner.get("/w/marlow-cargo/settings/boats").await;
    assert_eq!(page.attr("#f-name", "value"), "", "the form is for a new boat");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_several_records_have_selects_none() {
    let hq = harbour().await;
    let api = hq.api().await;
    let first = boat(&hq, "Dora", 7).await.to_string();
    boat(&hq, "dora", 9).await;
    let refused = api.post("/api/v1/boats/Dora/lengthen", &json!({ "by": 1 })).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["code"].clone()),
        (409, json!("ambiguous_name"))
    );
    let path = format!("/api/v1/boats/{first}/lengthen");
    assert_eq!(api.post(&path, &json!({ "by": 1 })).await.status, 200);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_not_required_may_be_left_out_of_a_form() {
    let hq = harbour().await;
    let id = boat(&hq, "Dora", 7).await.to_string();
    let (owner, here) = (hq.owner(), "/w/marlow-cargo/settings/wrecks");
    let page = owner.get(here).await;
    assert_eq!(page.attrs("[name=boat] option", "value"), ["", &*id], "{}", page.text);
    let without = owner.form(&format!("{here}/all/salvage"), &[("boat", "")]).await;
    assert_eq!(without.status, 303, "{}", without.text);
    let with = owner.form(&format!("{here}/all/salvage"), &[("boat", &id)]).await;
    assert_eq!(with.status, 422, "{}", with.text);
    assert!(with.text.contains(&format!("{id} is away.")), "{}", with.text);
    let chosen = with.attrs("[name=boat] option[selected]", "value");
    assert_eq!(chosen, [id], "what was chosen stays");
    hq.finish().await;
}
