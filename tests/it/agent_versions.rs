//! History of an agent's files: author and origin of changes, old versions, and restoring a version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use features::agents::model::Agent;
use git::history::LogQuery;
use git::snapshot::Paths;
use git::{Author, Branch, Entry};
use kernel::{Outcome, Role};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Setup};
use support::model::Turn;
use support::office::Office;

use crate::agent_files::{made, made_with};
use crate::ops_health::Room;

const AGENTS: &str = "/w/marlow-cargo/agents";

/// Changes a memory file as a person does.
async fn write(api: &Person, text: &str) {
    let note = api.get("/api/v1/agents/ada/memory/note?path=MEMORY.md").await.json();
    let body = json!({ "path": "MEMORY.md", "text": text, "hash": note["hash"] });
    let done = api.json("PUT", "/api/v1/agents/ada/memory/note", &body).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
}

async fn log(person: &Person, query: &str) -> Vec<Value> {
    let reply = person.get(&format!("/api/v1/agents/ada/history?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["items"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_a_history_and_an_older_version_comes_back_in_a_commit_of_its_own() {
    let (hq, api) = made().await;
    write(&api, "Mira likes tea\n").await;
    write(&api, "Mira likes coffee\n").await;
    let all = log(&api, "path=MEMORY.md").await;
    let last = [&all[0], &all[1]];
    for commit in last {
        assert_eq!(commit["author"], "Mira Lindqvist");
        assert_eq!(commit["subject"], "memory: Change MEMORY.md manually");
        assert_eq!(commit["run"], Value::Null);
    }
    let (tea, coffee) = (all[1]["commit"].as_str().expect("a commit"), &all[0]["commit"]);
    let whole = log(&api, "").await;
    assert!(all.len() <= whole.len() && whole[0]["commit"] == *coffee);
    let at = |commit: &str| format!("/api/v1/agents/ada/history/{commit}?path=MEMORY.md");
    let then = api.get(&at(tea)).await.json();
    assert_eq!(
        (&then["file"]["text"], &then["file"]["is_now"]),
        (&json!("Mira likes tea\n"), &json!(false))
    );
    assert!(then["files"][0]["diff"].as_str().is_some_and(|diff| diff.contains("+Mira likes tea")));
    let now = api.get(&at(coffee.as_str().expect("a commit"))).await.json();
    assert_eq!(now["file"]["is_now"], true);
    assert_eq!((&now["files"][0]["added"], &now["files"][0]["removed"]), (&json!(1), &json!(1)));

    // In pages of one, without gaps.
    let first = api.get("/api/v1/agents/ada/history?path=MEMORY.md&limit=1").await.json();
    let next = first["next"].as_str().expect("there is more");
    assert_eq!(log(&api, &format!("path=MEMORY.md&limit=1&before={next}")).await[0], all[1]);

    let owner = hq.owner();
    let page = owner.get(&format!("{AGENTS}/ada/history?path=MEMORY.md&commit={tea}")).await;
    assert_eq!(page.attr(".versions .tree [aria-current]", "href").matches(tea).count(), 1);
    assert!(page.texts(".versions .diff ins").contains(&"Mira likes tea".to_owned()));
    assert!(page.text.contains("Restore this version"), "{}", page.text);
    let newest = owner.get(&format!("{AGENTS}/ada/history?path=MEMORY.md")).await;
    assert!(newest.text.contains("Current</") && !newest.text.contains("Restore this version"));
    let everything = owner.get(&format!("{AGENTS}/ada/history")).await;
    assert!(
        everything.attrs(".versions .slab a", "href").iter().any(|to| to.contains("MEMORY.md"))
    );
    for from in ["files?path=MEMORY.md", "memory"] {
        let page = owner.get(&format!("{AGENTS}/ada/{from}")).await;
        let links = page.attrs(".paper header a", "href");
        assert!(links.contains(&format!("{AGENTS}/ada/history?path=MEMORY.md")), "{links:?}");
    }
    assert!(
        owner.get(&format!("{AGENTS}/ada")).await.text.contains(&format!("{AGENTS}/ada/history"))
    );

    let form = [("path", "MEMORY.md"), ("commit", tea)];
    let back = owner.form(&format!("{AGENTS}/ada/history"), &form).await;
    assert_eq!(back.location(), Some(&*format!("{AGENTS}/ada/history?path=MEMORY.md")));
    let file = hq.ws().agent_folder("ada").join("MEMORY.md");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "Mira likes tea\n");
    let all = log(&api, "path=MEMORY.md").await;
    assert!(
        all[0]["subject"].as_str().is_some_and(|said| said.starts_with("Restore MEMORY.md of "))
    );
    assert_eq!(all[0]["author"], "Mira Lindqvist");
    assert!(all[0]["message"].as_str().is_some_and(|said| said.contains(&format!("From: {tea}"))));
    assert_eq!(all[1]["commit"], *coffee, "what it was before stays");

    // Repeated, it changes nothing.
    let url = format!("/api/v1/agents/ada/history/{tea}/restore");
    let again = api.post(&url, &json!({ "path": "MEMORY.md" })).await;
    assert_eq!(again.json(), json!({ "commit": null }), "{}", again.text);
    assert_eq!(log(&api, "path=MEMORY.md").await, all);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_committed_yet_stays_in_the_history_when_a_version_comes_back() {
    let (hq, api) = made().await;
    write(&api, "kept\n").await;
    let kept = log(&api, "path=MEMORY.md").await[0]["commit"].as_str().expect("one").to_owned();
    let file = hq.ws().agent_folder("ada").join("MEMORY.md");
    std::fs::write(&file, "written a moment ago\n").expect("a file");
    let url = format!("/api/v1/agents/ada/history/{kept}/restore");
    let back = api.post(&url, &json!({ "path": "MEMORY.md" })).await.json();
    assert!(back["commit"].is_string(), "{back}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "kept\n");
    let all = log(&api, "path=MEMORY.md").await;
    assert_eq!(all[0]["commit"], back["commit"]);
    let between = all[1]["commit"].as_str().expect("a commit");
    let then =
        api.get(&format!("/api/v1/agents/ada/history/{between}?path=MEMORY.md")).await.json();
    assert_eq!(then["file"]["text"], "written a moment ago\n");
    assert_eq!((&then["author"], &all[2]["commit"]), (&json!("Ada"), &json!(kept)));

    // A removed file is restored, too.
    std::fs::remove_file(&file).expect("gone");
    let back = api.post(&url, &json!({ "path": "MEMORY.md" })).await.json();
    assert!(back["commit"].is_string(), "{back}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "kept\n");
    let gone = log(&api, "path=MEMORY.md").await[1]["commit"].as_str().expect("one").to_owned();
    let page = hq.owner().get(&format!("{AGENTS}/ada/history?path=MEMORY.md&commit={gone}")).await;
    assert!(page.text.contains("This commit deletes the file"), "{}", page.text);
    let url = format!("/api/v1/agents/ada/history/{gone}/restore");
    let refused = api.post(&url, &json!({ "path": "MEMORY.md" })).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(refused.json()["type"], "urn:hq:file_not_in_commit");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_a_key_and_the_settings_keep_an_older_version_from_coming_back() {
    const KEY: &str = "one\nsk-abcdefghijklmnopqrstuvwx\n";
    let free = Arc::new(AtomicU64::new(50 << 30));
    let (hq, api) = made_with(Setup::default().faults(Arc::new(Room(Arc::clone(&free))))).await;
    write(&api, "one\n").await;
    write(&api, "two\n").await;
    let folder = hq.ws().agent_folder("ada");
    let file = folder.join("MEMORY.md");
    let is = || std::fs::read_to_string(&file).expect("a file");
    let commits = log(&api, "").await;
    let back = async |commit: &Value, path: &str| {
        let commit = commit.as_str().expect("a commit");
        let url = format!("/api/v1/agents/ada/history/{commit}/restore");
        let reply = api.post(&url, &json!({ "path": path })).await;
        (reply.status.as_u16(), reply.json()["type"].clone())
    };
    let first = log(&api, "path=MEMORY.md").await[1]["commit"].clone();

    free.store(1 << 20, Ordering::SeqCst);
    assert_eq!(back(&first, "MEMORY.md").await, (507, json!("urn:hq:storage_full")));
    let form = [("path", "MEMORY.md"), ("commit", first.as_str().expect("a commit"))];
    let page = hq.owner().form(&format!("{AGENTS}/ada/history"), &form).await;
    assert_eq!(page.status, StatusCode::INSUFFICIENT_STORAGE, "{}", page.text);
    assert!(page.text.contains("nearly full"), "{}", page.text);
    free.store(50 << 30, Ordering::SeqCst);
    assert_eq!(is(), "two\n");

    // A key is not committed, and restoring would lose the surrounding text.
    std::fs::write(&file, KEY).expect("a file");
    assert_eq!(back(&first, "MEMORY.md").await, (422, json!("urn:hq:file_holds_key")));
    assert_eq!(is(), KEY);
    assert_eq!(log(&api, "").await, commits);
    // Nor is a key restored that got into the history.
    let (ws, branch) = (hq.ws(), Branch::agent("ada").expect("a branch"));
    let (author, paths) = (Author::hq(), ["MEMORY.md".to_owned()]);
    let entry = Entry { author: &author, message: "test: A key", time: hq.now() };
    let repo = ws.repo().expect("a repository");
    let held = repo.commit_paths(&branch, &folder, Paths::Only(&paths), &entry);
    let held = held.expect("a commit").commit.expect("a change").to_string();
    drop(ws);
    assert!(back(&first, "MEMORY.md").await.1.is_null(), "what is committed is not lost");
    assert_eq!(is(), "one\n");
    assert_eq!(back(&json!(held), "MEMORY.md").await, (422, json!("urn:hq:file_holds_key")));
    assert_eq!(is(), "one\n");

    // The manifest is derived from the settings.
    let manifest = log(&api, "path=agent.json").await[0]["commit"].clone();
    std::fs::write(folder.join("agent.json"), "{}").expect("a file");
    assert_eq!(back(&manifest, "agent.json").await, (422, json!("urn:hq:file_of_settings")));
    let page = hq.owner().get(&format!("{AGENTS}/ada/history?path=agent.json")).await;
    assert!(!page.text.contains("Restore this version"), "{}", page.text);
    assert!(!page.text.contains("Current</"), "it is another now: {}", page.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_others_no_right_and_an_archived_agent_are_refused() {
    let (hq, api) = made().await;
    api.post("/api/v1/agents", &json!({ "name": "Bea" })).await;
    let newest = |person: Person, agent: &'static str| async move {
        let all = person.get(&format!("/api/v1/agents/{agent}/history")).await.json();
        all["items"][0]["commit"].as_str().expect("a commit").to_owned()
    };
    let (ada, bea) = (newest(api.clone(), "ada").await, newest(api.clone(), "bea").await);
    let path = json!({ "path": "IDENTITY.md" });
    for url in ["history/{c}", "history?before={c}", "history/{c}?path=IDENTITY.md"] {
        let of_bea = format!("/api/v1/agents/ada/{}", url.replace("{c}", &bea));
        assert_eq!(api.get(&of_bea).await.status, StatusCode::NOT_FOUND, "{of_bea}");
    }
    let stolen = format!("/api/v1/agents/ada/history/{bea}/restore");
    assert_eq!(api.post(&stolen, &path).await.status, StatusCode::NOT_FOUND);
    for bad in ["../../master.key", ".git/config", "a//b", ""] {
        let url = format!("/api/v1/agents/ada/history/{ada}/restore");
        let refused = api.post(&url, &json!({ "path": bad })).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {}", refused.text);
    }
    assert_eq!(api.get("/api/v1/agents/ada/history/nothing").await.status.as_u16(), 422);

    write(&api, "one\n").await;
    write(&api, "two\n").await;
    let old = log(&api, "path=MEMORY.md").await[1]["commit"].as_str().expect("one").to_owned();
    let older = format!("{AGENTS}/ada/history?path=MEMORY.md&commit={old}");
    assert!(hq.owner().get(&older).await.text.contains("Restore this version"));
    let tom = hq.another("Tom", Some(Role::Viewer)).await;
    let page = tom.get(&older).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("Restore this version"));
    let form = [("path", "IDENTITY.md"), ("commit", ada.as_str())];
    let refused = tom.form(&format!("{AGENTS}/ada/history"), &form).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);

    api.post("/api/v1/agents/ada/archive", &json!({})).await;
    let url = format!("/api/v1/agents/ada/history/{ada}/restore");
    let refused = api.post(&url, &path).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert_eq!(refused.json()["type"], "urn:hq:agent_archived");
    let page = hq.owner().get(&older).await;
    assert!(!page.text.contains("Restore this version"));
    hq.finish().await;
}

/// The newest commit of an agent, as this person sees it.
async fn newest(office: &Office, person: &Person, agent: &Agent) -> Value {
    let branch = Branch::agent(&agent.slug).expect("a name");
    let query = LogQuery { limit: 1, ..LogQuery::default() };
    let own = office.ws();
    let log = own.repo().and_then(|repo| repo.log(&branch, &query)).expect("a history");
    let url = format!("/api/v1/agents/{}/history/{}?path=notes.md", agent.slug, log[0].id);
    person.get(&url).await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_names_its_run_and_no_words_of_somebody_elses_conversation() {
    const SECRET: &str = "Remember that the harbour is for sale";
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let call = json!({ "path": "notes.md", "content": "for sale\n" });
    office.model.push(Turn::call("write", call));
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, SECRET).await;
    let ended = office.ended(run).await;
    assert_eq!(ended.outcome, Some(Outcome::Done));
    let mira = office.hq.owner();
    let own = newest(&office, &mira, &ada).await;
    assert_eq!((&own["author"], &own["run"]), (&json!("Ada"), &json!(ended.name())));
    assert!(own["message"].as_str().is_some_and(|said| said.contains("Run: R-")), "{own}");
    let url = format!("{AGENTS}/{}/history?path=notes.md", ada.slug);
    let page = mira.get(&url).await;
    assert!(
        page.attrs(".paper a", "href").contains(&format!("/w/marlow-cargo/runs/{}", ended.name()))
    );
    assert!(page.text.contains("Remember that"), "{}", page.text);

    let tom = office.hq.another("Tom", Some(Role::Member)).await;
    let theirs = newest(&office, &tom, &ada).await;
    let said = (&theirs["subject"], &theirs["message"], &theirs["run"]);
    assert_eq!(said, (&json!("In a conversation"), &json!(""), &Value::Null));
    assert_eq!(theirs["files"][0]["path"], "notes.md", "the files are everybody's");
    let page = tom.get(&url).await;
    assert!(!page.text.contains("Remember that") && page.text.contains("In a conversation"));

    // The run links to its commit.
    let page = mira.get(&format!("/w/marlow-cargo/runs/{}", ended.name())).await;
    let links = page.attrs("#run-rail a", "href");
    let commit = own["commit"].as_str().expect("a commit");
    assert!(links.iter().any(|to| to.ends_with(&format!("history?commit={commit}"))), "{links:?}");
    office.hq.finish().await;
}
