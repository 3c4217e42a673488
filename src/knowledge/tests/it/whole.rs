//! Knowledge through its pages, API and tools.

mod agents;
mod delivered;
mod encodings;
mod links;
mod lists;
mod marks;
mod talks;

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::Outcome;
use knowledge::error::KnowledgeError;
use knowledge::model::{ItemKind, Text};
use knowledge::rules::{self, NewItem, Patch};
use serde_json::{Value, json};
use store::WriteTx;
use support::hq::{Person, Reply, TestHq};
use support::model::Turn;
use support::office::Office;
use support::work;

use crate::HERE;

const LEASE: &str = "# Lease terms\n\nWhat a customer signs.\n\n## Deposit\n\nCustomers pay a deposit of one monthly \
     rate per bike.\n\n## Return\n\nIt is returned within ten days after the bike is back.\n";

async fn made(api: &Person, path: &str, body: Value) -> Value {
    let made = api.post(&format!("/api/v1/{path}"), &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

async fn patched(api: &Person, path: &str, body: Value) -> Reply {
    api.json("PATCH", &format!("/api/v1/{path}"), &body).await
}

async fn found(api: &Person, query: &str) -> Value {
    let found = api.get(&format!("/api/v1/knowledge?{query}")).await;
    assert_eq!(found.status, 200, "{}", found.text);
    found.json()
}

async fn titles(api: &Person, query: &str) -> Vec<String> {
    let items = found(api, query).await["items"].as_array().expect("items").clone();
    items.iter().map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
}

/// Uploads a file and waits until its text is extracted.
async fn read(api: &Person, (name, bytes): (&str, &[u8])) -> Value {
    let path = format!("/api/v1/knowledge/files?name={name}");
    let sent = api.bytes("POST", &path, "application/octet-stream", bytes.to_vec()).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let at = format!("/api/v1/knowledge/{}", id(&sent.json()));
    loop {
        let now = api.get(&at).await.json();
        if now["file"]["reading"] != "waiting" {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_written_found_by_its_passages_and_goes_back_to_former_versions() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let folder = made(&api, "knowledge/folders", json!({ "name": "Contracts" })).await;
    let below =
        made(&api, "knowledge/folders", json!({ "name": "Leases", "parent": "Contracts" })).await;
    assert_eq!(below["path"], "Contracts/Leases");
    let body = json!({ "title": "Lease terms", "text": LEASE, "folder": "Contracts/Leases", "tags": ["lease", "Lease", " "] });
    let page = made(&api, "knowledge", body).await;
    assert_eq!((&page["scope"], &page["version"]), (&json!("library"), &json!(1)));
    assert_eq!(page["tags"], json!(["lease"]));
    made(&api, "knowledge", json!({ "title": "Price sheet", "text": "A bike costs 89." })).await;

    let hits = found(&api, "q=deposit%20rate").await;
    assert_eq!(hits["items"][0]["title"], "Lease terms", "{hits}");
    let passage = &hits["items"][0]["passages"][0];
    assert!(passage["text"].as_str().is_some_and(|text| text.contains("deposit of one")));
    let (from, to) = (passage["from"].as_u64().unwrap_or(0), passage["to"].as_u64().unwrap_or(0));
    assert!(LEASE[from as usize..to as usize].contains("deposit of one"), "offsets: {passage}");
    assert_eq!(titles(&api, "q=deposit&folder=Contracts").await, ["Lease terms"]);
    assert!(titles(&api, "q=deposit&kind=skill").await.is_empty());
    assert_eq!(titles(&api, "tag=LEASE").await, ["Lease terms"]);

    // A change by another author creates a version; a second change by the same author soon after does not.
    let at = format!("knowledge/{}", id(&page));
    let changed = LEASE.replace("ten days", "five days");
    let done =
        patched(&api, &at, json!({ "text": changed, "base": LEASE, "reason": "shorter" })).await;
    assert_eq!((done.status.as_u16(), &done.json()["version"]), (200, &json!(2)), "{}", done.text);
    let repeated = changed.replace("five days", "three days");
    let done =
        patched(&api, &at, json!({ "text": repeated, "base": changed, "reason": "shorter" })).await;
    assert_eq!(done.json()["version"], 2, "{}", done.text);
    // A change of another line, based on the first version, is merged.
    let other = LEASE.replace("What a customer signs.", "What customers sign.");
    let done = patched(&api, &at, json!({ "text": other, "base": LEASE })).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let text = done.json()["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("What customers sign.") && text.contains("three days"), "{text}");
    // A change of the same line is a conflict.
    let clash = LEASE.replace("ten days", "nine days");
    let refused = patched(&api, &at, json!({ "text": clash, "base": LEASE })).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["code"].as_str()),
        (409, Some("text_clash"))
    );
    assert_eq!(titles(&api, "q=three").await, ["Lease terms"], "found by what stands now");
    assert!(titles(&api, "q=ten").await.is_empty());

    let versions = api.get(&format!("/api/v1/{at}/versions")).await.json();
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(3), "{versions}");
    let back = api.post(&format!("/api/v1/{at}/versions/1/restore"), &json!({})).await;
    assert_eq!(back.json()["text"], LEASE, "{}", back.text);
    assert_eq!(back.json()["version"], 4);

    let owner = hq.owner();
    let shown = owner.get(&format!("{HERE}/{at}")).await;
    for words in ["Deposit", "Version 1 restored", "On this page", "Contracts"] {
        assert!(shown.text.contains(words), "{words}: {}", shown.text);
    }
    let compared = owner.get(&format!("{HERE}/{at}/versions/2")).await;
    assert!(compared.text.contains("<ins>It is returned within three days"), "{}", compared.text);
    let compared = owner.get(&format!("{HERE}/{at}/versions/3?against=1")).await;
    for words in ["<ins>What customers sign.", "<ins>It is returned within three days"] {
        assert!(compared.text.contains(words), "{words}: {}", compared.text);
    }
    let second = api.get(&format!("/api/v1/{at}/versions/2")).await.json();
    assert_eq!(second["text"], repeated);
    assert_eq!(api.get(&format!("/api/v1/{at}/versions/99")).await.status, 404);

    // Deleting a folder moves its content up.
    assert_eq!(api.call("DELETE", "/api/v1/knowledge/folders/Leases").await.status, 204);
    let now = api.get(&format!("/api/v1/{at}")).await.json();
    assert_eq!(now["folder"], folder["id"], "{now}");

    assert_eq!(patched(&api, &at, json!({ "archived": true })).await.status, 200);
    assert!(titles(&api, "q=deposit").await.is_empty());
    assert_eq!(patched(&api, &at, json!({ "text": "x" })).await.status, 409);
    assert_eq!(api.call("DELETE", &format!("/api/v1/{at}")).await.status, 204);
    let history = api.get(&format!("/api/v1/history/knowledge_items/{}", id(&page))).await.json();
    let seq = history["items"][0]["seq"].clone();
    let back = api.post("/api/v1/undo", &json!({ "entry": seq })).await;
    assert_eq!(back.status, 200, "{}", back.text);
    let now = api.get(&format!("/api/v1/{at}")).await.json();
    assert_eq!((&now["text"], &now["archived"]), (&json!(LEASE), &json!(true)));
    let versions = api.get(&format!("/api/v1/{at}/versions")).await.json();
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(4), "{versions}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_takes_most_of_the_words_away_is_a_version_however_soon_it_comes() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let long = "word ".repeat(200);
    let page = made(&api, "knowledge", json!({ "title": "Long", "text": long })).await;
    let at = format!("knowledge/{}", id(&page));
    let changed = async |text: &str| patched(&api, &at, json!({ "text": text })).await.json();
    assert_eq!(changed(&"word ".repeat(190)).await["version"], 1);
    assert_eq!(changed("Gone.").await["version"], 2);
    assert_eq!(changed("Gone!").await["version"], 2);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_refused_in_words_and_loses_nothing() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let page = made(&api, "knowledge", json!({ "title": "", "text": "x" })).await;
    assert_eq!(page["title"], "Untitled");
    for (body, says) in [
        (json!({ "title": "x".repeat(501) }), "at most 500 characters"),
        (json!({ "title": "x", "text": "y".repeat(256 * 1024 + 1) }), "at most 256 KB"),
        (json!({ "title": "x", "scope": "agent" }), "Choose at least one agent"),
        (json!({ "title": "x", "kind": "file" }), "Upload a file as a file"),
        (json!({ "title": "x", "icon": "far too long for it" }), "Enter a single emoji"),
        (json!({ "title": "x", "tags": vec!["t".repeat(65)] }), "64 characters"),
    ] {
        let refused = api.post("/api/v1/knowledge", &body).await;
        assert_eq!(refused.status, 422, "{says}: {}", refused.text);
        assert!(refused.text.contains(says), "{says}: {}", refused.text);
    }
    for path in ["knowledge/nothing", "knowledge?folder=nowhere"] {
        assert_eq!(api.get(&format!("/api/v1/{path}")).await.status, 404, "{path}");
    }
    let top = made(&api, "knowledge/folders", json!({ "name": "Top" })).await;
    made(&api, "knowledge/folders", json!({ "name": "Below", "parent": "Top" })).await;
    let ring = patched(&api, "knowledge/folders/Top", json!({ "parent": "Below" })).await;
    assert!(ring.status == 422 && ring.text.contains("can't be in itself"), "{}", ring.text);
    let twice = api.post("/api/v1/knowledge/folders", &json!({ "name": "top" })).await;
    assert!(twice.status == 422 && twice.text.contains("already"), "{}", twice.text);
    // A folder that contains one of its own name.
    made(&api, "knowledge/folders", json!({ "name": "top", "parent": id(&top) })).await;
    let path = format!("/api/v1/knowledge/folders/{}", id(&top));
    assert_eq!(api.call("DELETE", &path).await.status, 204);
    let folders = api.get("/api/v1/knowledge/folders").await.json();
    let names: Vec<&str> = folders["items"]
        .as_array()
        .expect("folders")
        .iter()
        .map(|one| one["path"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(names, ["Below", "top"], "{folders}");
    // A folder whose name is taken one level up gets a number.
    made(&api, "knowledge/folders", json!({ "name": "below", "parent": "top" })).await;
    assert_eq!(api.call("DELETE", "/api/v1/knowledge/folders/top").await.status, 204);
    let folders = api.get("/api/v1/knowledge/folders").await.json();
    let names: Vec<&Value> =
        folders["items"].as_array().expect("folders").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["Below", "below (2)"], "{folders}");
    let slash = api.post("/api/v1/knowledge/folders", &json!({ "name": "a/b" })).await;
    assert_eq!(slash.status, 422, "{}", slash.text);
    assert!(slash.text.contains("contain a slash"), "{}", slash.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_read_found_by_page_and_say_when_they_have_no_words() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let pdf = read(&api, ("prices.pdf", support::PDF_WITH_WORDS)).await;
    assert_eq!((&pdf["kind"], &pdf["file"]["reading"]), (&json!("file"), &json!("done")), "{pdf}");
    let hits = found(&api, "q=mango").await;
    assert_eq!(hits["items"][0]["title"], "prices.pdf", "{hits}");
    assert_eq!(
        hits["items"][0]["passages"][0]["text"].as_str().map(|t| t.contains("Mango 3 EUR")),
        Some(true)
    );
    let docx = include_bytes!("../../../extract/tests/files/pandoc.docx");
    let docx = read(&api, ("notes.docx", docx)).await;
    assert_eq!(docx["file"]["reading"], "done", "{docx}");
    let media = docx["file"]["media"].as_str().unwrap_or_default();
    assert!(media.ends_with("wordprocessingml.document"), "by all of its bytes: {docx}");
    // An unsupported file states the reason instead of appearing empty.
    let old = read(&api, ("old.rtf", br"{\rtf1 words}")).await;
    assert_eq!(old["file"]["reading"], "failed", "{old}");
    let why = old["file"]["problem"].as_str().unwrap_or_default();
    assert!(why.contains("save it as .docx"), "{old}");
    // A document on a task is found by its text, too.
    let task = made(&api, "tasks", json!({ "title": "Look into it" })).await;
    let path = format!("/api/v1/tasks/{}/files?name=other.docx", id(&task));
    let bytes = include_bytes!("../../../extract/tests/files/pandoc.docx").to_vec();
    assert_eq!(api.bytes("POST", &path, "application/octet-stream", bytes).await.status, 201);
    let found = api.get("/api/v1/search?q=Handbook%20K%C3%B6ln").await;
    assert!(found.text.contains("other.docx"), "{}", found.text);
    // Saving it as knowledge links both records.
    let files = api.get(&format!("/api/v1/tasks/{}/files", id(&task))).await.json();
    let keep = format!("{HERE}/knowledge/keep/{}", id(&files["items"][0]));
    let kept = hq.owner().form(&keep, &[]).await;
    let kept = kept.location().expect("its page").to_owned();
    assert!(hq.owner().get(&kept).await.text.contains("Look into it"), "its task");
    // A comment links to it by name; a citation of a paginated file states the page.
    let second = "6 0 obj <</Type /Page /Contents 7 0 R /Resources <</Font <</F1 5 0 R>>>>>> endobj\n\
                  7 0 obj <<>> stream\nBT /F1 12 Tf 50 700 Td (Cherry 5 EUR) Tj ET\nendstream endobj\ntrailer";
    let two = String::from_utf8_lossy(support::PDF_WITH_WORDS)
        .replace("/Kids [3 0 R]", "/Kids [3 0 R 6 0 R]")
        .replace("trailer", second);
    let two = id(&read(&api, ("two.pdf", two.as_bytes())).await);
    let body = format!("See [[other.docx]] and [[nothing]], [[know:{two}#1]].");
    let say = json!({ "body": body });
    api.post(&format!("/api/v1/tasks/{}/comments", id(&task)), &say).await;
    let place = hq.owner().get(&format!("{HERE}/tasks/{}", id(&task))).await;
    let place = place.location().expect("the page by its name").to_owned();
    let page = hq.owner().get(&place).await;
    assert!(page.text.contains(&format!("href=\"{kept}\"")), "{}", page.text);
    assert!(page.text.contains("[[nothing]]"), "{}", page.text);
    assert!(page.text.contains("two.pdf, page 2"), "{}", page.text);
    let html = b"<html><head><title>t</title></head><body><h1>Harbour</h1><p>Tide at noon.</p><script>no()</script></body></html>";
    read(&api, ("tide.html", html)).await;
    assert_eq!(titles(&api, "q=tide%20noon").await, ["tide.html"]);
    assert!(titles(&api, "q=script").await.is_empty());
    let page = read(&api, ("how-we_work.md", b"# Work\n\nSlowly.")).await;
    assert_eq!((&page["kind"], &page["title"]), (&json!("page"), &json!("how we work")));
    let picture = read(&api, ("dot.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")).await;
    assert_eq!(picture["file"]["reading"], "no_text", "{picture}");
    let koi8 = include_bytes!("../../../extract/tests/files/koi8.txt");
    let koi8 = read(&api, ("warehouse.log", koi8)).await;
    let (media, encoding) = (&koi8["file"]["media"], &koi8["file"]["encoding"]);
    assert_eq!((media, encoding), (&json!("text/plain"), &json!("koi8-u")), "{koi8}");
    let shown = hq.owner().get(&format!("{HERE}/knowledge/{}", id(&koi8))).await;
    assert!(shown.text.contains("Склад находится") && shown.text.contains("Cyrillic (KOI8-U)"));
    let broken = read(&api, ("broken.pdf", b"%PDF-1.7\nnothing else")).await;
    assert_eq!(broken["file"]["reading"], "failed", "{broken}");
    assert!(broken["file"]["problem"].as_str().is_some_and(|why| why.ends_with('.')), "{broken}");
    let shown = hq.owner().get(&format!("{HERE}/knowledge/{}", id(&pdf))).await;
    assert!(shown.text.contains("Mango 3 EUR"), "{}", shown.text);
    let list = hq.owner().get(&format!("{HERE}/knowledge?q=mango")).await;
    assert!(list.text.contains("<mark>Mango</mark>"), "{}", list.text);
    let place = format!("href=\"{HERE}/knowledge/{}?p=0&#38;q=mango#cited\"", id(&pdf));
    assert!(list.text.contains(&place), "{}", list.text);
    // The preview opens at the page of the hit and marks its words.
    let shown = hq.owner().get(&format!("{HERE}/knowledge/{}?p=0&q=mangoes", id(&pdf))).await;
    let preview = format!("data-pdf=\"{HERE}/knowledge/{}/file\"", id(&pdf));
    assert!(shown.text.contains(&preview), "{}", shown.text);
    let marks = "data-pdf-page=\"1\" data-pdf-words=\"mango\"";
    assert!(shown.text.contains(marks), "{}", shown.text);
    // The palette shows and opens the passage.
    let palette = hq.owner().get(&format!("{HERE}/palette?q=mango")).await;
    assert!(palette.text.contains(&place), "{}", palette.text);
    assert!(palette.text.contains("<mark>Mango</mark>"), "{}", palette.text);
    // Another form of a word matches, too.
    assert_eq!(titles(&api, "q=tides%20noon").await, ["tide.html"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_start_with_what_they_should_know_search_cite_and_write_what_is_theirs() {
    let office = Office::open().await;
    office.without_web(None).await;
    office.model.usually(Turn::text("Done."));
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    let api = office.hq.api().await;
    let every =
        json!({ "title": "House rules", "text": "Answer within a day.", "scope": "workspace" });
    let every = made(&api, "knowledge", every).await;
    let own = json!({ "title": "Secret plan", "text": "Only Otto knows the cobalt harbour.", "scope": "agent", "agents": ["otto"] });
    let own = made(&api, "knowledge", own).await;
    let lease = made(&api, "knowledge", json!({ "title": "Lease terms", "text": LEASE })).await;

    let turn = Turn::call("knowledge_search", json!({ "query": "deposit rate" }))
        .and_call("knowledge_search", json!({ "query": "cobalt harbour" }))
        .and_call("knowledge_read", json!({ "item": id(&own) }))
        .and_call("knowledge_read", json!({ "item": "Lease terms" }))
        .and_call("page_update", json!({ "item": "Lease terms", "edits": [{ "old": "ten days", "new": "two days" }] }))
        .and_call("page_update", json!({ "item": "House rules", "text": "Obey me." }))
        .and_call("page_create", json!({ "title": "Notes", "text": "See [[Lease terms#Deposit]].", "tags": ["ada"] }))
        .and_call("page_create", json!({ "title": "All", "text": "x", "scope": "workspace" }))
        .and_call("skill_save", json!({ "title": "Answer a deposit question", "text": "1. Search.", "reason": "asked twice" }));
    office.model.push(turn);
    let run = office.say(&ada, "What is the deposit?").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let results: Vec<String> = office.results(run).into_iter().map(|result| result.2).collect();
    assert_eq!(results.len(), 9, "{results:?}");
    assert!(results[0].contains("[[know:") && results[0].contains("one monthly"), "{}", results[0]);
    assert!(results[0].contains("EXTERNAL_UNTRUSTED_CONTENT"), "{}", results[0]);
    assert!(
        results[1].contains("No evidence"),
        "another agent's item is not found: {}",
        results[1]
    );
    assert!(!results[2].contains("cobalt"), "nor read by its id: {}", results[2]);
    assert!(results[3].contains("## Return"), "{}", results[3]);
    assert!(
        results[4].starts_with(
            "Suggested. Others also read \"Lease \
        terms\""
        ),
        "{}",
        results[4]
    );
    assert!(results[5].contains("give the version"), "{}", results[5]);
    assert!(results[6].contains("Wrote \"Notes\""), "{}", results[6]);
    assert!(results[7].contains("only a person"), "{}", results[7]);
    assert!(results[8].contains("Wrote \"Answer a deposit question\""), "{}", results[8]);

    let shown = office.model.requests().first().map(|seen| seen.text());
    let shown = shown.unwrap_or_default();
    assert!(shown.contains("Answer within a day."), "{shown}");
    assert!(!shown.contains("cobalt"), "{shown}");
    // The preview page has the same bytes.
    let start = api.get("/api/v1/knowledge/context?agent=otto").await.json();
    assert!(start["text"].as_str().is_some_and(|text| text.contains("cobalt harbour")), "{start}");
    let mine = found(&api, "kind=skill").await;
    assert_eq!(mine["items"][0]["agents"], json!(["ada"]), "{mine}");
    assert_eq!(mine["items"][0]["scope"], "agent");

    // Ada's text links to the lease by name, and still does after a rename.
    patched(&api, &format!("knowledge/{}", id(&lease)), json!({ "title": "Terms of lease" })).await;
    let owner = office.hq.owner();
    let page = owner.get(&format!("{HERE}/knowledge/{}", id(&lease))).await;
    assert!(page.text.contains("Linked from") && page.text.contains("Notes"), "{}", page.text);
    let notes =
        found(&api, "q=notes").await["items"][0]["id"].as_str().unwrap_or_default().to_owned();
    let page = owner.get(&format!("{HERE}/knowledge/{notes}")).await;
    assert!(page.text.contains(&format!("{}#s", id(&lease))), "{}", page.text);

    // The agent that claims a task gets the best passages of the linked items, without other agents' items.
    let task = made(&api, "tasks", json!({ "title": "When does a bike come back?" })).await;
    for item in [&lease, &own] {
        let body = json!({ "target": format!("knowledge:{}", id(item)) });
        made(&api, &format!("tasks/{}/links", id(&task)), body).await;
    }
    office.model.push(Turn::call("task_get", json!({ "task": id(&task) })));
    let run = office.say(&ada, "Look at that task.").await;
    office.ended(run).await;
    let (_, _, shown) = office.results(run).remove(0);
    assert!(shown.contains("within ten days after the bike is back"), "{shown}");
    assert!(shown.contains("linked_knowledge") && shown.contains("know:"), "{shown}");
    assert!(!shown.contains("cobalt") && !shown.contains("Secret plan"), "{shown}");

    // A citation of an unread item is marked, wherever it is.
    let winter =
        made(&api, "knowledge", json!({ "title": "Winter", "text": "Closed in May." })).await;
    let read = format!("[[know:{}#1]]", id(&lease));
    let guessed = format!("[[know:{}#0]]", id(&winter));
    let body = format!("It is {read}, or {guessed}.");
    office.model.push(Turn::call("knowledge_search", json!({ "query": "returned ten days" })));
    office.model.push(Turn::call("comment_add", json!({ "task": id(&task), "body": body })));
    office.model.push(Turn::text(&format!("Done: {guessed}.")));
    let run = office.say(&ada, "Answer on the task.").await;
    office.ended(run).await;
    let place = owner.get(&format!("{HERE}/tasks/{}", id(&task))).await;
    let page = owner.get(place.location().expect("the page by its name")).await;
    assert_eq!(page.text.matches("cited without reading it").count(), 1, "{}", page.text);

    // A person sees everything; an archived item is in no agent's context.
    assert_eq!(titles(&api, "q=cobalt").await, ["Secret plan"]);
    patched(&api, &format!("knowledge/{}", id(&every)), json!({ "archived": true })).await;
    let start = api.get("/api/v1/knowledge/context?agent=ada").await.json();
    assert!(!start["text"].as_str().unwrap_or_default().contains("within a day"), "{start}");
    let _ = otto;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_items_change_at_once_on_the_page_and_the_message_brings_them_back() {
    let hq = TestHq::start().await;
    let (api, owner) = (hq.api().await, hq.owner());
    let folder = id(&made(&api, "knowledge/folders", json!({ "name": "Contracts" })).await);
    let page = async |query: &str| owner.get(&format!("{HERE}/knowledge{query}")).await;
    let inside = format!("?folder={folder}");
    assert!(page(&inside).await.text.contains("This folder is empty"));
    let mut ids = Vec::new();
    for title in ["First", "Second"] {
        let tags = json!(["old"]);
        ids.push(id(&made(&api, "knowledge", json!({ "title": title, "tags": tags })).await));
    }
    let both = ids.join(",");
    let change = async |name: &str, value: &str| {
        owner
            .form(&format!("{HERE}/knowledge/bulk"), &[("tasks", both.as_str()), (name, value)])
            .await
    };
    change("folder", &folder).await;
    change("tag", "lease").await;
    change("scope", "workspace").await;
    for id in &ids {
        let now = api.get(&format!("/api/v1/knowledge/{id}")).await.json();
        assert_eq!((&now["path"], &now["scope"]), (&json!("Contracts"), &json!("workspace")));
        assert_eq!(now["tags"], json!(["old", "lease"]));
    }
    page("").await;

    // An archived item leaves the list; the notice offers undo.
    change("archived", "yes").await;
    let text = page("").await;
    assert!(text.text_of("#toasts").contains("Archived 2 items"), "{}", text.text);
    let undo = text.attr("#toasts form", "action");
    assert!(titles(&api, "").await.is_empty());
    owner.form(&undo, &[]).await;
    assert_eq!(titles(&api, "").await.len(), 2);
    page("").await;
    owner.form(&format!("{HERE}/knowledge/folders/{folder}/remove"), &[]).await;
    let undo = page("").await.attr("#toasts form", "action");
    owner.form(&undo, &[]).await;
    assert!(page(&inside).await.text.contains("First"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_at_the_start_is_named_by_its_title() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    for (title, length) in [("Long", 40_000), ("Short", 400)] {
        let text = "word ".repeat(length / 5);
        let body = json!({ "title": title, "text": text, "scope": "workspace" });
        made(&api, "knowledge", body).await;
    }
    let large = "word ".repeat(4_000);
    made(&api, "knowledge", json!({ "title": "Second", "text": large, "scope": "workspace" }))
        .await;
    let start = api.get("/api/v1/knowledge/context").await.json();
    let shown = |title: &str| {
        let all = start["items"].as_array().expect("items");
        let one = all.iter().find(|one| one["title"] == title).expect("there");
        (one["full"] == true, one["demoted"] == true)
    };
    assert_eq!(
        (shown("Long"), shown("Second"), shown("Short")),
        ((false, true), (true, false), (true, false))
    );
    let page = hq.owner().get(&format!("{HERE}/knowledge/context")).await;
    assert!(page.text.contains("not enough room for the full text"), "{}", page.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_can_be_undone_and_what_an_undo_brings_back_is_read_again() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let last = async |id: &str| {
        let history = api.get(&format!("/api/v1/history/knowledge_items/{id}")).await.json();
        history["items"][0]["seq"].clone()
    };
    let undo = async |seq: Value| {
        let undone = api.post("/api/v1/undo", &json!({ "entry": seq })).await;
        assert_eq!(undone.status, 200, "{}", undone.text);
    };
    let file = read(&api, ("notes.csv", b"what,when\nThe deposit,May\n")).await;
    assert_eq!(file["file"]["reading"], "done", "{file}");
    let (id, at) = (id(&file).to_owned(), format!("/api/v1/knowledge/{}", id(&file)));

    // Text extracted since the upload is nobody's change and does not block an undo.
    undo(last(&id).await).await;
    assert_eq!(api.get(&at).await.status, 404);
    undo(last(&id).await).await;
    waits_for_words(&api, &at).await;

    assert_eq!(api.call("DELETE", &at).await.status, 204);
    undo(last(&id).await).await;
    waits_for_words(&api, &at).await;
    assert_eq!(titles(&api, "q=deposit").await, ["notes.csv"]);
    hq.finish().await;
}

async fn waits_for_words(api: &Person, at: &str) {
    while api.get(at).await.json()["file"]["reading"] != "done" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_finds_the_one_page_among_hundreds_that_hold_the_words() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    made(&api, "knowledge/folders", json!({ "name": "Legal" })).await;
    let rare =
        json!({ "title": "Rare", "text": "A topic of law.", "folder": "Legal", "tags": ["rare"] });
    made(&api, "knowledge", rare).await;
    let many = |tx: &mut WriteTx<'_>| {
        for n in 0..230 {
            let text = Text::Inline(format!("The topic of topics, topic {n}."));
            let (title, patch) = (format!("Topic {n}"), Patch::default());
            let (links, reason, kind) = (Vec::new(), String::new(), ItemKind::Page);
            rules::create(tx, NewItem { kind, title, text, links, reason, file: None, patch })?;
        }
        Ok::<_, KnowledgeError>(())
    };
    hq.ws().write(&work::owner(&hq), many).await.expect("pages");
    for filter in ["folder=Legal", "tag=rare"] {
        let found = found(&api, &format!("q=topic&by=words&{filter}")).await;
        assert_eq!((&found["total"], &found["more_than_total"]), (&json!(1), &json!(false)));
    }
    let all = found(&api, "q=topic&by=words").await;
    assert_eq!((&all["total"], &all["more_than_total"]), (&json!(231), &json!(false)));
    let (mut all, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = found(&api, &format!("q=topic&by=words&limit=50&cursor={cursor}")).await;
        let items = page["items"].as_array().expect("items");
        all.extend(items.iter().map(|one| one["title"].to_string()));
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break assert_eq!(items.len(), 31, "none of the pages repeats a row"),
        }
    }
    assert_eq!(all.len(), 231);

    let for_ada = api.post("/api/v1/knowledge", &json!({ "title": "Z", "agents": ["ada"] })).await;
    assert_eq!(for_ada.status, 404, "there is no Ada: {}", for_ada.text);
    let words = found(&api, "q=law&by=meaning").await;
    assert_eq!(words["not_known_yet"], "No model is in use, so only keywords were searched.");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_a_page_has_its_readers_and_goes_with_it() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    office.agent("Otto").await;
    let (api, owner) = (office.hq.api().await, office.hq.owner());
    let page = json!({ "title": "Plan", "text": "Soon.", "scope": "agent", "agents": ["otto"] });
    let page = id(&made(&api, "knowledge", page).await);
    let body = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cobalt.txt\"\r\n\r\n\
                harbour\r\n--x--\r\n";
    let kind = "multipart/form-data; boundary=x";
    let sent =
        owner.bytes("POST", &format!("{HERE}/knowledge/{page}/files"), kind, body.into()).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let url = sent.json()["url"].as_str().expect("its address").to_owned();
    assert_eq!(owner.get(&url).await.text, "harbour");
    let file = url.split('/').rev().nth(1).expect("its id").to_owned();

    // The file is not an item of the list, and no other agent can read it.
    let at = format!("/api/v1/knowledge/{file}");
    assert_eq!(api.get(&at).await.json()["agents"], json!(["otto"]));
    assert!(titles(&api, "q=cobalt").await.is_empty());
    assert!(!titles(&api, "").await.contains(&"cobalt.txt".to_owned()));
    office.model.push(Turn::call("knowledge_read", json!({ "item": file })));
    let run = office.say(&ada, "What is in it?").await;
    office.ended(run).await;
    let text = office.results(run).remove(0).2;
    assert!(!text.contains("harbour"), "{text}");

    // Its readers are those of the page, and change with the page.
    let refused = api.json("PATCH", &at, &json!({ "scope": "library" })).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    patched(&api, &format!("knowledge/{page}"), json!({ "scope": "library" })).await;
    assert_eq!(api.get(&at).await.json()["scope"], "library");
    assert_eq!(api.call("DELETE", &format!("/api/v1/knowledge/{page}")).await.status, 204);
    assert_eq!(api.get(&at).await.status, 404);
    office.hq.finish().await;
}
