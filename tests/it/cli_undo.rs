//! History and undo commands of the real program, over its local socket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli_agents::{Terminal, out};
use support::model::Turn;

const PATIENCE: Duration = Duration::from_secs(20);

/// Output of a successful command.
async fn says(terminal: &Terminal, arguments: &[&str]) -> String {
    out(&terminal.hq(arguments).await)
}

/// The same as JSON.
async fn told(terminal: &Terminal, arguments: &[&str]) -> Value {
    let said = says(terminal, &[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&said).expect("one JSON value on standard output")
}

/// Error output of a command that must fail with this exit code.
async fn refuses(terminal: &Terminal, code: i32, arguments: &[&str]) -> String {
    let output = terminal.hq(arguments).await;
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Creates a task; returns its key.
async fn task(terminal: &Terminal, title: &str) -> String {
    let made = told(terminal, &["task", "add", title]).await;
    made["key"].as_str().expect("a name").to_owned()
}

/// Number of the entry that last changed a task.
async fn last_entry(terminal: &Terminal, key: &str) -> String {
    told(terminal, &["history", key]).await["items"][0]["seq"].to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_record_is_told_field_by_field() {
    let terminal = Terminal::with(&[]).await;
    let key = task(&terminal, "Compare prices").await;
    says(&terminal, &["task", "edit", &key, "--title", "Compare", "--priority", "high"]).await;
    let page = told(&terminal, &["history", &key]).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2), "{page}");
    let shown = says(&terminal, &["history", &key]).await;
    let first = shown.lines().next().expect("a version");
    assert!(first.contains("Mira Lindqvist changed it by a command  (entry "), "{shown}");
    assert!(shown.contains("\n  Title: \"Compare prices\" → \"Compare\"\n"), "{shown}");
    assert!(shown.contains(" created it ") && shown.contains("\n  Title: \"Compare prices\"\n"));
    let id = page["items"][0]["after"]["id"].as_str().expect("an id");
    assert_eq!(says(&terminal, &["history", "tasks", id]).await, shown);

    let one = says(&terminal, &["history", &key, "--limit", "1"]).await;
    let more = one.lines().last().and_then(|line| line.strip_prefix("More: --before "));
    let before = ["history", &key, "--before", more.expect("there is more")];
    let older = says(&terminal, &before).await;
    assert!(older.contains(" created it ") && !older.contains(" changed it "), "{older}");
    says(&terminal, &["history", "@ada"]).await;
    says(&terminal, &["history", "settings"]).await;
    let kept = says(&terminal, &["audit", "keep", "--days", "40", "--megabytes", "500"]).await;
    assert_eq!(kept, "Former versions are kept for 40 days, up to 500 MB.\n");
    let kept = says(&terminal, &["audit", "keep", "--megabytes", "0"]).await;
    assert_eq!(kept, "Former versions are kept for 40 days, without a size limit.\n");
    assert_eq!(says(&terminal, &["audit", "keep"]).await, kept);
    let several = refuses(&terminal, 1, &["history", "tasks"]).await;
    assert!(several.contains("`hq history tasks ID`"), "{several}");
    let unknown = refuses(&terminal, 1, &["history", "XX-999"]).await;
    assert!(unknown.contains("XX-999"), "{unknown}");
    let nothing = refuses(&terminal, 1, &["history", "nothing", "1"]).await;
    assert!(nothing.contains("there is no history for"), "{nothing}");
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_is_undone_after_it_was_said_what_that_would_be() {
    let terminal = Terminal::with(&[]).await;
    let key = task(&terminal, "Compare prices").await;
    says(&terminal, &["task", "edit", &key, "--title", "Compare"]).await;
    let entry = last_entry(&terminal, &key).await;
    let activity = says(&terminal, &["activity", "--record", &key]).await;
    assert!(activity.contains(&format!("entry {entry}, can be undone")), "{activity}");
    let title = async || told(&terminal, &["task", "show", &key]).await["title"].clone();

    let seen = says(&terminal, &["undo", &entry, "--dry-run"]).await;
    assert!(seen.starts_with("1 record to revert:\n"), "{seen}");
    assert!(seen.contains("    Title: \"Compare\" → \"Compare prices\"\n"), "{seen}");
    // There is no terminal to ask on.
    let asked = terminal.hq(&["undo", &entry]).await;
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    assert!(String::from_utf8_lossy(&asked.stderr).contains("--yes"), "{asked:?}");
    assert_eq!(
        String::from_utf8_lossy(&asked.stdout),
        seen,
        "what it would do is said all the same"
    );
    let asked = terminal.hq(&["undo", &entry, "--json"]).await;
    let refused: Value = serde_json::from_slice(&asked.stdout).expect("one JSON value");
    assert_eq!((asked.status.code(), &refused["ok"]), (Some(1), &json!(false)), "{refused}");
    assert_eq!(title().await, "Compare", "nothing was changed");

    let one = says(&terminal, &["undo", &entry, "--record", &key, "--dry-run"]).await;
    assert_eq!(one, seen, "it is the only record of this entry");
    let other = refuses(&terminal, 1, &["undo", &entry, "--record", "XX-999", "--dry-run"]).await;
    assert!(other.contains("XX-999"), "{other}");

    let done = says(&terminal, &["undo", &entry, "--yes"]).await;
    let undone = last_entry(&terminal, &key).await;
    let last =
        format!("Undone by entry {undone}: 1 record reverted. To redo it: `hq undo {undone}`");
    assert!(done.starts_with(&seen) && done.contains(&last), "{done}");
    assert_eq!(title().await, "Compare prices");
    let shown = says(&terminal, &["history", &key]).await;
    assert!(shown.contains(&format!("undo of entry {entry})")), "{shown}");
    let again = refuses(&terminal, 1, &["undo", &entry, "--yes"]).await;
    assert!(again.contains("nothing to undo"), "{again}");
    let back = told(&terminal, &["undo", &undone, "--yes"]).await;
    assert_eq!((&back["undone"]["back"], &back["preview"]["back_count"]), (&json!(1), &json!(1)));
    assert_eq!(title().await, "Compare");

    // Later changes stay, with their author named.
    let entry = last_entry(&terminal, &key).await;
    says(&terminal, &["task", "edit", &key, "--title", "Choose"]).await;
    let seen = says(&terminal, &["undo", &entry, "--dry-run"]).await;
    assert!(seen.starts_with("No records to revert.\n1 record stays unchanged:\n"), "{seen}");
    assert!(seen.contains("Title stays: Mira Lindqvist changed it"), "{seen}");

    for wrong in [
        &["undo"][..],
        &["undo", "first"],
        &["undo", "3", "--run", "R-1"],
        &["undo", "--run", "R-1", "--record", "MC-1"],
        &["undo", "3", "--with", "R-1"],
        &["undo", "3", "--dry-run", "--yes"],
    ] {
        refuses(&terminal, 2, wrong).await;
    }
    let unknown = refuses(&terminal, 1, &["undo", "99999", "--yes"]).await;
    assert!(unknown.contains("there is no entry 99999"), "{unknown}");
    let unknown = refuses(&terminal, 1, &["undo", "--run", "R-77", "--yes"]).await;
    assert!(unknown.contains("R-77"), "{unknown}");
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_run_is_undone() {
    let terminal = Terminal::with(&[]).await;
    terminal.model.push(Turn::call("task_update", json!({ "description": "As I found it." })));
    let done = json!({ "summary": "Counted.", "task_state": "complete" });
    terminal.model.push(Turn::call("work_done", done));
    let key = task(&terminal, "Count the lamps").await;
    says(&terminal, &["task", "assign", &key, "ada"]).await;
    let end = Instant::now() + PATIENCE;
    while told(&terminal, &["task", "show", &key]).await["status"] != "done" {
        assert!(Instant::now() < end, "Ada does not come to an end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    says(&terminal, &["runs", "follow", "R-1"]).await;

    let seen = says(&terminal, &["undo", "--run", "R-1", "--dry-run"]).await;
    assert!(seen.contains(&format!("  {key} Count the lamps will be reverted\n")), "{seen}");
    assert!(seen.contains("    Description: \"As I found it.\" → "), "{seen}");
    assert!(seen.contains("can't be undone"), "{seen}");
    let undone = says(&terminal, &["undo", "--run", "R-1", "--yes"]).await;
    assert!(undone.contains("Undone by entry "), "{undone}");
    let now = told(&terminal, &["task", "show", &key]).await;
    assert_eq!((&now["description"], &now["status"]), (&json!(""), &json!("todo")), "{now}");
    assert!(terminal.program.stop().success());
}
