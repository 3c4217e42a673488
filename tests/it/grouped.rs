//! Streams, labels, relations and manual order, through the API.

use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Reply, TestHq};

fn ok(reply: &Reply) -> Value {
    assert!(reply.status.is_success(), "{} {}", reply.status, reply.text);
    reply.json()
}

fn code(reply: &Reply) -> (StatusCode, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_grouped_by_streams_and_labels() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let body = json!({ "name": "Launch", "goal": "Sell **200**", "lead": "me", "target_date": "2026-12-24" });
    let stream = ok(&api.post("/api/v1/streams", &body).await);
    assert_eq!(stream["lead"]["kind"], "person");
    let wrong = api.post("/api/v1/streams", &json!({ "name": "launch" })).await;
    assert_eq!(code(&wrong), (StatusCode::UNPROCESSABLE_ENTITY, "stream_taken".into()));
    let bad = api.post("/api/v1/streams", &json!({ "name": "B", "target_date": "soon" })).await;
    assert_eq!(bad.json()["errors"][0]["field"], "target_date", "{}", bad.text);

    let body = json!({
        "title": "One", "stream": "launch", "labels": ["Bug", "idea"], "start_at": "2026-11-20",
        "due_at": "2026-11-25T10:00:00Z",
    });
    let task = ok(&api.post("/api/v1/tasks", &body).await);
    assert_eq!(task["stream"], "Launch");
    assert_eq!(task["labels"], json!(["Bug", "idea"]));
    assert_eq!(task["due_has_time"], true);
    let late = json!({ "start_at": "2027-01-01" });
    let refused = api.json("PATCH", "/api/v1/tasks/MC-1", &late).await;
    assert_eq!(refused.json()["errors"][0]["field"], "start_at", "{}", refused.text);
    // A typing error is reported and deletes nothing.
    for (body, field) in [
        (json!({ "due_at": "9999-12-31" }), "due_at"),
        (json!({ "due_at": "soon" }), "due_at"),
        (json!({ "start_at": "20261-11-20" }), "start_at"),
        (json!({ "title": "\u{200b}\u{200b}" }), "title"),
    ] {
        let refused = api.json("PATCH", "/api/v1/tasks/MC-1", &body).await;
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}: {}", refused.text);
    }
    let kept = ok(&api.get("/api/v1/tasks/MC-1").await);
    assert_eq!(kept["due_at"], "2026-11-25T10:00:00Z");
    assert_eq!(kept["series"], json!(null));
    for (path, body) in
        [("streams", json!({ "name": "None" })), ("labels", json!({ "name": "any" }))]
    {
        let refused = api.post(&format!("/api/v1/{path}"), &body).await;
        assert!(refused.text.contains("is reserved in filters"), "{}", refused.text);
    }
    let part = ok(&api.post("/api/v1/tasks", &json!({ "title": "Part", "parent": "MC-1" })).await);
    assert_eq!(part["stream"], "Launch");
    let out = json!({ "stream": null, "tags": ["BUG", "new"] });
    let changed = ok(&api.json("PATCH", "/api/v1/tasks/MC-2", &out).await);
    assert_eq!((&changed["stream"], &changed["labels"]), (&json!(null), &json!(["Bug", "new"])));

    let count = |list: Value| list["items"].as_array().map(Vec::len);
    for (query, found) in [
        ("stream=Launch", 1),
        ("stream=none", 1),
        ("label=bug", 2),
        ("label=idea,new", 2),
        ("label=idea", 1),
        ("blocked=false", 2),
    ] {
        let list = ok(&api.get(&format!("/api/v1/tasks?{query}")).await);
        assert_eq!(count(list), Some(found), "{query}");
    }
    assert_eq!(api.get("/api/v1/tasks?label=nothing").await.status, StatusCode::NOT_FOUND);
    let shown = ok(&api.get("/api/v1/streams/Launch").await);
    assert_eq!(shown["tasks"]["todo"], 1);

    let marked = json!({ "add": ["third"], "remove": ["bug"] });
    let marked = ok(&api.post("/api/v1/tasks/1/labels", &marked).await);
    let names: Vec<_> =
        marked["items"].as_array().into_iter().flatten().map(|l| &l["name"]).collect();
    assert_eq!(names, ["idea", "third"]);
    let renamed = json!({ "name": "Ideas", "colour": "c3" });
    let label = ok(&api.json("PATCH", "/api/v1/labels/idea", &renamed).await);
    assert_eq!((label["name"].as_str(), label["colour"].as_str()), (Some("Ideas"), Some("c3")));
    let own = json!({ "colour": "#1F7" });
    assert_eq!(ok(&api.json("PATCH", "/api/v1/labels/Ideas", &own).await)["colour"], "#11ff77");
    let named = json!({ "colour": "Teal" });
    assert_eq!(ok(&api.json("PATCH", "/api/v1/labels/third", &named).await)["colour"], "c7");
    let beige = api.json("PATCH", "/api/v1/labels/third", &json!({ "colour": "beige" })).await;
    assert_eq!(beige.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", beige.text);
    ok(&api.json("DELETE", "/api/v1/labels/third", &json!({})).await);
    assert_eq!(count(ok(&api.get("/api/v1/tasks/1/labels").await)), Some(1));

    let path = format!("/api/v1/streams/{}", stream["id"].as_str().expect("an id"));
    ok(&api.json("PATCH", &path, &json!({ "archived": true, "goal": "Less" })).await);
    assert_eq!(count(ok(&api.get("/api/v1/streams").await)), Some(0));
    assert_eq!(count(ok(&api.get("/api/v1/streams?archived=true").await)), Some(1));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_takes_any_colour_and_is_drawn_in_inks_that_can_be_read() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let page = "/w/marlow-cargo/settings/labels";
    let wrong = [("name", "Moss"), ("colour", "own"), ("own", "beige")];
    let refused = mira.form(page, &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert_eq!(refused.attr("#f-own", "value"), "beige", "what was typed stays");
    assert!(refused.text.contains("Enter a colour such as #1f7a5c."), "{}", refused.text);

    mira.form(page, &[("name", "Moss"), ("colour", "own"), ("own", "#006644")]).await;
    mira.form(page, &[("name", "Sky"), ("colour", "c9"), ("own", "#006644")]).await;
    let kept = ok(&api.get("/api/v1/labels/Moss").await);
    assert_eq!(kept["colour"], "#006644");
    let drawn = mira.get(page).await.attrs("#all-labels .chip", "data-c");
    assert!(
        drawn[0].starts_with("r0 g6 b4 x"),
        "as it is in the light, lighter in the dark: {drawn:?}"
    );
    assert_eq!(drawn[1], "blue", "one that has a name keeps its look");
    let id = kept["id"].as_str().expect("an id");
    let edit = mira.get(&format!("{page}?edit={id}")).await;
    assert_eq!(edit.attr("#f-own", "value"), "#006644");
    assert_eq!(edit.attr("[name=colour][checked]", "value"), "own");

    ok(&api.post("/api/v1/tasks", &json!({ "title": "Mow", "labels": ["Moss"] })).await);
    let list = mira.get("/w/marlow-cargo/tasks").await;
    assert_eq!(list.attrs(".labels .chip", "data-c"), drawn[..1]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_tied_to_each_other_and_put_in_order() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    for title in ["One", "Two", "Three"] {
        ok(&api.post("/api/v1/tasks", &json!({ "title": title })).await);
    }
    let tie = |kind: &str, other: &str| json!({ "kind": kind, "other": other });
    let path = "/api/v1/tasks/MC-1/relations";
    ok(&api.post(path, &tie("blocked_by", "MC-2")).await);
    ok(&api.post(path, &tie("blocks", "MC-3")).await);
    let all = ok(&api.post(path, &tie("relates_to", "3")).await);
    for (kind, key) in [("blocked_by", "MC-2"), ("blocks", "MC-3"), ("relates_to", "MC-3")] {
        assert_eq!(all[kind][0]["key"], key, "{all}");
    }
    let circle = api.post("/api/v1/tasks/MC-2/relations", &tie("blocked_by", "MC-3")).await;
    assert_eq!(code(&circle), (StatusCode::UNPROCESSABLE_ENTITY, "wait_cycle".into()));
    let unknown = api.post(path, &tie("blocks", "MC-99")).await;
    assert_eq!(unknown.json()["errors"][0]["field"], "other", "{}", unknown.text);
    let blocked = ok(&api.get("/api/v1/tasks?blocked=true").await);
    assert_eq!(blocked["items"].as_array().map(Vec::len), Some(2));
    ok(&api.json("PATCH", "/api/v1/tasks/MC-2", &json!({ "status": "done" })).await);
    assert_eq!(ok(&api.get("/api/v1/tasks/MC-1").await)["blocked_by"], json!([]));
    let id = all["relates_to"][0]["id"].as_str().expect("an id").to_owned();
    let left = ok(&api.json("DELETE", &format!("{path}/{id}"), &json!({})).await);
    assert_eq!(left["relates_to"], json!([]));
    assert_eq!(api.json("DELETE", &format!("{path}/{id}"), &json!({})).await.status, 404);

    let moved = json!({ "before": "MC-1" });
    ok(&api.post("/api/v1/tasks/MC-3/place", &moved).await);
    let list = ok(&api.get("/api/v1/tasks?sort=manual").await);
    let keys: Vec<_> = list["items"].as_array().into_iter().flatten().map(|t| &t["key"]).collect();
    assert_eq!(keys, ["MC-3", "MC-1", "MC-2"]);
    let nowhere = api.post("/api/v1/tasks/MC-3/place", &json!({})).await;
    assert_eq!(nowhere.status, StatusCode::UNPROCESSABLE_ENTITY);
    let nobody = api.post("/api/v1/tasks/MC-3/start", &json!({})).await;
    assert_eq!(code(&nobody), (StatusCode::CONFLICT, "nobody_begins".into()));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_wait_in_no_circle_of_relations_and_parts() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    for title in ["Task", "Whole", "Other"] {
        ok(&api.post("/api/v1/tasks", &json!({ "title": title })).await);
    }
    let tie = |kind: &str, other: &str| json!({ "kind": kind, "other": other });
    let under = |parent: &str| json!({ "parent": parent });
    let refused = |reply: &Reply, code: &str, field: &str| {
        let told = reply.json();
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
        assert_eq!((&told["code"], &told["errors"][0]["field"]), (&json!(code), &json!(field)));
    };
    ok(&api.post("/api/v1/tasks/MC-1/relations", &tie("blocked_by", "MC-2")).await);
    let twice = [("kind", "blocked_by"), ("other", "MC-2")];
    let twice = hq.owner().htmx("ties").form("/w/marlow-cargo/tasks/MC-1/tie", &twice).await;
    let told = twice.header("hx-trigger").unwrap_or_default();
    assert!(told.contains("already"), "{told}");
    let part = api.json("PATCH", "/api/v1/tasks/MC-1", &under("MC-2")).await;
    refused(&part, "part_cycle", "parent");
    assert!(part.text.contains("MC-1 waits for MC-2"), "{}", part.text);
    // The page rejects it as well.
    let typed = [("kind", "part_of"), ("other", "MC-2")];
    let page = hq.owner().form("/w/marlow-cargo/tasks/MC-1/tie", &typed).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);

    // MC-1 waits for MC-2, which waits for its subtask MC-3.
    ok(&api.json("PATCH", "/api/v1/tasks/MC-3", &under("MC-2")).await);
    let around = api.post("/api/v1/tasks/MC-3/relations", &tie("blocked_by", "MC-1")).await;
    refused(&around, "wait_cycle", "other");
    assert!(around.text.contains("MC-2 waits for its subtask MC-3"), "{}", around.text);
    let around = api.post("/api/v1/tasks/MC-1/relations", &tie("blocks", "MC-3")).await;
    refused(&around, "wait_cycle", "other");
    // A new subtask has no dependencies, so it may be created anywhere.
    ok(&api.post("/api/v1/tasks", &json!({ "title": "New", "parent": "MC-1" })).await);
    // A subtask may block its parent indirectly: it can start anyway.
    ok(&api.post("/api/v1/tasks", &json!({ "title": "Blocker" })).await);
    ok(&api.post("/api/v1/tasks/MC-2/relations", &tie("blocked_by", "MC-5")).await);
    ok(&api.post("/api/v1/tasks/MC-5/relations", &tie("blocked_by", "MC-3")).await);
    assert_eq!(ok(&api.get("/api/v1/tasks/MC-3").await)["blocked_by"], json!([]));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_groups_and_ties_tasks_on_their_pages() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let base = "/w/marlow-cargo";
    let new = [("name", "Launch"), ("goal", "Sell **200**"), ("lead", "me"), ("colour", "c6")];
    let made = mira.form(&format!("{base}/streams"), &new).await;
    let stream = made.location().expect("the stream's page").to_owned();
    let page = mira.get(&stream).await;
    assert_eq!(page.text_of(".record-title"), "Launch");
    assert!(page.text.contains("<strong>200</strong>"), "{}", page.text);
    let again = mira.form(&format!("{base}/streams"), &[("name", "launch")]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(again.text.contains("choose another name"));
    let saved = mira.form(&stream, &[("name", "Launch"), ("target_date", "soon")]).await;
    assert!(saved.text.contains("Write the day as"), "{}", saved.status);
    assert_eq!(saved.attr("#f-target_date", "value"), "soon", "what was typed stays");
    let kept = mira.form(&stream, &[("name", "Launch"), ("target_date", "24 Dec 2031")]).await;
    assert!(kept.location().is_some(), "{}", kept.text);
    let page = mira.get(&stream).await;
    assert_eq!(page.attr("#f-target_date", "value"), "24 Dec 2031");

    let id = stream.rsplit('/').next().expect("an id").to_owned();
    let fields = [
        ("title", "One"),
        ("stream", id.as_str()),
        ("labels", "bug, idea"),
        ("start", "2026-11-01"),
    ];
    assert!(mira.form(&format!("{base}/tasks"), &fields).await.location().is_some());
    mira.form(&format!("{base}/tasks"), &[("title", "Two words")]).await;
    let task = format!("{base}/tasks/MC-1");
    let page = mira.get(&task).await;
    let chips = page.texts("#task-props .wrap .chip");
    assert_eq!(chips, ["bug", "idea"]);
    assert!(page.text_of("#task-props").contains("Launch"));
    mira.form(&format!("{task}/labels"), &[("label", "-bug")]).await;
    mira.form(&format!("{task}/labels"), &[("names", "later, Idea")]).await;
    let page = mira.get(&task).await;
    assert_eq!(page.texts("#task-props .wrap .chip"), ["idea", "later"]);

    mira.form(&format!("{task}/tie"), &[("kind", "blocked_by"), ("other", "two words")]).await;
    let page = mira.get(&task).await;
    assert!(page.text_of("#task-ties").contains("Blocked by"));
    // It is said once, and leads to the other task.
    assert_eq!(page.text_of("#task-head .banner p"), "Blocked by MC-2");
    let other = page.attr("#task-head .banner a", "href");
    assert!(other.ends_with("/tasks/MC-2"), "{other}");
    assert!(page.texts("#task-head .chip").is_empty(), "{}", page.text);
    let list = mira.get(&format!("{base}/tasks")).await;
    assert!(list.text.contains("Blocked by 1 task"));
    mira.form(&format!("{task}/untie"), &[("kind", "blocked_by"), ("other", "MC-2")]).await;
    let page = mira.get(&task).await;
    assert!(!page.text.contains("Blocked by 1") && !page.text.contains("Blocked by MC-2"));

    let settings = format!("{base}/settings/labels");
    assert_eq!(mira.get(&settings).await.texts("#all-labels .chip"), ["bug", "idea", "later"]);
    let wrong = mira.form(&settings, &[("name", "Bug")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("called \"bug\" already") || wrong.text.contains("&#34;bug&#34;"));
    let delete = mira.get(&settings).await.attr("#all-labels form", "action");
    mira.form(&delete, &[]).await;
    assert_eq!(mira.get(&settings).await.texts("#all-labels .chip"), ["idea", "later"]);

    mira.form(&format!("{stream}/archive"), &[]).await;
    assert!(mira.get(&stream).await.text.contains("This stream is archived"));
    let viewer = hq.another("Vera", Some(kernel::Role::Viewer)).await;
    let looked = viewer.get(&stream).await;
    assert_eq!(looked.status, StatusCode::OK);
    assert!(!looked.text.contains("Restore"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_shows_the_streams_with_the_most_open_work_and_what_of_it_is_late() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let agent = json!({ "name": "Ada", "template": "assistant" });
    ok(&mira.post("/api/v1/agents", &agent).await);
    let home = "/w/marlow-cargo/";
    assert!(mira.get(home).await.texts(".pulse li").is_empty());
    for name in ["Launch", "Money", "Quiet"] {
        ok(&mira.post("/api/v1/streams", &json!({ "name": name })).await);
    }
    let task = async |title: &str, stream: &str, due: Option<&str>| {
        let body = json!({ "title": title, "stream": stream, "due_at": due });
        ok(&mira.post("/api/v1/tasks", &body).await)
    };
    task("One", "Launch", None).await;
    task("Late", "Money", Some("2020-01-01")).await;
    task("Two", "Money", None).await;
    task("Under way", "Money", None).await;
    let moving = json!({ "status": "in_progress" });
    ok(&mira.json("PATCH", "/api/v1/tasks/MC-4", &moving).await);
    let page = mira.get(home).await;
    assert_eq!(page.texts(".pulse .num"), ["3 open · 1 overdue", "1 open"], "{}", page.text);
    assert_eq!(
        page.attrs(".pulse svg", "aria-label"),
        ["Money: 1 overdue, 1 in progress, 1 to do", "Launch: 0 overdue, 0 in progress, 1 to do"]
    );
    let list = mira.get(&page.attr(".pulse li a", "href")).await;
    assert!(list.text.contains("Under way") && !list.text.contains(">One<"), "{}", list.text);
    // Completed work disappears; a stream without open work is not shown.
    ok(&mira.json("PATCH", "/api/v1/tasks/MC-1", &json!({ "status": "done" })).await);
    let part = mira.clone().htmx("stream-load").get(home).await;
    assert_eq!(part.texts(".pulse .num"), ["3 open · 1 overdue"], "{}", part.text);
    hq.finish().await;
}
