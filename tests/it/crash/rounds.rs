//! Rounds of the crash test, each with a folder and a seed of its own: all data ever written is compared repeatedly, so
//! no single folder can live through thousands of kills. A seed repeats its round.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::desk::Tally;
use super::dice::say;
use super::kill::Kills;
use super::stores::Seen;

/// Maximum number of kills per folder if a total is given.
pub const LONG: u64 = 250;
/// The same without a given total: there should be more than one round.
pub const SHORT: u64 = 75;

/// The kills of one folder.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub kills: u64,
    pub seed: u64,
}

/// Limit of the kills: their number, or a time.
pub struct Limit {
    /// The minimum number, and the end of the time.
    usual: Option<(u64, Instant)>,
    kills: AtomicU64,
}

impl Limit {
    /// No time limit.
    pub fn none() -> Self {
        Self { usual: None, kills: AtomicU64::new(0) }
    }

    /// A time limit from now on, with a minimum number.
    pub fn of(least: u64, time: Duration) -> Self {
        Self { usual: Some((least, Instant::now() + time)), ..Self::none() }
    }

    /// Whether there is to be one more kill.
    pub fn goes_on(&self) -> bool {
        let kills = self.kills.load(Ordering::Relaxed);
        self.usual.is_none_or(|(least, end)| kills < least || Instant::now() < end)
    }

    /// Counts a kill.
    pub fn count(&self) {
        self.kills.fetch_add(1, Ordering::Relaxed);
    }
}

/// Results of one or several rounds.
#[derive(Default)]
pub struct Done {
    pub rounds: u64,
    pub kills: Kills,
    pub tally: Tally,
    /// Kinds of records and events that occurred.
    pub seen: Seen,
}

impl Done {
    fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.kills.moments += other.kills.moments;
        self.kills.answers += other.kills.answers;
        self.kills.starts += other.kills.starts;
        self.tally.add(&other.tally);
        self.seen.add(&other.seen);
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kills { moments, answers, starts } = self.kills;
        let (kills, rounds) = (moments + answers, self.rounds);
        let folders =
            if rounds == 1 { "one folder".to_owned() } else { format!("{rounds} folders") };
        write!(
            f,
            "{kills} kills of {folders} ({moments} at any moment, {answers} behind an answer, "
        )?;
        write!(f, "{starts} more in a start); {}", self.tally.words())
    }
}

/// Splits kills into rounds of a size. The first round uses the seed itself: few kills need only one round.
pub fn deal(kills: u64, size: u64, seed: u64) -> VecDeque<Round> {
    let rounds = 0..kills.div_ceil(size);
    let round = |n: u64| Round {
        kills: size.min(kills - n * size),
        // Far enough apart for the desks, which increment the seed.
        seed: seed.wrapping_add(n << 16),
    };
    rounds.map(round).collect()
}

/// Runs all rounds, `jobs` in parallel, and adds up their results. After a failed round, or when the time is over, no
/// other round begins.
pub fn work(
    rounds: VecDeque<Round>,
    jobs: u64,
    limit: &Limit,
    one: impl Fn(Round) -> Done + Sync,
) -> Done {
    let (many, left) = (1 < rounds.len(), Mutex::new(rounds));
    let sum = Mutex::new(Done::default());
    let begin = || left.lock().expect("no round holds this").pop_front();
    let next = || limit.goes_on().then(begin).flatten();
    let worker = || {
        while let Some(round) = next() {
            let Round { kills, seed } = round;
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(round)));
            let Ok(done) = done else {
                left.lock().expect("no round holds this").clear();
                panic!("repeat it with HQ_CRASH_N={kills} HQ_CRASH_SEED={seed}");
            };
            if many {
                say(&format!("{done} (HQ_CRASH_SEED={seed})"));
            }
            sum.lock().expect("no round holds this").add(&done);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            worker.join().expect("every round ends well");
        }
    });
    sum.into_inner().expect("no round holds this")
}
