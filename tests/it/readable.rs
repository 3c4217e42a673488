//! Read rights: no response or stream contains data that the requester may not read.

use std::collections::{BTreeSet, VecDeque};

use features::connections::model::Wire;
use features::connections::rules::{self as connections, NewConnection};
use features::history::queries::access;
use features::runs::model::Session;
use features::workspace::queries as workspace;
use kernel::{Can, Role};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Class, Range, ReadExt as _};
use web::session::Access;

use support::hq::{Person, Reply, TestHq};
use support::model::{Gate, ModelServer, Turn};
use support::work;

const HOME: &str = "/w/marlow-cargo/";
const EVENTS: &str = "/w/marlow-cargo/events";
const CHAT: &str = "/w/marlow-cargo/agents/ada/chat";
/// Canary words of a private conversation: message and response.
const TALK: [&str; 2] = ["quokkasaid", "quokkaheard"];
/// Canaries for administrators: an invited address and a provider.
const ADMIN: [&str; 2] = ["quokka@mail.example", "quokka-provider"];
/// Canaries in private views: an existing one, a deleted one, and one from before it was shared. Nobody else may read
/// them, whatever their role.
const OWN: [&str; 4] = ["Quokkaview", "quokkaquery", "Quokkagone", "quokkabefore"];
/// Limit of pages that are opened as one person.
const MOST: usize = 300;

/// Ids of Mira's views.
struct Views {
    /// Private.
    kept: String,
    /// Private and deleted.
    gone: String,
    /// Private, changed, shared, and changed again.
    shared: String,
}

async fn views(hq: &TestHq) -> Views {
    let mira = hq.owner();
    let mut ids = Vec::new();
    for (name, q) in [(OWN[0], OWN[1]), (OWN[2], ""), ("Launch", OWN[3])] {
        let body = json!({ "name": name, "look": { "q": q } });
        let made = mira.post("/api/v1/views", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        ids.push(made.json()["id"].as_str().expect("an id").to_owned());
    }
    let [kept, gone, shared] = <[String; 3]>::try_from(ids).expect("three of them");
    let deleted = mira.call("DELETE", &format!("/api/v1/views/{gone}")).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{}", deleted.text);
    for body in [
        json!({ "look": { "q": "is:open" } }),
        json!({ "shared": true }),
        json!({ "name": "Launch plan" }),
    ] {
        let changed = mira.json("PATCH", &format!("/api/v1/views/{shared}"), &body).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    }
    Views { kept, gone, shared }
}

/// Addresses of saved views, existing or deleted, and every entry about one.
fn places_of_views(hq: &TestHq) -> Vec<String> {
    let ws = hq.ws();
    let info = ws.store.schema().named("views").expect("a table");
    let ops = info.ops.as_ref().expect("a record");
    let mut all = vec![
        "/api/v1/snapshot?tables=views".to_owned(),
        "/api/v1/changes?after=start&include=rows&tables=views".to_owned(),
    ];
    for entry in ws.store.entries_after(0, 10_000).expect("a readable store") {
        for change in entry.changes.iter().filter(|change| change.table == info.number) {
            let id = (ops.key_text)(&change.key).expect("an id");
            all.push(format!("/api/v1/views/{id}"));
            all.push(format!("/api/v1/history/views/{id}"));
            all.push(format!("{HOME}history/views/{id}"));
            all.push(format!("{HOME}history/entry/{}", entry.seq));
            all.push(format!("{HOME}undo?entry={}", entry.seq));
        }
    }
    assert!(30 < all.len(), "three views, of which one was deleted and one changed: {all:?}");
    all
}

/// A workspace with a private conversation, an invitation, a connection and private views.
async fn scene() -> (TestHq, ModelServer) {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    model.push(Turn::text("I heard quokkaheard"));
    let said = hq.owner().form(CHAT, &[("body", "Keep quokkasaid to yourself")]).await;
    assert!(said.status.is_redirection(), "{}", said.text);
    hq.settle().await;
    let invite = json!({ "role": "viewer", "email": ADMIN[0] });
    let invited = hq.owner().post("/api/v1/invites", &invite).await;
    assert_eq!(invited.status, StatusCode::CREATED, "{}", invited.text);
    let new = NewConnection {
        name: "Spare".to_owned(),
        wire: Wire::OpenaiChat,
        base_url: "https://quokka-provider.example/v1".to_owned(),
        key: None,
        default_model: None,
    };
    let made = hq.ws().write(&work::owner(&hq), move |tx| connections::create(tx, new)).await;
    made.expect("a connection");
    views(&hq).await;
    (hq, model)
}

/// Values that stand for no part of something.
const WORDS: [&str; 6] = ["ada", "R-1", "runs", "invites", "connections", "-"];

/// Values for path parameters.
fn names(hq: &TestHq) -> Vec<String> {
    let run = work::run(hq, "R-1");
    let ids: Vec<String> = ["invites", "connections"]
        .into_iter()
        .flat_map(|table| {
            let ws = hq.ws();
            let info = ws.store.schema().named(table).expect("a table");
            let mut ids = Vec::new();
            let read = ws.read(|snap| {
                use store::Read as _;
                snap.raw_scan(info.number, &Range::all(), &mut |key, _| {
                    ids.extend(info.ops.as_ref().and_then(|ops| (ops.key_text)(key)));
                    std::ops::ControlFlow::Continue(())
                })
            });
            read.expect("a readable store");
            ids
        })
        .collect();
    let mut all = vec!["1".to_owned(), run.id.to_string(), run.session.to_string()];
    all.extend(ids);
    all.extend(WORDS.map(str::to_owned));
    all
}

/// All addresses of a route: each value for its first parameter, and those that a part of something can have for the
/// others.
fn addresses(path: &str, names: &[String]) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut values = names;
    for part in path.split('/').skip(1) {
        let choices: Vec<String> = match part {
            "{ws}" => vec!["marlow-cargo".to_owned()],
            part if part.starts_with('{') => {
                std::mem::replace(&mut values, &names[..names.len() - WORDS.len()]).to_vec()
            }
            part => vec![part.to_owned()],
        };
        all = all.iter().flat_map(|s| choices.iter().map(move |c| format!("{s}/{c}"))).collect();
    }
    all
}

/// Opens everything that this person can reach; none of the words may occur.
async fn walk(hq: &TestHq, person: &Person, words: &[&str]) {
    reach(hq, person, |path, reply| {
        for word in words {
            assert!(!reply.text.contains(word), "{word} stands in {path}: {}", reply.text);
        }
    })
    .await;
}

/// Opens everything that this person can reach, by routes and by links of pages.
async fn reach(hq: &TestHq, person: &Person, mut look: impl FnMut(&str, &Reply)) {
    let names = names(hq);
    let mut todo: VecDeque<String> = VecDeque::from([HOME.to_owned()]);
    todo.extend(places_of_views(hq));
    for route in hq.running().routes.iter().filter(|route| route.method == "GET") {
        let inside = route.path.starts_with("/w/{ws}/") || route.path.starts_with("/api/");
        if inside && route.path != "/w/{ws}/events" {
            todo.extend(addresses(&route.path, &names));
        }
    }
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    while let Some(path) = todo.pop_front() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let reply = person.get(&path).await;
        assert!(reply.status.as_u16() < 500, "{path}: {}", reply.text);
        look(&path, &reply);
        if reply.status != StatusCode::OK || MOST <= pages || path.starts_with("/api/") {
            continue;
        }
        pages += 1;
        for name in ["href", "hx-get"] {
            let links = reply.attrs(&format!("[{name}^='{HOME}']"), name);
            todo.extend(links.into_iter().filter(|to| !to.starts_with(EVENTS)));
        }
    }
    assert!(100 < seen.len(), "{}", seen.len());
}

/// The feed from its start with all rows, as pages and as a stream.
async fn feed(hq: &TestHq, person: &Person) -> String {
    let path = "/api/v1/changes?after=start&include=rows";
    let mut all = person.get(path).await.text;
    let head = hq.ws().store.head().to_string();
    let mut stream = person.stream(path).await;
    loop {
        let change = stream.next_of("change").await;
        all.push_str(&change.data);
        if change.id == head {
            return all;
        }
    }
}

/// All rows of a snapshot.
async fn snapshot(person: &Person) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let page = person.get(&format!("/api/v1/snapshot?limit=7&after={after}")).await.json();
        rows.extend(page["items"].as_array().expect("a list").clone());
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return rows,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_viewer_or_a_member_reaches_tells_what_is_not_theirs() {
    let (hq, _model) = scene().await;
    for role in [Role::Viewer, Role::Member] {
        let person = hq.another(role.word(), Some(role)).await;
        walk(&hq, &person, &[&TALK[..], &ADMIN, &OWN].concat()).await;
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_the_owner_reaches_is_there_for_somebody_of_another_workspace() {
    let (hq, _model) = scene().await;
    let mut open = Vec::new();
    reach(&hq, &hq.owner(), |path, reply| {
        if reply.status == StatusCode::OK {
            open.push(path.to_owned());
        }
    })
    .await;
    let eve = hq.another("Eve", None).await;
    let made = eve.post("/api/v1/workspaces", &json!({ "name": "Northwind" })).await;
    assert!([StatusCode::CREATED, StatusCode::FORBIDDEN].contains(&made.status), "{}", made.text);
    let (eve, nobody) = (eve.with("x-hq-workspace", "marlow-cargo"), hq.nobody());
    let mut closed = 0;
    for path in open {
        let theirs = eve.get(&path).await;
        let is_public =
            theirs.status == StatusCode::OK && nobody.get(&path).await.status == StatusCode::OK;
        assert!(is_public || theirs.status == StatusCode::NOT_FOUND, "{path}: {}", theirs.status);
        assert!(!theirs.text.contains("Marlow"), "{path}: {}", theirs.text);
        closed += usize::from(!is_public);
    }
    assert!(100 < closed, "{closed}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_and_a_snapshot_have_the_rows_that_somebody_may_read_and_no_others() {
    let (hq, _model) = scene().await;
    let all = [TALK, ADMIN].concat();
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    let member = hq.another("Tom", Some(Role::Member)).await;
    let admin = hq.another("Ida", Some(Role::Admin)).await;
    let token = json!({ "name": "R", "scopes": ["read"] });
    let token = viewer.post("/api/v1/tokens", &token).await.json()["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    let reader = hq.nobody().with("authorization", &bearer);
    for person in [&viewer, &member, &reader] {
        let (told, rows) = (feed(&hq, person).await, snapshot(person).await);
        for word in all.iter().chain(&OWN) {
            assert!(!told.contains(word), "{word} in {told}");
            assert!(!json!(rows).to_string().contains(word), "{word} in a snapshot");
        }
        // The events are visible, and public rows.
        assert!(told.contains(r#""table":"invites""#) && told.contains(r#""withheld":true"#));
        let of = |table: &str| rows.iter().filter(|row| row["table"] == table).count();
        assert_eq!((of("agents"), of("sessions"), of("runs"), of("invites")), (1, 0, 0, 0));
        assert!(told.contains(r#""table":"views""#));
        assert_eq!(of("views"), 1, "the one that was shared");
    }
    // A token has the rights of its owner: the owner's conversations, but nothing for admins.
    let own = hq.token(&["read"]).await;
    let (told, rows) = (feed(&hq, &own).await, json!(snapshot(&own).await).to_string());
    for word in ADMIN {
        assert!(!told.contains(word) && !rows.contains(word), "{word}");
    }
    // The deleted view has no row; the shared one has its present row.
    let hers = [&TALK[..], &OWN[..2]].concat();
    assert!(hers.iter().all(|word| told.contains(word) && rows.contains(word)), "{told}");
    let (told, rows) = (feed(&hq, &admin).await, json!(snapshot(&admin).await).to_string());
    for word in all {
        assert!(told.contains(word) && rows.contains(word), "{word}");
    }
    for word in OWN {
        assert!(!told.contains(word) && !rows.contains(word), "{word}");
    }
    hq.finish().await;
}

/// Entries of a view, newest first, in its history for this person.
async fn entries(person: &Person, id: &str) -> Vec<u64> {
    let told = person.get(&format!("/api/v1/history/views/{id}")).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text);
    let items = told.json()["items"].as_array().expect("versions").clone();
    items.iter().map(|item| item["seq"].as_u64().expect("an entry")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_of_somebodys_own_is_read_and_taken_back_by_nobody_else() {
    let hq = TestHq::start().await;
    let Views { kept, gone, shared } = views(&hq).await;
    let mira = hq.owner();
    let (of_kept, of_gone) = (entries(&mira, &kept).await, entries(&mira, &gone).await);
    let of_shared = entries(&mira, &shared).await;
    assert_eq!((of_kept.len(), of_gone.len(), of_shared.len()), (1, 2, 4));
    let preview = async |who: &Person, body: &Value| {
        let seen = who.post("/api/v1/undo/preview", body).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
        seen.json()
    };
    for role in [Role::Member, Role::Admin] {
        let other = hq.another(role.word(), Some(role)).await;
        for id in [&kept, &gone] {
            let path = format!("/api/v1/history/views/{id}");
            assert_eq!(other.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        // Of a shared view, entries since it was shared.
        assert_eq!(entries(&other, &shared).await, of_shared[..1]);
        for seq in of_kept.iter().chain(&of_gone) {
            let body = json!({ "entry": seq });
            let seen = preview(&other, &body).await;
            let told = (&seen["back_count"], &seen["kept_count"], &seen["kept"]);
            assert_eq!(told, (&json!(0), &json!(1), &json!([])), "{role:?}, entry {seq}: {seen}");
            let refused = other.post("/api/v1/undo", &body).await;
            assert_eq!(refused.json()["code"], "nothing_to_undo", "{}", refused.text);
        }
        // It was shared, and changed before: others can restore neither the owner nor the former query.
        for seq in &of_shared[1..3] {
            let body = json!({ "entry": seq });
            let seen = preview(&other, &body).await;
            assert_eq!(seen["kept"][0]["code"], "view_not_yours", "{seen}");
            assert_eq!(seen["back_count"], 0, "{seen}");
            let refused = other.post("/api/v1/undo", &body).await;
            assert_eq!(refused.json()["code"], "nothing_to_undo", "{}", refused.text);
            let change = json!({ "seq": seq, "table": "views", "id": shared });
            let alone = other.post("/api/v1/undo/preview", &json!({ "change": change })).await;
            assert_eq!(alone.json()["code"], "change_not_found", "{}", alone.text);
        }
        let seen = preview(&other, &json!({ "entry": of_shared[0] })).await;
        assert_eq!(seen["back_count"], 1, "what is everybody's goes back by anybody: {seen}");
    }
    // The owner can restore it.
    let back = mira.post("/api/v1/undo", &json!({ "entry": of_gone[0] })).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);
    let again = mira.get(&format!("/api/v1/views/{gone}")).await;
    assert_eq!(again.json()["name"], OWN[2], "{}", again.text);
    let seen = preview(&mira, &json!({ "entry": of_shared[1] })).await;
    assert_eq!(seen["back"][0]["fields"][0]["field"], "owner", "{seen}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_owns_a_conversation_reads_it_and_its_run_in_the_feed() {
    let (hq, model) = scene().await;
    let tom = hq.another("Tom", Some(Role::Member)).await;
    model.push(Turn::text("A wombatword for Tom"));
    tom.form(CHAT, &[("body", "Tell me")]).await;
    hq.settle().await;
    let told = feed(&hq, &tom).await;
    assert!(told.contains("wombatword") && !told.contains(TALK[0]));
    let sessions: Vec<Session> =
        hq.ws().read(|snap| snap.list(&Range::all())).expect("a readable store");
    assert_eq!(sessions.len(), 2);
    hq.finish().await;
}

#[test]
fn every_table_of_the_feed_says_who_reads_its_rows() {
    let everything = Access::of(&[Can::Read, Can::Admin]);
    for info in server::schema::workspace().tables() {
        if matches!(info.class(), Some(Class::Tracked | Class::Log | Class::Work)) {
            let place = "src/features/history/queries/access.rs";
            let listed = access::may_read_rows(everything, info.number);
            assert!(listed, "{}: add a line to {place}", info.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_text_is_heard_by_whoever_may_see_the_run_and_by_nobody_else() {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let (mut own, mut toms) = (mira.stream(EVENTS).await, tom.stream(EVENTS).await);
    let gate = Gate::new();
    model.push(Turn::text("Hush now").pausing(2, &gate));
    mira.form(CHAT, &[("body", "Whisper")]).await;
    assert!(own.next_of("hq-run").await.data.contains("Hush"));
    gate.reached().await;
    // Late subscribers get the text so far.
    let (mut again, mut late) = (mira.stream(EVENTS).await, tom.stream(EVENTS).await);
    assert!(again.next_of("hq-run").await.data.contains("Hush"));
    gate.open();
    hq.settle().await;

    let gate = Gate::new();
    model.push(Turn::text("Aloud now").pausing(2, &gate));
    model.usually(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "leave" })));
    let body = json!({ "title": "Speak", "assignee": "ada" });
    let made = mira.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    for stream in [&mut toms, &mut late] {
        let first = stream.next_of("hq-run").await;
        assert!(first.data.contains("Aloud"), "the first that Tom hears: {}", first.data);
    }
    while !own.next_of("hq-run").await.data.contains("Aloud") {}
    gate.open();
    hq.settle().await;

    // Admins may read all conversations, also on pages that were open before.
    let members = hq.ws().read(|snap| workspace::members(snap)).expect("a readable store");
    let id = members.iter().find(|one| one.name == "Tom").expect("Tom").account;
    let body = json!({ "role": "admin" });
    let more = mira.json("PATCH", &format!("/api/v1/members/{id}"), &body).await;
    assert_eq!(more.status, StatusCode::OK, "{}", more.text);
    model.push(Turn::text("Open secret"));
    mira.form(CHAT, &[("body", "Once more")]).await;
    while !toms.next_of("hq-run").await.data.contains("Open") {}
    hq.finish().await;
}

// ── Limits ──

const LARGE: usize = 60 * 1_024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_ends_when_it_is_large_and_goes_on_where_it_ended() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    for n in 0..50 {
        let text = "w".repeat(LARGE);
        let body = json!({ "title": format!("Large {n}"), "description": text });
        assert_eq!(owner.post("/api/v1/tasks", &body).await.status, StatusCode::CREATED);
    }
    let (mut after, mut rows, mut pages) = ("start".to_owned(), 0, 0);
    loop {
        let path = format!("/api/v1/changes?after={after}&limit=500&include=rows&tables=tasks");
        let reply = owner.get(&path).await;
        assert!(reply.text.len() < 1 << 20, "{}", reply.text.len());
        let page = reply.json();
        let items = page["items"].as_array().expect("a list");
        if items.is_empty() {
            break;
        }
        let whole = |item: &&Value| item["changes"][0]["row"]["title"].is_string();
        rows += items.iter().filter(whole).count();
        pages += 1;
        after = page["next"].as_str().expect("a cursor").to_owned();
    }
    assert_eq!((rows, pages), (50, 7));
    let first = owner.get("/api/v1/snapshot?limit=500&tables=tasks").await;
    assert!(first.text.len() < 3 << 20 && first.json()["next"].is_string());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_ends_when_it_is_large_and_goes_on_where_it_ended() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let made = owner.post("/api/v1/tasks", &json!({ "title": "Large" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    for n in 0..30 {
        let body = json!({ "description": format!("{n} {}", "w".repeat(LARGE)) });
        let changed = owner.json("PATCH", &format!("/api/v1/tasks/{key}"), &body).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    }
    let (mut before, mut versions, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let path = format!("/api/v1/history/tasks/{key}?limit=100&before={before}");
        let reply = owner.get(&path).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert!(reply.text.len() < 3 << 20, "{}", reply.text.len());
        let page = reply.json();
        let items = page["items"].as_array().expect("versions");
        assert!(!items.is_empty(), "page {pages}");
        versions.extend(items.iter().map(|item| item["seq"].as_u64().expect("an entry")));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => before = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(versions.len(), 31, "each once: {versions:?}");
    assert!(versions.windows(2).all(|two| two[1] < two[0]), "newest first: {versions:?}");
    assert!((3..10).contains(&pages), "{pages}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_giant_entry_comes_alone_and_says_where_rows_were_left_out() {
    use features::tasks::rules::{NewTask, create};
    let hq = TestHq::start().await;
    let (ws, who) = (hq.ws(), work::owner(&hq));
    let made = ws.write(&who, |tx| {
        for n in 0..50 {
            let description = "w".repeat(LARGE);
            create(tx, NewTask { description, ..NewTask::titled(format!("Large {n}")) })?;
        }
        Ok::<_, features::tasks::queries::error::TaskError>(())
    });
    made.await.expect("tasks");
    let giant = hq.ws().store.head();
    let after = format!("{:x}.{}", giant.incarnation, giant.seq - 1);
    let path = format!("/api/v1/changes?after={after}&include=rows&tables=tasks");
    let reply = hq.owner().get(&path).await;
    assert!(reply.text.len() < 512 << 10, "{}", reply.text.len());
    let page = reply.json();
    assert_eq!(page["next"], giant.to_string().as_str());
    let changes = page["items"][0]["changes"].as_array().expect("changes").clone();
    assert_eq!(changes.len(), 50);
    let with = |name: &str| changes.iter().filter(|one| !one[name].is_null()).count();
    assert!(0 < with("row") && 40 < with("left_out"), "{} {}", with("row"), with("left_out"));
    assert_eq!(with("row") + with("left_out"), 50);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_changes_often_comes_once_in_an_answer() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let after = hq.ws().store.head();
    for name in ["One", "Two", "Three"] {
        let reply = owner.json("PATCH", "/api/v1/settings", &json!({ "name": name })).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    }
    let path = format!("/api/v1/changes?after={after}&include=rows&tables=settings");
    let items = owner.get(&path).await.json()["items"].as_array().expect("a list").clone();
    let changes: Vec<&Value> = items.iter().map(|item| &item["changes"][0]).collect();
    assert_eq!(changes.len(), 3);
    assert_eq!(changes[0]["row"]["name"], "Three", "as it is now");
    for later in &changes[1..] {
        assert!(later.get("row").is_none());
        assert_eq!(later["row_at"], items[0]["seq"]);
    }
    hq.finish().await;
}
