//! Reconnection delays of a host: 1 to 15 seconds, increasing and randomised.

use std::time::Duration;

/// The base of the first delay.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);
/// A link that lasted this long counts as good.
const GOOD: Duration = Duration::from_secs(60);
/// After this many doublings every delay is the longest.
const MAX_DOUBLED: u32 = 4;

/// The reconnection delays of one host. Times are those of [`Clock::passed`](kernel::Clock::passed), so clock changes
/// have no effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failed: u32,
    linked: Option<Duration>,
}

impl Backoff {
    /// Records an established link.
    pub fn linked(&mut self, now: Duration) {
        self.linked = Some(now);
    }

    /// The delay after the end of a link or a failed attempt. The sequence restarts after a link that lasted a minute.
    /// `random` is any random number; `requested` is the delay demanded by the primary, used if longer.
    pub fn pause(&mut self, now: Duration, random: u64, requested: Option<Duration>) -> Duration {
        if self.linked.take().is_some_and(|since| GOOD <= now.saturating_sub(since)) {
            self.failed = 0;
        }
        let longest = FIRST.saturating_mul(2 << self.failed.min(MAX_DOUBLED)).min(LONGEST);
        self.failed = self.failed.saturating_add(1);
        // Between half of it and the whole.
        let half = longest / 2;
        let share = u32::try_from(random >> 32).unwrap_or(u32::MAX);
        let own = half + half.mul_f64(f64::from(share) / f64::from(u32::MAX));
        requested.map_or(own, |requested| requested.max(own))
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
        let requested = Duration::from_secs(300);
        assert_eq!(backoff.pause(START, 0, Some(requested)), requested);
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
