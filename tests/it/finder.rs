//! Search and palette: results, rights, and removal of deleted content.

use std::time::Duration;

use features::global_search::queries::standing::NUMBER;
use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::consumer::order_for;

use support::PDF_WITH_WORDS;
use support::hq::{Person, TestHq};
use support::model::Turn;
use support::work;

const SEARCH: &str = "/api/v1/search";
const PAGE: &str = "/w/marlow-cargo/search";
const PALETTE: &str = "/w/marlow-cargo/palette";

async fn task(who: &Person, title: &str, description: &str) -> String {
    let body = json!({ "title": title, "description": description });
    let made = who.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["key"].as_str().or(made.json()["id"].as_str()).expect("its name").to_owned()
}

async fn ask(who: &Person, query: &str) -> Value {
    let reply = who.get(&format!("{SEARCH}?q={query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()
}

fn titles(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().expect("a list").iter();
    items.map(|item| item["title"].as_str().expect("a title").to_owned()).collect()
}

/// Polls until the response matches: typo tolerance depends on the index, which may lag.
async fn until(who: &Person, query: &str, is: impl Fn(&Value) -> bool) -> Value {
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let answer = ask(who, query).await;
        if is(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < end, "{query}: {answer}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_found_at_once_begun_misspelt_and_without_accents() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    assert_eq!(titles(&ask(&api, "leasing").await), [""; 0]);
    task(&api, "Leasing für Müller", "Five **cargo bikes** for the harbour").await;
    // An own write is found immediately, by a prefix.
    assert_eq!(titles(&ask(&api, "leas").await), ["Leasing für Müller"]);
    task(&api, "Prices of rivals", "Who offers leasing?").await;
    let both = until(&api, "leasing", |found| titles(found).len() == 2).await;
    assert_eq!(both["facets"], json!([{ "type": "task", "count": 2 }]), "{both}");

    let near = until(&api, "laesing", |found| titles(found).len() == 2).await;
    assert_eq!(titles(&near), ["Leasing für Müller", "Prices of rivals"], "{near}");
    assert_eq!(near["guessed"], true);
    assert_eq!(titles(&ask(&api, "MULLER").await), ["Leasing für Müller"]);
    assert_eq!(titles(&ask(&api, "%22cargo%20bikes%22").await), ["Leasing für Müller"]);
    let bodies = ask(&api, "harbour").await;
    assert_eq!(bodies["items"][0]["snippet"], "Five cargo bikes for the <mark>harbour</mark>");
    assert_eq!(titles(&ask(&api, "leasing%20rivals").await), ["Prices of rivals"]);
    assert_eq!(titles(&ask(&api, "unicorn").await), [""; 0]);
    assert_eq!(titles(&ask(&api, "leasing&type=comment").await), [""; 0]);
    assert_eq!(titles(&ask(&api, "leasing&status=done").await), [""; 0]);

    for wrong in ["type=spoon", "limit=0", "cursor=x", "colour=red"] {
        let refused = api.get(&format!("{SEARCH}?q=a&{wrong}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {}", refused.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_or_deleted_is_found_no_more() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let name = task(&api, "Order brake pads", "").await;
    let path = format!("/api/v1/tasks/{name}");
    let said = api.post(&format!("{path}/comments"), &json!({ "body": "Ask **zebrawood**" })).await;
    let found = ask(&api, "zebrawood").await;
    assert_eq!(found["items"][0]["type"], "comment", "{found}");
    assert_eq!(found["items"][0]["title"], "Order brake pads");
    let url = found["items"][0]["url"].as_str().expect("an address");
    let (page, mark) = url.split_once('#').expect("a place in the page");
    assert!(hq.owner().get(page).await.text_of(&format!("#{mark}")).contains("zebrawood"));

    let comment = format!("/api/v1/comments/{}", said.json()["id"].as_str().expect("an id"));
    assert!(api.call("DELETE", &comment).await.status.is_success());
    assert_eq!(titles(&ask(&api, "zebrawood").await), [""; 0]);
    let changed = api.json("PATCH", &path, &json!({ "title": "Order tyres" })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(titles(&ask(&api, "brake").await), [""; 0]);
    assert_eq!(titles(&ask(&api, "tyres").await), ["Order tyres"]);
    // In the index, too, not only in the overlay.
    until(&api, "tyers", |found| titles(found) == ["Order tyres"]).await;
    assert_eq!(ask(&api, "brake").await["facets"], json!([]));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_conversation_is_found_by_whose_it_is_alone() {
    let (hq, model) = work::scene().await;
    model.push(Turn::text("The walrusword is grey"));
    let said = hq.owner().post("/api/v1/agents/ada/messages", &json!({ "text": "Colour?" })).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    hq.settle().await;
    let api = hq.api().await;
    let mine = ask(&api, "walrusword").await;
    assert_eq!(mine["items"][0]["type"], "message", "{mine}");
    let url = mine["items"][0]["url"].as_str().expect("an address");
    let (page, mark) = url.split_once('#').expect("a place in the page");
    assert!(hq.owner().get(page).await.text_of(&format!("#{mark}")).contains("walrusword"));
    until(&api, "walruswrod", |found| !titles(found).is_empty()).await;

    for role in [Role::Member, Role::Admin] {
        let other = hq.another(&format!("Jonas{}", role as u8), Some(role)).await;
        for query in ["walrusword", "walruswrod"] {
            let theirs = ask(&other, query).await;
            assert_eq!((&theirs["items"], &theirs["facets"]), (&json!([]), &json!([])), "{theirs}");
        }
        let page = other.get(&format!("{PAGE}?q=walrusword")).await;
        assert!(page.text.contains("No results found") && !page.text.contains("grey"));
        let palette = other.get(&format!("{PALETTE}?q=walrusword")).await;
        assert!(!palette.text.contains("grey"), "{}", palette.text);
    }

    // A shared conversation is found by all; once unshared, at once by nobody else.
    let session = said.json()["session"].as_str().expect("a conversation").to_owned();
    let one = format!("/api/v1/sessions/{session}");
    let other = hq.another("Otto", Some(Role::Member)).await;
    let shared = api.json("PATCH", &one, &json!({ "visibility": "workspace" })).await;
    assert_eq!(shared.status, StatusCode::OK, "{}", shared.text);
    until(&other, "walruswrod", |found| !titles(found).is_empty()).await;
    let private = api.json("PATCH", &one, &json!({ "visibility": "private" })).await;
    assert_eq!(private.status, StatusCode::OK, "{}", private.text);
    assert_eq!(titles(&ask(&other, "walrusword").await), [""; 0]);
    until(&other, "walrusword", |found| found["facets"] == json!([])).await;
    until(&api, "walruswrod", |found| !titles(found).is_empty()).await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_found_after_a_restart_and_after_the_index_was_damaged() {
    let mut hq = TestHq::start().await;
    task(&hq.owner(), "Renew the insurance", "").await;
    until(&hq.owner(), "insuranec", |found| titles(found).len() == 1).await;
    hq.restart().await;
    assert_eq!(titles(&ask(&hq.owner(), "insurance").await), ["Renew the insurance"]);
    task(&hq.owner(), "Insurance for trailers", "").await;
    until(&hq.owner(), "insuranec", |found| titles(found).len() == 2).await;

    hq.stop().await;
    let folder = hq.data().join("workspaces/marlow-cargo/search");
    for file in std::fs::read_dir(&folder).expect("an index") {
        let path = file.expect("a file").path();
        if path.is_file() {
            std::fs::write(path, "not an index").expect("a file that is damaged");
        }
    }
    hq.start_again().await;
    until(&hq.owner(), "insuranec", |found| titles(found).len() == 2).await;

    // A rebuild is visible to its requester.
    let rebuild = "/api/v1/consumers/search/rebuild";
    let begun = hq.owner().post(rebuild, &json!({})).await;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    assert_eq!(begun.json()["name"], "search");
    until(&hq.owner(), "insuranec", |found| titles(found).len() == 2).await;
    let all = hq.owner().get("/api/v1/consumers").await.json();
    assert!(all["items"].as_array().expect("a list").iter().any(|one| one["name"] == "search"));
    let pause = hq.owner().post("/api/v1/consumers/search/pause", &json!({})).await;
    assert_eq!(pause.status, StatusCode::CONFLICT, "{}", pause.text);
    hq.finish().await;
}

/// Gives every comment an unknown layout version.
fn spoil_comments(data: &std::path::Path) {
    use redb::ReadableTable as _;
    let file = data.join("workspaces/marlow-cargo/hq.redb");
    let db = crate::raw::open(file);
    let txn = db.begin_write().expect("a transaction");
    {
        let table = redb::TableDefinition::<&[u8], &[u8]>::new("t0030");
        let mut table = txn.open_table(table).expect("the comments");
        let rows: Vec<_> = table.iter().expect("rows").map(|row| row.expect("a row")).collect();
        let rows = rows.into_iter().map(|(key, row)| (key.value().to_vec(), row.value().to_vec()));
        for (key, mut row) in rows.collect::<Vec<_>>() {
            row[0] = 99;
            table.insert(&*key, &*row).expect("another row");
        }
    }
    txn.commit().expect("a commit");
}

/// Waits until the index has executed its order.
async fn obeyed(hq: &TestHq) {
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    let told = || hq.ws().read(|snap| order_for(snap, NUMBER)).expect("a readable store");
    while let Some(told) = told() {
        assert!(tokio::time::Instant::now() < end, "{told:?} is not done");
        tokio::task::yield_now().await;
    }
}

/// Waits for dead letters and returns them.
async fn given_up(who: &Person, letters: &str) -> Vec<Value> {
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let found = who.get(letters).await.json();
        let found = found["items"].as_array().expect("a list").clone();
        if !found.is_empty() {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "nothing was given up");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_indexed_is_given_up_and_the_rest_is_found() {
    let mut hq = TestHq::start().await;
    let name = task(&hq.owner(), "Order brake pads", "").await;
    let path = format!("/api/v1/tasks/{name}/comments");
    let said = hq.owner().post(&path, &json!({ "body": "Ask **zebrawood**" })).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    until(&hq.owner(), "brakse", |found| titles(found).len() == 1).await;
    hq.stop().await;
    spoil_comments(&hq.data());
    hq.start_again().await;
    let owner = hq.owner();
    let rebuild = "/api/v1/consumers/search/rebuild";
    assert_eq!(owner.post(rebuild, &json!({})).await.status, StatusCode::OK);

    // Unreadable entries do not block the index.
    task(&owner, "Order tyres", "").await;
    until(&owner, "tyers", |found| titles(found) == ["Order tyres"]).await;
    // The rebuild begins by deleting the dead letters of the steps before it.
    obeyed(&hq).await;
    let letters = "/api/v1/consumers/search/dead-letters";
    let lost = given_up(&owner, letters).await;
    assert_eq!(lost.len(), 1, "{lost:?}");
    let why = lost[0]["error"].as_str().expect("why");
    assert!(why.contains("a comment cannot be read") && why.contains("99"), "{why}");
    let health = owner.get("/w/marlow-cargo/settings/health").await;
    assert!(health.text.contains("comment cannot be read"), "{}", health.text);

    // A retry fails again, and the entry is discarded.
    let one = format!("/api/v1/dead-letters/search/{}", lost[0]["seq"]);
    let again = owner.post(&format!("{one}/retry"), &json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    let dropped = owner.call("DELETE", &one).await;
    assert!(dropped.status.is_success(), "{}", dropped.text);
    assert_eq!(owner.get(letters).await.json()["items"], json!([]));

    // Rewinding repeats entries; it cannot go beyond the present position.
    let back = "/api/v1/consumers/search/rewind";
    let sent = owner.post(back, &json!({ "to": 0 })).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.text);
    assert_eq!(given_up(&owner, letters).await[0]["seq"], lost[0]["seq"]);
    until(&owner, "tyers", |found| titles(found) == ["Order tyres"]).await;
    let ahead = owner.post(back, &json!({ "to": 1_000_000 })).await;
    assert_eq!(ahead.status, StatusCode::CONFLICT, "{}", ahead.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_has_kinds_marks_and_further_hits() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    for n in 0..30 {
        task(&api, &format!("Inspect <b>bike</b> {n}"), "").await;
    }
    let empty = hq.owner().get(PAGE).await;
    assert!(empty.text.contains("What are you looking for?"));
    let page = hq.owner().get(&format!("{PAGE}?q=bike")).await;
    assert_eq!(page.texts(".finds .found").len(), 25);
    assert_eq!(page.texts(".finds h2 mark").first().map(String::as_str), Some("bike"));
    assert!(page.text.contains("&lt;b&gt;<mark>bike</mark>&lt;/b&gt;"), "what it says is escaped");
    let next = page.attr(".pager a", "href");
    let more = hq.owner().get(&next).await;
    assert_eq!(more.texts(".finds .found").len(), 5);
    task(&api, "What became of MC-3", "").await;
    let named = hq.owner().get(&format!("{PAGE}?q=mc-3")).await;
    let titles = named.texts(".finds .title");
    assert_eq!(titles[0], "Inspect <b>bike</b> 2", "what is called so comes first: {titles:?}");
    let settings = hq.owner().get(&format!("{PAGE}?q=backups")).await;
    assert_eq!(settings.texts(".finds .title"), ["Backups"]);
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    let theirs = viewer.get(&format!("{PAGE}?q=backups")).await;
    assert!(theirs.text.contains("No results found"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_looked_for_can_be_asked_of_an_agent() {
    let hq = TestHq::start().await;
    let search = "/w/marlow-cargo/search?q=lease%20terms";
    assert!(hq.owner().get(search).await.attrs("#ask-menu form", "action").is_empty());
    work::agent(&hq, "Ada").await;
    for page in [search, "/w/marlow-cargo/knowledge?q=lease%20terms"] {
        let page = hq.owner().get(page).await;
        let to = page.attrs("#ask-menu form", "action");
        assert_eq!(to, ["/w/marlow-cargo/agents/ada/chat"], "{}", page.text);
        let body = page.attr("#ask-menu [name=body]", "value");
        assert_eq!(body, "What do we know about “lease terms”?");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_palette_offers_what_one_may_do_and_what_was_opened() {
    let hq = TestHq::start().await;
    work::agent(&hq, "Ada").await;
    let name = task(&hq.api().await, "Map the loading bays", "").await;
    let lines = |text: &str| format!("{PALETTE}?q={text}");
    let start = hq.owner().get(&format!("{PALETTE}?seen=tasks/{name},agents/ada,gone/x")).await;
    let heads = start.texts(".head:not([hidden])");
    assert_eq!(heads, ["Recent", "Go to", "Actions"], "{}", start.text);
    let recent = start.texts("[aria-describedby=palette-g1] .nowrap");
    assert_eq!(recent, ["Map the loading bays", "Ada"]);

    let found = hq.owner().get(&lines("bays")).await;
    assert_eq!(found.texts("[role=option] mark"), ["bays"], "{}", found.text);
    let named = hq.owner().get(&lines(&name)).await;
    let first = named.attrs("[role=option]", "href");
    assert_eq!(first.first(), Some(&format!("/w/marlow-cargo/tasks/{name}")));
    let people = hq.owner().get(&lines("@")).await;
    assert!(people.text.contains("Ada") && people.text.contains("Mira"), "{}", people.text);
    let api = hq.api().await;
    let page = api.post("/api/v1/knowledge", &json!({ "title": "Rules of loading" })).await;
    assert_eq!(page.status, StatusCode::CREATED, "{}", page.text);
    let called = hq.owner().get(&lines("@rules")).await;
    assert_eq!(called.texts("[role=option] .nowrap"), ["Rules of loading"], "{}", called.text);
    let label = api.post("/api/v1/labels", &json!({ "name": "spring launch" })).await;
    assert_eq!(label.status, StatusCode::CREATED, "{}", label.text);
    let body = json!({ "title": "Print flyers", "labels": ["spring launch"] });
    assert_eq!(api.post("/api/v1/tasks", &body).await.status, StatusCode::CREATED);
    let labels = hq.owner().get(&lines("%23spring")).await;
    assert_eq!(labels.texts("[role=option] .nowrap"), ["spring launch"], "{}", labels.text);
    assert_eq!(titles(&ask(&api, "spring%20flyers").await), ["Print flyers"]);
    let acts = hq.owner().get(&lines("%3Enew")).await;
    assert_eq!(
        acts.texts("[role=option] mark").len(),
        5,
        "a task, a contact, an organization, a routine, an agent: {}",
        acts.text
    );

    let pause = hq.owner().get(&lines("%3Epause%20ada")).await;
    assert_eq!(pause.texts("[role=option] .nowrap"), ["Pause Ada"], "{}", pause.text);
    let deed = pause.attr("[role=option]", "data-post");
    assert_eq!(deed, "/w/marlow-cargo/agents/ada/pause");
    assert_eq!(hq.owner().form(&deed, &[]).await.location(), Some("/w/marlow-cargo/agents/ada"));
    let resume = hq.owner().get(&lines("resume%20ada")).await;
    assert!(resume.texts("[role=option] .nowrap").contains(&"Resume Ada".to_owned()));

    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    assert_eq!(viewer.get(&lines("%3Eresume%20ada")).await.texts("[role=option]").len(), 0);
    let theirs = viewer.get(&lines("%3E")).await;
    assert!(!theirs.text.contains("New task") && theirs.text.contains("Sign out"));
    assert_eq!(viewer.get(&lines("%3Exyzzy")).await.texts("[role=option]").len(), 0);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_views_links_and_reviews_are_found_by_whom_they_are_for() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let name = task(&api, "Compare the offers", "").await;
    let made = async |path: &str, body: Value| {
        let reply = api.post(path, &body).await;
        assert!(reply.status.is_success(), "{path}: {}", reply.text);
        reply.json()
    };
    let items = json!([{ "ref": "a", "title": "Book the gooseberry stand" }]);
    made("/api/v1/task-templates", json!({ "name": "Fair", "items": items })).await;
    let own = json!({ "name": "Walrus watch", "look": { "q": "is:open priority:high" } });
    made("/api/v1/views", own).await;
    let links = format!("/api/v1/tasks/{name}/links");
    let link = json!({ "target": "https://quince.example/list", "label": "Tariffs" });
    made(&links, link).await;
    let piece = json!({ "title": "Offers", "text": "# Two of them" });
    let piece = made(&format!("/api/v1/tasks/{name}/deliverables"), piece).await;
    let id = piece["id"].as_str().expect("an id").to_owned();
    let verdict = json!({ "verdict": "changes_requested", "note": "Add the persimmon tax." });
    made(&format!("/api/v1/deliverables/{id}/reviews"), verdict).await;

    for (word, kind, title, path) in [
        ("gooseberry", "template", "Fair", "/settings/task-templates/"),
        ("walrus", "view", "Walrus watch", "/tasks?view=walrus-watch"),
        ("tariffs", "link", "Tariffs", "#task-links"),
        ("quince", "link", "Tariffs", "#task-links"),
        ("persimmon", "review", "Offers", "#piece-"),
    ] {
        let found = ask(&api, word).await;
        assert_eq!(found["items"][0]["type"], kind, "{word}: {found}");
        assert_eq!(titles(&found), [title], "{word}");
        let url = found["items"][0]["url"].as_str().expect("an address");
        assert!(url.contains(path), "{word}: {url}");
        let page = hq.owner().get(url.split('#').next().expect("a page")).await;
        assert_eq!(page.status, StatusCode::OK, "{word}: {url}");
        // In the index, too, and in the palette under the name of its kind.
        until(&api, word, |found| found["facets"] == json!([{ "type": kind, "count": 1 }])).await;
        let offered = hq.owner().get(&format!("{PALETTE}?q={word}")).await;
        let plain = offered.text.replace("<mark>", "").replace("</mark>", "");
        assert!(plain.contains(title), "{word}: {plain}");
    }
    let only = ask(&api, "persimmon&type=review&status=changes_requested").await;
    assert_eq!(titles(&only), ["Offers"]);
    let page = hq.owner().get(&format!("{PAGE}?q=persimmon")).await;
    assert!(page.text.contains("Reviews"), "{}", page.text);

    // A private view is found by nobody else until it is shared.
    let other = hq.another("Otto", Some(Role::Admin)).await;
    assert_eq!(titles(&ask(&other, "gooseberry").await), ["Fair"]);
    let theirs = ask(&other, "walrus").await;
    assert_eq!((&theirs["items"], &theirs["facets"]), (&json!([]), &json!([])), "{theirs}");
    let palette = other.get(&format!("{PALETTE}?q=walrus")).await;
    assert!(!palette.text.contains("Walrus"), "{}", palette.text);
    let view = api.get("/api/v1/views").await.json()["items"][0]["id"].clone();
    let view = format!("/w/marlow-cargo/views/{}", view.as_str().expect("an id"));
    assert!(hq.owner().form(&format!("{view}/share"), &[]).await.status.is_redirection());
    until(&other, "walrus", |found| titles(found) == ["Walrus watch"]).await;
    assert!(hq.owner().form(&format!("{view}/delete"), &[]).await.status.is_redirection());
    assert_eq!(titles(&ask(&other, "walrus").await), [""; 0]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_files_on_tasks_is_found_and_goes_with_them() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let name = task(&api, "Compare the offers", "").await;
    let files = format!("/api/v1/tasks/{name}/files");
    let add = async |name: &str, content: Vec<u8>| {
        let path = format!("{files}?name={name}");
        let sent = api.bytes("POST", &path, "application/octet-stream", content).await;
        assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
        sent.json()["id"].as_str().expect("an id").to_owned()
    };
    let far = format!("{}\npersimmon;12\n", "row;1\n".repeat(20_000));
    let csv = add("prices.csv", far.into_bytes()).await;
    add("notes.md", b"# Rivals\n\nThe **gooseberry** stand".to_vec()).await;
    let long = format!("quince{}", " straw".repeat(60_000)) + " medlar";
    add("long.txt", long.into_bytes()).await;
    add("offer.pdf", b"%PDF-1.7 rosehip".to_vec()).await;
    add("blob.bin", b"rosehip \0 and more".to_vec()).await;
    let fat = [PDF_WITH_WORDS, b"\n%", &vec![b' '; 300 * 1024], b"\n"].concat();
    add("list.pdf", fat).await;
    add("latin.txt", b"rosehip caf\xe9".to_vec()).await;

    let id = csv.as_str();
    let found = until(&api, "persimmon", |found| found["facets"][0]["count"] == 1).await;
    let hit = &found["items"][0];
    assert_eq!(
        (&hit["type"], &hit["title"], &hit["id"]),
        (&json!("file"), &json!("prices.csv"), &json!(id))
    );
    let snippet = hit["snippet"].as_str().expect("words");
    assert!(snippet.contains("row;1 <mark>persimmon</mark>;12"), "{snippet}");
    let url = hit["url"].as_str().expect("an address").to_owned();
    assert!(hq.owner().get(&url).await.text.contains("prices.csv"));
    let notes = ask(&api, "gooseberry").await;
    assert_eq!(notes["items"][0]["snippet"], "Rivals The <mark>gooseberry</mark> stand");
    assert_eq!(titles(&ask(&api, "quince").await), ["long.txt"]);
    assert_eq!(titles(&ask(&api, "medlar").await), [""; 0], "only its beginning is looked at");
    assert_eq!(titles(&ask(&api, "rosehip").await), [""; 0], "no text");
    assert_eq!(titles(&ask(&api, "offer%20pdf").await), ["offer.pdf"]);
    let words = ask(&api, "mango").await;
    assert_eq!(titles(&words), ["list.pdf"], "a PDF has words, too");
    assert_eq!(words["items"][0]["snippet"], "<mark>Mango</mark> 3 EUR Plum 4 EUR");
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    let theirs = viewer.get(&format!("{PAGE}?q=persimmon")).await;
    assert_eq!(theirs.texts(".finds .title"), ["prices.csv"]);

    // A rebuilt index contains it, too.
    let rebuild = "/api/v1/consumers/search/rebuild";
    assert_eq!(hq.owner().post(rebuild, &json!({})).await.status, StatusCode::OK);
    until(&api, "persimmno", |found| titles(found) == ["prices.csv"]).await;
    assert!(api.call("DELETE", &format!("/api/v1/files/{csv}")).await.status.is_success());
    assert_eq!(titles(&ask(&api, "persimmon").await), [""; 0]);
    until(&api, "persimmon", |found| found["facets"] == json!([])).await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_agents_keep_in_their_files_is_found_and_leads_to_the_file() {
    let (hq, model) = work::scene().await;
    let api = hq.api().await;
    let note = "/api/v1/agents/ada/memory/note";
    let write = async |text: &str| {
        let old = api.get(&format!("{note}?path=MEMORY.md")).await.json();
        let body = json!({ "path": "MEMORY.md", "text": text, "hash": old["hash"] });
        let done = api.json("PUT", note, &body).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    };
    let is_file = |found: &Value| found["items"][0]["type"] == "agent_file";
    write("# Lasting\n\nMira likes **gooseberry** tea\n").await;
    let found = until(&api, "gooseberry", is_file).await;
    assert_eq!(titles(&found), ["MEMORY.md"]);
    assert_eq!(found["items"][0]["about"], "File of Ada");
    let snippet = found["items"][0]["snippet"].as_str().expect("words");
    assert!(snippet.contains("likes <mark>gooseberry</mark> tea"), "{snippet}");
    let url = found["items"][0]["url"].as_str().expect("an address").to_owned();
    let page = hq.owner().get(&url).await;
    assert!(page.status.is_success() && page.text.contains("gooseberry"), "{url}");
    let told = api.get("/api/v1/activity?event=agent.files_changed").await.json();
    assert_eq!(told["items"].as_array().map(Vec::len), Some(1), "{told}");

    write("# Lasting\n\nMira likes persimmon tea\n").await;
    until(&api, "persimmon", is_file).await;
    until(&api, "gooseberry", |found| found["facets"] == json!([])).await;

    // Text written by a run is found once it is committed.
    let file = json!({ "path": "plans/fair.md", "content": "Ask for the quince stand" });
    model.push(Turn::call("write", file));
    let said = hq.owner().post("/api/v1/agents/ada/messages", &json!({ "text": "Plan" })).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    hq.settle().await;
    until(&api, "quince&type=agent_file", |found| titles(found) == ["plans/fair.md"]).await;

    // A rebuilt index contains all of it.
    let rebuild = "/api/v1/consumers/search/rebuild";
    assert_eq!(hq.owner().post(rebuild, &json!({})).await.status, StatusCode::OK);
    until(&api, "quincee&type=agent_file", |found| titles(found) == ["plans/fair.md"]).await;
    until(&api, "persimmno", is_file).await;
    hq.finish().await;
}
