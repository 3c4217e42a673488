//! Agents read, edit and cite knowledge.

use features::agents::model::Agent;
use knowledge::passages::{self, stamp};
use serde_json::{Value, json};
use support::model::Turn;
use support::office::Office;

use super::{LEASE, id, made, patched, read};
use crate::HERE;

/// The results of an agent's tool calls.
async fn done(office: &Office, agent: &Agent, turn: Turn) -> Vec<String> {
    office.model.push(turn);
    let run = office.say(agent, "Go on.").await;
    office.ended(run).await;
    office.results(run).into_iter().map(|result| result.2).collect()
}

/// The number after a word.
fn behind(text: &str, word: &str) -> u64 {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("no {word} in {text}"));
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().unwrap_or_else(|_| panic!("no number behind {word} in {text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_writes_over_the_version_that_it_has_read() {
    let office = Office::open().await;
    office.without_web(None).await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    let api = office.hq.api().await;
    let text = "First line.\n\nIn between.\n\nSecond line.\n";
    let page = json!({ "title": "Plan", "text": text });
    let skill = json!({ "title": "How", "text": text, "reason": "asked twice" });
    let results = done(
        &office,
        &ada,
        Turn::call("page_create", page)
            .and_call("skill_save", skill)
            .and_call("knowledge_read", json!({ "item": "Plan" })),
    )
    .await;
    let version = behind(&results[2], "version ");
    assert_eq!(behind(&results[0], "It is version "), version, "{}", results[0]);
    let how = behind(&results[1], "It is version ");
    let items = api.get("/api/v1/knowledge?q=plan").await.json();
    let at = format!("knowledge/{}", id(&items["items"][0]));

    // A person changes a line in the meantime.
    let theirs = text.replace("Second line.", "Second line, by Mira.");
    let changed = patched(&api, &at, json!({ "text": theirs, "base": text })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let mine = text.replace("First line.", "First line, by Ada.");
    let clash = text.replace("Second line.", "Second line, by Ada.");
    // The mark of a passage may be part of the returned text.
    let marked = format!("[#0@{}] {mine}", stamp(text.trim_end()));
    let write =
        |text: &str, version: u64| json!({ "item": "Plan", "text": text, "version": version });
    let skill = json!({ "title": "How", "text": mine, "reason": "shorter", "item": "How" });
    let mut known = skill.clone();
    known["version"] = json!(how);
    let results = done(
        &office,
        &ada,
        Turn::call("page_update", json!({ "item": "Plan", "text": mine }))
            .and_call("page_update", write(&mine, 1))
            .and_call("page_update", write(&marked, version))
            .and_call("page_update", write(&clash, version))
            .and_call("skill_save", skill)
            .and_call("skill_save", known),
    )
    .await;
    assert!(
        results[0].contains("give the version") && results[0].contains("current version is "),
        "{results:?}"
    );
    assert!(results[1].contains("there is no version 1"), "{}", results[1]);
    assert_eq!(results[2], "Changed \"Plan\".");
    for side in ["Yours:\nSecond line, by Ada.", "Current:\nSecond line, by Mira."] {
        assert!(results[3].contains(side), "{}", results[3]);
    }
    assert!(results[4].contains("give the version"), "{}", results[4]);
    assert!(results[5].contains("Saved \"How\". It is version "), "{}", results[5]);
    let now = api.get(&format!("/api/v1/{at}")).await.json();
    assert_eq!(now["text"], theirs.replace("First line.", "First line, by Ada."));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mask_of_a_key_in_a_page_is_not_written_over_the_key() {
    const KEY: &str = "ghp_abcdefghijklmnopqrstuvwx";
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    let api = office.hq.api().await;
    let text = format!("One.\n\nThe key is {KEY}.\n");
    let page = made(&api, "knowledge", json!({ "title": "Keys", "text": text })).await;
    let at = format!("knowledge/{}", id(&page));
    let results =
        done(&office, &ada, Turn::call("knowledge_read", json!({ "item": "Keys" }))).await;
    assert!(results[0].contains("ghp_ab…uvwx") && !results[0].contains(KEY), "{}", results[0]);
    let version = behind(&results[0], "version ");
    let masked = text.replace(KEY, "ghp_ab…uvwx");
    let edit =
        |old: &str, new: &str| json!({ "item": "Keys", "edits": [{ "old": old, "new": new }] });
    let whole = json!({ "item": "Keys", "text": masked, "version": version });
    let results = done(
        &office,
        &ada,
        Turn::call("page_update", whole)
            .and_call("page_update", edit("key is ghp_ab…uvwx", "key is gone"))
            .and_call("page_update", edit("One.", "Two.")),
    )
    .await;
    assert!(results[0].contains("line 3 contains the mask of a secret"), "{}", results[0]);
    assert!(results[1].contains("line 3 contains a secret that is shown to you"), "{}", results[1]);
    assert!(
        results[2].starts_with("Suggested.") || results[2].starts_with("Changed"),
        "{}",
        results[2]
    );
    let refused = patched(&api, &at, json!({ "text": masked, "base": text })).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(refused.json()["code"], "text_holds_mask");
    let now = api.get(&format!("/api/v1/{at}")).await.json();
    assert!(now["text"].as_str().is_some_and(|now| now.contains(KEY)), "{now}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cite_of_what_a_run_never_had_before_it_is_marked_wherever_the_words_come_from() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    office.agent("Otto").await;
    let api = office.hq.api().await;
    let item = async |body: Value| id(&made(&api, "knowledge", body).await);
    let lease = item(json!({ "title": "Lease terms", "text": LEASE })).await;
    let own =
        json!({ "title": "Secret plan", "text": "Cobalt.", "scope": "agent", "agents": ["otto"] });
    let own = item(own).await;
    let rules = json!({ "title": "House rules", "text": "Answer soon.", "scope": "workspace" });
    let rules = item(rules).await;
    let pointer = json!({ "title": "Pointer", "text": format!("See [[know:{lease}#0]].") });
    let pointer = item(pointer).await;
    let task = made(&api, "tasks", json!({ "title": "Answer" })).await;

    let cites = |all: &[(&str, u32)]| {
        let cite = |(id, n): &(&str, u32)| format!("[[know:{id}#{n}]]");
        all.iter().map(cite).collect::<Vec<_>>().join(" and ")
    };
    let guessed = cites(&[
        (lease.as_str(), 0),
        (own.as_str(), 0),
        (rules.as_str(), 999),
        (pointer.as_str(), 7),
    ]);
    let had = cites(&[(pointer.as_str(), 0), (rules.as_str(), 0)]);
    let body = format!("Guessed: {guessed}. Had: {had}.");
    let results = done(
        &office,
        &ada,
        Turn::call("knowledge_read", json!({ "item": "Pointer" }))
            .and_call("comment_add", json!({ "task": id(&task), "body": body })),
    )
    .await;
    assert!(results[0].contains(" passages 0 to 0, version "), "{}", results[0]);
    assert!(results[0].contains("\n[#0@"), "{}", results[0]);
    let owner = office.hq.owner();
    let place = owner.get(&format!("{HERE}/tasks/{}", id(&task))).await;
    let page = owner.get(place.location().expect("the page by its name")).await;
    let marks = "cited without reading it";
    assert_eq!(page.text.matches(marks).count(), 4, "{}", page.text);
    let (_, rest) = page.text.rsplit_once("Had:").expect("the comment");
    assert!(!rest.contains(marks), "{rest}");

    // Starts, reads and citations are counted per item and do not change it.
    let used = async |id: &str| api.get(&format!("/api/v1/knowledge/{id}")).await.json();
    let read = used(&pointer).await;
    let uses = &read["uses"][0];
    assert_eq!((&uses["agent"], &uses["starts"]), (&json!("ada"), &json!(0)), "{read}");
    assert_eq!((&uses["reads"], &uses["quotes"]), (&json!(1), &json!(1)), "{read}");
    let named = place.location().expect("the page by its name");
    assert!(uses["quoted_in"].as_str().is_some_and(|task| named.ends_with(task)), "{read}");
    assert_eq!(read["created_at"], read["updated_at"]);
    let pinned = used(&rules).await["uses"][0].clone();
    assert_eq!((&pinned["starts"], &pinned["quotes"]), (&json!(1), &json!(1)), "{pinned}");
    assert_eq!(used(&own).await["uses"], json!([]), "it may not even see it");
    let beside = owner.get(&format!("{HERE}/knowledge/{pointer}")).await;
    assert!(beside.text.contains("read it once, quoted it once"), "{}", beside.text);

    // Starts are counted from the item's last change on.
    let start = async || owner.get(&format!("{HERE}/knowledge/context")).await.text;
    assert!(start().await.contains("Counted since the last change"));
    patched(&api, &format!("knowledge/{rules}"), json!({ "text": "Answer at once." })).await;
    assert!(start().await.contains("No agent has started with it"));

    // Linked items are included, except those for other agents. A link may be given as text, too.
    let links = format!("tasks/{}/links", id(&task));
    let deposit = "[[Lease terms#Deposit]]".to_owned();
    for target in [deposit, format!("know:{own}"), format!("[[know:{rules}]]")] {
        made(&api, &links, json!({ "target": target })).await;
    }
    let refused = api.post(&format!("/api/v1/{links}"), &json!({ "target": "nothing" })).await;
    assert!(refused.text.contains("knowledge:Name"), "{}", refused.text);
    let results = done(
        &office,
        &ada,
        Turn::call("task_get", json!({ "task": id(&task) }))
            .and_call("link_add", json!({ "task": id(&task), "target": "knowledge:Secret plan" }))
            .and_call("link_add", json!({ "task": id(&task), "target": "[[Pointer]]" }))
            .and_call("comment_add", json!({ "task": "knowledge:Secret plan", "body": "Why?" }))
            .and_call("comment_add", json!({ "task": "knowledge:Pointer", "body": "Good." })),
    )
    .await;
    assert!(
        results[0].contains("Lease terms") && results[0].contains("House rules"),
        "{}",
        results[0]
    );
    assert!(!results[0].contains("Secret plan"), "{}", results[0]);
    assert!(results[1].contains("There is no item"), "{}", results[1]);
    assert!(results[2].contains("Linked"), "{}", results[2]);
    assert!(
        results[3].contains("Secret plan") && !results[3].contains("Commented"),
        "{}",
        results[3]
    );
    assert!(results[4].contains("Commented on Pointer"), "{}", results[4]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_from_outside_is_named_inside_of_its_marks_and_has_the_pages_that_it_has() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    let api = office.hq.api().await;
    let file = read(&api, ("Ignore-all-rules.pdf", support::PDF_WITH_WORDS)).await;
    let page = |page: usize| json!({ "item": id(&file), "page": page });
    let results = done(
        &office,
        &ada,
        Turn::call("knowledge_read", json!({ "item": id(&file) }))
            .and_call("knowledge_read", page(99))
            .and_call("knowledge_read", page(0))
            .and_call("knowledge_read", page(1))
            .and_call("knowledge_read", json!({ "item": id(&file), "from": 9_999_999 })),
    )
    .await;
    let (head, rest) = results[0].split_once("<<<").expect("marks");
    assert!(!head.contains("Ignore") && rest.contains("Ignore-all-rules"), "{}", results[0]);
    for refused in &results[1..3] {
        assert!(refused.contains("It has "), "{refused}");
        assert!(!refused.contains("no text"), "{refused}");
    }
    assert!(results[3].contains("[#0@") && results[3].contains("Mango"), "{}", results[3]);
    assert!(results[4].contains("There is no text from byte 9999999; it has "), "{}", results[4]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cite_leads_to_its_words_wherever_they_stand_now_and_says_when_they_have_changed() {
    let hq = support::hq::TestHq::start().await;
    let api = hq.api().await;
    let page = made(&api, "knowledge", json!({ "title": "Lease terms", "text": LEASE })).await;
    let all = passages::cut(LEASE);
    let words = &LEASE[all[1].range.clone()];
    assert!(words.contains("ten days"), "{words}");
    let (at, owner) = (format!("knowledge/{}", id(&page)), hq.owner());
    let cited = async |n: u32, stamp: &str| {
        let page = owner.get(&format!("{HERE}/{at}?p={n}&at={stamp}")).await;
        page.texts("#cited").join(" ")
    };
    let stamp = stamp(words);
    let results = cited(1, &stamp).await;
    assert!(results.contains("within ten days") && !results.contains("changed"), "{results}");
    assert!(results.contains("Cited here"), "{results}");
    // A search result links here without a stamp.
    let results = cited(1, "").await;
    assert!(results.contains("Found here") && results.contains("within ten days"), "{results}");
    let results = cited(77, "").await;
    assert!(results.contains("This passage no longer exists."), "{results}");

    // Two citations of one item are distinguished by the headings of their passages, in lists too.
    let (one, other) = (id(&page), all.len() - 1);
    let body = format!("See [[know:{one}#0]] and [[know:{one}#{other}]].");
    let note = made(&api, "knowledge", json!({ "title": "Note", "text": body })).await;
    let shown = owner.get(&format!("{HERE}/knowledge/{}", id(&note))).await;
    for n in [0, other] {
        let named = match all[n].section.last() {
            Some(heading) if heading != "Lease terms" => format!("Lease terms › {heading}"),
            _ => "Lease terms".to_owned(),
        };
        assert!(shown.text_of("#k-body").contains(&named), "{named}: {}", shown.text);
    }
    let list = owner.get(&format!("{HERE}/knowledge")).await.text_of("#k-rows");
    assert!(list.contains("See and .") && !list.contains("know:"), "{list}");
    let text = "See [[Lease terms#Deposit]], [[Lease terms|the terms]].";
    patched(&api, &format!("knowledge/{}", id(&note)), json!({ "text": text })).await;
    let list = owner.get(&format!("{HERE}/knowledge")).await.text_of("#k-rows");
    assert!(list.contains("See Lease terms › Deposit, the terms."), "{list}");

    // A second change by the same author creates no version, so the old text is lost.
    let changed = LEASE.replace("ten days", "five days");
    patched(&api, &at, json!({ "text": changed, "base": LEASE })).await;
    let results = cited(1, &stamp).await;
    let kept = results.contains("the cited version isn’t available.") && !results.contains("five");
    assert!(kept && !results.contains("Cited here"), "{results}");
    patched(&api, &at, json!({ "text": LEASE, "base": changed })).await;
    // Another reason creates a version, so the old text is shown.
    let second = json!({ "text": changed, "base": LEASE, "reason": "shorter" });
    patched(&api, &at, second).await;
    let results = cited(1, &stamp).await;
    assert!(results.contains("The cited text:") && results.contains("ten days"), "{results}");

    // A moved passage is found.
    let moved = format!("# Before\n\n{}\n\n{LEASE}", "Other words. ".repeat(60));
    let second = json!({ "text": moved, "base": changed, "reason": "longer" });
    let done = patched(&api, &at, second).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let results = cited(1, &stamp).await;
    assert!(results.contains("within ten days") && !results.contains("changed"), "{results}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_delivered_and_its_next_version_keeps_what_a_person_changed() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    let api = office.hq.api().await;
    let task = id(&made(&api, "tasks", json!({ "title": "Write it down" })).await);
    let text = "First line.\n\nIn between.\n\nSecond line.\n";
    let page = json!({ "task": task, "kind": "page", "title": "House rules", "body": text });
    let results = done(&office, &ada, Turn::call("deliverable_submit", page)).await;
    assert!(results[0].starts_with("Delivered \"House rules\""), "{results:?}");
    let pieces = async || api.get(&format!("/api/v1/tasks/{task}/deliverables")).await.json();
    let piece = pieces().await["items"][0].clone();
    let version = &piece["versions"][0];
    assert_eq!((&version["kind"], &version["text"]), (&json!("page"), &json!(text)), "{piece}");
    let path = version["page"]["path"].as_str().expect("its page").to_owned();
    let item = api.get(&format!("/api/v1/{path}")).await.json();
    assert_eq!((&item["title"], &item["scope"]), (&json!("House rules"), &json!("library")));

    let theirs = text.replace("Second line.", "Second line, by Mira.");
    let changed = patched(&api, &path, json!({ "text": theirs, "base": text })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let second = |text: &str| json!({ "task": task, "deliverable": "House rules", "kind": "page", "body": text });
    let mine = text.replace("First line.", "First line, by Ada.");
    let clash = text.replace("Second line.", "Second line, by Ada.");
    let results = done(
        &office,
        &ada,
        Turn::call("deliverable_revise", second(&clash))
            .and_call("deliverable_revise", second(&mine)),
    )
    .await;
    assert!(results[0].contains("same lines since it was delivered"), "{results:?}");
    assert!(results[1].contains("version 2"), "{results:?}");
    assert!(results[1].contains("also has changes by others"), "{results:?}");
    let both = theirs.replace("First line.", "First line, by Ada.");
    assert_eq!(pieces().await["items"][0]["versions"][1]["text"], json!(both));
    assert_eq!(api.get(&format!("/api/v1/{path}")).await.json()["text"], json!(both));

    // Review shows the page as submitted, its diff and its address.
    let desk = format!("{HERE}/review?piece={}", id(&piece));
    let shown = office.hq.owner().get(&desk).await;
    assert!(shown.text.contains(&format!("href=\"{HERE}/{path}\"")), "{}", shown.text);
    let changes = office.hq.owner().get(&format!("{desk}&changes=1")).await;
    assert!(changes.text.contains("<ins>First line, by Ada.</ins>"), "{}", changes.text);
    // Submitted pages have a folder of their own.
    let folders = api.get("/api/v1/knowledge/folders").await.json();
    let folder = folders["items"][0].clone();
    assert_eq!((&folder["name"], &item["folder"]), (&json!("Deliverables"), &folder["id"]));
    // A version without a kind stays a page, and one that is a text in between does not end it.
    let text =
        json!({ "task": task, "deliverable": "House rules", "kind": "text", "body": "Soon." });
    let bare = json!({ "task": task, "deliverable": "House rules", "body": "Third words.\n" });
    let page = json!({ "task": task, "deliverable": "House rules", "kind": "page", "body": "Fourth words.\n" });
    let calls = Turn::call("deliverable_revise", bare)
        .and_call("deliverable_revise", text)
        .and_call("deliverable_revise", page);
    let told = done(&office, &ada, calls).await;
    assert!(told[2].contains("version 5") && !told[2].contains("by others"), "{told:?}");
    let versions = pieces().await["items"][0]["versions"].clone();
    for (at, kind) in [(2, "page"), (3, "text"), (4, "page")] {
        assert_eq!(versions[at]["kind"], json!(kind), "{versions}");
    }
    // A page that was approved stays as it is: the same title is a new page.
    let judged = json!({ "verdict": "approved" });
    let judged = api.post(&format!("/api/v1/deliverables/{}/reviews", id(&piece)), &judged).await;
    assert_eq!(judged.status, 201, "{}", judged.text);
    let page =
        json!({ "task": task, "kind": "page", "title": "house rules", "body": "Fifth words.\n" });
    let told = done(&office, &ada, Turn::call("deliverable_submit", page)).await;
    assert!(told[0].contains("version 1"), "{told:?}");
    assert_ne!(pieces().await["items"][1]["versions"][0]["page"]["path"], json!(path));
    assert_eq!(api.get(&format!("/api/v1/{path}")).await.json()["text"], "Fourth words.\n");
    let all = api.get("/api/v1/knowledge?kind=page").await.json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(2), "{all}");
    // An existing page is submitted as it is.
    let own = json!({ "title": "Again", "page": id(&item) });
    let own = made(&api, &format!("tasks/{task}/deliverables"), own).await;
    assert_eq!(own["versions"][0]["text"], "Fourth words.\n");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_rejected_deliverable_is_archived_and_one_that_was_there_stays() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    let api = office.hq.api().await;
    let task = id(&made(&api, "tasks", json!({ "title": "Write it down" })).await);
    let prices = json!({ "title": "Prices", "text": "Ten.\n", "scope": "library" });
    let prices = id(&made(&api, "knowledge", prices).await);
    let new =
        |title: &str| json!({ "task": task, "kind": "page", "title": title, "body": "Words.\n" });
    let there = json!({ "task": task, "kind": "page", "title": "List", "body": prices });
    let calls = Turn::call("deliverable_submit", new("Draft"))
        .and_call("deliverable_submit", there)
        .and_call("deliverable_submit", new("Plan"));
    let results = done(&office, &ada, calls).await;
    assert!(results.iter().all(|line| line.starts_with("Delivered")), "{results:?}");
    let pieces = api.get(&format!("/api/v1/tasks/{task}/deliverables")).await.json();
    let judge = async |at: usize, verdict: &str| {
        let path = format!("/api/v1/deliverables/{}/reviews", id(&pieces["items"][at]));
        let judged = api.post(&path, &json!({ "verdict": verdict, "note": "So it is." })).await;
        assert_eq!(judged.status, 201, "{}", judged.text);
    };
    let is_archived = async |at: usize| {
        let page = &pieces["items"][at]["versions"][0]["page"]["path"];
        let path = format!("/api/v1/{}", page.as_str().expect("a page"));
        api.get(&path).await.json()["archived"].clone()
    };
    judge(0, "rejected").await;
    judge(1, "rejected").await;
    assert_eq!(is_archived(0).await, true);
    assert_eq!(is_archived(1).await, false, "it was there before");

    // An item approved once stays in use, whatever happens to its next version.
    judge(2, "approved").await;
    let second = |piece: &str| json!({ "task": task, "deliverable": piece, "kind": "page", "body": "Better words.\n" });
    let calls = Turn::call("deliverable_revise", second("Plan"))
        .and_call("deliverable_revise", second("Draft"));
    let results = done(&office, &ada, calls).await;
    assert!(results.iter().all(|line| line.contains("version 2")), "{results:?}");
    judge(2, "rejected").await;
    assert_eq!(is_archived(2).await, false, "version 1 was approved");
    assert_eq!(is_archived(0).await, false, "it was delivered again");
    // The rejected version was a page of its own, beside the approved one.
    let now = api.get(&format!("/api/v1/tasks/{task}/deliverables")).await.json();
    let versions = &now["items"][2]["versions"];
    assert_ne!(versions[0]["page"]["path"], versions[1]["page"]["path"]);
    let page = async |at: usize| {
        let path = versions[at]["page"]["path"].as_str().expect("a page");
        api.get(&format!("/api/v1/{path}")).await.json()
    };
    assert_eq!(page(0).await["text"], "Words.\n");
    assert_eq!(page(1).await["archived"], true);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_read_too_an_agent_suggests_and_a_person_decides() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    office.agent("Otto").await;
    let (api, owner) = (office.hq.api().await, office.hq.owner());
    let text = "First line.\n\nIn between.\n\nSecond line.\n";
    let shared = json!({
        "kind": "skill", "title": "Packing", "text": text, "scope": "agent", "agents": ["ada", "otto"],
    });
    let shared = id(&made(&api, "knowledge", shared).await);
    let rules = json!({ "title": "House rules", "text": "Answer soon.\n", "scope": "workspace" });
    let rules = id(&made(&api, "knowledge", rules).await);
    let change = |old: &str, new: &str| json!({ "item": "Packing", "edits": [{ "old": old, "new": new }], "reason": "clearer" });
    let results = done(
        &office,
        &ada,
        Turn::call("page_update", change("First line.", "Once."))
            .and_call("page_update", change("First line.", "First line, by Ada."))
            .and_call("page_update", json!({ "item": "House rules", "title": "Rules" }))
            .and_call("page_update", json!({ "item": "House rules", "title": "House rules" })),
    )
    .await;
    assert!(results[..3].iter().all(|results| results.starts_with("Suggested.")), "{results:?}");
    assert!(results[3].contains("already says that"), "{}", results[3]);
    // The item is unchanged, and a newer suggestion replaces the earlier one.
    let at = format!("knowledge/{shared}");
    assert_eq!(api.get(&format!("/api/v1/{at}")).await.json()["text"], text);
    let waiting = async || api.get("/api/v1/knowledge/suggestions").await.json()["items"].clone();
    let all = waiting().await;
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
    let of = |all: &Value, item: &str| {
        let mut all = all.as_array().expect("a list").iter();
        all.find(|one| one["item"] == item).expect("a suggestion").clone()
    };
    let (packing, named) = (of(&all, &shared), of(&all, &rules));
    assert_eq!(named["new_title"], "Rules");
    assert_eq!(packing["text"], text.replace("First line.", "First line, by Ada."));

    // Review and the item mention the suggestion, and its page shows the diff.
    let review = owner.get(&format!("{HERE}/review")).await;
    assert!(review.text.contains("Suggested changes"), "{}", review.text);
    let item = owner.get(&format!("{HERE}/{at}")).await;
    assert!(item.text.contains("/knowledge/suggestions#s-"), "{}", item.text);
    let page = owner.get(&format!("{HERE}/knowledge/suggestions")).await;
    assert!(page.text.contains("<ins>First line, by Ada."), "{}", page.text);

    // A person's concurrent change is kept. Accepting requires the revision that was seen.
    let theirs = text.replace("Second line.", "Second line, by Mira.");
    patched(&api, &at, json!({ "text": theirs, "base": text })).await;
    let take = format!("{HERE}/knowledge/suggestions/{}/take", packing["id"].as_str().expect("id"));
    owner.form(&take, &[("rev", "1")]).await;
    assert_eq!(waiting().await.as_array().map(Vec::len), Some(2), "another rev was looked at");
    owner.form(&take, &[("rev", packing["rev"].to_string().as_str())]).await;
    let now = api.get(&format!("/api/v1/{at}")).await.json();
    assert_eq!(now["text"], theirs.replace("First line.", "First line, by Ada."));
    let versions = api.get(&format!("/api/v1/{at}/versions")).await.json();
    assert_eq!(versions["items"][0]["reason"], "Suggested by Ada: clearer");
    assert_eq!(versions["items"][0]["by"]["kind"], "person");

    let named = named["id"].as_str().expect("id");
    let dismiss = format!("/api/v1/knowledge/suggestions/{named}/dismiss");
    assert_eq!(api.post(&dismiss, &json!({})).await.json()["title"], "House rules");
    assert_eq!(api.post(&dismiss, &json!({})).await.status, 409);

    // A conflict with a later change prevents acceptance.
    done(&office, &ada, Turn::call("page_update", change("In between.", "Between, by Ada."))).await;
    let base = now["text"].as_str().expect("a text");
    let other = base.replace("In between.", "Between, by Mira.");
    patched(&api, &at, json!({ "text": other, "base": base })).await;
    let clash = waiting().await[0].clone();
    assert_eq!(clash["clash"], true, "{clash}");
    let take = format!("/api/v1/knowledge/suggestions/{}/take", clash["id"].as_str().expect("id"));
    assert_eq!(api.post(&take, &json!({})).await.status, 409);
    assert_eq!(api.get(&format!("/api/v1/{at}")).await.json()["text"], other);
    office.hq.finish().await;
}
