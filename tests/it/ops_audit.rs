//! Audit over HTTP and CLI: search, wording, export, verification, redaction, retention.

use std::path::Path;
use std::time::Duration;

use features::users::model::{Account, Workspace};
use kernel::{Actor, Cause, Part, TypedId as _};
use redb::ReadableTable as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Range, ReadExt as _, Store, StoreError, keep};

use support::hq::{Person, TestHq};
use support::program::{run, run_json};

mod accounts; // audit entries about accounts and HQ itself

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const PAGE: &str = "/w/marlow-cargo/settings/audit";

async fn rename(hq: &TestHq, name: &str) {
    let body = json!({ "name": name });
    let reply = hq.owner().json("PATCH", "/api/v1/settings", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

async fn task(hq: &TestHq, title: &str) -> Value {
    let made = hq.owner().post("/api/v1/tasks", &json!({ "title": title })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

async fn items(person: &Person, query: &str) -> Vec<Value> {
    let reply = person.get(&format!("/api/v1/audit?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["items"].as_array().expect("a list").clone()
}

/// Waits for the end of the verification and returns its result.
async fn verified(person: &Person) -> Value {
    let begun = person.post("/api/v1/audit/verify", &json!({})).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text);
    loop {
        let state = person.get("/api/v1/audit/verify").await.json();
        if !state["ended"].is_null() {
            assert_eq!(state["error"], Value::Null);
            return state["result"].clone();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_is_searched_by_record_person_reason_event_and_time() {
    let hq = TestHq::start().await;
    let made = task(&hq, "Print the price list").await;
    let name = made["name"].as_str().or(made["key"].as_str()).unwrap_or("MC-1").to_owned();
    hq.advance(Duration::from_secs(13 * 3_600)).await;
    rename(&hq, "Marlow Bicycles").await;
    let owner = hq.owner();

    let of_task = items(&owner, &format!("record={name}")).await;
    assert_eq!(of_task.len(), 1);
    assert_eq!(of_task[0]["events"][0]["name"], "task.created");
    let id = made["id"].as_str().expect("an id");
    assert_eq!(items(&owner, &format!("record=tasks%20{id}")).await, of_task);
    assert_eq!(items(&owner, "event=task.created").await, of_task);
    let people = items(&owner, "by=people").await;
    assert!(people.iter().all(|entry| entry["actor"]["kind"] == "person"));
    assert!(people.len() >= 2);
    let setup = items(&owner, "cause=setup").await;
    assert!(setup.iter().all(|entry| entry["cause"]["kind"] == "setup") && !setup.is_empty());
    // A single request among all of them.
    let one = of_task[0]["cause"]["request"].as_str().expect("an id");
    assert_eq!(items(&owner, &format!("cause=request%20{one}")).await, of_task);
    assert!(1 < items(&owner, "cause=request").await.len());
    assert!(items(&owner, &format!("cause=backup%20{id}")).await.is_empty(), "the word of pages");
    let page = owner.get(&format!("{PAGE}?cause=request%20{one}")).await;
    assert_eq!(page.attr("select[name=cause] option[selected]", "value"), format!("request {one}"));
    let young = items(&owner, "from=2026-11-21&by=people").await;
    assert_eq!(young.len(), 1, "{young:?}");
    assert_eq!(young[0]["changes"][0]["table"], "settings");
    assert!(items(&owner, "to=2026-11-20&by=people").await.len() + 1 == people.len());

    for (query, field) in [
        ("event=nothing", "event"),
        ("cause=boredom", "cause"),
        ("cause=request%20nothing", "cause"),
        ("cause=timer%2017", "cause"),
        ("by=nobody-here", "by"),
        ("record=whatever", "record"),
        ("record=tables%201", "record"),
        ("from=soon", "from"),
        ("before=17", "before"),
        ("limit=0", "limit"),
    ] {
        let refused = owner.get(&format!("/api/v1/audit?{query}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{query}");
    }
    assert_eq!(owner.get("/api/v1/audit?before=1.1").await.status, StatusCode::GONE);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_the_audit_join_without_a_gap_and_say_how_far_they_looked() {
    let hq = TestHq::start().await;
    for n in 0..7 {
        rename(&hq, &format!("Name {n}")).await;
    }
    let owner = hq.owner();
    let mut seen = Vec::new();
    let mut query = "limit=3".to_owned();
    loop {
        let page = owner.get(&format!("/api/v1/audit?{query}")).await.json();
        let list = page["items"].as_array().expect("a list");
        seen.extend(list.iter().map(|entry| entry["seq"].as_u64().expect("a number")));
        assert_eq!(page["searched"]["complete"], page["next"].is_null());
        match page["next"].as_str() {
            Some(next) => query = format!("limit=3&before={next}"),
            None => break,
        }
    }
    let head = hq.ws().store.head().seq;
    assert_eq!(seen, (1..=head).rev().collect::<Vec<_>>());
    hq.finish().await;
}

/// State of a record's former versions, newest entry first.
async fn taken(person: &Person, query: &str, table: &str) -> Vec<Value> {
    let all = items(person, query).await;
    let changes = all.iter().flat_map(|entry| entry["changes"].as_array().expect("changes"));
    changes.filter(|one| one["table"] == table).map(|one| one["taken"].clone()).collect()
}

async fn rename_account(system: &Store, name: &'static str) -> Account {
    let all = system.read(|snap| snap.list::<Account>(&Range::all())).expect("accounts");
    let [account] = &all[..] else { panic!("{all:?}") };
    let account = Account { name: name.to_owned(), ..account.clone() };
    let own = account.clone();
    let by = Actor::System(Part::Setup);
    system.write(by, Cause::Setup, move |tx| tx.put(&own)).await.expect("a write");
    account
}

async fn retitle(hq: &TestHq, id: &str, title: &str) {
    let change = json!({ "title": title });
    let changed = hq.owner().json("PATCH", &format!("/api/v1/tasks/{id}"), &change).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn former_versions_are_counted_on_a_page_of_their_own_without_script() {
    let hq = TestHq::start().await;
    let page = hq.owner().get(&format!("{PAGE}/former-versions")).await;
    assert!(page.text.contains("<h1>Former versions</h1>"), "{}", page.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_audits_say_which_former_versions_are_not_kept_and_why() {
    let hq = TestHq::start().await;
    let id = task(&hq, "First title").await["id"].as_str().expect("an id").to_owned();
    retitle(&hq, &id, "Second title").await;
    let (owner, ws, system) = (hq.owner(), hq.ws(), hq.running().app.system.clone());
    let account = rename_account(&system, "Mira L.").await.id;
    let of_task = format!("record=tasks%20{id}");
    let of_account = format!("source=accounts&record=accounts%20{account}");
    let both = [(&of_task, "tasks"), (&of_account, "accounts")];
    let null = Value::Null;
    for (query, table) in both {
        assert_eq!(taken(&owner, query, table).await, [null.clone(), null.clone()], "{query}");
        assert!(
            !owner.get(&format!("{PAGE}?{query}")).await.text.contains("former version redacted")
        );
    }

    let task_key = uuid::Uuid::parse_str(&id).expect("an id").into_bytes();
    let stores = [
        (&ws.store, "tasks", task_key.to_vec()),
        (&system, "accounts", account.uuid().into_bytes().to_vec()),
    ];
    let by = Actor::System(Part::Setup);
    for (store, table, key) in stores {
        let number = store.schema().named(table).expect("a table").number;
        keep::redact(store, (by, Cause::Setup), number, key).await.expect("it is known");
    }
    retitle(&hq, &id, "Third title").await;
    rename_account(&system, "Mira Lindqvist").await;
    for store in [&ws.store, &system] {
        let retention = Actor::System(Part::Retention);
        keep::drop_until(store, retention, store.head().seq).await.expect("it goes");
    }
    for (query, table) in both {
        let told = taken(&owner, query, table).await;
        assert_eq!(told, [json!("retention"), json!("redaction"), null.clone()], "{query}");
        let page = owner.get(&format!("{PAGE}?{query}")).await;
        let lines = page.texts(".audit summary .meta");
        let marked = |line: &&String| line.contains("former version ");
        let ends: Vec<_> =
            lines.iter().filter(marked).map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(ends, [Some("expired"), Some("redacted")], "{lines:?}");
        assert_eq!(page.texts(".audit .table .chip").len(), 2, "{}", page.text);
    }
    drop((ws, system));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_says_when_something_of_it_is_nobody_elses_business() {
    const SAID: &str = "about workspaces you don’t belong to";
    let hq = TestHq::start().await;
    let system = hq.running().app.system.clone();
    let mira = hq.owner().with("x-hq-workspace", "marlow-cargo");
    let made = mira.post("/api/v1/workspaces", &json!({ "name": "Hidden Harbour" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let tom = hq.another("Tom", Some(kernel::Role::Admin)).await;
    let tom = tom.with("x-hq-workspace", "marlow-cargo");
    let accounts = system.read(|snap| snap.list::<Account>(&Range::all())).expect("accounts");
    let places = system.read(|snap| snap.list::<Workspace>(&Range::all())).expect("places");
    let account = accounts.into_iter().find(|one| one.name == "Tom").expect("Tom");
    let place = places.into_iter().find(|one| one.slug == "hidden-harbour").expect("the harbour");
    let both = move |tx: &mut store::WriteTx<'_>| {
        tx.put(&Account { zone: Some("Europe/Oslo".to_owned()), ..account })?;
        tx.put(&Workspace { label: "Another".to_owned(), ..place })?;
        Ok::<_, StoreError>(())
    };
    system.write(Actor::System(Part::Setup), Cause::Setup, both).await.expect("a write");
    let seq = system.head().seq;
    for (person, hidden) in [(&mira, 0), (&tom, 1)] {
        let all = items(person, "source=accounts").await;
        let entry = all.iter().find(|entry| entry["seq"] == seq).expect("the entry");
        assert_eq!(entry["hidden"], hidden);
        assert_eq!(entry["changes"].as_array().map(Vec::len), Some(2 - hidden));
    }
    let page = format!("{PAGE}?source=accounts");
    assert!(tom.get(&page).await.text.contains(SAID));
    assert!(!mira.get(&page).await.text.contains(SAID));
    drop(system);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_tells_entries_in_words_and_keeps_its_filters_in_the_address() {
    let hq = TestHq::start().await;
    task(&hq, "Print the price list").await;
    let page = hq.owner().get(PAGE).await;
    let lines = page.texts(".audit .what");
    assert!(lines.iter().any(|line| line.starts_with("Mira Lindqvist created")), "{lines:?}");
    assert!(page.attrs(".audit .props a", "href").iter().any(|to| to.contains("/tasks/")));
    assert!(page.text.contains("in a browser"));
    let narrow = hq.owner().get(&format!("{PAGE}?by=system&event=&from=")).await;
    assert_eq!(narrow.attr("#f-by option[selected]", "value"), "system");
    assert!(!narrow.texts(".audit .what").iter().any(|line| line.contains("created")));
    let wrong = hq.owner().get(&format!("{PAGE}?record=nonsense")).await;
    assert_eq!(wrong.status, StatusCode::OK);
    assert!(wrong.text_of("#f-record-says").contains("nonsense"));
    let wrong = hq.owner().get(&format!("{PAGE}?to=someday")).await;
    assert!(wrong.text_of("#f-to-says").contains("Write the day as"), "{}", wrong.text);
    assert_eq!(wrong.attr("#f-to", "value"), "someday", "what was typed stays");
    let before = hq.owner().get(&format!("{PAGE}?to=yesterday")).await;
    assert!(!before.text.contains("Write the day as"), "{}", before.text);
    assert!(!before.texts(".audit .what").iter().any(|line| line.contains("created")));
    // Only admins and owners see it.
    let member = hq.another("Tom", Some(kernel::Role::Member)).await;
    assert_eq!(member.get(PAGE).await.status, StatusCode::FORBIDDEN);
    assert_eq!(member.get("/api/v1/audit").await.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_every_entry_in_order_and_none_of_the_values() {
    let hq = TestHq::start().await;
    for n in 0..5 {
        rename(&hq, &format!("A name that is not to leave {n}")).await;
    }
    let reply = hq.owner().get("/api/v1/audit/export").await;
    assert_eq!(reply.header("content-type"), Some("application/jsonl"));
    let lines: Vec<Value> =
        reply.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let seqs: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seqs, (1..=hq.ws().store.head().seq).collect::<Vec<_>>());
    assert!(!reply.text.contains("not to leave"));
    for pair in lines.windows(2) {
        assert_eq!(pair[1]["previous"], pair[0]["hash"], "the chain can be followed outside");
    }
    let page = hq.owner().get(&format!("{PAGE}/export?by=people")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.lines().count() < lines.len() && page.text.lines().count() >= 5);
    assert!(page.header("content-disposition").expect("a name").contains("marlow-cargo-audit"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_redaction_and_retention_work_over_http_together() {
    let hq = TestHq::start().await;
    let made = task(&hq, "A word that must not stay").await;
    let id = made["id"].as_str().expect("an id").to_owned();
    let change = json!({ "title": "A plain title" });
    let changed = hq.owner().json("PATCH", &format!("/api/v1/tasks/{id}"), &change).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let before = verified(&hq.owner()).await;
    assert_eq!(before["workspace"]["faults_count"], 0, "{before}");
    assert_eq!(before["accounts"]["faults_count"], 0, "{before}");

    let owner = hq.owner();
    let form = [("table", "tasks"), ("id", id.as_str()), ("sure", "yes")];
    let refused = owner.form(&format!("{PAGE}/redact"), &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text_of("#f-sure-says").contains("redact"));
    let form = [("table", "tasks"), ("id", id.as_str()), ("sure", "redact")];
    let done = owner.form(&format!("{PAGE}/redact"), &form).await;
    assert_eq!(done.location(), Some(PAGE), "{}", done.text);
    let after = verified(&owner).await;
    let page = owner.get(PAGE).await;
    assert!(page.text.contains("No tampering found"));
    assert_eq!(after["workspace"]["faults_count"], 0, "{after}");
    let images = |found: &Value| found["workspace"]["images"].as_u64().expect("a count");
    assert_eq!(images(&after) + 1, images(&before));
    let told = items(&owner, "event=record.redacted").await;
    assert_eq!(told[0]["events"][0]["name"], "record.redacted");
    assert!(owner.get(PAGE).await.text.contains("removed all former versions of"));
    let nothing = json!({ "table": "tasks", "id": "01890000-0000-7000-8000-000000000000" });
    let unknown = owner.post("/api/v1/audit/redact", &nothing).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{}", unknown.text);

    let keep = json!({ "days": 1, "megabytes": null });
    let kept = owner.json("PUT", "/api/v1/audit/retention", &keep).await;
    assert_eq!(kept.json(), keep, "{}", kept.text);
    let wrong = owner.json("PUT", "/api/v1/audit/retention", &json!({ "days": 0 })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let program = hq.api().await;
    hq.advance_unnoticed(Duration::from_secs(25 * 3_600));
    server::timers::sweep(&hq.running().app).await;
    let swept = verified(&program).await;
    assert_eq!((swept["workspace"]["faults_count"].clone(), images(&swept)), (json!(0), 0));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_work_on_a_running_server_and_on_a_stopped_folder() {
    let mut hq = TestHq::start().await;
    let made = task(&hq, "First title").await;
    let id = made["id"].as_str().expect("an id").to_owned();
    for title in ["Second title", "Third title"] {
        let change = json!({ "title": title });
        hq.owner().json("PATCH", &format!("/api/v1/tasks/{id}"), &change).await;
    }
    let (binary, data) = (Path::new(BINARY), hq.data());
    let off_thread = |arguments: Vec<String>| {
        let data = data.clone();
        tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run_json(binary, &data, &arguments)
        })
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let running = off_thread(words("audit verify")).await.expect("it ends");
    assert_eq!(running["workspace"]["faults_count"], 0);
    let gone = off_thread(words(&format!("redact tasks {id} --yes"))).await.expect("it ends");
    assert_eq!(gone["removed"], 2);
    hq.stop().await;

    let stopped = run_json(binary, &data, &["audit", "verify"]);
    assert_eq!(stopped["workspace"]["faults_count"], 0);
    assert!(stopped["workspace"]["entries"].as_u64() > running["workspace"]["entries"].as_u64());
    let export = run(binary, &data, &["audit", "export"]);
    let text = String::from_utf8(export.stdout).expect("text");
    assert!(text.lines().any(|line| line.contains("record.redacted")));
    assert_eq!(text.lines().count() as u64, stopped["workspace"]["entries"].as_u64().unwrap());
    let accounts = run(binary, &data, &["audit", "export", "--accounts"]);
    assert!(String::from_utf8_lossy(&accounts.stdout).contains("account.signed_in"));
    let unsure = run(binary, &data, &["redact", "tasks", &id]);
    assert_eq!(unsure.status.code(), Some(1));

    // A byte changed on disk.
    let path = data.join("workspaces/marlow-cargo/hq.redb");
    let db = crate::raw::open(path);
    let txn = db.begin_write().expect("a write");
    let tasks = redb::TableDefinition::<&[u8], &[u8]>::new("t0020");
    {
        let mut table = txn.open_table(tasks).expect("a table");
        let key = uuid::Uuid::parse_str(&id).expect("an id");
        let mut row =
            table.get(&key.as_bytes()[..]).expect("a read").expect("a row").value().to_vec();
        let at = row.windows(5).position(|w| w == b"Third").expect("the title");
        row[at] = b'B';
        table.insert(&key.as_bytes()[..], &row[..]).expect("a row");
    }
    txn.commit().expect("a commit");
    drop(db);
    let found = run(binary, &data, &["audit", "verify"]);
    assert_eq!(found.status.code(), Some(1));
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(text.contains("DO NOT MATCH") && text.contains(&id), "{text}");
}
