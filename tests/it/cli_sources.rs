//! Source commands of the real program, which is killed during a sync.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::browse::Browser;
use support::program::{Program, command, run, run_json};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const PATIENCE: Duration = Duration::from_secs(60);
const FILES: usize = 400;

fn start(data: &Path, folders: &Path) -> Program {
    let mut serve = command(Path::new(BINARY), data, &["serve"]);
    Program::start_with(serve.env("HQ_SOURCE_FOLDERS", folders))
}

/// The source, once its last sync has ended and meets the condition.
fn shown(data: &Path, fits: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let now = run_json(Path::new(BINARY), data, &["source", "show", "Files"]);
        if now["running"] == false && fits(&now) {
            return now;
        }
        assert!(begun.elapsed() < PATIENCE, "{now}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_added_killed_in_its_sync_goes_on_and_is_removed() {
    let (data, root) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    for n in 0..FILES {
        std::fs::write(root.path().join(format!("{n}.md")), format!("# Page {n}\n"))
            .expect("a file");
    }
    let (binary, data, path) = (Path::new(BINARY), data.path(), root.path().display().to_string());
    let mut program = start(data, root.path());
    Browser::new(program.url()).set_up(&program.setup_link()).await;
    let outside = run(binary, data, &["source", "add", "folder", "path=/etc"]);
    let told = String::from_utf8_lossy(&outside.stderr).into_owned();
    assert!(!outside.status.success() && told.contains("isn’t in any folder"), "{told}");
    let value = format!("path={path}");
    let made = run_json(binary, data, &["source", "add", "folder", &value, "--name", "Files"]);
    assert_eq!((&made["name"], &made["status"]), (&"Files".into(), &"active".into()), "{made}");
    program.kill();

    let _program = start(data, root.path());
    let all = |now: &Value| now["syncs"][0]["state"] == "done" && now["items"] == FILES;
    let now = shown(data, all);
    for run in now["syncs"].as_array().expect("syncs") {
        assert_ne!(run["state"], "running", "{now}");
    }
    let found =
        run_json(binary, data, &["knowledge", "search", "--kind", "source", "--limit", "1"]);
    assert_eq!(found["total"], FILES, "none is lost and none stands there twice");

    let edited =
        run_json(binary, data, &["source", "edit", "Files", "--hours", "12", "--writable", "true"]);
    assert_eq!(
        (&edited["interval_hours"], &edited["writable"]),
        (&12.into(), &true.into()),
        "{edited}"
    );
    std::fs::write(root.path().join("0.md"), "# Page zero\n").expect("a file");
    let said = run(binary, data, &["source", "sync", "Files"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("Started the sync"), "{said:?}");
    shown(data, |now| now["syncs"][0]["changed"] == 1);
    let list = run(binary, data, &["source", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("\"Files\""), "{list:?}");
    let removed = run(binary, data, &["source", "remove", "Files", "--items", "delete"]);
    assert!(removed.status.success(), "{removed:?}");
    let found = run_json(binary, data, &["knowledge", "search"]);
    assert_eq!(found["total"], 0, "{found}");
}
