//! Time limits of tools, and the results of tools that exceeded them or were stopped.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use features::runs::model::CallStatus;

use super::calls::{Outcomes, since};
use super::turn::Turn;

/// How long a stopped tool may take to end before it is abandoned.
const GRACE: Duration = Duration::from_millis(850);

impl Turn {
    /// The time limit of a tool without a limit of its own.
    pub(super) fn limit(&self) -> Option<Duration> {
        Some(self.setting.engine.limits.tool)
    }

    /// Waits for a tool. `None` if it was stopped or exceeded the limit.
    pub(super) async fn guarded<T>(
        &self,
        limit: Option<Duration>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let too_long = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => Some(result),
            () = too_long => None,
            () = self.setting.cancel.cancelled() => tokio::time::timeout(GRACE, work).await.ok(),
        }
    }

    pub(super) fn cut_off(&self, start: Instant) -> Outcomes {
        let mut outcome = if self.talk.journal.ws.halt().is_cancelled() {
            Outcomes::without(CallStatus::Stopped, "Error(aborted): ended because HQ was stopped")
        } else if self.setting.rests.load(Ordering::Relaxed) {
            Outcomes::without(
                CallStatus::Stopped,
                "Error(aborted): cut off because work was paused; check before you do it again",
            )
        } else if self.setting.cancel.is_cancelled() {
            Outcomes::without(CallStatus::Stopped, "Error(aborted): stopped by a person")
        } else {
            Outcomes::without(
                CallStatus::Timeout,
                "Error(timeout): this took too long and was stopped",
            )
        };
        outcome.millis = since(start);
        outcome
    }
}
