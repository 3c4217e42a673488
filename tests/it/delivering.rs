//! Deliverables of people on the page: remarks on single lines, replies, comparisons.

use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Reply, TestHq};

const API: &str = "/api/v1/tasks/MC-1/deliverables";
const TASK: &str = "/w/marlow-cargo/tasks/MC-1";
const BREAK: &str = "a-line-between-parts";

async fn opened() -> (TestHq, Person, Person) {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let made = mira.post("/api/v1/tasks", &json!({ "title": "Prices" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    (hq, mira, tom)
}

/// Submits a form with a file as a browser does.
async fn send(person: &Person, fields: &[(&str, &str)], file: Option<(&str, &str)>) -> Reply {
    let mut body = String::new();
    for (name, value) in fields {
        body.push_str(&format!(
            "--{BREAK}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    let (name, content) = file.unwrap_or(("", ""));
    body.push_str(&format!(
        "--{BREAK}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         content-type: application/octet-stream\r\n\r\n{content}\r\n--{BREAK}--\r\n"
    ));
    let kind = format!("multipart/form-data; boundary={BREAK}");
    person.bytes("POST", &format!("{TASK}/deliver"), &kind, body.into_bytes()).await
}

async fn pieces(person: &Person) -> Value {
    person.get(API).await.json()["items"].clone()
}

async fn judge(person: &Person, piece: &str, body: Value) -> Reply {
    person.post(&format!("/api/v1/deliverables/{piece}/reviews"), &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_deliver_texts_links_and_files_in_the_page() {
    let (hq, mira, tom) = opened().await;
    let form = tom.get(&format!("{TASK}/deliver")).await;
    assert_eq!(form.text_of("h1"), "Deliver work", "{}", form.text);
    let text = [("title", "Notes"), ("kind", "text"), ("text", "# Prices"), ("note", "look")];
    let sent = send(&tom, &text, None).await;
    assert_eq!(sent.location(), Some(TASK), "{}", sent.text);
    let link = [("title", "Site"), ("kind", "url"), ("url", "https://example.com/x")];
    assert_eq!(send(&tom, &link, None).await.status, StatusCode::SEE_OTHER);
    let file = [("title", "Table"), ("kind", "file")];
    let sent = send(&tom, &file, Some(("prices.csv", "a;b"))).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let all = pieces(&mira).await;
    let kinds: Vec<_> = (0..3).map(|n| all[n]["versions"][0]["kind"].clone()).collect();
    assert_eq!(kinds, [json!("text"), json!("url"), json!("file")]);
    assert_eq!(all[2]["versions"][0]["file"]["name"], "prices.csv");
    assert_eq!(all[0]["submitted_by"]["handle"], "tom");
    let queue = mira.get("/w/marlow-cargo/review").await;
    assert_eq!(queue.texts("#queue li a"), ["Notes", "Site", "Table"]);

    for (fields, field) in [
        (vec![("title", ""), ("kind", "text"), ("text", "x")], "#f-title-says"),
        (vec![("title", "x"), ("kind", "text"), ("text", " ")], "#f-text-says"),
        (vec![("title", "x"), ("kind", "url"), ("url", "example.com")], "#f-url-says"),
        (vec![("title", "x"), ("kind", "file")], "#f-file-says"),
    ] {
        let wrong = send(&tom, &fields, None).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
        assert!(!wrong.text_of(field).is_empty(), "{field}");
    }
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    assert_eq!(send(&viewer, &text, None).await.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remarks_are_asks_and_the_next_version_answers_them() {
    let (hq, mira, tom) = opened().await;
    let first = [("title", "Notes"), ("kind", "text"), ("text", "per month\nper year\n")];
    send(&tom, &first, None).await;
    let piece = pieces(&mira).await[0]["id"].as_str().expect("an id").to_owned();
    let action = format!("/w/marlow-cargo/deliverables/{piece}/review");
    let nothing = [("verdict", "rejected"), ("quote", "per month"), ("remark", "Which VAT?")];
    let nothing = mira.form(&action, &nothing).await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY, "no reason for all of it");
    assert_eq!(nothing.attrs(".note-row input[name=remark]", "value"), ["Which VAT?"], "kept");
    let back = [
        ("verdict", "changes_requested"),
        ("note", "- say when\n"),
        ("quote", "per month"),
        ("remark", "Which VAT?"),
        ("quote", ""),
        ("remark", ""),
    ];
    let sent = mira.form(&action, &back).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let told = tom.get("/api/v1/notifications").await.json();
    assert_eq!(told["items"][0]["title"], "Mira Lindqvist requested changes to “Notes”");
    let review = &pieces(&mira).await[0]["versions"][0]["review"];
    assert_eq!(review["asks"], json!(["say when", "“per month”: Which VAT?"]));

    let form = tom.get(&format!("/w/marlow-cargo/deliverables/{piece}/revise")).await;
    assert_eq!(form.text_of("h1"), "Version 2 of Notes");
    assert_eq!(form.texts(".answers-to label").len(), 2);
    assert_eq!(form.text_of("#f-text"), "per month per year", "it begins as it was");
    let second = [
        ("revises", piece.as_str()),
        ("done", "yes"),
        ("answer", "on 19 November"),
        ("done", "no"),
        ("answer", "nobody says"),
        ("kind", "text"),
        ("text", "per month on 19 November\nper year\n"),
    ];
    let sent = send(&tom, &second, None).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let desk = mira.get(&format!("/w/marlow-cargo/review?piece={piece}")).await;
    let asked = desk.texts(".asked > li");
    assert_eq!(asked.len(), 2, "{}", desk.text);
    assert!(asked[0].starts_with("Done: say when"), "{asked:?}");
    assert!(asked[1].contains("nobody says"), "{asked:?}");
    assert_eq!(desk.attrs(".asked > li[data-tone]", "data-tone"), ["warn"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_is_compared_with_any_text_before_it() {
    let (hq, mira, _tom) = opened().await;
    let body = json!({ "title": "Notes", "text": "one\n" });
    let made = mira.post(API, &body).await;
    let piece = made.json()["id"].as_str().expect("an id").to_owned();
    for text in ["one\ntwo\n", "one\ntwo\nthree\n"] {
        let again = json!({ "revises": piece, "text": text });
        assert_eq!(mira.post(API, &again).await.status, StatusCode::CREATED);
    }
    let desk = format!("/w/marlow-cargo/review?piece={piece}&version=3&changes=1");
    let last = mira.get(&desk).await;
    assert_eq!(last.texts(".diff ins"), ["three"]);
    assert_eq!(last.texts("nav[aria-label='Compared with'] a"), ["Version 1", "Version 2"]);
    let first = mira.get(&format!("{desk}&against=1")).await;
    assert_eq!(first.texts(".diff ins"), ["two", "three"]);
    assert!(first.text_of(".facts").contains("compared with version 1"), "{}", first.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remarks_alone_send_work_back_and_too_many_are_refused() {
    let (hq, mira, _tom) = opened().await;
    let made = mira.post(API, &json!({ "title": "Notes", "text": "one" })).await;
    let piece = made.json()["id"].as_str().expect("an id").to_owned();
    let remark = json!({ "text": "x" });
    let many = json!({ "verdict": "changes_requested", "remarks": vec![remark; 51] });
    assert_eq!(judge(&mira, &piece, many).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let none = json!({ "verdict": "changes_requested", "remarks": [{ "text": "  " }] });
    assert_eq!(judge(&mira, &piece, none).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let one =
        json!({ "verdict": "changes_requested", "remarks": [{ "quote": "one", "text": "Two?" }] });
    let sent = judge(&mira, &piece, one).await;
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    assert_eq!(sent.json()["state"], "changes_requested");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reviewer_keeps_a_version_when_a_newer_one_arrives() {
    let (hq, mira, tom) = opened().await;
    let first = [("title", "Notes"), ("kind", "text"), ("text", "The first words")];
    assert_eq!(send(&tom, &first, None).await.status, StatusCode::SEE_OTHER);
    let page = mira.get("/w/marlow-cargo/review").await;
    let live = page.attr("#desk", "hx-get");
    assert!(page.text_of(".piece").contains("The first words"), "{}", page.text);
    assert!(!page.text.contains("is waiting for your review"), "{}", page.text);

    let piece = pieces(&mira).await[0]["id"].as_str().expect("an id").to_owned();
    let next = json!({ "revises": piece, "title": "Notes", "text": "The second words" });
    let sent = tom.post(API, &next).await;
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);

    let desk = mira.clone().with("hx-request", "true").get(&live).await;
    assert!(desk.text_of(".piece").contains("The first words"), "{}", desk.text);
    assert!(desk.text_of(".verdict").contains("Version 2 was delivered"), "{}", desk.text);
    assert!(desk.texts("form.verdict").is_empty(), "only the newest version is decided on");
    let region = desk.attr(".verdict a", "hx-get");
    let shown = mira.clone().with("hx-request", "true").get(&region).await;
    assert!(shown.text_of("#desk .piece").contains("The second words"), "{}", shown.text);
    let newest = desk.attr(".verdict a", "href");
    let page = mira.get(&newest).await;
    assert!(page.text_of(".piece").contains("The second words"), "{}", page.text);
    assert_eq!(page.texts("form.verdict").len(), 1, "{}", page.text);
    hq.finish().await;
}
