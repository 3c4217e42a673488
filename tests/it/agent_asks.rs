//! Agents beyond their pages: state that survives pause, archive and rename, what no tool reaches, harmful names and
//! files, and that Debian's git reads everything that HQ has written.

use std::process::Command;
use std::time::Duration;

use features::agents::model::Agent;
use features::runs::model::Run;
use git::snapshot::MAX_FILE;
use kernel::{AgentStatus, Outcome, RunState};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Reply, TestHq};
use support::model::{Gate, Turn};
use support::office::Office;
use support::work::all;

use crate::agent_upgrade::{made, make, moves, newer};

const ADA: &str = "/api/v1/agents/ada";

fn read(hq: &TestHq, agent: &str, path: &str) -> String {
    let file = hq.ws().agent_folder(agent).join(path);
    String::from_utf8(std::fs::read(file).expect("a file")).expect("text")
}

async fn create(api: &Person, agent: &str, path: &str, text: &str) -> Reply {
    api.post(&format!("/api/v1/agents/{agent}/files/{path}"), &json!({ "text": text })).await
}

async fn ok(reply: Reply) -> Value {
    assert!(reply.status.is_success(), "{}", reply.text);
    reply.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlasts_what_is_said_and_a_name_outlasts_a_conversation() {
    let office = Office::open().await;
    let (ada, api) = (office.agent("Ada").await, office.hq.api().await);
    ok(api.post(&format!("{ADA}/pause"), &json!({})).await).await;
    let run = office.say(&ada, "Hello?").await;
    assert_eq!(office.get::<Agent>(ada.id).status, AgentStatus::Paused);
    assert_eq!(office.get::<Run>(run).state, RunState::Queued);
    ok(api.json("PATCH", ADA, &json!({ "name": "Grace" })).await).await;
    assert!(office.model.requests().is_empty(), "nobody reads it meanwhile");
    office.model.push(Turn::text("Back again."));
    ok(api.post(&format!("{ADA}/resume"), &json!({})).await).await;
    office.ended(run).await;
    assert!(office.model.last().text().contains("Grace"), "it knows what it is called");
    let now = office.get::<Agent>(ada.id);
    assert_eq!((now.name.as_str(), now.slug.as_str()), ("Grace", "ada"));
    let manifest: Value =
        serde_json::from_str(&read(&office.hq, "ada", "agent.json")).expect("JSON");
    assert_eq!(manifest["name"], "Grace");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handle_of_an_archived_agent_starts_nobody_with_its_past() {
    let (hq, api) = made().await;
    create(&api, "ada", "notes/past.md", "Remember the zebra.\n").await;
    ok(api.post(&format!("{ADA}/archive"), &json!({})).await).await;
    let taken = api.post("/api/v1/agents", &json!({ "name": "Other", "slug": "ada" })).await;
    assert_eq!(taken.json()["code"], "slug_taken", "{}", taken.text);
    let next = make(&api, "Ada").await;
    assert_eq!(next["slug"], "ada-2", "{next}");
    assert!(!hq.ws().agent_folder("ada-2").join("notes").exists());
    let past = ok(api.get("/api/v1/agents/ada-2/history").await).await.to_string();
    assert!(!past.contains("past.md"), "{past}");
    // Restoring the former agent is a person's decision, and brings all its files back.
    ok(api.post(&format!("{ADA}/restore"), &json!({})).await).await;
    assert_eq!(read(&hq, "ada", "notes/past.md"), "Remember the zebra.\n");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tool_touches_agents_secrets_or_gateways() {
    let office = Office::open().await;
    let (ada, api) = (office.agent("Ada").await, office.hq.owner());
    let otto = office.agent("Otto").await;
    let nouns = ["agents", "secrets", "gateways", "connections", "members"];
    let there = async || {
        let mut all = Vec::new();
        for noun in nouns {
            let told = api.get(&format!("/api/v1/{noun}")).await;
            assert_eq!(told.status, StatusCode::OK, "{noun}: {}", told.text);
            // Whether the agent is working at the moment is no change.
            let items = told.json()["items"].as_array().expect("a list").clone();
            let ids = items.iter().map(|one| json!([one["id"], one["name"], one["template"]]));
            all.push(ids.collect::<Vec<_>>());
        }
        all
    };
    let before = there().await;
    let agents = office.all::<Agent>();
    let mut turn = Turn::text("Now.");
    for noun in ["agent", "secret", "gateway", "connection", "member"] {
        for verb in ["create", "update", "delete"] {
            let harm = json!({ "id": otto.id, "name": "Mine", "slug": "otto", "value": "mine" });
            turn = turn.and_call(&format!("{noun}_{verb}"), harm);
        }
    }
    office.model.push(turn).push(Turn::text("I see."));
    let run = office.say(&ada, "Take over").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(!results.is_empty());
    for (name, is_ok, said) in results {
        // Many calls with the same result are cut short.
        let is_refused = said.contains("there is no tool") || said.starts_with("Skipped: ");
        assert!(!is_ok && is_refused, "{name}: {said}");
    }
    assert_eq!(there().await, before);
    assert_eq!(office.all::<Agent>(), agents);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_personality_interrupts_nobody_and_counts_from_the_next_turn() {
    let office = Office::open().await;
    let (ada, api) = (office.agent("Ada").await, office.hq.api().await);
    let gate = Gate::new();
    office.model.push(Turn::call("task_list", json!({})).behind(&gate));
    office.model.push(Turn::text("Nothing to do."));
    let run = office.say(&ada, "What is there to do?").await;
    gate.reached().await;
    let url = format!("{ADA}/files/SOUL.md");
    let soul = ok(api.get(&url).await).await["text"].as_str().expect("a text").to_owned();
    let mine = format!("{soul}\nYou are as patient as a zebra.\n");
    ok(api.json("PUT", &url, &json!({ "text": mine, "base": soul })).await).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Running);
    gate.open();
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    office.model.push(Turn::text("Nothing yet."));
    let next = office.say(&ada, "And now?").await;
    office.ended(next).await;
    // A run keeps the prompt that it began with, because the provider caches it.
    let asked: Vec<bool> =
        office.model.requests().iter().map(|one| one.text().contains("a zebra")).collect();
    assert_eq!(asked, [false, false, true]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_stays_what_was_typed_or_is_refused() {
    let hq = TestHq::start().await;
    let (api, mira) = (hq.api().await, hq.owner());
    let long = "x".repeat(500);
    for bad in [long.as_str(), "Ada\r\nOwner: Eve", "Ada \u{2066}eve"] {
        let refused = api.post("/api/v1/agents", &json!({ "name": bad })).await;
        assert_eq!(refused.json()["code"], "name_invalid", "{bad}: {}", refused.text);
    }
    let page =
        mira.form("/w/marlow-cargo/agents", &[("name", long.as_str()), ("thinking", "low")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", page.text);
    assert_eq!(page.attr("#f-name", "value"), long, "what was typed stays");
    assert!(all::<Agent>(&hq).is_empty());

    // Right-to-left script.
    let tova = make(&api, "טובה").await;
    let slug = tova["slug"].as_str().expect("a handle");
    assert!(read(&hq, slug, "IDENTITY.md").contains("טובה"));
    // A name that looks like a template placeholder is an ordinary name.
    let odd = make(&api, "{{owner}} & {{name}}").await;
    let slug = odd["slug"].as_str().expect("a handle");
    let identity = read(&hq, slug, "IDENTITY.md");
    assert!(identity.contains("{{owner}} & {{name}}"), "{identity}");
    assert!(identity.contains("Mira Lindqvist"), "{identity}");
    let url = format!("/api/v1/agents/{slug}");
    let offer = ok(api.get(&format!("{url}/upgrade")).await).await;
    assert_eq!(offer["offered"], false, "its name is no change of its files: {offer}");
    ok(api.json("PATCH", &url, &json!({ "name": "Nora" })).await).await;
    let identity = read(&hq, slug, "IDENTITY.md");
    assert!(identity.contains("Nora") && !identity.contains("{{"), "{identity}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipes_and_what_is_too_large_for_a_history_are_no_files() {
    let (hq, api) = made().await;
    let pipe = hq.ws().agent_folder("ada").join("pipe.md");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let url = format!("{ADA}/files/pipe.md");
    // The pipe has no writer: opening it as a file would block forever.
    let looked = tokio::time::timeout(Duration::from_secs(20), async {
        let tree = ok(api.get(&format!("{ADA}/files")).await).await;
        assert!(!tree.to_string().contains("pipe.md"), "{tree}");
        for raw in ["", "?raw=1"] {
            assert!(!api.get(&format!("{url}{raw}")).await.status.is_success());
        }
        let over = json!({ "text": "x", "base": "" });
        assert!(!api.json("PUT", &url, &over).await.status.is_success());
        assert!(!create(&api, "ada", "pipe.md", "x").await.status.is_success());
        assert!(!api.call("DELETE", &url).await.status.is_success());
        let page = hq.owner().get("/w/marlow-cargo/agents/ada/files?path=pipe.md").await;
        assert!(!page.texts("#agent-tree a").is_empty(), "the rest of the page stands");
        ok(api.get(&format!("{ADA}/file-search?q=zebra")).await).await;
    });
    looked.await.expect("nothing waits for a pipe");
    assert!(std::fs::symlink_metadata(&pipe).is_ok_and(|there| !there.is_file()));

    // One byte more than the history stores: the file is shown and can be removed, but no other name bypasses the
    // limit.
    let large = hq.ws().agent_folder("ada").join("large.bin");
    let file = std::fs::File::create(&large).expect("a file");
    file.set_len(MAX_FILE + 1).expect("a long file");
    let url = format!("{ADA}/files/large.bin");
    assert_eq!(ok(api.get(&url).await).await["bytes"], json!(MAX_FILE + 1));
    let moved = api.json("PATCH", &url, &json!({ "path": "small.bin" })).await;
    assert_eq!(moved.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", moved.text);
    assert!(large.exists() && !hq.ws().agent_folder("ada").join("small.bin").exists());
    assert!(api.call("DELETE", &url).await.status.is_success());
    assert!(!large.exists());
    // It is not uploaded either.
    let most = usize::try_from(MAX_FILE).expect("it fits");
    let mut pieces = vec![vec![0; 1 << 20]; most >> 20];
    pieces.push(vec![0]);
    let sent = api.streamed(&url, "application/octet-stream", pieces).await;
    assert_eq!(sent.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", sent.text);
    assert!(!large.exists());
    hq.finish().await;
}

/// Output of Debian's git for the agents' files; `None` where git is missing.
fn git(hq: &TestHq, arguments: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .arg("--git-dir")
        .arg(hq.data().join("workspaces/marlow-cargo/agents.git"))
        .args(arguments)
        .output()
        .ok()?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{arguments:?}: {said}");
    Some(said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gits_own_program_reads_all_that_people_agents_and_upgrades_wrote() {
    let (hq, api) = made().await;
    let notes = format!("{ADA}/files/notes/a.md");
    ok(create(&api, "ada", "notes/a.md", "one\ntwo\n").await).await;
    std::fs::write(hq.ws().agent_folder("ada").join("notes/a.md"), "one\nTWO\n").expect("a file");
    let joined = json!({ "text": "ONE\ntwo\n", "base": "one\ntwo\n" });
    ok(api.json("PUT", &notes, &joined).await).await;
    let first = ok(api.get(&format!("{ADA}/history?path=notes/a.md")).await).await;
    let first = first["items"].as_array().and_then(|all| all.last()).expect("a commit").clone();
    let first = first["commit"].as_str().expect("its name").to_owned();
    let back = format!("{ADA}/history/{first}/restore");
    ok(api.post(&back, &json!({ "path": "notes/a.md" })).await).await;
    ok(api.json("PATCH", &notes, &json!({ "path": "notes/ü b.md" })).await).await;
    ok(create(&api, "ada", "gone.md", "gone\n").await).await;
    assert!(api.call("DELETE", &format!("{ADA}/files/gone.md")).await.status.is_success());
    moves(&hq, "default", &newer());
    let taken = ok(api.post(&format!("{ADA}/upgrade"), &json!({})).await).await;
    let commit = json!({ "commit": taken["commit"] });
    ok(api.post(&format!("{ADA}/upgrade/undo"), &commit).await).await;
    ok(api.json("PATCH", ADA, &json!({ "name": "Grace" })).await).await;

    let Some(checked) = git(&hq, &["fsck", "--strict", "--full", "--no-progress"]) else { return };
    for bad in ["error", "missing", "broken", "warning"] {
        assert!(!checked.contains(bad), "{checked}");
    }
    let told = ok(api.get(&format!("{ADA}/history?limit=100")).await).await;
    let word = |one: &Value, key: &str| one[key].as_str().expect("a word").to_owned();
    let told = told["items"].as_array().expect("a list").iter();
    let told: Vec<String> = told
        .map(|one| [word(one, "commit"), word(one, "author"), word(one, "subject")].join("|"))
        .collect();
    let log = git(&hq, &["log", "--first-parent", "--format=%H|%an|%s", "agent/ada"]);
    assert_eq!(log.expect("a log").lines().collect::<Vec<_>>(), told);
    for path in ["SOUL.md", "IDENTITY.md", "agent.json", "notes/ü b.md"] {
        let shown = git(&hq, &["show", &format!("agent/ada:{path}")]).expect("a file");
        assert_eq!(shown, read(&hq, "ada", path), "{path}");
    }
    let shown = git(&hq, &["show", "--format=%an", &first]).expect("a commit");
    assert!(shown.starts_with("Mira Lindqvist") && shown.contains("+one"), "{shown}");
    // All of it without a remote.
    assert_eq!(git(&hq, &["remote"]).as_deref(), Some(""));
    hq.finish().await;
}
