//! Surroundings of task lists and task pages: total, filter menu, recurring tasks, properties, cost, limits of the
//! timeline.

use features::tasks::queries::error::TaskError;
use features::tasks::rules::{self as tasks, NewTask};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};
use support::model::{Tokens, Turn};
use support::office::Office;
use support::work;

const TASKS: &str = "/w/marlow-cargo/tasks";

async fn make(api: &Person, body: Value) {
    let made = api.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
}

/// Number of tasks that a query finds.
async fn found(api: &Person, q: &str) -> u64 {
    let list = api.get(&format!("/api/v1/tasks?limit=100&q={q}")).await.json();
    list["items"].as_array().map_or(0, Vec::len) as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_match_change_as_one_piece_of_work_also_where_a_page_shows_a_part() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    for n in 0..60 {
        make(&api, json!({ "title": format!("Row {n}"), "labels": ["bulk"] })).await;
    }
    make(&api, json!({ "title": "Something else" })).await;
    let list = mira.get(&format!("{TASKS}?q=label:bulk")).await;
    let shown = (list.texts(".row .title").len(), list.attr("#tasks-list", "data-matches"));
    assert_eq!(shown, (50, "60".to_owned()));
    let bar = |name: &str| list.attr(&format!("#bulk{name}"), "value");
    assert_eq!(bar(" input[name=q][disabled]"), "label:bulk", "sent when all are meant");
    assert_eq!(list.attr("#bulk", "data-most"), "1000");
    let odd = mira.get(&format!("{TASKS}?q=lable:bulk")).await;
    assert_eq!(odd.attrs("#tasks-list", "data-matches").len(), 0, "nobody knows which");

    let part = mira.clone().htmx("bulk");
    let all = [("tasks", "MC-1,MC-2"), ("q", "label:bulk"), ("priority", "urgent")];
    let changed = part.form(&format!("{TASKS}/bulk"), &all).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let told = changed.header("hx-trigger").expect("a toast");
    let told: Value = serde_json::from_str(told).expect("JSON");
    assert_eq!(told["hq:toast"]["text"], "Changed 60 tasks");
    assert_eq!(found(&api, "priority:urgent").await, 60);
    let undo = told["hq:toast"]["undo"].as_str().expect("the way back");
    assert_eq!(mira.form(undo, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(found(&api, "priority:urgent").await, 0, "all of it went back");

    for (q, says) in [("label:bulky", "label"), ("title:", "title"), ("label:bulk is:archived", "")]
    {
        let wrong = [("tasks", "MC-1"), ("q", q), ("priority", "urgent")];
        let refused = part.form(&format!("{TASKS}/bulk"), &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{q}: {}", refused.text);
        let told = refused.header("hx-trigger").expect("why");
        assert!(told.contains("danger") && told.contains(says), "{q}: {told}");
    }
    assert_eq!(found(&api, "priority:urgent").await, 0);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_change_at_once_is_refused_with_their_number() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let (ws, by) = (hq.ws(), work::owner(&hq));
    let made = ws.write(&by, |tx| {
        for n in 0..1_001 {
            tasks::create(tx, NewTask::titled(format!("Row {n}")))?;
        }
        Ok::<_, TaskError>(())
    });
    made.await.expect("many tasks");
    let says = "1,001 tasks match and at most 1000 can change at once";
    let form = [("q", "is:open"), ("priority", "urgent")];
    let refused = mira.clone().htmx("bulk").form(&format!("{TASKS}/bulk"), &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.header("hx-trigger").is_some_and(|told| told.contains(says)));
    let body = json!({ "q": "is:open", "priority": "urgent" });
    let refused = api.post("/api/v1/tasks/bulk", &body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains(says), "{}", refused.text);
    mira.form(&format!("{TASKS}/MC-1/archive"), &[]).await;
    assert_eq!(api.post("/api/v1/tasks/bulk", &body).await.json()["tasks"], 1_000);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_menu_of_filters_has_streams_and_labels_and_keeps_what_was_typed() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let page = mira.get(TASKS).await;
    assert_eq!(page.texts("#filter [name=stream], #filter [name=label]").len(), 0, "none exist");
    for name in ["Spring launch", "Odd, even"] {
        let made = api.post("/api/v1/streams", &json!({ "name": name })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    make(&api, json!({ "title": "Launch", "stream": "Spring launch", "labels": ["bug"] })).await;
    make(&api, json!({ "title": "Even", "stream": "Odd, even" })).await;
    make(&api, json!({ "title": "Loose" })).await;

    let page = mira.get(TASKS).await;
    let mut streams = page.texts("#filter [name=stream] option");
    streams.sort_unstable();
    assert_eq!(streams, ["Any", "No stream", "Odd, even", "Spring launch"]);
    assert_eq!(page.texts("#filter [name=label] option"), ["Any", "No label", "bug"]);
    let values = page.attrs("#filter [name=stream] option", "value");
    for (name, title) in [("Spring", "Launch"), ("Odd", "Even"), ("none", "Loose")] {
        let value = values.iter().find(|value| value.contains(name)).expect("a choice");
        let form = [("menu", "1"), ("status", "open"), ("stream", value.as_str()), ("q", "")];
        let address = serde_urlencoded::to_string(form).expect("an address");
        let shown = mira.get(&format!("{TASKS}?{address}")).await;
        assert_eq!(shown.texts(".row .title"), [title], "{address}");
        let chosen = shown.attrs("#filter [name=stream] option[selected]", "value");
        assert_eq!(&chosen, std::slice::from_ref(value), "it stays chosen");
    }
    let both = mira.get(&format!("{TASKS}?menu=1&status=open&label=bug&q=label:x+stream:y")).await;
    assert_eq!(both.attr("input[name=q]", "value"), "is:open label:bug");
    let several = mira.get(&format!("{TASKS}?q=label:bug,none")).await;
    assert_eq!(several.texts("#filter [name=label] option[selected]"), ["bug, none"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recurring_tasks_stand_in_the_frame_of_views_and_lead_back_to_what_was_asked() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    api.post("/api/v1/views", &json!({ "name": "Launch", "look": { "q": "is:open" } })).await;
    let list = mira.get(&format!("{TASKS}?view=launch&q=priority:high")).await;
    let href = list.attrs("nav[aria-label=Layout] a", "href").pop().expect("recurring tasks");
    assert_eq!(href, format!("{TASKS}/recurring?view=launch&q=priority%3Ahigh"));
    let page = mira.get(&href).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(page.text_of("h1"), "Recurring");
    assert_eq!(page.text_of("nav[aria-label=Layout] [aria-current]"), "Recurring");
    assert!(page.texts("#task-views a").iter().any(|view| view.starts_with("Launch")));
    let back = page.attrs("nav[aria-label=Layout] a", "href");
    assert_eq!(back[0], format!("{TASKS}?view=launch&q=priority%3Ahigh&layout=list"));
    assert_eq!(page.attrs(".toolbar", "class").len(), 0, "queries ask for tasks");
    let region = page.attr("#recurring", "hx-get");
    let alone = mira.clone().htmx("recurring").get(&region).await;
    assert!(alone.text.contains("No recurring tasks yet") && !alone.text.contains("<nav"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_say_what_they_show_and_choices_how_they_will_look() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    api.post("/api/v1/streams", &json!({ "name": "Launch" })).await;
    api.post("/api/v1/labels", &json!({ "name": "bug", "colour": "c1" })).await;
    let due = json!({ "title": "Oil", "due_at": "2026-11-24T13:30:00Z" });
    make(&api, due).await;
    let at = format!("{TASKS}/MC-1");
    let page = mira.get(&at).await;
    assert_eq!(page.attr("#task-props", "data-record"), "MC-1");
    let shows = page.attrs("#task-props .prop[data-shows]", "data-shows");
    assert_eq!(shows, ["status", "priority", "assignee", "due", "start", "stream", "label"]);
    let forms = page.attrs("#task-props form[data-guess]", "action");
    assert_eq!(forms.len(), 10, "each property by its own act: {forms:?}");
    let says = page.attrs("#m-due button[data-says]", "data-says");
    assert_eq!(says[..2], ["Today, 14:30", "Tomorrow, 14:30"], "a time of day stays");
    assert_eq!(page.texts("#m-stream .dot, #m-stream .i").len(), 3, "signs, and a tick");
    let says = page.attrs("#m-assign button[data-says]", "data-says");
    assert!(says.contains(&"Unassigned".to_owned()));

    let rail = mira.clone().htmx("task-props");
    let urgent = rail.form(&format!("{at}/priority"), &[("priority", "urgent")]).await;
    assert_eq!(urgent.status, StatusCode::OK, "{}", urgent.text);
    let refused = rail.form(&format!("{at}/priority"), &[("priority", "odd")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.header("hx-trigger").is_some_and(|told| told.contains("odd")));
    let nobody = mira.form(&format!("{at}/assign"), &[("assignee", "none")]).await;
    assert_eq!(nobody.location(), Some(at.as_str()), "{}", nobody.text);
    let viewer = hq.another("Vera", Some(kernel::Role::Viewer)).await;
    let seen = viewer.get(&at).await;
    assert_eq!(seen.texts("[data-guess], [data-record], .prop[data-shows]").len(), 0);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_task_tells_its_cost_against_its_budget() {
    let office = Office::open().await;
    office.price(3_000_000, 15_000_000).await;
    let ada = office.agent("Ada").await;
    let tokens = Tokens { input: 100_000, cache_read: 0, cache_write: 0, output: 10_000 };
    let done = json!({ "summary": "Done.", "task_state": "complete" });
    office.model.push(Turn::call("work_done", done).usage(tokens));
    let task = office.task("Compare two offers", &ada).await;
    office.worked(task.id, 1).await;
    let (hq, mira) = (&office.hq, office.hq.owner());
    let at = format!("{TASKS}/MC-{}", task.number);
    let page = mira.get(&at).await;
    assert_eq!(page.text_of("#cost-head"), "Cost $0.45");
    assert_eq!(page.text_of("#task-cost > .meta"), "110.0K tokens");
    assert_eq!(page.texts("#task-cost progress").len(), 0, "nothing limits it");
    assert_eq!(page.text_of("#task-cost > .btn"), "Set budget");

    let payer = page.attr("#task-cost [name=payer]", "value");
    let form = [("payer", payer.as_str()), ("period", "total"), ("money", "0.50"), ("back", "on")];
    let set = mira.form(&page.attr("#task-cost form", "action"), &form).await;
    let back = set.location().expect("back to the task").to_owned();
    assert_eq!(mira.get(&back).await.location(), Some(at.as_str()), "by its own name");
    let region = page.attr("#task-cost", "hx-get");
    assert_eq!(region, format!("{at}?part=cost"));
    let hears = page.attr("#task-cost", "hx-trigger");
    assert!(hears.contains("hq:usage ") && hears.contains("hq:budgets "), "{hears}");
    let alone = mira.clone().htmx("task-cost").get(&region).await;
    assert_eq!(alone.text_of("#cost-head"), "Cost $0.45 of $0.50");
    let bar = |name: &str| alone.attr("#task-cost progress", name);
    assert_eq!((bar("value"), bar("data-tone")), ("90".to_owned(), "warn".to_owned()));

    let viewer = hq.another("Vera", Some(kernel::Role::Viewer)).await;
    let seen = viewer.get(&at).await;
    assert_eq!(seen.text_of("#cost-head"), "Cost $0.45 of $0.50");
    assert_eq!(seen.texts("#task-cost form").len(), 0);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_without_changes_stays_so_for_who_asked_for_it() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    make(&api, json!({ "title": "Oil the chain" })).await;
    let at = format!("{TASKS}/MC-1");
    let page = mira.get(&at).await;
    let switch = "#task-time nav a";
    assert_eq!(page.texts(switch), ["Everything", "Comments only"]);
    assert_eq!(page.text_of(&format!("{switch}[aria-current]")), "Everything");
    assert!(page.text_of("#task-time .event").contains("created this task"));

    let part = mira.clone().htmx("task-time");
    let few = part.get(&page.attrs(switch, "hx-get")[1]).await;
    assert_eq!(few.texts("#task-time .event").len(), 0);
    assert_eq!(few.text_of("#task-time > .meta"), "No comments yet.");
    assert!(few.header("set-cookie").is_some_and(|kept| kept.starts_with("hq_timeline=comments;")));
    mira.form(&format!("{at}/comment"), &[("body", "Which oil?")]).await;
    let page = mira.get(&at).await;
    assert_eq!(page.text_of(&format!("{switch}[aria-current]")), "Comments only");
    assert!(page.text_of("#task-time .timeline").contains("Which oil?"));
    let again = part.get(&page.attr("#task-time", "hx-get")).await;
    assert_eq!(again.texts("#task-time .event").len(), 0, "also when it renews itself");

    // Another member sees everything, and an unknown parameter value changes nothing.
    let tom = hq.another("Tom", Some(kernel::Role::Viewer)).await;
    assert_ne!(tom.get(&at).await.texts("#task-time .event").len(), 0);
    let odd = mira.get(&format!("{at}?tell=nonsense")).await;
    assert_eq!((odd.texts("#task-time .event").len(), odd.header("set-cookie")), (0, None));
    let all = mira.get(&format!("{at}?tell=everything")).await;
    assert_ne!(all.texts("#task-time .event").len(), 0);
    assert_ne!(mira.get(&at).await.texts("#task-time .event").len(), 0, "it is kept again");
    hq.finish().await;
}
