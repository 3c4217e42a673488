//! Tests of imports into contacts, organizations and records: by page, by API, after a restart, and undo.

use crm::model::back::Turn;
use crm::rules;
use serde_json::{Value, json};
use store::ReadExt as _;
use support::hq::{Person, TestHq};

use crate::{HERE, over};

async fn sent(api: &Person, of: &str, name: &str, text: &str) -> Value {
    let path = format!("/api/v1/imports?of={of}&name={name}");
    let sent = api.bytes("POST", &path, "application/octet-stream", text.as_bytes().to_vec()).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    sent.json()
}

async fn act(api: &Person, import: &Value, verb: &str) -> Value {
    let at = format!("/api/v1/imports/{}/{verb}", import["id"].as_str().expect("an id"));
    let done = api.post(&at, &json!({})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    done.json()
}

/// Waits until the rows are imported; returns the import.
async fn done(api: &Person, import: &Value) -> Value {
    over(api, &format!("imports/{}", import["id"].as_str().expect("an id"))).await
}

async fn contact(api: &Person, name: &str) -> Value {
    let shown = api.get(&format!("/api/v1/contacts/{name}")).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    shown.json()
}

async fn count(api: &Person, path: &str) -> u64 {
    api.get(&format!("/api/v1/{path}")).await.json()["total"].as_u64().expect("a number")
}

const LIST: &str = "First Name,Last Name,Email Address,Company,Position,Stage,Bikes wanted,Since\n\
    Rosa,Teixeira,rosa@example.com,Pastelaria Rosa,Owner,Qualified,\"1.200,5\",24.12.2025\n\
    Jana,Brandt,jana@example,Brandt Bakery,Owner,Talks,4,2026-01-02\n\
    ,,,,Nobody,,,\n\
    Rosa,Teixeira,ROSA@example.com,Pastelaria Rosa,Boss,Won,7,\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_mapped_previewed_brought_in_and_taken_back() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let import = sent(&api, "contacts", "list.csv", LIST).await;
    let goes = |n: usize| import["columns"][n]["goes"].as_str().expect("words").to_owned();
    assert_eq!(
        (goes(0), goes(2), goes(3), goes(6)),
        ("field:name".into(), "field:email".into(), "field:organization".into(), String::new())
    );

    let at = format!("/api/v1/imports/{}", import["id"].as_str().expect("an id"));
    assert_eq!(import["decimal_comma"], true, "1.200,5 reads in no other way");
    let body = json!({ "columns": { "Bikes wanted": "new:number", "Since": "new:date" } });
    assert_eq!(api.json("PATCH", &at, &body).await.status, 200);
    let seen = act(&api, &import, "preview").await;
    assert_eq!(seen["adds"], json!(["Adds the field Bikes wanted.", "Adds the field Since."]));
    let text = seen["problems"].to_string();
    assert!(text.contains("Talks") && text.contains("a choice of Stage"), "{text}");
    for wrong in [json!({ "Talks": "choice:nowhere" }), json!({ "Talks": "more" })] {
        let refused = api.json("PATCH", &at, &json!({ "choices": { "Stage": wrong } })).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
    }
    for wrong in ["field:nonsense", "key:nonsense", "new:choice", "garbage"] {
        let refused = api.json("PATCH", &at, &json!({ "columns": { "Since": wrong } })).await;
        assert_eq!(refused.status, 422, "{wrong}: {}", refused.text);
        assert!(refused.json()["errors"].to_string().contains(wrong), "{}", refused.text);
    }
    let body = json!({ "choices": { "Stage": { "Talks": "add" } } });
    assert_eq!(api.json("PATCH", &at, &body).await.status, 200);
    let seen = act(&api, &import, "preview").await;
    assert!(seen["adds"].to_string().contains("Adds the stage Talks."), "{seen}");
    assert_eq!(count(&api, "contacts").await, 0, "a preview changes nothing");
    act(&api, &import, "begin").await;
    let now = done(&api, &import).await;
    assert_eq!(now["state"], "done", "{now}");
    for key in ["made", "changed", "skipped", "wrong", "cells"] {
        assert_eq!(seen[key], now[key], "{key}: the preview runs the function that imports");
    }
    assert_eq!(
        (&now["made"], &now["skipped"], &now["wrong"]),
        (&json!(2), &json!(1), &json!(1)),
        "{now}"
    );
    assert_eq!(now["cells"], 1, "the address that is none: {now}");
    let all = |one: &Value| one["problems"].as_array().cloned().unwrap_or_default();
    assert!(all(&now).starts_with(&all(&seen)), "{now}");
    let problems = now["problems"].to_string();
    assert!(problems.contains("Skipped: Rosa Teixeira already exists."), "{problems}");
    assert!(
        problems.contains("an email address") && problems.contains("Name is missing"),
        "{problems}"
    );

    let rosa = contact(&api, "rosa@example.com").await;
    assert_eq!((&rosa["name"], &rosa["title"]), (&json!("Rosa Teixeira"), &json!("Owner")));
    assert_eq!((&rosa["bikes_wanted"], &rosa["since"]), (&json!(1200.5), &json!("2025-12-24")));
    assert_eq!(rosa["organization"]["name"], "Pastelaria Rosa");
    assert_eq!(rosa["origins"]["email"]["row"], 2, "each value knows its row");
    assert_eq!(
        contact(&api, "Jana%20Brandt").await["stage"],
        "talks",
        "a stage of the file is added where somebody chose so"
    );
    assert_eq!(count(&api, "organizations").await, 2);

    // Somebody changes it; then the import is undone.
    let jana = contact(&api, "Jana%20Brandt").await;
    let path = format!("/api/v1/contacts/{}", jana["id"].as_str().expect("an id"));
    assert_eq!(api.json("PATCH", &path, &json!({ "phone": "040 555" })).await.status, 200);
    act(&api, &import, "undo").await;
    let back = done(&api, &import).await;
    assert_eq!(back["state"], "undone", "{back}");
    assert_ne!(back["kept"], 0, "who was worked on stays");
    let stayed = back["stayed"].as_array().expect("a list");
    for kind in ["contact", "field"] {
        assert!(stayed.iter().any(|one| one["kind"] == kind), "{kind}: {back}");
    }
    assert!(back["stayed"].to_string().contains("1 contact uses it now"), "{back}");
    assert_eq!(count(&api, "contacts").await, 1);
    assert_eq!(contact(&api, "Jana%20Brandt").await["phone"], "040 555");
    let second = api.post(&format!("{at}/undo"), &json!({})).await;
    assert_eq!(second.status, 409, "{}", second.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_here_already_is_left_filled_or_overwritten_and_goes_back_cell_by_cell() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let body = json!({ "name": "Rosa", "email": "rosa@example.com", "phone": "040 111" });
    assert_eq!(api.post("/api/v1/contacts", &body).await.status, 201);
    let file = "name,email,phone,location\nRosa T.,rosa@example.com,040 222,Hamburg\n";
    for (clash, name, phone, location) in [
        ("skip", "Rosa", "040 111", Value::Null),
        ("fill", "Rosa", "040 111", json!("Hamburg")),
        ("overwrite", "Rosa T.", "040 222", json!("Hamburg")),
    ] {
        let import = sent(&api, "contacts", "x.csv", file).await;
        let at = format!("/api/v1/imports/{}", import["id"].as_str().expect("an id"));
        assert_eq!(api.json("PATCH", &at, &json!({ "clash": clash })).await.status, 200);
        act(&api, &import, "begin").await;
        done(&api, &import).await;
        let rosa = contact(&api, "rosa@example.com").await;
        assert_eq!(
            (&rosa["name"], &rosa["phone"], &rosa["location"]),
            (&json!(name), &json!(phone), &location),
            "{clash}"
        );
        if clash == "overwrite" {
            let path = format!("/api/v1/contacts/{}", rosa["id"].as_str().expect("an id"));
            let body = json!({ "phone": "040 333" });
            assert_eq!(api.json("PATCH", &path, &body).await.status, 200);
            act(&api, &import, "undo").await;
            let back = done(&api, &import).await;
            let rosa = contact(&api, "rosa@example.com").await;
            assert_eq!((&rosa["name"], &rosa["phone"]), (&json!("Rosa"), &json!("040 333")));
            assert_eq!((&back["kept"], &back["kept_fields"]), (&json!(0), &json!(1)), "{back}");
            let stayed = &back["stayed"][0];
            assert_eq!((&stayed["id"], &stayed["field"]), (&rosa["id"], &json!("Phone")), "{back}");
            let page = hq.owner().get(&at.replace("/api/v1", HERE)).await;
            let links = page.attrs("#import-state td a", "href").concat();
            assert!(links.contains(rosa["id"].as_str().expect("an id")), "{}", page.text);
            assert!(page.text.contains("changed it."), "{}", page.text);
        }
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_tells_of_each_row_what_becomes_of_it() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    for body in [
        json!({ "name": "Rosa", "email": "rosa@example.com", "phone": "040 111" }),
        json!({ "name": "Jana", "email": "jana@example.com" }),
        json!({ "name": "Ole", "email": "ole@example.com", "phone": "040 333" }),
    ] {
        assert_eq!(api.post("/api/v1/contacts", &body).await.status, 201);
    }
    let file = "name,email,phone,notes\nRosa,rosa@example.com,040 222\nJana,jana@example.com,040 444\n\
        Ole,ole@example.com,040 333\nPiet,piet@example,040 555\n,,,Nobody\n";
    let import = sent(&api, "contacts", "x.csv", file).await;
    let at = format!("/api/v1/imports/{}", import["id"].as_str().expect("an id"));
    assert_eq!(api.json("PATCH", &at, &json!({ "clash": "overwrite" })).await.status, 200);
    let seen = act(&api, &import, "preview").await;
    let fates: Vec<_> = seen["seen"].as_array().expect("rows").iter().collect();
    let results: Vec<&str> = fates.iter().filter_map(|one| one["becomes"].as_str()).collect();
    assert_eq!(results, ["overwrites", "fills", "skipped", "new", "wrong"], "{seen}");
    assert_eq!(fates[0]["cells"]["phone"], json!({ "old": "040 111", "new": "040 222" }));
    assert_eq!(fates[0]["row"], 2, "rows as the file counts them");

    let page = at.replace("/api/v1", HERE);
    let all = owner.get(&page).await;
    let counts = all.text_of("#preview-counts");
    for results in ["3 of 5 rows", "All rows 5", "New 1", "Fills 1", "Overwrites 1", "Skipped 1"] {
        assert!(counts.contains(results), "{results}: {counts}");
    }
    assert!(all.text.contains("Import 3 contacts"), "what would come in: {}", all.text);
    let check = all.text_of("#preview-check");
    for results in ["Whole row", "Name is missing", "row 6", "an email address", "row 5"] {
        assert!(check.contains(results), "{results}: {check}");
    }
    let some = owner.get(&format!("{page}?show=overwrites")).await.text_of("#preview-rows tbody");
    assert!(some.contains("040 111") && some.contains("040 222"), "old and new: {some}");
    assert!(!some.contains("Jana"), "{some}");
    let some = owner.get(&format!("{page}?show=problems")).await.text_of("#preview-rows tbody");
    assert!(some.contains("Piet") && some.contains("an email address"), "{some}");
    for (column, shown) in [("email", true), ("phone", false)] {
        let at = format!("{page}?show=problems&column={column}");
        let some = owner.get(&at).await.text_of("#preview-rows");
        assert_eq!(some.contains("Piet"), shown, "{column}: {some}");
    }
    let csv = owner.get(&format!("{page}/problems.csv")).await;
    assert!(csv.text.contains("5,email,") && csv.text.contains("6,,"), "{}", csv.text);
    let none = owner.get(&format!("{page}?page=7")).await;
    assert!(none.text_of("#preview-rows").contains("No matching rows"), "{}", none.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_tries_all_rows_and_its_page_tells_how_far_it_is() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let mut file = "name,email,notes\n".to_owned();
    for n in 0..2_300 {
        file.push_str(&format!("Person {n},p{n}@example.com\n"));
    }
    // Rows far after those that they match, and an invalid one.
    file.push_str("Again,p7@example.com\nAgain,p2299@example.com\n,,nobody@example.com\n");
    let import = sent(&api, "contacts", "many.csv", &file).await;
    let seen = act(&api, &import, "preview").await;
    let counts = [&seen["made"], &seen["skipped"], &seen["wrong"]];
    assert_eq!(counts, [&json!(2_300), &json!(2), &json!(1)], "{}", seen["problems"]);
    assert_eq!(seen["seen"].as_array().map(Vec::len), Some(100));
    assert_eq!(count(&api, "contacts").await, 0, "a preview brings nothing in");

    let at = format!("{HERE}/imports/{}", import["id"].as_str().expect("an id"));
    let page = loop {
        let page = owner.get(&format!("{at}?on=true")).await;
        let counts = page.text_of("#preview-counts");
        if counts.contains("rows ready") {
            break page;
        }
        assert!(counts.contains("of 2,303 rows checked…"), "{counts}");
        let second = page.attr("#preview-counts", "hx-get");
        assert!(second.starts_with(&at) && second.contains("on=true"), "{second}");
    };
    let counts = page.text_of("#preview-counts");
    for text in ["2300 of 2,303", "New 2300", "Skipped 2", "Wrong 1"] {
        assert!(counts.replace("2,300", "2300").contains(text), "{text}: {counts}");
    }
    assert!(!page.text.contains("rows checked…"), "{}", page.text);
    assert!(page.text_of("#preview-begin").replace(',', "").contains("Import 2300 contacts"));
    let wrong = owner.get(&format!("{at}?show=wrong&on=true")).await;
    assert!(wrong.text_of("#preview-rows tbody").contains("nobody@example.com"), "{}", wrong.text);
    assert!(wrong.text_of("#preview-check").contains("row 2304"), "{}", wrong.text);
    let last = owner.get(&format!("{at}?page=46&on=true")).await;
    assert!(last.text_of("#preview-rows tbody").contains("p2299@example.com"), "{}", last.text);

    // Later changes are visible when the page is opened again.
    let taken = json!({ "name": "There", "email": "p5@example.com" });
    assert_eq!(api.post("/api/v1/contacts", &taken).await.status, 201);
    loop {
        let counts = owner.get(&at).await.text_of("#preview-counts");
        if counts.contains("Skipped 3") {
            break;
        }
        assert!(counts.contains("rows checked…"), "{counts}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_rows_go_on_after_a_restart_and_none_comes_twice() {
    let mut hq = TestHq::start().await;
    let mut file = "name,email,tags\n".to_owned();
    for n in 0..2_300 {
        file.push_str(&format!("Person {n},p{n}@example.com,\"imported,batch {}\"\n", n % 7));
    }
    let import = {
        let api = hq.api().await;
        let import = sent(&api, "contacts", "many.csv", &file).await;
        act(&api, &import, "begin").await;
        import
    };
    hq.restart().await;
    let api = hq.api().await;
    let now = done(&api, &import).await;
    assert_eq!((&now["made"], &now["wrong"]), (&json!(2_300), &json!(0)), "{now}");
    assert_eq!(count(&api, "contacts").await, 2_300);
    assert_eq!(count(&api, "contacts?q=tag:%22batch%203%22").await, 329);
    act(&api, &import, "undo").await;
    let back = done(&api, &import).await;
    assert_eq!((&back["state"], &back["kept"]), (&json!("undone"), &json!(0)), "{back}");
    assert_eq!(count(&api, "contacts").await, 0);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_comes_out_of_a_file_and_pages_lead_through() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    assert_eq!(api.post("/api/v1/collections", &json!({ "name": "Bikes" })).await.status, 201);
    let import = sent(
        &api,
        "Bikes",
        "bikes.json",
        r#"[{"Number": "31", "Frame": "Steel", "Price": 1200.5, "Sold": true}]"#,
    )
    .await;
    act(&api, &import, "begin").await;
    assert_eq!(done(&api, &import).await["made"], 1);
    let found = api.get("/api/v1/collections/Bikes/records?q=price:%3E1000").await.json();
    assert_eq!(
        (&found["items"][0]["name"], &found["items"][0]["sold"]),
        (&json!("31"), &json!(true)),
        "{found}"
    );

    assert_eq!(owner.get(&format!("{HERE}/contacts/import")).await.status, 200);
    let boundary = "xyz";
    let form = |name: &str, text: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n--{boundary}--\r\n").into_bytes()
    };
    let kind = format!("multipart/form-data; boundary={boundary}");
    let at = format!("{HERE}/contacts/import");
    let refused = owner.bytes("POST", &at, &kind, form("pasted", "")).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let pasted =
        owner.bytes("POST", &at, &kind, form("pasted", "Name;Mail\nÄnne;anne@example.com\n")).await;
    assert_eq!(pasted.status, 303, "{}", pasted.text);
    let at = pasted.location().expect("its page").to_owned();
    let page = owner.get(&at).await;
    assert!(page.text.contains("Import 1 contact"), "{}", page.text);
    assert_eq!(
        owner
            .form(
                &at,
                &[
                    ("goes.0", "field:name"),
                    ("goes.1", "field:email"),
                    ("then", "begin"),
                    ("header_row", "1"),
                    ("was_header_row", "1")
                ]
            )
            .await
            .status,
        303
    );
    done(&api, &json!({ "id": at.rsplit('/').next() })).await;
    assert_eq!(contact(&api, "anne@example.com").await["name"], "Änne");
    let page = owner.get(&at).await;
    assert!(page.text.contains("1 new"), "{}", page.text);
    let part = hq.owner().htmx("import-state").get(&at).await;
    assert!(part.text_of("#import-state").contains("1 new"), "the region alone: {}", part.text);
    // Who and when, and the new records.
    assert!(part.text_of(".crm-past").contains("Mira Lindqvist"), "{}", part.text);
    let made = hq.owner().get(&part.attr(".crm-past a", "href")).await;
    assert!(made.texts(".crm-table .row .title").contains(&"Änne".to_owned()), "{}", made.text);
    assert_eq!(owner.get(&format!("{HERE}/imports")).await.status, 200);
    assert_eq!(owner.get(&format!("{at}/problems.csv")).await.status, 200);

    let broken = api
        .bytes(
            "POST",
            "/api/v1/imports?of=contacts&name=a.xls",
            "application/octet-stream",
            b"\xd0\xcf\x11\xe0".to_vec(),
        )
        .await;
    assert_eq!(broken.status, 422, "{}", broken.text);
    hq.finish().await;
}

const STAFF: &str = "Name,Email,Organization\n\
    Jana Brandt,jana@brandt.example,Brandt GmbH\n\
    Otto Free,otto@mail.example,Free Works\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_is_found_by_the_domain_of_an_address_then_by_its_name() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let brandt = json!({ "name": "Brandt Bakery", "website": "https://www.brandt.example/shop" });
    assert_eq!(api.post("/api/v1/organizations", &brandt).await.status, 201);
    let import = sent(&api, "contacts", "staff.csv", STAFF).await;
    act(&api, &import, "begin").await;
    assert_eq!(done(&api, &import).await["state"], "done");
    assert_eq!(contact(&api, "jana@brandt.example").await["organization"]["name"], "Brandt Bakery");
    assert_eq!(contact(&api, "otto@mail.example").await["organization"]["name"], "Free Works");
    assert_eq!(count(&api, "organizations").await, 2);

    // A site without a path matches the organization there, whatever name the file has.
    let second = "Name,Website,Industry\nBrandt,brandt.example,Food\n";
    let import = sent(&api, "organizations", "orgs.csv", second).await;
    let at = format!("/api/v1/imports/{}", import["id"].as_str().expect("an id"));
    assert_eq!(api.json("PATCH", &at, &json!({ "clash": "fill" })).await.status, 200);
    act(&api, &import, "begin").await;
    assert_eq!(done(&api, &import).await["changed"], 1);
    assert_eq!(count(&api, "organizations").await, 2);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_taken_back_leaves_the_fields_and_stages_as_they_were() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let fields = async || api.get("/api/v1/fields?of=contacts").await.json();
    let before = fields().await;
    let file = "Name,Phase,Priority,Bikes\nRosa,Kalt,Soon,2\nJana,Warm,High,3\n";
    let import = sent(&api, "contacts", "x.csv", file).await;
    let at = format!("/api/v1/imports/{}", import["id"].as_str().expect("an id"));
    let body = json!({
        "columns": { "Bikes": "new:number" },
        "choices": { "Phase": { "Kalt": "add", "Warm": "choice:qualified" } },
    });
    assert_eq!(api.json("PATCH", &at, &body).await.status, 200);
    let seen = act(&api, &import, "preview").await;
    assert_eq!(
        seen["adds"],
        json!([
            "Adds the field Bikes.",
            "Adds the stage Kalt.",
            "Adds the choice Soon to Priority."
        ])
    );
    assert_eq!(fields().await, before, "a preview adds nothing");
    act(&api, &import, "begin").await;
    assert_eq!(done(&api, &import).await["made"], 2);
    assert_ne!(fields().await, before);
    assert_eq!(contact(&api, "Rosa").await["stage"], "kalt");
    assert_eq!(contact(&api, "Jana").await["stage"], "qualified", "as somebody chose");
    act(&api, &import, "undo").await;
    let back = done(&api, &import).await;
    assert_eq!((&back["state"], &back["kept"]), (&json!("undone"), &json!(0)), "{back}");
    assert_eq!(fields().await, before);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mapping_offers_choices_for_words_and_shows_the_decimal_sign() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let file = "Name;Phase;Umsatz\nRosa;Kalt;1.234,50\nJana;Warm;12,5\nOtto;Lead;3,25\n";
    let import = sent(&api, "contacts", "x.csv", file).await;
    let at = format!("{HERE}/imports/{}", import["id"].as_str().expect("an id"));
    let page = owner.get(&at).await;
    let names = page.attrs("main select", "name");
    for name in ["becomes.1.Kalt", "becomes.1.Warm", "decimal_sign"] {
        assert!(names.iter().any(|one| one == name), "{name}: {names:?}");
    }
    assert!(!names.iter().any(|one| one == "becomes.1.Lead"), "a choice already: {names:?}");
    assert_eq!(page.attr("[name=decimal_sign] option[selected]", "value"), ",");
    let unnamed = [("goes.0", ""), ("goes.1", "field:stage"), ("goes.2", ""), ("then", "look")];
    assert_eq!(owner.form(&at, &unnamed).await.status, 303);
    let page = owner.get(&at).await;
    assert!(page.text.contains("Choose the column with the name"), "{}", page.text);
    let rows = page.text_of("#preview-rows tbody");
    assert!(rows.contains("Jana") && rows.contains("12,5"), "the file as it stands: {rows}");
    let form = [
        ("goes.0", "field:name"),
        ("goes.1", "field:stage"),
        ("goes.2", "new:number"),
        ("becomes.1.Kalt", "choice:lost"),
        ("becomes.1.Warm", ""),
        ("decimal_sign", ","),
        ("add_choices", "on"),
        ("then", "begin"),
    ];
    assert_eq!(owner.form(&at, &form).await.status, 303);
    let now = done(&api, &import).await;
    assert_eq!((&now["made"], &now["cells"]), (&json!(3), &json!(0)), "{now}");
    let rosa = contact(&api, "Rosa").await;
    assert_eq!((&rosa["stage"], &rosa["umsatz"]), (&json!("lost"), &json!(1234.5)));
    assert_eq!(contact(&api, "Jana").await["umsatz"], 12.5);
    assert!(now["problems"].to_string().contains("Warm"), "what was left out is told: {now}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_reads_german_numbers_and_tells_days_and_errors_that_stay_empty() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    assert_eq!(api.post("/api/v1/collections", &json!({ "name": "Bikes" })).await.status, 201);
    let file = "Name;Price;Sold on\n\
        A;1.234,50;31.02.2026\nB;12.500,00;24.12.2025\nC;89,90;\nD;12,5;\nE;#DIV/0!;\n";
    let import = sent(&api, "Bikes", "bikes.csv", file).await;
    assert_eq!(import["columns"][1]["goes"], "new:number", "{import}");
    let at = format!("/api/v1/imports/{}", import["id"].as_str().expect("an id"));
    let body = json!({ "columns": { "Sold on": "new:date" } });
    assert_eq!(api.json("PATCH", &at, &body).await.status, 200);
    act(&api, &import, "begin").await;
    let now = done(&api, &import).await;
    assert_eq!((&now["made"], &now["cells"]), (&json!(5), &json!(2)), "{now}");
    let problems = now["problems"].to_string();
    for says in ["The date 31.02.2026 doesn't exist.", "The file contains an error: #DIV/0!."] {
        assert!(problems.contains(says), "{says}: {problems}");
    }
    let page = hq.owner().get(&at.replace("/api/v1", HERE)).await;
    assert!(page.text.contains("2 cells stay empty"), "{}", page.text);
    let found = api.get("/api/v1/collections/Bikes/records").await.json();
    let price = |name: &str| {
        let all = found["items"].as_array().expect("a list");
        let one = all.iter().find(|one| one["name"] == name).expect("its record");
        one["price"].clone()
    };
    assert_eq!(
        [price("A"), price("B"), price("C"), price("D")],
        [json!(1234.5), json!(12_500), json!(89.9), json!(12.5)]
    );
    hq.finish().await;
}

/// Author and cause of the API's last write.
fn owner_of(hq: &TestHq) -> (kernel::Actor, kernel::Cause) {
    let members: Vec<features::workspace::model::Member> =
        hq.ws().read(|snap| snap.list(&store::Range::all())).expect("the members");
    let via = kernel::Via::Socket { uid: 0 };
    let actor = kernel::Actor::Person { account: members[0].account, via };
    (actor, kernel::Cause::Request([1; 16]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_goes_on_after_a_restart_without_whoever_asked_and_can_be_undone() {
    let mut hq = TestHq::start().await;
    let mut file = "name,email,Bikes\n".to_owned();
    for n in 0..1_700 {
        file.push_str(&format!("Person {n},p{n}@example.com,{n}\n"));
    }
    let (import, at) = {
        let api = hq.api().await;
        let import = sent(&api, "contacts", "many.csv", &file).await;
        let at = format!("/api/v1/imports/{}", import["id"].as_str().expect("an id"));
        let columns = json!({ "columns": { "Bikes": "new:number" } });
        assert_eq!(api.json("PATCH", &at, &columns).await.status, 200);
        act(&api, &import, "begin").await;
        assert_eq!(done(&api, &import).await["made"], 1_700);
        (import, at)
    };
    // The undo is ordered but not executed, as after a crash.
    let id = import["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let order = move |tx: &mut store::WriteTx<'_>| rules::turn_import(tx, id, Turn::Back);
    let ordered = hq.ws().write(&owner_of(&hq), order).await.expect("it is noted");
    let state = ordered.state.word(&ordered.entries);
    assert_eq!((state, ordered.entries.len()), ("undoing", 6));
    hq.restart().await;
    let api = hq.api().await;
    let back = done(&api, &import).await;
    assert_eq!((&back["state"], &back["kept"]), (&json!("undone"), &json!(0)), "{back}");
    assert_eq!(count(&api, "contacts").await, 0);
    assert!(!api.get("/api/v1/fields?of=contacts").await.text.contains("\"bikes\""));

    // Redo, and undo again.
    let page = hq.owner().get(&at.replace("/api/v1", HERE)).await;
    assert!(page.text.contains("Restore import"), "{}", page.text);
    act(&api, &import, "redo").await;
    let forth = done(&api, &import).await;
    assert_eq!((&forth["state"], &forth["kept"]), (&json!("done"), &json!(0)), "{forth}");
    assert_eq!(count(&api, "contacts").await, 1_700);
    assert_eq!(contact(&api, "p7@example.com").await["bikes"], 7);
    assert_eq!(api.post(&format!("{at}/redo"), &json!({})).await.status, 409);
    act(&api, &import, "undo").await;
    assert_eq!(done(&api, &import).await["state"], "undone");
    assert_eq!(count(&api, "contacts").await, 0);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_answers_again_after_a_restart() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    let import = sent(&api, "contacts", "x.csv", "name\nRosa\n").await;
    let at = format!("/api/v1/imports/{}", import["id"].as_str().expect("an id"));
    for verb in ["begin", "undo", "redo"] {
        let key = format!("{verb}-once");
        // A key belongs to its sender, so use the same token before and after.
        let keyed = hq.api().await.with("idempotency-key", &key);
        let first = keyed.post(&format!("{at}/{verb}"), &json!({})).await;
        assert_eq!(first.status, 200, "{verb}: {}", first.text);
        done(&hq.api().await, &import).await;
        hq.restart().await;
        let second = keyed.back_at(&hq).post(&format!("{at}/{verb}"), &json!({})).await;
        assert_eq!(second.status, 200, "{verb}: {}", second.text);
    }
    assert_eq!(count(&hq.api().await, "contacts").await, 1);
    hq.finish().await;
}
