//! When a host knocks again: after 1 to 15 seconds, longer each time, and not all hosts at once.

use std::time::Duration;

/// The shortest pause.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);
/// A link that stood for so long was a good one.
const GOOD: Duration = Duration::from_secs(60);
/// Doubled so often, every pause is the longest.
const MAX_DOUBLED: u32 = 4;

/// The pauses of one host. Times are those of [`Clock::passed`](kernel::Clock::passed), so that a clock that is put
/// right neither hurries nor holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failed: u32,
    linked: Option<Duration>,
}

impl Backoff {
    /// A link stands.
    pub fn linked(&mut self, now: Duration) {
        self.linked = Some(now);
    }

    /// The link is gone, or there was none: how long to wait before the next. It begins anew after a link that stood
    /// for a minute. `random` is any random number; `asked` is the pause that home asked for, kept if it is longer.
    pub fn pause(&mut self, now: Duration, random: u64, asked: Option<Duration>) -> Duration {
        if self.linked.take().is_some_and(|since| GOOD <= now.saturating_sub(since)) {
            self.failed = 0;
        }
        let longest = FIRST.saturating_mul(2 << self.failed.min(MAX_DOUBLED)).min(LONGEST);
        self.failed = self.failed.saturating_add(1);
        // Between half of it and the whole.
        let half = longest / 2;
        let share = u32::try_from(random >> 32).unwrap_or(u32::MAX);
        let own = half + half.mul_f64(f64::from(share) / f64::from(u32::MAX));
        asked.map_or(own, |asked| asked.max(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Duration = Duration::from_secs(100);

    fn pauses(backoff: &mut Backoff, random: u64) -> Vec<u64> {
        let next = |_| backoff.pause(START, random, None).as_secs();
        (0..8).map(next).collect()
    }

    #[test]
    fn pauses_grow_to_a_quarter_of_a_minute() {
        assert_eq!(pauses(&mut Backoff::default(), 0), [1, 2, 4, 7, 7, 7, 7, 7]);
        assert_eq!(pauses(&mut Backoff::default(), u64::MAX), [2, 4, 8, 15, 15, 15, 15, 15]);
    }

    #[test]
    fn a_good_link_begins_anew_and_a_short_one_does_not() {
        let mut backoff = Backoff::default();
        pauses(&mut backoff, 0);
        backoff.linked(START);
        let short = START + GOOD - Duration::from_millis(1);
        assert_eq!(backoff.pause(short, 0, None), LONGEST / 2);
        backoff.linked(START);
        assert_eq!(backoff.pause(START + GOOD, 0, None), FIRST);
    }

    #[test]
    fn a_pause_that_home_asks_for_is_kept() {
        let mut backoff = Backoff::default();
        let asked = Duration::from_secs(300);
        assert_eq!(backoff.pause(START, 0, Some(asked)), asked);
        assert_eq!(backoff.pause(START, 0, Some(Duration::ZERO)), FIRST * 2);
    }

    proptest! {
        #[test]
        fn every_pause_has_1_to_15_seconds(failed in any::<u32>(), random in any::<u64>()) {
            let mut backoff = Backoff { failed, linked: None };
            let pause = backoff.pause(START, random, None);
            prop_assert!(FIRST <= pause && pause <= LONGEST, "{pause:?}");
        }
    }
}
