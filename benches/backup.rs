//! Cost of a backup under load: duration of its snapshot, and growth of the file at 200 writes per second, compared
//! with the same writes without a backup. `HQ_BENCH_TASKS` sets the number of tasks (default 100,000). Fails if the
//! file grows by more than a quarter: a backup must not fill the disk.
//! quarter: what a backup holds back must not fill a disk.

#![expect(clippy::print_stdout, reason = "a table on standard output is what this program is for")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backup::{Folder, Meter, Owner, Repository, Source, SourceWorkspace, make};
use features::tasks::model::Task;
use features::tasks::rules::{NewTask, TaskPatch, create, update};
use kernel::id::{IdSource, SystemIds};
use kernel::time::SystemClock;
use kernel::{Actor, Cause, Clock, Part, TaskId};
use server::schema;
use store::dump::Item;
use store::{NoFaults, Options, Schema, Store, StoreError, WriteTx};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

const ACTOR: Actor = Actor::System(Part::Cli);
/// Writes per second.
const RATE: u64 = 200;
/// Tasks created per transaction.
const PIECE: u64 = 200;

fn open(path: &Path, schema: Schema) -> Result<Store, StoreError> {
    Store::open(Options {
        path: path.to_owned(),
        schema,
        cache: 64 << 20,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()) as Arc<dyn IdSource>,
        reactor: None,
        faults: Arc::new(NoFaults),
    })
}

fn fill(store: &Store, count: u64) -> Result<Vec<TaskId>, Failure> {
    let mut ids = Vec::new();
    for piece in 0..count / PIECE {
        let made = store.write_blocking(ACTOR, Cause::Setup, move |tx: &mut WriteTx<'_>| {
            (0..PIECE)
                .map(|n| {
                    let mut new = NewTask::titled(format!("Task {}", piece * PIECE + n));
                    new.description = format!("Paragraph {n} of what is to be done. ").repeat(8);
                    create(tx, new).map(|task: Task| task.id)
                })
                .collect::<Result<Vec<_>, _>>()
        });
        ids.extend(made?);
    }
    Ok(ids)
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Measurements under load.
#[derive(Clone, Copy, Default)]
struct Seen {
    took: Duration,
    writes: u64,
    /// Largest growth of the file.
    grown: u64,
    /// Bytes written to disk.
    written: u64,
    /// Growth of the rows in bytes.
    added: u64,
}

impl Seen {
    fn print(&self, name: &str) {
        let mb = |bytes: u64| bytes as f64 / 1_048_576.0;
        let each = |bytes: u64| bytes as f64 / self.writes.max(1) as f64;
        println!(
            "{name:<14}  {:.2} s, {} writes meanwhile, file grows by {:.1} MB; each write: {:.1} KB to the \
             disk for {:.0} bytes more in rows, {:.0} times",
            self.took.as_secs_f64(),
            self.writes,
            mb(self.grown),
            each(self.written) / 1024.0,
            each(self.added),
            self.written as f64 / self.added.max(1) as f64,
        );
    }
}

/// Bytes of all rows.
fn stored(store: &Store) -> Result<u64, StoreError> {
    let mut bytes = 0;
    store.dump(|item| {
        if let Item::Row(key, value) = item {
            bytes += (key.len() + value.len()) as u64;
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(bytes)
}

/// Compacts the file, so that all bytes that a snapshot holds back show as growth; then runs `work` while 200 tasks per
/// second are changed.
fn under_writes(
    store: &Store,
    file: &Path,
    ids: &[TaskId],
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<Seen, Failure> {
    store.compact()?;
    let rows = stored(store)?;
    let (before, sent) = (size(file), store.counters().written.load(Ordering::Relaxed));
    let (over, writes, most) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(before));
    let took = std::thread::scope(|scope| {
        scope.spawn(|| {
            let began = Instant::now();
            while !over.load(Ordering::Relaxed) {
                let n = writes.fetch_add(1, Ordering::Relaxed);
                let id = ids[usize::try_from(n * 7919).unwrap_or(0) % ids.len()];
                let done =
                    store.write_blocking(ACTOR, Cause::Timer, move |tx: &mut WriteTx<'_>| {
                        let title = Some(format!("Changed {n}"));
                        update(tx, id, TaskPatch { title, ..TaskPatch::default() }).map(drop)
                    });
                if let Err(error) = done {
                    println!("a write failed: {error}");
                }
                most.fetch_max(size(file), Ordering::Relaxed);
                let due = Duration::from_micros(1_000_000 / RATE * (n + 1));
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        });
        let began = Instant::now();
        let done = work();
        let took = began.elapsed();
        over.store(true, Ordering::Relaxed);
        done.map(|()| took)
    })?;
    Ok(Seen {
        took,
        writes: writes.into_inner(),
        grown: most.into_inner() - before,
        written: store.counters().written.load(Ordering::Relaxed) - sent,
        added: stored(store)?.saturating_sub(rows),
    })
}

#[expect(clippy::disallowed_methods, reason = "a bench takes its size from whoever runs it")]
fn count() -> u64 {
    std::env::var("HQ_BENCH_TASKS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

/// Measures; returns whether the file stayed within the limit.
fn run() -> Result<bool, Failure> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let data = folder.path().join("data");
    let ws = data.join("workspaces/bench");
    std::fs::create_dir_all(&ws)?;
    let (system, file) = (open(&data.join("system.redb"), schema::system())?, ws.join("hq.redb"));
    let store = open(&file, schema::workspace())?;
    let ids = fill(&store, count())?;
    store.compact()?;
    println!("{} tasks, file {} MB, {RATE} writes a second", ids.len(), size(&file) >> 20);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let source = Source {
        system: system.clone(),
        workspaces: vec![SourceWorkspace {
            slug: "bench".to_owned(),
            store: store.clone(),
            folder: ws,
        }],
        data: data.clone(),
        key_id: "bench".to_owned(),
        former_keys: Vec::new(),
        left_out: Vec::new(),
        listed: BTreeSet::from(["bench".to_owned()]),
        still: Arc::new(|| Ok(BTreeSet::from(["bench".to_owned()]))),
        owner: Owner("bench".to_owned()),
        beside_others: false,
        clock: Arc::clone(&clock),
    };
    let target = Arc::new(Folder::new(folder.path().join("backups")));
    let repo = Repository::open_or_begin(target, None, clock.now())?;
    let (mut slowest, mut kept) = (Duration::ZERO, true);
    for name in ["first backup", "second backup"] {
        let (mut new, most) = (0, size(&file) / 4);
        let seen = under_writes(&store, &file, &ids, || {
            new = make(&repo, &source, &Meter::default())?.new_bytes;
            Ok(())
        })?;
        slowest = slowest.max(seen.took);
        seen.print(name);
        println!("                {:.1} MB new at the target", new as f64 / 1_048_576.0);
        if most < seen.grown {
            kept = false;
            println!("                MISSED: it may grow by {:.1} MB", most as f64 / 1_048_576.0);
        }
    }
    let quiet = under_writes(&store, &file, &ids, || {
        std::thread::sleep(slowest);
        Ok(())
    })?;
    quiet.print("no backup");
    Ok(kept)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("a promise was missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
