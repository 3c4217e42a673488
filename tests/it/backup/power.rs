//! Power failure at any step of a restore's swap and of its completion by the next start: the data is old or new, and
//! complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use backup::{Meter, clear_staged, finish_swap};
use features::backups::model::Restoration;
use features::tasks::model::Task;
use parking_lot::Mutex;
use serde_json::json;
use server::restore::{Mode, RestoreRequest, Which, restore_on};
use server::schema;
use store::{Faults, NoFaults, Range, ReadExt as _, Step};

use super::{back_up, repository};
use crate::store::{check, opened};
use support::hq::TestHq;

/// After this step, the next start continues the restore.
const ANNOUNCED: &str = "rename restore.json.new restore.json";

/// Performs and records a number of steps, then simulates a power failure.
struct Plug {
    data: PathBuf,
    left: usize,
    steps: Mutex<Vec<String>>,
}

impl Plug {
    fn new(data: &Path, left: usize) -> Self {
        Self { data: data.to_owned(), left, steps: Mutex::default() }
    }

    /// Path in the data folder, without the timestamp in its name.
    fn name(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.data).expect("it lies in the data folder");
        let part = |one: std::path::Component<'_>| {
            let name = one.as_os_str().to_string_lossy().into_owned();
            let stamped = ["restoring", "before-restore"].into_iter();
            let mut stamped = stamped.filter(|start| name.starts_with(&format!("{start}-")));
            stamped.next().map_or(name.clone(), str::to_owned)
        };
        let name = below.components().map(part).collect::<Vec<_>>().join("/");
        if name.is_empty() { ".".to_owned() } else { name }
    }
}

impl Faults for Plug {
    fn step(&self, step: Step<'_>) -> io::Result<()> {
        let words = match step {
            Step::Settle(folder) => format!("settle {}", self.name(folder)),
            Step::Sync(file) => format!("sync {}", self.name(file)),
            Step::Names(folder) => format!("names {}", self.name(folder)),
            Step::Link(from, to) => format!("link {} {}", self.name(from), self.name(to)),
            Step::Rename(from, to) => format!("rename {} {}", self.name(from), self.name(to)),
        };
        let mut steps = self.steps.lock();
        if self.left <= steps.len() {
            return Err(io::Error::other("the power is gone"));
        }
        steps.push(words);
        Ok(())
    }
}

/// Copies files and folders; other entries belonged to a server.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    fs::set_permissions(to, fs::metadata(from).expect("a folder").permissions()).expect("its own");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (kind, to) = (entry.file_type().expect("a kind"), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            fs::copy(entry.path(), &to).expect("a copy");
        }
    }
}

/// Whether the accounts are those of the backup, and whether the workspace is.
fn is_new(data: &Path) -> [bool; 2] {
    let system = opened(&data.join("system.redb"), schema::system());
    let restored = system.read(|snap| snap.list::<Restoration>(&Range::all())).expect("a read");
    system.close();
    let file = data.join("workspaces/marlow-cargo/hq.redb");
    let workspace = opened(&file, schema::workspace());
    check::all_fits(&workspace);
    let tasks = workspace.read(|snap| snap.list::<Task>(&Range::all())).expect("a read");
    workspace.close();
    [!restored.is_empty(), tasks.iter().all(|task| task.title != "After")]
}

/// Entries of the data folder whose names start with this.
fn beginning(data: &Path, start: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(data).expect("a folder").map(|entry| entry.expect("an entry").path());
    let begins = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
    };
    all.filter(begins).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_may_go_at_any_step_of_a_restore() {
    let mut hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(&folder.path().join("backups"), None);
    let program = hq.api().await;
    program.post("/api/v1/tasks", &json!({ "title": "Before" })).await;
    back_up(&hq, &repo);
    program.post("/api/v1/tasks", &json!({ "title": "After" })).await;
    hq.stop().await;
    for left in 0.. {
        let data = folder.path().join(format!("data-{left}"));
        copy(&hq.data(), &data);
        let wish = RestoreRequest {
            data: data.clone(),
            backup: Which::Newest,
            workspace: None,
            mode: Mode::Restore,
            key_file: data.join("master.key"),
        };
        let plug = Plug::new(&data, left);
        let done =
            tokio::task::block_in_place(|| restore_on(&repo, &wish, &Meter::default(), &plug));
        // The announcement may already be removed: removing it durably is the last step.
        let is_announced = plug.steps.lock().iter().any(|step| step == ANNOUNCED);
        if !data.join("restore.json").exists() {
            assert!(!is_announced || is_new(&data) == [true; 2], "{left} steps: nothing says so");
        }
        // The next start is interrupted as well, one step later each time.
        for again in 0.. {
            if finish_swap(&data, &Plug::new(&data, again)).is_ok() {
                break;
            }
        }
        finish_swap(&data, &NoFaults).expect("nothing is left to do");
        clear_staged(&data).expect("nothing is left beside");
        let is_whole = done.is_ok() || is_announced;
        assert_eq!(is_new(&data), [is_whole; 2], "{left} steps");
        assert_eq!(beginning(&data, "restoring-"), Vec::<PathBuf>::new(), "{left} steps");
        let kept = beginning(&data, "before-restore-");
        assert_eq!(kept.len(), usize::from(is_whole), "{left} steps");
        for kept in &kept {
            assert_eq!(is_new(kept), [false; 2], "{left} steps: the old lies beside");
        }
        fs::remove_dir_all(&data).expect("it can be removed");
        if done.is_err() {
            continue;
        }
        let all = plug.steps.lock();
        // Everything that replaces an entry is on disk first, and so is the announcement; a rename is durable in the
        // target folder before it is durable in the source folder.
        let steps = [
            "settle restoring",
            "sync restore.json.new",
            ANNOUNCED,
            "names .",
            "names .",
            "rename system.redb before-restore/system.redb",
            "names before-restore",
            "names .",
            "rename restoring/system.redb system.redb",
            "names .",
            "names restoring",
            "rename workspaces before-restore/workspaces",
            "names before-restore",
            "names .",
            "rename restoring/workspaces workspaces",
            "names .",
            "names restoring",
            "names .",
        ];
        assert_eq!(*all, steps);
        assert_eq!(left, all.len(), "each step was the last one once");
        return;
    }
}
