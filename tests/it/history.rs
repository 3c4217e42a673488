//! History and undo in pages and API, including runs with files and work.

use std::path::Path;

use features::agents::model::Agent;
use features::comments::rules::{self as comments, Reach};
use features::history::model::{FileRevert, RevertState};
use features::history::queries::access;
use features::inbox::model::Item;
use features::runs::model::Run;
use features::tasks::model::Task;
use kernel::{ItemState, Outcome, Role, RunId, TaskStatus};
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::schema;
use store::{Class, Range, ReadExt as _};

use support::hq::{Person, Reply, TestHq};
use support::model::{Gate, Turn};
use support::office::Office;
use support::work;

const HOME: &str = "/w/marlow-cargo";

async fn task(api: &Person, title: &str) -> Value {
    let made = api.post("/api/v1/tasks", &json!({ "title": title })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

async fn change(api: &Person, key: &str, body: Value) {
    let changed = api.json("PATCH", &format!("/api/v1/tasks/{key}"), &body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
}

async fn history(api: &Person, key: &str) -> Vec<Value> {
    let reply = api.get(&format!("/api/v1/history/tasks/{key}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["items"].as_array().expect("items").clone()
}

/// Hidden fields of the undo confirmation form.
fn confirmation(page: &Reply) -> Vec<(String, String)> {
    let names = page.attrs(".confirm-bar input", "name");
    names.into_iter().zip(page.attrs(".confirm-bar input", "value")).collect()
}

async fn confirm(person: &Person, page: &Reply) -> Reply {
    let fields = confirmation(page);
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    person.form(&format!("{HOME}/undo"), &fields).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_reads_every_version_of_a_task_and_undoes_one_of_them() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let key = task(&api, "Compare prices").await["key"].as_str().unwrap().to_owned();
    change(&api, &key, json!({ "title": "Compare leasing prices", "priority": "high" })).await;
    let told = history(&api, &key).await;
    assert_eq!(told.len(), 2);
    assert_eq!((&told[0]["op"], &told[1]["op"]), (&json!("update"), &json!("insert")));
    assert_eq!(told[0]["actor"]["name"], "Mira Lindqvist");
    assert_eq!(told[0]["through"], "with the token “Test”");
    assert_eq!(told[1]["before"], Value::Null);
    let fields = told[0]["fields"].as_array().unwrap();
    let title = fields.iter().find(|field| field["field"] == "title").unwrap();
    assert_eq!(title["before"], "Compare prices");
    assert_eq!(title["after"], "Compare leasing prices");

    let page = api.get(&format!("/api/v1/history/tasks/{key}?limit=1")).await.json();
    let next = page["next"].as_str().expect("there is more");
    let rest = api.get(&format!("/api/v1/history/tasks/{key}?before={next}")).await.json();
    assert_eq!(rest["items"][0], told[1]);
    let (life, _) = next.split_once('.').expect("a cursor");
    for strange in ["1", "x.1", &format!("{life}.1")] {
        let strange = api.get(&format!("/api/v1/history/tasks/{key}?before={strange}")).await;
        assert_eq!(strange.json()["code"], "bad_cursor", "{}", strange.text);
    }
    let other = api.get(&format!("/api/v1/history/tasks/{key}?before=1.1")).await;
    assert_eq!(
        (other.status, &other.json()["code"]),
        (StatusCode::GONE, &json!("unknown_incarnation"))
    );

    let id = told[0]["after"]["id"].as_str().unwrap();
    let seq = told[0]["seq"].as_u64().unwrap();
    let body = json!({ "change": { "seq": seq, "table": "tasks", "id": id } });
    let seen = api.post("/api/v1/undo/preview", &body).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    let seen = seen.json();
    assert_eq!(seen["back"][0]["op"], "update");
    assert_eq!(seen["back"][0]["title"], format!("{key} Compare leasing prices"));
    assert_eq!(history(&api, &key).await.len(), 2, "a preview changes nothing");

    let mut confirmed = body.clone();
    confirmed["basis"] = seen["basis"].clone();
    let keyed = api.clone().with("idempotency-key", "once");
    let done = keyed.post("/api/v1/undo", &confirmed).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(done.json()["back"], 1);
    assert_eq!(keyed.post("/api/v1/undo", &confirmed).await.json(), done.json(), "once only");
    let now = api.get(&format!("/api/v1/tasks/{key}")).await.json();
    assert_eq!((&now["title"], &now["priority"]), (&json!("Compare prices"), &json!("medium")));
    let told = history(&api, &key).await;
    assert_eq!(told[0]["undo_of"], seq);
    let again = api.post("/api/v1/undo", &body).await;
    assert_eq!(
        (again.status, again.json()["code"].clone()),
        (StatusCode::CONFLICT, json!("nothing_to_undo"))
    );

    // Undo of the undo.
    let back = json!({ "entry": done.json()["entry"] });
    assert_eq!(api.post("/api/v1/undo", &back).await.status, StatusCode::OK);
    let now = api.get(&format!("/api/v1/tasks/{key}")).await.json();
    assert_eq!(now["title"], "Compare leasing prices");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_long_versions_ends_early_and_leads_on_to_the_rest() {
    const VERSIONS: usize = 20;
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let key = task(&api, "The handbook").await["key"].as_str().unwrap().to_owned();
    for n in 1..VERSIONS {
        change(&api, &key, json!({ "description": format!("{n} {}", "long ".repeat(12_000)) }))
            .await;
    }
    let (mut seen, mut pages) = (0, 0);
    let mut next = format!("{HOME}/history/tasks/{key}");
    while !next.is_empty() {
        let page = hq.owner().get(&next).await;
        assert_eq!(page.status, StatusCode::OK, "{next}");
        seen += page.attrs(".versions li", "id").iter().filter(|id| id.starts_with("v-")).count();
        pages += 1;
        next = page.attrs(".pager a", "href").pop().unwrap_or_default();
    }
    assert_eq!(seen, VERSIONS, "each once");
    assert!(1 < pages && pages < VERSIONS, "{pages} pages");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_that_took_its_record_away_is_answered_again_by_its_key() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let key = task(&api, "One").await["key"].as_str().unwrap().to_owned();
    let seq = history(&api, &key).await[0]["seq"].clone();
    let body = json!({ "change": { "seq": seq, "table": "tasks", "id": key } });
    let keyed = api.clone().with("idempotency-key", "away");
    let done = keyed.post("/api/v1/undo", &body).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let named = api.get(&format!("/api/v1/tasks/{key}")).await;
    assert_eq!(named.status, StatusCode::NOT_FOUND, "no task is called so any more");
    let again = keyed.post("/api/v1/undo", &body).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, done.json()), "{}", again.text);
    let other = keyed.post("/api/v1/undo", &json!({ "entry": seq })).await;
    assert_eq!(other.status, StatusCode::CONFLICT, "the key says something else: {}", other.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_the_preview_is_named_and_nothing_is_done() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let key = task(&api, "One").await["key"].as_str().unwrap().to_owned();
    change(&api, &key, json!({ "title": "Two" })).await;
    let seq = history(&api, &key).await[0]["seq"].clone();
    let body = json!({ "entry": seq });
    let basis = api.post("/api/v1/undo/preview", &body).await.json()["basis"].clone();
    // An unrelated change does not matter; this one does.
    task(&api, "Elsewhere").await;
    change(&api, &key, json!({ "title": "Three" })).await;
    let stale = json!({ "entry": seq, "basis": basis });
    let refused = api.post("/api/v1/undo", &stale).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["code"], "undo_differs");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("Three") && detail.contains("Mira Lindqvist"), "{detail}");
    let seen = api.post("/api/v1/undo/preview", &body).await.json();
    assert_eq!(seen["back"], json!([]));
    assert_eq!(seen["kept"][0]["code"], "changed");
    assert_eq!(seen["kept"][0]["fields"][0]["field"], "title");
    for (wrong, code) in [
        (json!({}), "undo_unclear"),
        (json!({ "entry": 1, "run": "R-1" }), "undo_unclear"),
        (json!({ "entry": 99_999 }), "entry_not_found"),
        (json!({ "run": "R-77" }), "run_not_found"),
        (json!({ "entry": seq, "basis": "nonsense" }), "bad_basis"),
    ] {
        let reply = api.post("/api/v1/undo", &wrong).await;
        assert_eq!(reply.json()["code"], code, "{wrong}: {}", reply.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_follows_a_change_to_its_history_and_undoes_it_without_script() {
    let hq = TestHq::start().await;
    let (api, mira) = (hq.api().await, hq.owner());
    let key = task(&api, "Write <b>offer</b>").await["key"].as_str().unwrap().to_owned();
    let text = "First line\nSecond line\nThird line\n";
    change(&api, &key, json!({ "description": text, "priority": "urgent" })).await;
    let shown = mira.get(&format!("{HOME}/tasks/{key}")).await;
    let link = shown.attr(".history-fold a.link", "href");
    let page = mira.get(&link).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(page.texts(".versions > ol > li").len(), 2);
    assert!(page.texts("dt").contains(&"Priority".to_owned()), "{:?}", page.texts("dt"));
    assert!(page.texts(".diff ins").contains(&"Second line".to_owned()));
    assert!(!page.text.contains("<b>offer</b>"), "text of people is text");
    let part = mira.clone().htmx("history").get(&link).await;
    assert!(part.text.trim_start().starts_with("<div class=\"versions\""), "{}", part.text);

    let undo = page.attr(".versions > ol > li header a[href*='/undo?']", "href");
    let preview = mira.get(&undo).await;
    assert_eq!(preview.status, StatusCode::OK, "{}", preview.text);
    assert!(preview.texts("h2").contains(&"Will be undone".to_owned()));
    let done = confirm(&mira, &preview).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let entry = mira.get(done.location().expect("the new entry")).await;
    assert!(entry.text_of("#toasts").contains("Undone: one record reverted"), "{}", entry.text);
    assert!(entry.text.contains(", undoing "));
    let now = api.get(&format!("/api/v1/tasks/{key}")).await.json();
    assert_eq!((&now["description"], &now["priority"]), (&json!(""), &json!("medium")));

    // The same from the activity list.
    let activity = mira.get(&format!("{HOME}/activity")).await;
    assert!(activity.text.contains("reverted"), "{}", activity.text);
    let undo = activity.attr("a[aria-label='Undo']", "href");
    let preview = mira.get(&undo).await;
    assert_eq!(confirm(&mira, &preview).await.status, StatusCode::SEE_OTHER);
    let now = api.get(&format!("/api/v1/tasks/{key}")).await.json();
    assert_eq!(now["priority"], "urgent");
    // A preview that became outdated is shown again with a message.
    let stale = mira.get(&undo).await;
    change(&api, &key, json!({ "priority": "low" })).await;
    let again = confirm(&mira, &stale).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_change_may_undo_and_secrets_have_no_values() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let key = task(&api, "One").await["key"].as_str().unwrap().to_owned();
    change(&api, &key, json!({ "title": "Two" })).await;
    let seq = history(&api, &key).await[0]["seq"].clone();
    let settings = json!({ "name": "Marlow Cargo Bikes" });
    assert_eq!(api.json("PATCH", "/api/v1/settings", &settings).await.status, StatusCode::OK);
    let new = json!({ "name": "Own", "kind": "openai", "base_url": "http://127.0.0.1:9", "api_key": "sk-very-secret-0001", "test": false });
    let made = api.post("/api/v1/connections", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let connection = made.json()["id"].as_str().unwrap().to_owned();

    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    assert_eq!(viewer.get(&format!("{HOME}/history/tasks/{key}")).await.status, StatusCode::OK);
    assert_eq!(viewer.get(&format!("{HOME}/undo?entry={seq}")).await.status, StatusCode::FORBIDDEN);
    let shown = viewer.get(&format!("{HOME}/history/tasks/{key}")).await;
    assert!(shown.attrs("a[href*='/undo?']", "href").is_empty());

    let member = hq.another("Mo", Some(Role::Member)).await;
    for hidden in ["connections", "connection_keys"] {
        let path = format!("/api/v1/history/{hidden}/{connection}");
        assert_eq!(member.get(&path).await.status, StatusCode::NOT_FOUND, "{hidden}");
        let reply = api.get(&path).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert!(!reply.text.contains("secret-0001") && !reply.text.contains("enc:v1"));
    }
    let keys = api.get(&format!("/api/v1/history/connection_keys/{connection}")).await.json();
    assert_eq!(keys["items"][0]["missing"], "untold");
    for none in ["sessions", "usage", "nothing"] {
        let path = format!("/api/v1/history/{none}/{connection}");
        assert_eq!(api.get(&path).await.json()["code"], "no_history", "{none}");
    }
    // A record without changes has an empty history, not a missing page.
    let rule = "history/retention/-";
    let none = api.get(&format!("/api/v1/{rule}")).await;
    assert_eq!((none.status, none.json()["items"].clone()), (StatusCode::OK, json!([])));
    let page = hq.owner().get(&format!("{HOME}/{rule}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("History retention"), "{}", page.text);
    // Preview for a member: settings stay, because they are admin-only.
    let told = api.get("/api/v1/history/settings/-").await.json();
    let entry = told["items"][0]["seq"].clone();
    let seen = member.post("/api/v1/undo/preview", &json!({ "entry": entry })).await.json();
    assert_eq!((&seen["back"], &seen["kept"][0]["code"]), (&json!([]), &json!("not_allowed")));
    assert_eq!(api.post("/api/v1/undo", &json!({ "entry": entry })).await.status, StatusCode::OK);
    assert_eq!(api.get("/api/v1/settings").await.json()["name"], "Marlow Cargo");
    hq.finish().await;
}

// ── Runs ──

fn revert_of(office: &Office, run: RunId) -> FileRevert {
    let mut all = office.all::<FileRevert>();
    all.retain(|order| order.run == run);
    all.pop().expect("an order")
}

async fn settled(office: &Office, run: RunId, count: usize) -> FileRevert {
    office
        .until("files to go back", |snap| {
            let mut all: Vec<FileRevert> = snap.list(&Range::all())?;
            all.retain(|order| order.run == run);
            let open = all.iter().any(FileRevert::is_open);
            Ok(all.pop().filter(|_| !open))
        })
        .await;
    let all = office.all::<FileRevert>().into_iter().filter(|order| order.run == run).count();
    assert_eq!(all, count);
    revert_of(office, run)
}

/// A run of Ada: writes two files, creates a subtask for Bo, describes her task, and finishes.
async fn worked(office: &Office) -> (Agent, Task, Run) {
    let ada = office.agent("Ada").await;
    let bo = office.agent_on("Bo", "other").await;
    office.under(&bo, &ada).await;
    let resting = features::agents::rules::pause;
    let id = bo.id;
    office.act(move |tx| resting(tx, id)).await;
    let write =
        |path: &str, text: &str| Turn::call("write", json!({ "path": path, "content": text }));
    office.model.push(write("notes/one.md", "one\n"));
    office.model.push(write("notes/two.md", "two\n"));
    office.model.push(Turn::call("task_create", json!({ "title": "A part", "assignee": "bo" })));
    office.model.push(Turn::call("task_update", json!({ "description": "As I found it." })));
    office
        .model
        .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    let task = office.task("The whole", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done), "{:?}", office.results(run.id));
    (ada, task, run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_run_goes_back_with_its_tasks_its_work_and_its_files() {
    let office = Office::open().await;
    let (ada, task, run) = worked(&office).await;
    let mira = office.hq.owner();
    let page = mira.get(&format!("{HOME}/runs/{}", run.name())).await;
    let preview = mira.get(&page.attr("a[href*='/undo?run=']", "href")).await;
    assert_eq!(preview.status, StatusCode::OK, "{}", preview.text);
    assert!(preview.text.contains("notes/one.md") && preview.text.contains("Will be cancelled"));
    let done = confirm(&mira, &preview).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);

    let now: Task = office.get(task.id);
    assert_eq!((now.status, now.description.as_str()), (TaskStatus::Todo, ""));
    assert_eq!(office.all::<Task>().len(), 1, "the part is gone");
    let items = office.all::<Item>();
    assert!(items.iter().all(|item| item.state != ItemState::Pending), "{items:?}");
    let order = settled(&office, run.id, 1).await;
    assert_eq!((&order.state, order.restored.len()), (&RevertState::Done, 2), "{order:?}");
    assert_eq!(office.file(&ada, "notes/one.md"), None);
    assert!(order.commit.is_some() && order.kept.is_empty());
    let page = mira.get(&format!("{HOME}/runs/{}", run.name())).await;
    assert!(page.text_of("#run-rail").contains("Files reverted"), "{}", page.text);

    // All changes are redone.
    let entry = done.location().unwrap().rsplit('/').next().unwrap().to_owned();
    let preview = mira.get(&format!("{HOME}/undo?entry={entry}")).await;
    assert_eq!(confirm(&mira, &preview).await.status, StatusCode::SEE_OTHER);
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Done);
    assert_eq!(office.all::<Task>().len(), 2);
    settled(&office, run.id, 2).await;
    assert_eq!(office.file(&ada, "notes/one.md").as_deref(), Some("one\n"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_did_since_a_run_stays() {
    let office = Office::open().await;
    let (ada, task, run) = worked(&office).await;
    let part = office.all::<Task>().into_iter().find(|one| one.id != task.id).unwrap();
    office.act(move |tx| comments::add(tx, part.id, "I will look at this.", Reach::NoteOnly)).await;
    let folder = office.ws().agent_folder(&ada.slug);
    std::fs::write(folder.join("notes/two.md"), "two, and more of mine\n").unwrap();
    let api = office.hq.api().await;
    let body = json!({ "run": run.name() });
    let seen = api.post("/api/v1/undo/preview", &body).await.json();
    assert_eq!(seen["kept"][0]["code"], "referenced", "{seen}");
    let done = api.post("/api/v1/undo", &body).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(office.all::<Task>().len(), 2, "the part has a comment of a person");
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Todo);
    let order = settled(&office, run.id, 1).await;
    assert_eq!(order.restored, ["notes/one.md"]);
    assert_eq!(order.kept[0].path, "notes/two.md");
    assert!(order.kept[0].why.contains("changed since"), "{order:?}");
    let left = office.file(&ada, "notes/two.md");
    assert_eq!(left.as_deref(), Some("two, and more of mine\n"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_goes_on_is_stopped_on_the_way_to_its_undo() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::call("task_update", json!({ "description": "Begun." })));
    office.model.push(Turn::text("Thinking.").behind(&gate));
    let task = office.task("Long work", &ada).await;
    gate.reached().await;
    let run: Run = office.get(office.run_on(task.id).await);
    let api = office.hq.api().await;
    let refused = api.post("/api/v1/undo", &json!({ "run": run.name() })).await;
    assert_eq!(refused.json()["code"], "run_live");
    let mira = office.hq.owner();
    let stop = format!("{HOME}/runs/{}/stop", run.name());
    let stopped = mira.form(&stop, &[("then", "undo")]).await;
    assert_eq!(
        stopped.location(),
        Some(&*format!("{HOME}/undo?run={}", run.name())),
        "{}",
        stopped.text
    );
    let preview = mira.get(stopped.location().unwrap()).await;
    assert_eq!(confirm(&mira, &preview).await.status, StatusCode::SEE_OTHER);
    let now: Task = office.get(task.id);
    assert_eq!((now.description.as_str(), now.status), ("", TaskStatus::Todo));
    gate.open();
    office.hq.finish().await;
}

/// Pages that offer the history of each kind of record; none for kinds that appear as part of another record.
const OFFERED: &[(&str, &str)] = &[
    ("tasks", "src/interfaces/work/tasks/pages/show.rs"),
    ("comments", "src/features/comments/queries/show.rs"),
    ("reactions", ""),
    ("task_links", ""),
    ("streams", "src/interfaces/work/streams/pages.rs"),
    ("labels", "src/kit/pages.rs"),
    ("task_labels", ""),
    ("task_relations", ""),
    ("series", "src/interfaces/work/tasks/pages/recurring.rs"),
    ("occurrences", ""),
    ("task_templates", "src/interfaces/work/tasks/pages/templates.rs"),
    ("task_rules", "templates/tasks/habits.html"),
    ("views", "src/interfaces/work/tasks/pages/frame.rs"),
    ("contacts", "src/crm/pages/show.rs"),
    ("organizations", "src/crm/pages/show.rs"),
    ("records", "src/crm/pages/show.rs"),
    ("collections", "src/crm/pages/collections.rs"),
    ("fields", ""),
    ("interactions", ""),
    ("suggestions", ""),
    ("knowledge_items", "src/knowledge/pages/show.rs"),
    ("knowledge_folders", ""),
    ("knowledge_bodies", ""),
    ("knowledge_versions", ""),
    ("knowledge_suggestions", ""),
    ("knowledge_marks", ""),
    ("vector_sources", ""),
    ("sources", "src/sources/pages/show.rs"),
    ("source_items", ""),
    ("secrets", "src/vault/pages/one.rs"),
    ("secret_masks", ""),
    ("channels", "src/kit/pages.rs"),
    ("search_engines", "src/kit/pages.rs"),
    ("skills", "src/kit/pages.rs"),
    ("skill_lists", "src/kit/pages.rs"),
    ("channel_people", "src/kit/pages.rs"),
    ("channel_rooms", "src/kit/pages.rs"),
    ("channel_routes", "src/kit/pages.rs"),
    ("mcp_servers", "src/kit/pages.rs"),
    ("mcp_tools", "src/kit/pages.rs"),
    ("gateways", "src/gateways/pages/show.rs"),
    ("agent_places", ""),
    ("deliverables", "src/interfaces/work/deliverables/pages.rs"),
    ("deliverable_versions", ""),
    ("reviews", ""),
    ("task_files", "src/interfaces/work/files/pages.rs"),
    ("agents", "src/interfaces/agents/agents/pages/settings.rs"),
    ("agent_reach", "src/interfaces/agents/agents/pages/settings.rs"),
    ("agent_browsers", "src/interfaces/agents/browsers/pages.rs"),
    ("browser_policies", "src/interfaces/agents/browsers/pages.rs"),
    ("trust_modes", "src/interfaces/agents/trust/behaviour.rs"),
    ("permissions", ""),
    ("inbox_paces", "src/interfaces/agents/agents/pages/settings.rs"),
    ("routines", "src/interfaces/agents/routines/pages/show.rs"),
    ("routine_rules", "src/interfaces/agents/routines/pages/list.rs"),
    ("members", "src/server/people/pages.rs"),
    ("people", "templates/workspace/members.html"),
    ("settings", "templates/workspace/general.html"),
    ("brand", "templates/workspace/general.html"),
    ("retention", "templates/audit/show.html"),
    ("mail_settings", "templates/notifications/mail.html"),
    ("connections", "src/interfaces/account/connections/pages/edit.rs"),
    ("connection_windows", ""),
    ("model_fallbacks", "src/interfaces/account/connections/pages/list.rs"),
    ("usual_thinking", "templates/connections/all.html"),
    ("subagent_limits", "templates/workspace/general.html"),
    ("run_limits", "src/interfaces/agents/agents/pages/settings.rs"),
    ("budgets", "src/interfaces/account/usage/pages/budgets.rs"),
    ("prices", "src/interfaces/account/usage/pages/prices.rs"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_with_a_history_is_named_by_the_api_and_offered_on_a_page() {
    let hq = TestHq::start().await;
    let document = hq.owner().get("/api/v1/openapi.json").await.json();
    let told = document["paths"]["/api/v1/history/{table}/{id}"]["get"].to_string();
    let told: Vec<_> = told.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let (schema, root) = (schema::workspace(), Path::new(env!("CARGO_MANIFEST_DIR")));
    for info in schema.tables() {
        if !access::is_listed(info.number) {
            continue;
        }
        assert!(
            told.contains(&info.name),
            "{}: name it in interfaces/insights/history/api.rs",
            info.name
        );
        if info.class() != Some(Class::Tracked) {
            continue;
        }
        let line = OFFERED.iter().find(|(name, _)| *name == info.name);
        let (_, place) = line.unwrap_or_else(|| panic!("{}: say where it is offered", info.name));
        if place.is_empty() {
            continue;
        }
        let text = std::fs::read_to_string(root.join(place)).expect("a file of the project");
        let ways = [
            format!("history/{}/", info.name),
            "history::href::<".into(),
            "history::path(".into(),
            "history::href_if_any::<".into(),
        ];
        assert!(ways.iter().any(|way| text.contains(way)), "{}: {place}", info.name);
    }
    for (name, _) in OFFERED {
        assert!(schema.named(name).is_some(), "{name} is no kind any more");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_and_a_view_lead_to_their_history() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let labels = format!("{HOME}/settings/labels");
    let made = owner.form(&labels, &[("name", "Launch"), ("colour", ""), ("description", "")]);
    assert!(made.await.status.is_redirection());
    let edit = format!("{labels}?edit=Launch");
    let of_label = owner.get(&edit).await.attr("#form .history-fold a", "href");
    assert!(of_label.starts_with(&format!("{HOME}/history/labels/")), "{of_label}");
    let made = owner.form(&format!("{HOME}/views"), &[("noun", "tasks"), ("name", "Mine")]).await;
    let view = made.location().expect("its page").to_owned();
    let links = owner.get(&view).await.attrs("#view-menu a", "href");
    let of_view = links.first().expect("its history").clone();
    assert!(of_view.starts_with(&format!("{HOME}/history/views/")), "{of_view}");
    for (path, name) in [(of_label, "Launch"), (of_view, "Mine")] {
        let page = owner.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text.contains(name), "{path}: {}", page.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_runs_have_a_history_where_they_are_set() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    work::agent(&hq, "Ada").await;
    let places =
        [("/settings/general", "/settings/limits"), ("/agents/ada/settings", "/agents/ada/limits")];
    for (page, to) in places {
        let page = format!("{HOME}{page}");
        let before = owner.get(&page).await.attrs(".history-fold a", "href").len();
        for calls in ["51", "52"] {
            let saved = owner.form(&format!("{HOME}{to}"), &[("calls", calls)]).await;
            assert_eq!(saved.status, StatusCode::SEE_OTHER, "{to}: {}", saved.text);
        }
        let links = owner.get(&page).await.attrs(".history-fold a", "href");
        assert_eq!(links.len(), before + 1, "{links:?}");
        let link = links.iter().find(|link| link.contains("run_limits")).expect("it is offered");
        let past = owner.get(link).await;
        assert_eq!(past.texts(".versions > ol > li").len(), 2, "{}", past.text);
        assert!(["Run limits", "51", "52"].iter().all(|word| past.text.contains(word)));
    }
    hq.finish().await;
}
