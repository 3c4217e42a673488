//! Undo of dependencies: nothing is restored that would now form a cycle, through relations, subtasks or both.

use std::collections::BTreeSet;

use features::tasks::model::Task;
use features::tasks::model::relation::Relation;
use features::tasks::rules::relations::{relate, unrelate};
use kernel::RelationKind::BlockedBy;
use kernel::TaskId;
use serde_json::{Value, json};

use super::{codes, entry, last_of, made, ok, preview, undo};
use support::hq::Person;
use support::office::Office;

/// An office with tasks MC-1 and so on.
async fn opened(count: usize) -> (Office, Person, Vec<Task>) {
    let office = Office::open().await;
    let mut tasks = Vec::new();
    for n in 1..=count {
        tasks.push(made(&office, &format!("Task {n}")).await);
    }
    let api = office.hq.api().await;
    (office, api, tasks)
}

fn name(task: &Task) -> String {
    format!("MC-{}", task.number)
}

/// Makes a task wait for another; returns the relation.
async fn wait(api: &Person, task: &Task, other: &Task) -> String {
    let path = format!("/api/v1/tasks/{}/relations", task.id);
    let tie = json!({ "kind": "blocked_by", "other": name(other) });
    let all = ok(api.post(&path, &tie).await).await;
    let all = all["blocked_by"].as_array().expect("a list");
    let tie = all.iter().find(|tie| tie["key"] == name(other).as_str()).expect("it is there");
    tie["id"].as_str().expect("an id").to_owned()
}

/// Removes the relation; returns the entry.
async fn wait_no_more(api: &Person, task: &Task, relation: &str) -> u64 {
    let path = format!("/api/v1/tasks/{}/relations/{relation}", task.id);
    ok(api.call("DELETE", &path).await).await;
    last_of(api, "task_relations", relation).await
}

/// Makes a task a sub-task of another, or of none; returns the entry.
async fn part_of(office: &Office, api: &Person, part: &Task, whole: Option<&Task>) -> u64 {
    let body = json!({ "parent": whole.map(name) });
    ok(api.json("PATCH", &format!("/api/v1/tasks/{}", part.id), &body).await).await;
    entry::<Task>(office, part.id)
}

/// Refusals by rules in an undo's preview, besides conflicts with later changes.
async fn held(api: &Person, seq: u64) -> (Vec<String>, Value) {
    let seen = preview(api, seq).await;
    let mut held = codes(&seen);
    held.retain(|code| code != "changed");
    (held, seen)
}

fn waits(office: &Office) -> BTreeSet<(TaskId, TaskId)> {
    office.all::<Relation>().iter().map(|one| (one.task, one.other)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relation_stays_away_when_the_task_is_a_part_of_what_it_waited_for_by_now() {
    let (office, api, tasks) = opened(2).await;
    let [task, whole] = tasks.as_slice() else { panic!("two tasks") };
    let relation = wait(&api, task, whole).await;
    let gone = wait_no_more(&api, task, &relation).await;
    assert_eq!(held(&api, gone).await.0, Vec::<String>::new());
    part_of(&office, &api, task, Some(whole)).await;
    let (codes, seen) = held(&api, gone).await;
    assert_eq!(codes, ["waits_for_whole"], "{seen}");
    // Everything else can be undone, but not the relation.
    undo(&api, gone).await;
    assert!(waits(&office).is_empty());
    part_of(&office, &api, task, None).await;
    ok(undo(&api, gone).await).await;
    assert_eq!(waits(&office), BTreeSet::from([(task.id, whole.id)]));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_does_not_come_back_that_the_task_waits_for_by_now() {
    let (office, api, tasks) = opened(3).await;
    let [task, whole, between] = tasks.as_slice() else { panic!("three tasks") };
    part_of(&office, &api, task, Some(whole)).await;
    let out = part_of(&office, &api, task, None).await;
    wait(&api, task, between).await;
    assert_eq!(held(&api, out).await.0, Vec::<String>::new());
    wait(&api, between, whole).await;
    let (codes, seen) = held(&api, out).await;
    assert_eq!(codes, ["part_cycle"], "{seen}");
    let why = "MC-1 can't be a subtask of MC-2, which would wait for it: MC-1 waits for MC-3, MC-3 \
               waits for MC-2";
    assert!(seen.to_string().contains(why), "{seen}");
    undo(&api, out).await;
    assert_eq!(office.get::<Task>(task.id).parent, None);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relation_stays_away_that_closes_a_circle_through_relations_and_parts() {
    let (office, api, tasks) = opened(3).await;
    let [task, whole, part] = tasks.as_slice() else { panic!("three tasks") };
    let relation = wait(&api, task, whole).await;
    let gone = wait_no_more(&api, task, &relation).await;
    part_of(&office, &api, part, Some(whole)).await;
    wait(&api, part, task).await;
    let (codes, seen) = held(&api, gone).await;
    assert_eq!(codes, ["wait_cycle"], "{seen}");
    let why = "MC-1 can't wait for MC-2: MC-2 waits for its subtask MC-3, MC-3 waits for MC-1";
    assert!(seen.to_string().contains(why), "{seen}");
    undo(&api, gone).await;
    assert_eq!(waits(&office), BTreeSet::from([(part.id, task.id)]));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_relations_that_close_a_circle_together_the_rest_comes_back() {
    let (office, api, tasks) = opened(3).await;
    let [one, two, three] = tasks.as_slice() else { panic!("three tasks") };
    let first = wait(&api, one, two).await;
    wait(&api, two, three).await;
    let (a, b, c) = (one.id, two.id, three.id);
    office
        .act(move |tx| {
            unrelate(tx, a, BlockedBy, b)?;
            unrelate(tx, b, BlockedBy, c)
        })
        .await;
    let gone = last_of(&api, "task_relations", &first).await;
    office.act(move |tx| relate(tx, c, BlockedBy, a)).await;
    let (codes, seen) = held(&api, gone).await;
    assert_eq!(codes, ["wait_cycle"], "one of the two: {seen}");
    ok(undo(&api, gone).await).await;
    let left = waits(&office);
    assert!(left.len() == 2 && left.contains(&(c, a)), "{left:?}");
    office.hq.finish().await;
}
