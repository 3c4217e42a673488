//! The measured store and its disk.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kernel::id::{IdSource, SystemIds};
use kernel::time::SystemClock;
use kernel::{Actor, AgentId, Cause, Event, Part, TaskId, TypedId};
use store::{Faults, NoFaults, Options, ReactionError, Record, Schema, Store, StoreError, WriteTx};

use crate::records::{Item, Note, Task, react};

pub const ACTOR: Actor = Actor::System(Part::Cli);
/// Rows per commit of the import.
const PIECE: usize = 500;

/// A store with tasks and agents.
pub struct Fixture {
    pub store: Store,
    pub tasks: Vec<TaskId>,
    pub agents: Vec<AgentId>,
}

impl Fixture {
    pub fn new(path: &Path, tasks: usize, faults: Arc<dyn Faults>) -> Result<Self, StoreError> {
        let store = open(path, 32 << 20, faults)?;
        let ids = SystemIds::default();
        let agents = (0..20).map(|_| AgentId::from_uuid(ids.next(0))).collect();
        let tasks = fill(&store, tasks)?;
        Ok(Self { store, tasks, agents })
    }

    /// Task and agent of the `n`-th assignment, spread over all.
    pub fn pick(&self, n: usize) -> (TaskId, AgentId) {
        let task = self.tasks[n.wrapping_mul(7919) % self.tasks.len()];
        (task, self.agents[n % self.agents.len()])
    }
}

/// Creates tasks with six statuses and five priorities, in commits of 500.
pub fn fill(store: &Store, count: usize) -> Result<Vec<TaskId>, StoreError> {
    let mut tasks = Vec::with_capacity(count);
    while tasks.len() < count {
        let begin = tasks.len();
        let piece = PIECE.min(count - begin);
        tasks.extend(store.write_blocking(ACTOR, Cause::Setup, move |tx| {
            let mut made = Vec::with_capacity(piece);
            for n in begin..begin + piece {
                let task = Task {
                    id: tx.new_id(),
                    status: u8::try_from(n % 6).unwrap_or_default(),
                    priority: u8::try_from(n / 6 % 5).unwrap_or_default(),
                    due: (n % 3 == 0).then(|| tx.now()),
                    updated: tx.now(),
                    ..Task::sample()
                };
                tx.put(&task)?;
                made.push(task.id);
            }
            Ok::<_, StoreError>(made)
        })?);
    }
    Ok(tasks)
}

/// Opens a store with the benchmarks' records.
pub fn open(path: &Path, cache: usize, faults: Arc<dyn Faults>) -> Result<Store, StoreError> {
    Store::open(Options {
        path: path.to_owned(),
        schema: Schema::new().with::<Task>().with::<Item>().with::<Note>(),
        cache,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        reactor: Some(Arc::new(|tx: &mut WriteTx<'_>, event: &Event| {
            react(tx, event).map_err(|error| ReactionError::new("bench", &error))
        })),
        faults,
    })
}

/// A disk without injected faults.
pub fn real() -> Arc<dyn Faults> {
    Arc::new(NoFaults)
}

/// A disk whose fsync takes this much longer.
pub struct Slow(pub Duration);

impl Faults for Slow {
    fn sync(&self) -> io::Result<()> {
        std::thread::sleep(self.0);
        Ok(())
    }
}

/// Median duration of a durable write of 4 KiB.
pub fn fsync(folder: &Path, times: usize) -> io::Result<Duration> {
    let mut file = File::create(folder.join("fsync"))?;
    let mut spent = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        spent.push(began.elapsed());
    }
    Ok(half(spent))
}

/// Median.
pub fn half(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
