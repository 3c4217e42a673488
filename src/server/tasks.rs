//! The only place that starts tasks of the async runtime. Each has a name; a panic is logged and ends
//! that task alone; a task that must not end is started again. At the end all are waited for.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use app::{BoxTask, Spawn};

/// The pause before a task that must not end is started again.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts tasks and knows which are still there.
#[derive(Clone)]
pub struct Tasks {
    handle: Handle,
    tracker: TaskTracker,
    stopping: CancellationToken,
}

impl Tasks {
    /// On the runtime that this is called from.
    #[must_use]
    pub fn new(stopping: CancellationToken) -> Self {
        Self { handle: Handle::current(), tracker: TaskTracker::new(), stopping }
    }

    /// Starts a task.
    pub fn start(&self, name: &'static str, task: BoxTask) {
        let task = async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                tracing::error!(task = name, "the task {name} panicked: {}", words(&*panic));
            }
        };
        self.tracker.spawn_on(task, &self.handle);
    }

    /// Starts a task that runs until the program ends: whenever it is over before, it begins anew.
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

    /// For `App`.
    #[must_use]
    pub fn spawn(&self) -> Spawn {
        let tasks = self.clone();
        Arc::new(move |name, task| tasks.start(name, task))
    }

    /// How many tasks there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until all tasks are over, at most so long; says whether they were.
    pub async fn wait(&self, patience: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}

/// What a panic said, without the content that it quotes.
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
