//! Timed work of a workspace: recurring tasks, passed due dates, ended snoozes.
//!
//! One task per workspace sleeps until the next time in an index. It checks again when the clock jumps and when a
//! change affects the next time. The first check after a start finds everything that became due while the process was
//! down.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::futures::Notified;

use app::Ws;
use features::dashboard::queries::away;
use features::dashboard::rules as needs;
use features::tasks::model::series::SERIES;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::{overdue as late, series as reads};
use features::tasks::rules::{overdue as settling, series as rules};
use kernel::{Actor, Cause, Part, SeriesId};
use store::consumer::{Step, step};
use store::{Entry, Lane, StoreError};

/// Actor of timed work.
const BY: (Actor, Cause) = (Actor::System(Part::Timer), Cause::Timer);
/// Batch size.
const PIECE: usize = 100;
/// The longest sleep, as a safety net.
const AT_MOST: Duration = Duration::from_secs(60);
/// Pause after a failed check.
const AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// Starts the task in a workspace.
pub fn begin(ws: &Ws) {
    ws.keep("due", run);
}

async fn run(ws: Ws) {
    let stopping = ws.halt();
    // Subscribed before the first check, so that no change in between is missed.
    let mut feed = ws.store.subscribe();
    while !stopping.is_cancelled() {
        // Before the check, so that a move of the clock in between is not missed.
        let moved = ws.app.clock_moved.notified();
        let next = match process_due(&ws).await {
            Ok(next) => next,
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "what is due could not be made; it is tried again");
                Some(ws.app.clock.now() + AGAIN)
            }
        };
        if !sleep(&ws, &mut feed, moved, next, &[SERIES.number]).await {
            return;
        }
    }
}

/// Runs all due timers and consumers of a workspace and returns the next due time. For programs that control the
/// clock.
pub async fn catch_up(ws: &Ws) -> Result<Option<Timestamp>, StoreError> {
    let (recurs, fires) = (process_due(ws).await?, super::routines::fire_due(ws).await?);
    for consumer in ws.app.consumers.all() {
        while let Step::Took(_) = step(&ws.store, Arc::clone(consumer)).await? {}
    }
    Ok(recurs.into_iter().chain(fires).min())
}

/// Processes everything that is due and returns the next due time.
async fn process_due(ws: &Ws) -> Result<Option<Timestamp>, StoreError> {
    let (turn, passes) = (recurring(ws).await?, overdue(ws).await?);
    Ok(turn.into_iter().chain(passes).chain(put_off(ws).await?).min())
}

/// Ends snoozes that are due and returns the end of the next one.
async fn put_off(ws: &Ws) -> Result<Option<Timestamp>, StoreError> {
    let now = ws.app.clock.now();
    if !ws.read(|snap| away::due(snap, now, 1))?.is_empty() {
        ws.store.write_in(Lane::Second, BY.0, BY.1, |tx| needs::end_snoozes(tx, PIECE)).await?;
    }
    ws.read(|snap| away::next(snap))
}

/// Processes due dates that have passed since the last check and returns the next one.
async fn overdue(ws: &Ws) -> Result<Option<Timestamp>, StoreError> {
    let mut last = Vec::new();
    loop {
        let now = ws.app.clock.now();
        let fallen = ws.read(|snap| late::fallen(snap, now, PIECE))?;
        // If the writer leaves the same tasks again, they have changed meanwhile; the next check handles them.
        if fallen.is_empty() || fallen == last {
            return ws.read(|snap| late::next(snap, now));
        }
        last.clone_from(&fallen);
        let settled =
            ws.store.write_in(Lane::Second, BY.0, BY.1, move |tx| settling::settle(tx, &fallen));
        match settled.await {
            Ok(()) => {}
            Err(TaskError::Store(error)) => return Err(error),
            Err(error) => return Err(StoreError::Failed(error.to_string())),
        }
    }
}

/// Creates tasks of recurring series that are due and returns the next due time.
async fn recurring(ws: &Ws) -> Result<Option<Timestamp>, StoreError> {
    loop {
        let now = ws.app.clock.now();
        let due = ws.read(|snap| reads::due(snap, now, PIECE))?;
        let mut made = 0;
        for id in &due {
            made += usize::from(spawn(ws, *id).await?);
        }
        if due.len() < PIECE || made == 0 {
            return ws.read(|snap| reads::next(snap));
        }
    }
}

/// Creates the due task of one series. A failure pauses the series, so that it does not block the others.
async fn spawn(ws: &Ws, id: SeriesId) -> Result<bool, StoreError> {
    let spawned = ws.store.write_in(Lane::First, BY.0, BY.1, move |tx| rules::spawn_due(tx, id));
    match spawned.await {
        Ok(task) => Ok(task.is_some()),
        Err(TaskError::Store(error)) => Err(error),
        Err(error) => {
            tracing::error!(series = %id, "a recurring task could not be made: {error}");
            let given =
                ws.store.write_in(Lane::First, BY.0, BY.1, move |tx| rules::give_up(tx, id));
            match given.await {
                Ok(()) => Ok(false),
                Err(TaskError::Store(error)) => Err(error),
                Err(error) => Err(StoreError::Failed(error.to_string())),
            }
        }
    }
}

/// Waits until `next`, a move of the clock since `moved` was created, or a change in one of the tables. Returns
/// `false` when the workspace's work ends.
pub(super) async fn sleep(
    ws: &Ws,
    feed: &mut Receiver<Arc<Entry>>,
    moved: Notified<'_>,
    next: Option<Timestamp>,
    tables: &[u16],
) -> bool {
    let (app, halt) = (&ws.app, ws.halt());
    tokio::pin!(moved);
    let pause = next.map_or(AT_MOST, |at| {
        Duration::try_from(at.duration_since(app.clock.now())).unwrap_or_default()
    });
    let timer = tokio::time::sleep(pause.min(AT_MOST));
    tokio::pin!(timer);
    loop {
        tokio::select! {
            biased;
            () = halt.cancelled() => return false,
            entry = feed.recv() => match entry {
                Ok(entry) => {
                    if entry.changes.iter().any(|change| tables.contains(&change.table)) {
                        return true;
                    }
                }
                Err(RecvError::Lagged(_)) => return true,
                Err(RecvError::Closed) => return false,
            },
            () = &mut moved => return true,
            () = &mut timer => return true,
        }
    }
}
