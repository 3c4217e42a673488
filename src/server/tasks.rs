//! The only place that starts async tasks. Each has a name. A panic is logged and ends only its task. A permanent
//! task is restarted. The shutdown waits for all tasks.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use app::{BoxTask, Spawn};

/// Pause before a permanent task restarts.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts and tracks tasks.
#[derive(Clone)]
pub struct Tasks {
    handle: Handle,
    tracker: TaskTracker,
    stopping: CancellationToken,
}

impl Tasks {
    /// Uses the runtime of the caller.
    #[must_use]
    pub fn new(stopping: CancellationToken) -> Self {
        Self { handle: Handle::current(), tracker: TaskTracker::new(), stopping }
    }

    pub fn start(&self, name: &'static str, task: BoxTask) {
        let task = async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                tracing::error!(task = name, "the task {name} panicked: {}", words(&*panic));
            }
        };
        self.tracker.spawn_on(task, &self.handle);
    }

    /// Starts a permanent task, which is restarted whenever it ends before the shutdown.
    pub fn keep(&self, name: &'static str, make: impl Fn() -> BoxTask + Send + 'static) {
        let stopping = self.stopping.clone();
        let task = async move {
            while !stopping.is_cancelled() {
                match AssertUnwindSafe(make()).catch_unwind().await {
                    Ok(()) if stopping.is_cancelled() => return,
                    Ok(()) => {
                        tracing::warn!(task = name, "the task {name} ended; starting it again")
                    }
                    Err(panic) => {
                        let words = words(&*panic);
                        tracing::error!(task = name, "the task {name} panicked: {words}");
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stopping.cancelled() => {}
                }
            }
        };
        self.tracker.spawn_on(task, &self.handle);
    }

    /// A spawner for [`App`](app::App).
    #[must_use]
    pub fn spawn(&self) -> Spawn {
        let tasks = self.clone();
        Arc::new(move |name, task| tasks.start(name, task))
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Waits at most `patience` for all tasks to end. Returns whether they have.
    pub async fn wait(&self, patience: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}

/// The message of a panic without quoted content.
pub use kernel::text::panic_words as words;

#[cfg(test)]
mod tests {
    use super::Tasks;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn a_task_that_panics_is_started_again_until_the_program_ends() {
        let stopping = CancellationToken::new();
        let tasks = Tasks::new(stopping.clone());
        let starts = Arc::new(AtomicU32::new(0));
        let (seen, stop) = (Arc::clone(&starts), stopping.clone());
        tasks.keep("test", move || {
            let (seen, stop) = (Arc::clone(&seen), stop.clone());
            Box::pin(async move {
                match seen.fetch_add(1, Ordering::SeqCst) {
                    0 => panic!("at first"),
                    1 => {}
                    _ => stop.cancel(),
                }
            })
        });
        assert!(tasks.wait(Duration::from_secs(60)).await);
        assert_eq!(starts.load(Ordering::SeqCst), 3);
    }
}
