//! Time: one clock for the process, milliseconds everywhere.

use std::sync::atomic::{AtomicI64, Ordering};

pub use jiff::Timestamp;

/// The only source of "now". Rounds to milliseconds, so that stored and live values compare equal.
pub trait Clock: Send + Sync {
    /// This moment.
    fn now(&self) -> Timestamp;
    /// This moment in milliseconds since 1970.
    fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        from_ms(Timestamp::now().as_millisecond())
    }
}

/// A clock that tests move.
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at a moment.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.as_millisecond()))
    }

    /// Moves on (or, with a negative number, back) by milliseconds.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_ms(self.0.load(Ordering::SeqCst))
    }
}

/// A moment from milliseconds since 1970; what lies outside of jiff's range is cut to it.
#[must_use]
pub fn from_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The month of a moment in UTC as `year * 12 + month - 1`, the key of monthly totals.
#[must_use]
pub fn month_of(at: Timestamp) -> u32 {
    let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    u32::try_from(i32::from(date.year()) * 12 + i32::from(date.month()) - 1).unwrap_or(0)
}
