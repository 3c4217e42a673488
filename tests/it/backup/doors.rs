//! What a full restore invalidates: sessions, tokens revoked since the backup, all cursors; and which periods it
//! restarts.

use std::sync::Arc;
use std::time::Duration;

use app::consumers::Consumers;
use backup::{Meter, Repository};
use features::backups::job::{self, BackupRequest};
use features::backups::model::{Deed, Outcome};
use features::backups::queries;
use features::users;
use features::users::model::factors::Passkey;
use features::users::model::{Account, ApiToken, SignIn, Workspace};
use jiff::SignedDuration;
use kernel::time::SystemClock;
use kernel::{Actor, Cause, Clock as _, Part, PasskeyId, Role, TypedId as _, WorkspaceState};
use serde_json::json;
use server::restore::{Mode, RestoreRequest, Restored, Which, restore};
use store::consumer::{self, Consume, ConsumeError};
use store::{Entry, Range, ReadExt as _, Record as _, WriteTx};

use super::page::PAGE;
use super::{back_up, repository};
use support::hq::{OWNER, Person, Setup, TestHq};
use support::work;
use web::sse::Position;

fn put_back(hq: &TestHq, repo: &Repository) -> Restored {
    let wish = RestoreRequest {
        data: hq.data(),
        backup: Which::Newest,
        workspace: None,
        mode: Mode::Restore,
        key_file: hq.data().join("master.key"),
    };
    tokio::task::block_in_place(|| restore(repo, &wish, &Meter::default())).expect("restored")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doors_that_were_closed_since_the_backup_stay_closed_and_everybody_signs_in_again() {
    let mut hq = TestHq::start().await;
    let (owner, kept, withdrawn) = (hq.owner(), hq.api().await, hq.api().await);
    let eve = hq.another("Eve", Some(Role::Member)).await;
    let made = owner.post("/api/v1/workspaces", &json!({ "name": "Soon gone" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let gone = owner.form("/w/soon-gone/settings/delete", &[("typed", "Soon gone")]).await;
    assert!(gone.location().is_some(), "{}", gone.text);
    let former: Vec<Workspace> =
        hq.running().app.system.read(|snap| snap.list(&Range::all())).expect("rows");
    let former = former.iter().find_map(|row| row.delete_after).expect("one goes");
    let by = Actor::System(Part::Cli);
    let system = &hq.running().app.system;
    let accounts: Vec<Account> = system.read(|snap| snap.list(&Range::all())).expect("accounts");
    let account = accounts.iter().find(|one| one.email != OWNER.1).expect("Eve's").id;
    let passkeys = [1, 2].map(|n| Passkey {
        id: PasskeyId::from_bytes([n; 16]),
        account,
        credential: vec![n; 16],
        ..Passkey::sample()
    });
    let [stays, stolen] = passkeys.each_ref().map(|passkey| passkey.id);
    let put = move |tx: &mut WriteTx<'_>| passkeys.iter().try_for_each(|passkey| tx.put(passkey));
    system.write(by, Cause::Setup, put).await.expect("two passkeys");
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    let take = move |tx: &mut WriteTx<'_>| users::rules::passkeys::remove(tx, account, stolen);
    system.write(by, Cause::Setup, take).await.expect("it is removed");
    // Since the backup, one of the two tokens was revoked as lost.
    let tokens: Vec<ApiToken> = system.read(|snap| snap.list(&Range::all())).expect("tokens");
    let lost = tokens.last().expect("the one made last").clone();
    let gone = system
        .write(by, Cause::Setup, move |tx| users::rules::revoke_token(tx, lost.account, lost.id));
    gone.await.expect("it is withdrawn");
    assert_eq!(withdrawn.get("/api/v1/tasks").await.status, 401);
    assert_eq!(kept.get("/api/v1/tasks").await.status, 200);
    hq.stop().await;

    let asked = SystemClock.now();
    let restored = put_back(&hq, &repo);
    let told = restored.notes.join("\n");
    assert!(told.contains("everyone has to sign in again"), "{told}");
    assert!(told.contains("had been closed since the backup are closed again"), "{told}");
    assert!(told.contains("scheduled for deletion: soon-gone; they now have 7 days"), "{told}");
    assert!(told.contains("1 passkey that had been removed since the backup"), "{told}");
    hq.start_again().await;
    let back = |person: &Person| person.back_at(&hq);
    let (owner, eve, kept, withdrawn) = (back(&owner), back(&eve), back(&kept), back(&withdrawn));
    for person in [&owner, &eve] {
        let reply = person.get("/w/marlow-cargo/").await;
        assert!(reply.location().is_some_and(|to| to.starts_with("/login")), "{}", reply.text);
    }
    assert_eq!(withdrawn.get("/api/v1/tasks").await.status, 401, "withdrawn once is withdrawn");
    assert_eq!(kept.get("/api/v1/tasks").await.status, 200, "the other one stays");
    let system = &hq.running().app.system;
    let (rows, sign_ins) = system
        .read(|snap| {
            let rows: Vec<Workspace> = snap.list(&Range::all())?;
            let sign_ins: Vec<SignIn> = snap.list(&Range::all())?;
            Ok::<_, store::StoreError>((rows, sign_ins))
        })
        .expect("rows");
    assert_eq!(sign_ins.len(), 0, "no sign-in came back");
    let passkeys: Vec<Passkey> = system.read(|snap| snap.list(&Range::all())).expect("passkeys");
    let there: Vec<_> = passkeys.iter().map(|one| one.id).collect();
    assert_eq!(there, [stays], "removed once is removed");
    let soon = rows.iter().find(|row| row.slug == "soon-gone").expect("it is there");
    assert_eq!(soon.state, WorkspaceState::Deleting);
    let until = soon.delete_after.expect("a time of grace");
    // A restore uses the machine's clock, not the test's.
    let week = SignedDuration::from_hours(7 * 24);
    assert_ne!(until, former);
    assert!(asked + week <= until, "all of it: until {until}");

    let again = hq.nobody();
    again.form("/login", &[("email", OWNER.1), ("password", OWNER.2)]).await;
    let page = again.get(PAGE).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(
        page.text.contains(
            "Everyone has to sign in \
        again"
        ),
        "the page tells it: {}",
        page.text
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backup_that_was_restored_is_none_that_failed() {
    let mut hq = TestHq::start().await;
    let app = hq.running().app.clone();
    job::run(&app, BackupRequest::commanded(Deed::Backup)).await.expect("a backup");
    drop(app);
    let repo = repository(&hq.data().join("backups/local"), None);
    let id = repo.newest(None).expect("a backup").id;
    hq.stop().await;
    put_back(&hq, &repo);
    hq.start_again().await;
    let system = &hq.running().app.system;
    let runs = system.read(|snap| queries::runs(snap, 10)).expect("runs");
    let [run] = &runs[..] else { panic!("the one: {runs:?}") };
    assert_eq!((run.deed, run.outcome), (Deed::Backup, Outcome::Done), "{:?}", run.note);
    assert_eq!(run.backup, Some(id));
    hq.finish().await;
}

/// A consumer whose effects are in the store itself.
struct Follower;

impl Consume for Follower {
    fn number(&self) -> u16 {
        903
    }
    fn name(&self) -> &'static str {
        "follower"
    }
    fn handle(&self, _: &mut WriteTx<'_>, _: &Entry) -> Result<(), ConsumeError> {
        Ok(())
    }
}

/// Waits until the follower has processed everything.
async fn followed(hq: &TestHq) -> consumer::State {
    let store = hq.ws().store.clone();
    loop {
        let state = store.read(|snap| consumer::state(snap, 903)).expect("a state");
        if state.cursor == store.head().seq && state.incarnation == store.incarnation() {
            return state;
        }
        // The consumer writes no entry when it advances, so poll.
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_cursor_is_refused_or_begins_anew_after_a_restore() {
    let all: Vec<Arc<dyn Consume>> = vec![Arc::new(Follower)];
    let setup = Setup::default().consumers(move || Consumers::new(all.clone()));
    let mut hq = setup.start().await;
    work::agent(&hq, "Ada").await;
    let api = hq.api().await;
    for n in 0..5 {
        api.post("/api/v1/tasks", &json!({ "title": format!("Task {n}") })).await;
    }
    hq.settle().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    // The same sequence number is a different entry in each incarnation.
    api.post("/api/v1/tasks", &json!({ "title": "Only in the first life" })).await;
    let former = hq.ws().store.head();
    let place = former.to_string();
    let title = json!({ "title": "Another title" });
    api.json("PATCH", "/api/v1/tasks/MC-1", &title).await;
    let next = async |api: &Person, path: &str| {
        let page = api.get(path).await;
        page.json()["next"].as_str().unwrap_or_else(|| panic!("{}", page.text)).to_owned()
    };
    let rows = next(&api, "/api/v1/snapshot?limit=1").await;
    let versions = next(&api, "/api/v1/history/tasks/MC-1?limit=1").await;
    let waited = Duration::from_secs(20);
    let before = tokio::time::timeout(waited, followed(&hq)).await.expect("it follows");
    hq.stop().await;
    put_back(&hq, &repo);
    hq.start_again().await;
    let api = api.back_at(&hq);
    let head = hq.ws().store.head();
    assert_ne!(head.incarnation, former.incarnation);

    let polled = api.get(&format!("/api/v1/changes?after={place}")).await;
    assert_eq!(polled.status, 410, "{}", polled.text);
    assert!(polled.text.contains("unknown_incarnation"), "{}", polled.text);
    assert!(polled.text.contains("take a snapshot"), "{}", polled.text);
    let resumed = api.clone().with("last-event-id", &place).with("accept", "text/event-stream");
    let resumed = resumed.get("/api/v1/changes").await;
    assert_eq!(resumed.status, 410, "{}", resumed.text);
    for path in [
        format!("audit?before={place}"),
        format!("snapshot?limit=1&after={rows}"),
        format!("history/tasks/MC-1?before={versions}"),
    ] {
        let listed = api.get(&format!("/api/v1/{path}")).await;
        assert_eq!(listed.status, 410, "{path}: {}", listed.text);
        assert!(listed.text.contains("unknown_incarnation"), "{path}: {}", listed.text);
    }

    let person = hq.nobody();
    person.form("/login", &[("email", OWNER.1), ("password", OWNER.2)]).await;
    for path in ["activity", "history/tasks/MC-1"] {
        let shown = person.get(&format!("/w/marlow-cargo/{path}?before={place}")).await;
        assert_eq!(shown.status, 410, "{path}: {}", shown.text);
    }
    let mut page = person.stream(&format!("/w/marlow-cargo/events?after={place}")).await;
    let told = page.next().await.expect("a message");
    // Background work may have written since the start.
    let Position { cursor: at, .. } = told.id.parse().expect("a place");
    assert_eq!((told.event.as_str(), at.incarnation), ("hq-resync", head.incarnation));
    assert!((head.seq..=hq.ws().store.head().seq).contains(&at.seq), "{at} behind {head}");
    let back = person.clone().with("last-event-id", &place);
    let mut page = back.stream("/w/marlow-cargo/events").await;
    assert_eq!(page.next().await.expect("a message").event, "hq-resync");

    // Consumers with their effects in the same file continue in the new incarnation without a gap.
    let after = tokio::time::timeout(waited, followed(&hq)).await.expect("it follows");
    assert_eq!(after.incarnation, head.incarnation);
    assert_ne!(after.incarnation, before.incarnation);
    drop(page);
    hq.finish().await;
}
