//! Evidence for finished work: claims of agents, checked against what they did.

use features::streams::model::Stream;
use features::streams::rules::{self as streams, NewStream};
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask};
use kernel::{Assignee, Outcome, ProofMode};
use serde_json::{Value, json};

use support::model::Turn;
use support::office::Office;

const DELIVERED: &str = "/api/v1/tasks/MC-1/deliverables";

fn write(path: &str, content: &str) -> Turn {
    Turn::call("write", json!({ "path": path, "content": content }))
}

fn deliver(body: &str, claims: Value) -> Turn {
    let arguments = json!({ "kind": "text", "title": "Offers", "body": body, "claims": claims });
    Turn::call("deliverable_submit", arguments)
}

fn done(claims: Value) -> Turn {
    let summary = "Compared the offers.";
    let arguments = json!({ "summary": summary, "task_state": "in_review", "claims": claims });
    Turn::call("work_done", arguments)
}

/// The states of checked claims.
fn states(proof: &Value) -> Vec<&str> {
    let claims = proof["claims"].as_array().expect("claims");
    claims.iter().map(|claim| claim["state"].as_str().expect("a state")).collect()
}

async fn delivered(office: &Office) -> Value {
    let pieces = office.hq.api().await.get(DELIVERED).await.json();
    pieces["items"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_of_a_delivery_are_checked_against_the_calls_of_its_run() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    office.model.push(write("notes/offers.md", "# Offers\n"));
    office.model.push(write("tests.sh", "exit 3\n"));
    office.model.push(Turn::call("exec", json!({ "command": "sh tests.sh" })));
    office.model.push(Turn::call("exec", json!({ "command": "echo more >> notes/draft.md" })));
    office.model.push(write("prices.csv", "a;b\n"));
    office.model.push(Turn::call("exec", json!({ "command": "echo 'c;d' >> prices.csv" })));
    let claims = json!([
        { "text": "Wrote notes/offers.md", "kind": "file" },
        { "text": "All tests pass", "kind": "command" },
        { "text": "Wrote prices.csv", "kind": "file", "step": 5 },
        { "text": "Told the owner", "kind": "sent" },
    ]);
    office.model.push(deliver("See notes/offers.md and notes/missing.md.", claims));
    office.model.push(done(json!([])));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done), "{:?}", office.results(run.id));

    let piece = delivered(&office).await;
    let proof = &piece["versions"][0]["proof"];
    let wanted = ["supported", "contradicted", "contradicted", "unsupported"];
    assert_eq!(states(proof), wanted, "{proof}");
    assert_eq!((&proof["complete"], &proof["required"]), (&json!(false), &json!(false)));
    assert_eq!(proof["untouched"], json!(["notes/missing.md"]));
    let failed = &proof["claims"][1]["call"];
    assert_eq!((&failed["step"], &failed["exit_code"]), (&json!(3), &json!(3)), "{proof}");
    assert_eq!(proof["claims"][2]["reason"], "prices.csv changed since.");

    // The review, and the task with the same card. Each claim leads to its call.
    let mira = office.hq.owner();
    let id = piece["id"].as_str().expect("an id");
    let review = mira.get(&format!("/w/marlow-cargo/review?piece={id}")).await;
    let shown = review.texts("#desk .claims small b");
    assert_eq!(shown, ["Supported", "Contradicted", "Contradicted", "Unsupported"]);
    assert!(review.text_of("#desk .proof .rail-head").contains("1 of 4 claims supported"));
    assert_eq!(review.texts("#desk .untouched code"), ["notes/missing.md"]);
    let task = mira.get("/w/marlow-cargo/tasks/MC-1").await;
    assert_eq!(task.texts(".deliv .claims small b"), shown);
    let hrefs = review.attrs("#desk .claims small a", "href");
    assert_eq!(hrefs.len(), 3, "no call shows the last one: {hrefs:?}");
    for href in hrefs {
        let (page, step) = href.split_once("#s-").expect("a step");
        let steps = mira.get(page).await.attrs(".trace > li", "id");
        assert!(steps.contains(&format!("s-{step}")), "{href}: {steps:?}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_requires_evidence_returns_work_without_it_once() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let new = NewStream { proof: ProofMode::Require, ..NewStream::called("Audit") };
    let stream: Stream = office.act(move |tx| streams::create(tx, new)).await;
    office.model.push(write("offers.md", "# Offers\n"));
    office.model.push(deliver("Offer A.", json!([])));
    let claims = json!([
        { "text": "Wrote offers.md", "kind": "file" },
        { "text": "All tests pass", "kind": "command" },
    ]);
    office.model.push(deliver("Offer A.", claims));
    office.model.push(done(json!([])));
    let assignee = Some(Assignee::Agent(ada.id));
    let new = NewTask { assignee, stream: Some(stream.id), ..NewTask::titled("Compare offers") };
    let task: Task = office.act(move |tx| tasks::create(tx, new)).await;
    let run = office.worked(task.id, 1).await;

    let results = office.results(run.id);
    assert_eq!(run.outcome, Some(Outcome::Done), "{results:?}");
    assert!(!results[1].1 && results[1].2.starts_with("Error(evidence_missing)"), "{results:?}");
    assert!(results[2].1 && results[2].2.contains("All tests pass: unsupported"), "{results:?}");
    assert!(results[3].1, "the delivery has the evidence: {results:?}");
    let piece = delivered(&office).await;
    assert_eq!(piece["versions"].as_array().map(Vec::len), Some(1));
    let proof = &piece["versions"][0]["proof"];
    assert_eq!((&proof["complete"], &proof["required"]), (&json!(false), &json!(true)));
    let review = office.hq.owner().get("/w/marlow-cargo/review").await;
    let marked = review.text_of("#desk .proof");
    assert!(marked.contains("Accepted without the required evidence"), "{marked}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_without_claims_says_so_and_the_end_of_a_run_has_claims_of_its_own() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(write("offers.md", "# Offers\n"));
    office.model.push(Turn::call(
        "deliverable_submit",
        json!({ "kind": "text", "title": "Offers", "body": "Offer A." }),
    ));
    office.model.push(done(json!([{ "text": "Wrote offers.md", "kind": "file" }])));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done), "{:?}", office.results(run.id));
    let proof = delivered(&office).await["versions"][0]["proof"].clone();
    assert_eq!((&proof["complete"], states(&proof).len()), (&json!(false), 0));
    let (mira, api) = (office.hq.owner(), office.hq.api().await);
    let review = mira.get("/w/marlow-cargo/review").await;
    assert!(review.text_of("#desk .proof .rail-head").contains("No evidence"));
    let ended = api.get(&format!("/api/v1/runs/{}", run.id)).await.json();
    assert_eq!(states(&ended["proof"]), ["supported"], "{ended}");
    for page in ["/w/marlow-cargo/tasks/MC-1", "/w/marlow-cargo/runs/R-1"] {
        let shown = mira.get(page).await.texts(".proof .claims small b");
        assert_eq!(shown, ["Supported"], "{page}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_can_require_evidence_whatever_its_stream_says() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(deliver("Offer A.", json!([])));
    office.model.push(deliver("Offer A.", json!([])));
    office.model.push(done(json!([])));
    office.model.push(done(json!([])));
    let task: Task = office.act(|tx| tasks::create(tx, NewTask::titled("Compare offers"))).await;
    let (api, path) = (office.hq.api().await, "/api/v1/tasks/MC-1/proof");
    let shown = api.get(path).await.json();
    assert_eq!(shown, json!({ "proof": null, "required": false }));
    let set = api.post(path, &json!({ "proof": "require" })).await;
    assert_eq!(set.json(), json!({ "proof": "require", "required": true }), "{}", set.text);
    let page = office.hq.owner().get("/w/marlow-cargo/tasks/MC-1").await;
    assert_eq!(page.texts("[data-shows=proof]").len(), 0, "nobody is to give evidence");
    let (id, assignee) = (task.id, Some(Assignee::Agent(ada.id)));
    office.act(move |tx| tasks::assign(tx, id, assignee)).await;
    let run = office.worked(task.id, 1).await;
    let results = office.results(run.id);
    assert!(!results[0].1 && results[0].2.contains("this task requires evidence"), "{results:?}");
    assert!(results[1].1, "{results:?}");
    let owner = office.hq.owner();
    let page = owner.get("/w/marlow-cargo/tasks/MC-1").await;
    let shown = page.text_of("[data-shows=proof]");
    assert!(shown.contains(ProofMode::Require.label()), "{shown}");
    owner.form("/w/marlow-cargo/tasks/MC-1/proof", &[("proof", "")]).await;
    assert_eq!(api.get(path).await.json()["proof"], Value::Null);
    office.hq.finish().await;
}
