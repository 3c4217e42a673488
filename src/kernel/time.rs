//! Time: one clock for the process, milliseconds everywhere.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

pub use jiff::Timestamp;

/// The only source of "now". Rounds to milliseconds, so that stored and live values compare equal.
pub trait Clock: Send + Sync {
    /// This moment.
    fn now(&self) -> Timestamp;
    /// This moment in milliseconds since 1970.
    fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
    /// How much time has passed since some moment of this process. It goes on evenly, whatever becomes of
    /// [`Clock::now`]: what is measured by it is neither shortened nor made longer by a clock that is put
    /// right.
    fn passed(&self) -> Duration;
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        from_ms(Timestamp::now().as_millisecond())
    }

    fn passed(&self) -> Duration {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        BEGUN.get_or_init(Instant::now).elapsed()
    }
}

/// A clock that tests move.
pub struct ManualClock {
    now: AtomicI64,
    passed: AtomicI64,
}

impl ManualClock {
    /// Starts at a moment.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self { now: AtomicI64::new(start.as_millisecond()), passed: AtomicI64::new(0) }
    }

    /// Lets so many milliseconds pass; with a negative number it is set back.
    pub fn advance_ms(&self, ms: i64) {
        self.passed.fetch_add(ms.max(0), Ordering::SeqCst);
        self.jump_ms(ms);
    }

    /// Is put forward or back by milliseconds, in no time.
    pub fn jump_ms(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_ms(self.now.load(Ordering::SeqCst))
    }

    fn passed(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.passed.load(Ordering::SeqCst)).unwrap_or(0))
    }
}

/// A moment from milliseconds since 1970; what lies outside of jiff's range is cut to it.
#[must_use]
pub fn from_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A moment by the clock of a zone, as RFC 3339 writes it: `2026-11-20T09:00:00+01:00`.
#[must_use]
pub fn local_text(at: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The month of a moment in UTC as `year * 12 + month - 1`, the key of monthly totals.
#[must_use]
pub fn month_of(at: Timestamp) -> u32 {
    let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    u32::try_from(i32::from(date.year()) * 12 + i32::from(date.month()) - 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Clock, ManualClock, from_ms};

    #[test]
    fn what_passes_does_not_heed_jumps() {
        let clock = ManualClock::at(from_ms(10_000));
        clock.advance_ms(1_000);
        clock.jump_ms(60_000);
        clock.advance_ms(-5_000);
        assert_eq!((clock.now_ms(), clock.passed()), (66_000, Duration::from_secs(1)));
    }
}
