//! An agent reaches nothing of another workspace: every tool, with every kind of foreign id.

use features::comments::rules::{self as comments, Reach};
use features::deliverables::model::Content;
use features::deliverables::rules::{self as deliverables, NewDelivery};
use features::tasks::rules::{self as tasks, NewTask};
use kernel::{Actor, Cause, Part};
use serde_json::{Map, Value, json};

use support::model::Turn;
use support::office::Office;

const BY: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);
/// Occurs in all contents of the other workspace, and in none of its names.
const SECRET: &str = "zanzibar";

/// Values that may identify something: ids, handles, numbers, paths.
async fn strangers(office: &Office) -> Vec<String> {
    let owner = office.hq.owner();
    let made = owner.post("/api/v1/workspaces", &json!({ "name": "Northwind" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let north = owner.with("x-hq-workspace", "northwind");
    let agent = north.post("/api/v1/agents", &json!({ "name": "Nora" })).await;
    assert_eq!(agent.status, 201, "{}", agent.text);
    let agent = agent.json()["id"].as_str().expect("an id").to_owned();
    let ws = office.hq.running().app.workspace("northwind").expect("it is open");
    std::fs::write(ws.agent_folder("nora").join("plan.md"), SECRET).expect("a file");
    let (task, comment, piece) = ws
        .write(&BY, |tx| {
            let task = tasks::create(tx, NewTask::titled(SECRET)).expect("a task");
            let said = comments::add(tx, task.id, SECRET, Reach::Usual).expect("a comment");
            let new = NewDelivery {
                task: task.id,
                title: SECRET.to_owned(),
                content: Content::Text(SECRET.to_owned()),
                note: String::new(),
                revises: None,
            };
            let (piece, _) = deliverables::submit(tx, new).expect("a deliverable");
            Ok::<_, store::StoreError>((task, said.id, piece.id))
        })
        .await
        .expect("written");
    let folder = ws.agent_folder("nora");
    let path = folder.join("plan.md").display().to_string();
    vec![
        task.id.to_string(),
        format!("NOR-{}", task.number),
        comment.to_string(),
        piece.to_string(),
        agent,
        "nora".to_owned(),
        path,
        "../../../../northwind/agents/nora/files/plan.md".to_owned(),
        folder.display().to_string(),
    ]
}

/// Arguments that match a schema, with the same word for every string.
fn arguments(schema: &Value, word: &str) -> Value {
    let mut all = Map::new();
    for (name, kind) in schema["properties"].as_object().into_iter().flatten() {
        all.extend(fitting(kind, word).map(|value| (name.clone(), value)));
    }
    Value::Object(all)
}

fn fitting(kind: &Value, word: &str) -> Option<Value> {
    if let Some(first) = kind["enum"].as_array().and_then(|words| words.first()) {
        return Some(first.clone());
    }
    let types: Vec<&str> = match &kind["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match types.first() {
        Some(&"string") => Some(json!(word)),
        Some(&"array") => fitting(&kind["items"], word).map(|one| json!([one])),
        Some(&"integer" | &"number") => Some(json!(1)),
        Some(&"object") => Some(arguments(kind, word)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_an_agent_of_another_workspace_find_nothing() {
    let office = Office::open().await;
    let words = strangers(&office).await;
    let ws = office.hq.running().app.workspace("northwind").expect("it is open");
    let before = ws.store.head().seq;

    let features = server::doors::tools();
    let mut calls: Vec<(String, Value)> = Vec::new();
    for entry in features.iter() {
        for word in &words {
            calls.push((entry.spec.name.to_string(), arguments(&entry.schema, word)));
        }
    }
    for word in &words {
        calls.push(("read".into(), json!({ "path": word })));
        calls.push(("list".into(), json!({ "path": word })));
        calls.push(("search".into(), json!({ "pattern": "zanz", "path": word })));
        calls.push(("write".into(), json!({ "path": word, "content": "x" })));
        calls.push(("edit".into(), json!({ "path": word, "old": "z", "new": "y" })));
    }
    let mut tried = 0;
    for (n, some) in calls.chunks(8).enumerate() {
        // Each in its own conversation, so that none gets long.
        let ada = office.agent(&format!("Ada {n}")).await;
        let first = Turn::call(&some[0].0, some[0].1.clone());
        let turn =
            some[1..].iter().fold(first, |turn, (name, args)| turn.and_call(name, args.clone()));
        office.model.push(turn);
        office.model.push(Turn::text("I see."));
        let run = office.say(&ada, "Look").await;
        office.ended(run).await;
        for (name, ok, text) in office.results(run) {
            tried += 1;
            assert!(!text.contains(SECRET), "{name} tells of it: {text}");
            assert!(!ok || !text.contains("plan.md"), "{name} lists it: {text}");
        }
    }
    assert!(calls.len() / 2 < tried, "{tried} of {} calls were answered", calls.len());
    // Earlier records are still processed by the program itself.
    let written = ws.store.entries_after(before, 1_000).expect("the feed");
    let by_others = written.iter().find(|entry| !matches!(entry.actor, Actor::System(_)));
    assert!(by_others.is_none(), "nothing was written there: {by_others:?}");
    let kept = std::fs::read_to_string(ws.agent_folder("nora").join("plan.md"));
    assert_eq!(kept.expect("the file"), SECRET);
    office.hq.finish().await;
}
