//! An agent's manifest file follows its record, also after an undo.

use features::agents::model::Agent;
use features::agents::rules::Changes;
use git::Branch;
use git::history::At;
use kernel::AgentId;
use serde_json::{Value, json};

use super::{entry, ok, undo};
use support::office::Office;

/// Name in the manifest, in the folder and in the newest commit.
fn told(office: &Office, agent: &Agent) -> (Value, Value) {
    let folder: Value = office
        .file(agent, "agent.json")
        .map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
    let at = At::Branch(Branch::agent(&agent.slug).expect("a branch"));
    let kept = office.ws().repo().expect("files").read_file(&at, "agent.json").expect("readable");
    let kept = kept.expect("it is kept");
    (
        folder["name"].clone(),
        serde_json::from_slice::<Value>(&kept.bytes).expect("JSON")["name"].clone(),
    )
}

/// Waits until the manifest has a name in both places.
async fn says(office: &Office, agent: &Agent, name: &str) {
    let wanted = (json!(name), json!(name));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while told(office, agent) != wanted {
        assert!(std::time::Instant::now() < end, "it says {:?}, not {name}", told(office, agent));
        tokio::task::yield_now().await;
    }
}

fn named(name: &str) -> Changes {
    Changes { name: Some(name.to_owned()), ..Changes::default() }
}

/// Renames an agent as its page does; returns the entry.
async fn renamed(office: &Office, agent: AgentId, slug: &str, name: &str) -> u64 {
    let api = office.hq.api().await;
    let path = format!("/api/v1/agents/{slug}");
    ok(api.json("PATCH", &path, &json!({ "name": name })).await).await;
    entry::<Agent>(office, agent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_and_its_undo_are_told_to_the_files_of_the_agent() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let ada = office.agent("Ada").await;
    let change = renamed(&office, ada.id, "ada", "Ada Lovelace").await;
    assert_eq!(told(&office, &ada), (json!("Ada Lovelace"), json!("Ada Lovelace")));
    let back = ok(undo(&api, change).await).await["entry"].as_u64().expect("an entry");
    says(&office, &ada, "Ada").await;
    ok(undo(&api, back).await).await;
    says(&office, &ada, "Ada Lovelace").await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_tells_the_files_what_a_kill_came_in_between() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let bo = office.agent("Bo").await;
    // As after a kill that followed the commit of an undo (or of any change) but preceded the files.
    office.change(ada.id, named("Ada Lovelace")).await;
    assert_eq!(told(&office, &ada).0, json!("Ada"), "nobody told the files");
    // And one whose file was written but not committed.
    let folder = office.ws().agent_folder(&bo.slug);
    office.change(bo.id, named("Bo B")).await;
    let text = office.file(&bo, "agent.json").expect("a file").replace("\"Bo\"", "\"Bo B\"");
    std::fs::write(folder.join("agent.json"), text).expect("written");
    assert_eq!(told(&office, &bo), (json!("Bo B"), json!("Bo")));
    office.hq.restart().await;
    says(&office, &ada, "Ada Lovelace").await;
    says(&office, &bo, "Bo B").await;
    // A second start finds nothing to do.
    let head = |office: &Office| {
        let branch = Branch::agent("ada").expect("a branch");
        office.ws().repo().expect("files").head(&branch).expect("readable")
    };
    let before = head(&office);
    office.hq.restart().await;
    renamed(&office, bo.id, "bo", "Bo C").await;
    says(&office, &bo, "Bo C").await;
    assert_eq!(head(&office), before);
    office.hq.finish().await;
}
