//! Task board, calendar and timeline, and bulk changes.

use features::deliverables::model::Content;
use features::deliverables::rules::{self as deliverables, NewDelivery};
use features::tasks::queries;
use features::tasks::rules::{self as tasks, NewTask};
use kernel::{Priority, TaskStatus, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};
use support::work;

const TASKS: &str = "/w/marlow-cargo/tasks";

async fn make(api: &Person, body: Value) -> String {
    let made = api.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["key"].as_str().expect("a key").to_owned()
}

/// Creates tasks in one transaction.
async fn write(hq: &TestHq, new: impl IntoIterator<Item = NewTask>) {
    let (ws, who) = (hq.ws(), work::owner(hq));
    let new: Vec<NewTask> = new.into_iter().collect();
    let made = ws.write(&who, move |tx| {
        new.into_iter().try_for_each(|new| tasks::create(tx, new).map(|_| ()))
    });
    made.await.expect("tasks");
}

fn noon(day: &str) -> Option<Timestamp> {
    Some(format!("{day}T12:00:00Z").parse().expect("a day"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_has_columns_and_lanes_and_cards_keep_the_place_they_are_given() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let first = make(&api, json!({ "title": "First", "assignee": "me" })).await;
    let second = make(&api, json!({ "title": "Second", "priority": "high" })).await;
    let third = make(&api, json!({ "title": "Third" })).await;
    let board = mira.get(&format!("{TASKS}?layout=board")).await;
    let heads = ["To do", "In progress", "Blocked", "Done"];
    let mut shown = board.texts(".board h2");
    shown.sort_unstable();
    let mut wanted = heads.map(str::to_owned).to_vec();
    wanted.sort_unstable();
    assert_eq!(shown, wanted);
    assert_eq!(board.texts(".tile .title"), ["First", "Second", "Third"], "in the order of making");

    let at = |task: &str| format!("{TASKS}/{task}/move");
    let part = mira.clone().htmx("tasks-board");
    let placed = part.form(&at(&third), &[("before", first.as_str())]).await;
    assert_eq!(placed.status, StatusCode::OK, "{}", placed.text);
    let board = mira.get(&format!("{TASKS}?layout=board")).await;
    assert_eq!(board.texts(".tile .title"), ["Third", "First", "Second"]);
    let moved = [("status", "done"), ("assignee", "me")];
    assert_eq!(part.form(&at(&second), &moved).await.status, StatusCode::OK);
    let one = api.get(&format!("/api/v1/tasks/{second}")).await.json();
    assert_eq!((&one["status"], &one["assignee"]["kind"]), (&json!("done"), &json!("person")));
    let board = mira.get(&format!("{TASKS}?layout=board&wip=todo:1")).await;
    assert_eq!(board.texts(".wip[data-tone]"), ["2 / 1"], "more than it should hold");
    let shown = board.texts(".tile .title");
    assert!(!shown.contains(&"Second".to_owned()), "what is open is asked for: {shown:?}");
    assert!(board.texts(".board h2").contains(&"Done".to_owned()), "a card can be dropped there");
    let all = mira.get(&board.attr(".aside a", "href")).await;
    assert!(all.texts(".tile .title").contains(&"Second".to_owned()), "done for seven days");

    // The side bar links to the layout used last; the view itself does not change.
    let alone = mira.get(&format!("{TASKS}?layout=board")).await;
    assert!(
        alone.attrs(".toolbar [commandfor=save-view]", "type").is_empty(),
        "nothing to be saved"
    );
    let last = mira.get(TASKS).await;
    assert!(!last.texts(".board-cards").is_empty(), "the board is what was looked at last");
    let list = last.attrs(".seg a", "href").into_iter().find(|href| href.contains("layout=list"));
    let list = mira.get(&list.expect("the list names itself, so that it is remembered")).await;
    assert_eq!(list.texts(".board-cards").len(), 0);
    assert_eq!(mira.get(TASKS).await.texts(".board-cards").len(), 0);

    let lanes = mira.get(&format!("{TASKS}?layout=board&group=priority&lanes=assignee")).await;
    assert_eq!(lanes.texts(".board-lane h2"), ["Mira Lindqvist", "Unassigned"]);
    assert_eq!(lanes.texts(".board h2").len(), 8, "every priority in each lane");

    api.post("/api/v1/tasks", &json!({ "title": "A part", "parent": first })).await;
    let refused = part.form(&at(&first), &[("status", "done")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "its part is open");
    let sure = [("status", "done"), ("sure", "1")];
    assert_eq!(part.form(&at(&first), &sure).await.status, StatusCode::OK);
    let wrong = part.form(&at(&first), &[("status", "odd")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivered_work_has_a_column_of_its_own_where_no_card_is_put_by_hand() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    for title in ["Compare prices", "Call them"] {
        make(&api, json!({ "title": title, "status": "in_progress" })).await;
    }
    let board = format!("{TASKS}?layout=board&group=status");
    let heads = mira.get(&board).await.texts(".board h2");
    assert!(!heads.contains(&"In review".to_owned()), "nothing is in review: {heads:?}");
    let (ws, who) = (hq.ws(), work::owner(&hq));
    let submitted = ws.write(&who, move |tx| {
        let task = queries::resolve(tx, "MC-1")?.id;
        let content = Content::Text("# Prices".into());
        let (title, note) = ("Prices".to_owned(), String::new());
        deliverables::submit(tx, NewDelivery { task, title, content, note, revises: None })
    });
    submitted.await.expect("delivered work");
    let page = mira.get(&board).await;
    let heads = page.texts(".board h2");
    assert_eq!(heads, ["To do", "In progress", "In review", "Blocked", "Done"]);
    assert_eq!(page.texts(".board .wip"), ["0", "1", "1", "0", "0"], "each is counted once");
    let adds = page.attrs(".board header a", "aria-label");
    assert!(!adds.iter().any(|label| label.contains("In review")), "no task begins there");

    let list = mira.get(&format!("{TASKS}?q=status:in_progress")).await;
    assert_eq!(list.texts(".row .title"), ["Call them"], "as in the column of that name");
    for q in ["status:in_review", "is:in-review"] {
        let list = mira.get(&format!("{TASKS}?q={q}")).await;
        assert_eq!(list.texts(".row .title"), ["Compare prices"], "{q}");
    }
    let stored = api.get("/api/v1/tasks?status=in_progress").await.json();
    assert_eq!(stored["items"].as_array().map(Vec::len), Some(2), "a program asks what is stored");

    let part = mira.clone().htmx("tasks-board");
    let moved = |task: &'static str, to: &'static str| {
        let part = part.clone();
        async move { part.form(&format!("{TASKS}/{task}/move"), &[("status", to)]).await }
    };
    let refused = moved("MC-2", "in_review").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let told = refused.header("hx-trigger").expect("a message");
    assert!(told.contains("when work is delivered"), "{told}");
    for to in ["todo", "in_progress"] {
        let told = moved("MC-1", to).await;
        let told = told.header("hx-trigger").expect("a message");
        assert!(told.contains("MC-1 stays in review"), "{to}: {told}");
    }
    let told = moved("MC-2", "todo").await;
    assert!(!told.header("hx-trigger").expect("news").contains("hq:toast"), "nothing to be said");
    let bulk = [("tasks", "MC-1,MC-2"), ("status", "blocked")];
    let told = part.form(&format!("{TASKS}/bulk"), &bulk).await;
    let told = told.header("hx-trigger").expect("a message");
    assert!(told.contains("Changed 2 tasks; 1 stays in review"), "{told}");
    let asked = moved("MC-1", "done").await;
    assert_eq!(asked.status, StatusCode::CONFLICT, "its work is not reviewed");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_change_as_one_piece_of_work_and_go_back_as_one() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let mut keys = Vec::new();
    for n in 0..5 {
        keys.push(make(&api, json!({ "title": format!("Task {n}") })).await);
    }
    let body = json!({
        "tasks": keys[..4], "status": "blocked", "priority": "urgent", "due_at": "2026-12-01",
        "add_labels": ["Launch"], "assignee": "me",
    });
    let changed = api.post("/api/v1/tasks/bulk", &body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(changed.json()["tasks"], 4);
    let entry = changed.json()["entry"].as_u64().expect("one entry of the feed");
    let fit =
        "/api/v1/tasks?q=status:blocked+priority:urgent+label:launch+assignee:me+due:2026-12-01";
    assert_eq!(api.get(fit).await.json()["items"].as_array().map(Vec::len), Some(4));

    let undone = mira.form(&format!("/w/marlow-cargo/undo/entry/{entry}"), &[]).await;
    assert_eq!(undone.status, StatusCode::SEE_OTHER, "{}", undone.text);
    let open = api.get("/api/v1/tasks?q=status:todo+priority:medium+due:none").await.json();
    assert_eq!(open["items"].as_array().map(Vec::len), Some(5), "all of it went back");

    let form = [("tasks", "MC-1, MC-2"), ("archived", "yes")];
    let part = mira.clone().htmx("bulk");
    let away = part.form(&format!("{TASKS}/bulk"), &form).await;
    assert_eq!(away.status, StatusCode::OK, "{}", away.text);
    assert!(away.header("hx-trigger").is_some_and(|told| told.contains("undo/entry/")));
    let archived = api.get("/api/v1/tasks?q=is:archived").await.json();
    assert_eq!(archived["items"].as_array().map(Vec::len), Some(2));

    let by_query = json!({ "q": "is:open", "priority": "low" });
    assert_eq!(api.post("/api/v1/tasks/bulk", &by_query).await.json()["tasks"], 3);
    for (body, says) in [
        (json!({ "status": "done" }), "select the tasks"),
        (json!({ "tasks": ["MC-3", "MC-99"], "status": "done" }), "there is no task"),
        (json!({ "tasks": ["MC-3", "MC-1"], "priority": "high" }), "archived"),
        (json!({ "q": "is:opne", "priority": "high" }), "did you mean open?"),
        (json!({ "q": " ", "priority": "high" }), "an empty query matches every task"),
        (json!({ "tasks": ["MC-3"], "q": "", "priority": "high" }), "not both"),
        (json!({ "tasks": ["MC-3"], "due_at": "9999-12-31" }), "out of range"),
    ] {
        let wrong = api.post("/api/v1/tasks/bulk", &body).await;
        assert!(wrong.status.is_client_error(), "{body}");
        assert!(wrong.text.contains(says), "{body}: {}", wrong.text);
    }
    let third = api.get("/api/v1/tasks/MC-3").await.json();
    assert_eq!(
        (&third["status"], &third["priority"]),
        (&json!("todo"), &json!("low")),
        "all or none"
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calendar_shows_due_dates_and_a_timeline_shows_bars_and_blockers() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let day = |days: i64| {
        let at = hq.now() + jiff::SignedDuration::from_hours(24 * days);
        at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
    };
    let soon = make(&api, json!({ "title": "Soon", "due_at": day(2), "start_at": day(0) })).await;
    make(&api, json!({ "title": "Whenever" })).await;
    let later = json!({ "title": "Later", "start_at": day(1), "due_at": day(5) });
    let later = make(&api, later).await;
    let month = &day(2)[..7];
    let calendar = mira.get(&format!("{TASKS}?layout=calendar&month={month}")).await;
    assert_eq!(calendar.status, StatusCode::OK);
    assert!(calendar.texts(".due-pill a").iter().any(|text| text.ends_with("Soon")));
    assert_eq!(calendar.text_of(".tray h2"), "No date 1");
    let days = |page: &support::hq::Reply| page.texts(".cal th");
    assert_eq!(days(&calendar)[0], "Mon");
    let chosen = mira.form("/week", &[("week", "sunday")]).await;
    assert_eq!(chosen.status, StatusCode::SEE_OTHER);
    let calendar = mira.get(&format!("{TASKS}?layout=calendar&month={month}")).await;
    assert_eq!((&*days(&calendar)[0], &*days(&calendar)[6]), ("Sun", "Sat"));
    assert_eq!(calendar.texts("#week-start [aria-current]"), ["Sunday"]);
    assert!(calendar.texts(".due-pill a").iter().any(|text| text.ends_with("Soon")));
    let part = mira.clone().htmx("tasks-month");
    let to = day(3);
    let dropped = part.form(&format!("{TASKS}/{soon}/move"), &[("due", to.as_str())]).await;
    assert_eq!(dropped.status, StatusCode::OK, "{}", dropped.text);
    let found = api.get(&format!("/api/v1/tasks?q=due:{to}")).await.json();
    assert_eq!(found["items"][0]["title"], "Soon");

    let tie = json!({ "kind": "blocked_by", "other": soon });
    let tied = api.post(&format!("/api/v1/tasks/{later}/relations"), &tie).await;
    assert!(tied.status.is_success(), "{}", tied.text);
    let line = mira.get(&format!("{TASKS}?layout=timeline")).await;
    assert_eq!(line.status, StatusCode::OK);
    let mut names = line.texts(".names a");
    names.sort_unstable();
    assert_eq!(names.len(), 2, "one has no date: {names:?}");
    assert_eq!(line.text_of(".month-head .link"), "1 undated");
    assert_eq!(line.attrs(".span", "data-start").len(), 2);
    assert_eq!(line.texts(".tie").len(), 1);
    assert!(line.text.contains("class=\"tie\" data-late"), "it ends after its follower begins");
    for odd in
        ["layout=calendar&month=2026-99", "layout=timeline&month=x", "layout=odd", "view=none"]
    {
        assert_eq!(mira.get(&format!("{TASKS}?{odd}")).await.status, StatusCode::OK, "{odd}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calendar_hides_no_day_behind_one_that_is_full() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let (full, late) = (noon("2031-03-03"), noon("2031-03-27"));
    for piece in 0..5 {
        let due = |n| NewTask { due_at: full, ..NewTask::titled(format!("Count {piece}.{n}")) };
        write(&hq, (0..450).map(due)).await;
    }
    write(&hq, [NewTask { due_at: late, ..NewTask::titled("At the end") }]).await;

    let month = mira.get(&format!("{TASKS}?layout=calendar&month=2031-03")).await;
    assert_eq!(month.status, StatusCode::OK, "{}", month.text);
    let pills = month.texts(".due-pill a");
    assert_eq!(pills.len(), 5, "four of the full day, and one: {pills:?}");
    assert!(pills[4].ends_with("At the end"), "{pills:?}");
    let more = month.text_of(".cal .more");
    assert!(more.starts_with("+2246 more"), "{more}");
    let day = mira.get(&month.attr(".cal .more", "href")).await;
    assert_eq!(day.status, StatusCode::OK);
    assert!(day.text.contains("Count 0.") && !day.text.contains("At the end"));
    let none = mira.get(&format!("{TASKS}?layout=calendar&month=2031-05")).await;
    assert_eq!(none.texts(".due-pill a"), [""; 0]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_shows_what_is_to_be_done_first_and_the_most_urgent_of_it() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let due = |title: &str, status, priority, hour: &str| NewTask {
        due_at: Some(format!("2031-03-03T{hour}:00:00Z").parse().expect("a time")),
        due_has_time: true,
        status,
        priority,
        ..NewTask::titled(title)
    };
    let done = (0..5).map(|n| due(&format!("Done {n}"), TaskStatus::Done, Priority::Urgent, "06"));
    write(&hq, done).await;
    let open = [
        ("Low", TaskStatus::Todo, Priority::Low, "07"),
        ("Urgent", TaskStatus::Blocked, Priority::Urgent, "15"),
        ("High, late", TaskStatus::InProgress, Priority::High, "14"),
        ("High, early", TaskStatus::Todo, Priority::High, "08"),
    ];
    write(&hq, open.map(|(title, status, priority, hour)| due(title, status, priority, hour)))
        .await;
    let month = mira.get(&format!("{TASKS}?layout=calendar&month=2031-03&q=")).await;
    let titles = month.attrs(".due-pill a", "title");
    assert_eq!(titles, ["Urgent", "High, early", "High, late", "Low"]);
    assert!(month.text_of(".cal .more").starts_with("+5 more"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_tasks_without_a_date_stand_beside_the_days() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let calendar = format!("{TASKS}?layout=calendar&month=2031-03&q=");
    write(&hq, (0..21).map(|n| NewTask::titled(format!("Some day {n}")))).await;
    let done = NewTask { status: TaskStatus::Done, ..NewTask::titled("Done") };
    let first = NewTask { priority: Priority::Urgent, ..NewTask::titled("First") };
    let dated = NewTask { due_at: noon("2031-03-03"), ..NewTask::titled("Dated") };
    write(&hq, [done, first, dated]).await;

    let page = mira.get(&calendar).await;
    assert_eq!(page.text_of(".tray h2"), "No date 22");
    let titles = page.attrs(".tray .due-pill a", "title");
    assert_eq!((titles.len(), &*titles[0]), (20, "First"), "the first of them");
    assert!(!titles.iter().any(|title| title == "Done" || title == "Dated"), "{titles:?}");
    assert_eq!(page.attrs(".tray [data-grip]", "aria-describedby").len(), 20);
    let all = mira.get(&page.attr(".tray p a", "href")).await;
    assert_eq!(all.texts(".rows .row .title").len(), 22);

    let to = page.attr(".tray .due-pill", "data-move");
    let part = mira.clone().htmx("tasks-month");
    let dropped = part.form(&to, &[("due", "2031-03-05")]).await;
    assert_eq!(dropped.status, StatusCode::OK, "{}", dropped.text);
    let page = mira.get(&calendar).await;
    assert_eq!(page.text_of(".tray h2"), "No date 21");
    assert_eq!(page.attrs(".cal .due-pill a", "title"), ["Dated", "First"]);
    let none = mira.get(&format!("{TASKS}?layout=calendar&q=dated")).await;
    assert!(none.texts(".tray").is_empty(), "every one has a date");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_has_what_goes_on_in_its_weeks() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let of = |title: &str, start: &str, due: &str| NewTask {
        start_at: Some(start).filter(|day| !day.is_empty()).and_then(noon),
        due_at: Some(due).filter(|day| !day.is_empty()).and_then(noon),
        ..NewTask::titled(title)
    };
    let all = [
        of("Across", "2031-01-01", "2031-12-31"),
        of("Ends there", "2030-06-01", "2031-02-24"),
        of("Begins there", "2031-05-04", "2031-08-01"),
        of("Over before", "2030-06-01", "2031-02-23"),
        of("Behind it", "2031-05-05", "2031-08-01"),
        of("Due there", "", "2031-03-10"),
        of("Due later", "", "2031-06-30"),
        of("To begin there", "2031-03-12", ""),
        of("Begun and not ended", "2026-10-01", ""),
        of("Whenever", "", ""),
    ];
    write(&hq, all).await;
    let names = async |address: &str| {
        let mut names =
            mira.get(&format!("{TASKS}?layout=timeline&{address}")).await.texts(".names a");
        names.iter_mut().for_each(|name| *name = name.replace("To do: ", ""));
        names.sort_unstable();
        names
    };
    // Ten weeks from the Monday before 1 March.
    let there = ["Across", "Begins there", "Due there", "Ends there", "To begin there"];
    assert_eq!(names("month=2031-03").await, there);
    assert_eq!(names("").await, ["Begun and not ended"], "it goes on until today");
    assert_eq!(names("month=2031-09").await, ["Across"]);
    assert_eq!(names("month=2040-01").await, [""; 0]);
    let page = mira.get(&format!("{TASKS}?layout=timeline&month=2031-03")).await;
    assert_eq!(page.attrs(".span", "data-start").len(), there.len(), "each has a bar there");
    let empty = mira.get(&format!("{TASKS}?layout=timeline&month=2040-01")).await;
    assert!(empty.text.contains("No tasks in these weeks"), "{}", empty.text);
    assert_eq!(page.text_of(".month-head .link"), "1 undated");
    let undated = mira.get(&page.attr(".month-head .link", "href")).await;
    assert_eq!(undated.texts(".rows .row .title"), ["Whenever"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_shows_more_when_it_is_asked() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let due = |n| NewTask { due_at: noon("2031-03-03"), ..NewTask::titled(format!("Bar {n}")) };
    write(&hq, (0..230).map(due)).await;
    for (task, other) in [("MC-1", "MC-230"), ("MC-2", "MC-1")] {
        let tie = json!({ "kind": "blocked_by", "other": other });
        let tied = api.post(&format!("/api/v1/tasks/{task}/relations"), &tie).await;
        assert!(tied.status.is_success(), "{}", tied.text);
    }
    let page = mira.get(&format!("{TASKS}?layout=timeline&month=2031-03&sort=created")).await;
    // One of the two arrows leads to a task beyond the first page.
    assert_eq!((page.texts(".names a").len(), page.texts(".tie").len()), (200, 1));
    assert_eq!(page.text_of(".pager"), "Show more200 of 230");
    let part = mira.clone().htmx("tasks-timeline");
    for whole in [&mira, &part] {
        let more = whole.get(&page.attr(".pager a", "href")).await;
        assert_eq!((more.texts(".names a").len(), more.texts(".tie").len()), (230, 2));
        assert!(more.texts(".pager").is_empty(), "these are all");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_begins_with_what_fits_a_screen_and_brings_the_rest() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let of = |status: TaskStatus| {
        (0..70)
            .map(move |n| NewTask { status, ..NewTask::titled(format!("{} {n}", status.word())) })
    };
    write(
        &hq,
        [TaskStatus::InProgress, TaskStatus::Blocked, TaskStatus::Todo].into_iter().flat_map(of),
    )
    .await;
    let page = mira.get(TASKS).await;
    let shown = |word: &str| page.texts(&format!("[data-of={word}] .row")).len();
    assert_eq!([shown("in_progress"), shown("blocked"), shown("todo")], [50, 10, 10]);
    assert_eq!(page.texts(".group .count"), ["70"; 3]);
    for word in ["in_progress", "blocked", "todo"] {
        let mut names = page.texts(&format!("[data-of={word}] .title"));
        let mut more = page.attr(&format!("[data-of={word}] .pager"), "hx-get");
        while !more.is_empty() {
            let rest = mira.clone().htmx("tasks-list").get(&more).await;
            names.extend(rest.texts(".title"));
            more = rest.attrs(".pager", "hx-get").pop().unwrap_or_default();
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 70, "{word}");
    }
    // Without scripts, the link leads to a page with the next rows of that group, and so on.
    let mut next = page.attr("[data-of=todo] .pager a", "href");
    let mut names = page.texts("[data-of=todo] .title");
    while !next.is_empty() {
        let further = mira.get(&next).await;
        assert_eq!(further.texts("[data-of=blocked] .row").len(), 0, "{next}");
        let rows = further.texts("[data-of=todo] .title");
        assert!((1..=50).contains(&rows.len()), "{}", rows.len());
        names.extend(rows);
        next = further.attrs("[data-of=todo] .pager a", "href").pop().unwrap_or_default();
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 70);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_renew_for_all_that_they_show() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    for layout in ["list", "board", "calendar"] {
        let page = owner.get(&format!("/w/marlow-cargo/tasks?layout={layout}")).await;
        let hears = page.attrs("main [data-region]", "hx-trigger").join(" ");
        for table in ["tasks", "comments", "deliverables", "inbox", "parks", "streams", "labels"] {
            assert!(hears.contains(&format!("hq:{table} ")), "{layout} hears {hears}");
        }
    }
    hq.finish().await;
}
