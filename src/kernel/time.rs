//! Time: one clock per process, millisecond precision.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

pub use jiff::Timestamp;

/// The only source of the current time. Rounds to milliseconds, so that stored and live values compare equal.
pub trait Clock: Send + Sync {
    /// The current wall-clock time.
    fn now(&self) -> Timestamp;
    /// The current wall-clock time in milliseconds since 1970.
    fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
    /// Monotonic time since an arbitrary moment in this process. Adjusting [`Clock::now`] does not affect it.
    fn passed(&self) -> Duration;
}

/// The system clock.
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

/// A clock controlled by tests.
pub struct ManualClock {
    now: AtomicI64,
    passed: AtomicI64,
}

impl ManualClock {
    /// Starts at `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self { now: AtomicI64::new(start.as_millisecond()), passed: AtomicI64::new(0) }
    }

    /// Advances the clock by `ms`. A negative number sets the wall clock back.
    pub fn advance_ms(&self, ms: i64) {
        self.passed.fetch_add(ms.max(0), Ordering::SeqCst);
        self.jump_ms(ms);
    }

    /// Sets the wall clock forward or back without letting time pass.
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

/// Converts milliseconds since 1970, clamped to jiff's range.
#[must_use]
pub fn from_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Local time in a zone in RFC 3339: `2026-11-20T09:00:00+01:00`.
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
