//! Measures how long a call waits for people, which says nothing about the speed of its server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mcp::client::{Answering, Elicit, Progress, Question};

pub struct TimedElicit<'e> {
    inner: &'e dyn Elicit,
    /// In microseconds.
    waited: AtomicU64,
}

impl<'e> TimedElicit<'e> {
    pub fn new(inner: &'e dyn Elicit) -> Self {
        Self { inner, waited: AtomicU64::new(0) }
    }

    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.waited.load(Ordering::Relaxed))
    }
}

impl Elicit for TimedElicit<'_> {
    fn answer<'a>(&'a self, question: &'a Question) -> Answering<'a> {
        Box::pin(async move {
            let began = Instant::now();
            let answer = self.inner.answer(question).await;
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.waited.fetch_add(took, Ordering::Relaxed);
            answer
        })
    }

    fn progress(&self, progress: &Progress) {
        self.inner.progress(progress);
    }
}
