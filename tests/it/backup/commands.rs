//! Backup commands of the real program: backup while it serves, restore while it is stopped.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use support::browse::Browser;
use support::program::{Program, run, run_json};
use support::wire;

const BINARY: &str = env!("CARGO_BIN_EXE_hq");

fn hq(data: &Path, arguments: &[&str]) -> Output {
    run(Path::new(BINARY), data, arguments)
}

fn says(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr];
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).concat()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A program with an owner, and an API token.
async fn started(data: &Path) -> (Program, String) {
    let mut program = Program::start(Path::new(BINARY), data);
    let person = Browser::new(program.url());
    person.set_up(&program.setup_link()).await;
    let made = run_json(Path::new(BINARY), data, &["token", "create", "--name", "x"]);
    (program, made["token"].as_str().expect("a token").to_owned())
}

async fn call(program: &Program, token: &str, path: &str, body: Option<Value>) -> Value {
    let url = format!("{}{path}", program.url());
    let client = reqwest::Client::new();
    let request = match body {
        Some(body) => client.post(url).json(&body),
        None => client.get(url),
    };
    let answer = request.bearer_auth(token).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.expect("JSON")
}

async fn titles(program: &Program, token: &str) -> Vec<String> {
    let found = call(program, token, "/api/v1/tasks?limit=100", None).await;
    let items = found["items"].as_array().expect("items");
    let mut titles: Vec<_> =
        items.iter().map(|one| one["title"].as_str().expect("a title").to_owned()).collect();
    titles.sort();
    titles
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_the_running_program_takes_the_place_of_what_came_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, target) = (&folder.path().join("data"), &folder.path().join("backups"));
    let binary = Path::new(BINARY);
    let (program, token) = started(data).await;
    call(&program, &token, "/api/v1/tasks", Some(json!({ "title": "Kept" }))).await;
    let made = run_json(binary, data, &["backup", "--to", text(target)]);
    assert_eq!(made["outcome"], "done");
    let id = made["backup"].as_str().expect("a backup").to_owned();
    let again = run_json(binary, data, &["backup", "--to", text(target)]);
    // Only what the first backup has recorded about itself.
    assert!(again["new_bytes"].as_u64().expect("bytes") < 60_000, "{again}");
    call(&program, &token, "/api/v1/tasks", Some(json!({ "title": "Too late" }))).await;

    let listed = run_json(binary, data, &["backup", "list", "--to", text(target)]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    let checked = run_json(binary, data, &["backup", "verify", &id, "--to", text(target)]);
    assert_eq!(checked["backup"], id.as_str());
    let running = hq(data, &["restore", text(target)]);
    assert_eq!(running.status.code(), Some(1));
    assert!(says(&running).contains("in use by process"), "{}", says(&running));
    assert!(program.stop().success());

    let dry = hq(data, &["restore", text(target), "--at", &id, "--dry-run"]);
    assert!(says(&dry).contains("Nothing was written"), "{}", says(&dry));
    let restored = run_json(binary, data, &["restore", text(target), "--at", &id]);
    assert_eq!(restored["unreadable"], json!([]));
    let kept = Path::new(restored["kept"].as_str().expect("a folder"));
    assert!(kept.join("system.redb").is_file());
    assert!(kept.join("workspaces/marlow-cargo/hq.redb").is_file());

    let program = Program::start(binary, data);
    assert_eq!(titles(&program, &token).await, ["Kept"]);
    let feed =
        call(&program, &token, "/api/v1/changes?after=start&limit=500", None).await.to_string();
    assert!(feed.contains("store.restored"), "{feed}");
    assert!(program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_folder_is_made_without_the_key_and_says_what_it_cannot_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, target) = (&folder.path().join("data"), &folder.path().join("backups"));
    let (new, other) = (&folder.path().join("new"), &folder.path().join("other"));
    let binary = Path::new(BINARY);
    let (program, token) = started(data).await;
    let connection = json!({
        "kind": "openai", "name": "Mock", "base_url": "http://127.0.0.1:9", "api_key": "sk-mock", "test": false,
        "default_model": "mock", "is_default": true, "test": false,
    });
    call(&program, &token, "/api/v1/connections", Some(connection)).await;
    run_json(binary, data, &["backup", "--to", text(target)]);
    assert!(program.stop().success());

    let restored = run_json(binary, data, &["restore", text(target), "--into", text(new)]);
    let unreadable = restored["unreadable"].to_string();
    assert!(unreadable.contains("marlow-cargo: the key of Mock"), "{unreadable}");
    assert!(unreadable.contains("hq user reset-link"), "{unreadable}");
    assert_eq!(restored["kept"], Value::Null);
    // Tokens do not depend on the master key.
    let program = Program::start(binary, new);
    assert_eq!(titles(&program, &token).await, Vec::<String>::new());
    assert!(program.stop().success());
    let full = hq(data, &["restore", text(target), "--into", text(new)]);
    assert!(says(&full).contains("isn't empty"), "{}", says(&full));

    fs::create_dir_all(other).expect("a folder");
    fs::copy(data.join("master.key"), other.join("master.key")).expect("a copy");
    let restored = run_json(binary, data, &["restore", text(target), "--into", text(other)]);
    assert_eq!(restored["unreadable"], json!([]));
}

#[test]
fn no_command_but_serve_makes_an_hq_of_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let (empty, full) = (&folder.path().join("not-mounted"), &folder.path().join("photos"));
    fs::create_dir(empty).expect("a folder");
    fs::create_dir(full).expect("a folder");
    fs::write(full.join("sea.jpg"), "a photo").expect("a file");
    for (data, left) in [(empty, 0), (full, 1)] {
        for words in [
            &["backup"][..],
            &["backup", "list"],
            &["store", "stats"],
            &["doctor", "store", "--repair"],
            &["audit", "verify"],
            &["workspace", "list"],
            &["user", "reset-link"],
            &["import", "file"],
        ] {
            let said = hq(data, words);
            assert_eq!(said.status.code(), Some(2), "{words:?}: {}", says(&said));
            let told = says(&said);
            assert!(
                told.contains("isn't an HQ data folder") && told.contains("mounted"),
                "{words:?}: {told}"
            );
            assert_eq!(fs::read_dir(data).expect("a folder").count(), left, "{words:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_says_what_the_running_program_met_on_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = &folder.path().join("data");
    let (program, token) = started(data).await;
    let export = |file: &Path| hq(data, &["export", "--workspace", "marlow-cargo", text(file)]);
    let nowhere = export(&folder.path().join("nowhere/file.tar.zst"));
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(says(&nowhere).contains("nowhere/file.tar.zst: No such file"), "{}", says(&nowhere));
    let file = folder.path().join("file.tar.zst");
    assert!(export(&file).status.success());
    let size = fs::metadata(&file).expect("a file").len();
    let again = export(&file);
    assert!(says(&again).contains("already exists; choose another name"), "{}", says(&again));
    assert_eq!(fs::metadata(&file).expect("a file").len(), size, "it is as it was");
    let missing = hq(data, &["import", "/nonexistent/file", "--as", "second"]);
    assert!(says(&missing).contains("/nonexistent/file: No such file"), "{}", says(&missing));
    // Remote clients get a reference only.
    let put = reqwest::Client::new().post(format!("{}/api/v1/import?slug=x", program.url()));
    fs::remove_dir_all(data.join("backups")).ok();
    fs::write(data.join("backups"), "in the way").expect("a file");
    let answer = put.bearer_auth(&token).body("x").send().await.expect("an answer");
    assert_eq!(answer.status(), 500);
    let told = answer.text().await.expect("a text");
    assert!(told.contains("Reference: ") && !told.contains(text(data)), "{told}");
    fs::remove_file(data.join("backups")).expect("a file");
    assert!(program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_changes_nothing_of_what_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, target) = (&folder.path().join("data"), &folder.path().join("backups"));
    let binary = Path::new(BINARY);
    let (program, token) = started(data).await;
    call(&program, &token, "/api/v1/tasks", Some(json!({ "title": "Here" }))).await;
    run_json(binary, data, &["backup", "--to", text(target)]);
    assert!(program.stop().success());
    let shelf = fs::read_dir(target.join("chunks")).expect("pieces").next().expect("a shelf");
    let shelf = fs::read_dir(shelf.expect("an entry").path()).expect("a shelf").next();
    let piece = shelf.expect("a piece").expect("an entry").path();
    let mut bytes = fs::read(&piece).expect("a piece");
    bytes[40] ^= 4;
    fs::write(&piece, bytes).expect("a piece");

    let verified = hq(data, &["backup", "verify", "--to", text(target)]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(says(&verified).contains("is damaged"), "{}", says(&verified));
    let refused = hq(data, &["restore", text(target)]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(says(&refused).contains("use another one"), "{}", says(&refused));
    let names: Vec<_> =
        fs::read_dir(data).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("restor")), "{names:?}");
    let program = Program::start(binary, data);
    assert_eq!(titles(&program, &token).await, ["Here"]);
    let none = hq(data, &["restore", text(&folder.path().join("nowhere")), "--dry-run"]);
    assert!(says(&none).contains("there are no backups at"), "{}", says(&none));
    let at = ["restore", text(target), "--at", "2901-01-01T00:00:00Z", "--dry-run"];
    let late = says(&hq(data, &at));
    assert!(late.contains("there is no backup from 2901") && late.contains("--at"), "{late}");
    assert!(program.stop().success());
}

/// Waits for a deliverable on a task.
async fn delivered(program: &Program, token: &str, task: &str) {
    let ended = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            tick.tick().await;
            let path = format!("/api/v1/tasks/{task}/deliverables");
            let pieces = call(program, token, &path, None).await;
            let runs = call(program, token, &format!("/api/v1/runs?task={task}"), None).await;
            let is_over = |runs: &Vec<Value>| runs.iter().all(|run| run["state"] == "ended");
            if !pieces["items"].as_array().is_none_or(Vec::is_empty)
                && runs["items"].as_array().is_some_and(is_over)
            {
                return;
            }
        }
    };
    let patience = std::time::Duration::from_secs(60);
    tokio::time::timeout(patience, ended).await.expect("the agent delivers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_workspace_in_a_folder_of_its_own_goes_on_with_its_agent() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, target) = (&folder.path().join("data"), &folder.path().join("backups"));
    let new = &folder.path().join("new");
    let binary = Path::new(BINARY);
    let (program, token) = started(data).await;
    call(&program, &token, "/api/v1/agents", Some(wire::agent("Ada"))).await;
    let added = hq(data, &["workspace", "add", "Stays behind", "--zone", "UTC"]);
    assert!(added.status.success(), "{}", says(&added));
    let task =
        call(&program, &token, "/api/v1/tasks", Some(wire::task("Before", Some("ada")))).await;
    delivered(&program, &token, task["id"].as_str().expect("an id")).await;
    run_json(binary, data, &["backup", "--to", text(target)]);
    assert!(program.stop().success());
    let files = data.join("workspaces/marlow-cargo/agents/ada/files");
    let before: Vec<_> = super::files(&files);
    assert!(!before.is_empty(), "the agent has files");

    fs::create_dir_all(new).expect("a folder");
    fs::copy(data.join("master.key"), new.join("master.key")).expect("a copy");
    let one = ["restore", text(target), "--workspace", "marlow-cargo", "--into", text(new)];
    let restored = run_json(binary, data, &one);
    assert_eq!(restored["workspaces"], json!(["marlow-cargo"]));
    assert!(restored["notes"].to_string().contains("stays-behind"), "{restored}");
    assert!(!new.join("workspaces/stays-behind").exists());
    for file in &before {
        let there = new.join(file.strip_prefix(data).expect("below the folder"));
        assert_eq!(fs::read(&there).expect("a file"), fs::read(file).expect("a file"));
    }
    let branch = |data: &Path| {
        let repo = data.join("workspaces/marlow-cargo/agents.git");
        let shown = std::process::Command::new("git")
            .arg(format!("--git-dir={}", repo.display()))
            .args(["log", "--format=%H", "agent/ada"])
            .output();
        shown.ok().filter(|output| output.status.success()).map(|output| {
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
        })
    };
    assert_eq!(branch(data), branch(new), "its history is whole");

    let program = Program::start(binary, new);
    assert_eq!(titles(&program, &token).await, ["Before"]);
    let task =
        call(&program, &token, "/api/v1/tasks", Some(wire::task("After", Some("ada")))).await;
    // A restored copy stays paused until a person declares it live.
    let halt = call(&program, &token, "/api/v1/pause", None).await;
    assert_eq!((&halt["paused"], &halt["how"]), (&json!(true), &json!("now")), "{halt}");
    let resumed = call(&program, &token, "/api/v1/resume", Some(json!({}))).await;
    assert_eq!(resumed["paused"], false, "{resumed}");
    delivered(&program, &token, task["id"].as_str().expect("an id")).await;
    assert!(program.stop().success());
    if let (Some(then), Some(now)) = (branch(data), branch(new)) {
        assert!(then.len() < now.len(), "it has committed more: {then:?} {now:?}");
        assert_eq!(now.last(), then.last(), "on top of what was there");
    }
    let log = hq(new, &["workspace", "list"]);
    assert!(!says(&log).contains("stays-behind"), "{}", says(&log));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_commands_write_is_for_its_own_user_alone_and_no_program_reads_progress() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let (data, target) = (&folder.path().join("data"), &folder.path().join("backups"));
    let (new, file) = (&folder.path().join("new"), &folder.path().join("one.tar.zst"));
    let (program, _) = started(data).await;
    assert!(program.stop().success());
    for arguments in [
        &["backup", "--to", text(target)][..],
        &["restore", text(target), "--into", text(new)],
        &["export", "--workspace", "marlow-cargo", text(file)],
        &["import", text(file), "--as", "second"],
    ] {
        let output = hq(data, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", says(&output));
        assert!(!says(&output).contains(" % of "), "{arguments:?}: {}", says(&output));
        assert!(!says(&output).contains("orting for"), "{arguments:?}: {}", says(&output));
    }
    let mut all = vec![file.clone()];
    let mut folders = vec![target.clone(), new.clone()];
    while let Some(one) = folders.pop() {
        for entry in fs::read_dir(&one).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { all.push(path) }
        }
        all.push(one);
    }
    // The number of chunk folders is random.
    for there in ["new/workspaces/marlow-cargo/hq.redb", "backups/hq-backups.json"] {
        assert!(all.contains(&folder.path().join(there)), "{there} of {all:?}");
    }
    for path in all {
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_opens_a_place_is_never_passed_over_and_a_lost_head_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, target) = (&folder.path().join("data"), &folder.path().join("backups"));
    let (phrase, keys) = (&folder.path().join("phrase"), &folder.path().join("keys"));
    fs::write(phrase, "correct horse battery staple\n").expect("a file");
    fs::write(keys, "name\nsecret\n").expect("a file");
    let (program, _) = started(data).await;
    for arguments in [
        &["backup", "--passphrase-file", text(phrase)][..],
        &["backup", "--passphrase-file", text(phrase), "--new-place"],
        &["backup", "--credentials-file", text(keys)],
        &["backup", "list", "--passphrase-file", text(phrase)],
    ] {
        let refused = hq(data, arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(says(&refused).contains("need --to"), "{}", says(&refused));
        assert!(!data.join("backups/local").exists(), "nothing was written plainly");
    }
    let sealed = folder.path().join("sealed");
    let given = ["backup", "--passphrase-file", text(phrase), "--to", text(&sealed)];
    run_json(Path::new(BINARY), data, &given);
    let closed = says(&hq(data, &["backup", "list", "--to", text(&sealed)]));
    assert!(closed.contains("are encrypted"), "{closed}");
    let mended = hq(data, &["backup", "mend"]);
    assert_eq!(mended.status.code(), Some(2), "{}", says(&mended));
    let dash = hq(data, &["export", "--workspace", "marlow-cargo", "-"]);
    assert_eq!(dash.status.code(), Some(2), "{}", says(&dash));
    assert!(says(&dash).contains("writes to a file"), "{}", says(&dash));
    run_json(Path::new(BINARY), data, &["backup", "--to", text(target)]);
    assert!(program.stop().success());
    let stopped = hq(data, &["backup", "--passphrase-file", text(phrase)]);
    assert_eq!(stopped.status.code(), Some(2), "{}", says(&stopped));

    for name in ["hq-backups.json", "hq-backups.spare.json"] {
        fs::remove_file(target.join(name)).expect("a head");
    }
    let lost = hq(data, &["restore", text(target), "--dry-run"]);
    assert!(says(&lost).contains("hq backup repair --to"), "{}", says(&lost));
    let mended = hq(data, &["backup", "repair", "--to", text(target)]);
    assert!(mended.status.success(), "{}", says(&mended));
    assert!(says(&mended).contains("from 1 backups"), "{}", says(&mended));
    let looked = hq(data, &["restore", text(target), "--dry-run"]);
    assert!(looked.status.success(), "{}", says(&looked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incomplete_backup_ends_with_1_and_says_so_wherever_it_is_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, target) = (&folder.path().join("data"), &folder.path().join("backups"));
    let (program, _) = started(data).await;
    let added = hq(data, &["workspace", "add", "Northwind", "--zone", "UTC"]);
    assert!(added.status.success(), "{}", says(&added));
    assert!(program.stop().success());
    let store = data.join("workspaces/northwind/hq.redb");
    let mut bytes = fs::read(&store).expect("a store");
    bytes[..64].fill(0);
    fs::write(&store, bytes).expect("a store");
    let program = Program::start(Path::new(BINARY), data);
    let made = hq(data, &["backup"]);
    assert_eq!(made.status.code(), Some(1), "{}", says(&made));
    assert!(says(&made).contains("INCOMPLETE: the backup"), "{}", says(&made));
    let status = says(&hq(data, &["status"]));
    assert!(status.contains("Backup is incomplete"), "{status}");
    let elsewhere = hq(data, &["backup", "--to", text(target)]);
    assert_eq!(elsewhere.status.code(), Some(1), "{}", says(&elsewhere));
    for arguments in [&["backup", "list"][..], &["backup", "list", "--to", text(target)]] {
        let listed = says(&hq(data, arguments));
        assert!(listed.contains("INCOMPLETE, without northwind"), "{listed}");
    }
    assert!(program.stop().success());
}
