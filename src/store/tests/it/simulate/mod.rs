//! Simulates a disk and a clock with seeded faults: failed and short writes, a full disk, a failed fsync, power
//! failures, also during recovery. Unsynced writes then survive in any part and order. A store goes through several
//! faults while the clock moves both ways, and is compared with a ledger of its results.
//!
//! `HQ_SIM_N` sets the number of seeds (default 300; CI uses new ones at each commit), `HQ_SIM_SEED` the first one.
//! Repeat a failed seed with `HQ_SIM_N=1`. `make simulate N=…` does the same.

mod disk;
mod life;

use std::sync::atomic::{AtomicU64, Ordering};

/// Default number of seeds.
const USUAL: u64 = 300;

#[test]
#[expect(clippy::disallowed_methods, reason = "how many seeds, and which, is told from outside")]
fn a_store_keeps_its_word_on_a_disk_that_does_everything_wrong() {
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = setting("HQ_SIM_N").unwrap_or(USUAL);
    let first = setting("HQ_SIM_SEED").unwrap_or(1);
    let next = AtomicU64::new(first);
    let lives = || {
        let mut struck = 0;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if first + count <= seed {
                return struck;
            }
            let lived = std::panic::catch_unwind(|| life::live(seed));
            struck +=
                lived.unwrap_or_else(|_| panic!("repeat it with HQ_SIM_N=1 HQ_SIM_SEED={seed}"));
        }
    };
    let both = std::thread::scope(|scope| {
        let other = scope.spawn(lives);
        (lives(), other.join())
    });
    let struck: u64 = both.0 + both.1.expect("a seed that failed was named");
    assert!(struck >= count, "{struck} faults in {count} lives are too few");
    say(&format!("simulation: {count} seeds from {first}, {struck} faults, all as told"));
}

#[expect(clippy::print_stdout, reason = "what was simulated, for whoever asks for more seeds")]
fn say(what: &str) {
    println!("{what}");
}
