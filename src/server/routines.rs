//! Fires routines that are due. One task per workspace sleeps until the next time in an index. The first check after
//! a start finds missed firings and spreads their runs over time.

use jiff::{SignedDuration, Timestamp};

use app::Ws;
use features::routines::follow;
use features::routines::model::{CLOCKS, Routine};
use features::routines::queries;
use features::routines::rules::{keep, tick};
use features::runs::model::HALTS;
use features::runs::queries::halt;
use kernel::{Actor, Cause, Part};
use store::{Lane, StoreError, WriteTx};

use super::due;

/// Actor of firings.
const BY: (Actor, Cause) = (Actor::System(Part::Timer), Cause::Timer);
/// Firings per transaction.
const PIECE: usize = 50;
/// Old firings deleted per transaction.
const SWEEP: usize = 200;
/// Pause after a failed check.
const AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// Starts the task in a workspace. Must run before its consumers start.
pub fn begin(ws: &Ws) {
    if let Err(error) = ws.read(|snap| follow::learn(snap)) {
        tracing::warn!(%error, "what routines wait for could not be read");
    }
    ws.keep("routines", run);
}

async fn run(ws: Ws) {
    let stopping = ws.halt();
    // Subscribed before the first check, so that no change in between is missed.
    let mut feed = ws.store.subscribe();
    let mut rewound = false;
    while !stopping.is_cancelled() {
        if !rewound {
            match ws.store.write_in(Lane::First, BY.0, BY.1, keep::rewind).await {
                Ok(()) => rewound = true,
                Err(StoreError::Closed) => return,
                Err(error) => tracing::warn!(%error, "the clocks of routines were not looked at"),
            }
        }
        // Before the check, so that a move of the clock in between is not missed.
        let moved = ws.app.clock_moved.notified();
        let next = match fire_due(&ws).await {
            Ok(next) => next,
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "routines could not fire; it is tried again");
                Some(ws.app.clock.now() + AGAIN)
            }
        };
        if !due::sleep(&ws, &mut feed, moved, next, &[CLOCKS.number, HALTS.number]).await {
            return;
        }
    }
}

/// Fires all routines that are due and returns the next due time. Fires nothing while all work is paused.
pub(super) async fn fire_due(ws: &Ws) -> Result<Option<Timestamp>, StoreError> {
    let mut late = 0;
    loop {
        if ws.read(|snap| halt::of_workspace(snap))?.is_some() {
            return Ok(None);
        }
        let now = ws.app.clock.now();
        let next = ws.read(|snap| tick::next_due(snap))?;
        if next.is_none_or(|at| now < at) {
            return Ok(next);
        }
        let ticked = ws
            .store
            .write_in(Lane::First, BY.0, BY.1, move |tx| tick::tick(tx, PIECE, late))
            .await?;
        late = ticked.late;
        if ticked.due == 0 {
            // The store's time is slightly behind the clock.
            return Ok(Some(now + AGAIN));
        }
    }
}

/// Deletes old firings and long-archived routines; runs hourly.
pub async fn sweep(ws: &Ws) -> Result<(), StoreError> {
    let (all, done) =
        ws.read(|snap| Ok::<_, StoreError>((queries::all(snap)?, queries::done(snap, None)?)))?;
    let now = ws.app.clock.now();
    let long_done = |one: &&Routine| one.done_at.is_some_and(|at| at + keep::KEPT_DONE <= now);
    for routine in done.iter().filter(long_done) {
        let id = routine.id;
        let forget = move |tx: &mut WriteTx<'_>| keep::forget(tx, id);
        ws.store.write_in(Lane::Second, BY.0, Cause::Retention, forget).await?;
    }
    for routine in all {
        let id = routine.id;
        let mut spared = 0;
        loop {
            let (stay, gone) = ws
                .store
                .write_in(Lane::Second, BY.0, Cause::Retention, move |tx| {
                    keep::sweep(tx, id, (spared, SWEEP))
                })
                .await?;
            // Older ones were checked when they had this age.
            if gone == 0 {
                break;
            }
            spared += stay;
        }
    }
    Ok(())
}
