//! What happens once an hour: old answers of `once`, sessions of single API calls, former versions of
//! records, old sign-ins and links go, in pieces; so do files that nobody needs (`tidy`).

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use std::time::Duration;

use crate::app::{App, Ws};
use crate::features::audit::{self, model::Keeping};
use crate::features::runs;
use crate::features::runs::rules::{RunError, forget};
use crate::features::users::{self, session};
use crate::kernel::{Actor, Cause, Part, SessionId, Timestamp};
use crate::store::stats::stats;
use crate::store::{Lane, Store, StoreError};

use super::exports;
use super::people;
use super::tidy;
use super::workspaces::life::{self, LifeError};

/// How often.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// How long answers of `once` are kept.
const ONCE: SignedDuration = SignedDuration::from_hours(24);
/// How much goes in one transaction.
const PIECE: usize = 500;
/// How long columns are kept that nobody uses.
const COLUMNS: Duration = Duration::from_secs(600);
/// The longest sleep, so that a clock that was set forward is noticed and unused columns go.
const LONGEST_SLEEP: Duration = Duration::from_secs(600);

/// Runs until the program ends.
pub async fn run(app: App) {
    let mut due = app.clock.now() + EVERY;
    loop {
        let now = app.clock.now();
        // A clock that was set back puts the next time off by an hour and no more.
        due = due.min(now + EVERY);
        let left = due.duration_since(now);
        if left <= SignedDuration::ZERO {
            if let Err(error) = sweep(&app).await {
                tracing::warn!(%error, "the hourly sweep failed");
            }
            if let Err(error) = workspaces(&app).await {
                tracing::warn!(%error, "workspaces could not be looked after");
            }
            tidy::tidy(&app).await;
            exports::sweep(&app);
            due = app.clock.now() + EVERY;
            continue;
        }
        let sleep = Duration::try_from(left).unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        tokio::select! {
            () = tokio::time::sleep(sleep) => {
                app.workspaces.read().iter().for_each(|ws| ws.store.drop_idle_columns(COLUMNS));
            }
            () = app.clock_moved.notified() => {}
            () = app.stopping.cancelled() => return,
        }
    }
}

/// Withdraws tokens of people who left, deletes workspaces whose time of grace is over, keeps copies
/// of names true.
async fn workspaces(app: &App) -> Result<(), LifeError> {
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in all.iter().filter(|ws| ws.is_active()) {
        people::handover::complete(ws).await?;
    }
    people::withdraw_strange_tokens(app).await?;
    life::end_graces(app).await?;
    life::note_labels(app).await
}

/// Sweeps all stores once.
///
/// # Errors
/// When a store refuses.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    let all: Vec<Ws> = app.workspaces.read().clone();
    once(app, &app.system).await?;
    former_versions(&app.system, Keeping::default(), app.clock.now()).await?;
    for ws in all {
        once(app, &ws.store).await?;
        single_calls(&ws).await?;
        let keeping = ws.read(|snap| audit::queries::keeping(snap))?;
        former_versions(&ws.store, keeping, app.clock.now()).await?;
        keep_small(&ws).await?;
    }
    let oldest = app.clock.now() - session::LONGEST;
    let by = Actor::System(Part::Timer);
    loop {
        let swept = app.system.write_in(Lane::Second, by, Cause::Timer, move |tx| {
            users::rules::sweep(tx, oldest, PIECE)
        });
        match swept.await {
            Ok(n) if n < PIECE => return Ok(()),
            Ok(_) => {}
            Err(users::rules::UsersError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "old sign-ins could not be swept");
                return Ok(());
            }
        }
    }
}

async fn once(app: &App, store: &Store) -> Result<(), StoreError> {
    let before = app.clock.now() - ONCE;
    let by = Actor::System(Part::Timer);
    loop {
        let swept =
            store.write_in(Lane::Second, by, Cause::Timer, move |tx| tx.sweep_once(before, PIECE));
        if swept.await? < PIECE {
            return Ok(());
        }
    }
}

/// Files above this are measured, so that the next start knows whether they are worth compacting.
const WORTH_MEASURING: u64 = 256 * 1024 * 1024;
/// The hour of the night in which a store is compacted, by its workspace's clock.
const NIGHT: i8 = 3;
/// The longest that compaction may have taken the last time, in milliseconds.
const QUICK: u64 = 2_000;

/// Measures a large file once an hour; at night makes it smaller, if that is worth it and was quick
/// the last time.
async fn keep_small(ws: &Ws) -> Result<(), StoreError> {
    if ws.store.file_size().1 < WORTH_MEASURING {
        return Ok(());
    }
    let (store, measured) = (ws.store.clone(), ws.store.clone());
    let figures = tokio::task::spawn_blocking(move || stats(&measured)).await;
    let figures = figures.map_err(|error| StoreError::Failed(error.to_string()))??;
    store.remember(&figures).await?;
    let settings = ws.read(|snap| crate::features::workspace::queries::settings(snap))?;
    let zone = settings.and_then(|settings| TimeZone::get(&settings.zone).ok());
    let hour = ws.app.clock.now().to_zoned(zone.unwrap_or(TimeZone::UTC)).hour();
    let wasteful = figures.on_disk > figures.in_use().saturating_mul(3) / 2;
    if hour == NIGHT && wasteful && figures.compacted.is_none_or(|last| last.took_ms < QUICK) {
        let done = tokio::task::spawn_blocking(move || store.compact()).await;
        done.map_err(|error| StoreError::Failed(error.to_string()))??;
    }
    Ok(())
}

/// Former versions of records that are older than they are kept, or too many.
async fn former_versions(store: &Store, keep: Keeping, now: Timestamp) -> Result<(), StoreError> {
    let gone = audit::queries::enforce(store, &keep, now).await?;
    if gone > 0 {
        tracing::info!(gone, "former versions of records were dropped");
    }
    Ok(())
}

/// Sessions that were made for a single API call.
async fn single_calls(ws: &Ws) -> Result<(), StoreError> {
    let by = Actor::System(Part::Timer);
    let mut after: Option<SessionId> = None;
    loop {
        let now = ws.app.clock.now();
        let looked = ws.read(|snap| runs::queries::sessions_made(snap, after, PIECE))?;
        for id in looked.iter().filter(|one| forget::is_over(one, now)).map(|one| one.id) {
            loop {
                let forgotten = ws.store.write_in(Lane::Second, by, Cause::Retention, move |tx| {
                    forget::forget(tx, id, PIECE)
                });
                match forgotten.await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(RunError::Store(error)) => return Err(error),
                    Err(error) => {
                        tracing::warn!(session = %id, "it could not be removed: {error}");
                        break;
                    }
                }
            }
        }
        match looked.last() {
            Some(last) if looked.len() == PIECE => after = Some(last.id),
            _ => return Ok(()),
        }
    }
}
