//! Restores and people: members removed since the backup stay removed, revoked rights stay revoked, and invitations of
//! that time are invalid.

use std::collections::BTreeSet;

use backup::{Meter, Repository, Source, make};
use crypto::token::TokenHash;
use features::users::queries as users;
use features::workspace::model::{Invite, InviteSecret, Member};
use features::workspace::queries;
use features::workspace::rules::members::{self, Shut};
use kernel::{AccountId, Actor, Cause, Part, Role};
use server::restore::{Mode, RestoreRequest, Restored, Which, restore};
use server::workspaces::life;
use store::{Range, ReadExt as _, Record as _};

use super::{back_up, repository, source};
use support::hq::TestHq;

const BY: (Actor, Cause) = (Actor::System(Part::Cli), Cause::Setup);

fn put_back(hq: &TestHq, repo: &Repository, workspace: Option<&str>) -> Restored {
    put_back_as(hq, repo, (workspace, Mode::Restore))
}

fn put_back_as(
    hq: &TestHq,
    repo: &Repository,
    (workspace, mode): (Option<&str>, Mode),
) -> Restored {
    let wish = RestoreRequest {
        data: hq.data(),
        backup: Which::Newest,
        workspace: workspace.map(str::to_owned),
        mode,
        key_file: hq.data().join("master.key"),
    };
    tokio::task::block_in_place(|| restore(repo, &wish, &Meter::default())).expect("restored")
}

fn people(hq: &TestHq) -> Vec<Member> {
    hq.ws().read(|snap| snap.list(&Range::all())).expect("members")
}

fn owner(hq: &TestHq) -> Member {
    people(hq).into_iter().find(|one| one.role == Role::Owner).expect("an owner")
}

fn called(hq: &TestHq, name: &str) -> Member {
    people(hq).into_iter().find(|one| one.name == name).expect("somebody of that name")
}

async fn role(hq: &TestHq, account: AccountId, to: Role) {
    let change =
        move |tx: &mut store::WriteTx<'_>| members::change_role(tx, account, to, &Shut::new());
    hq.ws().write(&BY, change).await.expect("another role");
}

async fn remove(hq: &TestHq, account: AccountId) {
    let gone = move |tx: &mut store::WriteTx<'_>| members::remove(tx, account, &Shut::new());
    hq.ws().write(&BY, gone).await.expect("gone");
}

/// A long-lived invitation.
async fn invite(hq: &TestHq, by: AccountId) {
    let put = move |tx: &mut store::WriteTx<'_>| {
        let open = Invite {
            by,
            expires_at: "2900-01-01T00:00:00Z".parse().expect("a moment"),
            ended_at: None,
            used_by: None,
            ..Invite::sample()
        };
        tx.put(&open)?;
        tx.put(&InviteSecret { invite: open.id, hash: TokenHash::of(b"of a test") })
    };
    hq.ws().write(&BY, put).await.expect("an invitation");
}

fn open_invites(hq: &TestHq) -> usize {
    let now = hq.now();
    hq.ws().read(|snap| queries::open_invites(snap, now)).expect("invitations").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_had_left_or_had_lost_rights_since_the_backup_has_none_after_a_restore() {
    for workspace in [None, Some("marlow-cargo")] {
        let mut hq = TestHq::start().await;
        let tom = hq.another("Tom", Some(Role::Member)).await;
        let eve = hq.another("Eve", Some(Role::Viewer)).await;
        hq.another("Kim", Some(Role::Admin)).await;
        invite(&hq, owner(&hq).account).await;
        assert_eq!(tom.get("/w/marlow-cargo/").await.status, 200);
        let folder = tempfile::tempdir().expect("a folder");
        let repo = repository(folder.path(), None);
        back_up(&hq, &repo);
        remove(&hq, called(&hq, "Tom").account).await;
        role(&hq, called(&hq, "Kim").account, Role::Member).await;
        // More rights than at the time of the backup: the backup's rights apply.
        role(&hq, called(&hq, "Eve").account, Role::Member).await;
        hq.stop().await;

        let told = put_back(&hq, &repo, workspace).notes.join("\n");
        let left = "not members, because they had left since the backup: Tom";
        assert!(told.contains(&format!("marlow-cargo: {left}\n")), "{told}");
        assert!(told.contains("the lower role they had since the backup: Kim\n"), "{told}");
        assert!(told.contains("marlow-cargo: 1 open invitation has ended"), "{told}");
        assert!(!told.contains("check the members"), "{told}");
        hq.start_again().await;
        assert!(called(&hq, "Tom").left_at.is_some());
        assert_eq!(called(&hq, "Kim").role, Role::Member);
        assert_eq!(called(&hq, "Eve").role, Role::Viewer);
        assert_eq!(people(&hq).iter().filter(|one| one.role == Role::Owner).count(), 1);
        assert_eq!(open_invites(&hq), 0);
        // If only a workspace is restored, sessions stay and give access to nothing that was closed.
        let (tom, eve) = (tom.back_at(&hq), eve.back_at(&hq));
        assert_ne!(tom.get("/w/marlow-cargo/").await.status, 200);
        let expected = if workspace.is_some() { 200 } else { 303 };
        assert_eq!(eve.get("/w/marlow-cargo/").await.status, expected);
        hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_alone_does_not_take_the_place_of_another_that_has_its_address_by_now() {
    let mut hq = TestHq::start().await;
    let made = async |hq: &TestHq| {
        let body = serde_json::json!({ "name": "Northwind" });
        let made = hq.owner().post("/api/v1/workspaces", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        hq.running().app.workspace("northwind").expect("it is there")
    };
    let there = made(&hq).await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    let (app, former) = (hq.running().app.clone(), there.id);
    life::move_to(&app, BY, &there, folder.path().join("away")).await.expect("moved away");
    drop((app, there));
    let other = made(&hq).await.id;
    assert_ne!(other, former);
    hq.stop().await;
    let wish = RestoreRequest {
        data: hq.data(),
        backup: Which::Newest,
        workspace: Some("northwind".to_owned()),
        mode: Mode::Restore,
        key_file: hq.data().join("master.key"),
    };
    let refused = tokio::task::block_in_place(|| restore(&repo, &wish, &Meter::default()));
    let words = refused.expect_err("another one is there").to_string();
    assert!(words.contains("another workspace now has the address northwind"), "{words}");
    assert!(words.contains("hq import --as"), "{words}");
    hq.start_again().await;
    let app = hq.running().app.clone();
    assert_eq!(app.workspace("northwind").map(|ws| ws.id), Some(other), "it is as it was");
    assert!(app.broken.read().is_empty());
    // If no other account has the address, the account comes back.
    let there = app.workspace("northwind").expect("the other one");
    life::move_to(&app, BY, &there, folder.path().join("away-too")).await.expect("moved away");
    drop((app, there));
    hq.stop().await;
    put_back(&hq, &repo, Some("northwind"));
    hq.start_again().await;
    let app = hq.running().app.clone();
    assert_eq!(app.workspace("northwind").map(|ws| ws.id), Some(former));
    drop(app);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_without_workspaces_takes_the_place_of_all_that_are_there_when_one_says_so() {
    let mut hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let none = Source { workspaces: Vec::new(), listed: BTreeSet::new(), ..source(&hq) };
    make(&repo, &none, &Meter::default()).expect("a backup");
    hq.stop().await;
    let kept = put_back_as(&hq, &repo, (None, Mode::Exactly)).kept.expect("what was there");
    assert!(kept.join("workspaces/marlow-cargo/hq.redb").exists());
    let left = std::fs::read_dir(hq.data().join("workspaces")).expect("a folder").count();
    assert_eq!(left, 0, "the next start would take it in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_whose_owner_has_changed_since_the_backup_has_one_after_a_restore() {
    let mut hq = TestHq::start().await;
    let first = owner(&hq);
    hq.another("Kim", Some(Role::Member)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    role(&hq, called(&hq, "Kim").account, Role::Owner).await;
    remove(&hq, first.account).await;
    hq.stop().await;
    let told = put_back(&hq, &repo, Some("marlow-cargo")).notes.join("\n");
    assert!(told.contains("owners, because there would be no other"), "{told}");
    assert!(told.contains("members: Kim"), "{told}");
    hq.start_again().await;
    assert_eq!(called(&hq, "Kim").role, Role::Owner);
    assert!(called(&hq, &first.name).left_at.is_some(), "who gave it away stays away");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_to_go_goes_with_what_was_restored_and_that_is_said() {
    let mut hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    let app = hq.running().app.clone();
    let row = || {
        let all = app.system.read(|snap| users::workspaces(snap)).expect("a list");
        all.into_iter().find(|row| row.slug == "marlow-cargo").expect("its line")
    };
    life::delete(&app, BY, &hq.ws(), "Marlow Cargo").await.expect("it is to go");
    let goes = row().delete_after.expect("in a week").to_string();
    drop(app);
    hq.stop().await;
    let told = put_back(&hq, &repo, Some("marlow-cargo")).notes.join("\n");
    assert!(told.contains(&goes), "{told}");
    assert!(told.contains("hq workspace restore marlow-cargo"), "{told}");
    hq.start_again().await;
    let (app, ws) = (hq.running().app.clone(), hq.ws());
    life::restore(&app, BY, &ws).await.expect("it is kept");
    drop((app, ws));
    hq.stop().await;
    let told = put_back(&hq, &repo, Some("marlow-cargo")).notes.join("\n");
    assert!(!told.contains("hq workspace restore"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_former_store_cannot_be_read_invitations_end_and_it_is_said() {
    let mut hq = TestHq::start().await;
    hq.another("Tom", Some(Role::Member)).await;
    invite(&hq, owner(&hq).account).await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    hq.stop().await;
    let store = hq.data().join("workspaces/marlow-cargo/hq.redb");
    std::fs::write(&store, "no store at all").expect("a broken store");
    let restored = put_back(&hq, &repo, None);
    let told = restored.notes.join("\n");
    assert!(told.contains("marlow-cargo: 1 open invitation has ended"), "{told}");
    assert!(told.contains("check the members, because some may have left since"), "{told}");
    let kept = restored.kept.expect("what was there").join("workspaces/marlow-cargo/hq.redb");
    assert_eq!(std::fs::read_to_string(kept).expect("it lies aside"), "no store at all");
    hq.start_again().await;
    assert_eq!((open_invites(&hq), called(&hq, "Tom").left_at), (0, None));
    hq.finish().await;
}
