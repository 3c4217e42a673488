//! Runs the durable consumers: one task per consumer and workspace. Each is woken by the feed, writes in the second
//! lane and increases its delay after each failure, independently of other consumers.

use std::sync::Arc;
use std::time::Duration;

use app::Ws;
use app::consumers::Consumers;
use features::notifications::outbound::Outbound;
use features::routines::follow::Follow;
use features::usage::rules::daily::Daily;
use store::StoreError;
use store::consumer::{Consume, Passed, Step, step_or_pass};

/// Pause after an error of the store.
const REFUSED: Duration = Duration::from_secs(2);

/// The consumers of this program. Their numbers are never reused.
#[must_use]
pub fn all() -> Consumers {
    Consumers::new(vec![
        Arc::new(Daily),
        Arc::new(Outbound),
        Arc::new(Follow),
        Arc::new(channels::consumer::Cards),
    ])
    .beside(vec![knowledge::meaning::left_out::follower()])
}

/// Starts all consumers in a workspace.
pub fn begin(ws: &Ws) {
    for consumer in ws.app.consumers.all() {
        let consumer = Arc::clone(consumer);
        ws.keep("consumer", move |ws| run(ws, Arc::clone(&consumer)));
    }
}

async fn run(ws: Ws, consumer: Arc<dyn Consume>) {
    let (mut feed, mut nudges) = (ws.store.watch(), ws.app.consumers.nudges());
    let stopping = ws.halt();
    let mut passed = Passed::default();
    while !stopping.is_cancelled() {
        // Marked as seen before the step, so that entries during the step wake the task again.
        feed.borrow_and_update();
        nudges.borrow_and_update();
        // New entries end the wait, except after a failed entry, which they do not fix.
        let (wait, hears) = match step_or_pass(&ws.store, Arc::clone(&consumer), &mut passed).await
        {
            Ok(Step::Took(_)) => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(Step::Idle | Step::Paused) => (Duration::MAX, true),
            Ok(Step::Passed(left)) => (left, true),
            Ok(Step::Failed(tries)) => (ws.app.consumers.pause_after(tries), false),
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(consumer = consumer.name(), %error, "a consumer has to wait");
                (REFUSED, false)
            }
        };
        // After a failure, a person may skip the entry.
        let gathers = tokio::select! {
            () = tokio::time::sleep(wait) => false,
            changed = feed.changed(), if hears => changed.is_ok() && !consumer.gathers().is_zero(),
            _ = nudges.changed() => false,
            () = stopping.cancelled() => return,
        };
        if gathers {
            tokio::select! {
                () = tokio::time::sleep(consumer.gathers()) => {}
                _ = nudges.changed() => {}
                () = stopping.cancelled() => return,
            }
        }
    }
}
