//! Tests of tags as labels of the workspace, and of field conversions.

use crm::model::FieldDef;
use entity::Choice;
use features::tasks::model::label::Label;
use serde_json::{Value, json};
use store::{Range, ReadExt as _, StoreError, WriteTx};
use support::hq::{Person, TestHq};
use support::work::{self, made, names};

use crate::{HERE, over};

async fn shown(api: &Person, path: &str) -> Value {
    let shown = api.get(&format!("/api/v1/{path}")).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    shown.json()
}

async fn posted(api: &Person, path: &str, body: Value) -> Value {
    let done = api.post(&format!("/api/v1/{path}"), &body).await;
    assert_eq!(done.status, 200, "{}", done.text);
    done.json()
}

/// Number of uses of a label by kind.
async fn uses(api: &Person, name: &str) -> Value {
    let all = shown(api, "labels").await;
    let one = all["items"].as_array().expect("items").iter().find(|one| one["name"] == name);
    one.unwrap_or_else(|| panic!("no label {name}: {all}"))["uses"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_are_the_labels_of_tasks() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    made(&api, "tasks", json!({ "title": "Print flyers", "labels": ["VIP", "Fair"] })).await;
    made(&api, "contacts", json!({ "name": "Rosa", "tags": "vip, Press" })).await;
    made(&api, "contacts", json!({ "name": "Jana", "tags": ["press"] })).await;
    made(&api, "organizations", json!({ "name": "Brandt", "tags": "VIP" })).await;
    assert_eq!(names(&api, "labels").await, ["Fair", "Press", "VIP"], "one registry");
    assert_eq!(uses(&api, "VIP").await, json!({ "task": 1, "contact": 1, "organization": 1 }));
    let page = owner.get(&format!("{HERE}/settings/labels")).await;
    assert!(page.text.contains("2 contacts") && page.text.contains("1 organization"));

    // Renaming a label applies to both.
    let renamed = api.json("PATCH", "/api/v1/labels/VIP", &json!({ "name": "Key account" })).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text);
    assert_eq!(names(&api, "contacts?q=tag:%22key%20account%22").await, ["Rosa"]);
    let list = owner.get(&format!("{HERE}/contacts?columns=tags")).await;
    assert!(list.text.contains("Key account") && !list.text.contains("VIP"), "{}", list.text);

    // Merging labels applies everywhere, also where a record has both.
    posted(&api, "labels/Press/merge", json!({ "into": "Key account" })).await;
    assert_eq!(names(&api, "labels").await, ["Fair", "Key account"]);
    assert_eq!(names(&api, "contacts?q=tag:%22key%20account%22&sort=name").await, ["Jana", "Rosa"]);
    assert_eq!(shown(&api, "contacts/Rosa").await["tags"], json!(["Key account"]));
    posted(&api, "labels/Fair/merge", json!({ "into": "Key account" })).await;
    let task = &shown(&api, "tasks").await["items"][0];
    assert_eq!(task["labels"], json!(["Key account"]), "{task}");
    let into = json!({ "into": "key account" });
    let itself = api.post("/api/v1/labels/Key%20account/merge", &into).await;
    assert_eq!(itself.status, 422);

    // Choices of tags are labels and are changed there.
    let choices = json!({ "choices": [{ "label": "Other" }] });
    let refused = api.json("PATCH", "/api/v1/fields/tags?of=contacts", &choices).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("Settings, Labels"), "{}", refused.text);
    let odd = api.post("/api/v1/contacts", &json!({ "name": "X", "tags": ["+x"] })).await;
    assert_eq!(odd.status, 422, "{}", odd.text);

    // Deleting a label removes it everywhere.
    assert_eq!(api.call("DELETE", "/api/v1/labels/Key%20account").await.status, 200);
    for path in ["contacts/Rosa", "contacts/Jana", "organizations/Brandt"] {
        assert_eq!(shown(&api, path).await["tags"], Value::Null, "{path}");
    }
    assert!(names(&api, "labels").await.is_empty());
    hq.finish().await;
}

/// Titles found by the workspace search, sorted.
async fn found(api: &Person, words: &str) -> Vec<String> {
    let answer = shown(api, &format!("search?q={words}")).await;
    let items = answer["items"].as_array().expect("a list").iter();
    let mut all: Vec<String> =
        items.map(|item| item["title"].as_str().expect("a title").to_owned()).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_finds_records_by_what_their_tags_are_called_now() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    made(&api, "contacts", json!({ "name": "Rosa", "tags": "goldfish" })).await;
    made(&api, "contacts", json!({ "name": "Jana", "tags": "sparrow" })).await;
    made(&api, "organizations", json!({ "name": "Brandt", "tags": "goldfish, sparrow" })).await;
    assert_eq!(found(&api, "goldfish").await, ["Brandt", "Rosa", "goldfish"]);

    let renamed =
        api.json("PATCH", "/api/v1/labels/goldfish", &json!({ "name": "Pelican club" })).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text);
    assert_eq!(found(&api, "pelican").await, ["Brandt", "Pelican club", "Rosa"], "at once");
    assert_eq!(found(&api, "goldfish").await, [""; 0], "and by the former name no more");

    // Cells stay unchanged, but their key belongs to another label.
    made(&api, "labels", json!({ "name": "Egret" })).await;
    posted(&api, "labels/sparrow/merge", json!({ "into": "Egret" })).await;
    assert_eq!(found(&api, "egret").await, ["Brandt", "Egret", "Jana"]);
    assert_eq!(found(&api, "sparrow").await, [""; 0]);
    // If a record has both, one is removed.
    posted(&api, "labels/Egret/merge", json!({ "into": "Pelican club" })).await;
    assert_eq!(found(&api, "pelican").await, ["Brandt", "Jana", "Pelican club", "Rosa"]);

    assert_eq!(api.call("DELETE", "/api/v1/labels/Pelican%20club").await.status, 200);
    assert_eq!(found(&api, "pelican").await, [""; 0]);
    assert_eq!(found(&api, "rosa").await, ["Rosa"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_former_name_of_a_label_may_be_that_of_another_one() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let rosa = made(&api, "contacts", json!({ "name": "Rosa", "tags": ["zebra"] })).await;
    let renamed = api.json("PATCH", "/api/v1/labels/zebra", &json!({ "name": "giraffe" })).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text);
    assert_eq!(shown(&api, "contacts/Rosa").await["tags"], json!(["giraffe"]));
    assert_eq!(names(&api, "contacts?q=tag:zebra").await, ["Rosa"], "kept filters go on");
    let jana = made(&api, "contacts", json!({ "name": "Jana", "tags": ["zebra", "Äpfel"] })).await;
    assert_eq!(jana["tags"], json!(["zebra", "Äpfel"]), "a label of its own");
    assert_eq!(names(&api, "labels").await.len(), 3);
    for (name, who) in [("zebra", "Jana"), ("giraffe", "Rosa")] {
        assert_eq!(names(&api, &format!("contacts?q=tag:{name}")).await, [who], "{name}");
        assert_eq!(names(&api, &format!("contacts?q={name}")).await, [who], "{name} as a word");
    }
    let second = json!({ "tags": ["äpfel", "zebra"] });
    let at = format!("/api/v1/contacts/{}", jana["id"].as_str().expect("an id"));
    let second = api.json("PATCH", &at, &second).await;
    assert_eq!(second.json()["tags"], json!(["Äpfel", "zebra"]), "{}", second.text);

    // A bulk change adds a tag and keeps the others.
    let id = rosa["id"].as_str().expect("an id");
    let form = [("tasks", id), ("tag", "zebra")];
    let done = owner.form(&format!("{HERE}/contacts/bulk"), &form).await;
    assert!(matches!(done.status.as_u16(), 200 | 204 | 303), "{} {}", done.status, done.text);
    assert_eq!(shown(&api, "contacts/Rosa").await["tags"], json!(["giraffe", "zebra"]));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_gets_tags_with_one_press() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    made(&api, "collections", json!({ "name": "Bikes" })).await;
    let fields = format!("{HERE}/settings/fields?of=Bikes");
    assert!(owner.get(&fields).await.text.contains("Add tags"), "they have none");
    assert!(!owner.get(&format!("{HERE}/settings/fields")).await.text.contains("Add tags"));
    let form = [("of", "Bikes"), ("label", "Tags"), ("kind", "multi_select")];
    let done = owner.form(&format!("{HERE}/settings/fields"), &form).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert!(!owner.get(&fields).await.text.contains("Add tags"), "they have some");
    made(&api, "collections/Bikes/records", json!({ "name": "31", "tags": "steel, VIP" })).await;
    assert_eq!(names(&api, "labels").await, ["steel", "VIP"]);
    assert_eq!(names(&api, "collections/Bikes/records?q=tag:steel").await, ["31"]);
    hq.finish().await;
}

/// Stores tags as they were before they were labels.
fn as_before(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    let all: Vec<FieldDef> = tx.list(&Range::all())?;
    for mut def in all.into_iter().filter(|def| def.key == "tags") {
        for tag in std::mem::take(&mut def.tags) {
            work::take::<Label>(tx, tag.label)?;
        }
        def.choices = vec![Choice::called("VIP"), Choice::called("+ Old friend")];
        work::lay(tx, &def)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_from_before_become_labels_at_the_next_start() {
    let mut hq = TestHq::start().await;
    {
        let api = hq.api().await;
        made(&api, "contacts", json!({ "name": "Rosa", "tags": "VIP" })).await;
        hq.ws().write(&work::owner(&hq), as_before).await.expect("tags as before");
        assert!(names(&api, "labels").await.is_empty());
        assert_eq!(names(&api, "contacts?q=tag:vip").await, ["Rosa"], "they are read as they are");
    }
    hq.restart().await;
    let api = hq.api().await;
    while names(&api, "labels").await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&api, "labels").await, ["Old friend", "VIP"]);
    assert_eq!(uses(&api, "VIP").await, json!({ "task": 0, "contact": 1 }));
    assert_eq!(shown(&api, "contacts/Rosa").await["tags"], json!(["VIP"]), "its cell stays");
    hq.finish().await;
}

/// A text field of contacts with these values.
async fn texts(api: &Person, values: &[(&str, &str)]) {
    made(api, "fields?of=contacts", json!({ "label": "Bikes" })).await;
    for (name, text) in values {
        made(api, "contacts", json!({ "name": name, "bikes": text })).await;
    }
}

const KIND: &str = "fields/bikes/kind?of=contacts";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_gets_another_kind_as_it_was_foreseen_and_goes_back() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    texts(&api, &[("Rosa", "12"), ("Jana", "1.200,50"), ("Piet", "a dozen"), ("Ole", "")]).await;
    let wish = json!({ "kind": "number", "dry_run": true });
    let seen = posted(&api, KIND, wish).await;
    assert_eq!((&seen["state"], &seen["rows"]), (&json!("foreseen"), &json!(3)), "{seen}");
    assert_eq!(
        (&seen["same"], &seen["converted"], &seen["lost"]),
        (&json!(1), &json!(1), &json!(1)),
        "{seen}"
    );
    assert_eq!(seen["converted_examples"][0]["new"], "1,200.50", "{seen}");
    assert_eq!(seen["lost_examples"][0]["old"], "a dozen", "{seen}");
    assert_eq!(shown(&api, "contacts/Rosa").await["bikes"], "12", "a preview changes nothing");
    let page = owner.get(&format!("{HERE}/settings/fields/bikes/kind?kind=number")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("1,200.50") && page.text.contains("a dozen"), "{}", page.text);

    let form = [("of", "contacts"), ("kind", "number")];
    let sent = owner.form(&format!("{HERE}/settings/fields/bikes/kind"), &form).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let state = owner.get(sent.location().expect("the conversion")).await;
    assert!(state.text_of("#conversion-state").contains("1 lost"), "{}", state.text);
    let id = sent.location().and_then(|at| at.rsplit('/').next()).expect("an id").to_owned();
    let done = shown(&api, &format!("conversions/{id}")).await;
    for key in ["same", "converted", "lost", "rows"] {
        assert_eq!(done[key], seen[key], "{key}: the preview runs the function that converts");
    }
    assert_eq!(done["state"], "done", "{done}");
    let jana = shown(&api, "contacts/Jana").await;
    assert_eq!(jana["bikes"], 1200.5, "{jana}");
    let stands_on = &jana["origins"]["bikes"]["sources"][0];
    assert_eq!(stands_on["quote"], "1.200,50", "the origin says what it was: {jana}");
    assert!(stands_on["at"].to_string().contains("converted from text"), "{jana}");
    assert_eq!(shown(&api, "contacts/Piet").await["bikes"], Value::Null);
    assert_eq!(names(&api, "contacts?q=bikes:%3E100").await, ["Jana"]);

    // Somebody changes one of the values; the others are reverted with the kind.
    let at = format!("contacts/{}", jana["id"].as_str().expect("an id"));
    let changed = api.json("PATCH", &format!("/api/v1/{at}"), &json!({ "bikes": 7 })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    posted(&api, &format!("conversions/{id}/undo"), json!({})).await;
    let back = over(&api, &format!("conversions/{id}")).await;
    assert_eq!(back["state"], "undone", "{back}");
    assert_eq!(shown(&api, "contacts/Piet").await["bikes"], "a dozen");
    assert_eq!(shown(&api, "contacts/Jana").await["bikes"], json!(7), "who changed it stays");
    let fields = shown(&api, "fields?of=contacts").await;
    let bikes =
        fields["items"].as_array().expect("fields").iter().find(|one| one["key"] == "bikes");
    assert_eq!(bikes.expect("the field")["kind"], "text", "{fields}");
    let second = api.post(&format!("/api/v1/conversions/{id}/undo"), &json!({})).await;
    assert_eq!(second.status, 409, "{}", second.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_converted_is_refused_and_values_make_choices() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    texts(&api, &[("Rosa", "Steel"), ("Jana", "steel"), ("Piet", "Wood, oiled")]).await;
    made(&api, "fields?of=contacts", json!({ "label": "Bills to", "kind": "email" })).await;
    for (path, kind, status, says) in [
        (KIND, "text", 422_u16, "already has this kind"),
        (KIND, "colour", 422, "Unknown value"),
        (KIND, "person", 422, "Only text, number, date and select"),
        ("fields/bills_to/kind?of=contacts", "text", 409, "only text, number, date and select"),
        ("fields/name/kind?of=contacts", "number", 409, "keeps its kind"),
        ("fields/stage/kind?of=contacts", "text", 409, "keeps its kind"),
        ("fields/bkies/kind?of=contacts", "number", 404, "there is no field"),
    ] {
        let refused = api.post(&format!("/api/v1/{path}"), &json!({ "kind": kind })).await;
        assert_eq!(refused.status, status, "{}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
    }
    let done = posted(&api, KIND, json!({ "kind": "select" })).await;
    assert_eq!((&done["state"], &done["lost"]), (&json!("done"), &json!(1)), "{done}");
    let rosa = shown(&api, "contacts/Rosa").await;
    assert_eq!(rosa["bikes"], shown(&api, "contacts/Jana").await["bikes"], "one choice");
    assert_eq!(names(&api, "contacts?q=bikes:steel&sort=name").await, ["Jana", "Rosa"]);
    // Each record must have a value, so losing one is refused.
    let required = json!({ "required": true });
    let path = "/api/v1/fields/bikes?of=contacts";
    assert_eq!(api.json("PATCH", path, &required).await.status, 200);
    let refused = api.post(&format!("/api/v1/{KIND}"), &json!({ "kind": "date" })).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("the field is required"), "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_values_are_converted_piece_by_piece_over_a_restart_and_go_back() {
    let mut hq = TestHq::start().await;
    let mut file = "name,Count\n".to_owned();
    for n in 0..4_600 {
        file.push_str(&format!("Person {n},{n}\n"));
    }
    {
        let api = hq.api().await;
        let path = "/api/v1/imports?of=contacts&name=many.csv";
        let body = file.into_bytes();
        let import = api.bytes("POST", path, "application/octet-stream", body).await.json();
        let at = format!("imports/{}", import["id"].as_str().expect("an id"));
        let columns = json!({ "columns": { "Count": "new:text" } });
        assert_eq!(api.json("PATCH", &format!("/api/v1/{at}"), &columns).await.status, 200);
        posted(&api, &format!("{at}/begin"), json!({})).await;
        over(&api, &at).await;
    }
    let id = {
        let api = hq.api().await;
        let begun =
            posted(&api, "fields/count/kind?of=contacts", json!({ "kind": "number" })).await;
        assert_eq!(begun["rows"], 4_600, "{begun}");
        begun["id"].as_str().expect("an id").to_owned()
    };
    hq.restart().await;
    let api = hq.api().await;
    let at = format!("conversions/{id}");
    let done = over(&api, &at).await;
    assert_eq!(
        (&done["state"], &done["looked_at"], &done["lost"]),
        (&json!("done"), &json!(4_600), &json!(0)),
        "{done}"
    );
    assert_eq!(shown(&api, "contacts?q=count:%3E=4000").await["total"], 600);
    posted(&api, &format!("{at}/undo"), json!({})).await;
    // The undo continues without the requester after a restart.
    hq.restart().await;
    let api = hq.api().await;
    let back = over(&api, &at).await;
    assert_eq!(back["state"], "undone", "{back}");
    assert_eq!(shown(&api, "contacts?q=count:4599").await["items"][0]["count"], "4599");
    posted(&api, &format!("{at}/redo"), json!({})).await;
    assert_eq!(over(&api, &at).await["state"], "done");
    assert_eq!(shown(&api, "contacts?q=count:%3E=4000").await["total"], 600);

    // Each act is one line, however many pieces it had.
    let results = shown(&api, "activity?after=start&limit=200").await;
    let texts = results["items"].as_array().expect("a list").iter().map(|item| &item["text"]);
    let texts: Vec<&str> = texts.filter_map(Value::as_str).collect();
    for words in [
        "imported 4,600 contacts from many.csv",
        "converted a field of 4,600 contacts",
        "reverted the conversion of 4,600 contacts",
        "restored the conversion of 4,600 contacts",
    ] {
        let lines = texts.iter().filter(|text| text.contains(words)).count();
        assert_eq!(lines, 1, "{words}: {texts:#?}");
    }
    assert!(!texts.iter().any(|text| text.contains("Person 7")), "{texts:#?}");
    hq.finish().await;
}
