//! Thousands of kills: no single folder lives through them all, since all that was ever written is
//! compared again and again. Each round has its own, and a seed of its own with which it is repeated alone.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::desk::Tally;
use super::dice::say;
use super::kill::Kills;
use super::stores::Seen;

/// Kills of one folder at most, when it is said how many there are to be.
pub const LONG: u64 = 250;
/// The same when nobody has said it: there is to be more than one round.
pub const SHORT: u64 = 75;

/// What is done to one folder.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub kills: u64,
    pub seed: u64,
}

/// How long kills go on: until all are done, or for a while.
pub struct Limit {
    /// So many are done in any case, and for so long.
    usual: Option<(u64, Instant)>,
    kills: AtomicU64,
}

impl Limit {
    /// However long it takes.
    pub fn none() -> Self {
        Self { usual: None, kills: AtomicU64::new(0) }
    }

    /// For so long from now on, and at least so many.
    pub fn of(least: u64, time: Duration) -> Self {
        Self { usual: Some((least, Instant::now() + time)), ..Self::none() }
    }

    /// Whether there is to be one more kill.
    pub fn goes_on(&self) -> bool {
        let kills = self.kills.load(Ordering::Relaxed);
        self.usual.is_none_or(|(least, end)| kills < least || Instant::now() < end)
    }

    /// There was one more.
    pub fn count(&self) {
        self.kills.fetch_add(1, Ordering::Relaxed);
    }
}

/// What was done, in one round or in several.
#[derive(Default)]
pub struct Done {
    pub rounds: u64,
    pub kills: Kills,
    pub tally: Tally,
    /// Which kinds of records and events were ever there.
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

/// So many kills, in rounds of a size. The first has the seed itself: a few kills are one round.
pub fn deal(kills: u64, size: u64, seed: u64) -> VecDeque<Round> {
    let rounds = 0..kills.div_ceil(size);
    let round = |n: u64| Round {
        kills: size.min(kills - n * size),
        // Far enough apart for the desks, which count up from it.
        seed: seed.wrapping_add(n << 16),
    };
    rounds.map(round).collect()
}

/// Does all rounds, so many side by side, and adds up what they did. After a round that fails no other
/// begins, and none when the time is over.
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
