//! Records of an ended run: screenshots, diffs, raw events, export.

use axum::http::StatusCode;
use features::runs::model::{Body, EventKind, Run};
use serde_json::{Value, json};

use support::model::Turn;
use support::office::Office;

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\nnot a real one";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_changes_and_long_texts_are_shown_and_exported_whole() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let folder = office.ws().agent_folder(&ada.slug);
    std::fs::write(folder.join("face.png"), PICTURE).expect("a file");
    std::fs::write(folder.join("notes.md"), "one\ntwo\nthree\n").expect("a file");
    office.model.push(Turn::call("read", json!({ "path": "face.png" })));
    office.model.push(Turn::call("read", json!({ "path": "notes.md" })));
    let edit = json!({ "path": "notes.md", "edits": [{ "oldText": "two", "newText": "2" }] });
    office.model.push(Turn::call("edit", edit));
    let print = "seq -f 'line %05.0f of a long output' 1 4000";
    office.model.push(Turn::call("exec", json!({ "command": print })));
    office.model.push(Turn::text("All read."));
    let run = office.say(&ada, "Read it all").await;
    office.ended(run).await;

    let (mira, base) = (office.hq.owner(), "/w/marlow-cargo/runs/R-1");
    let page = mira.get(base).await;
    let pictures = page.attrs(".trace .shown img", "src");
    assert_eq!(pictures.len(), 1, "{}", page.text);
    let picture = mira.get(&pictures[0]).await;
    assert_eq!(
        (picture.status, picture.header("content-type")),
        (StatusCode::OK, Some("image/png"))
    );
    let none = mira.get(&format!("{base}/steps/1/picture")).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let (gone, came) = (page.texts(".diff del"), page.texts(".diff ins"));
    assert_eq!((gone, came), (vec!["two".to_owned()], vec!["2".to_owned()]));
    assert!(page.texts(".diff span").contains(&"one".to_owned()), "what stands around it");

    let last = page.attrs(".trace > li", "id").pop().expect("a step");
    let around = mira.get(&format!("{base}?at=2")).await;
    assert!(around.attrs(".trace > li", "id").contains(&last), "the steps around the second");

    let raw = mira.get(&format!("{base}/events")).await;
    let events = office.events(run);
    assert_eq!(raw.texts(".raw-events > li").len(), events.len(), "{}", raw.text);

    let api = office.hq.api().await;
    let export = api.get("/api/v1/runs/R-1/export").await;
    let lines: Vec<Value> =
        export.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), events.len() + 1);
    let told = (&lines[0]["kind"], &lines[0]["name"], &lines[lines.len() - 1]["kind"]);
    assert_eq!(told, (&json!("run"), &json!("R-1"), &json!("run_ended")));
    // A text stored beside the events is exported in full.
    let kept = events.iter().position(|event| {
        matches!(event, EventKind::ToolFinished { result: Body::Blob { .. }, .. })
    });
    let line = &lines[kept.expect("a long result") + 1];
    assert_eq!(line["content"]["shortened"], false, "{line}");
    assert_eq!(
        line["content"]["bytes"].as_u64(),
        line["content"]["text"].as_str().map(|text| text.len() as u64)
    );
    assert_eq!(line["step"], json!(kept.expect("as above") + 1));
    assert!(office.get::<Run>(run).outcome.is_some());
    office.hq.finish().await;
}
