//! Several workspaces in one program: create, isolate, archive, delete, move, and a broken one.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use app::Ws;
use features::users::model::Account;
use features::users::rules::UsersError;
use features::workspace::queries as workspace;
use kernel::{Actor, Cause, Part, Role, WorkspaceState};
use reqwest::StatusCode;
use serde_json::json;
use server::timers;
use server::workspaces::life::{self, LifeError, NewWorkspace};
use store::{Faults, Range, ReadExt, StoreError};

use support::hq::{Person, Reply, Setup, TestHq};

const DAY: u64 = 86_400;

/// Creates a workspace through its page.
async fn add(hq: &TestHq, name: &str) -> Reply {
    let form = [("workspace", name), ("emoji", "🧊"), ("zone", "UTC")];
    hq.owner().form("/workspaces/new", &form).await
}

async fn northwind(hq: &TestHq) {
    let reply = add(hq, "Northwind").await;
    assert_eq!(reply.location(), Some("/w/northwind/"), "{}", reply.text);
}

fn task(person: &Person, ws: &str) -> impl Future<Output = Reply> {
    let own = person.clone().with("x-hq-workspace", ws);
    async move { own.post("/api/v1/tasks", &json!({ "title": "Pack the van" })).await }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_adds_a_workspace_and_switches_between_the_two() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let form = owner.get("/workspaces/new").await;
    assert_eq!(form.attr("#f-zone option[selected]", "value"), "Europe/Berlin");
    northwind(&hq).await;
    let page = owner.get("/w/northwind/tasks").await;
    assert_eq!(page.texts("#toasts .toast p"), ["Your workspace is ready."]);
    let lines = page.texts("#places a[href^='/w/']");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("Marlow Cargo") && lines[1].contains("Northwind"));
    assert_eq!(page.attr("#places a[aria-current]", "href"), "/w/northwind/");
    assert_eq!(owner.get("/").await.location(), Some("/w/northwind/"), "the last one");
    owner.get("/w/marlow-cargo/tasks").await;
    assert_eq!(owner.get("/").await.location(), Some("/w/marlow-cargo/"));
    // Tasks are separate.
    assert_eq!(task(&owner, "northwind").await.status, StatusCode::CREATED);
    assert!(owner.get("/w/northwind/tasks").await.text.contains("Pack the van"));
    assert!(!owner.get("/w/marlow-cargo/tasks").await.text.contains("Pack the van"));
    // The API requires a workspace.
    let which = owner.get("/api/v1/tasks").await;
    assert_eq!(which.json()["code"], "workspace_required", "{}", which.text);
    let all = owner.get("/api/v1/workspaces").await.json();
    assert_eq!(all["items"][1]["slug"], "northwind");
    assert_eq!(all["items"][1]["role"], "owner");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_needs_a_name_that_is_free_and_an_owner_to_add_it() {
    let hq = TestHq::start().await;
    let taken = add(&hq, "Marlow  Cargo!").await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(taken.text_of("#f-workspace-says").contains("already exists; choose another name"));
    assert_eq!(taken.attr("#f-workspace", "value"), "Marlow  Cargo!");
    let empty = hq.owner().post("/api/v1/workspaces", &json!({ "name": " " })).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(empty.json()["errors"][0]["field"], "name");
    let foreign = add(&hq, "日本").await;
    assert_eq!(foreign.location(), Some("/w/workspace-1/"));
    for role in [Role::Admin, Role::Member, Role::Viewer] {
        let other = hq.another(role.word(), Some(role)).await;
        let body = json!({ "name": "Mine" });
        assert_eq!(other.post("/api/v1/workspaces", &body).await.status, StatusCode::FORBIDDEN);
        assert_eq!(other.get("/workspaces/new").await.status, StatusCode::FORBIDDEN);
    }
    let left: Vec<_> = fs::read_dir(hq.data().join("workspaces")).expect("a folder").collect();
    assert_eq!(left.len(), 2, "what was refused left no folder");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archived_workspace_can_be_read_and_nothing_changes_in_it() {
    let mut hq = TestHq::start().await;
    let owner = hq.owner();
    let archived = owner.form("/w/marlow-cargo/settings/archive", &[]).await;
    assert_eq!(archived.location(), Some("/w/marlow-cargo/settings/general"));
    for _ in 0..2 {
        let owner = hq.owner();
        let page = owner.get("/w/marlow-cargo/tasks").await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text_of("#closed").contains("is archived"), "{}", page.text_of("#closed"));
        let refused = task(&owner, "marlow-cargo").await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
        assert_eq!(refused.json()["code"], "workspace_archived");
        let name = owner.form("/w/marlow-cargo/settings/name", &[("name", "Mira")]).await;
        assert_eq!(name.status, StatusCode::CONFLICT);
        let chat =
            json!({ "model": "hq/default", "messages": [{ "role": "user", "content": "hi" }] });
        let chat = owner.post("/v1/chat/completions", &chat).await;
        assert_eq!(chat.status, StatusCode::CONFLICT, "{}", chat.text);
        assert!(chat.text.contains("is archived"), "{}", chat.text);
        // This persists across a restart.
        hq.restart().await;
    }
    let owner = hq.owner();
    let admin = hq.another("Ada", Some(Role::Admin)).await;
    let refused = admin.form("/w/marlow-cargo/settings/restore", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    owner.form("/w/marlow-cargo/settings/restore", &[]).await;
    assert_eq!(task(&owner, "marlow-cargo").await.status, StatusCode::CREATED);
    assert!(owner.get("/w/marlow-cargo/").await.texts("#closed .banner").is_empty());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_pages_hear_at_once_that_a_workspace_is_archived() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let mut page = owner.stream("/w/marlow-cargo/events").await;
    owner.form("/w/marlow-cargo/settings/archive", &[]).await;
    let heard = page.next_of("hq").await;
    assert_eq!(heard.json()["t"], json!([["workspaces"]]), "and not which one");
    let line = owner.get("/w/marlow-cargo/closed").await;
    assert_eq!(line.text_of("#closed button"), "Restore");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_refuses_keeps_no_other_from_its_hourly_work() {
    let hq = TestHq::start().await;
    northwind(&hq).await;
    let app = hq.running().app.clone();
    let (first, second) = (hq.ws(), app.workspace("northwind").expect("it is open"));
    assert_eq!(first.slug, "marlow-cargo", "it comes before the other");
    let ask = |answer: u32| {
        let (by, cause) = (Actor::System(Part::Timer), Cause::Timer);
        second.store.write(by, cause, move |tx| {
            tx.once("test", "key", [7; 32], |_| Ok::<_, StoreError>(answer))
        })
    };
    assert_eq!(ask(1).await.expect("an answer"), 1);
    hq.owner().form("/w/northwind/settings/delete", &[("typed", "Northwind")]).await;
    hq.advance_unnoticed(Duration::from_secs(8 * DAY));

    first.store.close();
    timers::sweep(&app).await;
    assert_eq!(ask(2).await.expect("an answer"), 2, "the old one was swept");
    timers::workspaces(&app).await;
    assert!(app.workspace("northwind").is_none(), "its time of grace is over");
    assert!(!hq.data().join("workspaces/northwind").exists());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_is_deleted_after_seven_days_unless_somebody_keeps_it() {
    let mut hq = TestHq::start().await;
    northwind(&hq).await;
    let owner = hq.owner().with("x-hq-workspace", "northwind");
    let (url, folder) = ("/w/northwind/settings/delete", hq.data().join("workspaces/northwind"));
    owner.form(url, &[("typed", "northwind")]).await;
    let page = owner.get("/w/northwind/settings/general").await;
    assert!(
        page.text_of("#toasts").contains("type the name, Northwind")
            || page.text_of("#toasts").contains("Type the name, Northwind")
    );
    let state = owner.get("/api/v1/workspaces").await.json()["items"][1]["state"].clone();
    assert_eq!(state, "active", "a wrong name changes nothing");
    let token = owner.post("/api/v1/tokens", &json!({ "name": "T", "scopes": ["read"] })).await;
    let bearer = format!("Bearer {}", token.json()["token"].as_str().expect("a token"));

    let body = json!({ "name": "Northwind" });
    let marked = owner.post("/api/v1/workspace/delete", &body).await;
    assert_eq!(marked.json()["delete_after"], "2026-11-27T12:00:00Z", "{}", marked.text);
    assert!(owner.get("/w/northwind/").await.text_of("#closed").contains("will be deleted"));
    hq.advance(Duration::from_secs(3 * DAY)).await;
    hq.restart().await;
    let (owner, program) = (sign_in(&hq).await, hq.nobody().with("authorization", &bearer));
    owner.form("/w/northwind/settings/restore", &[]).await;
    assert_eq!(task(&owner, "northwind").await.status, StatusCode::CREATED, "it is kept");
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::OK);

    owner.form(url, &[("typed", "Northwind")]).await;
    hq.advance(Duration::from_secs(7 * DAY + 3_600)).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    // The list entry is removed last, a moment after the folder.
    let is_there = || {
        let rows = hq.running().app.system.read(|snap| features::users::queries::workspaces(snap));
        let is_listed = rows.expect("the list").iter().any(|row| row.slug == "northwind");
        is_listed || hq.running().app.workspace("northwind").is_some() || folder.exists()
    };
    while is_there() {
        assert!(tokio::time::Instant::now() < end, "it goes in time");
        tokio::task::yield_now().await;
    }
    let owner = sign_in(&hq).await;
    assert_eq!(owner.get("/w/northwind/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(owner.get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
    let refused = program.get("/api/v1/me").await.status;
    assert_eq!(refused, StatusCode::UNAUTHORIZED, "its tokens went with it");
    let owner = owner.with("x-hq-workspace", "marlow-cargo");
    let feed = hq.running().app.system.entries_after(0, 1_000).expect("the feed");
    let names: Vec<_> = feed.iter().flat_map(|e| e.events.iter().map(|e| e.name())).collect();
    assert!(names.contains(&"workspace.removed"), "{names:?}");
    let again = owner.post("/api/v1/workspaces", &json!({ "name": "Northwind" })).await;
    assert_eq!(again.status, StatusCode::CREATED, "the name is free again: {}", again.text);
    hq.finish().await;
}

/// A new session for Mira, whose old one has expired by the clock.
async fn sign_in(hq: &TestHq) -> Person {
    let person = hq.nobody();
    let (_, email, password) = support::hq::OWNER;
    let form = [("email", email), ("password", password), ("next", "")];
    assert_eq!(person.form("/login", &form).await.status, StatusCode::SEE_OTHER);
    person
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_cut_off_is_finished_at_the_next_start() {
    let mut hq = TestHq::start().await;
    northwind(&hq).await;
    assert_eq!(add(&hq, "Southwind").await.status, StatusCode::SEE_OTHER);
    assert_eq!(add(&hq, "Eastwind").await.status, StatusCode::SEE_OTHER);
    let at = hq.data().join("workspaces");
    let mark = |slug: &str| {
        let ws = hq.running().app.workspace(slug).expect("a workspace");
        at.join(format!(".moving-{}", ws.id))
    };
    let marks = [mark("eastwind"), mark("northwind")];
    hq.owner().form("/w/southwind/settings/delete", &[("typed", "Southwind")]).await;
    hq.stop().await;
    // A folder that was only created; one that was moved aside and not removed; one that was moved away and still
    // listed; and one whose move was only recorded.
    let empty = at.join("half");
    fs::create_dir_all(&empty).expect("a folder");
    make_empty_store(&empty);
    // Interrupted during cleanup: without mark and store, by a program that did not move it aside.
    let (rest, mounted) = (at.join("westwind"), at.join("mounted"));
    fs::create_dir_all(rest.join("agents")).expect("a folder");
    fs::create_dir_all(mounted.join("blobs")).expect("a folder");
    fs::write(mounted.join("blobs/kept"), "of a person").expect("a file");
    fs::create_dir_all(at.join(".gone-half-begun/agents")).expect("a folder");
    fs::rename(at.join("southwind"), at.join(".gone-southwind-x")).expect("renamed");
    let beside = tempfile::tempdir().expect("a folder");
    fs::rename(at.join("eastwind"), beside.path().join("eastwind")).expect("moved");
    marks.iter().for_each(|mark| fs::write(mark, "").expect("a mark"));
    hq.start_again().await;
    assert!(hq.running().app.broken.read().is_empty(), "a moved one is not missed");
    assert!(marks.iter().all(|mark| !mark.exists()));
    assert!(beside.path().join("eastwind/hq.redb").exists());
    assert!(!empty.exists(), "what was never founded is cleaned");
    assert!(!rest.exists() && !at.join(".gone-half-begun").exists());
    assert_eq!(add(&hq, "Westwind").await.status, StatusCode::SEE_OTHER, "its name is free");
    assert!(mounted.join("blobs/kept").exists(), "what holds a file is not taken away");
    assert!(!at.join(".gone-southwind-x").exists());
    let slugs: Vec<_> =
        hq.running().app.workspaces.read().iter().map(|ws| ws.slug.clone()).collect();
    assert_eq!(slugs, ["marlow-cargo", "northwind", "westwind"]);
    let rows = hq.running().app.system.read(|snap| features::users::queries::workspaces(snap));
    let rows = rows.expect("the list");
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows.iter().all(|row| row.state == WorkspaceState::Active));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_only_begun_keeps_no_name_taken() {
    let mut hq = TestHq::start().await;
    let at = hq.data().join("workspaces");
    hq.stop().await;
    // Killed after creating the folder, after the mark, within the first page of the store, and after creating an empty
    // store.
    let names = ["alpha", "beta", "gamma", "delta"];
    let folders = names.map(|name| at.join(name));
    folders.iter().for_each(|folder| fs::create_dir_all(folder).expect("a folder"));
    for folder in &folders[1..] {
        fs::create_dir_all(folder.join("agents")).expect("a folder");
        fs::write(folder.join(".begun"), "").expect("a mark");
    }
    fs::write(folders[2].join("hq.redb"), "redb").expect("half a store");
    make_empty_store(&folders[3]);
    fs::write(folders[3].join("agents/half"), "x").expect("a file");
    // Foreign files stay.
    let foreign = at.join("foreign");
    fs::create_dir_all(&foreign).expect("a folder");
    fs::write(foreign.join("letter.txt"), "dear").expect("a file");
    hq.start_again().await;
    assert!(folders.iter().all(|folder| !folder.exists()));
    assert!(foreign.join("letter.txt").exists());
    assert!(hq.running().app.broken.read().is_empty());
    for name in ["Alpha", "Beta", "Gamma", "Delta"] {
        assert_eq!(add(&hq, name).await.status, StatusCode::SEE_OTHER, "{name}");
    }
    assert!(names.iter().all(|name| !at.join(name).join(".begun").exists()));
    hq.restart().await;
    assert_eq!(hq.running().app.workspaces.read().len(), 5);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archived_workspace_can_be_deleted() {
    let hq = TestHq::start().await;
    northwind(&hq).await;
    let owner = hq.owner();
    owner.form("/w/northwind/settings/archive", &[]).await;
    let page = owner.get("/w/northwind/settings/general").await;
    assert_eq!(page.attrs("form[action='/w/northwind/settings/delete']", "method"), ["post"]);
    owner.form("/w/northwind/settings/delete", &[("typed", "Northwind")]).await;
    let all = owner.get("/api/v1/workspaces").await.json();
    assert_eq!(all["items"][1]["state"], "deleting", "{all}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_with_a_workspace_goes_on_when_nobody_waits_for_it() {
    let hq = TestHq::start().await;
    let (app, ws) = (hq.running().app.clone(), hq.ws());
    let by = (kernel::Actor::System(kernel::Part::Cli), kernel::Cause::Setup);
    let turn = app.list_turn.lock().await;
    {
        let archive = server::workspaces::life::archive(&app, by, &ws);
        tokio::pin!(archive);
        assert!(futures_util::poll!(archive.as_mut()).is_pending(), "it waits for its turn");
    }
    assert!(ws.is_active());
    let mut list = app.system.watch();
    drop(turn);
    list.changed().await.expect("the list changes");
    // The in-memory state follows the list, under the same lock.
    drop(app.list_turn.lock().await);
    assert!(!ws.is_active());
    assert_eq!(ws.shown(), None);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_people_of_a_workspace_are_read_again_when_they_change_and_not_before() {
    use features::workspace::queries::crew;
    let hq = TestHq::start().await;
    let ws = hq.ws();
    let by = (kernel::Actor::System(kernel::Part::Setup), kernel::Cause::Setup);
    let before = crew(&ws).expect("the people");
    let write = async |title: String| {
        use features::tasks::rules::{NewTask, create};
        ws.write(&by, move |tx| create(tx, NewTask::titled(title))).await.expect("a task");
    };
    for n in 0..20 {
        write(format!("Part {n}")).await;
        let now = crew(&ws).expect("the people");
        assert!(std::sync::Arc::ptr_eq(&before, &now), "other writes change nothing");
    }
    for n in 0..300 {
        write(format!("More {n}")).await;
    }
    assert_eq!(crew(&ws).expect("the people").members, before.members, "far behind");
    hq.another("Tom", Some(Role::Member)).await;
    let now = crew(&ws).expect("the people");
    assert_eq!((before.members.len(), now.members.len()), (1, 2));
    let name = json!({ "name": "Marlow Brothers" });
    hq.owner().json("PATCH", "/api/v1/settings", &name).await;
    let now = crew(&ws).expect("the people");
    assert_eq!(now.settings.as_ref().map(|one| one.name.as_str()), Some("Marlow Brothers"));
    assert!(hq.owner().get("/workspaces").await.text.contains("Marlow Brothers"));
    hq.finish().await;
}

/// A store right after its file was created.
fn make_empty_store(folder: &std::path::Path) {
    let options = store::Options {
        path: folder.join("hq.redb"),
        schema: server::schema::workspace(),
        cache: 1 << 20,
        clock: std::sync::Arc::new(kernel::time::SystemClock),
        ids: std::sync::Arc::new(kernel::id::SystemIds::default()),
        reactor: None,
        faults: std::sync::Arc::new(store::NoFaults),
    };
    store::Store::open(options).expect("a new store").close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_workspace_keeps_nobody_else_from_working_and_is_shown() {
    let mut hq = TestHq::start().await;
    northwind(&hq).await;
    hq.stop().await;
    let file = hq.data().join("workspaces/northwind/hq.redb");
    let before = fs::read(&file).expect("the store");
    fs::write(&file, b"not a database").expect("damaged");
    hq.start_again().await;
    let owner = sign_in(&hq).await;
    assert_eq!(owner.get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
    assert_eq!(owner.get("/w/northwind/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let page = owner.get("/workspaces").await;
    assert!(page.text.contains("Can’t be opened") && page.text.contains("northwind"));
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    assert!(!viewer.get("/workspaces").await.text.contains("northwind"));
    hq.stop().await;
    assert_eq!(fs::read(&file).expect("the file"), b"not a database", "it is left as it is");
    // An empty file is no new workspace: everything next to it stays.
    fs::write(&file, b"").expect("emptied");
    fs::create_dir_all(file.with_file_name("agents").join("ada/files")).expect("a folder");
    fs::write(file.with_file_name("agents").join("ada/files/note.md"), "kept").expect("a file");
    hq.start_again().await;
    assert!(sign_in(&hq).await.get("/workspaces").await.text.contains("Can’t be opened"));
    hq.stop().await;
    assert!(file.with_file_name("agents").join("ada/files/note.md").exists());
    make_new_store(&file);
    hq.start_again().await;
    assert!(sign_in(&hq).await.get("/workspaces").await.text.contains("Can’t be opened"));
    hq.stop().await;
    assert!(file.with_file_name("agents").join("ada/files/note.md").exists());
    fs::write(&file, before).expect("mended");
    hq.start_again().await;
    assert_eq!(sign_in(&hq).await.get("/w/northwind/tasks").await.status, StatusCode::OK);
    hq.finish().await;
}

/// Replaces the store by a new one.
fn make_new_store(file: &std::path::Path) {
    fs::remove_file(file).expect("the file");
    make_empty_store(file.parent().expect("a folder"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_moves_to_another_place_and_is_taken_in_again() {
    let mut hq = TestHq::start().await;
    northwind(&hq).await;
    let owner = hq.owner();
    task(&owner, "northwind").await;
    let (app, ws) = (hq.running().app.clone(), hq.running().app.workspace("northwind"));
    let by = (kernel::Actor::System(kernel::Part::Cli), kernel::Cause::Setup);
    let (ws, away) = (ws.expect("it is there"), hq.data().join("away"));
    let moving = |to| server::workspaces::life::move_to(&app, by, &ws, to);
    let error = moving(hq.data()).await.expect_err("the place is taken");
    assert!(error.to_string().contains("name a new folder"), "{error}");
    moving(away.clone()).await.expect("moved");
    drop((app, ws));
    assert_eq!(owner.get("/w/northwind/").await.status, StatusCode::NOT_FOUND);
    hq.stop().await;
    fs::rename(&away, hq.data().join("workspaces/northwind")).expect("put back");
    hq.start_again().await;
    let tasks = sign_in(&hq).await.get("/w/northwind/tasks").await;
    assert!(tasks.text.contains("Pack the van"), "{}", tasks.status);
    hq.finish().await;
}

/// A disk that has no room for the list of workspaces if told so.
#[derive(Default)]
struct NoRoomForTheList(AtomicBool);

impl Faults for NoRoomForTheList {
    fn free_space(&self, folder: &Path) -> std::io::Result<u64> {
        let full = self.0.load(Ordering::SeqCst) && folder.ends_with("data");
        Ok(if full { 0 } else { u64::MAX })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_cannot_be_listed_leaves_nothing_behind() {
    let disk = Arc::new(NoRoomForTheList::default());
    let mut hq = Setup::default().faults(Arc::clone(&disk) as Arc<dyn Faults>).start().await;
    let app = hq.running().app.clone();
    let mira = app.system.read(|snap| snap.list::<Account>(&Range::all()));
    let mira = mira.map_err(|error: StoreError| error.to_string()).expect("accounts").remove(0);
    let adding = |name: String| {
        let owner = mira.clone();
        let new = NewWorkspace { name, emoji: None, zone: "UTC".to_owned(), owner, guided: false };
        let (app, by) = (app.clone(), (Actor::System(Part::Cli), Cause::Setup));
        async move { life::add(&app, by, new).await.map(drop) }
    };
    disk.0.store(true, Ordering::SeqCst);
    // Free space is checked once per second.
    let (began, mut n) = (Instant::now(), 0);
    let error = loop {
        n += 1;
        if let Err(error) = adding(format!("Depot {n}")).await {
            break error;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it is noticed");
    };
    let full = matches!(&error, LifeError::Users(UsersError::Store(StoreError::Full { .. })));
    assert!(full, "{error}");
    let folder = hq.data().join(format!("workspaces/depot-{n}"));
    assert!(!folder.exists());
    disk.0.store(false, Ordering::SeqCst);
    adding(format!("Depot {n}")).await.expect("its name is not taken");
    assert!(folder.exists());
    drop(app);
    hq.restart().await;
    assert_eq!(hq.running().app.workspaces.read().len(), 1 + n);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "says why it does nothing")]
async fn a_move_to_another_disk_that_breaks_off_leaves_nothing_in_the_way() {
    use std::os::unix::fs::MetadataExt;
    let hq = TestHq::start().await;
    northwind(&hq).await;
    let other = Path::new("/dev/shm");
    let disk = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    if disk(other).is_none() || disk(other) == disk(&hq.data()) {
        println!("skipped: there is no other disk at {}", other.display());
        return hq.finish().await;
    }
    let other = tempfile::tempdir_in(other).expect("a temporary folder");
    let (app, by) = (hq.running().app.clone(), (Actor::System(Part::Cli), Cause::Setup));
    let open = || app.workspace("northwind").expect("it is there");
    // So deep that its path is too long below a longer prefix.
    let mut deep = open().folder.join("deep");
    fs::create_dir(&deep).expect("a folder");
    while deep.as_os_str().len() < 3_800 {
        deep.push("d".repeat(200));
        fs::create_dir(&deep).expect("a folder");
    }
    let target = other.path().join("t".repeat(250)).join("northwind");
    let above = target.parent().expect("a folder").to_owned();
    fs::create_dir(&above).expect("a folder");
    life::move_to(&app, by, &open(), target.clone()).await.expect_err("a path is too long");
    assert!(!target.exists(), "half of it is not left");
    assert_eq!(task(&hq.owner(), "northwind").await.status, StatusCode::CREATED, "it stays");

    fs::remove_dir_all(open().folder.join("deep")).expect("it is gone");
    life::move_to(&app, by, &open(), target.clone()).await.expect("the same place is free");
    assert!(target.join("hq.redb").exists() && app.workspace("northwind").is_none());
    drop(app);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_shows_nothing_of_a_former_one_of_its_name() {
    let hq = TestHq::start().await;
    northwind(&hq).await;
    let (app, by) = (hq.running().app.clone(), (Actor::System(Part::Cli), Cause::Setup));
    let ws = app.workspace("northwind").expect("it is open");
    let begun = app.begin_job(&ws.slug, "stats", |_| Ok::<_, StoreError>("of the former one"));
    begun.expect("nothing else is under way");
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while app.jobs.state("northwind", "stats").is_none_or(|state| state.ended.is_none()) {
        assert!(tokio::time::Instant::now() < end, "it ends in time");
        tokio::task::yield_now().await;
    }
    let exported = |ws: &Ws| hq.data().join(format!("backups/export-file-{}", ws.id));
    let (gone, stays) = (exported(&ws), exported(&hq.ws()));
    for folder in [&gone, &stays] {
        fs::create_dir_all(folder).expect("a folder");
    }
    // An export that is being created stays.
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let making = app.begin_job("marlow-cargo", "export", move |_| {
        wait.recv().ok();
        Ok::<_, StoreError>(())
    });
    making.expect("nothing else is under way");
    life::move_to(&app, by, &ws, hq.data().join("away")).await.expect("moved");
    assert!(app.jobs.state("northwind", "stats").is_none());
    assert!(!gone.exists() && stays.exists());
    drop((ws, go_on));
    northwind(&hq).await;
    assert!(app.jobs.state("northwind", "stats").is_none());
    drop(app);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_closed_while_all_are_asked_is_none_of_them() {
    let hq = TestHq::start().await;
    northwind(&hq).await;
    let first = hq.ws();
    let app = &first.app;
    let ask = |ws: &Ws| ws.read(|snap| workspace::members(snap));
    assert_eq!(app.ask_each(ask).expect("both answer").len(), 2);
    let closes = |ws: &Ws| {
        if ws.slug == "northwind" {
            app.drop_workspace(ws.id);
            ws.store.close();
        }
        ask(ws)
    };
    let left = app.ask_each(closes).expect("the other answers");
    assert_eq!(left.len(), 1);
    // A listed workspace that does not respond is an error.
    first.store.close();
    assert!(matches!(app.ask_each(ask), Err(StoreError::Closed)));
}
