//! What is known of a server's connection since HQ started: what its program printed, its last call, how long calls
//! take and how often it ended.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::SignedDuration;
use kernel::Timestamp;
use parking_lot::Mutex;

/// Bytes of a program's messages that are kept.
const LOG: usize = 16 * 1024;
/// Number of calls from which the usual duration is computed.
const CALLS: usize = 64;

#[derive(Default)]
pub struct Health(Mutex<Known>);

#[derive(Default)]
struct Known {
    log: VecDeque<u8>,
    last: Option<Call>,
    /// In microseconds.
    times: VecDeque<u64>,
    ends: VecDeque<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub tool: String,
    pub at: Timestamp,
    pub is_ok: bool,
}

/// The state of a connection for people.
#[derive(Clone, Debug)]
pub struct Status {
    pub is_open: bool,
    pub last: Option<Call>,
    /// Half of the last calls took at most this long.
    pub p50: Option<Duration>,
    /// The end of what its program printed as messages.
    pub log: String,
    /// How often it ended in the last minutes.
    pub ends: usize,
}

impl Health {
    /// Keeps the end of the program's messages.
    pub fn print(&self, bytes: &[u8]) {
        let mut known = self.0.lock();
        known.log.extend(bytes);
        let over = known.log.len().saturating_sub(LOG);
        known.log.drain(..over);
    }

    pub fn called(&self, tool: &str, at: Timestamp, took: Duration, is_ok: bool) {
        let mut known = self.0.lock();
        known.last = Some(Call { tool: tool.to_owned(), at, is_ok });
        known.times.push_back(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        if CALLS < known.times.len() {
            known.times.pop_front();
        }
    }

    /// Records that the program ended without being stopped. Returns whether that was once too often.
    pub fn crashed(&self, now: Timestamp, (most, within): (usize, SignedDuration)) -> bool {
        let mut known = self.0.lock();
        known.ends.push_back(now);
        known.ends.retain(|at| now.duration_since(*at) < within);
        most <= known.ends.len()
    }

    /// Forgets the ends, because a person has tested the server.
    pub fn forgive(&self) {
        self.0.lock().ends.clear();
    }

    pub fn status(&self, is_open: bool) -> Status {
        let known = self.0.lock();
        let mut times: Vec<u64> = known.times.iter().copied().collect();
        times.sort_unstable();
        let log: Vec<u8> = known.log.iter().copied().collect();
        Status {
            is_open,
            last: known.last.clone(),
            p50: times.get(times.len() / 2).copied().map(Duration::from_micros),
            log: String::from_utf8_lossy(&log).into_owned(),
            ends: known.ends.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::{Health, LOG};

    #[test]
    fn the_end_of_the_messages_is_kept() {
        let health = Health::default();
        health.print(&[b'a'; LOG]);
        health.print(b"last words");
        let status = health.status(false);
        assert!(status.log.len() == LOG && status.log.ends_with("aalast words"));
    }

    #[test]
    fn ends_count_within_their_time() {
        let (health, at) = (Health::default(), kernel::time::from_ms);
        let limit = (3, SignedDuration::from_mins(10));
        assert!(!health.crashed(at(0), limit));
        assert!(!health.crashed(at(2 * 60_000), limit));
        assert!(!health.crashed(at(11 * 60_000), limit), "the first is long ago");
        assert!(health.crashed(at(11 * 60_000 + 1), limit));
        health.forgive();
        assert!(!health.crashed(at(11 * 60_000 + 2), limit));
    }

    #[test]
    fn half_of_the_calls_are_faster() {
        let health = Health::default();
        assert!(health.status(true).p50.is_none());
        for ms in [1, 900, 3, 2, 800] {
            health.called("a", kernel::time::from_ms(0), Duration::from_millis(ms), true);
        }
        assert_eq!(health.status(true).p50, Some(Duration::from_millis(3)));
    }
}
