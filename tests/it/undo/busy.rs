//! Undo with concurrent writes to the same records: no change is lost, in any order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask, TaskPatch};
use kernel::TaskId;
use serde_json::json;

use super::{entry, ok};
use support::office::Office;

/// Number of tasks that one change renamed.
const TASKS: usize = 300;
/// Number of concurrent writers.
const WRITERS: usize = 3;

fn titled(title: String) -> TaskPatch {
    TaskPatch { title: Some(title), ..TaskPatch::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_writes_while_an_undo_is_made_ready_and_carried_out_loses_nothing() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let ids: Vec<TaskId> = office
        .act(|tx| {
            let new = (0..TASKS).map(|n| NewTask::titled(format!("First {n}")));
            new.map(|new| tasks::create(tx, new).map(|task| task.id)).collect::<Result<_, _>>()
        })
        .await;
    let all = ids.clone();
    office
        .act(move |tx| {
            all.iter().try_for_each(|id| tasks::update(tx, *id, titled("Own".into())).map(drop))
        })
        .await;
    let renamed = entry::<Task>(&office, ids[0]);

    let over = AtomicBool::new(false);
    // Each has its own tasks, changes them repeatedly, and remembers its last title of each.
    let writer = |number: usize| {
        let (office, ids, over) = (&office, &ids, &over);
        async move {
            let own: Vec<TaskId> = ids.iter().copied().skip(number).step_by(2 * WRITERS).collect();
            let mut last = BTreeMap::new();
            for (n, id) in own.iter().cycle().enumerate() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let title = format!("Theirs {number} {n}");
                let patch = titled(title.clone());
                let id = *id;
                office.act(move |tx| tasks::update(tx, id, patch)).await;
                last.insert(id, title);
            }
            last
        }
    };
    let undo = async {
        let done = ok(api.post("/api/v1/undo", &json!({ "entry": renamed })).await).await;
        over.store(true, Ordering::Relaxed);
        done
    };
    let (done, one, two, three) = tokio::join!(undo, writer(0), writer(1), writer(2));

    let written: BTreeMap<TaskId, String> = one.into_iter().chain(two).chain(three).collect();
    for (n, id) in ids.iter().enumerate() {
        let title = office.get::<Task>(*id).title;
        match written.get(id) {
            Some(last) => assert_eq!(title, *last, "somebody else wrote this last"),
            None => assert_eq!(title, format!("First {n}"), "nobody else wrote this"),
        }
    }
    let (back, kept) =
        (done["back"].as_u64().expect("a number"), done["kept"].as_u64().expect("a number"));
    assert_eq!(back + kept, TASKS as u64, "{done}");
    office.hq.finish().await;
}
