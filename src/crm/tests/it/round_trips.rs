//! Tests of importing exports: into the same workspace, and into an empty one.

use std::time::Duration;

use crm::model::{EntryRow, RowKind};
use crm::rules::{self, ImportContext, Sent};
use serde_json::{Value, json};
use store::{Range, ReadExt as _};
use support::hq::{Person, TestHq};
use support::work::{self, made};

use crate::{HERE, id, over};

/// An export of the list at a path.
async fn exported(hq: &TestHq, (path, form): (&str, &str)) -> String {
    let file = hq.owner().get(&format!("{HERE}/{path}/export.{form}")).await;
    assert_eq!(file.status, 200, "{}", file.text);
    file.text
}

/// Imports a file with the guessed mapping; its values overwrite existing ones.
async fn imported(api: &Person, (of, form): (&str, &str), text: &str) -> Value {
    let path = format!("/api/v1/imports?of={of}&name=all.{form}");
    let sent = api.bytes("POST", &path, "application/octet-stream", text.as_bytes().to_vec()).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let path = format!("imports/{}", id(&sent.json()));
    let changed = json!({ "clash": "overwrite" });
    assert_eq!(api.json("PATCH", &format!("/api/v1/{path}"), &changed).await.status, 200);
    let begun = api.post(&format!("/api/v1/{path}/begin"), &json!({})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    over(api, &path).await
}

/// All rows of a list from the API.
async fn rows(api: &Person, path: &str) -> Vec<Value> {
    let found = api.get(&format!("/api/v1/{path}?sort=name&limit=500")).await.json();
    found["items"].as_array().expect("items").clone()
}

/// Fields of all rows, without values that are specific to a workspace.
async fn fields(api: &Person, path: &str) -> Vec<String> {
    let mut rows = rows(api, path).await;
    for row in &mut rows {
        let row = row.as_object_mut().expect("a row");
        row.retain(|key, _| !["id", "created_at", "updated_at"].contains(&key.as_str()));
        for value in row.values_mut().filter_map(Value::as_object_mut) {
            value.remove("id");
        }
    }
    let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

/// Contacts with all kinds of values, some of which resemble other kinds.
async fn people(api: &Person) {
    for (label, kind) in [("Bikes", "number"), ("Renewal", "date"), ("Call at", "datetime")] {
        made(api, "fields?of=contacts", json!({ "label": label, "kind": kind })).await;
    }
    let brandt = json!({ "name": "Brandt GmbH", "website": "https://brandt.example" });
    made(api, "organizations", brandt).await;
    made(api, "contacts", json!({
        "name": "Rosa &amp; Söhne", "email": "rosa@brandt.example", "organization": "Free Works",
        "phone": "+49 40 555 ext. 7", "notes": "#N/A", "company": "Error: x", "title": "=2+3",
        "tags": ["north", "vip"], "stage": "won", "owner": "me", "bikes": -2.5,
        "renewal": "2026-04-03", "call_at": "2026-04-03T12:30:15Z", "do_not_contact": true,
        "website_url": "https://brandt.example/a?b=c",
    }))
    .await;
    let long = "#REF!\n\n\"quoted\", and more;\n- '=1";
    made(api, "contacts", json!({ "name": "Otto Free", "notes": long, "company": "#N/A" })).await;
    made(api, "contacts", json!({ "name": "Otto Free", "how_we_met": "'tis" })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exported_contacts_change_nothing_here_and_are_equal_elsewhere() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    people(&api).await;
    let before = rows(&api, "contacts").await;
    let organizations = rows(&api, "organizations").await;
    let wanted = fields(&api, "contacts").await;
    let files = [
        ("csv", exported(&hq, ("contacts", "csv")).await),
        ("json", exported(&hq, ("contacts", "json")).await),
    ];
    for (form, text) in &files {
        let now = imported(&api, ("contacts", form), text).await;
        let counts = (&now["made"], &now["changed"], &now["skipped"], &now["problems"]);
        assert_eq!(counts, (&json!(0), &json!(0), &json!(3), &json!([])), "{form}: {now}");
        assert_eq!(rows(&api, "contacts").await, before, "{form}");
    }
    // Shared names no longer identify records; ids do.
    made(&api, "organizations", json!({ "name": "Free Works" })).await;
    let edited = files[0].1.replace("Error: x", "Acme");
    let now = imported(&api, ("contacts", "csv"), &edited).await;
    let counts = (&now["made"], &now["changed"], &now["problems"]);
    assert_eq!(counts, (&json!(0), &json!(1), &json!([])), "{now}");
    hq.finish().await;

    for (form, text) in &files {
        let other = TestHq::start().await;
        let api = other.api().await;
        // Test ids are derived from the clock.
        other.advance(Duration::from_secs(60)).await;
        // A person's address must not override the organization named in the file.
        let brandt = json!({ "name": "Brandt GmbH", "website": "https://brandt.example" });
        made(&api, "organizations", brandt).await;
        let now = imported(&api, ("contacts", form), text).await;
        let counts = (&now["made"], &now["cells"], &now["problems"]);
        assert_eq!(counts, (&json!(3), &json!(0), &json!([])), "{form}: {now}");
        assert_eq!(fields(&api, "contacts").await, wanted, "{form}");
        assert_eq!(rows(&api, "organizations").await.len(), organizations.len(), "{form}");
        other.finish().await;
    }
}

/// A collection with a relation to contacts and a select field.
async fn orders(api: &Person) {
    made(api, "collections", json!({ "name": "Orders" })).await;
    let choices = json!([{ "label": "Steel" }, { "label": "Carbon" }]);
    for field in [
        json!({ "label": "Frame", "kind": "select", "choices": choices }),
        json!({ "label": "Client", "kind": "relation", "to": "contacts" }),
        json!({ "label": "Price", "kind": "number" }),
        json!({ "label": "Paid", "kind": "boolean" }),
    ] {
        made(api, "fields?of=Orders", field).await;
    }
    made(api, "contacts", json!({ "name": "Rosa" })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exported_collection_changes_nothing_here_and_is_equal_elsewhere() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    orders(&api).await;
    for (name, frame, price, paid) in [
        ("A-1", "steel", 1234.5, true),
        ("A-1", "carbon", 0.000_001, false),
        ("#N/A", "", 7.0, true),
    ] {
        let order =
            json!({ "name": name, "frame": frame, "client": "Rosa", "price": price, "paid": paid });
        made(&api, "collections/Orders/records", order).await;
    }
    let path = "collections/Orders/records";
    let (before, wanted) = (rows(&api, path).await, fields(&api, path).await);
    let files = [
        ("csv", exported(&hq, ("collections/Orders", "csv")).await),
        ("json", exported(&hq, ("collections/Orders", "json")).await),
    ];
    for (form, text) in &files {
        let now = imported(&api, ("Orders", form), text).await;
        let counts = (&now["made"], &now["changed"], &now["problems"]);
        assert_eq!(counts, (&json!(0), &json!(0), &json!([])), "{form}: {now}");
        assert_eq!(rows(&api, path).await, before, "{form}");
    }
    hq.finish().await;
    for (form, text) in &files {
        let other = TestHq::start().await;
        let api = other.api().await;
        // Test ids are derived from the clock.
        other.advance(Duration::from_secs(60)).await;
        orders(&api).await;
        let now = imported(&api, ("Orders", form), text).await;
        let counts = (&now["made"], &now["problems"]);
        assert_eq!(counts, (&json!(3), &json!([])), "{form}: {now}");
        assert_eq!(fields(&api, path).await, wanted, "{form}");
        other.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_json_that_look_like_errors_come_in() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let text = r##"[{ "name": "Rosa", "notes": "#N/A" }]"##;
    let now = imported(&api, ("contacts", "json"), text).await;
    assert_eq!((&now["made"], &now["problems"]), (&json!(1), &json!([])), "{now}");
    assert_eq!(rows(&api, "contacts").await[0]["notes"], "#N/A");
    let now = imported(&api, ("contacts", "csv"), "name,notes\nOtto,#N/A\n").await;
    assert_eq!(now["cells"], 1, "a formula of a spreadsheet: {now}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_of_few_values_is_proposed_as_choices() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    made(&api, "collections", json!({ "name": "Bikes" })).await;
    let mut file = "Number,Frame\n".to_owned();
    for n in 0..200 {
        let frame = ["Steel", "Carbon", "Titanium", "Aluminium"][n % 4];
        file.push_str(&format!("B-{n},{frame}\n"));
    }
    let now = imported(&api, ("Bikes", "csv"), &file).await;
    assert_eq!((&now["made"], &now["cells"]), (&json!(200), &json!(0)), "{now}");
    let found = api.get("/api/v1/collections/Bikes").await.text;
    assert!(found.contains("\"select\"") && found.contains("Titanium"), "{found}");
    let found = api.get("/api/v1/collections/Bikes/records?q=frame:titanium").await.json();
    assert_eq!(found["total"], 50, "{found}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_reads_its_collection_once_and_sees_what_others_change() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let collection = made(&api, "collections", json!({ "name": "Bikes" })).await;
    for field in ["SKU", "Price"] {
        made(&api, "fields?of=Bikes", json!({ "label": field, "kind": "text" })).await;
    }
    let file: String = (0..1_000).map(|n| format!("Bike {n},k{n},new\n")).collect();
    let path = "/api/v1/imports?of=Bikes&name=bikes.csv";
    let file = format!("Name,SKU,Price\n{file}");
    let sent = api.bytes("POST", path, "application/octet-stream", file.into_bytes()).await.json();
    let change = json!({ "columns": { "SKU": "key:sku" }, "clash": "overwrite" });
    let changed = api.json("PATCH", &format!("/api/v1/imports/{}", id(&sent)), &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let (ws, who) = (hq.ws(), work::owner(&hq));
    let import = id(&sent).parse().expect("an id");
    ws.write(&who, move |tx| rules::begin_import(tx, import, &[]).map(drop)).await.expect("begun");

    let row = |n: usize| [format!("Bike {n}"), format!("k{n}"), "new".to_owned()];
    let all: Vec<[String; 3]> = (0..1_000).map(row).collect();
    let mut context = ImportContext::default();
    for from in [0_u32, 500] {
        if from == 500 {
            // Somebody creates a record with a key of the file, and changes the key of another one.
            let home = id(&collection).parse().expect("an id");
            let there: Vec<EntryRow> =
                ws.read(|snap| snap.list(&Range::all())).expect("the records");
            let moved = there[0].id;
            let others = ws.write(&who, move |tx| {
                let made = json!({ "name": "Hers", "sku": "K700" });
                let made = made.as_object().cloned().unwrap_or_default();
                rules::create(RowKind::RECORDS, tx, Some(home), &Sent::of(made))?;
                rules::change(RowKind::RECORDS, tx, moved, &Sent::one("sku", "k900")).map(drop)
            });
            others.await.expect("a change");
        }
        let rows = all[from as usize..from as usize + 500].to_vec();
        let done = ws.write(&who, move |tx| {
            let rows: Vec<_> =
                (from..).zip(&rows).map(|(n, row)| (n + 2, row.as_slice())).collect();
            rules::import_rows(tx, import, (from, &rows), &mut context)?;
            Ok::<_, crm::error::CrmError>(context)
        });
        context = done.await.expect("a piece");
    }
    assert_eq!(context.keys.reads(), 1);
    let now = api.get(&format!("/api/v1/imports/{}", id(&sent))).await.json();
    let counts = (&now["state"], &now["made"], &now["changed"]);
    assert_eq!(counts, (&json!("done"), &json!(998), &json!(2)), "{now}");
    let found = api.get("/api/v1/collections/Bikes/records?q=sku:k700").await.json();
    assert_eq!(found["items"][0]["price"], "new", "{found}");
    hq.finish().await;
}
