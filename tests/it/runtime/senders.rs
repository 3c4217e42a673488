//! Runs of messages from messengers: tools, prompt and calls by the rights of the sender.

use features::agents::model::Agent;
use features::runs::model::{Grant, Sender};
use features::runs::rules::{NewInput, SessionSpec, talk};
use features::trust::model::Approval;
use features::workspace::model::Member;
use kernel::{AccountId, Actor, Cause, Part, Role, RunId, TypedId as _};
use serde_json::json;
use store::{ReadExt as _, StoreError};

use support::model::{Gate, Turn};
use support::office::Office;

const DENIED: &str = "The sender of this message isn't allowed to do this.";

async fn say_as(office: &Office, agent: &Agent, sender: Sender, is_room: bool) -> RunId {
    let by = (Actor::System(Part::Engine), Cause::Timer);
    let key = format!("agent:{}:messenger:{sender:?}:{is_room}", agent.slug);
    let spec = SessionSpec { agent: agent.id, key, owner: None, task: None };
    let new = NewInput { grant: Some(Grant { sender, is_room }), ..NewInput::chat("Hello") };
    let sent = office.ws().write(&by, move |tx| talk::say(tx, spec, new)).await;
    sent.expect("it is said").run
}

async fn demote(office: &Office, account: AccountId) {
    office
        .act(move |tx| {
            let member = tx.get::<Member>(account)?.expect("a member");
            tx.put(&Member { role: Role::Viewer, ..member })?;
            Ok::<_, StoreError>(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_and_a_room_are_offered_and_told_nothing_private() {
    let office = Office::open().await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let note = json!({ "text": "The vault is behind the map", "lasting": true });
    office.model.push(Turn::call("memory_append", note)).push(Turn::text("Noted."));
    office.ended(office.say(&ada, "Remember this").await).await;
    let me = Sender::Person(office.owner());
    let unknown = Sender::Person(AccountId::from_bytes([7; 16]));
    let reads = ["task_list", "task_get", "web_fetch", "tool_search"];
    for (sender, is_room) in [(Sender::Guest, false), (unknown, false), (Sender::Guest, true)] {
        office.model.push(Turn::call("task_create", json!({ "title": "Sneaked in" })));
        office.model.push(Turn::call("read", json!({ "path": "MEMORY.md" })).and_call(
            "http_request",
            json!({ "url": "https://example.com/", "method": "POST", "body": "x" }),
        ));
        office.model.push(Turn::text("No."));
        let run = say_as(&office, &ada, sender, is_room).await;
        office.ended(run).await;
        let seen = office.model.last();
        assert_eq!(seen.tools(), reads, "{sender:?}");
        let text = seen.text();
        assert!(text.contains("comes from a guest over a messenger"), "{text}");
        assert!(!text.contains("behind the map") && !text.contains("<USER.md>"), "{text}");
        let results = office.results(run);
        assert_eq!(results.len(), 3);
        assert!(results.iter().all(|(_, ok, said)| !ok && said.contains(DENIED)), "{results:?}");
    }
    assert!(office.all::<Approval>().is_empty(), "nobody is asked");
    office.model.push(Turn::text("Hello all.")).push(Turn::text("Hello."));
    office.ended(say_as(&office, &ada, me, true).await).await;
    let seen = office.model.last();
    assert!(seen.tools().contains(&"task_create".to_owned()));
    assert!(!seen.tools().contains(&"read".to_owned()), "{:?}", seen.tools());
    assert!(!seen.text().contains("behind the map"));
    office.ended(say_as(&office, &ada, me, false).await).await;
    let seen = office.model.last();
    assert!(seen.tools().contains(&"exec".to_owned()) && seen.text().contains("behind the map"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demotion_counts_for_the_next_call_of_a_working_run() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    let create = |title: &str| Turn::call("task_create", json!({ "title": title }));
    office.model.push(create("Before")).push(create("After").behind(&gate));
    office.model.push(Turn::text("Stopped there."));
    let run = say_as(&office, &ada, Sender::Person(office.owner()), false).await;
    gate.reached().await;
    demote(&office, office.owner()).await;
    gate.open();
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[0].1, "{results:?}");
    assert!(!results[1].1 && results[1].2.contains(DENIED), "{results:?}");
    office.hq.finish().await;
}
