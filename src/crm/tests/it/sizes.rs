//! Tests that after a large import every page and API response still has a size that phones can load.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use serde_json::json;
use support::hq::{Person, TestHq};

use crate::{HERE, over};

/// Maximum size of a page before compression, in bytes.
const MAX_PAGE: usize = 300 * 1024;
/// Maximum size of an API response without an explicit limit, in bytes.
const MAX_ANSWER: usize = 600 * 1024;

/// Number of contacts, each with its own organization, city and note.
const ROWS: usize = 1_200;
/// Number of custom fields of contacts, each with a value in each row.
const FIELDS: usize = 6;
/// Number of streams, and of tasks in each.
const STREAMS: usize = 24;
const TASKS: usize = 12;

fn list() -> String {
    let own: String = (1..=FIELDS).map(|n| format!(",Field {n}")).collect();
    let mut text = format!("Name,Email,Organization,City,Bikes{own}\n");
    for n in 0..ROWS {
        let own: String = (1..=FIELDS).map(|field| format!(",A value {n} of {field}")).collect();
        writeln!(text, "Person {n},person{n}@example.com,Company {n},City {n},{n}{own}")
            .expect("text");
    }
    text
}

/// Creates custom fields of contacts, and tasks in many groups.
async fn prepare(api: &Person) {
    let post = async |path: &str, body: serde_json::Value| {
        let made = api.post(&format!("/api/v1/{path}"), &body).await;
        assert_eq!(made.status, 201, "{path}: {}", made.text);
    };
    for n in 1..=FIELDS {
        post("fields?of=contacts", json!({ "label": format!("Field {n}") })).await;
    }
    post("labels", json!({ "name": "spring offer" })).await;
    for stream in 0..STREAMS {
        let name = format!("Stream {stream}");
        post("streams", json!({ "name": name })).await;
        for n in 0..TASKS {
            let title = format!("Check the parts shelf {n}");
            let task = json!({ "title": title, "stream": name, "labels": ["spring offer"] });
            post("tasks", task).await;
        }
    }
}

/// Imports many contacts; returns the address of the import.
async fn import(api: &Person) -> String {
    let text = list().into_bytes();
    let path = "/api/v1/imports?of=contacts&name=everybody.csv";
    let sent = api.bytes("POST", path, "application/octet-stream", text).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let id = sent.json()["id"].as_str().expect("an id").to_owned();
    let at = format!("/api/v1/imports/{id}");
    for verb in ["preview", "begin"] {
        let done = api.post(&format!("{at}/{verb}"), &json!({})).await;
        assert_eq!(done.status, 200, "{}", done.text);
    }
    assert_eq!(over(api, &format!("imports/{id}")).await["state"], "done");
    at
}

/// The parts of an address that make another page: its path with variable parts replaced, alone and with each key of
/// its query: `/w/marlow-cargo/contacts/*?group`.
fn shapes(address: &str) -> Vec<String> {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let part = |part: &str| match part.len() > 24 || part.chars().any(|c| c.is_ascii_digit()) {
        true => "*".to_owned(),
        false => part.to_owned(),
    };
    let path = path.split('/').map(part).collect::<Vec<_>>().join("/");
    let keys = query.split('&').filter_map(|pair| pair.split('=').next());
    keys.map(|key| format!("{path}?{key}")).collect()
}

/// Fetches linked pages recursively, as long as they have a shape that no other one had; returns the size of each by
/// address.
async fn walk(owner: &Person, from: &[&str]) -> BTreeMap<String, usize> {
    let mut waiting: VecDeque<String> = from.iter().map(|path| (*path).to_owned()).collect();
    let (mut met, mut sizes) = (BTreeSet::new(), BTreeMap::new());
    while let Some(address) = waiting.pop_front() {
        let news = shapes(&address).into_iter().filter(|shape| met.insert(shape.clone()));
        if news.count() == 0 {
            continue;
        }
        let reply = owner.get(&address).await;
        assert!(!reply.status.is_server_error(), "{address}: {}", reply.status);
        let is_page =
            reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        if !is_page || reply.header("content-disposition").is_some() {
            continue;
        }
        sizes.insert(address, reply.text.len());
        for name in ["href", "hx-get"] {
            let links = reply.attrs(&format!("[{name}]"), name);
            let inside = links.into_iter().filter(|link| link.starts_with(HERE));
            waiting
                .extend(inside.map(|link| link.split('#').next().unwrap_or_default().to_owned()));
        }
    }
    sizes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_and_no_answer_grows_with_an_import() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    prepare(&api).await;
    import(&api).await;

    let first = [
        HERE.to_owned(),
        format!("{HERE}/activity"),
        format!("{HERE}/settings/audit"),
        format!("{HERE}/contacts?group=organization"),
        format!("{HERE}/contacts?group=organization&layout=board"),
        format!("{HERE}/contacts?group=organization&layout=cards"),
        format!("{HERE}/tasks"),
        format!("{HERE}/tasks?group=stream"),
    ];
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    let pages = walk(&hq.owner(), &first).await;
    assert!(60 < pages.len(), "only {} pages were found", pages.len());
    let contacts = pages[&format!("{HERE}/contacts")];
    assert!(MAX_PAGE / 2 < contacts, "the list has no rows worth the name: {contacts}");
    let large: Vec<_> = pages.iter().filter(|(_, size)| MAX_PAGE < **size).collect();
    assert!(large.is_empty(), "too large: {large:#?}");

    let routes = hq.running().routes.clone();
    let lists = routes.iter().filter(|route| {
        route.method == "GET" && route.path.starts_with("/api/v1/") && !route.path.contains('{')
    });
    let mut large = Vec::new();
    for route in lists {
        let reply = api.get(&route.path).await;
        assert!(!reply.status.is_server_error(), "{}: {}", route.path, reply.text);
        let is_file = reply.header("content-disposition").is_some();
        // The API description is as long as the API.
        let is_whole = is_file || route.path.ends_with("/openapi.json");
        if MAX_ANSWER < reply.text.len() && !is_whole {
            large.push((route.path.clone(), reply.text.len()));
        }
    }
    for path in ["changes?after=start", "changes?after=start&include=rows&limit=500"] {
        let reply = api.get(&format!("/api/v1/{path}")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        if 2 * MAX_ANSWER < reply.text.len() {
            large.push((path.to_owned(), reply.text.len()));
        }
    }
    assert!(large.is_empty(), "too large: {large:#?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_one_line_of_what_happened() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let at = import(&api).await;

    let text = hq.owner().get(&format!("{HERE}/activity")).await;
    let lines: Vec<String> = text.texts("#activity .what");
    let of = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!(of("imported 1,200 contacts"), 1, "{lines:#?}");
    assert_eq!(of("imported 1,200 organizations"), 1, "{lines:#?}");
    assert_eq!(of("Person 7"), 0, "{lines:#?}");

    let items = api.get("/api/v1/activity").await.json();
    let texts = items["items"].to_string();
    assert!(texts.contains("imported 1,200 contacts"), "{texts}");

    let (undid, restored) = ("reverted the import of", "restored the import of");
    for (verb, words, times) in
        [("undo", undid, 1), ("redo", restored, 1), ("undo", undid, 2), ("redo", restored, 2)]
    {
        let begun = api.post(&format!("{at}/{verb}"), &json!({})).await;
        assert_eq!(begun.status, 200, "{}", begun.text);
        over(&api, at.trim_start_matches("/api/v1/")).await;
        let page = hq.owner().get(&format!("{HERE}/activity")).await;
        let lines: Vec<String> = page.texts("#activity .what");
        let of: Vec<_> = lines.iter().filter(|line| line.contains(words)).collect();
        assert_eq!(of.len(), times, "{lines:#?}");
        let whole = format!("{words} 1,200 contacts");
        assert!(of.iter().all(|line| line.ends_with(&whole)), "{lines:#?}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_on_many_records_is_one_line_for_people_and_for_programs() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let begun = api.get("/api/v1/activity?limit=1").await.json();
    let begun = begun["cursor"].as_str().expect("a place").to_owned();
    // The last piece has two rows, which must not be separate lines; the first piece also creates an organization.
    let file: String = (0..1_002)
        .map(|n| format!("Person {n},{}\n", if n == 0 { "Tidewater" } else { "" }))
        .collect();
    let path = "/api/v1/imports?of=contacts&name=tenth.csv";
    let file = format!("Name,Organization\n{file}").into_bytes();
    let sent = api.bytes("POST", path, "application/octet-stream", file).await.json();
    let at = format!("imports/{}", sent["id"].as_str().expect("an id"));
    assert_eq!(api.post(&format!("/api/v1/{at}/begin"), &json!({})).await.status, 200);
    assert_eq!(over(&api, &at).await["made"], 1_002);
    let rows = api.get("/api/v1/contacts?limit=40").await.json();
    let ids: Vec<&str> = rows["items"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["id"].as_str())
        .collect();
    let form = [("tasks", ids.join(",")), ("archived", "yes".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
    assert_eq!(mira.form(&format!("{HERE}/contacts/bulk"), &form).await.status, 303);

    let page = mira.get(&format!("{HERE}/activity")).await.texts("#activity .what");
    let texts = |page: &serde_json::Value| {
        let items = page["items"].as_array().expect("a list").iter();
        items.filter_map(|item| item["text"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    // A page does not end in the middle of the pieces.
    let first = api.get("/api/v1/activity?limit=2").await.json();
    assert!(texts(&first)[1].ends_with("imported 1,002 contacts from tenth.csv"), "{first}");
    let rest = format!("/api/v1/activity?before={}", first["next"].as_str().unwrap_or_default());
    assert!(!api.get(&rest).await.text.contains("tenth.csv"), "nothing of it is left");
    let newest = texts(&api.get("/api/v1/activity").await.json());
    let later = texts(&api.get(&format!("/api/v1/activity?after={begun}")).await.json());
    for lines in [page, newest, later] {
        for words in ["imported 1,002 contacts from tenth.csv", "changed 40 contacts"] {
            let lines_of = lines.iter().filter(|line| line.contains(words)).count();
            assert_eq!(lines_of, 1, "{words}: {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("Person")), "{lines:#?}");
    }
    hq.finish().await;
}
