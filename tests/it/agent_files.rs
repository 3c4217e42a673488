//! Manual changes of agents' files: concurrent edits, authorship of commits, rejections, pages and API.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use features::agents::editing::hash;
use git::snapshot::Paths;
use git::{Author, Branch, Entry};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Reply, Setup, TestHq};

use crate::cli_agents::{Terminal, out};
use crate::ops_health::Room;

mod pages; // file pages

const PAGES: &str = "/w/marlow-cargo/agents/ada";
const API: &str = "/api/v1/agents/ada/files";
const BYTES: &str = "application/octet-stream";
const KEY: &str = "sk-abcdefghijklmnopqrstuvwx";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n only its beginning counts here";

pub async fn made() -> (TestHq, Person) {
    made_with(Setup::default()).await
}

pub async fn made_with(setup: Setup) -> (TestHq, Person) {
    let hq = setup.start().await;
    let api = hq.api().await;
    let made = api.post("/api/v1/agents", &json!({ "name": "Ada" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    (hq, api)
}

/// A file in the agent's folder.
fn place(hq: &TestHq, path: &str) -> PathBuf {
    hq.ws().agent_folder("ada").join(path)
}

fn on_disk(hq: &TestHq, path: &str) -> String {
    String::from_utf8(std::fs::read(place(hq, path)).expect("a file")).expect("text")
}

/// Writes a file as the agent does: directly and without a commit.
fn agent_writes(hq: &TestHq, path: &str, text: &str) {
    let file = place(hq, path);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, text).expect("a file");
}

async fn create(api: &Person, path: &str, text: &str) -> Reply {
    api.post(&format!("{API}/{path}"), &json!({ "text": text })).await
}

async fn put(api: &Person, path: &str, base: &str, text: &str) -> Reply {
    api.json("PUT", &format!("{API}/{path}"), &json!({ "text": text, "base": base })).await
}

/// Commits of a path as authors and subjects, newest first.
async fn log(api: &Person, path: &str) -> Vec<(String, String)> {
    let reply = api.get(&format!("/api/v1/agents/ada/history?path={path}")).await;
    let word = |one: &Value, key: &str| one[key].as_str().expect("a word").to_owned();
    let items = reply.json()["items"].as_array().expect("a list").clone();
    items.iter().map(|one| (word(one, "author"), word(one, "subject"))).collect()
}

fn refused(reply: &Reply, status: u16, code: &str) -> String {
    let problem = reply.json();
    assert_eq!((reply.status.as_u16(), &problem["code"]), (status, &json!(code)), "{problem}");
    problem["detail"].as_str().expect("words").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_agent_wrote_in_other_lines_stays_and_is_its_own_commit() {
    let (hq, api) = made().await;
    let opened = "one\ntwo\nthree\n";
    assert_eq!(create(&api, "notes/plan.md", opened).await.status, StatusCode::CREATED);
    agent_writes(&hq, "notes/plan.md", "one\ntwo\nTHREE\n");
    let read = api.get(&format!("{API}/notes/plan.md")).await.json();
    assert_eq!(
        (&read["standing"], &read["text"]),
        (&json!("changed"), &json!("one\ntwo\nTHREE\n"))
    );

    let saved = put(&api, "notes/plan.md", opened, "ONE\ntwo\nthree\n").await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.text);
    let saved = saved.json();
    let joined = "ONE\ntwo\nTHREE\n";
    assert_eq!((&saved["text"], &saved["joined"]), (&json!(joined), &json!(true)));
    assert_eq!(on_disk(&hq, "notes/plan.md"), joined);
    let all = log(&api, "notes/plan.md").await;
    let by = |who: &str, what: &str| (who.to_owned(), what.to_owned());
    assert_eq!(
        all,
        [
            by("Mira Lindqvist", "files: Change notes/plan.md manually"),
            by("Ada", "Keep notes/plan.md as Ada left it"),
            by("Mira Lindqvist", "files: Create notes/plan.md manually"),
        ]
    );
    let newest = api.get("/api/v1/agents/ada/history?path=notes/plan.md&limit=1").await.json();
    assert_eq!(newest["items"][0]["commit"], saved["commit"]);
    // Mira's commit has her line only.
    let commit = saved["commit"].as_str().expect("a commit");
    let change = api.get(&format!("/api/v1/agents/ada/history/{commit}")).await.json();
    assert_eq!((&change["files"][0]["added"], &change["more"]), (&json!(1), &json!(0)));

    // Repeated, it changes nothing.
    let again = put(&api, "notes/plan.md", joined, joined).await.json();
    assert_eq!(again["commit"], Value::Null, "{again}");
    assert_eq!(log(&api, "notes/plan.md").await, all);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mask_of_a_key_is_not_written_over_the_key() {
    let (hq, api) = made().await;
    let there = format!("one\ntwo\nkey={KEY}\n");
    agent_writes(&hq, "notes/keys.md", &there);
    let masked = there.replace(KEY, "sk-abc…uvwx");
    let hashed = json!({ "text": masked, "hash": hash(&there) });
    let by_hash = api.json("PUT", &format!("{API}/notes/keys.md"), &hashed).await;
    for reply in [by_hash, put(&api, "notes/keys.md", &there, &masked).await] {
        let told = refused(&reply, 422, "file_holds_mask");
        assert!(told.starts_with("line 3 contains the mask of a secret"), "{told}");
        assert_eq!(reply.json()["errors"][0]["field"], "text", "{}", reply.text);
    }
    let form = [("text", masked.as_str()), ("base", there.as_str())];
    let page = hq.owner().form(&format!("{PAGES}/files/save?path=notes/keys.md"), &form).await;
    assert_ne!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    assert_eq!(on_disk(&hq, "notes/keys.md"), there);
    // Without that line, the rest is saved.
    let rest = put(&api, "notes/keys.md", &there, "one\nTWO\n").await;
    assert_eq!(rest.status, StatusCode::OK, "{}", rest.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_lines_are_a_clash_with_three_ways_out() {
    let (hq, api) = made().await;
    create(&api, "plan.md", "one\ntwo\nthree\n").await;
    agent_writes(&hq, "plan.md", "one\ntheirs\nthree\n");
    let mine = "ONE\nmine\nthree\n";
    let clash = put(&api, "plan.md", "one\ntwo\nthree\n", mine).await;
    let why = refused(&clash, 409, "text_clash");
    assert!(why.contains("plan.md"), "{why}");
    let told = clash.json()["clash"].clone();
    assert_eq!(told["places"], json!([{ "mine": "mine", "theirs": "theirs" }]));
    assert_eq!(told["mine"], json!(mine));
    assert_eq!(told["now"], json!("one\ntheirs\nthree\n"));
    assert_eq!(told["both"], json!("ONE\nmine\ntheirs\nthree\n"));
    assert_eq!(on_disk(&hq, "plan.md"), "one\ntheirs\nthree\n", "nothing is saved");
    assert_eq!(log(&api, "plan.md").await.len(), 1, "and nothing is committed");

    let both = told["both"].as_str().expect("a text");
    let now = told["now"].as_str().expect("a text");
    assert_eq!(put(&api, "plan.md", now, both).await.status, StatusCode::OK);
    assert_eq!(on_disk(&hq, "plan.md"), both);

    // The hash alone is not sufficient for a merge.
    let hash = api.get(&format!("{API}/plan.md")).await.json()["hash"].clone();
    agent_writes(&hq, "plan.md", "all new\n");
    let body = json!({ "text": "mine", "hash": hash });
    refused(&api.json("PUT", &format!("{API}/plan.md"), &body).await, 409, "file_changed");
    let unsaid = api.json("PUT", &format!("{API}/plan.md"), &json!({ "text": "mine" })).await;
    assert_eq!(unsaid.status, StatusCode::UNPROCESSABLE_ENTITY);

    // A file removed meanwhile is not restored silently.
    std::fs::remove_file(place(&hq, "plan.md")).expect("gone");
    refused(&put(&api, "plan.md", both, "mine\n").await, 409, "file_gone");
    assert_eq!(put(&api, "plan.md", "", "mine\n").await.status, StatusCode::OK);
    assert_eq!(on_disk(&hq, "plan.md"), "mine\n");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_settings_and_paths_that_lead_elsewhere_are_refused() {
    let (hq, api) = made().await;
    let why =
        refused(&create(&api, "a.md", &format!("one\n\n{KEY}\n")).await, 422, "file_holds_key");
    assert!(why.starts_with("line 3: ") && !why.contains(KEY), "{why}");
    assert!(!place(&hq, "a.md").exists());
    create(&api, "a.md", "one\n").await;
    let why =
        refused(&put(&api, "a.md", "one\n", &format!("one\n{KEY}")).await, 422, "file_holds_key");
    assert!(why.starts_with("line 2: "), "{why}");
    let sent = format!("k\n{KEY}").into_bytes();
    let reply = api.bytes("POST", &format!("{API}/k.txt"), BYTES, sent).await;
    assert!(refused(&reply, 422, "file_holds_key").starts_with("line 2: "));

    let manifest = on_disk(&hq, "agent.json");
    refused(&put(&api, "agent.json", &manifest, "{}").await, 422, "file_of_settings");
    let gone = api.call("DELETE", &format!("{API}/agent.json")).await;
    refused(&gone, 422, "file_of_settings");
    let named = json!({ "path": "agent.json" });
    let over = api.json("PATCH", &format!("{API}/a.md"), &named).await;
    refused(&over, 422, "file_of_settings");
    assert_eq!(on_disk(&hq, "agent.json"), manifest);

    let deep = vec!["a"; 33].join("/");
    let long = format!("{}/{}/{}.md", "x".repeat(250), "y".repeat(250), "z".repeat(20));
    for bad in ["a%2F..%2F..%2Fx", ".git/config", "%2Fetc%2Fpasswd", "a%0Ab", "a%00b", &deep, &long]
    {
        refused(&create(&api, bad, "x").await, 422, "path_invalid");
        let to = bad.replace("%2F", "/").replace("%0A", "\n").replace("%00", "\0");
        let renamed = api.json("PATCH", &format!("{API}/a.md"), &json!({ "path": to })).await;
        refused(&renamed, 422, "path_invalid");
    }
    for apart in ["scratch/x.md", ".env", "node_modules/x"] {
        refused(&create(&api, apart, "x").await, 422, "file_not_kept");
    }
    refused(&create(&api, "a.md/b.md", "x").await, 422, "path_invalid");

    let outside = hq.data().join("outside.txt");
    std::fs::write(&outside, "theirs\n").expect("a file");
    std::os::unix::fs::symlink(&outside, place(&hq, "link.md")).expect("a link");
    std::os::unix::fs::symlink(hq.data(), place(&hq, "folder")).expect("a link");
    for way in ["link.md", "folder/outside.txt"] {
        refused(&put(&api, way, "theirs\n", "mine\n").await, 422, "path_invalid");
        assert_ne!(create(&api, way, "mine\n").await.status, StatusCode::CREATED);
        assert_ne!(api.get(&format!("{API}/{way}?raw=1")).await.status, StatusCode::OK);
        assert_ne!(
            api.call("DELETE", &format!("{API}/{way}")).await.status,
            StatusCode::NO_CONTENT
        );
    }
    assert_eq!(std::fs::read_to_string(outside).expect("a file"), "theirs\n");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_the_way_stays_and_nothing_is_committed() {
    let (hq, api) = made().await;
    let soul = log(&api, "SOUL.md").await;
    refused(&create(&api, "SOUL.md/x", "text\n").await, 422, "path_invalid");
    // Displayed as "notes/abc.md" in reverse.
    refused(&create(&api, "notes/%E2%80%AEcba.md", "text\n").await, 422, "path_invalid");
    refused(&put(&api, "SOUL.md/x", "", "text\n").await, 422, "path_invalid");
    let to = json!({ "path": "SOUL.md/x" });
    refused(&api.json("PATCH", &format!("{API}/USER.md"), &to).await, 422, "path_invalid");
    let (ws, branch) = (hq.ws(), Branch::agent("ada").expect("a branch"));
    // Even for a direct call.
    let paths = ["SOUL.md/x".to_owned()];
    let author = Author::hq();
    let entry = Entry { author: &author, message: "test: Nothing", time: hq.now() };
    let taken = ws.repo().expect("a repository").commit_paths(
        &branch,
        &ws.agent_folder("ada"),
        Paths::Only(&paths),
        &entry,
    );
    assert_eq!(taken.expect("looked at").commit, None);
    drop(ws);
    assert_eq!(log(&api, "SOUL.md").await, soul);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_text_or_too_long_is_not_changed_as_text() {
    let (hq, api) = made_with(Setup::default().config(|config| config.limits.upload_mb = 1)).await;
    let latin = b"caf\xe9\n".to_vec();
    let sent = api.bytes("POST", &format!("{API}/latin.txt"), BYTES, latin.clone()).await;
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    let read = api.get(&format!("{API}/latin.txt")).await.json();
    assert_eq!((&read["text"], &read["hash"]), (&Value::Null, &Value::Null));
    refused(&put(&api, "latin.txt", "", "x").await, 422, "file_no_text");
    let page = hq.owner().get(&format!("{PAGES}/files?path=latin.txt")).await;
    assert!(page.text.contains("This isn’t text") && !page.text.contains("act=edit"));
    let raw = api.get(&format!("{API}/latin.txt?raw=1")).await;
    assert!(raw.header("content-disposition").is_some_and(|how| how.starts_with("attachment")));
    assert_eq!(api.download(&format!("{API}/latin.txt?raw=1")).await, latin);

    let long = "x".repeat((1 << 20) + 1);
    refused(&create(&api, "long.txt", &long).await, 413, "file_too_long");
    let most = "y\n".repeat(1 << 19);
    assert_eq!(create(&api, "most.txt", &most).await.status, StatusCode::CREATED);
    let more = format!("z{}", &most[1..]);
    assert_eq!(put(&api, "most.txt", &most, &more).await.status, StatusCode::OK);
    let large = api.bytes("POST", &format!("{API}/large.bin"), BYTES, vec![0; (1 << 20) + 1]).await;
    refused(&large, 413, "file_too_large");
    assert!(!place(&hq, "large.bin").exists() && !place(&hq, "long.txt").exists());
    let twice = api.bytes("POST", &format!("{API}/latin.txt"), BYTES, b"x".to_vec()).await;
    refused(&twice, 409, "file_exists");
    // People may write no more memory than a prompt contains.
    let memory = api.get(&format!("{API}/MEMORY.md")).await.json()["text"].clone();
    let memory = memory.as_str().unwrap_or_default().to_owned();
    refused(&put(&api, "MEMORY.md", &memory, &"z".repeat(25_000)).await, 413, "file_too_long");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_renamed_and_removed_and_their_history_has_the_way_back() {
    let (hq, api) = made().await;
    create(&api, "notes/a.md", "one\n").await;
    agent_writes(&hq, "notes/a.md", "two\n");
    let moved = json!({ "path": "kept/b.md" });
    let done = api.json("PATCH", &format!("{API}/notes/a.md"), &moved).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert!(!place(&hq, "notes").exists(), "an empty folder is nothing");
    assert_eq!(on_disk(&hq, "kept/b.md"), "two\n");
    let old = log(&api, "notes/a.md").await;
    assert_eq!(old[0].1, "files: Rename notes/a.md to kept/b.md manually");
    assert_eq!(old[1].0, "Ada");
    assert_eq!(log(&api, "kept/b.md").await, [old[0].clone()], "one commit for both names");
    create(&api, "c.md", "c\n").await;
    let over = api.json("PATCH", &format!("{API}/c.md"), &moved).await;
    refused(&over, 409, "file_exists");
    refused(&api.json("PATCH", &format!("{API}/none.md"), &moved).await, 404, "file_not_found");

    let url = format!("{API}/kept/b.md");
    assert_eq!(api.call("DELETE", &url).await.status, StatusCode::NO_CONTENT);
    assert!(!place(&hq, "kept").exists());
    refused(&api.call("DELETE", &url).await, 404, "file_not_found");
    refused(&api.get(&url).await, 404, "file_not_found");
    let items = api.get("/api/v1/agents/ada/history?path=kept/b.md").await.json();
    assert_eq!(items["items"][0]["subject"], "files: Remove kept/b.md manually");
    let before = items["items"][1]["commit"].as_str().expect("a commit");
    let back = format!("/api/v1/agents/ada/history/{before}/restore");
    api.post(&back, &json!({ "path": "kept/b.md" })).await;
    assert_eq!(on_disk(&hq, "kept/b.md"), "two\n");

    api.post("/api/v1/agents/ada/archive", &json!({})).await;
    refused(&put(&api, "c.md", "c\n", "d\n").await, 409, "agent_archived");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_lines_and_the_mark_at_the_beginning_stay_as_they_were() {
    let (hq, api) = made().await;
    let opened = "\u{feff}one\r\ntwo\r\n";
    agent_writes(&hq, "dos.txt", opened);
    let mira = hq.owner();
    let page = mira.get(&format!("{PAGES}/files?path=dos.txt&act=edit")).await;
    let rev = page.attr("form.sheet input[name=rev]", "value");
    let action = page.attr("form.sheet", "action");
    // The agent writes meanwhile, and the form sends CRLF line ends.
    agent_writes(&hq, "dos.txt", "\u{feff}one\r\ntwo\r\nthree\r\n");
    let form = [("path", "dos.txt"), ("rev", rev.as_str()), ("text", "ONE\r\ntwo\r\n")];
    let saved = mira.form(&action, &form).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    assert_eq!(on_disk(&hq, "dos.txt"), "\u{feff}ONE\r\ntwo\r\nthree\r\n");

    create(&api, "unix.txt", "\n one\n").await;
    let page = mira.get(&format!("{PAGES}/files?path=unix.txt&act=edit")).await;
    let rev = page.attr("form.sheet input[name=rev]", "value");
    assert!(page.text.contains(">\n\n one\n</textarea>"), "an empty first line is not lost");
    let form = [("path", "unix.txt"), ("rev", rev.as_str()), ("text", "\r\n ONE\r\n")];
    mira.form(&action, &form).await;
    assert_eq!(on_disk(&hq, "unix.txt"), "\n ONE\n");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_changes_no_file_and_the_text_stays_in_the_form() {
    let free = Arc::new(AtomicU64::new(50 << 30));
    let (hq, api) = made_with(Setup::default().faults(Arc::new(Room(Arc::clone(&free))))).await;
    let owner = hq.owner();
    let (soul, memory) = (on_disk(&hq, "SOUL.md"), on_disk(&hq, "MEMORY.md"));
    let commits = log(&api, "SOUL.md").await;
    free.store(1 << 20, Ordering::SeqCst);
    let (rev, mine) = (json!(soul).to_string(), format!("{soul}A line of my own.\n"));
    let typed = [("path", "SOUL.md"), ("rev", rev.as_str()), ("text", mine.as_str())];
    let page = owner.form(&format!("{PAGES}/files"), &typed).await;
    assert_eq!(page.status, StatusCode::INSUFFICIENT_STORAGE, "{}", page.text);
    assert!(page.text.contains("A line of my own.") && page.text.contains("nothing was saved"));
    let (known, note) = (hash(&memory), format!("{memory}Another line of mine.\n"));
    let noted = [("path", "MEMORY.md"), ("hash", known.as_str()), ("text", note.as_str())];
    let page = owner.form(&format!("{PAGES}/memory"), &noted).await;
    assert!(page.text.contains("Another line of mine."), "{}", page.text);
    refused(&put(&api, "SOUL.md", &soul, &mine).await, 507, "storage_full");
    refused(&create(&api, "notes/new.md", "hello").await, 507, "storage_full");
    assert_eq!((on_disk(&hq, "SOUL.md"), on_disk(&hq, "MEMORY.md")), (soul, memory));
    assert!(!place(&hq, "notes/new.md").exists(), "and nothing new");
    assert_eq!(log(&api, "SOUL.md").await, commits, "nor a commit");
    free.store(50 << 30, Ordering::SeqCst);
    assert_eq!(owner.form(&format!("{PAGES}/files"), &typed).await.status, StatusCode::SEE_OTHER);
    assert_eq!(on_disk(&hq, "SOUL.md"), mine);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_read_changed_and_brought_back_at_the_terminal() {
    let terminal = Terminal::with(&[]).await;
    let files = terminal.folder.path().join("mine");
    std::fs::create_dir(&files).expect("a folder");
    let at = |name: &str| files.join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(files.join(name), text).expect("a file");
    let hq = async |words: &[&str]| out(&terminal.hq(&[&["agent", "files"], words].concat()).await);

    write("plan.md", "one\ntwo\nthree\n");
    let made = hq(&["write", "ada", "notes/plan.md", &at("plan.md")]).await;
    assert_eq!(made, "Created notes/plan.md.\n");
    let listed = hq(&["list", "ada", "notes"]).await;
    assert!(listed.lines().any(|line| line.ends_with("notes/plan.md")), "{listed}");
    assert_eq!(hq(&["read", "ada", "notes/plan.md"]).await, "one\ntwo\nthree\n");
    let found = hq(&["search", "ada", "TWO"]).await;
    assert!(found.lines().any(|line| line == "notes/plan.md:2: two"), "{found}");
    write("theirs.md", "one\ntwo\nTHREE\n");
    let saved = hq(&["write", "ada", "notes/plan.md", &at("theirs.md")]).await;
    assert_eq!(saved, "Saved notes/plan.md.\n");
    write("mine.md", "ONE\ntwo\nthree\n");
    let base = at("plan.md");
    let joined =
        hq(&["write", "ada", "notes/plan.md", &at("mine.md"), "--base", base.as_str()]).await;
    assert!(joined.contains("merged with newer changes"), "{joined}");
    assert_eq!(hq(&["read", "ada", "notes/plan.md"]).await, "ONE\ntwo\nTHREE\n");
    write("clash.md", "one\nmine\nthree!\n");
    let words = ["agent", "files", "write", "ada", "notes/plan.md", &at("clash.md")];
    let clash = terminal.hq(&[&words[..], &["--base", base.as_str()]].concat()).await;
    assert_eq!(clash.status.code(), Some(1), "{clash:?}");
    assert!(String::from_utf8_lossy(&clash.stderr).contains("the same lines of"), "{clash:?}");

    let told = hq(&["history", "ada", "notes/plan.md", "--json"]).await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let first = told["items"].as_array().and_then(|all| all.last()).expect("a commit");
    let commit = first["commit"].as_str().expect("its name");
    let lines = hq(&["history", "ada", "notes/plan.md"]).await;
    assert_eq!(lines.lines().count(), 3, "{lines}");
    let back = hq(&["restore", "ada", "notes/plan.md", commit]).await;
    assert!(back.starts_with("Restored notes/plan.md."), "{back}");
    assert_eq!(hq(&["read", "ada", "notes/plan.md"]).await, "one\ntwo\nthree\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_searched_by_name_and_by_line() {
    let (hq, api) = made().await;
    create(&api, "notes/harbour.md", "# Cranes\nThe old CRANE is blue.\nNothing here.\n").await;
    create(&api, "notes/ships.md", "A crane for ships\n").await;
    agent_writes(&hq, "notes/picture.bin", "blue crane\0\u{1}");
    let found = async |q: &str| {
        let reply = api.get(&format!("/api/v1/agents/ada/file-search?q={q}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()
    };
    let both = found("blue+crane").await;
    assert_eq!(both["items"].as_array().expect("a list").len(), 1, "{both}");
    assert_eq!(both["items"][0]["path"], "notes/harbour.md");
    let line = json!([{ "number": 2, "text": "The old CRANE is blue." }]);
    assert_eq!(both["items"][0]["lines"], line, "{both}");
    // Matches of the name first, without content of binary files.
    let named = found("PICTURE").await;
    assert_eq!(named["items"], json!([{ "path": "notes/picture.bin", "lines": [], "more": 0 }]));
    assert_eq!(found("no+such+words").await["items"], json!([]));
    assert_eq!(found("").await["items"], json!([]));

    let page = hq.owner().get(&format!("{PAGES}/files?q=crane")).await;
    assert_eq!(page.texts(".found a"), ["notes/harbour.md", "notes/ships.md"], "{}", page.text);
    assert_eq!(page.attr("#files-q", "value"), "crane");
    let none = hq.owner().get(&format!("{PAGES}/files?q=%3Cb%3E")).await;
    assert!(none.text.contains("Nothing found") && !none.text.contains("<b>\u{201d}"));
    hq.finish().await;
}
