//! The pause of an embedding connection after failures.

use std::time::Duration;

use features::connections::queries::vectors::VectorError;
use tokio::time::Instant;

/// Pauses after consecutive failures; the last one applies to all further ones.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(12 * 60 * 60),
];
/// The provider's own waiting time is used for this many consecutive failures.
const BELIEVED: usize = 3;
/// Minimum pause.
pub(super) const LEAST: Duration = Duration::from_millis(250);

/// The pause of a failed connection.
#[derive(Default)]
pub(super) struct Pause {
    failures: usize,
    until: Option<Instant>,
}

impl Pause {
    /// Remaining pause; `None` if over.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        Some(left).filter(|left| !left.is_zero())
    }

    /// Starts a pause after a failure; returns its length.
    pub(super) fn begin(&mut self, error: &VectorError) -> Duration {
        let last = PAUSES[PAUSES.len() - 1];
        let usual = PAUSES.get(self.failures).copied().unwrap_or(last);
        let pause = match error.wait() {
            _ if !error.passes() => last,
            Some(wait) if self.failures < BELIEVED => wait.clamp(LEAST, last),
            wait => usual.max(wait.unwrap_or_default()),
        };
        self.failures += 1;
        self.until = Some(Instant::now() + pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use features::connections::queries::vectors::VectorError;
    use providers::error::ErrorClass;

    use super::Pause;

    fn failed(class: ErrorClass, wait: Option<u64>) -> VectorError {
        VectorError::Provider { class, message: String::new(), wait: wait.map(Duration::from_secs) }
    }

    #[test]
    fn a_connection_that_goes_on_failing_is_tried_every_twelve_hours() {
        let mut pause = Pause::default();
        let mut lengths = Vec::new();
        for _ in 0..8 {
            lengths.push(pause.begin(&failed(ErrorClass::Server, None)).as_secs() / 60);
            assert!(pause.left().is_some());
        }
        assert_eq!(lengths, [1, 5, 30, 120, 720, 720, 720, 720]);
    }

    #[test]
    fn the_word_of_a_provider_counts_while_it_is_believed() {
        let mut pause = Pause::default();
        let mut after =
            |wait: u64| pause.begin(&failed(ErrorClass::RateLimit, Some(wait))).as_secs();
        assert_eq!([after(7), after(7), after(7)], [7, 7, 7]);
        // Afterwards the provider may only lengthen the usual pause.
        assert_eq!([after(7), after(20 * 60 * 60)], [2 * 60 * 60, 20 * 60 * 60]);
    }
}
