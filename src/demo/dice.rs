//! Deterministic random numbers.

/// A generator with its state.
pub(super) struct Dice(pub u64);

impl Dice {
    /// SplitMix64: every state, including 0, starts a sequence of its own.
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `count - 1`.
    pub fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.throw() % count).unwrap_or(0)
    }

    /// A number in this range, inclusive.
    pub fn within(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// `true` with this probability in thousandths.
    pub fn chance(&mut self, in_thousand: usize) -> bool {
        self.below(1_000) < in_thousand
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// The numbers from 0 to `count - 1` in random order.
    pub fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..count).collect();
        for at in (1..count).rev() {
            all.swap(at, self.below(at + 1));
        }
        all
    }

    /// A mostly small, sometimes large number; about half are below the median.
    pub fn lag(&mut self, median: usize) -> usize {
        let doublings = (0..4).take_while(|_| self.chance(500)).count();
        self.within(1, (median << doublings).max(1))
    }
}
