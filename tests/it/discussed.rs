//! Comments and files on contacts, organizations and records, in pages, API and tools.

use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};

const HERE: &str = "/w/marlow-cargo";

async fn made(api: &Person, path: &str, body: Value) -> Value {
    let made = api.post(&format!("/api/v1/{path}"), &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

/// A workspace with a contact, and the contact's id.
async fn opened() -> (TestHq, String) {
    let hq = TestHq::start().await;
    let rosa = made(&hq.api().await, "contacts", json!({ "name": "Rosa" })).await;
    let id = rosa["id"].as_str().expect("an id").to_owned();
    (hq, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_on_a_contact_stands_in_its_timeline_and_tells_who_is_mentioned() {
    let (hq, rosa) = opened().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let tom = hq.another("Tom", Some(kernel::Role::Member)).await;
    let page = format!("{HERE}/contacts/{rosa}");
    let on = format!("{HERE}/on/contact:{rosa}");

    let said = [("body", "@tom asks for ten bikes"), ("key", "1")];
    let sent = mira.form(&format!("{on}/comment"), &said).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    assert!(sent.header("location").expect("a place").starts_with(&format!("{page}#c-")));
    let shown = mira.get(&page).await;
    assert_eq!(shown.texts("#crm-talks .said .md"), ["@tom asks for ten bikes"], "{}", shown.text);
    let told = tom.get(&format!("{HERE}/notifications")).await;
    assert!(told.text.contains("mentioned you on Rosa"), "{}", told.text);
    assert!(told.text.contains(&format!("/contacts/{rosa}")), "{}", told.text);

    let all = api.get(&format!("/api/v1/on/contact:{rosa}/comments")).await.json();
    let first = all["items"][0].clone();
    assert_eq!((&first["task"], &first["on"]), (&Value::Null, &json!(format!("contact:{rosa}"))));
    let id = first["id"].as_str().expect("an id");
    // By name, and as a reply.
    let answer = json!({ "body": "Eleven", "reply_to": id });
    let answer = made(&api, "on/contact:Rosa/comments", answer).await;
    assert_eq!(answer["parent"], first["id"]);
    let shown = mira.get(&page).await;
    assert_eq!(shown.texts("#crm-talks .answers .md"), ["Eleven"]);
    let led = mira.get(&format!("{on}?reply={id}")).await;
    assert_eq!(led.header("location"), Some(format!("{page}?reply={id}").as_str()));

    let gone = mira.form(&format!("{on}/comments/{id}/delete"), &[]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.text);
    let left = api.get(&format!("/api/v1/on/contact:{rosa}/comments")).await.json();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "the answer stands on its own");
    let nobody = api.get("/api/v1/on/contact:Nobody/comments").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND, "{}", nobody.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_lies_on_a_contact_and_goes_and_comes_back_with_it() {
    let (hq, rosa) = opened().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let at = format!("/api/v1/on/contact:{rosa}/files");
    let sent = api
        .bytes(
            "POST",
            &format!("{at}?name=offer.txt"),
            "application/octet-stream",
            b"Ten bikes".to_vec(),
        )
        .await;
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    let file = sent.json()["id"].as_str().expect("an id").to_owned();
    let page = mira.get(&format!("{HERE}/contacts/{rosa}")).await;
    assert_eq!(page.texts("#task-files .title"), ["offer.txt"], "{}", page.text);
    let shown = mira.get(&format!("{HERE}/files/{file}")).await;
    assert!(shown.text.contains(&format!("/contacts/{rosa}")), "{}", shown.text);

    let removed = api.call("DELETE", &format!("/api/v1/contacts/{rosa}")).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.text);
    assert_eq!(api.get(&format!("/api/v1/files/{file}")).await.status, StatusCode::NOT_FOUND);
    let entry = hq.ws().store.head().seq;
    let undone = mira.form(&format!("{HERE}/undo/entry/{entry}"), &[]).await;
    assert!(undone.status.is_redirection() || undone.status == StatusCode::OK, "{}", undone.text);
    let back = api.get(&at).await.json();
    assert_eq!(back["items"].as_array().map(Vec::len), Some(1), "{back}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_delivered_as_it_is() {
    let (hq, rosa) = opened().await;
    let api = hq.api().await;
    made(&api, "tasks", json!({ "title": "Find a customer" })).await;
    let body = json!({ "title": "Rosa", "record": format!("contact:{rosa}") });
    let piece = made(&api, "tasks/MC-1/deliverables", body).await;
    let version = &piece["versions"][0];
    assert_eq!(version["kind"], "record", "{piece}");
    assert!(version["text"].as_str().expect("words").contains("**Stage:** Lead"), "{piece}");
    assert_eq!(version["page"]["path"], format!("contacts/{rosa}"));
    let none = json!({ "title": "Nobody", "record": "contact:Nobody" });
    let refused = api.post("/api/v1/tasks/MC-1/deliverables", &none).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_is_off_is_in_no_side_bar_palette_or_search_and_its_data_stays() {
    let (hq, rosa) = opened().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let links = |page: &support::hq::Reply| page.attrs("nav a", "href").join(" ");
    assert!(links(&mira.get(&format!("{HERE}/tasks")).await).contains("/organizations"));
    let saved = mira.form(&format!("{HERE}/settings/modules"), &[("knowledge", "on")]).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let page = mira.get(&format!("{HERE}/tasks")).await;
    for path in ["/contacts", "/organizations", "/collections"] {
        assert!(!links(&page).contains(path), "{path}: {}", links(&page));
    }
    assert!(links(&page).contains("/knowledge"));
    let settings = api.get("/api/v1/settings").await.json();
    assert_eq!(settings["modules_off"], json!(["customers", "collections"]), "{settings}");
    let found = mira.get(&format!("{HERE}/search?q=Rosa")).await;
    assert!(!found.text.contains(&format!("/contacts/{rosa}")), "{}", found.text);
    assert_eq!(mira.get(&format!("{HERE}/knowledge")).await.status, StatusCode::OK);
    let wrong = api.json("PATCH", "/api/v1/settings", &json!({ "modules_off": ["crm"] })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    let all = json!({ "modules_off": [] });
    assert_eq!(api.json("PATCH", "/api/v1/settings", &all).await.status, StatusCode::OK);
    assert!(links(&mira.get(&format!("{HERE}/tasks")).await).contains("/contacts"));
    assert_eq!(api.get(&format!("/api/v1/contacts/{rosa}")).await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_disabled_module_explains_itself_and_turns_it_on() {
    let (hq, rosa) = opened().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let tom = hq.another("Tom", Some(kernel::Role::Member)).await;
    let off = json!({ "modules_off": ["customers"] });
    assert_eq!(api.json("PATCH", "/api/v1/settings", &off).await.status, StatusCode::OK);
    let here = format!("{HERE}/contacts?sort=name");
    let (one, discussed) = (format!("contacts/{rosa}"), format!("on/contact:{rosa}"));
    for path in ["contacts?sort=name", &one, "contacts/import", &discussed] {
        let page = mira.get(&format!("{HERE}/{path}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(page.text_of("main h1"), "Customers is turned off", "{path}");
    }
    let page = mira.get(&here).await;
    let text = page.text_of("main .empty");
    for part in ["Contacts and organizations with", "Its data is kept", "Turned off by Mira"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let links = page.attrs("main a", "href");
    assert!(links.contains(&format!("{HERE}/settings/modules")), "{links:?}");
    // A module that is still on, and pages that it shares.
    for path in ["collections", "imports", "settings/fields"] {
        assert_eq!(mira.get(&format!("{HERE}/{path}")).await.status, StatusCode::OK, "{path}");
    }

    // A member sees whom to ask.
    let seen = tom.get(&here).await;
    let text = seen.text_of("main .empty");
    assert!(text.contains("Ask an owner to turn it on: Mira"), "{text}");
    assert!(seen.attrs(".trouble form", "action").is_empty(), "{}", seen.text);
    let on = format!("{HERE}/settings/modules/customers/on");
    assert_eq!(tom.form(&on, &[("back", &here)]).await.status, StatusCode::FORBIDDEN);

    // Programs get a code and the module.
    for path in [&*one, "contacts?q=rosa", &format!("{discussed}/comments")] {
        let refused = api.get(&format!("/api/v1/{path}")).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}: {}", refused.text);
        let problem = refused.json();
        assert_eq!(problem["code"], "module_off", "{problem}");
        assert_eq!(problem["module"], json!({ "word": "customers", "name": "Customers" }));
    }
    let made = api.post("/api/v1/contacts", &json!({ "name": "Eva" })).await;
    assert_eq!(made.status, StatusCode::NOT_FOUND, "{}", made.text);

    assert_eq!(page.attrs(".trouble form", "action"), [&*on]);
    assert_eq!(page.attr(".trouble input[name=back]", "value"), here);
    let back = mira.form(&on, &[("back", &here)]).await;
    assert_eq!(back.location(), Some(&*here), "{}", back.text);
    assert_eq!(mira.get(&here).await.status, StatusCode::OK);
    let elsewhere = mira.form(&on, &[("back", "//evil.example/")]).await;
    assert_eq!(elsewhere.location(), Some(&*format!("{HERE}/settings/modules")));
    hq.finish().await;
}
