//! Attempts to leave the agent's folder.

use serde_json::json;

use super::{call, obey, orders};
use support::model::Turn;
use support::office::Office;

/// Whatever a file tells a model to do, the tools accept no path outside the agent's folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_in_a_file_lead_no_tool_out_of_the_folder() {
    let office = Office::open().await;
    office.model.answering(obey);
    let ada = office.agent("Ada").await;
    let folder = office.ws().agent_folder(&ada.slug);
    let patch = |path: &str| {
        let text = format!("*** Begin Patch\n*** Add File: {path}\n+x\n*** End Patch");
        call("apply_patch", json!({ "input": text }))
    };
    let key = office.hq.data().join("master.key");
    let lines = [
        call("read", json!({ "path": "../../../hq.redb" })),
        call("read", json!({ "path": key })),
        call("read", json!({ "path": "notes/../../../../master.key" })),
        call("read", json!({ "path": "/proc/self/environ" })),
        call("list", json!({ "path": "/proc/self/fd" })),
        call("search", json!({ "pattern": "root", "path": "/etc" })),
        call("write", json!({ "path": "/tmp/hq-was-sent-here", "content": "x" })),
        call("edit", json!({ "path": "../../agents.git/HEAD", "oldText": "a", "newText": "b" })),
        patch("../out.txt"),
        patch("/tmp/hq-was-sent-here"),
        call("exec", json!({ "command": "cat /etc/passwd" })),
        call("process", json!({ "action": "list" })),
    ];
    std::fs::write(folder.join("orders.md"), orders(&lines)).expect("a file");
    let run = office.say(&ada, &call("read", json!({ "path": "orders.md" }))).await;
    office.ended(run).await;
    let results = office.results(run);
    assert_eq!(results.len(), 1 + lines.len(), "all was tried: {results:?}");
    for (result, line) in results[1..].iter().zip(&lines) {
        assert!(!result.1 && !result.2.contains("root:"), "{line}: {}", result.2);
    }
    assert!(!std::fs::exists("/tmp/hq-was-sent-here").expect("readable"));
    assert!(!folder.join("../out.txt").exists());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_tools_do_not_leave_the_folder() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let folder = office.ws().agent_folder(&ada.slug);
    let data = office.hq.data();
    std::os::unix::fs::symlink("/etc", folder.join("etc")).expect("a link");
    std::os::unix::fs::symlink(data.join("master.key"), folder.join("key")).expect("a link");
    let key = data.join("master.key").display().to_string();
    let paths =
        ["../../../hq.redb", "/etc/passwd", "/proc/self/environ", &key, "etc/passwd", "key"];
    let reads = paths
        .iter()
        .fold(Turn::text("I look."), |turn, path| turn.and_call("read", json!({ "path": path })));
    office.model.push(reads);
    let writes = ["../out.txt", "etc/hq-was-here", "/tmp/hq-was-here"].iter();
    office.model.push(writes.fold(Turn::text("I write."), |turn, path| {
        turn.and_call("write", json!({ "path": path, "content": "x" }))
    }));
    office.model.push(Turn::text("No way."));
    let run = office.say(&ada, "Find a way out").await;
    office.ended(run).await;
    let results = office.results(run);
    assert_eq!(results.len(), 9);
    assert!(results.iter().all(|(_, ok, _)| !ok), "{results:?}");
    assert!(!results.iter().any(|(_, _, text)| text.contains("root:")), "{results:?}");
    assert!(
        !std::fs::exists("/etc/hq-was-here").unwrap()
            && !std::fs::exists("/tmp/hq-was-here").unwrap()
    );
    assert!(!std::fs::exists(folder.join("../out.txt")).unwrap());
    office.hq.finish().await;
}

/// Defence: each component of a path is opened without following links, and a write replaces the name instead of
/// writing through it. (The jail prevents hard links to files that are not the program's own.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_a_program_has_made_lead_file_tools_nowhere() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let folder = office.ws().agent_folder(&ada.slug);
    let outside = office.hq.data().join("outside.txt");
    std::fs::write(&outside, "theirs").expect("a file");
    let link = |to: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(to, folder.join(name)).expect("a link");
    };
    link(&outside, "file");
    link(std::path::Path::new("/proc/self"), "proc");
    link(&office.hq.data(), "data");
    std::fs::hard_link(&outside, folder.join("hard")).expect("a hard link");
    let patch = |ops: &str| json!({ "input": format!("*** Begin Patch\n{ops}\n*** End Patch") });
    office.model.push(
        Turn::call("read", json!({ "path": "proc/environ" }))
            .and_call("read", json!({ "path": "data/master.key" }))
            .and_call("list", json!({ "path": "data" }))
            .and_call("search", json!({ "pattern": "theirs", "path": "data" }))
            .and_call("apply_patch", patch("*** Update File: file\n@@\n-theirs\n+mine"))
            .and_call("apply_patch", patch("*** Add File: data/new.txt\n+x"))
            .and_call("exec", json!({ "command": "true" })),
    );
    office.model.push(
        Turn::call("write", json!({ "path": "hard", "content": "mine" }))
            .and_call("write", json!({ "path": "file", "content": "mine" })),
    );
    office.model.push(Turn::text("No way."));
    let run = office.say(&ada, "Follow the links").await;
    office.ended(run).await;
    let results = office.results(run);
    for (name, ok, text) in &results[..7] {
        assert!(!ok || text == "nothing found", "{name}: {text}");
    }
    assert_eq!(std::fs::read_to_string(&outside).expect("a file"), "theirs", "not written through");
    assert!(!office.hq.data().join("new.txt").exists());
    office.hq.finish().await;
}
