//! Workspace tools beyond the core set: taking and relating tasks, bulk creation, recurring tasks, reading deliverables
//! and waiting items.

use features::agents::model::Agent;
use features::agents::rules as agents;
use features::tasks::model::Task;
use features::tasks::model::series::Series;
use features::tasks::model::template::Template;
use features::tasks::rules::{self as tasks, NewTask};
use features::views::model::Look;
use features::views::rules::{self as views, For, NewView};
use kernel::{Assignee, Outcome, RelationKind, TaskStatus, Verdict};
use serde_json::{Value, json};

use support::model::Turn;
use support::office::Office;

/// An office in which no agent but Ada starts anything unprompted.
async fn opened(others: &[&str]) -> (Office, Agent, Vec<Agent>) {
    let office = Office::open().await;
    office.model.usually(Turn::text("I see."));
    let ada = office.agent("Ada").await;
    let mut resting = Vec::new();
    for name in others {
        let agent = office.agent(name).await;
        let id = agent.id;
        office.act(move |tx| agents::pause(tx, id)).await;
        resting.push(agent);
    }
    (office, ada, resting)
}

/// Lets an agent call tools in one turn; returns each result with whether it succeeded.
async fn calls(office: &Office, agent: &Agent, calls: &[(&str, Value)]) -> Vec<(bool, String)> {
    let first = Turn::call(calls[0].0, calls[0].1.clone());
    let turn =
        calls[1..].iter().fold(first, |turn, (name, args)| turn.and_call(name, args.clone()));
    office.model.push(turn);
    let run = office.say(agent, "Do it").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let results = office.results(run);
    assert_eq!(results.len(), calls.len(), "{results:?}");
    results.into_iter().map(|(_, ok, text)| (ok, text)).collect()
}

#[track_caller]
fn refused(result: &(bool, String), code: &str, says: &str) {
    let (ok, text) = result;
    assert!(!ok && text.starts_with(&format!("Error({code})")) && text.contains(says), "{text}");
}

#[track_caller]
fn told(result: &(bool, String), says: &[&str]) {
    let (ok, text) = result;
    assert!(*ok && says.iter().all(|one| text.contains(one)), "{says:?}: {text}");
}

async fn made(office: &Office, title: &'static str) -> Task {
    office.act(move |tx| tasks::create(tx, NewTask::titled(title))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_takes_what_nobody_has_and_ties_tasks_to_each_other() {
    let (office, ada, others) = opened(&["Bo"]).await;
    let free = made(&office, "Free").await;
    let waits = made(&office, "Waits").await;
    let over = made(&office, "Over").await;
    let taken = office.task("Taken", &others[0]).await;
    let (blocker, id, closed) = (free.id, waits.id, over.id);
    office
        .act(move |tx| {
            tasks::relations::relate(tx, id, RelationKind::BlockedBy, blocker)?;
            tasks::set_status(tx, closed, TaskStatus::Done)
        })
        .await;
    let name = |task: &Task| format!("MC-{}", task.number);
    let claim = |task: &Task| ("task_claim", json!({ "task": name(task) }));
    let tie = |task: &Task, kind: &str, other: &Task| json!({ "task": name(task), "kind": kind, "other": name(other) });
    let mut untie = tie(&waits, "blocked_by", &free);
    untie["remove"] = json!(true);
    let results = calls(
        &office,
        &ada,
        &[
            claim(&taken),
            claim(&waits),
            claim(&over),
            ("task_relate", tie(&free, "blocked_by", &waits)),
            ("task_relate", untie),
            ("task_relate", tie(&free, "has_part", &waits)),
            ("task_relate", tie(&free, "relates_to", &free)),
            ("task_archive", json!({ "task": name(&taken) })),
        ],
    )
    .await;
    refused(&results[0], "task_claimed", "belongs to @bo; claim an unassigned task");
    refused(&results[1], "task_waits", &format!("is blocked by {}", name(&free)));
    refused(&results[2], "task_closed", "is closed");
    refused(&results[3], "wait_cycle", "is already blocked by");
    told(&results[4], &[name(&waits).as_str()]);
    assert!(!results[4].1.contains("waits_for"), "{}", results[4].1);
    told(&results[5], &["\"parts\":[{", "Waits"]);
    refused(&results[6], "own_relation", "choose another task");
    refused(&results[7], "not_your_task", "belongs to Bo");
    assert_eq!(office.get::<Task>(waits.id).parent, Some(free.id));

    let results = calls(
        &office,
        &ada,
        &[
            ("task_archive", json!({ "task": name(&over) })),
            ("task_archive", json!({ "task": name(&over), "restore": true })),
            claim(&free),
            claim(&free),
            ("task_history", json!({ "task": name(&free) })),
            ("task_relate", tie(&waits, "blocked_by", &over)),
            ("task_relate", tie(&free, "part_of", &over)),
        ],
    )
    .await;
    told(&results[0], &["is archived"]);
    told(&results[1], &["is restored"]);
    told(&results[2], &["\"status\":\"in_progress\"", "\"assignee\":\"ada\"", "\"parts\":[{"]);
    told(&results[3], &["\"assignee\":\"ada\""]);
    told(&results[4], &["assignee no one to ada", "status todo to in_progress", "\"by\":\"ada\""]);
    assert_eq!(office.get::<Task>(free.id).assignee, Some(Assignee::Agent(ada.id)));
    told(&results[5], &[name(&waits).as_str()]);
    refused(&results[6], "part_cycle", &format!("its subtask {}", name(&waits)));
    assert_eq!(office.get::<Task>(over.id).archived_at, None);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_keeps_and_uses_templates_and_makes_tasks_with_parts() {
    let (office, ada, others) = opened(&["Otto", "Dan"]).await;
    office.under(&others[0], &ada).await;
    let items = json!([
        { "ref": "brief", "title": "Write the brief", "priority": "high" },
        { "ref": "post", "title": "Write the post", "blocked_by": ["brief"],
          "assignee_role": "otto" },
    ]);
    let save = json!({ "name": "Launch", "description": "What a launch needs", "items": items });
    let odd = json!({ "name": "Odd", "items": [{ "title": "Look", "assignee_role": "dan" }] });
    let results = calls(
        &office,
        &ada,
        &[
            ("template_save", save),
            ("template_save", odd),
            ("template_save", json!({ "name": "Empty" })),
            ("template_list", json!({ "q": "launch needs" })),
            ("template_get", json!({ "template": "launch", "roles": { "otto": "ada" } })),
            ("template_get", json!({ "template": "launch", "roles": { "writer": "ada" } })),
            ("template_spawn", json!({ "template": "launch", "roles": { "otto": "dan" } })),
            ("template_get", json!({ "template": "Lunch" })),
        ],
    )
    .await;
    told(&results[0], &["\"template\":\"Launch\"", "\"tasks\":2", "\"roles\":[\"otto\"]"]);
    refused(&results[1], "not_a_report", "Dan does not report to you");
    refused(&results[2], "invalid", "use 1 to 100 tasks");
    told(&results[3], &["Launch"]);
    told(&results[4], &["\"step\":2", "\"assignee\":\"ada\"", "\"blocked_by\":[\"brief\"]"]);
    refused(&results[5], "unknown_role", "it has: otto");
    refused(&results[6], "not_a_report", "Dan does not report to you");
    refused(&results[7], "template_not_found", "there are: Launch");
    assert_eq!(office.all::<Template>().len(), 1);
    assert_eq!(office.all::<Task>().len(), 0, "what was refused has made nothing");

    let parts = json!([
        { "title": "Book the stand" },
        { "title": "Build it", "blocked_by": [1], "assignee": "otto" },
    ]);
    let wrong = json!([{ "title": "Book the stand", "blocked_by": [2] }]);
    let results = calls(
        &office,
        &ada,
        &[
            ("template_spawn", json!({ "template": "Launch" })),
            ("task_create", json!({ "title": "Fair", "items": parts })),
            ("task_create", json!({ "title": "Another fair", "items": wrong })),
            ("template_save", json!({ "template": "launch", "name": "Big launch" })),
        ],
    )
    .await;
    told(&results[0], &["Write the brief", "\"assignee\":\"otto\""]);
    told(&results[1], &["\"title\":\"Fair\"", "\"parts\":[{", "\"assignee\":\"otto\""]);
    refused(&results[2], "invalid", "use an item from 1 to 1");
    told(&results[3], &["\"template\":\"Big launch\"", "\"tasks\":2"]);
    let mut all = office.all::<Task>();
    all.sort_by_key(|task| task.number);
    let titles: Vec<&str> = all.iter().map(|task| task.title.as_str()).collect();
    let wanted = ["Write the brief", "Write the post", "Fair", "Book the stand", "Build it"];
    assert_eq!(titles, wanted, "all or none of each call");
    let fair = all[2].id;
    assert!(all[3..].iter().all(|task| task.parent == Some(fair)));
    let build = all[4].id;
    let waits = office
        .ws()
        .read(|snap| features::tasks::queries::relations::open_blockers(snap, build))
        .expect("a readable store");
    assert_eq!(waits.len(), 1);
    assert_eq!(waits[0].id, all[3].id);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_looks_after_streams_labels_and_recurring_tasks() {
    let (office, ada, _) = opened(&["Dan"]).await;
    let (me, look) = (office.owner(), Look { q: "is:open label:bug".into(), ..Look::default() });
    for (name, seen) in [("Bugs", For::All), ("My own", For::Me)] {
        let look = look.clone();
        let (noun, name, icon) = ("tasks".to_owned(), name.to_owned(), String::new());
        office.act(move |tx| views::create(tx, me, NewView { noun, name, icon, seen, look })).await;
    }
    let stream = json!({ "name": "Launch", "goal": "Sell **200**", "lead": "me" });
    let results = calls(
        &office,
        &ada,
        &[
            ("stream_save", stream),
            ("stream_save", json!({ "stream": "launch", "target_date": "soon" })),
            ("stream_save", json!({ "stream": "launch", "target_date": "2031-05-01" })),
            ("stream_list", json!({ "q": "sell" })),
            ("label_save", json!({ "label": "bug", "description": "What is broken" })),
            ("label_save", json!({ "label": "bugg", "rename": "fault" })),
            ("label_list", json!({})),
            ("view_list", json!({})),
        ],
    )
    .await;
    told(&results[0], &["\"stream\":\"Launch\"", "\"lead\":\"ada\"", "\"open\":0"]);
    refused(&results[1], "invalid", "Enter a date such as");
    told(&results[2], &["2031-05-01"]);
    told(&results[3], &["Sell **200**"]);
    told(&results[4], &["the label \"bug\""]);
    refused(&results[5], "label_not_found", "bugg");
    told(&results[6], &["\"name\":\"bug\"", "What is broken", "\"task\":0"]);
    told(&results[7], &["\"view\":\"Bugs\"", "is:open label:bug"]);
    assert!(!results[7].1.contains("My own"), "it is a person's: {}", results[7].1);

    let daily = json!({ "cadence_type": "weekdays", "time_of_day": "09:00" });
    let check = json!({ "title": "Check the chargers", "schedule": daily, "labels": ["bug"] });
    let results = calls(
        &office,
        &ada,
        &[
            ("series_save", check),
            ("series_save", json!({ "title": "Whenever" })),
            ("series_save", json!({ "title": "For Dan", "assignee": "dan", "schedule": daily })),
            ("series_save", json!({ "series": "check the chargers", "priority": "high" })),
            ("series_control", json!({ "series": "Check the chargers", "act": "spawn" })),
            ("series_control", json!({ "series": "Check the chargers", "act": "pause" })),
            ("series_list", json!({ "series": "check the chargers" })),
            ("series_list", json!({ "series": "no such" })),
        ],
    )
    .await;
    told(&results[0], &["\"state\":\"active\"", "\"when\":\"", "\"next\":\""]);
    refused(&results[1], "invalid", "give a schedule");
    refused(&results[2], "not_a_report", "Dan does not report to you");
    told(&results[3], &["\"priority\":\"high\""]);
    told(&results[4], &["\"title\":\"Check the chargers\"", "\"priority\":\"high\""]);
    told(&results[5], &["\"state\":\"paused\""]);
    told(&results[6], &["\"made\":[{", "\"labels\":[\"bug\"]", "weekdays"]);
    refused(&results[7], "series_not_found", "this series doesn't exist");
    assert_eq!(office.all::<Series>().len(), 1);
    assert_eq!(office.all::<Task>().len(), 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_reads_what_a_review_asks_for_and_what_waits_for_it() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let text = json!({ "kind": "text", "title": "Prices", "body": "# Two shops" });
    let done = |state: &str| json!({ "summary": "So far.", "task_state": state });
    office.model.push(Turn::call("deliverable_submit", text));
    office.model.push(Turn::call("work_done", done("in_review")));
    let task = office.task("Compare the prices", &ada).await;
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::Done));

    office.model.push(
        Turn::call("deliverable_get", json!({ "deliverable": "prices" }))
            .and_call("deliverable_get", json!({ "deliverable": "prices", "version": 9 }))
            .and_call("deliverable_list", json!({ "state": "changes_requested" }))
            .and_call("deliverable_list", json!({ "state": "approved", "all": true }))
            .and_call("inbox_list", json!({}))
            .and_call("inbox_list", json!({ "over": true }))
            .and_call("inbox_drop", json!({ "item": "nothing", "reason": "It is done." })),
    );
    office.model.push(Turn::call("work_done", done("blocked")));
    office.review(task.id, Verdict::ChangesRequested, "Add VAT\nSay when").await;
    let run = office.worked(task.id, 2).await;
    let results: Vec<(bool, String)> =
        office.results(run.id).into_iter().map(|(_, ok, text)| (ok, text)).collect();
    told(&results[0], &["# Two shops", "\"asks\":[\"Add VAT\",\"Say when\"]", "changes_requested"]);
    refused(&results[1], "version_not_found", "there are versions 1 to 1");
    told(&results[2], &["\"title\":\"Prices\"", "\"task\":\"MC-1\"", "\"by\":\"ada\""]);
    told(&results[3], &["[]"]);
    told(&results[4], &["\"yours_now\":true", "\"state\":\"leased\"", "\"task\":\"MC-1\""]);
    told(&results[5], &["task_assignment", "\"state\":\"done\""]);
    refused(&results[6], "item_not_found", "inbox_list shows yours");
    office.hq.finish().await;
}
