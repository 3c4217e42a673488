//! Workspaces and people from another HQ: a folder that was copied by hand into the data folder, and people with a
//! different account here.

use std::fs;

use features::notifications::model::sending::Delivery;
use features::runs::model::{Halt, HaltOf};
use features::runs::rules::halt;
use features::tasks::rules::{self as tasks, NewTask};
use features::users::model::Account;
use features::workspace::model::Member;
use features::workspace::queries as workspace;
use jiff::SignedDuration;
use kernel::{AccountId, Actor, Assignee, Cause, Part, Role, Timestamp, TypedId};
use reqwest::StatusCode;
use serde_json::json;
use server::workspaces::life;
use store::{Range, ReadExt as _, Record as _, StoreError, WriteTx};

use support::hq::{OWNER, Person, Setup, TestHq};
use support::invite::{accept, invite, join};

const TOM: &str = "tom@marlow.example";
const SETUP: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);

/// Number of members with this email address, and the first of them.
fn members(hq: &TestHq, slug: &str, email: &str) -> (usize, Option<Member>) {
    let ws = hq.running().app.workspace(slug).expect("a workspace");
    let all = ws.read(|snap| workspace::members(snap)).expect("members");
    let same: Vec<Member> = all.into_iter().filter(|one| one.email == email).collect();
    (same.len(), same.into_iter().next())
}

/// A viewer whose id is older than all others.
fn tom_of_old(created_at: Timestamp) -> Member {
    Member {
        account: AccountId::from_bytes([1; 16]),
        name: "Tom".to_owned(),
        handle: "tom".to_owned(),
        email: TOM.to_owned(),
        role: Role::Viewer,
        created_at,
        left_at: None,
    }
}

/// An unsent letter to him.
fn waiting(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    tx.put(&Delivery { member: AccountId::from_bytes([1; 16]), ..Delivery::sample() })
}

/// Whether a workspace is halted.
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
    ws.write(&SETUP, |tx| tx.put(&tom_of_old(tx.now()))).await.expect("a member");
    ws.write(&SETUP, waiting).await.expect("a letter that waits");
    life::move_to(app, SETUP, &ws, moved.clone()).await.expect("moved");
    drop(ws);
    other.finish().await;

    // At a different time, so that its people have different ids.
    let mut hq = Setup::default().real_time().start().await;
    // He was imported with another workspace: created after the owner, with an older id.
    let put = |tx: &mut WriteTx<'_>| {
        let later = tx.now() + SignedDuration::from_secs(60);
        let Member { account: id, name, email, created_at, .. } = tom_of_old(later);
        tx.put(&Account { id, name, email, created_at, zone: None, disabled_at: None })
    };
    hq.running().app.system.write(SETUP.0, SETUP.1, put).await.expect("an account");
    hq.stop().await;
    fs::rename(&moved, hq.data().join("workspaces/northwind")).expect("put there");
    hq.start_again().await;
    let (count, mira) = members(&hq, "northwind", OWNER.1);
    let (_, here) = members(&hq, "marlow-cargo", OWNER.1);
    let (mira, here) = (mira.expect("a member"), here.expect("a member"));
    assert_eq!((count, mira.role, mira.account), (1, Role::Owner, here.account));
    assert!(stands_still(&hq, "northwind") && !stands_still(&hq, "marlow-cargo"));
    assert_eq!(members(&hq, "northwind", TOM).1.expect("a member").role, Role::Viewer);
    let letters = hq.running().app.workspace("northwind").expect("a workspace");
    let letters = letters.read(|snap| snap.list::<Delivery>(&Range::all())).expect("readable");
    assert_eq!(letters, [], "what waited was sent from there");
    let page = hq.owner().get("/w/northwind/tasks?q=assignee:me").await;
    assert!(page.text.contains("Pack the van"), "what she had to do she still has: {}", page.text);

    // Once a person has resumed it, it is an ordinary workspace.
    let ws = hq.running().app.workspace("northwind").expect("a workspace");
    ws.write(&SETUP, |tx| halt::lift(tx, HaltOf::Workspace)).await.expect("resumed");
    drop(ws);
    hq.restart().await;
    assert!(!stands_still(&hq, "northwind"));
    assert_eq!(members(&hq, "northwind", OWNER.1).0, 1);
    hq.finish().await;
}

/// An imported member with a task, whose account here has another name and who is invited by email address.
async fn asked_in_again(role: &str) -> (TestHq, Person) {
    let hq = TestHq::start().await;
    let put = move |tx: &mut WriteTx<'_>| {
        let former = Member { role: Role::Member, ..tom_of_old(tx.now()) };
        let assignee = Some(Assignee::Person(former.account));
        tx.put(&former)?;
        tasks::create(tx, NewTask { assignee, ..NewTask::titled("Pack the van") })
    };
    hq.ws().write(&SETUP, put).await.expect("a member with a task");
    let tom = hq.another("Tom", None).await;
    let asked = invite(&hq.owner(), &json!({ "role": role, "email": TOM })).await;
    let joined = accept(&tom, &asked).await;
    assert_eq!(joined.location(), Some("/w/marlow-cargo/"), "{}", joined.text);
    (hq, tom)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_an_account_here_by_another_name_takes_over_from_who_they_were() {
    let (hq, tom) = asked_in_again("member").await;
    let (count, now) = members(&hq, "marlow-cargo", TOM);
    let now = now.expect("a member");
    assert_eq!((count, now.handle.as_str()), (1, "tom"), "one person, called as before");
    assert_ne!(now.account, tom_of_old(now.created_at).account);
    let page = tom.get("/w/marlow-cargo/tasks?q=assignee:me").await;
    assert!(page.text.contains("Pack the van"), "{}", page.text);

    // An open invitation takes over no imported member.
    let former = |tx: &mut WriteTx<'_>| {
        let eve = Member { email: "eve@marlow.example".to_owned(), ..tom_of_old(tx.now()) };
        tx.put(&Member { handle: "eve-of-old".to_owned(), ..eve })
    };
    hq.ws().write(&SETUP, former).await.expect("a member");
    let open = invite(&hq.owner(), &json!({ "role": "member" })).await;
    let joined = accept(&hq.another("Eve", None).await, &open).await;
    assert_eq!(joined.location(), Some("/w/marlow-cargo/"), "{}", joined.text);
    assert_eq!(members(&hq, "marlow-cargo", "eve@marlow.example").0, 2);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_viewer_had_to_do_before_an_owner_takes_over() {
    let (hq, tom) = asked_in_again("viewer").await;
    assert_eq!(members(&hq, "marlow-cargo", TOM).0, 1);
    let page = tom.get("/w/marlow-cargo/tasks?q=assignee:me").await;
    assert!(!page.text.contains("Pack the van"), "{}", page.text);
    let page = hq.owner().get("/w/marlow-cargo/tasks?q=assignee:me").await;
    assert!(page.text.contains("Pack the van"), "{}", page.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_into_one_workspace_of_another_hq_is_let_into_no_other() {
    let hq = TestHq::start().await;
    let added = hq.owner().post("/api/v1/workspaces", &json!({ "name": "Northwind" })).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text);
    let there = hq.running().app.workspace("northwind").expect("a workspace");
    for (ws, role) in [(&hq.ws(), Role::Member), (&there, Role::Owner)] {
        let put = move |tx: &mut WriteTx<'_>| {
            let tom = Member { role, ..tom_of_old(tx.now()) };
            let assignee = Some(Assignee::Person(tom.account));
            tx.put(&tom)?;
            tasks::create(tx, NewTask { assignee, ..NewTask::titled("Pack the van") })
        };
        ws.write(&SETUP, put).await.expect("a member with a task");
    }
    let here = hq.owner().with("x-hq-workspace", "marlow-cargo");
    let asked = invite(&here, &json!({ "role": "member", "email": TOM })).await;
    let tom = hq.nobody();
    let joined = join(&tom, &asked, ("Tom", TOM, "seven lanterns over a quiet canal")).await;
    assert_eq!(joined.location(), Some("/w/marlow-cargo/"), "{}", joined.text);
    let page = tom.get("/w/marlow-cargo/tasks?q=assignee:me").await;
    assert!(page.text.contains("Pack the van"), "{}", page.text);
    assert_eq!(tom.get("/w/northwind/tasks").await.status, StatusCode::NOT_FOUND);
    let (count, still) = members(&hq, "northwind", TOM);
    assert_eq!((count, still.expect("as before").account), (1, AccountId::from_bytes([1; 16])));

    // Where they are invited, they take over their imported member.
    let there = hq.owner().with("x-hq-workspace", "northwind");
    let asked = invite(&there, &json!({ "role": "member", "email": TOM })).await;
    let joined = accept(&tom, &asked).await;
    assert_eq!(joined.location(), Some("/w/northwind/"), "{}", joined.text);
    let page = tom.get("/w/northwind/tasks?q=assignee:me").await;
    assert!(page.text.contains("Pack the van"), "{}", page.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_with_one_workspace_alone_is_that_member_again() {
    let hq = TestHq::start().await;
    let put = |tx: &mut WriteTx<'_>| tx.put(&tom_of_old(tx.now()));
    hq.ws().write(&SETUP, put).await.expect("a member");
    let asked = invite(&hq.owner(), &json!({ "role": "member", "email": TOM })).await;
    let joined =
        join(&hq.nobody(), &asked, ("Tom", TOM, "seven lanterns over a quiet canal")).await;
    assert_eq!(joined.location(), Some("/w/marlow-cargo/"), "{}", joined.text);
    let (count, tom) = members(&hq, "marlow-cargo", TOM);
    assert_eq!((count, tom.expect("here").account), (1, AccountId::from_bytes([1; 16])));
    hq.finish().await;
}
