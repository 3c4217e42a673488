//! Reads: by id, by index, and consumers that catch up.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use features::usage::model::Usage;
use features::usage::rules::daily::Daily;
use kernel::Cause;
use kernel::id::SystemIds;
use kernel::key::KeyBuf;
use kernel::time::{SystemClock, from_ms};
use server::workspaces::cache_for;
use store::consumer::{self, Consume, ConsumeError, Step};
use store::{Entry, Options, Range, ReadExt, Record as _, Store, StoreError, WriteTx};

use crate::fixture::{self, ACTOR, Fixture, half, real};
use crate::records::{Task, assign};
use crate::{Failure, Figure};

const MILLION: usize = 1_000_000;
const MANY: usize = 100_000;

/// Single tasks by id, spread over a million, with the page cache of a server with one workspace on this machine.
pub fn by_id(folder: &Path) -> Result<Figure, Failure> {
    let path = folder.join("million.redb");
    let Fixture { store, tasks, agents } = Fixture::new(&path, MILLION, real())?;
    drop(store);
    let cache = cache_for(1);
    let bench = Fixture { store: fixture::open(&path, cache, real())?, tasks, agents };
    let reads = 200_000;
    let pass = || {
        let began = Instant::now();
        bench.store.read(|snap| {
            for n in 0..reads {
                if snap.get::<Task>(bench.pick(n).0)?.is_none() {
                    return Err(StoreError::Stale);
                }
            }
            Ok(began.elapsed().as_secs_f64() * 1e6 / reads as f64)
        })
    };
    let (first, micros) = (pass()?, pass()?);
    Ok(Figure {
        promise: "≤ 3 µs at a million".to_owned(),
        ours: format!("{micros:.1} µs (cold {first:.1}), {} MB of cache", cache >> 20),
        kept: micros <= 3.0,
    })
}

/// The first 50 of 100,000 by status, priority and due date.
pub fn by_index(folder: &Path) -> Result<Figure, Failure> {
    let bench = Fixture::new(&folder.join("index.redb"), MANY, real())?;
    let mut times = Vec::new();
    for n in 0..2_000_u32 {
        let mut key = KeyBuf::of(&u8::try_from(n % 6)?);
        key.u8(u8::try_from(n % 5)?);
        let range = Range::prefix(key).limit(50);
        let began = Instant::now();
        let found = bench.store.read(|snap| snap.scan::<Task>(Task::BY_STATUS, &range))?;
        times.push(began.elapsed());
        if found.len() != 50 {
            return Err("too few rows".into());
        }
    }
    let micros = half(times).as_secs_f64() * 1e6;
    Ok(Figure {
        promise: "≤ 150 µs".to_owned(),
        ours: format!("{micros:.0} µs"),
        kept: micros <= 150.0,
    })
}

/// A consumer that only stores its cursor.
struct Follow;

impl Consume for Follow {
    fn number(&self) -> u16 {
        1
    }
    fn name(&self) -> &'static str {
        "follow"
    }
    fn handle(&self, _tx: &mut WriteTx<'_>, _entry: &Entry) -> Result<(), ConsumeError> {
        Ok(())
    }
}

/// Entries that a consumer is behind.
const AWAY: usize = 50_000;
/// Concurrent clients that write them.
const CLIENTS: usize = 64;

/// A consumer without work that is 50,000 entries behind.
pub fn catch_up(folder: &Path) -> Result<Figure, Failure> {
    let bench = Arc::new(Fixture::new(&folder.join("follow.redb"), 2_000, real())?);
    let runtime = runtime()?;
    runtime.block_on(async {
        let work = (0..CLIENTS).map(|client| {
            let bench = Arc::clone(&bench);
            async move {
                for n in 0..AWAY / CLIENTS {
                    let (task, agent) = bench.pick(client * 100_003 + n);
                    let body = move |tx: &mut WriteTx<'_>| assign(tx, task, agent);
                    bench.store.write(ACTOR, Cause::Setup, body).await?;
                }
                Ok::<_, StoreError>(())
            }
        });
        futures_util::future::try_join_all(work).await
    })?;
    rate(&bench.store, runtime.block_on(caught_up(&bench.store, Arc::new(Follow)))?)
}

/// The usage roll-up, 50,000 model calls behind: four weeks, ten models.
pub fn usage_days(folder: &Path) -> Result<Figure, Failure> {
    let store = Store::open(Options {
        path: folder.join("usage.redb"),
        schema: server::schema::workspace(),
        cache: 64 << 20,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        reactor: None,
        faults: real(),
    })?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let work = (0..CLIENTS).map(|client| {
            let store = store.clone();
            async move {
                for n in 0..AWAY / CLIENTS {
                    let body = move |tx: &mut WriteTx<'_>| tx.put(&call(tx, client, n));
                    store.write(ACTOR, Cause::Setup, body).await?;
                }
                Ok::<_, StoreError>(())
            }
        });
        futures_util::future::try_join_all(work).await
    })?;
    rate(&store, runtime.block_on(caught_up(&store, Arc::new(Daily)))?)
}

/// A model call within four weeks.
fn call(tx: &WriteTx<'_>, client: usize, n: usize) -> Usage {
    let at = from_ms(1_700_000_000_000 + (n % 28) as i64 * 86_400_000);
    let model = format!("model-{}", client % 10);
    Usage { id: tx.new_id(), model, run: None, task: None, connection: None, at, ..Usage::sample() }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()
}

/// Processes all entries; returns the duration.
async fn caught_up(store: &Store, consumer: Arc<dyn Consume>) -> Result<Duration, StoreError> {
    let began = Instant::now();
    loop {
        match consumer::step(store, Arc::clone(&consumer)).await? {
            Step::Took(_) => {}
            // The remaining entries are irrelevant for it.
            Step::Idle | Step::Passed(_) => return Ok(began.elapsed()),
            Step::Failed(_) | Step::Paused => return Err(StoreError::Stale),
        }
    }
}

fn rate(store: &Store, took: Duration) -> Result<Figure, Failure> {
    let rate = store.head().seq as f64 / took.as_secs_f64();
    Ok(Figure {
        promise: "≥ 20,000 entries/s".to_owned(),
        ours: format!("{rate:.0}/s"),
        kept: 20_000.0 <= rate,
    })
}
