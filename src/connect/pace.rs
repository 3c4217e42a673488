//! Rate limiter of a source (token bucket), and a counter of requests.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::RateLimit;

/// Default limit.
const USUAL: RateLimit = RateLimit { requests: 4, per_seconds: 1, burst: 20 };

#[derive(Debug)]
pub struct Pace {
    limit: RateLimit,
    bucket: Mutex<Bucket>,
    requests: AtomicU32,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
    /// Shortest time between two requests, as the source demands.
    gap: Duration,
}

impl Pace {
    #[must_use]
    pub fn new(limit: Option<RateLimit>) -> Self {
        let limit = limit.unwrap_or(USUAL);
        let bucket =
            Bucket { tokens: f64::from(limit.burst), at: Instant::now(), gap: Duration::ZERO };
        Self { limit, bucket: Mutex::new(bucket), requests: AtomicU32::new(0) }
    }

    /// Number of requests so far.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Sets the shortest time between two requests.
    pub async fn slow_down(&self, gap: Duration) {
        self.bucket.lock().await.gap = gap;
    }

    /// Waits until a request may be sent.
    pub async fn turn(&self) {
        // Locked while waiting, so that requests stay in order.
        let mut bucket = self.bucket.lock().await;
        let wait = bucket.wait(self.limit, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bucket {
    /// Takes a token and returns how long to wait before sending.
    fn wait(&mut self, limit: RateLimit, now: Instant) -> Duration {
        let rate = f64::from(limit.requests) / f64::from(limit.per_seconds.max(1));
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + rate * passed).min(f64::from(limit.burst));
        let short = Duration::from_secs_f64(((1.0 - self.tokens) / rate).max(0.0));
        let wait = short.max((self.at + self.gap).saturating_duration_since(now));
        self.tokens += rate * wait.as_secs_f64() - 1.0;
        self.at = now + wait;
        wait
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Bucket, RateLimit};

    #[test]
    fn after_a_burst_requests_go_out_evenly() {
        let limit = RateLimit { requests: 2, per_seconds: 1, burst: 3 };
        let mut now = Instant::now();
        let mut bucket = Bucket { tokens: 3.0, at: now, gap: Duration::ZERO };
        let mut waits = Vec::new();
        for _ in 0..5 {
            let wait = bucket.wait(limit, now);
            now += wait;
            waits.push(wait.as_millis());
        }
        assert_eq!(waits, [0, 0, 0, 500, 500]);
        bucket.gap = Duration::from_secs(5);
        now += Duration::from_secs(60);
        assert_eq!(bucket.wait(limit, now), Duration::ZERO);
        assert_eq!(bucket.wait(limit, now), Duration::from_secs(5));
    }
}
