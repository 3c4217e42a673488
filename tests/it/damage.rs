//! Reports of damage and their recipients: a workspace that fails to open, missing accounts, a moved data folder, a
//! file with changed bytes; and the report of undone changes on a task's page.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use app::config::Config;
use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::{Parts, StartError};
use store::BlobId;

use support::hq::{Person, Setup, TestHq};
use support::program::run;

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const HERE: &str = "x-hq-workspace";
const STORE: &str = "workspaces/marlow-cargo/hq.redb";

/// Runs a command; returns its exit code and its whole output.
fn ended(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(Path::new(BINARY), data, arguments);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn parts(start_fresh: bool) -> Parts {
    Parts { start_fresh, jail_program: PathBuf::from(BINARY), ..Parts::default() }
}

/// Two workspaces, one of which no longer opens: Mira is the owner of HQ, Vera is a member of the damaged workspace,
/// Nils of none.
async fn half_damaged() -> (TestHq, Person, Person) {
    let mut hq = TestHq::start().await;
    let form = [("workspace", "Northwind"), ("emoji", "🧊"), ("zone", "UTC")];
    let made = hq.owner().form("/workspaces/new", &form).await;
    assert_eq!(made.location(), Some("/w/northwind/"), "{}", made.text);
    let vera = hq.another("Vera", Some(Role::Member)).await;
    let nils = hq.another("Nils", None).await;
    hq.stop().await;
    fs::write(hq.data().join(STORE), b"not a database").expect("damaged");
    hq.start_again().await;
    let (vera, nils) = (vera.back_at(&hq), nils.back_at(&hq));
    (hq, vera, nils)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_workspace_is_shown_to_those_whom_it_concerns_and_to_nobody_else() {
    let (hq, vera, nils) = half_damaged().await;
    let mira = hq.owner();
    let page = mira.get("/w/marlow-cargo/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
    assert!(page.text.contains("This workspace is damaged"), "{}", page.text);
    let words = |reply: &Value| reply["detail"].as_str().unwrap_or_default().to_owned();
    let api = mira.clone().with(HERE, "marlow-cargo").get("/api/v1/tasks").await;
    assert_eq!(api.status, StatusCode::SERVICE_UNAVAILABLE, "{}", api.text);
    assert_eq!(api.json()["code"], "workspace_damaged");
    assert!(words(&api.json()).contains("--workspace marlow-cargo"), "{}", api.text);
    // Its members are told that it is damaged, without commands for a machine that is not theirs.
    let member = vera.get("/w/marlow-cargo/tasks").await;
    assert_eq!(member.status, StatusCode::SERVICE_UNAVAILABLE, "{}", member.text);
    assert!(!member.text.contains("hq restore"), "{}", member.text);
    let member = vera.get("/api/v1/tasks").await;
    assert_eq!(member.json()["code"], "workspace_damaged", "{}", member.text);
    // Non-members are not told that it exists.
    assert_eq!(nils.get("/w/marlow-cargo/").await.status, StatusCode::NOT_FOUND);
    let other = nils.with(HERE, "marlow-cargo").get("/api/v1/tasks").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "{}", other.text);

    // The health page still works elsewhere and shows it as down.
    let health = mira.get("/w/northwind/settings/health").await;
    assert_eq!(health.status, StatusCode::OK);
    assert!(health.text.contains("Something is down"), "{}", health.text);
    assert!(health.text.contains("hq restore"), "{}", health.text);
    let north = mira.clone().with(HERE, "northwind");
    let told = north.get("/api/v1/health").await.json();
    assert_eq!(told["status"], "down", "{told}");
    let backups = north.get("/api/v1/backups").await;
    assert_eq!(backups.status, StatusCode::OK, "{}", backups.text);

    let data = hq.data();
    let (code, said) = ended(&data, &["status"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("marlow-cargo: DAMAGED") && said.contains("hq restore"), "{said}");
    let (code, said) = ended(&data, &["status", "--json"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("\"damaged\"") && said.contains("marlow-cargo"), "{said}");
    for command in [&["audit", "verify"][..], &["store", "check"][..]] {
        let named = [command, &["--workspace", "marlow-cargo"]].concat();
        let (code, said) = ended(&data, &named);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("is damaged and can't be opened"), "{said}");
        let (code, said) = ended(&data, command);
        assert_eq!(code, Some(2), "which one is not said: {said}");
    }
    let (code, said) = ended(&data, &["doctor", "blobs", "--workspace", "northwind"]);
    assert_eq!(code, Some(0), "{said}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_accounts_hq_does_not_begin_as_if_it_were_new() {
    // The second start uses the real time.
    let mut hq = Setup::default().real_time().start().await;
    hq.stop().await;
    let (system, aside) = (hq.data().join("system.redb"), hq.data().join("aside.redb"));
    fs::rename(&system, &aside).expect("it goes");
    let config = Config::for_folder(&hq.data());
    match server::start(config.clone(), parts(false)).await {
        Err(error @ StartError::NoAccounts { .. }) => {
            let said = error.to_string();
            for word in ["marlow-cargo", "hq restore", "--start-fresh"] {
                assert!(said.contains(word), "{said}");
            }
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it began as new"),
    }
    assert!(!system.exists(), "nothing was made");
    // With `start_fresh`, it starts.
    let anew = server::start(config, parts(true)).await.expect("it starts");
    assert!(anew.setup_link.is_some(), "nobody owns it");
    assert!(anew.app.workspace("marlow-cargo").is_some(), "it is taken in");
    assert!(anew.stop().await);
    fs::rename(&aside, &system).expect("it comes back");
    hq.start_again().await;
    assert_eq!(hq.owner().get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hq_stands_still_when_its_data_folder_is_gone() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let (data, aside) = (hq.data(), hq.data().with_file_name("moved"));
    fs::rename(&data, &aside).expect("it is moved");
    let refused = mira.post("/api/v1/tasks", &json!({ "title": "Into nothing" })).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
    assert_eq!(refused.json()["code"], "data_folder_gone", "{}", refused.text);
    let page = mira.get("/w/marlow-cargo/tasks").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text.contains("HQ is stopped"), "{}", page.text);
    assert_eq!(mira.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    // Background work is stopped as well, and the folder is not recreated.
    tokio::time::timeout(Duration::from_secs(20), hq.running().app.closing.cancelled())
        .await
        .expect("no work is begun any more");
    assert!(!data.exists(), "nothing was made in its place");
    fs::rename(&aside, &data).expect("it is back");
    let still = mira.get("/w/marlow-cargo/tasks").await;
    assert_eq!(still.status, StatusCode::SERVICE_UNAVAILABLE, "until it is started again");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_known_to_be_damaged_is_not_handed_out() {
    let hq = TestHq::start().await;
    let ws = hq.ws();
    let id = ws.blobs.put(b"what was written").expect("it is put");
    assert!(ws.blobs.open_blob(id).is_ok());
    let name = id.to_string();
    let file = ws.folder.join("blobs").join(&name[..2]).join(&name[2..]);
    fs::write(&file, b"something else!!").expect("damaged");
    let whole = store::blob::check::is_whole(&ws.blobs, id, true).expect("it is read");
    assert_eq!(whole, Some(false));
    let refused = ws.blobs.open_blob(id).expect_err("it is damaged");
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData);
    // Written again, the blob is complete.
    assert_eq!(ws.blobs.put(b"what was written").expect("it is put"), id);
    assert_eq!(ws.blobs.get(id, 1 << 10).expect("it is read"), b"what was written");
    assert_eq!(BlobId::of(b"what was written"), id);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_says_what_was_undone_and_what_was_done_to_versions_that_are_gone() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let made = mira.post("/api/v1/tasks", &json!({ "title": "First" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    let at = format!("/api/v1/tasks/{key}");
    let renamed = mira.json("PATCH", &at, &json!({ "title": "First, better" })).await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text);
    let seq = hq.ws().store.head().seq;
    let undone = mira.post("/api/v1/undo", &json!({ "entry": seq })).await;
    assert_eq!(undone.status, StatusCode::OK, "{}", undone.text);
    let page = format!("/w/marlow-cargo/tasks/{key}");
    let shown = mira.get(&page).await;
    assert!(shown.text.contains("undid a change: the title is now <b>First</b>"), "{}", shown.text);
    let activity = mira.get("/w/marlow-cargo/activity").await;
    assert!(activity.text.contains("reverted a change to"), "{}", activity.text);
    assert!(activity.text.contains(&format!("(entry {seq})")), "{}", activity.text);

    // The key is an id on both pages.
    let history =
        format!("/w/marlow-cargo/history/tasks/{}", made.json()["id"].as_str().expect("an id"));
    assert!(mira.get(&history).await.text.contains("undo?entry="), "it can be undone");
    let data = hq.data();
    let (code, said) = ended(&data, &["redact", "tasks", &key]);
    assert!(code == Some(1) && said.contains("--yes"), "{said}");
    let (code, said) = ended(&data, &["redact", "tasks", "MC-999"]);
    assert!(code == Some(1) && said.contains("an ID in tasks"), "{said}");
    let (code, said) = ended(&data, &["redact", "tasks", &key, "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        !mira.get(&history).await.text.contains("undo?entry="),
        "there is nothing to go back to"
    );
    let shown = mira.get(&page).await;
    assert!(shown.text.contains("created this task"), "{}", shown.text);
    let told = mira.get("/api/v1/audit?event=record.redacted").await.json();
    let data = &told["items"][0]["events"][0]["data"];
    assert_eq!(data["table"], "tasks", "{told}");
    assert_eq!(data["id"], made.json()["id"], "{told}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_sign_in_may_do_says_so_to_a_token() {
    let hq = TestHq::start().await;
    let program = hq.api().await;
    let token = json!({ "name": "Another", "scopes": ["read"], "days": 1 });
    let name = json!({ "name": "Marlow Cargo" });
    for (path, body) in [("/api/v1/tokens", &token), ("/api/v1/workspace/delete", &name)] {
        let refused = program.post(path, body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
        assert!(refused.text.contains("tokens can’t have. Sign in"), "{}", refused.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_can_neither_go_back_nor_start_fresh_says_what_can_be_done() {
    let hq = TestHq::start().await;
    for (act, body) in [("rewind", json!({ "to": 0 })), ("rebuild", json!({}))] {
        let path = format!("/api/v1/consumers/notifications-out/{act}");
        let refused = hq.owner().post(&path, &body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
        for word in ["can't be rewound or rebuilt", "skipped", "retried or dropped"] {
            assert!(refused.text.contains(word), "{}", refused.text);
        }
    }
    hq.finish().await;
}
