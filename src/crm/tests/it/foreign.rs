//! Tests of files from other products: names in other scripts, address books, phone numbers, lists with a repetitive
//! first column.

use serde_json::{Value, json};
use support::hq::{Person, TestHq};

use crate::over;

/// Imports a file with the guessed mapping; returns the import when it is done.
async fn brought(api: &Person, (of, name): (&str, &str), bytes: &[u8], change: Value) -> Value {
    let path = format!("/api/v1/imports?of={of}&name={name}");
    let sent = api.bytes("POST", &path, "application/octet-stream", bytes.to_vec()).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let path = format!("imports/{}", sent.json()["id"].as_str().expect("an id"));
    let changed = api.json("PATCH", &format!("/api/v1/{path}"), &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let begun = api.post(&format!("/api/v1/{path}/begin"), &json!({})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    over(api, &path).await
}

async fn contact(api: &Person, name: &str) -> Value {
    let shown = api.get(&format!("/api/v1/contacts/{name}")).await;
    assert_eq!(shown.status, 200, "{name}: {}", shown.text);
    shown.json()
}

async fn total(api: &Person, path: &str) -> Value {
    api.get(&format!("/api/v1/{path}")).await.json()["total"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_in_other_writing_is_one_and_a_name_that_two_have_costs_its_cell_alone() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let file = include_bytes!("files/orgs.csv");
    let now = brought(&api, ("contacts", "orgs.csv"), file, json!({})).await;
    assert_eq!((&now["made"], &now["problems"]), (&json!(8), &json!([])), "{now}");
    let mut names = Vec::new();
    for n in 1..=5 {
        let one = contact(&api, &format!("jo{n}@drechsler-dahl.example")).await;
        names.push(one["organization"]["name"].clone());
    }
    assert_eq!(names, vec![json!("Friedrich Drächsler & Dahl"); 5]);
    let all = api.get("/api/v1/organizations").await.json();
    let mut all: Vec<&str> = all["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    all.sort_unstable();
    assert_eq!(all, ["Friedrich Drächsler & Dahl", "Werft Nord", "Werft Süd"]);
    assert_eq!(contact(&api, "cid@gmail.com").await["organization"], Value::Null);

    let twin = api.post("/api/v1/organizations", &json!({ "name": "WERFT NORD" })).await;
    assert_eq!(twin.status, 201, "{}", twin.text);
    let long = "x".repeat(400);
    let file = format!(
        "Name,Email,Company,Tags\nEva,eva@example.com,werft nord,new\nUdo,udo@example.com,WERFT NORD,\n\
         Ida,ida@example.com,{long},\n"
    );
    let now = brought(&api, ("contacts", "twins.csv"), file.as_bytes(), json!({})).await;
    let counts = (&now["made"], &now["wrong"], &now["cells"]);
    assert_eq!(counts, (&json!(3), &json!(0), &json!(2)), "only the cells are left out: {now}");
    let problem = &now["problems"][0];
    assert_eq!((&problem["row"], &problem["column"]), (&json!(2), &json!("Company")), "{now}");
    assert!(problem["says"].to_string().contains("2 organizations are called"), "{now}");
    assert_eq!(now["problems"][1]["row"], 4, "{now}");
    assert_eq!(contact(&api, "eva@example.com").await["tags"], json!(["new"]));
    let udo = contact(&api, "udo@example.com").await;
    assert_eq!(udo["organization"]["name"], "WERFT NORD", "the one that is written so");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_books_of_google_come_in_with_one_name_and_all_that_they_hold() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let file = include_bytes!("files/google.csv");
    let now = brought(&api, ("contacts", "google.csv"), file, json!({})).await;
    assert_eq!((&now["made"], &now["wrong"]), (&json!(2), &json!(0)), "{now}");
    assert_eq!(contact(&api, "only.mail@example.org").await["name"], "only.mail@example.org");
    let one = contact(&api, "one@example.org").await;
    assert_eq!((&one["name"], &one["email_2"]), (&json!("Имя Фамилия"), &json!("two@example.org")));
    let phones = (&one["phone"], &one["phone_2"]);
    assert_eq!(phones, (&json!("+7 000 000-00-00"), &json!("+7 000 000-00-01")), "{one}");
    assert_eq!(one["tags"], json!(["University", "School"]), "{one}");
    let notes = one["notes"].as_str().expect("what has no field");
    assert!(notes.contains("alt@example.org") && notes.contains("Birthday: 14 March"), "{notes}");

    let file = include_bytes!("files/google-2024.csv");
    let now = brought(&api, ("contacts", "google-2024.csv"), file, json!({})).await;
    assert_eq!((&now["made"], &now["cells"]), (&json!(1), &json!(1)), "{now}");
    let problem = &now["problems"][0];
    assert_eq!(
        (&problem["column"], &problem["says"]),
        (&json!("Birthday"), &json!("The date 1990-02-29 doesn't exist.")),
        "{now}"
    );
    let mei = contact(&api, "mei@harbour.example").await;
    for (key, value) in [
        ("name", json!("Mei Lin")),
        ("title", json!("Buyer")),
        ("phone", json!("+852 0000 0000")),
        ("website_url", json!("https://harbour.example/mei")),
        ("tags", json!(["Suppliers"])),
        ("birthday", Value::Null),
    ] {
        assert_eq!(mei[key], value, "{key}: {mei}");
    }
    assert_eq!(mei["organization"]["name"], "Harbour Tea");

    let file = "First Name,Company,Email,Phone\n,Kiosk,kiosk@kiosk.example,\n,Ferry,,+49 40 0001\n,,,+49 40 0002\n,,,\n";
    let now = brought(&api, ("contacts", "unnamed.csv"), file.as_bytes(), json!({})).await;
    assert_eq!((&now["made"], &now["wrong"]), (&json!(3), &json!(0)), "{now}");
    assert_eq!(contact(&api, "kiosk@kiosk.example").await["name"], "Kiosk");
    for name in ["Ferry", "+49 40 0002"] {
        assert_eq!(
            total(&api, &format!("contacts?q={}", name.replace([' ', '+'], "%20"))).await,
            1,
            "{name}"
        );
    }
    let change = json!({ "clash": "overwrite" });
    let file = b"First Name,Company,Email\n,Harbour Tea,mei@harbour.example\n";
    brought(&api, ("contacts", "again.csv"), file, change).await;
    let mei = contact(&api, "mei@harbour.example").await;
    assert_eq!(mei["name"], "Mei Lin", "the name that stands there stays");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephones_and_addresses_are_read_as_spreadsheets_and_links_write_them() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let file = include_bytes!("files/phones.csv");
    let now = brought(&api, ("contacts", "phones.csv"), file, json!({})).await;
    assert_eq!((&now["made"], &now["cells"]), (&json!(3), &json!(1)), "{now}");
    assert!(now["problems"][0]["says"].to_string().contains("digits are missing"), "{now}");
    for (who, phone) in
        [("q1", Value::Null), ("q2", json!("0774768867")), ("q3", json!("0774768867"))]
    {
        assert_eq!(contact(&api, &format!("{who}@example.org")).await["phone"], phone, "{who}");
    }
    let file = include_bytes!("files/phones.xlsx");
    let now = brought(&api, ("contacts", "phones.xlsx"), file, json!({})).await;
    assert_eq!((&now["made"], &now["cells"]), (&json!(8), &json!(1)), "{now}");
    for (who, phone, second) in [
        ("p1", json!("447700900123"), Value::Null),
        ("p2", json!("447700900000"), Value::Null),
        ("p3", json!("0774768867"), Value::Null),
        ("p6", json!("(02) 9000 0000 ext. 12"), Value::Null),
        ("p7", json!("0774 000 001"), json!("0774 000 002")),
        ("p8", Value::Null, Value::Null),
    ] {
        let one = contact(&api, &format!("{who}@example.org")).await;
        assert_eq!((&one["phone"], &one["phone_2"]), (&phone, &second), "{who}");
    }

    // The same in all other places that take an address.
    let body = json!({ "name": "Rosa", "email": "mailto:rosa@example.com", "phone": "tel:+49-40-555;ext=7" });
    let made = api.post("/api/v1/contacts", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let rosa = contact(&api, "rosa@example.com").await;
    assert_eq!(
        (&rosa["email"], &rosa["phone"]),
        (&json!("rosa@example.com"), &json!("+49-40-555 ext. 7"))
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_who_share_a_telephone_stay_apart() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let file = "Name,Company,Phone\nIda Sw,Quay,+49 30 555 0100\nKim Sw,Quay,+49 30 555 0100\n";
    let now = brought(&api, ("contacts", "shared.csv"), file.as_bytes(), json!({})).await;
    assert_eq!((&now["made"], &now["skipped"]), (&json!(2), &json!(0)), "{now}");
    let file = "Name,Company,Phone\nOther,Evil,+49 30 555 0100\nida  sw,Quay,+49 30 555 0100\n";
    let change = json!({ "clash": "overwrite" });
    let now = brought(&api, ("contacts", "over.csv"), file.as_bytes(), change).await;
    assert_eq!(now["made"], json!(1), "{now}");
    assert_eq!(total(&api, "contacts?q=Evil").await, 1, "the company of nobody else changed");
    assert_eq!(total(&api, "contacts?q=Kim").await, 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_address_is_known_by_name_and_organization_or_marked() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let file = b"Name,Company\nRosa Teixeira,Pastelaria\nOtto Free,\n";
    let now = brought(&api, ("contacts", "a.csv"), file, json!({})).await;
    assert_eq!(now["made"], 2, "{now}");
    let file = "Name,Email,Company\nROSA  TEIXEIRA,,pastelaria\nOtto Free,,\nRosa Teixeira,,Bakery\n\
        Rosa Teixeira,rosa@example.com,Pastelaria\nRosa Teixeira,other@example.com,Pastelaria\n";
    let change = json!({ "clash": "fill" });
    let now = brought(&api, ("contacts", "b.csv"), file.as_bytes(), change).await;
    let counts = (&now["made"], &now["changed"], &now["skipped"]);
    assert_eq!(counts, (&json!(2), &json!(1), &json!(2)), "{now}");
    let problems: Vec<(&Value, &Value)> = now["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (&one["row"], &one["column"]))
        .collect();
    let wanted = [(4, "Name"), (6, "Name"), (2, ""), (3, "")]
        .map(|(row, column)| (json!(row), json!(column)));
    assert!(wanted.iter().map(|(row, column)| (row, column)).eq(problems), "{now}");
    assert!(now["problems"][0]["says"].to_string().contains("might be the same"), "{now}");
    assert_eq!(total(&api, "contacts").await, 4);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_collection_find_their_records_by_a_key_column_alone() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    assert_eq!(api.post("/api/v1/collections", &json!({ "name": "Orders" })).await.status, 201);
    let file = b"Customer,SKU,Bikes\nRosa,A-1,2\nRosa,A-2,3\nRosa,A-3,4\n";
    let now = brought(&api, ("Orders", "orders.csv"), file, json!({})).await;
    let counts = (&now["made"], &now["skipped"]);
    assert_eq!(counts, (&json!(3), &json!(0)), "a first column that repeats: {now}");

    let file = "Customer,SKU,Bikes\nRosa,a-2,9\nOtto,A-4,1\nOtto,A-4,1\nJana,,1\n";
    let path = "/api/v1/imports?of=Orders&name=more.csv";
    let kind = "application/octet-stream";
    let sent = api.bytes("POST", path, kind, file.as_bytes().to_vec()).await.json();
    let at = format!("/api/v1/imports/{}", sent["id"].as_str().expect("an id"));
    let two = json!({ "columns": { "SKU": "key:sku", "Bikes": "key:bikes" } });
    assert_eq!(api.json("PATCH", &at, &two).await.status, 422);
    let change = json!({ "columns": { "SKU": "key:sku" }, "clash": "skip" });
    let changed = api.json("PATCH", &at, &change).await;
    assert_eq!(changed.json()["columns"][1]["goes"], "key:sku", "{}", changed.text);
    let seen = api.post(&format!("{at}/preview"), &json!({})).await.json();
    let fates: Vec<&Value> =
        seen["seen"].as_array().expect("rows").iter().map(|row| &row["becomes"]).collect();
    assert_eq!(fates, ["skipped", "new", "skipped", "new"], "{seen}");
    assert_eq!(seen["seen"][0]["met"]["name"], "Rosa", "which record it met: {seen}");

    let page = at.replace("/api/v1", crate::HERE);
    let shown = hq.owner().get(&page).await;
    assert_eq!(shown.attr("[name=key] option[selected]", "value"), "1", "{}", shown.text);
    assert!(shown.text_of("#preview-body").contains("Skipped: Rosa"), "{}", shown.text);
    let form = [
        ("goes.0", "field:name"),
        ("goes.1", "field:sku"),
        ("goes.2", "field:bikes"),
        ("key", "1"),
        ("clash", "overwrite"),
        ("then", "begin"),
    ];
    assert_eq!(hq.owner().form(&page, &form).await.status, 303);
    let now = over(&api, &at.replace("/api/v1/", "")).await;
    let counts = (&now["made"], &now["changed"], &now["skipped"]);
    assert_eq!(counts, (&json!(2), &json!(1), &json!(1)), "{now}");
    assert_eq!(total(&api, "collections/Orders/records").await, 5);
    let all = api.get("/api/v1/collections/Orders/records").await.json();
    let all = all["items"].as_array().expect("a list");
    let second = all.iter().find(|one| one["sku"] == "a-2").expect("its record");
    assert_eq!(second["bikes"], 9);
    hq.finish().await;
}
