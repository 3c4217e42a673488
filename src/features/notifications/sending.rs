//! Delivery worker: sends due deliveries and ends snoozes. One task per workspace, woken by the feed and the clock.
//! Failed deliveries are retried, also after a restart. While all work of the workspace is paused nothing is sent,
//! because after a restore it may have been sent already.

pub mod letters;
pub mod push;

use std::panic::AssertUnwindSafe;

use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::SignedDuration;

use crate::runs::queries::halt;
use crate::users::queries as users;
use crate::workspace::queries as workspace;
use app::Ws;
use kernel::{Actor, Cause, Part, Timestamp};
use store::{Lane, StoreError, WriteTx};

use super::model::sending::{Delivery, DeliveryKey, Out};
use super::queries::{self, sending as reading};
use super::rules::sending::{self as rules, Passing};
use super::rules::{self as notices, NotificationError};

/// Actor and cause of the worker's writes.
const BY: (Actor, Cause) = (Actor::System(Part::Consumer), Cause::Timer);
/// Maximum number of concurrent deliveries.
const AT_ONCE: usize = 4;
/// Maximum number of deliveries per round.
const ROUND: usize = 50;
/// Maximum sleep.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);
/// Delay after a store error.
const REFUSED: SignedDuration = SignedDuration::from_secs(30);

/// Error message, and whether a retry may succeed.
pub type NotSent = (String, Passing);

/// Starts the worker of a workspace.
pub fn begin(ws: &Ws) {
    ws.keep("notifications", run);
}

async fn run(ws: Ws) {
    let (stopping, mut feed) = (ws.halt(), ws.store.watch());
    while !stopping.is_cancelled() {
        // Marked as seen before the round, so that new entries wake it again.
        feed.borrow_and_update();
        let now = ws.app.clock.now();
        let next = match round(&ws, now).await {
            Ok(next) => next.map_or(now + LONGEST, |next| next.min(now + LONGEST)),
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "notifications of {} have to wait", ws.slug);
                now + REFUSED
            }
        };
        tokio::select! {
            () = ws.app.sleep_from(now, next) => {}
            changed = feed.changed() => if changed.is_err() { return },
            () = stopping.cancelled() => return,
        }
    }
}

/// Handles what is due and returns the next due time. Sends nothing while all work is paused; resuming writes an entry,
/// which wakes this task.
async fn round(ws: &Ws, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let (snoozes, halted, due) = ws.read(|snap| {
        let snoozes = queries::due_snoozes(snap, now, 1)?;
        let halted = halt::of_workspace(snap)?.is_some();
        let due = if halted { Vec::new() } else { reading::due(snap, now, ROUND)? };
        Ok::<_, StoreError>((snoozes, halted, due))
    })?;
    if !snoozes.is_empty() {
        write(ws, |tx| notices::end_snoozes(tx, ROUND)).await?;
    }
    let due = reaching(ws, due).await?;
    let sent = stream::iter(due).map(|delivery| deliver(ws, delivery)).buffer_unordered(AT_ONCE);
    let sent: Vec<Result<(), StoreError>> = sent.collect().await;
    sent.into_iter().collect::<Result<(), StoreError>>()?;
    ws.read(|snap| {
        let sends = if halted { None } else { reading::next_due(snap)? };
        let times = [queries::next_snooze(snap)?, sends];
        Ok(times.into_iter().flatten().min())
    })
}

/// Keeps the deliveries that can reach somebody. The others are deleted at once in one entry: most push deliveries are
/// for people without a subscription.
async fn reaching(ws: &Ws, due: Vec<Delivery>) -> Result<Vec<Delivery>, StoreError> {
    let (mut reaching, mut lost) = (Vec::new(), Vec::new());
    for delivery in due {
        match reaches(ws, &delivery)? {
            true => reaching.push(delivery),
            false => lost.push(key(&delivery)),
        }
    }
    if !lost.is_empty() {
        write(ws, move |tx| lost.into_iter().try_for_each(|key| rules::done(tx, key))).await?;
    }
    Ok(reaching)
}

/// Returns `false` for former members, disabled accounts, and push deliveries without a subscription.
fn reaches(ws: &Ws, delivery: &Delivery) -> Result<bool, StoreError> {
    let member = delivery.member;
    if ws.read(|snap| workspace::member(snap, member))?.is_none() {
        return Ok(false);
    }
    ws.app.system.read(|snap| {
        let closed = users::disabled(snap)?.contains_key(&member);
        let deaf = delivery.out == Out::Push && reading::browsers(snap, member)?.is_empty();
        Ok(!closed && !deaf)
    })
}

fn key(delivery: &Delivery) -> DeliveryKey {
    (delivery.member, (delivery.out, delivery.row))
}

/// Writes with low priority.
async fn write<T: Send + 'static, E: Into<NotificationError> + 'static>(
    ws: &Ws,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, StoreError> {
    let (by, cause) = BY;
    let body = move |tx: &mut WriteTx<'_>| body(tx).map_err(Into::into);
    match ws.store.write_in(Lane::Second, by, cause, body).await {
        Ok(value) => Ok(value),
        Err(NotificationError::Store(error)) => Err(error),
        Err(other) => Err(StoreError::Failed(other.to_string())),
    }
}

/// Sends a delivery and records the result. The attempt is recorded first, so that a crash delays the retry instead of
/// repeating at once.
async fn deliver(ws: &Ws, delivery: Delivery) -> Result<(), StoreError> {
    let key = key(&delivery);
    if !write(ws, move |tx| rules::claim(tx, key)).await? {
        return Ok(());
    }
    // This may have changed while other deliveries were sent.
    if !reaches(ws, &delivery)? {
        return write(ws, move |tx| rules::done(tx, key)).await;
    }
    let sent = async {
        match delivery.out {
            Out::Push => push::send(ws, &delivery).await,
            Out::Mail | Out::Digest => letters::send(ws, &delivery).await,
        }
    };
    // A panic counts as a failed attempt and does not block other deliveries.
    let sent = AssertUnwindSafe(sent).catch_unwind().await.unwrap_or_else(|panic| {
        let words = kernel::text::panic_words(&*panic);
        tracing::error!("a notification could not be made: {words}");
        Err((format!("it could not be made because of a bug: {words}"), Passing::Yes))
    });
    match sent {
        Ok(()) => write(ws, move |tx| rules::done(tx, key)).await,
        Err(why) => {
            tracing::debug!("a notification was not sent: {}", why.0);
            write(ws, move |tx| rules::failed(tx, key, why)).await
        }
    }
}

/// Store errors are transient.
fn unread(error: &StoreError) -> NotSent {
    (error.to_string(), Passing::Yes)
}
