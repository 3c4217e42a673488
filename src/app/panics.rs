//! Work that panics: it ends alone, is told without what it was about, and what goes on for good begins anew.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::Ws;

/// The pause before work that panicked begins anew.
const AGAIN: Duration = Duration::from_millis(500);

impl Ws {
    /// Starts work that goes on until the workspace comes to rest: after a panic, which is logged, it begins anew. So one
    /// item that HQ stumbles over does not end what is done for all others.
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

/// Does what blocks on a thread that may; `early` says of it that it panicked, and why.
///
/// # Errors
/// What `early` says.
pub async fn blocking<T: Send + 'static, E>(
    work: impl FnOnce() -> T + Send + 'static,
    early: impl FnOnce(String) -> E,
) -> Result<T, E> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| {
        early(match error.try_into_panic() {
            Ok(panic) => kernel::text::panic_words(&*panic),
            Err(error) => error.to_string(),
        })
    })
}
