//! Reads: by id, by index, lists from columns, and a consumer that catches up.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hq::features::tasks::queries::error::TaskError;
use hq::features::tasks::queries::filter::Asker;
use hq::features::tasks::queries::list::{self, DueIn, Filter, Sort, Today, Whose};
use hq::features::tasks::queries::people::People;
use hq::features::tasks::rules::{self, NewTask};
use hq::kernel::filter::Query;
use hq::kernel::id::SystemIds;
use hq::kernel::time::SystemClock;
use hq::kernel::{Assignee, Cause, Clock, Priority, TaskStatus};
use hq::server::workspaces::cache_for;
use hq::store::consumer::{self, Consume, ConsumeError, Step};
use hq::store::{Entry, KeyBuf, Options, Range, ReadExt, Store, StoreError, WriteTx};

use crate::fixture::{self, ACTOR, Fixture, half, ms, real};
use crate::records::{Task, assign};
use crate::{Failure, Figure};

const MILLION: usize = 1_000_000;
const MANY: usize = 100_000;

/// A million tasks: single ones by their ids, all over the table, with the page cache that a server
/// with one workspace has on this machine.
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

/// The program's own list of tasks with 100,000 of them: each filter in each order, the slowest.
pub fn lists(folder: &Path) -> Result<Figure, Failure> {
    let store = Store::open(Options {
        path: folder.join("lists.redb"),
        schema: hq::server::schema::workspace(),
        cache: 64 << 20,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        reactor: None,
        faults: real(),
    })?;
    for piece in 0..MANY / 500 {
        store.write_blocking(ACTOR, Cause::Setup, move |tx| make(tx, piece * 500))?;
    }
    let zone = hq::features::tasks::queries::due::zone("Europe/Berlin");
    let today = Today { now: SystemClock.now(), zone };
    let ask = |filter: &Filter, sort| {
        let began = Instant::now();
        let found = store.read(|snap| list::groups(snap, filter, sort, &today, 50));
        found.map(|_| began.elapsed())
    };
    let first = ask(&Filter::default(), Sort::Priority)?;
    let mut slowest = Duration::ZERO;
    for filter in filters().into_iter().chain(typed(&store, &today)?) {
        for (sort, ..) in Sort::ALL {
            let times: Result<Vec<_>, _> = (0..9).map(|_| ask(&filter, *sort)).collect();
            slowest = slowest.max(half(times?));
        }
    }
    let took = ms(slowest);
    Ok(Figure {
        promise: "≤ 5 ms, first ≤ 300 ms".to_owned(),
        ours: format!("{took:.1} ms the slowest, the first {:.0} ms", ms(first)),
        kept: took <= 5.0 && ms(first) <= 300.0,
    })
}

fn make(tx: &mut WriteTx<'_>, begin: usize) -> Result<(), StoreError> {
    for n in begin..begin + 500 {
        let new = NewTask {
            priority: Priority::ALL[n % Priority::ALL.len()],
            due_at: (n % 3 == 0).then(|| tx.now()),
            ..NewTask::titled(format!("{} offer number {n}", ["Write", "Check", "Send"][n % 3]))
        };
        let task = rules::create(tx, new).map_err(|error| StoreError::Failed(error.to_string()))?;
        let status = TaskStatus::ALL[n % TaskStatus::ALL.len()];
        if status != task.status {
            // ok: a status that does not follow from the first one leaves the task as it is.
            let _ = rules::set_status(tx, task.id, status);
        }
    }
    Ok(())
}

/// What people type into the box of the list, read once as the page does.
fn typed(store: &Store, today: &Today) -> Result<Vec<Filter>, Failure> {
    let texts = [
        "is:open assignee:none due:<7d priority:high,urgent -status:blocked",
        "is:overdue,blocked created:>-7d updated:today..today",
        "is:closed done:>-30d id:>50000",
        "has:subtasks,run -has:comment stream:none label:none parent:none",
        "waiting:any",
    ];
    let filters: Result<Vec<Filter>, TaskError> = store.read(|snap| {
        let people = People::read(snap)?;
        let asker = Asker { read: snap, people: &people, me: Assignee::System, today };
        let filter = |text: &&str| Ok(Filter::of(asker.understand(&Query::parse(text))?.strict()?));
        texts.iter().map(filter).collect()
    });
    Ok(filters?)
}

fn filters() -> Vec<Filter> {
    let mut filters = vec![
        Filter::default(),
        Filter { status: list::OPEN.to_vec(), ..Filter::default() },
        Filter { priority: vec![Priority::High, Priority::Urgent], ..Filter::default() },
        Filter { assignee: Whose::Nobody, ..Filter::default() },
        Filter { archived: true, ..Filter::default() },
    ];
    filters
        .extend(DueIn::ALL.iter().map(|(due, ..)| Filter { due: Some(*due), ..Filter::default() }));
    filters
}

/// A consumer that does nothing but keep its cursor.
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

/// A consumer that was away for 50,000 entries.
pub fn catch_up(folder: &Path) -> Result<Figure, Failure> {
    let bench = Arc::new(Fixture::new(&folder.join("follow.redb"), 2_000, real())?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let entries = 50_000;
    let took = runtime.block_on(async {
        let work = (0..64).map(|client| {
            let bench = Arc::clone(&bench);
            async move {
                for n in 0..entries / 64 {
                    let (task, agent) = bench.pick(client * 100_003 + n);
                    let body = move |tx: &mut WriteTx<'_>| assign(tx, task, agent);
                    bench.store.write(ACTOR, Cause::Setup, body).await?;
                }
                Ok::<_, StoreError>(())
            }
        });
        futures_util::future::try_join_all(work).await?;
        let began = Instant::now();
        let consumer: Arc<dyn Consume> = Arc::new(Follow);
        loop {
            match consumer::step(&bench.store, Arc::clone(&consumer)).await? {
                Step::Took(_) => {}
                // What is left has nothing for it.
                Step::Idle | Step::Passed(_) => return Ok::<_, StoreError>(began.elapsed()),
                Step::Failed | Step::Paused => return Err(StoreError::Stale),
            }
        }
    })?;
    let rate = bench.store.head().seq as f64 / took.as_secs_f64();
    Ok(Figure {
        promise: "≥ 20,000 entries/s".to_owned(),
        ours: format!("{rate:.0}/s"),
        kept: 20_000.0 <= rate,
    })
}
