//! Reassignment of a leaving member's work to the chosen person, also across a crash.

use features::tasks::queries::list::open_count_of;
use features::tasks::rules::{self as tasks, NewTask};
use features::workspace::queries;
use features::workspace::rules::{WorkspaceError, handover};
use kernel::{AccountId, Actor, Assignee, Cause, Part, Role};
use reqwest::StatusCode;
use serde_json::json;
use store::StoreError;

use support::hq::{OWNER, Person, TestHq};

const BY: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);

fn account(hq: &TestHq, name: &str) -> AccountId {
    let all = hq.ws().read(|snap| queries::members(snap)).expect("a readable store");
    all.iter().find(|one| one.name == name).expect("a member").account
}

fn open_tasks(hq: &TestHq, who: AccountId) -> u64 {
    let count: Result<_, StoreError> =
        hq.ws().read(|snap| open_count_of(snap, Assignee::Person(who)));
    count.expect("a readable store")
}

async fn give(hq: &TestHq, who: AccountId, count: usize) {
    let ws = hq.ws();
    let made = ws.write(&BY, move |tx| {
        for n in 0..count {
            let assignee = Some(Assignee::Person(who));
            tasks::create(tx, NewTask { assignee, ..NewTask::titled(format!("Part {n}")) })?;
        }
        Ok::<_, features::tasks::queries::error::TaskError>(())
    });
    made.await.expect("tasks");
}

/// Tom has three tasks and an agent; Bea could take over.
async fn ready() -> (TestHq, Person, [AccountId; 3]) {
    let hq = TestHq::start().await;
    let tom = hq.another("Tom", Some(Role::Member)).await;
    hq.another("Bea", Some(Role::Member)).await;
    let agent = tom.post("/api/v1/agents", &json!({ "name": "Ada" })).await;
    assert_eq!(agent.status, StatusCode::CREATED, "{}", agent.text);
    let ids = [account(&hq, OWNER.0), account(&hq, "Tom"), account(&hq, "Bea")];
    give(&hq, ids[1], 3).await;
    (hq, tom, ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_and_agents_of_a_leaver_go_to_whom_the_owner_chooses() {
    let (hq, tom, [mira, from, bea]) = ready().await;
    let owner = hq.owner();
    let load = owner.get(&format!("/api/v1/members/{from}/load")).await.json();
    assert_eq!((&load["tasks"], &load["agents"]), (&json!(3), &json!(["Ada"])));
    assert_eq!(load["heirs"][0]["account"], mira.to_string(), "{load}");
    let page = owner.get(&format!("/w/marlow-cargo/settings/members/{from}/remove")).await;
    assert!(page.text.contains("3 open tasks"), "{}", page.text);
    assert!(page.text.contains("1 agent that reports to them: Ada"));
    assert_eq!(page.text_of("select[name=to] option"), format!("{} (you)", OWNER.0));

    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    assert_eq!(viewer.get("/w/marlow-cargo/settings/leave").await.status, StatusCode::OK);
    let vera = account(&hq, "Vera");
    for bad in [vera, from] {
        let refused = owner.call("DELETE", &format!("/api/v1/members/{from}?to={bad}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], "to", "{}", refused.text);
    }
    let form = [("to", vera.to_string())];
    let form: Vec<_> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let path = format!("/w/marlow-cargo/settings/members/{from}/remove");
    let refused = owner.form(&path, &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text_of("[role=alert]").contains("can't take over"), "{}", refused.text);
    assert_eq!(tom.get("/api/v1/me").await.status, StatusCode::OK, "nothing has changed");

    let form = [("to", bea.to_string())];
    let form: Vec<_> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let gone = owner.form(&path, &form).await;
    assert_eq!(gone.location(), Some("/w/marlow-cargo/settings/members"), "{}", gone.text);
    assert_eq!((open_tasks(&hq, from), open_tasks(&hq, bea)), (0, 3));
    let agent = owner.get("/api/v1/agents/ada").await.json();
    assert_eq!(agent["reports_to"], bea.to_string());
    let told = owner.get("/w/marlow-cargo/activity").await.text;
    assert!(told.contains("3 tasks and 1 agent from Tom"), "{told}");
    assert_eq!(told.matches("to Bea").count(), 1, "one sentence for all of it: {told}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_by_themselves_hands_over_to_an_owner_unless_they_choose() {
    let (hq, tom, [mira, from, _]) = ready().await;
    let page = tom.get("/w/marlow-cargo/settings/leave").await;
    assert!(page.text.contains("1 agent that reports to you: Ada"), "{}", page.text);
    let left = tom.post("/api/v1/leave", &json!({})).await;
    assert_eq!(left.status, StatusCode::OK, "{}", left.text);
    assert_eq!((open_tasks(&hq, from), open_tasks(&hq, mira)), (0, 3));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_can_be_handed_over_before_anybody_leaves() {
    let (hq, tom, [mira, from, bea]) = ready().await;
    let owner = hq.owner();
    let refused = tom.call("POST", &format!("/api/v1/members/{mira}/handover?to={bea}")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let path = format!("/w/marlow-cargo/settings/members/{from}/handover");
    assert!(owner.get(&path).await.text.contains("<span>Hand over</span>"));
    let done = owner.call("POST", &format!("/api/v1/members/{from}/handover?to={bea}")).await;
    assert_eq!((done.json()["tasks"].clone(), open_tasks(&hq, bea)), (json!(0), 3));
    assert_eq!(tom.get("/api/v1/me").await.status, StatusCode::OK, "Tom stays");
    owner.call("POST", &format!("/api/v1/members/{bea}/handover?to={mira}")).await;
    let nothing = owner.get(&path.replace(&from.to_string(), &bea.to_string())).await;
    assert!(nothing.text.contains("No open work to hand over."), "{}", nothing.text);
    assert!(!nothing.text.contains("<span>Hand over</span>"), "what does nothing is not offered");
    // A member whose account is disabled cannot take anything over.
    owner.call("POST", &format!("/api/v1/members/{from}/disable")).await;
    let refused = owner.call("POST", &format!("/api/v1/members/{bea}/handover?to={from}")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_go_in_slices_and_a_start_goes_on_where_a_kill_stopped_it() {
    let (mut hq, _tom, [mira, from, bea]) = ready().await;
    give(&hq, from, 1_200).await;
    let done = hq.owner().call("DELETE", &format!("/api/v1/members/{from}?to={bea}")).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!((open_tasks(&hq, from), open_tasks(&hq, bea)), (0, 1_203));
    let left = hq.ws().read(|snap| queries::handovers(snap)).expect("a readable store");
    assert!(left.is_empty(), "{left:?}");

    // As after a kill between two batches; the successor has left, too.
    let ws = hq.ws();
    let begun = ws.write(&BY, move |tx| {
        handover::begin(tx, bea, mira, &std::collections::BTreeMap::new()).map(drop)
    });
    begun.await.expect("begun");
    drop(ws);
    hq.restart().await;
    assert_eq!((open_tasks(&hq, bea), open_tasks(&hq, mira)), (0, 1_203));
    let ws = hq.ws();
    let end = ws.write(&BY, move |tx| {
        let refused = handover::begin(tx, bea, from, &std::collections::BTreeMap::new());
        assert!(matches!(refused, Err(WorkspaceError::NoMember(_))), "who has left takes nothing");
        Ok::<_, WorkspaceError>(())
    });
    end.await.expect("looked at");
    hq.finish().await;
}
