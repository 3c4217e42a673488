//! Workspaces and people who come from another HQ: whose folder was put into the data folder by hand, and who has
//! an account here by another name.

use std::fs;

use hq::features::runs::model::{Halt, HaltOf};
use hq::features::runs::rules::halt;
use hq::features::tasks::rules::{self as tasks, NewTask};
use hq::features::workspace::model::Member;
use hq::features::workspace::queries as workspace;
use hq::kernel::{AccountId, Actor, Assignee, Cause, Part, Role, TypedId};
use hq::server::workspaces::life;
use hq::store::{ReadExt as _, WriteTx};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::hq::{OWNER, Setup, TestHq};
use crate::support::invite::{accept, invite};

const SETUP: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);

/// How many members of a name are here, with what the first one is.
fn members(hq: &TestHq, slug: &str, email: &str) -> (usize, Option<Member>) {
    let ws = hq.running().app.workspace(slug).expect("a workspace");
    let all = ws.read(|snap| workspace::members(snap)).expect("members");
    let same: Vec<Member> = all.into_iter().filter(|one| one.email == email).collect();
    (same.len(), same.into_iter().next())
}

/// Whether all work of a workspace stands still.
fn stands_still(hq: &TestHq, slug: &str) -> bool {
    let ws = hq.running().app.workspace(slug).expect("a workspace");
    ws.read(|snap| snap.get::<Halt>(HaltOf::Workspace)).expect("readable").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_another_hq_stands_still_and_belongs_to_whoever_keeps_this_one() {
    let other = TestHq::start().await;
    let form = [("workspace", "Northwind"), ("emoji", "🧊"), ("zone", "UTC")];
    let reply = other.owner().form("/workspaces/new", &form).await;
    assert_eq!(reply.location(), Some("/w/northwind/"), "{}", reply.text);
    let owner = other.owner().with("x-hq-workspace", "northwind");
    let task = json!({ "title": "Pack the van", "assignee": "me" });
    let made = owner.post("/api/v1/tasks", &task).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let away = tempfile::tempdir().expect("a folder");
    let moved = away.path().join("northwind");
    let (app, ws) = (&other.running().app, other.running().app.workspace("northwind").unwrap());
    life::move_to(app, SETUP, &ws, moved.clone()).await.expect("moved");
    drop(ws);
    other.finish().await;

    // At another time, so that its people are others.
    let mut hq = Setup::default().real_time().start().await;
    hq.stop().await;
    fs::rename(&moved, hq.data().join("workspaces/northwind")).expect("put there");
    hq.start_again().await;
    let (count, mira) = members(&hq, "northwind", OWNER.1);
    let (_, here) = members(&hq, "marlow-cargo", OWNER.1);
    let (mira, here) = (mira.expect("a member"), here.expect("a member"));
    assert_eq!((count, mira.role, mira.account), (1, Role::Owner, here.account));
    assert!(stands_still(&hq, "northwind") && !stands_still(&hq, "marlow-cargo"));
    let page = hq.owner().get("/w/northwind/tasks?q=assignee:me").await;
    assert!(page.text.contains("Pack the van"), "what she had to do she still has: {}", page.text);

    // Once somebody has resumed it, it is a workspace like any other.
    let ws = hq.running().app.workspace("northwind").expect("a workspace");
    ws.write(&SETUP, |tx| halt::lift(tx, HaltOf::Workspace)).await.expect("resumed");
    drop(ws);
    hq.restart().await;
    assert!(!stands_still(&hq, "northwind"));
    assert_eq!(members(&hq, "northwind", OWNER.1).0, 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_an_account_here_by_another_name_takes_over_from_who_they_were() {
    const EMAIL: &str = "tom@marlow.example";
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let stranger = AccountId::from_bytes([7; 16]);
    let put = move |tx: &mut WriteTx<'_>| {
        tx.put(&Member {
            account: stranger,
            name: "Tom of old".to_owned(),
            handle: "tom".to_owned(),
            email: EMAIL.to_owned(),
            role: Role::Member,
            created_at: tx.now(),
            left_at: None,
        })?;
        let assignee = Some(Assignee::Person(stranger));
        tasks::create(tx, NewTask { assignee, ..NewTask::titled("Pack the van") })
    };
    hq.ws().write(&SETUP, put).await.expect("a member with a task");
    let tom = hq.another("Tom", None).await;

    // A link for anybody makes nobody another person.
    let open = invite(&owner, &json!({ "role": "member" })).await;
    let eve = hq.another("Eve", None).await;
    let joined = accept(&eve, &open).await;
    assert_eq!(joined.location(), Some("/w/marlow-cargo/"), "{}", joined.text);
    assert_eq!(members(&hq, "marlow-cargo", EMAIL).0, 1, "he is still who he was");

    let asked = invite(&owner, &json!({ "role": "member", "email": EMAIL })).await;
    let joined = accept(&tom, &asked).await;
    assert_eq!(joined.location(), Some("/w/marlow-cargo/"), "{}", joined.text);
    let (count, now) = members(&hq, "marlow-cargo", EMAIL);
    let now = now.expect("a member");
    assert_eq!((count, now.handle.as_str()), (1, "tom"), "one person, called as before");
    assert_ne!(now.account, stranger);
    let page = tom.get("/w/marlow-cargo/tasks?q=assignee:me").await;
    assert!(page.text.contains("Pack the van"), "{}", page.text);
    hq.finish().await;
}
