//! A backup under load, and an agent that continues after the restore.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use backup::{BackupError, Folder, Manifest, Meter, Repository, Target, make, verify};
use features::runs::model::{Halt, HaltOf};
use features::runs::rules::halt;
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask};
use serde_json::json;
use server::restore::{Mode, RestoreRequest, Which, restore};

use super::{filled, repository, source};
use support::model::{Gate, Turn};
use support::office::Office;

fn bring_back(repo: &Repository, data: &std::path::Path) {
    let wish = RestoreRequest {
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
    // Writes continue all the time meanwhile.
    let (over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (ws, stop, count) = (office.ws(), Arc::clone(&over), Arc::clone(&written));
    let by = (kernel::Actor::System(kernel::Part::Cli), kernel::Cause::Timer);
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
        let made = backup::make(&repo, &from, &Meter::default()).expect("a backup");
        (repo, made)
    })
    .await
    .expect("no panic");
    over.store(true, Ordering::SeqCst);
    writing.await.expect("no panic");
    assert!(made.parts.iter().any(|part| part.store.as_ref().is_some_and(|facts| facts.seq > 20)));
    office.model.usually(Turn::call(
        "work_done",
        json!({ "summary": "Compared the offers.", "task_state": "complete" }),
    ));
    gate.open();
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
    // No work continues beside the original until a person confirms that this copy is the live one.
    let asked = office.model.requests().len();
    office.hq.advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(office.model.requests().len(), asked);
    let halts = office.all::<Halt>();
    assert_eq!(
        halts.iter().map(|halt| (halt.of, halt.by)).collect::<Vec<_>>(),
        [(HaltOf::Workspace, None)]
    );
    assert!(office.act(|tx| halt::lift(tx, HaltOf::Workspace)).await);
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome.map(|outcome| outcome.word()), Some("done"));
    let another = office.task("And a third", &ada).await;
    office.worked(another.id, 1).await;
    office.hq.finish().await;
}

/// A folder target; its first piece moves another folder away.
struct Leaving {
    inner: Folder,
    from: PathBuf,
    to: PathBuf,
}

impl Target for Leaving {
    as_folder!(inner);
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        if self.from.exists() {
            std::fs::rename(&self.from, &self.to).expect("it can be moved");
        }
        self.inner.put(name, bytes)
    }
    fn delete(&self, name: &str) -> Result<(), BackupError> {
        self.inner.delete(name)
    }
    fn free(&self) -> Option<u64> {
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_leaves_in_the_middle_of_a_backup_is_left_out_and_named() {
    let hq = filled().await;
    let fields = [("workspace", "Harbour"), ("emoji", "⚓"), ("zone", "UTC")];
    assert_eq!(hq.owner().form("/workspaces/new", &fields).await.status, 303);
    let harbour = hq.running().app.workspace("harbour").expect("it is there");
    let folder = tempfile::tempdir().expect("a folder");
    let all = source(&hq);
    assert_eq!(all.workspaces.len(), 2);
    let said = |made: &Manifest| {
        assert_eq!(made.workspaces, ["marlow-cargo"]);
        assert!(!made.parts.iter().any(|part| part.path.contains("harbour")), "no half of it");
        assert_eq!(made.left_out.len(), 1, "{:?}", made.left_out);
        assert!(made.left_out[0].contains("harbour was moved"), "{:?}", made.left_out);
    };

    // Its store was read, its files were not.
    let (from, to) = (harbour.folder.clone(), folder.path().join("harbour"));
    let inner = Folder::new(folder.path().join("one"));
    let target = Arc::new(Leaving { inner, from: from.clone(), to: to.clone() });
    let now = "2026-11-20T12:00:00Z".parse().expect("a moment");
    let repo = Repository::open_or_begin(target, None, now).expect("a repository");
    std::fs::rename(&to, &from).expect("the first piece was the repository's own");
    let made = make(&repo, &all, &Meter::default()).expect("a backup of all others");
    said(&made);
    let checked = verify(&repo, &made, None, &Meter::default()).expect("a check");
    assert!(checked.faults.is_empty(), "{:?}", checked.faults);

    // Its store was not read yet.
    std::fs::rename(&to, &from).expect("it comes back");
    harbour.store.close();
    said(
        &make(&repository(&folder.path().join("two"), None), &all, &Meter::default()).expect("one"),
    );
    hq.finish().await;
}
