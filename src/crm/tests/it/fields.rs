//! Tests of fields and choices in every script, of fields that only accept suggestions from agents, and of reverting
//! cells.

use kernel::Outcome;
use serde_json::{Value, json};
use support::hq::{Person, Reply, TestHq};
use support::model::Turn;
use support::office::Office;
use support::work::{made, names};

use crate::{HERE, patched};

/// "город" in an address.
const CITY: &str = "%D0%B3%D0%BE%D1%80%D0%BE%D0%B4";

fn refused(reply: &Reply, says: &str) {
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert!(reply.text.contains(says), "{says}: {}", reply.text);
}

fn keys(field: &Value) -> Vec<&str> {
    let all = field["choices"].as_array().expect("choices");
    all.iter().map(|one| one["key"].as_str().expect("a key")).collect()
}

fn labels(all: &[&str]) -> Value {
    all.iter().map(|label| json!({ "label": label })).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_and_choices_of_every_script_have_keys_of_their_own() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let city =
        json!({ "label": "Город", "kind": "select", "choices": labels(&["Рига", "C", "C++"]) });
    let city = made(&api, "fields?of=contacts", city).await;
    assert_eq!((&city["key"], keys(&city)), (&json!("город"), vec!["рига", "c", "c_2"]));
    let rosa = json!({ "name": "Rosa", "город": "C++", "tags": "C, C#" });
    let rosa = made(&api, "contacts", rosa).await;
    assert_eq!((&rosa["город"], &rosa["tags"]), (&json!("c_2"), &json!(["C", "C#"])));
    assert_eq!(names(&api, &format!("contacts?q={CITY}:C%2B%2B")).await, ["Rosa"]);
    assert!(names(&api, &format!("contacts?q={CITY}:C")).await.is_empty());
    // Keys stay with their labels in any order.
    let second = json!({ "choices": labels(&["C#", "C++", "C", "Рига"]) });
    let second = patched(&api, &format!("fields/{CITY}?of=contacts"), second).await;
    assert_eq!(keys(&second.json()), ["c_3", "c_2", "c", "рига"], "{}", second.text);
    let twice = json!({ "label": "Size", "kind": "select", "choices": labels(&["Big", "big"]) });
    refused(&api.post("/api/v1/fields?of=contacts", &twice).await, "appears twice");

    let due = made(&api, "fields?of=contacts", json!({ "label": "Due" })).await;
    assert_eq!(due["key"], "due_2", "the word means something else in a list");
    let role = api.post("/api/v1/fields?of=contacts", &json!({ "label": "Role" })).await;
    refused(&role, "already a field \\\"Role\\\"");
    let kind = json!({ "kind": "number" });
    refused(&patched(&api, "fields/due_2?of=contacts", kind).await, "convert its values");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_find_parts_of_names_and_of_phones_and_refuse_orders_that_mean_nothing() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    for (name, organization, phone) in
        [("Rosa", "Brandt Bakery", "+49 40 2026 11"), ("Jana", "Harbour", ""), ("Piet", "none", "")]
    {
        let body = json!({ "name": name, "organization": organization, "phone": phone });
        made(&api, "contacts", body).await;
    }
    assert_eq!(names(&api, "organizations?sort=name").await, ["Brandt Bakery", "Harbour"]);
    assert_eq!(names(&api, "contacts?q=org:bakery").await, ["Rosa"]);
    assert_eq!(names(&api, "contacts?q=org:bakery,harbour&sort=name").await, ["Jana", "Rosa"]);
    refused(&api.get("/api/v1/contacts?q=org:nobody").await, "Nothing is called");
    assert_eq!(names(&api, "contacts?q=402026").await, ["Rosa"]);
    assert!(names(&api, "contacts?q=sv-2026").await.is_empty(), "that is no part of a phone");
    refused(&api.get("/api/v1/contacts?sort=nmae").await, "Did you mean \\\"name\\\"");
    refused(&api.get("/api/v1/contacts?fields=emial").await, "Did you mean \\\"email\\\"");
    let short = api.get("/api/v1/contacts?q=rosa&fields=phone").await.json();
    let short = &short["items"][0];
    assert_eq!(
        (&short["name"], &short["phone"], &short["stage"]),
        (&json!("Rosa"), &json!("+49 40 2026 11"), &Value::Null)
    );

    // A field has precedence over the alias of a customer field.
    made(&api, "collections", json!({ "name": "Bikes" })).await;
    let status = json!({ "label": "Status", "kind": "select", "choices": labels(&["Rented"]) });
    made(&api, "fields?of=Bikes", status).await;
    made(&api, "collections/Bikes/records", json!({ "name": "31", "status": "Rented" })).await;
    assert_eq!(names(&api, "collections/Bikes/records?q=status:rented").await, ["31"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_suggested_makes_nothing_and_is_checked_when_it_is_taken_over() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    let api = office.hq.api().await;
    made(&api, "fields?of=contacts", json!({ "label": "Budget", "kind": "number" })).await;
    for field in ["organization", "tags", "email", "budget", "stage"] {
        let suggest = json!({ "agents": "suggest" });
        let done = patched(&api, &format!("fields/{field}?of=contacts"), suggest).await;
        assert_eq!(done.status, 200, "{}", done.text);
    }
    let values = json!({
        "name": "Jana", "phone": "040 555 01", "email": "jana@example.com",
        "organization": "Brandt", "tags": "VIP", "budget": 5,
    });
    office.model.push(Turn::call("contact_create", json!({ "items": [{ "values": values }] })));
    let run = office.say(&ada, "Add her").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let result = &office.results(run)[0].2;
    assert!(result.contains("Agents can only suggest") && result.contains("suggested"), "{result}");
    assert!(!result.contains("A person entered"), "{result}");
    let jana = api.get("/api/v1/contacts/Jana").await.json();
    assert_eq!(
        (&jana["email"], &jana["organization"], &jana["tags"], &jana["stage"], &jana["phone"]),
        (&Value::Null, &Value::Null, &Value::Null, &json!("lead"), &json!("040 555 01")),
        "{jana}"
    );
    assert!(names(&api, "organizations").await.is_empty());
    let at = format!("contacts/{}", jana["id"].as_str().expect("an id"));
    let waits = jana["suggestions"].as_array().expect("suggestions").clone();
    assert_eq!(waits.len(), 4, "{waits:?}");
    let of = |field: &str| {
        let one = waits.iter().find(|one| one["field"] == field).expect("a suggestion");
        one["id"].as_str().expect("an id").to_owned()
    };

    // Suggestions for a field are deleted with it.
    assert_eq!(api.call("DELETE", "/api/v1/fields/budget?of=contacts").await.status, 204);
    let all = api.get("/api/v1/suggestions").await.json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(3), "{all}");

    // A suggestion that cannot be accepted stays, with the reason.
    made(&api, "contacts", json!({ "name": "Piet", "email": "jana@example.com" })).await;
    let ids = ["email", "organization", "tags"].map(of);
    let take = json!({ "ids": ids, "take": true });
    let done = api.post("/api/v1/suggestions", &take).await.json();
    assert_eq!((&done["decided"], &done["stayed"][0]["id"]), (&json!(2), &json!(ids[0])), "{done}");
    let why = done["stayed"][0]["why"].as_str().unwrap_or_default();
    assert!(why.contains("already belongs to Piet"), "{why}");
    let jana = api.get(&format!("/api/v1/{at}")).await.json();
    assert_eq!(jana["organization"]["name"], "Brandt", "{jana}");
    assert_eq!(jana["tags"], json!(["VIP"]));
    let alone = format!("/api/v1/suggestions/{}/take", ids[0]);
    refused(&api.post(&alone, &json!({})).await, "already belongs to Piet");
    assert_eq!(patched(&api, &at, json!({ "archived": true })).await.status, 200);
    let archived = api.post(&alone, &json!({})).await;
    assert_eq!(archived.status, 409, "{}", archived.text);
    assert!(archived.text.contains("archived"), "{}", archived.text);
    assert_eq!(patched(&api, &at, json!({ "archived": false })).await.status, 200);

    a_cell_goes_back(&office, &api, &at).await;
    office.hq.finish().await;
}

/// Values of an agent are reverted cell by cell; the history of a field shows only its own changes.
async fn a_cell_goes_back(office: &Office, api: &Person, at: &str) {
    let owner = office.hq.owner();
    let page = format!("{HERE}/{at}");
    let shown = owner.get(&page).await;
    assert!(shown.text.contains(&format!("history/{at}?field=phone")), "{}", shown.text);
    let back = format!("{page}/back");
    assert_eq!(owner.form(&back, &[("field", "phone")]).await.status, 303);
    assert_eq!(api.get(&format!("/api/v1/{at}")).await.json()["phone"], Value::Null);
    assert_eq!(patched(api, at, json!({ "phone": "040 555 02" })).await.status, 200);
    assert_eq!(patched(api, at, json!({ "phone": "040 555 03" })).await.status, 200);
    let field = json!({ "field": "phone" });
    let undone = api.post(&format!("/api/v1/{at}/back"), &field).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    assert_eq!(undone.json()["phone"], "040 555 02");
    let history = owner.get(&format!("{HERE}/history/{at}?field=phone")).await;
    let text = history.text_of("#history");
    assert!(text.contains("Show all changes") && text.contains("040 555 03"), "{text}");
    assert!(!text.contains("Brandt"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_becomes_a_collection_of_its_name() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let form = |file: &str, text: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\r\n{text}\r\n--xyz--\r\n").into_bytes()
    };
    let (at, kind) = (format!("{HERE}/collections/from-file"), "multipart/form-data; boundary=xyz");
    let nothing = owner.bytes("POST", &at, kind, form("", "")).await;
    assert_eq!(nothing.status, 422, "{}", nothing.text);
    assert!(nothing.text.contains("Choose a file"), "{}", nothing.text);
    let text = "Name;Frame\n31;Steel\n";
    let sent = owner.bytes("POST", &at, kind, form("our_bikes.csv", text)).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let mapping = owner.get(sent.location().expect("the mapping")).await;
    assert!(mapping.text.contains("Our bikes"), "{}", mapping.text);
    let all = api.get("/api/v1/collections").await.json();
    assert_eq!(all["items"][0]["name"], "Our bikes", "{all}");
    let second = owner.bytes("POST", &at, kind, form("our_bikes.csv", text)).await;
    assert_eq!(second.status, 422, "{}", second.text);
    assert!(second.text.contains("already a collection"), "{}", second.text);
    hq.finish().await;
}
