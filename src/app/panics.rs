//! Panic handling: a panic ends only the work in which it happens, is logged without user data, and permanent tasks
//! restart.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use kernel::display::Forms;
use parking_lot::Mutex;

use crate::Ws;
use store::StoreError;

/// Pause before a panicked task restarts.
const AGAIN: Duration = Duration::from_millis(500);

impl Ws {
    /// Starts work that runs until the workspace stops. After a panic, which is logged, the work restarts. One item
    /// that triggers a bug does not stop the work for all others.
    pub fn keep<F>(&self, name: &'static str, work: impl Fn(Self) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let ws = self.clone();
        self.spawn(name, async move {
            while let Err(panic) = AssertUnwindSafe(work(ws.clone())).catch_unwind().await {
                let words = kernel::text::panic_words(&*panic);
                tracing::error!(task = name, "the task {name} panicked and begins anew: {words}");
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => {}
                    () = ws.halt().cancelled_owned() => return,
                }
            }
        });
    }
}

/// Runs `work` on a blocking thread. `early` creates the error after a panic, from the panic message. Nothing runs
/// before the first poll.
pub fn blocking<T: Send + 'static, E>(
    work: impl FnOnce() -> T + Send + 'static,
    early: impl FnOnce(String) -> E + Send + 'static,
) -> Blocking<T, E> {
    let (job, slot) = into_slot(work);
    Blocking { done: Box::pin(run_blocking(job)), slot, early: Some(Box::new(early)) }
}

/// Wraps `work` in a job that stores its result in a slot. It formats in the forms of the person of this request.
pub(crate) fn into_slot<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> (Job, Arc<Mutex<Option<T>>>) {
    let slot = Arc::new(Mutex::new(None));
    let result = Arc::clone(&slot);
    let forms = Forms::current();
    let job = Box::new(move || {
        let _entered = forms.enter();
        let value = work();
        *result.lock() = Some(value);
    });
    (job, slot)
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs a job that reads the store.
pub(crate) fn read_blocking(
    job: Job,
) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>> {
    Box::pin(async { run_blocking(job).await.map_err(StoreError::Panicked) })
}

/// Future of work on a blocking thread.
#[must_use = "nothing is done before the first poll"]
pub struct Blocking<T, E> {
    done: Pin<Box<dyn Future<Output = Result<(), String>> + Send>>,
    slot: Arc<Mutex<Option<T>>>,
    early: Option<Box<dyn FnOnce(String) -> E + Send>>,
}

impl<T, E> Future for Blocking<T, E> {
    type Output = Result<T, E>;
    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        let done = ready!(self.done.as_mut().poll(context));
        let value = self.slot.lock().take();
        let why = match (done, value) {
            (Ok(()), Some(value)) => return Poll::Ready(Ok(value)),
            (Ok(()), None) => "its result was taken before".to_owned(),
            (Err(why), _) => why,
        };
        let early = self.early.take().expect("invariant: a future is not polled after its end");
        Poll::Ready(Err(early(why)))
    }
}

/// The only place that starts blocking work.
async fn run_blocking(job: Job) -> Result<(), String> {
    let done = tokio::task::spawn_blocking(job).await;
    done.map_err(|error| match error.try_into_panic() {
        Ok(panic) => kernel::text::panic_words(&*panic),
        Err(error) => error.to_string(),
    })
}
