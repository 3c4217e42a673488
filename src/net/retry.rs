//! Retry timing: exponential backoff with jitter, and the server's `Retry-After`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;

/// Longest pause waited for within a request. Longer ones are reported to the caller.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

/// Obsolete HTTP date formats that servers may still send.
const OLD_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// A retry schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Pause before the first retry.
    pub first: Duration,
    /// Maximum pause.
    pub cap: Duration,
    /// Maximum number of retries.
    pub tries: u32,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait this long, then retry.
    Wait(Duration),
    /// No more retries. Contains the pause that the server asked for if it exceeds [`MAX_WAIT`], for display. Another
    /// provider may be used meanwhile.
    GiveUp(Option<Duration>),
}

impl Backoff {
    /// For timeouts and server errors: two retries, from 250 ms, doubling up to 5 s.
    pub const TRANSIENT: Backoff =
        Backoff { first: Duration::from_millis(250), cap: Duration::from_secs(5), tries: 2 };
    /// For an overloaded server: twelve retries, from 1 s, doubling up to 60 s.
    pub const OVERLOAD: Backoff =
        Backoff { first: Duration::from_secs(1), cap: MAX_WAIT, tries: 12 };

    /// What to do after failed attempt number `failed`, counted from 1. `requested` is the server's `Retry-After`; `random`
    /// is any random number, for the jitter.
    pub fn next(&self, failed: u32, requested: Option<Duration>, random: u64) -> Next {
        if let Some(requested) = requested.filter(|requested| MAX_WAIT < *requested) {
            return Next::GiveUp(Some(requested));
        }
        if self.tries < failed {
            return Next::GiveUp(None);
        }
        let own = self.pause(failed, random);
        Next::Wait(requested.map_or(own, |requested| requested.max(own)).min(MAX_WAIT))
    }

    /// Between half and all of the doubled pause, so that simultaneous failures do not retry simultaneously.
    fn pause(&self, failed: u32, random: u64) -> Duration {
        let doubled = 1u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(doubled).min(self.cap);
        let share = (random >> 11) as f64 / (1u64 << 53) as f64;
        full.mul_f64(0.5 + share / 2.0)
    }
}

/// A random number for the jitter.
pub fn random() -> u64 {
    getrandom::u64().expect("invariant: the system gives random bytes")
}

/// Parses a `Retry-After` value: seconds, or a date in any of the three HTTP formats. A past date means now.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let seconds: f64 = value.parse().ok()?; // ok: an invalid number requests no pause
        return Duration::try_from_secs_f64(seconds).ok(); // ok: too long to mean anything
    }
    let until = http_date(value)?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// Parses `retry-after-ms`, a more precise header that some providers send besides `Retry-After`.
pub fn retry_after_ms(value: &str) -> Option<Duration> {
    let millis: f64 = value.trim().parse().ok()?; // ok: an invalid number requests no pause
    Duration::try_from_secs_f64(millis / 1000.0).ok() // ok: a negative or absurd number requests no pause
}

fn http_date(value: &str) -> Option<Timestamp> {
    // ok: if one format fails, the next one is tried
    let modern = rfc2822::DateTimeParser::new().parse_timestamp(value).ok();
    modern.or_else(|| {
        OLD_DATES.iter().find_map(|form| {
            let parts = strtime::parse(form, value).ok()?;
            let date: DateTime = parts.to_datetime().ok()?;
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "1994-11-06T08:49:07Z";

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let now: Timestamp = NOW.parse().unwrap();
        for (value, expected) in [
            ("0", Some(secs(0))),
            ("120", Some(secs(120))),
            (" 7 ", Some(secs(7))),
            ("1.5", Some(Duration::from_millis(1500))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(secs(30))),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(secs(30))),
            ("Sun Nov  6 08:49:37 1994", Some(secs(30))),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(secs(0))),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(secs(162_573_052))),
            ("", None),
            ("-5", None),
            ("soon", None),
            ("...", None),
            ("1e9", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
            (&"9".repeat(400), None),
        ] {
            assert_eq!(retry_after(value, now), expected, "{value:?}");
        }
    }

    #[test]
    fn milliseconds_are_read() {
        assert_eq!(retry_after_ms("250"), Some(Duration::from_millis(250)));
        assert_eq!(retry_after_ms("12.5"), Some(Duration::from_micros(12_500)));
        for value in ["", "-1", "NaN", "inf", "soon"] {
            assert_eq!(retry_after_ms(value), None, "{value:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_their_cap_and_end() {
        let backoff = Backoff { first: secs(1), cap: secs(10), tries: 6 };
        let highest: Vec<Next> = (1..=7).map(|n| backoff.next(n, None, u64::MAX)).collect();
        for (next, expected) in highest.iter().zip([1.0, 2.0, 4.0, 8.0, 10.0, 10.0]) {
            let Next::Wait(pause) = next else { panic!("gave up too early") };
            assert!((pause.as_secs_f64() - expected).abs() < 0.001, "{pause:?} for {expected}");
        }
        assert_eq!(highest[6], Next::GiveUp(None));
        assert_eq!(backoff.next(1, None, 0), Next::Wait(Duration::from_millis(500)));
        let endless = Backoff { tries: u32::MAX, ..backoff };
        assert_eq!(endless.next(u32::MAX, None, 0), Next::Wait(secs(5)));
    }

    #[test]
    fn a_server_that_asks_for_a_minute_or_less_is_waited_for() {
        let backoff = Backoff::TRANSIENT;
        assert_eq!(backoff.next(1, Some(secs(20)), 0), Next::Wait(secs(20)));
        assert_eq!(backoff.next(1, Some(secs(60)), 0), Next::Wait(secs(60)));
        assert_eq!(backoff.next(1, Some(secs(0)), 0), Next::Wait(Duration::from_millis(125)));
        assert_eq!(backoff.next(1, Some(secs(61)), 0), Next::GiveUp(Some(secs(61))));
        assert_eq!(backoff.next(3, Some(secs(1)), 0), Next::GiveUp(None));
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        for _ in 0..1000 {
            let Next::Wait(pause) = Backoff::OVERLOAD.next(3, None, random()) else { panic!() };
            assert!((secs(2)..=secs(4)).contains(&pause), "{pause:?}");
        }
    }
}
