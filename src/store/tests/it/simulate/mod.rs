//! A simulated disk and clock on which everything goes wrong by the choice of a seed: writes that fail or
//! stop in the middle, a disk that is full, an fsync that fails, power that goes, also while the store
//! recovers from the fault before; what was written since the last fsync is then there in any part and
//! any order. A store lives on it through several such faults, while the clock goes on and back, against
//! a ledger of what it has answered.
//!
//! `HQ_SIM_N` seeds (300; CI takes others at each commit), `HQ_SIM_SEED` the first of them: one that failed is repeated
//! alone with `HQ_SIM_N=1`. `make simulate N=…` does the same.

mod disk;
mod life;

use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds, unless it is said how many.
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
