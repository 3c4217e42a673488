//! What a backup costs a store that goes on being written to: how long it holds its snapshot, and how
//! much the file grows in that time at 200 writes a second, against the same writes without a backup.
//! `HQ_BENCH_TASKS` says how many tasks there are (100,000).

#![expect(clippy::print_stdout, reason = "a table on standard output is what this program is for")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hq::backup::{Folder, Meter, Owner, Repository, Source, SourceWorkspace, make};
use hq::features::tasks::model::Task;
use hq::features::tasks::rules::{NewTask, TaskPatch, create, update};
use hq::kernel::id::{IdSource, SystemIds};
use hq::kernel::time::SystemClock;
use hq::kernel::{Actor, Cause, Clock, Part, TaskId};
use hq::server::schema;
use hq::store::{NoFaults, Options, Schema, Store, StoreError, WriteTx};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

const ACTOR: Actor = Actor::System(Part::Cli);
/// Writes a second.
const RATE: u64 = 200;
/// How many tasks one transaction of the filling makes.
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

/// Runs something while 200 tasks a second are changed; gives how long it took, how much larger the
/// file is at its largest, and how many writes there were.
fn under_writes(
    store: &Store,
    file: &Path,
    ids: &[TaskId],
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<(Duration, u64, u64), Failure> {
    let before = size(file);
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
    Ok((took, most.into_inner() - before, writes.into_inner()))
}

#[expect(clippy::disallowed_methods, reason = "a bench takes its size from whoever runs it")]
fn count() -> u64 {
    std::env::var("HQ_BENCH_TASKS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

fn run() -> Result<(), Failure> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let data = folder.path().join("data");
    let ws = data.join("workspaces/bench");
    std::fs::create_dir_all(&ws)?;
    let (system, file) = (open(&data.join("system.redb"), schema::system())?, ws.join("hq.redb"));
    let store = open(&file, schema::workspace())?;
    let ids = fill(&store, count())?;
    // What the filling left free is taken first; a second of quiet settles the file.
    let settle = || std::thread::sleep(Duration::from_secs(2));
    under_writes(&store, &file, &ids, || {
        settle();
        Ok(())
    })?;
    settle();
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
        left_out: Vec::new(),
        owner: Owner("bench".to_owned()),
        clock: Arc::clone(&clock),
    };
    let target = Arc::new(Folder::new(folder.path().join("backups")));
    let repo = Repository::open_or_begin(target, None, clock.now())?;
    let mut slowest = Duration::ZERO;
    for name in ["first backup", "second backup"] {
        let mut new = 0;
        let (took, grown, writes) = under_writes(&store, &file, &ids, || {
            new = make(&repo, &source, &Meter::default())?.new_bytes;
            Ok(())
        })?;
        slowest = slowest.max(took);
        println!(
            "{name:<14}  {:.2} s, {writes} writes meanwhile, {:.1} MB new, file grows by {:.1} MB",
            took.as_secs_f64(),
            new as f64 / 1048576.0,
            grown as f64 / 1048576.0
        );
        settle();
    }
    let (took, grown, writes) = under_writes(&store, &file, &ids, || {
        std::thread::sleep(slowest);
        Ok(())
    })?;
    println!(
        "no backup       {:.2} s, {writes} writes, file grows by {:.1} MB",
        took.as_secs_f64(),
        grown as f64 / 1048576.0
    );
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
