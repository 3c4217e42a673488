//! Measures the store alone: the assignment of a task (a changed task with three indexes, an event,
//! a reaction that adds an inbox item with three indexes and a count) by one client and by 64,
//! against what an fsync costs in the same minute; and what an open store costs that nobody uses.
//! Fails when a promise is missed.

#![expect(clippy::print_stdout, reason = "a table on standard output is what this program is for")]

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hq::kernel::id::{IdSource, SystemIds};
use hq::kernel::time::SystemClock;
use hq::kernel::{
    Actor, AgentId, Assignee, Cause, Event, ItemId, Part, TaskId, Timestamp, TypedId,
};
use hq::store::{
    Class, Count, Counts, Index, Keys, NoFaults, OnDelete, Options, ReactionError, ReadExt, Record,
    Refs, Root, Schema, Store, StoreError, Table, WriteTx,
};
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ACTOR: Actor = Actor::System(Part::Cli);
const TASKS: u64 = 10_000;
const AGENTS: usize = 20;

#[derive(Clone, Serialize, Deserialize)]
struct Task {
    id: TaskId,
    title: String,
    body: String,
    status: u8,
    assignee: Option<AgentId>,
    assignments: u32,
    due: Option<Timestamp>,
    updated: Timestamp,
}

impl Task {
    const BY_STATUS: Index = Index::multi(21, "task_by_status");
    const BY_ASSIGNEE: Index = Index::multi(22, "task_by_assignee");
    const BY_UPDATED: Index = Index::multi(23, "task_by_updated");
}

impl Record for Task {
    type Id = TaskId;
    const TABLE: Table = Table::new(20, "task");
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[Self::BY_STATUS, Self::BY_ASSIGNEE, Self::BY_UPDATED];

    fn id(&self) -> TaskId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(Self::BY_STATUS).u8(self.status).time_or_max(self.due);
        if let Some(agent) = self.assignee {
            keys.entry(Self::BY_ASSIGNEE).part(agent).u8(self.status);
        }
        keys.entry(Self::BY_UPDATED).part(self.updated);
    }
    fn sample() -> Self {
        Self {
            id: SystemIds::default_id(),
            title: "Write the report".to_owned(),
            body: "A paragraph of what is to be done. ".repeat(10),
            status: 0,
            assignee: None,
            assignments: 0,
            due: None,
            updated: Timestamp::UNIX_EPOCH,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Item {
    id: ItemId,
    agent: AgentId,
    task: TaskId,
    key: String,
    due: Timestamp,
    open: bool,
}

impl Item {
    const BY_KEY: Index = Index::unique(31, "item_by_key");
    const DUE: Index = Index::multi(32, "item_due");
    const BY_AGENT: Index = Index::multi(33, "item_by_agent");
    const OPEN: Count = Count::new(34, "open_items");
}

impl Record for Item {
    type Id = ItemId;
    const TABLE: Table = Table::new(30, "item");
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[Self::BY_KEY, Self::DUE, Self::BY_AGENT];
    const COUNTS: &'static [Count] = &[Self::OPEN];

    fn id(&self) -> ItemId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(Self::BY_KEY).part(self.agent).text(&self.key);
        if self.open {
            keys.entry(Self::DUE).part(self.due);
        }
        keys.entry(Self::BY_AGENT).part(self.agent).part(self.due);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Task>(1, Some(self.task), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn counts(&self, counts: &mut Counts) {
        if self.open {
            counts.one(Self::OPEN).part(self.agent);
        }
    }
    fn sample() -> Self {
        Self {
            id: SystemIds::default_id(),
            agent: SystemIds::default_id(),
            task: SystemIds::default_id(),
            key: "task:1".to_owned(),
            due: Timestamp::UNIX_EPOCH,
            open: true,
        }
    }
}

/// An id of no meaning.
trait DefaultId {
    fn default_id<T: TypedId>() -> T;
}

impl DefaultId for SystemIds {
    fn default_id<T: TypedId>() -> T {
        T::from_uuid(Self::default().next(0))
    }
}

/// What an assignment wakes: an inbox item for the agent.
fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), StoreError> {
    let Event::TaskAssigned { task, to: Some(Assignee::Agent(agent)), assignment, .. } = event
    else {
        return Ok(());
    };
    let key = format!("task:{task}:{assignment}");
    let item = Item { id: tx.new_id(), agent: *agent, task: *task, key, due: tx.now(), open: true };
    tx.put(&item)
}

/// The rule: read, check, change, tell.
fn assign(tx: &mut WriteTx<'_>, task: TaskId, to: AgentId) -> Result<u64, StoreError> {
    let (mut task, rev) = tx.get_rev::<Task>(task)?.ok_or(StoreError::Stale)?;
    let from = task.assignee.map(Assignee::Agent);
    task.assignee = Some(to);
    task.assignments += 1;
    task.updated = tx.now();
    tx.put_if(&task, rev)?;
    tx.emit(Event::TaskAssigned {
        task: task.id,
        from,
        to: Some(Assignee::Agent(to)),
        assignment: task.assignments,
    });
    tx.seq()
}

struct Bench {
    store: Store,
    tasks: Vec<TaskId>,
    agents: Vec<AgentId>,
}

impl Bench {
    fn open(folder: &Path) -> Result<Self, StoreError> {
        let store = open(&folder.join("bench.redb"))?;
        let ids = SystemIds::default();
        let agents = (0..AGENTS).map(|_| AgentId::from_uuid(ids.next(0))).collect();
        let mut tasks = Vec::new();
        let began = Instant::now();
        while (tasks.len() as u64) < TASKS {
            let made = store.write_blocking(ACTOR, Cause::Setup, |tx| {
                let mut made = Vec::new();
                for _ in 0..500 {
                    let task = Task { id: tx.new_id(), updated: tx.now(), ..Task::sample() };
                    tx.put(&task)?;
                    made.push(task.id);
                }
                Ok::<_, StoreError>(made)
            })?;
            tasks.extend(made);
        }
        let rate = TASKS as f64 / began.elapsed().as_secs_f64();
        println!("import        {rate:.0} tasks/s, 500 a commit");
        Ok(Self { store, tasks, agents })
    }

    /// The task and agent of the `n`-th assignment, spread over all.
    fn pick(&self, n: usize) -> (TaskId, AgentId) {
        let task = self.tasks[n.wrapping_mul(7919) % self.tasks.len()];
        (task, self.agents[n % AGENTS])
    }
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(Options {
        path: path.to_owned(),
        schema: Schema::new().with::<Task>().with::<Item>(),
        cache: 32 << 20,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        reactor: Some(Arc::new(|tx: &mut WriteTx<'_>, event: &Event| {
            react(tx, event).map_err(|error| ReactionError::new("bench", &error))
        })),
        faults: Arc::new(NoFaults),
    })
}

/// One durable write of 4 KiB, again and again.
fn fsync(folder: &Path, times: usize) -> std::io::Result<Duration> {
    let mut file = File::create(folder.join("fsync"))?;
    let mut spent = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        spent.push(began.elapsed());
    }
    Ok(half(spent))
}

fn half(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// One client: assignments and fsyncs in turns, so that both see the same disk.
fn alone(bench: &Bench, folder: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    let (mut times, mut syncs) = (Vec::new(), Vec::new());
    let counters = bench.store.counters();
    let before = counters.written.load(Ordering::Relaxed);
    let n = 2_000;
    for round in 0..20 {
        syncs.push(fsync(folder, 50)?);
        for step in 0..n / 20 {
            let (task, agent) = bench.pick(round * 1000 + step);
            let began = Instant::now();
            bench.store.write_blocking(ACTOR, Cause::Setup, move |tx| assign(tx, task, agent))?;
            times.push(began.elapsed());
        }
    }
    let written = (counters.written.load(Ordering::Relaxed) - before) / n as u64 / 1024;
    let (time, sync) = (ms(half(times)), ms(half(syncs)));
    let promise = 1.3 * sync + 0.6;
    println!(
        "1 client      {time:.3} ms (promise {promise:.3} = 1.3 × {sync:.3} + 0.6), {written} KiB each"
    );
    Ok(time <= promise)
}

/// Many clients for a while.
fn crowd(bench: &Bench, clients: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let span = Duration::from_secs(3);
    let counters = bench.store.counters();
    let syncs = counters.syncs.load(Ordering::Relaxed);
    let written = counters.written.load(Ordering::Relaxed);
    let (done, times) = runtime.block_on(async {
        let end = Instant::now() + span;
        let work = (0..clients).map(|client| async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let (task, agent) = bench.pick(client * 100_003 + times.len());
                let began = Instant::now();
                let body = move |tx: &mut WriteTx<'_>| assign(tx, task, agent);
                bench.store.write(ACTOR, Cause::Setup, body).await?;
                times.push(began.elapsed());
            }
            Ok::<_, StoreError>(times)
        });
        let times: Vec<Duration> =
            futures_util::future::try_join_all(work).await?.into_iter().flatten().collect();
        Ok::<_, StoreError>((times.len(), times))
    })?;
    let syncs = counters.syncs.load(Ordering::Relaxed) - syncs;
    let rate = done as f64 / span.as_secs_f64();
    let written = (counters.written.load(Ordering::Relaxed) - written) / done as u64 / 1024;
    println!(
        "{clients:<3} clients   {rate:.0}/s, half within {:.2} ms, {:.1} a commit, {written} KiB each",
        ms(half(times)),
        done as f64 / syncs as f64
    );
    Ok(rate)
}

/// Memory of this process alone, in KiB.
fn pss() -> std::io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default())
}

/// What a store costs that is open and does nothing, its thread included.
fn idle(folder: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    const COUNT: u64 = 50;
    let file = |n| folder.join(format!("idle-{n}.redb"));
    for n in 0..=COUNT {
        drop(open(&file(n))?);
    }
    let mut stores = vec![open(&file(COUNT))?];
    let before = pss()?;
    for n in 0..COUNT {
        stores.push(open(&file(n))?);
    }
    let store = pss()?.saturating_sub(before) / COUNT;
    let opening = Instant::now();
    drop(open(&folder.join("late.redb"))?);
    println!(
        "idle store    {store} KiB (promise 150), a new one opens in {:.1} ms",
        ms(opening.elapsed())
    );
    Ok(store <= 150)
}

fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut kept = idle(folder.path())?;
    let bench = Bench::open(folder.path())?;
    kept &= alone(&bench, folder.path())?;
    crowd(&bench, 16)?;
    kept &= crowd(&bench, 64)? >= 4_000.0;
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
