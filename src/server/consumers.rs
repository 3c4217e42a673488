//! Runs the durable consumers: one task for each in each workspace. It is woken by the feed, works in
//! the second lane, and waits longer after each failure; another consumer notices nothing of that.

use std::sync::Arc;
use std::time::Duration;

use crate::app::Ws;
use crate::app::consumers::Consumers;
use crate::features::usage::rules::daily::Daily;
use crate::store::StoreError;
use crate::store::consumer::{Consume, Step, step};

/// How long to wait when the store refuses.
const REFUSED: Duration = Duration::from_secs(2);

/// The consumers of this program. Their numbers are never used again.
#[must_use]
pub fn all() -> Consumers {
    Consumers::new(vec![Arc::new(Daily)])
}

/// Begins all consumers in a workspace.
pub fn begin(ws: &Ws) {
    for consumer in ws.app.consumers.all() {
        let (ws, consumer) = (ws.clone(), Arc::clone(consumer));
        ws.clone().spawn("consumer", run(ws, consumer));
    }
}

async fn run(ws: Ws, consumer: Arc<dyn Consume>) {
    let (mut feed, mut nudges) = (ws.store.watch(), ws.app.consumers.nudges());
    let stopping = ws.halt();
    let mut failures = 0;
    while !stopping.is_cancelled() {
        // Looked at before the step, so that what comes meanwhile wakes it again.
        feed.borrow_and_update();
        nudges.borrow_and_update();
        let wait = match step(&ws.store, Arc::clone(&consumer)).await {
            Ok(Step::Took(_)) => {
                failures = 0;
                tokio::task::yield_now().await;
                continue;
            }
            Ok(Step::Idle | Step::Paused) => None,
            Ok(Step::Failed) => {
                failures += 1;
                Some(ws.app.consumers.pause_after(failures))
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(consumer = consumer.name(), %error, "a consumer has to wait");
                Some(REFUSED)
            }
        };
        // After a failure new entries do not help, but a person who skips it does.
        let later = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => drop(feed.changed().await),
            }
        };
        tokio::select! {
            () = later => {}
            _ = nudges.changed() => {}
            () = stopping.cancelled() => return,
        }
    }
}
