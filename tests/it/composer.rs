//! The composer of a new task: chips, files, another task, and the way from the dashboard.

use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Reply, TestHq};
use support::office::Office;

const HOME: &str = "/w/marlow-cargo";
const TASKS: &str = "/w/marlow-cargo/tasks";
const FORM: &str = "multipart/form-data; boundary=edge";

/// The body of a form with fields and files.
fn body(fields: &[(&str, &str)], files: &[(&str, &str)]) -> Vec<u8> {
    let mut body = String::new();
    for (name, value) in fields {
        let head = format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.push_str(&format!("{head}{value}\r\n"));
    }
    for (name, content) in files {
        let head = "--edge\r\ncontent-disposition: form-data; name=\"files\"; filename=";
        body.push_str(&format!("{head}\"{name}\"\r\n\r\n{content}\r\n"));
    }
    body.push_str("--edge--\r\n");
    body.into_bytes()
}

fn told(reply: &Reply) -> Value {
    let told = reply.header("hx-trigger").expect("what the page hears");
    serde_json::from_str(told).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chips_are_fields_and_say_what_the_address_asks_for() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    for name in ["Yard", "Bikes"] {
        let made = api.post("/api/v1/labels", &json!({ "name": name })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    let asked = "title=Oil&status=blocked&priority=high&due=2026-12-24&labels=yard,New%20one";
    let page = mira.get(&format!("{TASKS}/new?{asked}")).await;
    let chosen = |name: &str| page.attr(&format!(".chips [name={name}] [selected]"), "value");
    assert_eq!(chosen("status"), "blocked");
    assert_eq!(chosen("priority"), "high");
    assert_eq!(page.attr("#f-due", "value"), "24 Dec 2026");
    assert_eq!(page.attrs("[name=label]", "value"), ["Bikes", "Yard"]);
    assert_eq!(page.attrs("[name=label][checked]", "value"), ["Yard"]);
    assert_eq!(page.attr("#f-labels", "value"), "New one");
    assert_eq!(page.text_of("[data-labels]"), "yard, New one");
    // What has a value or a mistake is not folded away.
    assert!(page.attrs(".composer-more[open]", "class").is_empty());
    let page = mira.get(&format!("{TASKS}/new?parent=MC-7")).await;
    assert_eq!(page.attrs(".composer-more[open] [name=parent]", "value"), ["MC-7"]);
    let wrong = mira.form(TASKS, &[("title", "Oil"), ("thinking", "much")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    assert_eq!(wrong.attrs(".composer-more[open] [aria-invalid]", "name"), ["thinking"]);

    let typed = [("title", "Oil"), ("label", "Yard"), ("label", "Bikes"), ("labels", "New one")];
    mira.form(TASKS, &typed).await;
    let task = api.get("/api/v1/tasks/MC-1").await.json();
    assert_eq!(task["labels"], json!(["Bikes", "New one", "Yard"]), "{task:#}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_sent_with_the_new_task() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let page = mira.get(&format!("{TASKS}/new")).await;
    assert_eq!(page.attr("#new-task", "enctype"), "multipart/form-data");
    let once = page.attr("#new-task [name=once]", "value");
    let fields = [("title", "Compare prices"), ("once", once.as_str()), ("label", "Yard")];
    let files = [("prices.csv", "van,800"), ("note.txt", "Ask twice.")];
    let new = body(&fields, &files);
    // The same form again creates nothing.
    for _ in 0..2 {
        let made = mira.bytes("POST", TASKS, FORM, new.clone()).await;
        assert_eq!(made.location(), Some("/w/marlow-cargo/tasks/MC-1"), "{}", made.text);
    }
    let task = mira.get(&format!("{TASKS}/MC-1")).await;
    assert_eq!(task.texts("#task-files li .title"), ["prices.csv", "note.txt"]);
    let labels = api.get("/api/v1/tasks/MC-1").await.json()["labels"].clone();
    assert_eq!(labels, json!(["Yard"]));
    let read = task.attrs("#task-files li .title", "href");
    let read = mira.get(&format!("{}/content", read[1])).await;
    assert_eq!(read.text, "Ask twice.");

    // A recurring task is no task yet.
    let weekly = body(&[("title", "Count the vans"), ("cadence_type", "weekdays")], &files);
    let refused = mira.bytes("POST", TASKS, FORM, weekly).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text_of("#f-files-says").contains("recurring"), "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_stays_for_another_task_with_the_same_properties() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let fields = [
        ("title", "Oil the chains"),
        ("description", "All of them."),
        ("priority", "urgent"),
        ("label", "Yard"),
        ("another", "on"),
    ];
    // Without script, the next form is a page.
    let made = mira.form(TASKS, &fields).await;
    let next = made.location().expect("the next form").to_owned();
    assert!(next.starts_with("/w/marlow-cargo/tasks/new?"), "{next}");
    let next = mira.get(&next).await;
    assert_eq!(next.attr("#f-title", "value"), "");
    assert_eq!(next.text_of("#f-description"), "");
    assert_eq!(next.attr("[name=priority] [selected]", "value"), "urgent");
    assert_eq!(next.attrs("[name=label][checked]", "value"), ["Yard"]);
    assert_eq!(next.attrs("[name=another][checked]", "value"), ["on"]);
    // In a dialog, the form takes the place of the one that was sent, and the toast leads to the task.
    let layer = [fields.as_slice(), &[("layer", "1")]].concat();
    let made = mira.clone().htmx("new-task").form(TASKS, &layer).await;
    assert_eq!((made.status, made.header("hx-reswap")), (StatusCode::OK, Some("outerHTML")));
    assert_eq!(told(&made)["hq:toast"]["href"], format!("{TASKS}/MC-2"));
    assert!(told(&made)["hq:close"].is_null(), "the dialog stays");
    assert_eq!(made.attr("#layer-title", "value"), "");
    assert_eq!(made.attr("[name=priority] [selected]", "value"), "urgent");
    assert!(!made.text.contains("\"f-"), "{}", made.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_task_is_created_on_the_dashboard_or_gets_details_first() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let mira = office.hq.owner();
    let home = mira.get(&format!("{HOME}/")).await;
    assert_eq!(home.attr(".starter", "method"), "post");
    assert!(home.text_of(".starter footer").contains("Press Enter to create the task and open it"));
    // What is typed goes along to the composer.
    let details = home.attr(".starter [data-details]", "formaction");
    assert_eq!(home.attr(".starter [data-details]", "formmethod"), "get");
    let form = mira.get(&format!("{details}?title=Report+on+May&assignee=ada&once=x")).await;
    assert_eq!(form.attr("#f-title", "value"), "Report on May");
    assert_eq!(form.attr("[name=assignee] [selected]", "value"), "ada");
    // Enter creates the task and opens it.
    let once = home.attr(".starter [name=once]", "value");
    let typed = [("title", "Report on May"), ("assignee", "ada"), ("once", once.as_str())];
    let begun = mira.form(&home.attr(".starter", "action"), &typed).await;
    assert_eq!(begun.location(), Some("/w/marlow-cargo/tasks/MC-1"), "{}", begun.text);
    office.hq.settle().await;
    office.hq.finish().await;
}
