//! One of several workspaces fails to open: a restore is suggested only for lost or changed bytes, and no listed
//! workspace is removed.

use std::fs;
use std::path::Path;

use kernel::{Actor, Cause, Part, Role};
use reqwest::StatusCode;
use server::workspaces::life;
use store::FORMAT;

use crate::upgrade::set_format;
use support::hq::{Person, TestHq};
use support::program::run;

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const HERE: &str = "x-hq-workspace";

/// An HQ with the workspaces Marlow Cargo and Northwind.
async fn two() -> TestHq {
    let hq = TestHq::start().await;
    let form = [("workspace", "Northwind"), ("emoji", "🧊"), ("zone", "UTC")];
    let made = hq.owner().form("/workspaces/new", &form).await;
    assert_eq!(made.location(), Some("/w/northwind/"), "{}", made.text);
    hq
}

/// What Mira, the owner of HQ, and Vera, a member, are shown of Marlow Cargo after a change of its folder. No restore
/// command is shown, and nothing says that it is damaged.
async fn told(hq: &TestHq, vera: &Person, words: &[&str]) {
    let mira = hq.owner();
    let page = mira.get("/w/marlow-cargo/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
    assert!(page.text.contains("This workspace can’t be opened"), "{}", page.text);
    let api = mira.clone().with(HERE, "marlow-cargo").get("/api/v1/tasks").await;
    assert_eq!(api.status, StatusCode::SERVICE_UNAVAILABLE, "{}", api.text);
    assert_eq!(api.json()["code"], "workspace_unopened", "{}", api.text);
    let health = mira.get("/w/northwind/settings/health").await;
    let (code, status) = ended(hq, &["status"]);
    assert_eq!(code, Some(1), "{status}");
    assert!(status.contains("marlow-cargo: NOT OPEN"), "{status}");
    for said in [&page.text, &api.text, &health.text, &status] {
        for word in words {
            assert!(said.contains(word), "`{word}` is not in: {said}");
        }
        assert!(!said.contains("hq restore"), "{said}");
    }
    let (code, said) = ended(hq, &["store", "check", "--workspace", "marlow-cargo"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{said}");

    let page = vera.get("/w/marlow-cargo/tasks").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
    let api = vera.get("/api/v1/tasks").await;
    assert_eq!(api.json()["code"], "workspace_unopened", "{}", api.text);
    for said in [page.text, api.text] {
        assert!(!said.contains("damaged") && !said.contains("hq restore"), "{said}");
    }
}

/// Runs a command; returns its exit code and its whole output.
fn ended(hq: &TestHq, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(Path::new(BINARY), &hq.data(), arguments);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_a_newer_version_or_that_cannot_be_read_is_not_called_damaged() {
    let mut hq = two().await;
    let vera = hq.another("Vera", Some(Role::Member)).await;
    hq.stop().await;
    let file = hq.data().join("workspaces/marlow-cargo/hq.redb");
    set_format(&file, FORMAT + 1);
    hq.start_again().await;
    let newer = format!("has format {}, but this program reads {FORMAT}", FORMAT + 1);
    told(&hq, &vera.back_at(&hq), &[&newer, "Start that version again"]).await;
    hq.stop().await;
    set_format(&file, FORMAT);

    // The test may run as root, which can read every file but cannot read a folder as a file.
    let aside = file.with_file_name("aside");
    fs::rename(&file, &aside).expect("set aside");
    fs::create_dir(&file).expect("a folder");
    fs::write(file.join("note"), "in the way").expect("a file");
    hq.start_again().await;
    told(&hq, &vera.back_at(&hq), &["is unreadable", "check the permissions"]).await;
    hq.stop().await;
    fs::remove_dir_all(&file).expect("it is gone");
    fs::rename(&aside, &file).expect("put back");
    hq.start_again().await;
    assert_eq!(hq.owner().get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_outlived_its_workspace_costs_nothing() {
    let mut hq = two().await;
    hq.stop().await;
    let folder = hq.data().join("workspaces/northwind");
    let (store, mark, note) =
        (folder.join("hq.redb"), folder.join(".begun"), folder.join("agents/ada/files/note.md"));
    fs::write(&mark, "").expect("a mark");
    fs::create_dir_all(note.parent().expect("a folder")).expect("a folder");
    fs::write(&note, "kept").expect("a file");
    let before = fs::read(&store).expect("the store");
    let shown = |hq: &TestHq| {
        let broken = hq.running().app.broken_workspace("northwind").expect("it is shown");
        assert!(broken.restore && note.exists(), "{broken:?}");
        broken.reason
    };
    fs::write(&store, b"not a database").expect("damaged");
    hq.start_again().await;
    shown(&hq);
    hq.stop().await;
    fs::remove_file(&store).expect("it is gone");
    hq.start_again().await;
    let reason = shown(&hq);
    assert!(reason.contains("hq.redb is missing"), "{reason}");
    let api = hq.owner().with(HERE, "northwind").get("/api/v1/tasks").await;
    assert_eq!(api.json()["code"], "workspace_damaged", "{}", api.text);
    assert!(api.text.contains("--workspace northwind"), "{}", api.text);
    hq.stop().await;
    fs::write(&store, before).expect("it is back");
    hq.start_again().await;
    assert!(hq.running().app.workspace("northwind").is_some());
    assert!(note.exists() && !mark.exists());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_could_neither_be_moved_nor_opened_again_is_shown() {
    let mut hq = two().await;
    let app = hq.running().app.clone();
    let ws = app.workspace("northwind").expect("it is open");
    let agents = ws.folder.join("agents");
    fs::remove_dir_all(&agents).expect("it is gone");
    fs::write(&agents, "in the way").expect("a file");
    let (by, nowhere) = ((Actor::System(Part::Cli), Cause::Setup), hq.data().join("no/such/place"));
    life::move_to(&app, by, &ws, nowhere).await.expect_err("there is nowhere to go");
    assert!(app.workspace("northwind").is_none());
    let shown = app.broken_workspace("northwind").expect("it is shown");
    assert!(!shown.restore && shown.reason.contains("check the permissions"), "{shown:?}");
    let api = hq.owner().with(HERE, "northwind").get("/api/v1/tasks").await;
    assert_eq!(api.json()["code"], "workspace_unopened", "{}", api.text);
    fs::remove_file(&agents).expect("it is gone");
    drop((app, ws));
    hq.restart().await;
    assert!(hq.running().app.workspace("northwind").is_some());
    hq.finish().await;
}
