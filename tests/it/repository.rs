//! The history of agents' files when it is damaged or gone: who notices, and the repair.

use std::fs;

use features::agents::queries::repository::Found;
use git::Branch;
use git::check::Depth;
use serde_json::{Value, json};
use support::office::Office;

/// What Health says of it.
async fn health(office: &Office) -> Value {
    let all = office.hq.api().await.get("/api/v1/health").await.json();
    let parts = all["parts"].as_array().expect("parts").clone();
    parts.into_iter().find(|part| part["name"] == "files").expect("the part")
}

async fn looked(office: &Office, repairs: bool) -> Found {
    let found = server::ops::files::look(vec![office.ws()], repairs).await.expect("a look");
    found.into_iter().next().expect("one workspace")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_or_missing_history_is_noticed_and_begins_anew_from_the_folder() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let ws = office.ws();
    assert_eq!(looked(&office, false).await.faults, [""; 0]);
    assert_eq!(health(&office).await["how"], "ok");
    let newest = || ws.repo().expect("it opens").head(&Branch::agent("ada").expect("a name"));
    let head = newest().expect("it is read").expect("a branch").to_string();

    // An object whose bytes are others is found by who reads all of them.
    let object = ws.folder.join("agents.git/objects").join(&head[..2]).join(&head[2..]);
    let (bytes, kept) = (b"not an object".to_vec(), fs::read(&object).expect("a loose object"));
    let write = |bytes: &[u8]| {
        // ok: it may have been there before.
        let _ = fs::remove_file(&object);
        fs::write(&object, bytes).expect("it is written");
    };
    write(&bytes);
    let told = looked(&office, false).await.faults;
    assert!(told.iter().any(|fault| fault.starts_with("agent/ada: ")), "{told:?}");
    assert_eq!(health(&office).await["how"], "down");
    write(&kept);
    assert_eq!(looked(&office, false).await.faults, [""; 0]);

    // All of it is gone.
    fs::remove_dir_all(ws.folder.join("agents.git/refs/heads")).expect("it is removed");
    assert!(looked(&office, false).await.faults.iter().any(|fault| fault.contains("missing")));
    let said = health(&office).await["said"].to_string();
    assert!(said.contains("hq doctor files"), "{said}");
    let repaired = looked(&office, true).await;
    assert_eq!(repaired.faults, [""; 0], "{repaired:?}");
    assert!(repaired.repaired[0].contains("older versions are lost"), "{repaired:?}");
    assert_eq!(health(&office).await["how"], "ok");
    let files = ws.repo().expect("it opens").check(&["ada".to_owned()], Depth::Objects);
    assert!(0 < files.objects);
    let soul = office.hq.api().await.get("/api/v1/agents/ada/files").await;
    assert_eq!(soul.status, 200, "{}", soul.text);
    assert!(soul.json()["items"] != json!([]), "{}", soul.text);
}
