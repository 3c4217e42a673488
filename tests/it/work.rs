//! Tasks, comments and deliverables over HTTP.

use features::agents::model::Agent;
use features::agents::provision;
use features::agents::rules::{self as agents, ModelChoice, NewAgent};
use features::deliverables::model::Content;
use features::deliverables::rules::{self as deliverables, NewDelivery};
use features::tasks::queries as tasks;
use kernel::{Actor, Cause, Part, Role, RunId, TypedId as _};
use reqwest::StatusCode;
use serde_json::json;

use support::hq::{Person, Reply, TestHq};

const TASKS: &str = "/w/marlow-cargo/tasks";

/// Creates an agent, optionally paused, so that it takes no work.
async fn agent(hq: &TestHq, name: &str, pause: bool) -> Agent {
    let ws = hq.ws();
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let new = NewAgent {
        name: name.to_owned(),
        slug: String::new(),
        emoji: "🔭".to_owned(),
        description: "Research".to_owned(),
        template: "default".to_owned(),
        model: ModelChoice::default(),
        thinking: None,
        exec: false,
        budget_micros: None,
        reports_to: None,
    };
    let names = provision::template_names();
    let made = ws.write(&by, move |tx| agents::create(tx, new, &names)).await.expect("an agent");
    let made = provision::make(&ws, &by, made.id).await.expect("its files");
    if !pause {
        return made;
    }
    ws.write(&by, move |tx| agents::pause(tx, made.id)).await.expect("a paused agent")
}

/// Delivers work on a task as its agent would.
async fn deliver(hq: &TestHq, agent: &Agent, task: &str, title: &str, content: Content) {
    let run = RunId::from_bytes([8; 16]);
    let by = (Actor::Agent { agent: agent.id, run }, Cause::Step(run, 1));
    let (task, title) = (task.to_owned(), title.to_owned());
    hq.ws()
        .write(&by, move |tx| {
            let task = tasks::resolve(tx, &task)?.id;
            let note = "please look".to_owned();
            let new = NewDelivery { task, title, content, note, revises: None };
            deliverables::submit(tx, new)
        })
        .await
        .expect("delivered work");
}

async fn new_task(person: &Person, fields: &[(&str, &str)]) -> Reply {
    let reply = person.form(TASKS, fields).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
    person.get(reply.location().expect("the task's page")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_list_says_what_will_be_here_and_how_to_begin() {
    let hq = TestHq::start().await;
    let page = hq.owner().get(TASKS).await;
    assert_eq!(page.text_of(".empty h2"), "No tasks yet");
    assert_eq!(page.attr(".empty a", "href"), "/w/marlow-cargo/tasks/new");
    let filtered = hq.owner().get(&format!("{TASKS}?q=nothing")).await;
    assert_eq!(filtered.text_of(".empty h2"), "No matching tasks");
    assert_eq!(
        hq.owner().get("/w/marlow-cargo/review").await.text_of(".fill h2"),
        "Nothing to review"
    );
    let missing = hq.owner().get(&format!("{TASKS}/MC-9")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_makes_a_task_changes_it_and_finds_it_again() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    agent(&hq, "Ada", true).await;
    let form = [
        ("title", "Compare <b>prices</b>"),
        ("description", "At **five** firms, see MC-1 and @ada."),
        ("assignee", "ada"),
        ("priority", "urgent"),
        ("due", "2026-11-20"),
    ];
    let page = new_task(&mira, &form).await;
    assert_eq!(page.text_of("h1"), "Compare <b>prices</b>");
    assert_eq!(page.text_of("#task-head .chip"), "Ada is paused");
    assert_eq!(
        page.attrs("#task-text a", "href"),
        [format!("{TASKS}/MC-1"), "/w/marlow-cargo/agents/ada".into()]
    );
    assert!(page.text_of("#task-props").contains("Urgent"), "{}", page.text_of("#task-props"));
    assert!(page.text_of("#task-time").contains("Mira Lindqvist assigned Ada"));
    assert_eq!(page.text_of("#reach .meta"), "Ada is paused and reads this when resumed");

    let go = |verb: &str, name: &'static str, value: &'static str| {
        let (mira, path) = (mira.clone(), format!("{TASKS}/MC-1/{verb}"));
        async move { mira.form(&path, &[(name, value)]).await }
    };
    for (verb, name, value) in [
        ("status", "status", "blocked"),
        ("priority", "priority", "low"),
        ("due", "due", "tomorrow"),
        ("assign", "assignee", "me"),
        ("thinking", "thinking", "high"),
    ] {
        let reply = go(verb, name, value).await;
        assert_eq!(reply.location(), Some("/w/marlow-cargo/tasks/MC-1"), "{verb}: {}", reply.text);
    }
    let page = mira.get(&format!("{TASKS}/mc-1")).await;
    assert_eq!(page.location(), Some("/w/marlow-cargo/tasks/MC-1"), "one address for a page");
    let time = mira.get(&format!("{TASKS}/MC-1")).await.text_of("#task-time");
    for fact in [
        "moved it from To do to Blocked",
        "set the priority to Low",
        "moved the due date from 20 Nov to 21 Nov",
        "took this task",
        "changed the thinking",
    ] {
        assert!(time.contains(fact), "{fact}: {time}");
    }

    let list = mira.get(&format!("{TASKS}?q=PRICES&status=blocked&assignee=me")).await;
    assert_eq!(list.texts(".row .title"), ["Compare <b>prices</b>"]);
    assert_eq!(list.texts(".filter b"), ["Blocked", "Me", "PRICES"]);
    let wrong = mira.get(&format!("{TASKS}?assignee=adda")).await;
    assert!(wrong.attr(".filter[data-tone]", "title").contains("ada"), "the nearest name is given");
    assert_eq!(wrong.texts(".row .title").len(), 1, "an unknown name filters nothing");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_form_keeps_what_was_typed_and_makes_nothing() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let form = [
        ("title", "  "),
        ("description", "kept <text>"),
        ("assignee", "nobody-here"),
        ("due", "soon"),
        ("parent", "MC-77"),
    ];
    let reply = mira.form(TASKS, &form).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.text_of("#f-description"), "kept <text>");
    assert_eq!(reply.attr("#f-parent", "value"), "MC-77");
    for field in ["title", "assignee", "due", "parent"] {
        assert!(!reply.text_of(&format!("#f-{field}-says")).is_empty(), "{field}");
    }
    let region = mira.clone().htmx("new-task").form(TASKS, &form).await;
    assert_eq!(region.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!region.text.contains("<html"), "htmx gets the form alone");

    let long = "x".repeat(201);
    let quick = [("title", long.as_str()), ("quick", "/w/marlow-cargo/tasks?assignee=me")];
    let reply = mira.form(TASKS, &quick).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.attr("#quick", "value"), long);
    assert_eq!(reply.texts(".filter b"), ["Open", "Me"], "the list stays as it was");
    assert!(mira.get(TASKS).await.texts(".row").is_empty());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_who_edit_at_once_lose_nothing() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    new_task(&mira, &[("title", "Offer"), ("description", "old")]).await;
    let path = format!("{TASKS}/MC-1");
    let editing = mira.get(&format!("{path}?edit=1")).await;
    let was = editing.text_of("#task-text textarea[name=description_base]");
    let theirs =
        [("title", "Offer"), ("description", "theirs"), ("description_base", was.as_str())];
    assert_eq!(mira.form(&path, &theirs).await.status, StatusCode::SEE_OTHER);
    let mine = [("title", "Offer"), ("description", "mine"), ("description_base", was.as_str())];
    let reply = mira.form(&path, &mine).await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert_eq!(reply.text_of("#f-description"), "mine");
    assert_eq!(reply.text_of(".theirs p"), "theirs");
    let now = reply.text_of("#task-text textarea[name=description_base]");
    let again = [("title", "Offer"), ("description", "mine"), ("description_base", now.as_str())];
    assert_eq!(mira.form(&path, &again).await.status, StatusCode::SEE_OTHER);
    assert_eq!(mira.get(&path).await.text_of("#task-text .md"), "mine");
    let empty = [("title", ""), ("description", "mine too")];
    let reply = mira.form(&path, &empty).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.text_of("#f-description"), "mine too");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comments_are_written_changed_and_removed_by_their_author() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    new_task(&mira, &[("title", "Offer")]).await;
    let path = format!("{TASKS}/MC-1");
    let reply = mira.form(&format!("{path}/comment"), &[("body", "See `code` <script>")]).await;
    let place = reply.location().expect("the comment's place").to_owned();
    assert!(place.starts_with("/w/marlow-cargo/tasks/MC-1#c-"), "{place}");
    let page = mira.get(&path).await;
    assert_eq!(page.text_of(".comment .md"), "See code <script>");
    let edit = page.attr(".comment a[aria-label=Edit]", "href");
    assert_eq!(mira.get(&edit).await.text_of("#f-body"), "See `code` <script>");
    let save = edit.trim_end_matches("/edit");
    let empty = mira.form(save, &[("body", " ")]).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(mira.form(save, &[("body", "Better")]).await.status, StatusCode::SEE_OTHER);
    let page = mira.get(&path).await;
    assert!(page.text_of(".comment header").contains("edited"));
    // The earlier text is one link away, and people with the right to remove it find how.
    let before = page.attr(".comment header a[title='Earlier versions']", "href");
    let before = mira.get(&before).await;
    assert_eq!(before.status, StatusCode::OK, "{}", before.text);
    assert!(before.text_of(".versions").contains("code"), "{}", before.text);
    let tools = async |role| {
        let person = hq.another(if role == Role::Admin { "ann" } else { "tom" }, Some(role)).await;
        person.get(&path).await.attrs(".comment .tools [aria-label]", "aria-label")
    };
    assert_eq!(tools(Role::Admin).await, ["Delete"], "her words are not put into her mouth");
    assert!(tools(Role::Viewer).await.is_empty());

    let refused = mira.form(&format!("{path}/comment"), &[("body", " ")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.text_of("#f-body-says"), "Write something first.");
    let region = mira.clone().htmx("say").form(&format!("{path}/comment"), &[("body", "Hm")]).await;
    let trigger = region.header("hx-trigger").expect("an event for the regions");
    assert!(trigger.contains("hq:tasks:"), "{trigger}");
    assert_eq!(region.text_of("textarea"), "", "an empty composer comes back");
    let removed = mira.form(&format!("{save}/delete"), &[]).await;
    assert_eq!(removed.status, StatusCode::SEE_OTHER);
    assert_eq!(mira.get(&path).await.texts(".comment .md"), ["Hm"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivered_work_is_looked_at_sent_back_and_approved() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let ada = agent(&hq, "Ada", true).await;
    new_task(&mira, &[("title", "Compare prices"), ("assignee", "ada")]).await;
    let text = "# Prices\n\n<img src=x onerror=alert(1)>![p](https://x.example/p.png)".to_owned();
    deliver(&hq, &ada, "MC-1", "Prices", Content::Text(text)).await;
    let queue = mira.get("/w/marlow-cargo/review").await;
    assert_eq!(queue.texts("#queue li a"), ["Prices"]);
    assert_eq!(queue.text_of(".verdict .line .meta"), "MC-1 is done after approval");
    assert!(queue.attr("form.verdict", "data-keeps").contains(":review-"), "what is typed is kept");
    assert_eq!(queue.attrs(".piece img, .piece [onerror]", "src"), [""; 0]);
    assert!(queue.text.contains("&lt;img src=x onerror=alert(1)&gt;"), "it is words like others");

    let page = mira.get(&format!("{TASKS}/MC-1")).await;
    let (action, version) = (
        page.attr(".deliv footer form", "action"),
        page.attr(".deliv input[name=version]", "value"),
    );
    let judge = |verdict: &'static str, note: &'static str| {
        let (mira, action, version) = (mira.clone(), action.clone(), version.clone());
        async move {
            let form = [("verdict", verdict), ("note", note), ("version", version.as_str())];
            mira.form(&action, &form).await
        }
    };
    let refused = judge("changes_requested", " ").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.text_of("#verdict-says"), "Say what should change.");
    let back = judge("changes_requested", "Add **VAT**").await;
    assert_eq!(back.location(), Some("/w/marlow-cargo/tasks/MC-1"));
    let page = mira.get(&format!("{TASKS}/MC-1")).await;
    assert_eq!(page.text_of(".deliv header .chip"), "Changes requested");
    assert_eq!(page.text_of(".remark[data-state] .md"), "Add VAT");
    assert!(page.texts(".deliv footer form").is_empty(), "nothing is left to decide");

    let ws = hq.ws();
    let run = RunId::from_bytes([8; 16]);
    let by = (Actor::Agent { agent: ada.id, run }, Cause::Step(run, 2));
    ws.write(&by, move |tx| {
        let task = tasks::resolve(tx, "MC-1")?.id;
        let piece = features::deliverables::queries::resolve(tx, task, "prices")?;
        let content = Content::Text("# Prices\n\nWith VAT".to_owned());
        let (title, note, revises) = (String::new(), String::new(), Some(piece.id));
        deliverables::submit(tx, NewDelivery { task, title, content, note, revises })
    })
    .await
    .expect("a second version");
    let stale = judge("approved", "").await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "the first version is not the newest");
    // The newest one is shown in its place, with what was typed.
    assert!(stale.text_of(".verdict .told").contains("version 2"), "{}", stale.text);
    assert!(stale.text_of(".piece").contains("With VAT"), "{}", stale.text);
    let stale = judge("rejected", "Too short").await;
    assert_eq!(stale.text_of("#verdict-note"), "Too short");
    let page = mira.get("/w/marlow-cargo/review").await;
    let tabs = ["Changes in version 2", "Version 1, changes requested", "Version 2"];
    assert_eq!(page.texts(".tabs a"), tabs);
    let compared = mira.get(&page.attr(".tabs a", "href")).await;
    assert_eq!(compared.texts(".diff span"), ["# Prices", ""]);
    assert_eq!(compared.texts(".diff ins"), ["With VAT"]);
    assert_eq!(compared.texts(".diff del").len(), 1);
    assert!(compared.attrs(".diff img", "src").is_empty(), "a comparison shows text, never HTML");
    assert_eq!(compared.attr(".tabs a[aria-current]", "href"), page.attr(".tabs a", "href"));
    let version = page.attr(".verdict input[name=version]", "value");
    let form = [("verdict", "approved"), ("version", version.as_str()), ("from", "review")];
    let done = mira.form(&action, &form).await;
    assert_eq!(done.location(), Some("/w/marlow-cargo/review#queue"), "the focus is on the list");
    // A decision that comes later shows what was decided.
    let late = mira.form(&action, &form).await;
    assert!(late.location().is_some_and(|to| to.contains("/review?piece=")), "{}", late.text);
    let page = mira.get(&format!("{TASKS}/MC-1")).await;
    assert!(page.text_of("#task-props").contains("Done"));
    assert!(page.text_of("#task-time").contains("requested changes to version 1 of Prices"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivered_file_is_only_ever_a_download() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let ada = agent(&hq, "Ada", true).await;
    new_task(&mira, &[("title", "Compare prices"), ("assignee", "ada")]).await;
    let page = b"<script>alert(1)</script>";
    let blob = hq.ws().blobs.put(page).expect("a blob");
    let name = "Preise ü.html".to_owned();
    let content = Content::File { name, blob, size: page.len() as u64 };
    deliver(&hq, &ada, "MC-1", "Prices", content).await;
    let shown = mira.get(&format!("{TASKS}/MC-1")).await;
    let href = shown.attr(".deliv .thing a", "href");
    let file = mira.get(&href).await;
    assert_eq!(file.text.as_bytes(), page);
    assert_eq!(file.header("content-type"), Some("application/octet-stream"));
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    let disposition = file.header("content-disposition").expect("a download");
    assert!(disposition.starts_with("attachment;") && disposition.contains("Preise%20%C3%BC.html"));
    assert_eq!(hq.nobody().get(&href).await.status, StatusCode::SEE_OTHER, "not without a sign-in");

    // The same over the API.
    let reader = hq.token(&["read"]).await;
    let pieces = reader.get("/api/v1/tasks/MC-1/deliverables").await.json();
    let version = pieces["items"][0]["versions"][0]["id"].as_str().expect("a version").to_owned();
    let path = format!("/api/v1/deliverables/versions/{version}/file");
    let file = reader.get(&path).await;
    assert_eq!(file.text.as_bytes(), page);
    assert_eq!(file.header("content-type"), Some("application/octet-stream"));
    assert_eq!(hq.nobody().get(&path).await.status, StatusCode::UNAUTHORIZED);
    let lost = reader.get(&path.replace(&version, "00000000-0000-7000-8000-000000000000")).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
    assert_eq!(lost.json()["code"], "not_found");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_region_of_a_task_answers_with_itself() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    new_task(&mira, &[("title", "Compare prices")]).await;
    new_task(&mira, &[("title", "Call them"), ("parent", "MC-1")]).await;
    let page = mira.get(&format!("{TASKS}/MC-1")).await;
    assert_eq!(page.texts(".sub .title"), ["Call them"]);
    assert!(!page.text.contains("style="), "no inline style");
    let regions =
        ["task-head", "task-text", "task-parts", "task-time", "task-props", "reach", "task-links"];
    for id in regions {
        let url = page.attr(&format!("#{id}"), "hx-get");
        let part = mira.clone().htmx(id).get(&url).await;
        assert_eq!(part.status, StatusCode::OK, "{id}");
        assert!(
            part.text.contains(&format!("id=\"{id}\"")) && !part.text.contains("<html"),
            "{id}"
        );
    }
    let list = mira.get(TASKS).await;
    let url = list.attr("#tasks-list", "hx-get");
    let part = mira.clone().htmx("tasks-list").get(&url).await;
    assert_eq!(part.texts(".row").len(), 2);
    assert!(!part.text.contains("<html"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_group_is_shown_in_pieces() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    for n in 0..53 {
        let title = format!("Task {n}");
        new_task(&mira, &[("title", &title)]).await;
    }
    let list = mira.get(TASKS).await;
    assert_eq!((list.texts(".row").len(), list.text_of(".group .count").as_str()), (50, "53"));
    let more = list.attr(".pager", "hx-get");
    let rest = mira.clone().htmx("").get(&more).await;
    assert_eq!(rest.texts(".row").len(), 3);
    assert!(rest.texts(".pager").is_empty());
    assert_eq!(mira.get(&more).await.texts(".row").len(), 3, "a plain link shows the same rows");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_does_what_the_pages_do() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let ada = agent(&hq, "Ada", true).await;
    let body = json!({ "title": "Compare prices", "assignee": "ada", "due_at": "2026-11-21" });
    let keyed = api.clone().with("idempotency-key", "k1");
    let made = keyed.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let task = made.json();
    assert_eq!(
        (task["key"].as_str(), task["assignee"]["handle"].as_str()),
        (Some("MC-1"), Some("ada"))
    );
    assert_eq!(task["due_at"], "2026-11-21T22:59:59Z");
    let again = keyed.post("/api/v1/tasks", &body).await;
    assert_eq!(again.json()["id"], task["id"], "a repeat happens once");
    let tag = made.header("etag").expect("a tag").to_owned();

    let patch = json!({ "status": "blocked", "due_at": null, "priority": "high" });
    let changed = api.json("PATCH", "/api/v1/tasks/MC-1", &patch).await;
    assert_eq!(changed.json()["status"], "blocked", "{}", changed.text);
    assert!(changed.json()["due_at"].is_null());
    let stale = api.clone().with("if-match", &tag);
    let refused = stale.json("PATCH", "/api/v1/tasks/MC-1", &json!({ "title": "x" })).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    for (body, field) in [
        (json!({ "title": "" }), "title"),
        (json!({ "title": "x", "assignee": "oda" }), "assignee"),
        (json!({ "title": "x", "due_at": "soon" }), "due_at"),
        (json!({ "title": "x", "parent": "MC-9" }), "parent"),
        (json!({ "title": "x", "colour": "red" }), "colour"),
    ] {
        let wrong = api.post("/api/v1/tasks", &body).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(wrong.json()["errors"][0]["field"], field, "{}", wrong.text);
    }
    let unknown = api.get("/api/v1/tasks/MC-9").await;
    assert_eq!(
        (unknown.status, unknown.json()["code"].as_str()),
        (StatusCode::NOT_FOUND, Some("task_not_found"))
    );

    for n in 2..5 {
        api.post("/api/v1/tasks", &json!({ "title": format!("Task {n}"), "parent": "1" })).await;
    }
    let first = api.get("/api/v1/tasks?sort=title&limit=3").await.json();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(3));
    let next = first["next"].as_str().expect("a second page");
    let second = api.get(&format!("/api/v1/tasks?sort=title&limit=3&after={next}")).await.json();
    assert_eq!(
        (second["items"][0]["title"].as_str(), second["next"].as_str()),
        (Some("Task 4"), None)
    );
    let parts = api.get("/api/v1/tasks?parent=MC-1&status=open").await.json();
    assert_eq!(parts["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(api.get("/api/v1/tasks?after=zz").await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let said = api.post("/api/v1/tasks/MC-1/comments", &json!({ "body": "@ada hm" })).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    assert_eq!(said.json()["mentions"][0]["handle"], "ada");
    let id = said.json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/comments/{id}");
    assert_eq!(api.json("PATCH", &path, &json!({ "body": "hm" })).await.json()["body"], "hm");
    assert_eq!(api.json("DELETE", &path, &json!({})).await.status, StatusCode::OK);
    assert_eq!(api.get(&path).await.status, StatusCode::NOT_FOUND);

    deliver(&hq, &ada, "MC-1", "Prices", Content::Text("# Prices".into())).await;
    let waiting = api.get("/api/v1/deliverables").await.json();
    let piece = waiting["items"][0]["id"].as_str().expect("a piece").to_owned();
    let reviews = format!("/api/v1/deliverables/{piece}/reviews");
    let reader = hq.token(&["read", "write"]).await;
    let verdict = json!({ "verdict": "rejected", "note": "no" });
    assert_eq!(reader.post(&reviews, &verdict).await.status, StatusCode::FORBIDDEN);
    let judged = api.post(&reviews, &verdict).await;
    assert_eq!(judged.json()["state"], "rejected", "{}", judged.text);
    let again = api.post(&reviews, &verdict).await;
    assert_eq!(
        (again.status, again.json()["code"].as_str()),
        (StatusCode::CONFLICT, Some("not_in_review"))
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn practice_does_a_task_and_a_person_approves_it() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    agent(&hq, "Ada", false).await;
    new_task(&mira, &[("title", "Compare prices"), ("assignee", "ada")]).await;
    hq.settle().await;
    let page = mira.get(&format!("{TASKS}/MC-1")).await;
    assert_eq!(page.text_of(".deliv header .chip"), "In review", "{}", page.text_of("#task-time"));
    assert!(page.texts("li[id^=step-]").len() >= 3, "the run shows its steps");
    assert!(page.text_of("#task-run").contains("Practice (no AI)"));
    assert_eq!(page.text_of("#task-props [data-shows=status]"), "In review");
    let list = mira.get(&format!("{TASKS}?status=in-review")).await;
    assert_eq!(list.texts(".row .title"), ["Compare prices"], "{}", list.text_of(".filter"));
    assert_eq!(list.texts(".filter b"), ["In review"]);
    let (action, version) = (
        page.attr(".deliv footer form", "action"),
        page.attr(".deliv input[name=version]", "value"),
    );
    let form = [("verdict", "approved"), ("version", version.as_str())];
    let htmx = mira.clone().htmx("").form(&action, &form).await;
    assert_eq!(htmx.status, StatusCode::OK, "{}", htmx.text);
    assert!(htmx.header("hx-trigger").expect("a message").contains("MC-1 is done"));
    hq.settle().await;
    let page = mira.get(&format!("{TASKS}/MC-1")).await;
    assert_eq!(page.text_of(".deliv header .chip"), "Approved");
    assert!(page.text_of("#task-props").contains("Done"));
    hq.finish().await;
}
