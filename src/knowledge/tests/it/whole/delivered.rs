//! Which pages the deliverables of an agent may change.

use features::agents::model::Agent;
use serde_json::{Value, json};
use support::hq::Person;
use support::model::Turn;
use support::office::Office;

use super::{id, made, patched};

/// The results of an agent's tool calls.
async fn done(office: &Office, agent: &Agent, turn: Turn) -> Vec<String> {
    office.model.push(turn);
    let run = office.say(agent, "Go on.").await;
    office.ended(run).await;
    office.results(run).into_iter().map(|result| result.2).collect()
}

/// The page of a version of a task's first deliverable: address and content.
async fn page_of(api: &Person, task: &str, version: usize) -> (String, Value) {
    let pieces = api.get(&format!("/api/v1/tasks/{task}/deliverables")).await.json();
    let page = &pieces["items"][0]["versions"][version]["page"]["path"];
    let path = page.as_str().expect("a page").to_owned();
    let page = api.get(&format!("/api/v1/{path}")).await.json();
    (path, page)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_leaves_other_pages_with_its_title_alone() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    let api = office.hq.api().await;
    let text = "First line.\n\nIn between.\n\nLast line.\n";
    let page = json!({ "title": "Weekly report", "text": text });
    done(&office, &ada, Turn::call("page_create", page)).await;
    let all = api.get("/api/v1/knowledge?kind=page").await.json();
    let at = format!("knowledge/{}", id(&all["items"][0]));
    // A person writes in it, and the agent is its last editor again.
    let theirs = text.replace("Last line.", "Last line, by Mira.");
    let changed = patched(&api, &at, json!({ "text": theirs, "base": text })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let edits = json!([{ "old": "First line.", "new": "First line, by Ada." }]);
    let edit = json!({ "item": "Weekly report", "edits": edits });
    let results = done(&office, &ada, Turn::call("page_update", edit)).await;
    assert!(results[0].starts_with("Changed"), "{results:?}");

    let one = id(&made(&api, "tasks", json!({ "title": "Report on week 1" })).await);
    let two = id(&made(&api, "tasks", json!({ "title": "Report on week 2" })).await);
    let report = |task: &str, body: &str| json!({ "task": task, "kind": "page", "title": "Weekly report", "body": body });
    let calls = Turn::call("deliverable_submit", report(&one, "Week one.\n"))
        .and_call("deliverable_submit", report(&two, "Week two.\n"));
    let results = done(&office, &ada, calls).await;
    assert!(results.iter().all(|line| line.starts_with("Delivered")), "{results:?}");
    let both = theirs.replace("First line.", "First line, by Ada.");
    assert_eq!(api.get(&format!("/api/v1/{at}")).await.json()["text"], json!(both));
    let (first, page) = page_of(&api, &one, 0).await;
    assert_eq!(page["text"], "Week one.\n", "the report on another task changes nothing here");
    let (second, page) = page_of(&api, &two, 0).await;
    assert_eq!(page["text"], "Week two.\n");
    assert!(first != at && second != at && first != second, "{at}, {first}, {second}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_an_agent_may_not_see_does_not_exist_for_its_deliveries() {
    let office = Office::open().await;
    office.model.usually(Turn::text("Done."));
    let ada = office.agent("Ada").await;
    office.agent("Otto").await;
    let api = office.hq.api().await;
    let task = id(&made(&api, "tasks", json!({ "title": "Write it down" })).await);
    let rates = json!({ "task": task, "kind": "page", "title": "Rates", "body": "Ten.\n" });
    done(&office, &ada, Turn::call("deliverable_submit", rates)).await;
    let (first, page) = page_of(&api, &task, 0).await;
    let hidden = json!({ "title": "Cobalt plan", "scope": "agent", "agents": ["otto"] });
    let changed = patched(&api, &first, hidden).await;
    assert_eq!(changed.status, 200, "{}", changed.text);

    let record =
        |name: &str| json!({ "task": task, "kind": "record", "title": "Plan", "body": name });
    let by_id = json!({ "task": task, "kind": "page", "title": "Plan", "body": id(&page) });
    let next = json!({ "task": task, "deliverable": "Rates", "kind": "page", "body": "Twelve.\n" });
    let calls = Turn::call("deliverable_submit", record("knowledge:Cobalt plan"))
        .and_call("deliverable_submit", record("knowledge:No such plan"))
        .and_call("deliverable_submit", by_id)
        .and_call("deliverable_revise", next);
    let results = done(&office, &ada, calls).await;
    assert_eq!(results[0], results[1], "it cannot tell whether there is one");
    assert!(results[0].contains("record doesn't exist"), "{}", results[0]);
    assert!(results[3].contains("version 2") && !results[3].contains("Cobalt"), "{}", results[3]);
    let pieces = api.get(&format!("/api/v1/tasks/{task}/deliverables")).await.json();
    assert_eq!(pieces["items"][1]["versions"][0]["text"], json!(id(&page)), "only what it wrote");
    let (second, now) = page_of(&api, &task, 1).await;
    assert_eq!(now["text"], "Twelve.\n");
    assert_ne!(first, second);
    assert_eq!(api.get(&format!("/api/v1/{first}")).await.json()["text"], "Ten.\n");
    office.hq.finish().await;
}
