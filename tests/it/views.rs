//! Saved views: page and API, private and shared ones, and queries in addresses.

use reqwest::StatusCode;
use serde_json::json;

use support::hq::TestHq;

const TASKS: &str = "/w/marlow-cargo/tasks";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_saved_changed_shared_and_deleted() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let form = [("noun", "tasks"), ("name", "Launch"), ("q", "is:open priority:high")];
    let made = mira.form("/w/marlow-cargo/views", &form).await;
    assert_eq!(made.location(), Some("/w/marlow-cargo/tasks?view=launch"), "{}", made.text);
    let page = mira.get(&format!("{TASKS}?view=launch")).await;
    assert_eq!(page.texts(".filter b"), ["Open", "High"]);
    assert_eq!(page.attr("input[name=q]", "value"), "is:open priority:high");
    assert!(!page.text.contains("data-dirty"), "nothing is changed");
    let changed = mira.get(&format!("{TASKS}?view=launch&sort=title")).await;
    assert!(changed.text.contains("data-dirty"), "a dot marks what is not saved");

    let all = mira.get("/api/v1/views").await.json();
    let id = all["items"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(all["items"][0]["look"]["q"], "is:open priority:high");
    assert_eq!(all["items"][0]["shared"], false);

    let tom = hq.another("Tom", Some(kernel::Role::Member)).await;
    let unseen = tom.clone().with("x-hq-workspace", "marlow-cargo");
    assert_eq!(unseen.get("/api/v1/views").await.json()["items"], json!([]));
    let missing = unseen.get(&format!("{TASKS}?view=launch")).await;
    assert!(missing.text.contains("doesn’t exist. Showing"), "it is Mira's own");
    let refused = unseen.form(&format!("/w/marlow-cargo/views/{id}/delete"), &[]).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);

    let verb = |verb: &str| format!("/w/marlow-cargo/views/{id}/{verb}");
    let shared = mira.form(&verb("share"), &[]).await;
    assert_eq!(shared.location(), Some("/w/marlow-cargo/tasks?view=launch"));
    assert_eq!(unseen.get("/api/v1/views").await.json()["items"][0]["slug"], "launch");
    mira.form(&verb("save"), &[("q", "is:closed")]).await;
    mira.form(&verb("rename"), &[("name", "Landing")]).await;
    let one = mira.get(&format!("/api/v1/views/{id}")).await.json();
    assert_eq!((&one["name"], &one["slug"]), (&json!("Landing"), &json!("launch")));
    assert_eq!(one["look"]["q"], "is:closed");
    let gone = mira.form(&verb("delete"), &[]).await;
    assert_eq!(gone.location(), Some("/w/marlow-cargo/tasks"));
    assert_eq!(mira.get("/api/v1/views").await.json()["items"], json!([]));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_cannot_be_saved_says_why() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    for (body, says) in [
        (json!({ "name": "  " }), "Enter a name."),
        (json!({ "name": "x".repeat(61) }), "Use at most 60 characters."),
        (
            json!({ "name": "x", "noun": "boats" }),
            "Only these have views: tasks, contacts, organizations",
        ),
        (json!({ "name": "x", "look": { "q": "y".repeat(2_001) } }), "Use at most 2000 bytes."),
        (json!({ "name": "x", "icon": "a whole word" }), "Use one emoji."),
    ] {
        let wrong = api.post("/api/v1/views", &body).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(wrong.text.contains(says), "{body}: {}", wrong.text);
    }
    for _ in 0..2 {
        let made = api.post("/api/v1/views", &json!({ "name": "Week" })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    let all = api.get("/api/v1/views?noun=tasks").await.json();
    assert_eq!(all["items"][0]["slug"], "week-2", "the built-in one keeps its name");
    assert_eq!(all["items"][1]["slug"], "week-3");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_query_stands_in_the_box_and_what_is_wrong_is_told() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let api = hq.api().await;
    for title in ["Write the offer", "Call the baker"] {
        api.post("/api/v1/tasks", &json!({ "title": title, "assignee": "me" })).await;
    }
    let page = mira.get(TASKS).await;
    assert_eq!(page.attr("input[name=q]", "value"), "is:open", "visibly there");
    assert_eq!(page.texts(".row .title").len(), 2);
    let page = mira.get(&format!("{TASKS}?q=offer+statsu:done+-assignee:none")).await;
    assert_eq!(page.texts(".row .title"), ["Write the offer"]);
    assert_eq!(page.texts(".filter[data-tone=danger] b"), ["done"]);
    assert!(page.text_of(".says").contains("did you mean status?"));
    let grouped = mira.get(&format!("{TASKS}?group=assignee&columns=due")).await;
    assert_eq!(grouped.texts(".group h2"), ["Mira Lindqvist"]);
    assert_eq!(grouped.texts(".row .id").len(), 0, "columns are chosen");

    let offers = mira.get(&format!("{TASKS}/complete?q=assignee:m&at=10")).await.json();
    assert_eq!(offers[0]["q"], "assignee:me");
    assert_eq!(offers[0]["at"], 11);
    let odd = mira.get(&format!("{TASKS}/complete?q=%F0%9F%9A%B2+st&at=5")).await.json();
    assert_eq!(odd[0]["q"], "🚲 status:", "scripts count in UTF-16 units");

    let found = mira.get("/api/v1/tasks?q=offer+is:mine").await.json();
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
    let wrong = mira.get("/api/v1/tasks?q=is:opne").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("did you mean open?"), "{}", wrong.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_numbers_of_the_views_are_a_region_of_their_own() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let look = json!({ "q": "is:open label:launch" });
    api.post("/api/v1/views", &json!({ "name": "Launch", "look": look })).await;
    for layout in ["list", "board", "calendar", "timeline"] {
        let page = mira.get(&format!("{TASKS}?layout={layout}")).await;
        let hears = page.attr("#task-views", "hx-trigger");
        assert!(hears.contains("hq:tasks from:body delay:500ms"), "{layout}: {hears}");
        assert!(hears.contains("hq:task_labels ") && hears.contains("hq:inbox "), "{hears}");
        assert!(!hears.contains("hq:comments "), "no view asks for them: {hears}");
        let region = page.attr("#task-views", "hx-get");
        assert!(region.contains("part=views"), "{layout}: {region}");
        let alone = mira.clone().htmx("task-views").get(&region).await;
        assert_eq!(alone.texts("nav a").len(), 6, "{layout}: {}", alone.text);
        assert!(!alone.text.contains("toolbar"), "{layout}: {}", alone.text);
    }
    let region = mira.get(TASKS).await.attr("#task-views", "hx-get");
    let numbers = async || mira.clone().htmx("task-views").get(&region).await.texts("nav a");
    let none = ["All open", "My work", "Due this week", "Waiting for me", "Unassigned", "Launch"];
    assert_eq!(numbers().await, none);
    let task = json!({ "title": "Write the offer", "assignee": "me", "labels": ["launch"] });
    let made = api.post("/api/v1/tasks", &task).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let some =
        ["All open1", "My work1", "Due this week", "Waiting for me", "Unassigned", "Launch1"];
    assert_eq!(numbers().await, some);
    // The region's address also contains the shown view and its changes.
    let page = mira.get(&format!("{TASKS}?view=launch&sort=title")).await;
    let region = page.attr("#task-views", "hx-get");
    let alone = mira.clone().htmx("task-views").get(&region).await;
    assert_eq!(alone.texts("[aria-current] .vh"), ["(changed, not saved)"], "{}", alone.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_gets_an_icon_and_another_place_by_forms() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let save = async |name: &str, icon: (&str, &str)| {
        let fields = [("noun", "tasks"), ("name", name), ("icon", icon.0), ("icon_other", icon.1)];
        let made = mira.form("/w/marlow-cargo/views", &fields).await;
        hq.advance(std::time::Duration::from_secs(1)).await;
        made.location().unwrap_or_else(|| panic!("{}", made.text)).to_owned()
    };
    let launch = save("Launch", ("🎯", "")).await;
    save("Yard", ("🎯", " 🚲 ")).await;
    let paper = save("Paper", ("", "")).await;
    let tabs = async || mira.get(TASKS).await.texts("#task-views a").split_off(5);
    assert_eq!(tabs().await, ["🎯 Launch", "🚲 Yard", "Paper"]);

    // The form has only the name, and the current icon among the others.
    let page = mira.get(&launch).await;
    assert_eq!(page.attr("#view-new-name", "value"), "Launch");
    assert_eq!(page.attr("#rename-view input[name=icon][checked]", "value"), "🎯");
    assert_eq!(page.attr("#save-view input[name=icon][checked]", "value"), "");
    let all = mira.get("/api/v1/views").await.json();
    let path = |n: usize, verb: &str| {
        let id = all["items"][n]["id"].as_str().expect("an id");
        format!("/w/marlow-cargo/views/{id}/{verb}")
    };
    let verbs = |page: &support::hq::Reply| {
        let all = page.attrs("#view-menu form", "action").into_iter();
        all.filter_map(|to| to.rsplit_once('/').map(|(_, verb)| verb.to_owned()))
            .filter(|verb| ["left", "right"].contains(&verb.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(verbs(&page), ["right"], "it is the first");
    assert_eq!(verbs(&mira.get(&paper).await), ["left"], "it is the last");
    mira.form(&path(2, "rename"), &[("name", "Paper"), ("icon", "📚"), ("icon_other", "")]).await;
    // A request without an icon does not change it.
    mira.form(&path(0, "rename"), &[("name", "Landing")]).await;
    assert_eq!(tabs().await, ["🎯 Landing", "🚲 Yard", "📚 Paper"]);
    let wrong = [("name", "Paper"), ("icon", ""), ("icon_other", "a whole word")];
    let refused = mira.form(&path(2, "rename"), &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);

    let moved = mira.form(&path(2, "left"), &[]).await;
    assert_eq!(moved.location(), Some(paper.as_str()), "{}", moved.text);
    assert_eq!(tabs().await, ["🎯 Landing", "📚 Paper", "🚲 Yard"]);
    mira.form(&path(0, "right"), &[]).await;
    assert_eq!(tabs().await, ["📚 Paper", "🎯 Landing", "🚲 Yard"]);
    // At either end, moving does nothing.
    mira.form(&path(2, "left"), &[]).await;
    mira.form(&path(1, "right"), &[]).await;
    assert_eq!(tabs().await, ["📚 Paper", "🎯 Landing", "🚲 Yard"]);
    // Two views that a program put at the same position are ordered.
    for n in 0..3 {
        let id = all["items"][n]["id"].as_str().expect("an id");
        mira.json("PATCH", &format!("/api/v1/views/{id}"), &json!({ "position": 7 })).await;
    }
    assert_eq!(tabs().await, ["🎯 Landing", "🚲 Yard", "📚 Paper"], "by their age");
    mira.form(&path(2, "left"), &[]).await;
    assert_eq!(tabs().await, ["🎯 Landing", "📚 Paper", "🚲 Yard"]);
    // A new view comes last, even after others were deleted.
    mira.form(&path(0, "delete"), &[]).await;
    save("Late", ("", "")).await;
    assert_eq!(tabs().await, ["📚 Paper", "🚲 Yard", "Late"]);

    // Another member's own view cannot be moved.
    let tom = hq.another("Tom", Some(kernel::Role::Member)).await;
    assert_eq!(tom.form(&path(1, "left"), &[]).await.status, StatusCode::NOT_FOUND);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hq_itself_holds_can_be_asked_for_and_stays_with_it() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    for (title, who) in [("Sweep the yard", "hq"), ("Call the baker", "me")] {
        let made = api.post("/api/v1/tasks", &json!({ "title": title, "assignee": who })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    let one = api.get("/api/v1/tasks/MC-1").await.json();
    assert_eq!(
        (&one["assignee"]["kind"], &one["assignee"]["handle"]),
        (&json!("system"), &json!("hq"))
    );
    for asked in ["q=assignee:hq", "q=assignee:System", "assignee=hq", "q=-assignee:me"] {
        let found = api.get(&format!("/api/v1/tasks?{asked}")).await.json();
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{asked}: {found:#}");
        assert_eq!(found["items"][0]["key"], "MC-1", "{asked}");
    }
    let offers = mira.get(&format!("{TASKS}/complete?q=assignee:h&at=10")).await.json();
    assert_eq!(offers[0]["q"], "assignee:hq", "{offers:#}");
    let page = mira.get(&format!("{TASKS}?q=assignee:hq")).await;
    assert_eq!(page.texts(".row .title"), ["Sweep the yard"]);
    assert_eq!(page.texts(".filter b"), ["HQ"]);
    assert_eq!(page.attr("#f-assignee option[selected]", "value"), "hq");

    // The assignee menu of a task shows the name where the task has it, and the submitted value is accepted.
    let page = mira.get(&format!("{TASKS}/new?assignee=hq")).await;
    assert_eq!(page.attr("#f-assignee option[selected]", "value"), "hq", "{}", page.text);
    let page = mira.get(&format!("{TASKS}/new")).await;
    assert!(!page.attrs("#f-assignee option", "value").contains(&"hq".to_owned()));
    let moved = mira.form(&format!("{TASKS}/MC-2/move"), &[("assignee", "hq")]).await;
    assert_eq!(moved.status, StatusCode::SEE_OTHER, "{}", moved.text);
    let found = api.get("/api/v1/tasks?q=assignee:hq").await.json();
    assert_eq!(found["items"].as_array().map(Vec::len), Some(2), "{found:#}");
    hq.finish().await;
}
