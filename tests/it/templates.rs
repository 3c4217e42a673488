//! Task templates over HTTP: rejections, preview, and atomic creation of tasks.

use features::inbox::model::Item;
use features::tasks::model::TASKS;
use features::tasks::rules::templates as rules;
use features::tasks::rules::templates::Spawn;
use kernel::{Actor, Cause, Part};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Range, ReadExt as _};

use support::hq::TestHq;

fn launch() -> Value {
    json!({
        "name": "Launch",
        "description": "What a launch needs",
        "items": [
            { "ref": "brief", "title": "Write the brief", "priority": "high", "labels": ["Launch"] },
            { "ref": "post", "title": "Write the post", "blocked_by": ["brief"],
              "assignee_role": "ada", "labels": ["launch"] },
            { "ref": "mail", "title": "Send the mail", "blocked_by": ["brief", "post"],
              "assignee_role": "sender" },
        ],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_kept_changed_and_what_is_wrong_is_named() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let made = api.post("/api/v1/task-templates", &launch()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.json()["roles"], json!(["ada", "sender"]));
    let twice = api.post("/api/v1/task-templates", &launch()).await;
    assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(twice.json()["errors"][0]["field"], "name");
    let refused = |items: Value| {
        let api = api.clone();
        async move {
            let body = json!({ "name": "Other", "items": items });
            let reply = api.post("/api/v1/task-templates", &body).await;
            assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", reply.text);
            reply.json()["errors"][0]["field"].as_str().unwrap_or_default().to_owned()
        }
    };
    let circle = json!([
        { "ref": "a", "title": "A", "blocked_by": ["b"] },
        { "ref": "b", "title": "B", "blocked_by": ["a"] },
    ]);
    assert_eq!(refused(circle).await, "items[0].blocked_by");
    let unknown = json!([{ "ref": "a", "title": "A", "blocked_by": ["z"] }]);
    assert_eq!(refused(unknown).await, "items[0].blocked_by");
    let twins = json!([{ "ref": "a", "title": "A" }, { "ref": "a", "title": "B" }]);
    assert_eq!(refused(twins).await, "items[1].ref");
    assert_eq!(refused(json!([{ "title": " " }])).await, "items[0].title");
    assert_eq!(refused(json!([])).await, "items");

    let path = "/api/v1/task-templates/launch";
    let change = json!({ "name": "Big launch" });
    let changed = api.json("PATCH", path, &change).await;
    assert_eq!(changed.json()["items"].as_array().map(Vec::len), Some(3), "{}", changed.text);
    assert_eq!(api.get(path).await.status, StatusCode::NOT_FOUND, "it has another name now");
    let gone = api.json("DELETE", "/api/v1/task-templates/big launch", &json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_says_of_which_template_it_was_made() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    api.post("/api/v1/task-templates", &launch()).await;
    api.post("/api/v1/tasks", &json!({ "title": "Water the plants" })).await;
    let made = api.post("/api/v1/task-templates/launch/spawn", &json!({})).await.json();
    let path = format!("/api/v1/tasks/{}", made["tasks"][0]["key"].as_str().expect("a key"));
    assert_eq!(api.get(&path).await.json()["template"], "Launch");
    let all = api.get("/api/v1/tasks?sort=created").await.json();
    let names: Vec<_> =
        all["items"].as_array().expect("tasks").iter().map(|one| &one["template"]).collect();
    assert_eq!(names.iter().filter(|name| **name == "Launch").count(), 3, "{all:#}");
    assert_eq!(names.iter().filter(|name| name.is_null()).count(), 1, "{all:#}");
    // The response has the template's current name, and none once it is deleted.
    api.json("PATCH", "/api/v1/task-templates/launch", &json!({ "name": "Big launch" })).await;
    assert_eq!(api.get(&path).await.json()["template"], "Big launch");
    api.json("DELETE", "/api/v1/task-templates/big launch", &json!({})).await;
    let task = api.get(&path).await.json();
    assert_eq!(task.get("template"), Some(&Value::Null), "{task:#}");
    // The API document has the field, too.
    let document = api.get("/api/v1/openapi.json").await.json();
    let answer = &document["paths"]["/api/v1/tasks/{task}"]["get"]["responses"]["200"];
    let fields = &answer["content"]["application/json"]["schema"]["properties"];
    assert_eq!(fields["template"]["type"], "string", "{answer:#}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_nobody_has_is_a_warning_and_nobody_is_woken() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    api.post("/api/v1/task-templates", &launch()).await;
    let made = api.post("/api/v1/task-templates/launch/spawn", &json!({})).await.json();
    assert_eq!(made["tasks"].as_array().map(Vec::len), Some(3));
    assert_eq!(made["warnings"].as_array().map(Vec::len), Some(2), "{made:#}");
    assert_eq!(made["tasks"][0]["template"], "Launch");
    let items = hq.ws().read(|snap| snap.list::<Item>(&Range::all())).unwrap();
    assert!(items.is_empty());
    let nowhere = json!({ "stream": "nowhere" });
    let refused = api.post("/api/v1/task-templates/launch/spawn", &nowhere).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_writes_a_template_looks_at_its_steps_and_makes_its_tasks() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let home = "/w/marlow-cargo/settings/task-templates";
    assert!(mira.get(home).await.text.contains("No templates yet"));
    let form = [
        ("name", "Monthly close"),
        ("template_description", "Each month"),
        ("title_1", "Collect receipts"),
        ("priority_1", "high"),
        ("title_2", ""),
        ("title_3", "Write the report"),
        ("after_3", "1, 2"),
        ("labels_3", "money, close"),
    ];
    let made = mira.form(home, &form).await;
    let page = made.location().expect("its page").to_owned();
    let shown = mira.get(&page).await;
    assert_eq!(shown.attr("#f-name", "value"), "Monthly close");
    assert_eq!(shown.attr("#f-title_1", "value"), "Collect receipts");
    assert_eq!(shown.attr("#f-title_2", "value"), "Write the report", "the empty row is gone");
    assert_eq!(shown.attr("#f-after_2", "value"), "1");
    // A cycle is refused, and nothing typed is lost.
    let circle = [
        ("name", "Monthly close"),
        ("ref_1", "a"),
        ("title_1", "Collect all receipts"),
        ("after_1", "2"),
        ("ref_2", "b"),
        ("title_2", "Write the report"),
        ("after_2", "1"),
    ];
    let refused = mira.form(&page, &circle).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.attr("#f-title_1", "value"), "Collect all receipts");
    assert!(refused.text.contains("blocks itself"), "{}", refused.text);

    let id = page.rsplit('/').next().expect("an id");
    let preview = format!("/w/marlow-cargo/tasks/from-template/{id}");
    let list = mira.get("/w/marlow-cargo/tasks/from-template").await;
    assert!(list.text.contains("2 tasks with dependencies"), "{}", list.text);
    let steps = mira.get(&preview).await;
    assert_eq!(steps.texts(".steps-graph h2"), ["Step 1", "Step 2"]);
    assert!(steps.text.contains("after Collect receipts"), "{}", steps.text);
    let made = mira.form(&preview, &[("stream", "")]).await;
    assert_eq!(made.location(), Some("/w/marlow-cargo/tasks"), "{}", made.text);
    let api = hq.api().await;
    let tasks = api.get("/api/v1/tasks").await.json();
    assert_eq!(tasks["items"].as_array().map(Vec::len), Some(2));
    mira.form(&format!("{page}/delete"), &[]).await;
    assert_eq!(mira.get(&page).await.status, StatusCode::NOT_FOUND);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_tasks_with_eighty_relations_are_one_piece_of_work() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let items: Vec<Value> = (0..50)
        .map(|n: usize| {
            let mut before: Vec<usize> =
                [1, 7].iter().filter_map(|back| n.checked_sub(*back)).collect();
            before.truncate(if n < 19 { 1 } else { 2 });
            let before: Vec<String> = before.iter().map(|n| format!("t{n}")).collect();
            json!({ "ref": format!("t{n}"), "title": format!("Task {n}"), "blocked_by": before })
        })
        .collect();
    let relations: usize =
        items.iter().map(|item| item["blocked_by"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(relations, 80);
    let made = api.post("/api/v1/task-templates", &json!({ "name": "All", "items": items })).await;
    let id = made.json()["id"].as_str().expect("an id").parse().expect("an id");
    let ws = hq.ws();
    let before = ws.store.head().seq;
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let spawned = ws.write(&by, move |tx| rules::spawn(tx, id, &Spawn::default())).await.unwrap();
    assert_eq!(spawned.tasks.len(), 50);
    let entries = ws.store.entries_after(before, usize::MAX).expect("the feed");
    let tasks = entries
        .iter()
        .map(|entry| entry.changes.iter().filter(|change| change.table == TASKS.number).count());
    let tasks: Vec<usize> = tasks.filter(|count| 0 < *count).collect();
    assert_eq!(tasks, [50], "all of them in one entry");
    drop(ws);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_found_by_the_template_that_they_were_made_from() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let titles = async |term: &str| {
        let reply = api.get(&format!("/api/v1/tasks?q={term}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{term}: {}", reply.text);
        let items = reply.json()["items"].as_array().expect("a list").clone();
        let title = |one: &Value| one["title"].as_str().expect("a title").to_owned();
        let mut titles: Vec<_> = items.iter().map(title).collect();
        titles.sort();
        titles
    };
    api.post("/api/v1/task-templates", &launch()).await;
    let fair = json!({ "name": "Trade fair", "items": [{ "title": "Book the stand" }] });
    api.post("/api/v1/task-templates", &fair).await;
    let body = json!({ "title": "Buy flowers" });
    assert_eq!(api.post("/api/v1/tasks", &body).await.status, StatusCode::CREATED);
    for name in ["launch", "trade fair"] {
        let made = api.post(&format!("/api/v1/task-templates/{name}/spawn"), &json!({})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    let launch = ["Send the mail", "Write the brief", "Write the post"];
    assert_eq!(titles("template:LAUNCH").await, launch);
    assert_eq!(titles("template:%22trade%20fair%22").await, ["Book the stand"]);
    assert_eq!(titles("template:launch,%22Trade%20fair%22%20priority:high").await, [launch[1]]);
    assert_eq!(titles("-template:launch").await, ["Book the stand", "Buy flowers"]);
    assert_eq!(titles("template:none").await, ["Buy flowers"]);
    assert_eq!(titles("template:any").await.len(), 4);
    let refused = api.get("/api/v1/tasks?q=template:lunch").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("did you mean Launch?"), "{}", refused.text);
    let offered = hq.owner().get("/w/marlow-cargo/tasks/complete?q=template:tr&at=11").await;
    assert!(offered.text.contains("Trade fair"), "{}", offered.text);

    // A deleted template has no tasks.
    let gone = api.json("DELETE", "/api/v1/task-templates/trade fair", &json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    assert_eq!(titles("template:any").await, launch);
    hq.finish().await;
}
