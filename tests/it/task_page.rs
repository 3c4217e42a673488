//! Actions and hints on the task page and on task lists.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};

const TASKS: &str = "/w/marlow-cargo/tasks";

async fn make(api: &Person, body: Value) {
    let made = api.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_that_came_and_went_are_named_and_long_histories_are_read_further() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    make(&api, json!({ "title": "Oil the chain" })).await;
    let page = format!("{TASKS}/MC-1");
    // The history page lists versions by time, so time must pass between changes.
    hq.advance(Duration::from_millis(1)).await;
    let changed = mira.form(&format!("{page}/labels"), &[("names", "bug, <idea>")]).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.text);
    let shown = mira.get(&page).await;
    let told = shown.texts("#task-time .event");
    let names = "added the labels <idea> and bug";
    assert!(told.iter().any(|line| line.contains(names)), "{told:?}");
    assert_eq!(shown.texts("#task-time > a").len(), 0, "nothing is before that");
    mira.form(&format!("{page}/labels"), &[("label", "-bug")]).await;
    let feed = mira.get("/w/marlow-cargo/activity").await.texts(".feed li .what");
    let names = "removed the label bug from";
    assert!(feed.iter().any(|line| line.contains(names)), "{feed:?}");

    for n in 0..201 {
        let to = if n % 2 == 0 { "low" } else { "high" };
        let set = mira.form(&format!("{page}/priority"), &[("priority", to)]).await;
        assert_eq!(set.status, StatusCode::SEE_OTHER, "{}", set.text);
    }
    let shown = mira.get(&page).await;
    assert!(!shown.text_of("#task-time").contains("created this task"));
    let earlier = shown.attr("#task-time > a", "hx-get");
    assert_eq!(earlier, format!("{page}?back=2&part=time"));
    let part = mira.clone().htmx("task-time").get(&earlier).await;
    assert!(part.text_of("#task-time").contains("created this task"), "{}", part.text);
    assert_eq!(part.texts("#task-time > a").len(), 0);
    // A refresh keeps how far back it shows.
    assert_eq!(part.attr("#task-time", "hx-get"), format!("{page}?part=time&back=2"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_comes_off_many_tasks_at_once_and_comes_back_with_one_undo() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    for title in ["One", "Two", "Three"] {
        make(&api, json!({ "title": title, "labels": ["bug"] })).await;
    }
    let marked = async || {
        let fit = api.get("/api/v1/tasks?q=label:bug").await.json();
        fit["items"].as_array().map(Vec::len)
    };
    let page = mira.get(TASKS).await;
    assert_eq!(page.attrs("#bulk-unlabel button", "value"), ["bug"]);
    let bar = mira.clone().htmx("bulk");
    let both = [("tasks", "MC-1,MC-2"), ("unlabel", "bug")];
    let off = bar.form(&format!("{TASKS}/bulk"), &both).await;
    assert_eq!(off.status, StatusCode::OK, "{}", off.text);
    assert_eq!(marked().await, Some(1));
    let told = off.header("hx-trigger").expect("a toast");
    let told: Value = serde_json::from_str(told).expect("JSON");
    let undo = told["hq:toast"]["undo"].as_str().expect("the way back");
    assert_eq!(mira.form(undo, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(marked().await, Some(3));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_task_is_written_over_the_page_on_which_one_stands() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let path = format!("{TASKS}/new?title=Oil");
    assert_eq!(mira.get(&path).await.text_of("h1"), "New task", "it is a page, too");
    let over = mira.clone().htmx("layer").get(&path).await;
    assert_eq!(over.text_of("dialog h2"), "New task");
    assert_eq!(over.attr("#layer-title", "value"), "Oil");
    assert!(!over.text.contains("<html") && !over.text.contains("\"f-"), "{}", over.text);
    let form = mira.clone().htmx("new-task");
    let refused = form.form(TASKS, &[("title", " "), ("layer", "1")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!refused.text_of("#layer-title-says").is_empty(), "{}", refused.text);
    // The page stays open, shows the new task and names its place.
    let made = form.form(TASKS, &[("title", "Oil"), ("layer", "1")]).await;
    assert_eq!((made.status, made.header("hx-redirect")), (StatusCode::OK, None), "{}", made.text);
    let told = made.header("hx-trigger").expect("what the page hears");
    let told: Value = serde_json::from_str(told).expect("JSON");
    assert_eq!(told["hq:toast"]["href"], format!("{TASKS}/MC-1"));
    let id = told["hq:close"]["made"].as_str().expect("what was made");
    assert!(mira.get(TASKS).await.attrs(".row", "id").contains(&format!("task-{id}")));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_closed_says_so_and_comes_back() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    make(&api, json!({ "title": "Grease the hubs" })).await;
    let row = mira.clone().htmx("task-row");
    let status = async || api.get("/api/v1/tasks/MC-1").await.json()["status"].clone();
    for (act, fields, word) in
        [("status", [("status", "done")], "done"), ("move", [("status", "cancelled")], "cancelled")]
    {
        let path = format!("{TASKS}/MC-1/{act}");
        let closed = row.form(&path, &fields).await;
        let told = closed.header("hx-trigger").expect("a toast");
        let told: Value = serde_json::from_str(told).expect("JSON");
        assert_eq!(told["hq:toast"]["text"], format!("MC-1 is {word}"));
        assert_eq!(status().await, word);
        // A change without effect has nothing to undo.
        let again = row.form(&path, &fields).await;
        assert!(!again.header("hx-trigger").unwrap_or_default().contains("undo"), "{act}");
        // The page stays where it is and gets the result.
        let undo = told["hq:toast"]["undo"].as_str().expect("the way back");
        let undone = row.form(undo, &[]).await;
        assert_eq!(undone.status, StatusCode::OK, "{}", undone.text);
        assert!(undone.header("hx-trigger").is_some_and(|told| told.contains("Undone: ")));
        assert_eq!(status().await, "todo");
    }
    let open = row.form(&format!("{TASKS}/MC-1/status"), &[("status", "blocked")]).await;
    assert!(!open.header("hx-trigger").unwrap_or_default().contains("toast"), "it is still there");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_leaves_its_parent_from_both_pages() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    make(&api, json!({ "title": "The move" })).await;
    for title in ["Boxes", "A van"] {
        make(&api, json!({ "title": title, "parent": "MC-1" })).await;
    }
    let above = format!("{TASKS}/MC-1");
    let page = mira.get(&above).await;
    let out = page.attrs("#task-parts form[action$='/parent']", "action");
    assert_eq!(out, [format!("{TASKS}/MC-2/parent"), format!("{TASKS}/MC-3/parent")]);
    let form = [("parent", ""), ("back", above.as_str())];
    let left = mira.form(&out[0], &form).await;
    assert_eq!(left.location(), Some(above.as_str()), "{}", left.text);
    assert_eq!(mira.get(&above).await.texts("#task-parts .title"), ["A van"]);

    let part = format!("{TASKS}/MC-3");
    let own = mira.get(&part).await;
    assert_eq!(own.texts("#task-props form[action$='/parent'] button"), ["Remove from MC-1"]);
    let left = mira.form(&format!("{part}/parent"), &[("parent", "")]).await;
    assert_eq!(left.location(), Some(part.as_str()), "{}", left.text);
    assert_eq!(api.get("/api/v1/tasks?q=parent:any").await.json()["items"], json!([]));
    let viewer = hq.another("Vera", Some(kernel::Role::Viewer)).await;
    make(&api, json!({ "title": "Tape", "parent": "MC-1" })).await;
    for at in [above, format!("{TASKS}/MC-4")] {
        let seen = viewer.get(&at).await;
        assert_eq!(seen.texts("form[action$='/parent']").len(), 0, "{}", seen.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_by_assignee_has_room_for_those_without_a_card() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let tom = hq.another("Tom", Some(kernel::Role::Member)).await;
    make(&api, json!({ "title": "Oil the chain", "assignee": "me" })).await;
    let at = format!("{TASKS}?layout=board&group=assignee");
    let board = mira.get(&at).await;
    assert_eq!(board.texts(".board > section h2"), ["Mira Lindqvist", "Unassigned"]);
    assert_eq!(board.texts(".idlers section h2"), ["Tom"]);
    let field = board.attr(".idlers [data-drop]", "data-field");
    assert_eq!(field, "assignee");
    let whom = board.attr(".idlers [data-drop]", "data-value");
    let moved = mira.clone().htmx("tasks-board");
    let to = [(field.as_str(), whom.as_str())];
    let moved = moved.form(&format!("{TASKS}/MC-1/move"), &to).await;
    assert_eq!(moved.status, StatusCode::OK);
    let board = tom.get(&at).await;
    assert_eq!(board.texts(".board > section h2"), ["Tom", "Unassigned"]);
    assert_eq!(board.texts(".idlers section h2"), ["Mira Lindqvist"]);
    let viewer = hq.another("Vera", Some(kernel::Role::Viewer)).await;
    assert_eq!(viewer.get(&at).await.texts(".idlers").len(), 0, "nothing is dragged");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_marked_among_parts_in_the_calendar_and_in_the_timeline() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let due = hq.now().strftime("%Y-%m-%d").to_string();
    make(&api, json!({ "title": "The move" })).await;
    make(&api, json!({ "title": "Boxes", "due_at": due })).await;
    make(&api, json!({ "title": "A van", "due_at": due, "parent": "MC-1" })).await;
    let places = [
        (format!("{TASKS}/MC-1"), "#task-parts .row .mark"),
        (format!("{TASKS}?layout=calendar"), ".due-pill .mark"),
        (format!("{TASKS}?layout=timeline"), ".gantt .names .mark"),
    ];
    let marks = async || {
        let mut all = Vec::new();
        for (at, mark) in &places {
            all.push(mira.get(at).await.texts(mark));
        }
        all
    };
    assert_eq!(marks().await, [Vec::<String>::new(), Vec::new(), Vec::new()]);
    let tie = [("kind", "blocked_by"), ("other", "MC-2")];
    let tied = mira.form(&format!("{TASKS}/MC-3/tie"), &tie).await;
    assert_eq!(tied.status, StatusCode::SEE_OTHER, "{}", tied.text);
    let says = vec!["Blocked by 1 task".to_owned()];
    assert_eq!(marks().await, [says.clone(), says.clone(), says]);
    mira.form(&format!("{TASKS}/MC-2/status"), &[("status", "done")]).await;
    assert_eq!(marks().await, [Vec::<String>::new(), Vec::new(), Vec::new()]);
    hq.finish().await;
}
