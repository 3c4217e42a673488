//! Seeded random choices, and settings from the environment.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Random numbers (splitmix64).
pub struct Dice(u64);

impl Dice {
    /// Random choices from this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// An index for this length.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("an index of something in memory")
    }

    /// One of the elements.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    /// Index of one of the elements that meet the condition.
    pub fn place<T>(&mut self, of: &[T], holds: impl Fn(&T) -> bool) -> Option<usize> {
        let fit: Vec<usize> = (0..of.len()).filter(|at| holds(&of[*at])).collect();
        (!fit.is_empty()).then(|| *self.one(&fit))
    }
}

/// A number from the environment.
#[expect(clippy::disallowed_methods, reason = "how long and with which seed is told from outside")]
pub fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty())?.parse().ok()
}

/// The program to kill: the one built with the tests, unless `HQ_CRASH_PROGRAM` names another.
#[expect(clippy::disallowed_methods, reason = "which program is killed is told from outside")]
pub fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let named = std::env::var_os("HQ_CRASH_PROGRAM").filter(|path| !path.is_empty());
        named.map_or_else(|| env!("CARGO_BIN_EXE_hq").into(), PathBuf::from)
    });
    &PROGRAM
}

#[expect(clippy::print_stdout, reason = "the seed and the result are what `make crash` is for")]
pub fn say(what: &str) {
    println!("crash: {what}");
}
