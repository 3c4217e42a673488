//! Rate limits: token buckets, growing lock-outs and slots for open streams. In memory only: a restart gives an
//! attacker one extra burst.
//!
//! Times are wall-clock times, and the clock may be set back. No wait becomes longer because of that.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// Number of keys above which idle keys are dropped.
const MANY: usize = 10_000;

/// A rate. The bucket refills evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens per `per`; 0 disables the limit.
    pub amount: u32,
    pub per: Duration,
    /// Maximum burst.
    pub burst: u32,
}

/// State of a bucket after an allowed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Tokens left for a burst.
    pub remaining: u32,
    /// Time until the bucket is full.
    pub reset: Duration,
}

/// Lock-out policy against guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Failures within `window` that cause no wait.
    pub free: u32,
    /// Failures are forgotten after this time without a new one.
    pub window: Duration,
    /// The first wait. Each further failure doubles it.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

type Key = (&'static str, String);

#[derive(Clone, Copy, Default)]
struct Strikes {
    count: u32,
    last_ms: i64,
    until_ms: i64,
}

impl Strikes {
    /// Remaining wait. If the clock was set back since the last failure, the wait restarts with the same length.
    fn left(&mut self, now_ms: i64) -> Result<(), Duration> {
        if now_ms < self.last_ms {
            let wait = self.until_ms.saturating_sub(self.last_ms).max(0);
            (self.last_ms, self.until_ms) = (now_ms, now_ms.saturating_add(wait));
        }
        match self.until_ms.saturating_sub(now_ms) {
            ..=0 => Ok(()),
            wait => Err(length(wait.saturating_mul(1_000))),
        }
    }

    /// When the failures are forgotten, if no more happen.
    fn at_rest(&self, rest: i64) -> i64 {
        self.last_ms.max(self.until_ms).saturating_add(rest)
    }
}

/// A token bucket. Times are in microseconds.
#[derive(Clone, Copy)]
struct Bucket {
    /// When the bucket will be full.
    full_at: i64,
    /// When the bucket was last used.
    seen: i64,
}

impl Bucket {
    /// Keeps the fill level if the clock was set back since the last use.
    fn at(&mut self, now: i64) {
        if now < self.seen {
            self.full_at = self.full_at.saturating_sub(self.seen.saturating_sub(now));
        }
        self.seen = now;
    }
}

/// All limits of the process.
#[derive(Default)]
pub struct Limiter {
    buckets: Mutex<HashMap<Key, Bucket>>,
    strikes: Mutex<HashMap<Key, Strikes>>,
    places: Arc<Mutex<HashMap<Key, u32>>>,
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

fn length(micros: i64) -> Duration {
    Duration::from_micros(micros.max(0).cast_unsigned())
}

fn make_room<K: Eq + Hash, V>(map: &mut HashMap<K, V>, keep: impl Fn(&V) -> bool) {
    if MANY <= map.len() {
        map.retain(|_, value| keep(value));
    }
}

impl Limiter {
    /// Takes one token from a bucket.
    ///
    /// # Errors
    /// The time to wait, if the bucket is empty.
    pub fn take(
        &self,
        what: &'static str,
        who: &str,
        rate: Rate,
        now_ms: i64,
    ) -> Result<Left, Duration> {
        if rate.amount == 0 {
            return Ok(Left { remaining: u32::MAX, reset: Duration::ZERO });
        }
        let now = now_ms.saturating_mul(1_000);
        let each = (micros(rate.per) / i64::from(rate.amount)).max(1);
        let room = each.saturating_mul(i64::from(rate.burst.max(1)));
        let mut buckets = self.buckets.lock();
        make_room(&mut buckets, |bucket| now < bucket.full_at);
        let bucket =
            buckets.entry((what, who.to_owned())).or_insert(Bucket { full_at: now, seen: now });
        bucket.at(now);
        // A bucket cannot be emptier than empty.
        let full_at = bucket.full_at.clamp(now, now.saturating_add(room));
        let next = full_at.saturating_add(each);
        if room < next - now {
            return Err(length(next - now - room));
        }
        bucket.full_at = next;
        let remaining = u32::try_from((room - (next - now)) / each).unwrap_or(u32::MAX);
        Ok(Left { remaining, reset: length(next - now) })
    }

    /// Returns a token, for a request that does not count.
    pub fn give_back(&self, what: &'static str, who: &str, rate: Rate) {
        if rate.amount == 0 {
            return;
        }
        let each = (micros(rate.per) / i64::from(rate.amount)).max(1);
        if let Some(bucket) = self.buckets.lock().get_mut(&(what, who.to_owned())) {
            bucket.full_at = bucket.full_at.saturating_sub(each);
        }
    }

    /// Counts an attempt as failed until [`Limiter::forgive`] is called, so that parallel attempts gain nothing.
    ///
    /// # Errors
    /// The time to wait, after too many failures.
    pub fn strike(
        &self,
        what: &'static str,
        who: &str,
        patience: Patience,
        now_ms: i64,
    ) -> Result<(), Duration> {
        let mut strikes = self.strikes.lock();
        let ms = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let rest = ms(patience.window);
        make_room(&mut strikes, |kept| now_ms < kept.at_rest(rest));
        let kept = strikes.entry((what, who.to_owned())).or_default();
        kept.left(now_ms)?;
        if kept.at_rest(rest) <= now_ms {
            *kept = Strikes::default();
        }
        kept.count = kept.count.saturating_add(1);
        kept.last_ms = now_ms;
        if patience.free <= kept.count {
            let doubled = 1_u32.checked_shl(kept.count - patience.free).unwrap_or(u32::MAX);
            let wait = patience.first.saturating_mul(doubled).min(patience.longest);
            kept.until_ms = now_ms.saturating_add(ms(wait));
        }
        Ok(())
    }

    /// Forgets the failures of a key.
    pub fn forgive(&self, what: &'static str, who: &str) {
        self.strikes.lock().remove(&(what, who.to_owned()));
    }

    /// Takes one of at most `most` slots; 0 means no limit. Returns `None` if all are taken.
    #[must_use]
    pub fn place(&self, what: &'static str, who: &str, most: u32) -> Option<Place> {
        let key = (what, who.to_owned());
        let mut places = self.places.lock();
        let taken = places.entry(key.clone()).or_default();
        if 0 < most && most <= *taken {
            return None;
        }
        *taken += 1;
        drop(places);
        Some(Place { places: Arc::clone(&self.places), key })
    }
}

/// A taken slot. Dropping it frees the slot.
pub struct Place {
    places: Arc<Mutex<HashMap<Key, u32>>>,
    key: Key,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.lock();
        if let Some(taken) = places.get_mut(&self.key) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Limiter, Patience, Rate};
    use std::time::Duration;

    const RATE: Rate = Rate { amount: 10, per: Duration::from_secs(10), burst: 3 };
    const PATIENCE: Patience = Patience {
        free: 2,
        window: Duration::from_secs(100),
        first: Duration::from_secs(10),
        longest: Duration::from_secs(30),
    };

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_the_steady_rate() {
        let limiter = Limiter::default();
        let take = |at| limiter.take("api", "a", RATE, at);
        assert_eq!(take(0).map(|left| left.remaining), Ok(2));
        assert_eq!(take(0).map(|left| left.remaining), Ok(1));
        assert_eq!(take(0).map(|left| left.remaining), Ok(0));
        assert_eq!(take(0), Err(Duration::from_secs(1)));
        assert!(take(1_000).is_ok());
        assert!(take(1_000).is_err());
        assert!(limiter.take("api", "b", RATE, 0).is_ok(), "others have their own bucket");
        limiter.give_back("api", "a", RATE);
        assert!(take(1_000).is_ok(), "what was given back can be taken again");
    }

    #[test]
    fn a_limit_of_zero_is_off() {
        let limiter = Limiter::default();
        let off = Rate { amount: 0, ..RATE };
        assert!((0..1000).all(|_| limiter.take("api", "a", off, 0).is_ok()));
    }

    #[test]
    fn the_wait_doubles_up_to_the_longest_and_is_forgotten_after_a_rest() {
        let limiter = Limiter::default();
        let strike = |at_s: i64| limiter.strike("sign-in", "a", PATIENCE, at_s * 1_000);
        assert!(strike(0).is_ok());
        assert!(strike(0).is_ok());
        assert_eq!(strike(4), Err(Duration::from_secs(6)));
        assert!(strike(10).is_ok());
        assert_eq!(strike(10), Err(Duration::from_secs(20)));
        assert!(strike(30).is_ok());
        assert_eq!(strike(31), Err(Duration::from_secs(29)), "no longer than the longest");
        assert!(strike(200).is_ok());
        assert!(strike(200).is_ok(), "after a rest the first tries are free again");
        limiter.forgive("sign-in", "a");
        assert!(strike(200).is_ok());
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_wait_longer() {
        let limiter = Limiter::default();
        let day = 86_400_000;
        let take = |at| limiter.take("api", "a", RATE, at);
        assert!((0..3).all(|_| take(day).is_ok()));
        assert_eq!(take(0), Err(Duration::from_secs(1)), "as long as ever");
        assert!(take(1_000).is_ok());
        let other = |at| limiter.take("api", "b", RATE, at).map(|left| left.remaining);
        assert_eq!((other(day), other(0)), (Ok(2), Ok(1)), "what was left is left");
        let strike = |at| limiter.strike("sign-in", "a", PATIENCE, at);
        assert!(strike(day).is_ok());
        assert!(strike(day).is_ok());
        assert_eq!(strike(0), Err(Duration::from_secs(10)));
        assert_eq!(strike(4_000), Err(Duration::from_secs(6)), "it runs off by the new clock");
        assert!(strike(10_000).is_ok());
        assert_eq!(strike(i64::MIN), Err(Duration::from_secs(20)));
        assert!(strike(i64::MAX).is_ok());
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let limiter = Limiter::default();
        let first = limiter.place("streams", "a", 1);
        assert!(first.is_some());
        assert!(limiter.place("streams", "a", 1).is_none());
        drop(first);
        assert!(limiter.place("streams", "a", 1).is_some());
        assert!(limiter.place("streams", "a", 0).is_some());
    }
}
