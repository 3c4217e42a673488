//! Repeated partitions between primary and host, both the real program, while agents work on the host: the line is cut,
//! delayed, lossy, duplicating, truncating or half-open, and either side is killed. After each one the state must
//! converge; it is compared with the requests and the model's ledger.
//!
//! `HQ_PARTITIONS_N` partitions (40); `HQ_PARTITIONS_SEED` repeats a run. They happen in lives with folders of their
//! own, `HQ_PARTITIONS_JOBS` in parallel: most of the time both sides wait for each other.

mod books;
pub(crate) mod line;
mod pair;
mod script;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use support::model::ModelServer;
use support::wire;

use crate::crash::api::Ask;
use crate::crash::dice::{Dice, setting};

use books::{Found, Work};
use line::{End, Mood, Way};
use pair::{AGENTS, Pair};

/// Default number of faults.
const USUAL: u64 = 40;
/// Maximum number of faults per life.
const LIFE: u64 = 5;
/// Default number of lives in parallel.
const JOBS: u64 = 4;
/// Number of links that may end in one life of the host: each one lengthens the pause before the next.
const PATIENT: u32 = 2;
/// How long to wait for the model request after which a fault is to happen.
const ANSWER: Duration = Duration::from_secs(3);

#[expect(
    clippy::print_stdout,
    reason = "the seed and the result are what `make partitions` is for"
)]
fn say(what: &str) {
    println!("partitions: {what}");
}

/// A fault that separates primary and host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Cut,
    Delayed,
    Lost,
    Twice,
    Torn,
    HalfOpen,
    HostKilled,
    HomeKilled,
    BothKilled,
    KilledInTheDark,
}

impl Fault {
    const ALL: [Self; 10] = [
        Self::Cut,
        Self::Delayed,
        Self::Lost,
        Self::Twice,
        Self::Torn,
        Self::HalfOpen,
        Self::HostKilled,
        Self::HomeKilled,
        Self::BothKilled,
        Self::KilledInTheDark,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Delayed => "delayed",
            Self::Lost => "lost messages",
            Self::Twice => "doubled messages",
            Self::Torn => "torn messages",
            Self::HalfOpen => "half open",
            Self::HostKilled => "killed hosts",
            Self::HomeKilled => "killed homes",
            Self::BothKilled => "both killed",
            Self::KilledInTheDark => "hosts killed while cut",
        }
    }

    /// Whether the host restarts.
    fn renews(self) -> bool {
        matches!(self, Self::HostKilled | Self::BothKilled | Self::KilledInTheDark)
    }

    /// Applies the fault for a random time, without waiting for an effect.
    async fn strike(self, pair: &mut Pair, dice: &mut Dice) {
        let lasts = Duration::from_millis(dice.below(1_500));
        let way = *dice.one(&[Way::Up, Way::Down]);
        let left = *dice.one(&[End::Host, End::Home]);
        match self {
            Self::Cut => {
                pair.line.cut();
                sleep(lasts).await;
                pair.line.mend();
            }
            Self::Delayed | Self::Lost => {
                let mood = if self == Self::Lost { Mood::Loses } else { Mood::Holds };
                pair.line.set(way, mood);
                sleep(lasts).await;
                pair.line.set(way, Mood::Flows);
            }
            Self::Twice => pair.line.once(way, Mood::Twice).await,
            Self::Torn => pair.line.once(way, Mood::Torn).await,
            Self::HalfOpen => {
                pair.line.leave(left);
                // A host that is notified reconnects while the primary still considers the old link alive. Otherwise it
                // notices only after the silence limit, which is long.
                if matches!(left, End::Host) && dice.below(8) != 0 {
                    sleep(lasts).await;
                    pair.line.hang_up();
                }
            }
            Self::HostKilled => {
                pair.kill_host();
                sleep(lasts).await;
                pair.start_host();
            }
            Self::HomeKilled => {
                pair.kill_home();
                sleep(lasts).await;
                pair.start_home();
            }
            Self::BothKilled => {
                pair.kill_home();
                pair.kill_host();
                pair.start_host();
                sleep(lasts).await;
                pair.start_home();
            }
            Self::KilledInTheDark => {
                pair.line.cut();
                pair.kill_host();
                pair.start_host();
                sleep(lasts).await;
                pair.line.mend();
            }
        }
    }
}

/// Parameters of one life.
#[derive(Clone, Copy)]
struct Life {
    times: u64,
    seed: u64,
}

#[derive(Default)]
struct Done {
    faults: BTreeMap<Fault, u64>,
    works: usize,
    found: Found,
}

impl Done {
    fn add(&mut self, other: &Self) {
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        self.works += other.works;
        self.found.add(other.found);
    }

    fn words(&self) -> String {
        let all: u64 = self.faults.values().sum();
        let kinds: Vec<_> =
            self.faults.iter().map(|(fault, count)| format!("{count} {}", fault.word())).collect();
        let Found { answers, lost, unsure } = self.found;
        format!(
            "{all} partitions ({}), {} tasks done, {answers} answers booked once, {lost} that a kill took asked for \
             again, {unsure} programs unsure; 0 lost, 0 doubled",
            kinds.join(", "),
            self.works
        )
    }
}

#[test]
fn nothing_is_lost_or_doubled_by_what_parts_home_and_host() {
    let times = setting("HQ_PARTITIONS_N").unwrap_or(USUAL);
    let seed = setting("HQ_PARTITIONS_SEED").unwrap_or_else(|| RandomState::new().hash_one(times));
    let jobs = setting("HQ_PARTITIONS_JOBS").unwrap_or(JOBS).max(1);
    say(&format!("{times} partitions, HQ_PARTITIONS_SEED={seed}"));
    let began = Instant::now();
    let life = |n: u64| Life {
        times: LIFE.min(times - n * LIFE),
        // The first life uses the seed itself: few faults need only one life.
        seed: seed.wrapping_add(n << 16),
    };
    let lives: VecDeque<Life> = (0..times.div_ceil(LIFE)).map(life).collect();
    let (left, sum) = (Mutex::new(lives), Mutex::new(Done::default()));
    let next = || left.lock().pop_front();
    let worker = || {
        while let Some(life) = next() {
            let Life { times, seed } = life;
            let Ok(done) = catch_unwind(AssertUnwindSafe(|| lived(life))) else {
                left.lock().clear();
                panic!("repeat it with HQ_PARTITIONS_N={times} HQ_PARTITIONS_SEED={seed}");
            };
            say(&format!("{} (HQ_PARTITIONS_SEED={seed})", done.words()));
            sum.lock().add(&done);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            worker.join().expect("every life ends well");
        }
    });
    let (words, took) = (sum.into_inner().words(), began.elapsed().as_secs());
    say(&format!("{words}, in {took} s; all as told (HQ_PARTITIONS_SEED={seed})"));
}

/// Runs one life from beginning to end.
fn lived(life: Life) -> Done {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(one(life))
}

async fn one(Life { times, seed }: Life) -> Done {
    let model = ModelServer::start().await;
    model.answering(script::answer);
    let mut pair = Pair::open(&model).await;
    let mut dice = Dice::new(seed);
    let (mut done, mut works, mut ended) = (Done::default(), Vec::new(), 0);
    for n in 1..=times {
        let fault = *dice.one(&Fault::ALL);
        // After too many cuts the host waits long before it reconnects.
        let is_tired = ended == PATIENT && !fault.renews();
        let fault = if is_tired { Fault::HostKilled } else { fault };
        ended = if fault.renews() { 0 } else { ended + 1 };
        let given = give(&pair, &format!("{}{seed:x}-{n}", script::WORD)).await;
        moment(&model, &mut dice).await;
        fault.strike(&mut pair, &mut dice).await;
        for work in &given {
            books::at_rest(&pair, work).await;
        }
        for work in &given {
            done.found.add(books::compare(&pair, work).await);
        }
        *done.faults.entry(fault).or_default() += 1;
        works.extend(given);
    }
    // Late duplicates would be visible by now.
    for work in &works {
        books::compare(&pair, work).await;
    }
    done.works = works.len();
    pair.close();
    done
}

/// Gives each agent a task.
async fn give(pair: &Pair, begins: &str) -> Vec<Work> {
    let api = pair.api();
    let mut given = Vec::new();
    for agent in AGENTS {
        let word = format!("{begins}-{agent}");
        let body = wire::task(&format!("Count {word}"), Some(agent));
        let task = api.made(Ask::post(wire::TASKS, body), &word).await.word("id");
        given.push(Work { task, agent, word });
    }
    given
}

/// Waits for a random moment: after a number of model requests, or after a time.
async fn moment(model: &ModelServer, dice: &mut Dice) {
    let asked = model.requests().len();
    let (behind, any) = (dice.index(12), Duration::from_millis(dice.below(1_500)));
    if dice.below(2) == 0 {
        return sleep(any).await;
    }
    // ok: there may be few requests if an agent waits for something else; then the fault happens now.
    let _ = timeout(ANSWER, model.asked(asked + behind)).await;
}
