//! A backup under load, and an agent that goes on working after the restore.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hq::backup::{Meter, Repository};
use hq::features::tasks::model::Task;
use hq::features::tasks::rules::{self as tasks, NewTask};
use hq::server::restore::{Mode, RestoreWish, Which, restore};
use serde_json::json;

use super::{repository, source};
use crate::support::model::{Gate, Turn};
use crate::support::office::Office;

fn bring_back(repo: &Repository, data: &std::path::Path) {
    let wish = RestoreWish {
        data: data.to_owned(),
        backup: Which::Newest,
        workspace: None,
        mode: Mode::Restore,
        key_file: data.join("master.key"),
    };
    let restored = tokio::task::block_in_place(|| restore(repo, &wish, &Meter::default()));
    let restored = restored.expect("restored");
    assert_eq!(restored.unreadable, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_a_backup_caught_in_the_middle_goes_on_after_the_restore() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("I am thinking.").behind(&gate));
    let task = office.task("Compare two offers", &ada).await;
    office.run_on(task.id).await;
    // Somebody writes all the time meanwhile.
    let (over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (ws, stop, count) = (office.ws(), Arc::clone(&over), Arc::clone(&written));
    let by = (hq::kernel::Actor::System(hq::kernel::Part::Cli), hq::kernel::Cause::Timer);
    let writing = tokio::spawn(async move {
        while !stop.load(Ordering::SeqCst) {
            let n = count.load(Ordering::SeqCst);
            let title = format!("Load {n:05}");
            let new = NewTask::titled(title);
            ws.write(&by, move |tx| tasks::create(tx, new)).await.expect("a task");
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    while written.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let acknowledged = written.load(Ordering::SeqCst);
    let from = source(&office.hq);
    let (repo, made) = tokio::task::spawn_blocking(move || {
        let made = hq::backup::make(&repo, &from, &Meter::default()).expect("a backup");
        (repo, made)
    })
    .await
    .expect("no panic");
    over.store(true, Ordering::SeqCst);
    writing.await.expect("no panic");
    assert!(made.parts.iter().any(|part| part.store.as_ref().is_some_and(|facts| facts.seq > 20)));
    gate.open();
    office.model.usually(Turn::call(
        "work_done",
        json!({ "summary": "Compared the offers.", "task_state": "complete" }),
    ));
    let former = office.ws().store.head();
    office.hq.stop().await;

    bring_back(&repo, &office.hq.data());
    office.hq.start_again().await;
    let head = office.ws().store.head();
    assert_ne!(head.incarnation, former.incarnation, "every cursor is refused");
    let mut titles: Vec<_> = office.all::<Task>().into_iter().map(|task| task.title).collect();
    titles.retain(|title| title.starts_with("Load "));
    titles.sort();
    assert!(titles.len() >= acknowledged, "what was acknowledged before is there");
    for (n, title) in titles.iter().enumerate() {
        assert_eq!(title, &format!("Load {n:05}"), "and nothing is missing in between");
    }
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome.map(|outcome| outcome.word()), Some("done"));
    let another = office.task("And a third", &ada).await;
    office.worked(another.id, 1).await;
    office.hq.finish().await;
}
