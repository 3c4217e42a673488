//! Files of an agent on another machine: viewed and changed there, shown as of the last push while the machine is
//! silent, kept in two versions after conflicts, and never left behind.

use std::collections::BTreeSet;
use std::path::PathBuf;

use features::history::model::FileRevert;
use features::runs::model::Run;
use gateways::model::Gateway;
use serde_json::{Value, json};

use support::hq::{Person, Reply, TestHq};
use support::model::{Gate, Turn};
use support::work;

use super::away::{Shop, done, until, was_done};
use super::hosts::{Host, joins, print, token};

const FILES: &str = "/api/v1/agents/ada/files";

/// A shop whose machine serves Ada's files.
async fn shop() -> (Shop, Person) {
    let shop = Shop::open().await;
    let owner = shop.office.hq.owner();
    shows(&owner).await;
    (shop, owner)
}

/// Waits until the files are served live.
async fn shows(owner: &Person) {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    for _ in 0..2_000 {
        tick.tick().await;
        let listed = owner.get(FILES).await.json();
        if listed["there"]["is_live"] == true {
            return;
        }
    }
    panic!("its files were never shown");
}

/// Path of a file on the other machine.
fn there(shop: &Shop, path: &str) -> PathBuf {
    shop.machine.path().join("agents/ada/files").join(path)
}

fn on_machine(shop: &Shop, path: &str) -> Option<String> {
    std::fs::read_to_string(there(shop, path)).ok()
}

/// Writes a file there as an agent's program does: directly and without a commit.
fn writes(shop: &Shop, path: &str, text: &str) {
    let file = there(shop, path);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, text).expect("a file");
}

fn file(path: &str) -> String {
    format!("{FILES}/{path}")
}

async fn ok(reply: Reply) -> Value {
    assert!(reply.status.is_success(), "{}", reply.text);
    if reply.text.is_empty() { Value::Null } else { reply.json() }
}

fn refused(reply: &Reply, status: u16, code: &str) {
    let problem = reply.json();
    assert_eq!((reply.status.as_u16(), &problem["code"]), (status, &json!(code)), "{problem}");
}

/// Commits of a path as authors and subjects, newest first.
async fn log(owner: &Person, path: &str) -> Vec<(String, String)> {
    let all = owner.get(&format!("/api/v1/agents/ada/history?path={path}")).await.json();
    let word = |one: &Value, key: &str| one[key].as_str().expect("a word").to_owned();
    let items = all["items"].as_array().expect("a list").clone();
    items.iter().map(|one| (word(one, "author"), word(one, "subject"))).collect()
}

/// The same, once there is one: files are written before their branch is updated.
async fn logged(owner: &Person, path: &str) -> Vec<(String, String)> {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    for _ in 0..2_000 {
        tick.tick().await;
        let all = log(owner, path).await;
        if !all.is_empty() {
            return all;
        }
    }
    panic!("{path} was never committed");
}

/// Moves Ada to this machine or the other.
async fn moves(owner: &Person, to: &str) {
    let to = json!({ "gateway": to });
    ok(owner.json("PUT", "/api/v1/agents/ada/gateway", &to).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_seen_and_changed_where_they_lie() {
    let (shop, owner) = shop().await;
    let office = &shop.office;
    let text = "one\ntwo\nthree\nfour\n";
    ok(owner.post(&file("notes/a.md"), &json!({ "text": text })).await).await;
    assert_eq!(on_machine(&shop, "notes/a.md").as_deref(), Some(text));
    assert_eq!(office.file(&shop.ada, "notes/a.md").as_deref(), Some(text));

    // A program's file is visible before it is committed.
    writes(&shop, "draft.md", "half\n");
    let seen = ok(owner.get(&file("draft.md")).await).await;
    assert_eq!((&seen["text"], &seen["standing"]), (&json!("half\n"), &json!("new")), "{seen}");
    assert_eq!(office.file(&shop.ada, "draft.md"), None, "it was not pushed");

    // Two edits of one file: different lines are merged, an outdated hash is rejected.
    writes(&shop, "notes/a.md", "one there\ntwo\nthree\nfour\n");
    let mine = json!({ "text": "one\ntwo\nthree\nfour here\n", "base": text });
    let saved = ok(owner.json("PUT", &file("notes/a.md"), &mine).await).await;
    assert_eq!(saved["joined"], true, "{saved}");
    let both = "one there\ntwo\nthree\nfour here\n";
    assert_eq!(on_machine(&shop, "notes/a.md").as_deref(), Some(both));
    let log = log(&owner, "notes/a.md").await;
    assert_eq!(log[1], ("Ada".to_owned(), "Keep notes/a.md as Ada left it".to_owned()), "{log:?}");
    writes(&shop, "notes/a.md", "all anew\n");
    let stale = json!({ "text": "mine\n", "hash": saved["hash"] });
    refused(&owner.json("PUT", &file("notes/a.md"), &stale).await, 409, "file_changed");
    let same = json!({ "text": "ALL ANEW\n", "base": both });
    refused(&owner.json("PUT", &file("notes/a.md"), &same).await, 409, "text_clash");
    assert_eq!(on_machine(&shop, "notes/a.md").as_deref(), Some("all anew\n"));
    assert_eq!(on_machine(&shop, "draft.md").as_deref(), Some("half\n"), "nobody touched it");

    // Rename, delete, and restore of an older version.
    let name = json!({ "path": "notes/b.md" });
    ok(owner.json("PATCH", &file("draft.md"), &name).await).await;
    assert_eq!(on_machine(&shop, "draft.md"), None);
    assert_eq!(on_machine(&shop, "notes/b.md").as_deref(), Some("half\n"));
    ok(owner.call("DELETE", &file("notes/b.md")).await).await;
    assert_eq!(on_machine(&shop, "notes/b.md"), None);
    let all = ok(owner.get("/api/v1/agents/ada/history?path=notes/a.md").await).await;
    let first = all["items"].as_array().and_then(|all| all.last()).expect("a commit");
    let commit = first["commit"].as_str().expect("a commit");
    let back = format!("/api/v1/agents/ada/history/{commit}/restore");
    ok(owner.post(&back, &json!({ "path": "notes/a.md" })).await).await;
    assert_eq!(on_machine(&shop, "notes/a.md").as_deref(), Some(text));

    // The page does not mention the machine, and forms save, too.
    let pages = office.ws().url("agents/ada/files");
    let page = owner.get(&pages).await.text;
    assert!(page.contains("notes") && !page.contains("silent"), "{page}");
    let typed = [("path", "c.md"), ("text", "by form\n")];
    let sent = owner.form(&format!("{pages}/new"), &typed).await;
    assert!(sent.status.is_success() || sent.status.is_redirection(), "{}", sent.text);
    assert_eq!(on_machine(&shop, "c.md").as_deref(), Some("by form\n"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_a_key_or_is_too_large_stays_there_and_home_says_which_and_why() {
    let (shop, owner) = shop().await;
    let office = &shop.office;
    ok(owner.post(&file("notes/a.md"), &json!({ "text": "one\n" })).await).await;
    let held = "one\nkey sk-abcdefghijklmnopqrstuvwx\n";
    writes(&shop, "notes/a.md", held);
    let large = std::fs::File::create(there(&shop, "large.bin")).expect("a file");
    large.set_len(26 << 20).expect("room");
    let listed = ok(owner.get(FILES).await).await;
    let stays = listed["there"]["stays"].as_array().expect("a list").iter();
    let paths: BTreeSet<&str> = stays.filter_map(|one| one["path"].as_str()).collect();
    assert_eq!(paths, BTreeSet::from(["large.bin", "notes/a.md"]), "{listed}");
    let pages = office.ws().url("agents/ada/files");
    let page = owner.get(&pages).await.text;
    let api = listed["there"]["words"].as_str().expect("words");
    for words in [
        "2 files stay on GPU box and aren’t copied here: ",
        "notes/a.md (it contains what looks like a key)",
        "large.bin (it is larger than 25 MiB)",
    ] {
        assert!(api.contains(words) && page.contains(words), "{words}: {api}: {page}");
    }
    let seen = ok(owner.get(&file("notes/a.md")).await).await;
    assert_eq!(seen["text"], "one\n", "the key did not come");

    // Nothing is overwritten, however often it is tried; typed text stays in the form.
    let mine = json!({ "text": "mine\n", "base": "one\n" });
    for _ in 0..2 {
        let reply = owner.json("PUT", &file("notes/a.md"), &mine).await;
        refused(&reply, 409, "file_stays");
        let words = "stays unchanged on GPU box: it contains what looks like a key; ";
        assert!(reply.text.contains(words), "{}", reply.text);
    }
    let typed = [("path", "large.bin"), ("text", "by form\n")];
    let sent = owner.form(&format!("{pages}/new"), &typed).await;
    assert_eq!(sent.status.as_u16(), 409, "{}", sent.text);
    for words in ["stays unchanged on GPU box: it is larger than 25 MiB", "by form"] {
        assert!(sent.text.contains(words), "{words}: {}", sent.text);
    }
    assert_eq!(on_machine(&shop, "notes/a.md").as_deref(), Some(held));

    // Reverted there, it is like all others; while the machine is silent, files are shown as of then.
    writes(&shop, "notes/a.md", "one\n");
    ok(owner.json("PUT", &file("notes/a.md"), &mine).await).await;
    assert_eq!(on_machine(&shop, "notes/a.md").as_deref(), Some("mine\n"));
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    let listed = ok(owner.get(FILES).await).await;
    let words = listed["there"]["words"].as_str().expect("words");
    let stayed =
        "One file stayed on GPU box and isn’t copied here: large.bin (it is larger than 25 MiB).";
    assert!(words.ends_with(stayed), "{words}");
    shop.line.mend();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_machine_leaves_what_was_pushed_last_to_read() {
    let (shop, owner) = shop().await;
    let office = &shop.office;
    ok(owner.post(&file("a.md"), &json!({ "text": "pushed\n" })).await).await;
    writes(&shop, "a.md", "never pushed\n");
    ok(owner.get(&file("a.md")).await).await;
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    let seen = ok(owner.get(&file("a.md")).await).await;
    assert_eq!(seen["text"], "pushed\n", "{seen}");
    let listed = ok(owner.get(FILES).await).await;
    assert_eq!(listed["there"]["is_live"], false, "{listed}");
    let page = owner.get(&office.ws().url("agents/ada/files")).await.text;
    for words in ["GPU box has been offline since ", "the last update"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("act=new"), "nothing is offered that cannot be done");
    let reply = owner.post(&file("b.md"), &json!({ "text": "b" })).await;
    refused(&reply, 503, "gateway_offline");
    assert!(reply.text.contains("GPU box has been offline for"), "{}", reply.text);

    shop.line.mend();
    shows(&owner).await;
    let seen = ok(owner.get(&file("a.md")).await).await;
    assert_eq!(seen["text"], "never pushed\n", "{seen}");
    ok(owner.post(&file("b.md"), &json!({ "text": "b" })).await).await;
    assert_eq!(on_machine(&shop, "b.md").as_deref(), Some("b"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_there_after_it_moved_is_kept_and_taken_as_far_as_it_goes() {
    let (shop, owner) = shop().await;
    let office = &shop.office;
    let text = "one\ntwo\nthree\n";
    ok(owner.post(&file("a.md"), &json!({ "text": text })).await).await;
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    writes(&shop, "a.md", "one there\ntwo\nthree\n");
    writes(&shop, "there.md", "only there\n");
    moves(&owner, "local").await;
    let mine = json!({ "text": "one here\ntwo\nthree\n", "base": text });
    ok(owner.json("PUT", &file("a.md"), &mine).await).await;
    shop.line.mend();

    let kept = "/api/v1/agents/ada/kept";
    let mut names = Vec::new();
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
    while names.is_empty() {
        tick.tick().await;
        let all = ok(owner.get(kept).await).await;
        let items = all["items"].as_array().expect("a list").clone();
        names.extend(items.iter().map(|one| one["name"].as_str().expect("a name").to_owned()));
    }
    let [name] = &names[..] else { panic!("{names:?}") };
    assert_eq!(office.file(&shop.ada, "there.md"), None, "nothing is taken by itself");
    let one = ok(owner.get(&format!("{kept}/{name}")).await).await;
    assert_eq!(one["kept"]["commits"], 1, "{one}");
    assert!(one.to_string().contains("+only there"), "{one}");

    // The page names it and links to the differences.
    let pages = office.ws().url("agents/ada");
    let listed = owner.get(&format!("{pages}/files")).await.text;
    assert!(listed.contains(&format!("{pages}/kept/{name}")), "{listed}");
    let page = owner.get(&format!("{pages}/kept/{name}")).await.text;
    for words in ["Apply these changes", "only there", "one there", "Discard"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let sent = owner.form(&format!("{pages}/kept/{name}/take"), &[]).await;
    assert!(sent.status.is_success() || sent.status.is_redirection(), "{}", sent.text);
    assert_eq!(office.file(&shop.ada, "there.md").as_deref(), Some("only there\n"));
    assert_eq!(office.file(&shop.ada, "a.md").as_deref(), Some("one here\ntwo\nthree\n"));

    // Conflicting lines are reported and kept until a person drops them.
    let again = ok(owner.post(&format!("{kept}/{name}/take"), &json!({})).await).await;
    assert_eq!((&again["took"], &again["stays"]), (&json!([]), &json!(["a.md"])), "{again}");
    ok(owner.call("DELETE", &format!("{kept}/{name}")).await).await;
    let all = ok(owner.get(kept).await).await;
    assert_eq!(all["items"], json!([]), "{all}");
    refused(&owner.get(&format!("{kept}/{name}")).await, 404, "file_not_found");

    // Back there, the agent continues with what was decided here.
    moves(&owner, "gpu-box").await;
    shows(&owner).await;
    let there = on_machine(&shop, "a.md");
    assert_eq!(there.as_deref(), Some("one here\ntwo\nthree\n"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_ended_from_outside_leaves_nothing_behind() {
    let (shop, owner) = shop().await;
    let office = &shop.office;
    let gate = Gate::new();
    office.model.follow(vec![
        Turn::call("write", json!({ "path": "left.md", "content": "left\n" })),
        Turn::call("comment_add", json!({ "body": "Never." })).behind(&gate),
    ]);
    let task = office.task("Count the bells", &shop.ada).await;
    gate.reached().await;
    let run = office.runs_on(task.id).pop().expect("a run");
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    office.stop(run.id).await;
    let ended: Run = shop.worked(&task).await;
    assert_eq!(ended.id, run.id);
    assert_eq!(office.file(&shop.ada, "left.md"), None);
    gate.open();
    shop.line.mend();
    until("it was left behind", || office.file(&shop.ada, "left.md").is_some()).await;
    let log = logged(&owner, "left.md").await;
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0].0, "Ada", "{log:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_takes_files_back_where_they_lie_and_waits_for_a_silent_machine() {
    let (shop, owner) = shop().await;
    let office = &shop.office;
    office.model.follow(vec![
        Turn::call("write", json!({ "path": "made.md", "content": "made\n" })),
        done(),
    ]);
    let task = office.task("Count the bells", &shop.ada).await;
    let run = shop.worked(&task).await;
    was_done(&shop, &run);
    assert_eq!(on_machine(&shop, "made.md").as_deref(), Some("made\n"));
    shop.line.cut();
    until("the cut was not seen", || !shop.is_linked()).await;
    ok(owner.post("/api/v1/undo", &json!({ "run": run.name() })).await).await;
    let open = || office.all::<FileRevert>().iter().any(FileRevert::is_open);
    assert!(open(), "it waits");
    let page = owner.get(&office.ws().url(&format!("runs/{}", run.name()))).await.text;
    assert!(page.contains("Waiting for GPU box, offline since "), "{page}");
    assert_eq!(on_machine(&shop, "made.md").as_deref(), Some("made\n"));
    shop.line.mend();
    until("it never went back", || !open()).await;
    assert_eq!(on_machine(&shop, "made.md"), None, "{:?}", office.all::<FileRevert>());
    assert_eq!(office.file(&shop.ada, "made.md"), None);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_with_a_program_of_another_wire_is_told_of_on_the_page_of_its_gateway() {
    let hq = TestHq::start().await;
    let ((token, _), print, host) = (token(&hq, "GPU").await, print(&hq).await, Host::new());
    let (talk, _) = host.links(&hq.url(), &print, joins(&token)).await;
    talk.sender.cut();
    let one = work::all::<Gateway>(&hq).into_iter().find(|one| !one.is_local()).expect("it");
    until("the link never ended", || !hq.ws().app.hosts.is_linked(hq.ws().id, one.id)).await;
    let address = link::address_of(&hq.url(), &print, one.id);
    let (trust, pace) = (link::Trust::nobody().expect("no roots"), link::Pace::default());
    let version = b"9.0.0";
    let hello = [
        &b"hq-link\x01\x01"[..],
        &(link::WIRE + 1).to_be_bytes(),
        &u16::try_from(version.len()).expect("short").to_be_bytes(),
        version,
        &[7u8; 64],
    ]
    .concat();
    let mut carrier = link::connect(&address, &trust, pace).await.expect("it is heard");
    carrier.send(hello.into()).await.expect("it leaves");
    carrier.receive(link::MAX_UNPROVEN).await.expect("a refusal");
    let ws = hq.ws();
    let odds = || ws.app.hosts.odds(ws.id, one.id, ws.app.clock.now());
    until("it is not noted", || odds().is_some()).await;
    let owner = hq.owner();
    let told = ok(owner.get(&format!("/api/v1/gateways/{}", one.slug)).await).await;
    let words = told["turned_away"].as_str().expect("words");
    assert!(words.contains("9.0.0 (wire 2)") && words.contains("Fetch HQ"), "{words}");
    let page = owner.get(&ws.url(&format!("settings/gateways/{}", one.slug))).await.text;
    assert!(page.contains("Access denied."), "{page}");
    hq.finish().await;
}
