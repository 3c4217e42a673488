//! Background task that reports silent gateways of a workspace. It sleeps until the next silence is long enough;
//! without remote gateways it waits for changes only.

use std::sync::Arc;
use std::time::Duration;

use app::Ws;
use kernel::{Actor, Cause, GatewayId, Part, Timestamp};
use store::{Entry, StoreError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::error::GatewayError;
use crate::health::TOLD;
use crate::model::GATEWAYS;
use crate::queries;
use crate::rules::{self, silent_from};

const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Pause after a store error.
const REFUSED: Duration = Duration::from_secs(5);

/// Starts the task for a workspace.
pub fn begin(ws: &Ws) {
    let own = ws.clone();
    ws.spawn("gateways", async move { watch(&own).await });
}

async fn watch(ws: &Ws) {
    let halt = ws.halt();
    // Subscribed before the first read, so that no change is missed.
    let mut feed = ws.store.subscribe();
    // No contact was possible before: silences start now at the earliest.
    let began = ws.app.clock.now();
    loop {
        let next = match report_silent(ws, began).await {
            Ok(next) => next,
            Err(GatewayError::Store(StoreError::Closed)) => return,
            Err(error) => {
                tracing::warn!(%error, "gateways of {} have to wait", ws.slug);
                tokio::select! {
                    () = halt.cancelled() => return,
                    () = tokio::time::sleep(REFUSED) => continue,
                }
            }
        };
        let wakes = async {
            match next {
                Some(at) => ws.app.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = halt.cancelled() => return,
            goes_on = hears(&mut feed) => if !goes_on { return },
            () = wakes => {}
        }
    }
}

/// Reports gateways that have been silent for too long. Returns when the next report may be due.
async fn report_silent(ws: &Ws, began: Timestamp) -> Result<Option<Timestamp>, GatewayError> {
    let due = ws.read(|snap| {
        let mut due: Vec<(Timestamp, GatewayId)> = Vec::new();
        for one in queries::gateways(snap)? {
            // The reason for the silence of a held gateway was already reported.
            if ws.app.hosts.is_held(ws.id, one.id) {
                continue;
            }
            let last = silent_from(&one, queries::signal(snap, &one)?.last);
            due.extend(last.map(|last| (last.max(began) + TOLD, one.id)));
        }
        Ok::<_, GatewayError>(due)
    })?;
    let now = ws.app.clock.now();
    for (_, id) in due.iter().filter(|(at, _)| *at <= now).copied() {
        ws.write(&BY, move |tx| rules::tell_silence(tx, id, began)).await?;
    }
    let old = ws.read(|snap| queries::old_answers(snap, now))?;
    if !old.is_empty() {
        ws.write(&BY, move |tx| rules::forget_answers(tx, &old)).await?;
    }
    Ok(due.into_iter().map(|(at, _)| at).filter(|at| now < *at).min())
}

/// Waits for a change of gateways; `false` at the end of the feed.
async fn hears(feed: &mut Receiver<Arc<Entry>>) -> bool {
    loop {
        match feed.recv().await {
            Ok(entry) => {
                if entry.changes.iter().any(|change| change.table == GATEWAYS.number) {
                    return true;
                }
            }
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}
