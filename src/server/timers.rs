//! Hourly maintenance: expired idempotency results, sessions, recorded calls, former versions, sign-ins and links are
//! deleted in batches, as are unused files (`tidy`). A failing store does not delay the others.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use std::hint::black_box;
use std::time::Duration;

use app::{App, Ws};
use features::audit::{self, model::Keeping};
use features::browsers;
use features::notifications::reactions::asked;
use features::notifications::rules::NotificationError;
use features::notifications::rules::keeping;
use features::runs;
use features::runs::rules::RunError;
use features::runs::rules::forget::{self, Count, Why};
use features::trust;
use features::users;
use interfaces_account::users::session;
use kernel::{Actor, Cause, Part, SessionId, Timestamp};
use store::stats::stats;
use store::{Lane, Store, StoreError, WriteTx, keep, once};

use super::exports;
use super::people;
use super::routines;
use super::tidy;
use super::workspaces::{labels, life};

/// Interval of the maintenance.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// How long idempotency results are kept.
const ONCE: SignedDuration = SignedDuration::from_hours(24);
/// Rows per transaction.
const PIECE: usize = 500;
/// Idle time after which cached columns are dropped.
const COLUMNS: Duration = Duration::from_secs(600);
/// The longest sleep, so that a clock set forward is noticed and idle memory is released.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// Size of an allocation that the allocator requests directly from the system, in bytes.
const PURGING: usize = 8 << 20;

/// Runs until the process stops. First finishes interrupted redactions.
pub async fn run(app: App) {
    for (name, store) in stores(&app) {
        note(&name, "redactions", redactions(&store).await);
    }
    let mut due = app.clock.now() + EVERY;
    loop {
        // Before the clock is read, so that a move in between is not missed.
        let moved = app.clock_moved.notified();
        let now = app.clock.now();
        // If the clock was set back, the next run is at most one interval away.
        due = due.min(now + EVERY);
        let left = due.duration_since(now);
        if left <= SignedDuration::ZERO {
            sweep(&app).await;
            workspaces(&app).await;
            tidy::tidy(&app).await;
            exports::sweep(&app);
            due = app.clock.now() + EVERY;
            continue;
        }
        let sleep = Duration::try_from(left).unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        tokio::select! {
            () = tokio::time::sleep(sleep) => {
                for ws in app.workspaces.read().iter() {
                    ws.store.drop_idle_columns(COLUMNS);
                    // The store is idle only if calls in full intervals show little activity.
                    if sleep == LONGEST_SLEEP {
                        ws.store.rest();
                    }
                }
                purge_freed_memory();
            }
            () = moved => {}
            () = app.stopping.cancelled() => return,
        }
    }
}

/// Makes the allocator return memory to the system that was freed more than a second ago. mimalloc does this only
/// when a large block is freed, and an idle process frees none: it kept 200 MB after a burst of work permanently.
fn purge_freed_memory() {
    // Never touched, so it uses no memory.
    drop(black_box(Vec::<u8>::with_capacity(PURGING)));
}

/// Revokes tokens of people who left, deletes workspaces whose grace period has ended, and updates copied names.
pub async fn workspaces(app: &App) {
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in all.iter().filter(|ws| ws.is_active()) {
        note(&ws.slug, "work to hand over", people::handover::complete(ws).await);
    }
    let every = "the list of workspaces";
    note(every, "tokens of people who left", people::withdraw_strange_tokens(app).await);
    note(every, "times of grace", life::end_graces(app).await);
    note(every, "names", labels::note_all(app).await);
}

fn stores(app: &App) -> Vec<(String, Store)> {
    let all = app.workspaces.read();
    let own = all.iter().map(|ws| (ws.slug.clone(), ws.store.clone()));
    std::iter::once(("system.redb".to_owned(), app.system.clone())).chain(own).collect()
}

/// Logs a failed task. The next hour tries again, and other tasks continue.
fn note<T>(place: &str, work: &str, done: Result<T, impl std::fmt::Display>) {
    if let Err(error) = done {
        tracing::warn!(%error, "{work}: {place} could not be looked after");
    }
}

/// Finishes an interrupted rotation of the master key, and reseals data that was sealed late with a former key.
pub(super) async fn master_key(app: &App) -> Result<(), String> {
    let here = app.clone();
    let gone_on = tokio::task::spawn_blocking(move || {
        vault::rotation::go_on(&here).map_err(|error| error.to_string())
    });
    gone_on.await.map_err(|error| error.to_string()).flatten()
}

/// Runs the maintenance of all stores once.
pub async fn sweep(app: &App) {
    let all: Vec<Ws> = app.workspaces.read().clone();
    let (now, before) = (app.clock.now(), app.clock.now() - ONCE);
    note("the master key", "what former keys have sealed", master_key(app).await);
    for (name, store) in stores(app) {
        let by = (Actor::System(Part::Timer), Cause::Timer);
        note(&name, "old answers", once::sweep(&store, by, before).await);
        note(&name, "redactions", redactions(&store).await);
    }
    let system = former_versions(&app.system, Keeping::default(), now).await;
    note("system.redb", "former versions", system);
    for ws in all {
        note(&ws.slug, "old sessions", old_sessions(&ws).await);
        note(&ws.slug, "old firings", routines::sweep(&ws).await);
        note(&ws.slug, "notifications", notifications(&ws).await);
        note(&ws.slug, "removed secrets", vault::sweep(&ws).await);
        note(&ws.slug, "pictures of pages", pictures(&ws).await);
        note(&ws.slug, "old calls", judged_calls(&ws).await);
        let former = match ws.read(|snap| audit::queries::keeping(snap)) {
            Ok(keeping) => former_versions(&ws.store, keeping, now).await,
            Err(error) => Err(error),
        };
        note(&ws.slug, "former versions", former);
        note(&ws.slug, "its size", keep_small(app, &ws.store, || night_of(&ws)).await);
    }
    // The system store has no time zone of its own, unlike workspaces.
    let night = || Ok(TimeZone::UTC);
    note("system.redb", "its size", keep_small(app, &app.system, night).await);
    note("system.redb", "old sign-ins", sign_ins(app).await);
}

/// Deletes old sign-ins and links.
async fn sign_ins(app: &App) -> Result<(), StoreError> {
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

/// Finishes interrupted redactions.
async fn redactions(store: &Store) -> Result<(), StoreError> {
    let removed = keep::finish_redactions(store, Actor::System(Part::Retention)).await?;
    if removed > 0 {
        tracing::info!(removed, "finished a redaction that was cut off");
    }
    Ok(())
}

/// Files above this size (bytes) are measured, so that the next start knows whether compacting them pays off.
const WORTH_MEASURING: u64 = 256 * 1024 * 1024;
/// Hour in which a store is compacted: in the workspace's time zone; UTC for the system store.
const NIGHT: i8 = 3;
/// Maximum duration of the previous compaction, in milliseconds.
const QUICK: u64 = 2_000;

/// The time zone of a workspace.
fn night_of(ws: &Ws) -> Result<TimeZone, StoreError> {
    let settings = ws.read(|snap| features::workspace::queries::settings(snap))?;
    let zone = settings.and_then(|settings| TimeZone::get(&settings.zone).ok());
    Ok(zone.unwrap_or(TimeZone::UTC))
}

/// Measures a large file hourly. At night, compacts it if that pays off, was quick the last time and does not disturb
/// a backup.
async fn keep_small(
    app: &App,
    store: &Store,
    zone: impl FnOnce() -> Result<TimeZone, StoreError>,
) -> Result<(), StoreError> {
    if store.file_size().1 < WORTH_MEASURING {
        return Ok(());
    }
    let (store, measured) = (store.clone(), store.clone());
    let figures = tokio::task::spawn_blocking(move || stats(&measured)).await;
    let figures = figures.map_err(|error| StoreError::Failed(error.to_string()))??;
    store.remember(&figures).await?;
    let is_night = app.clock.now().to_zoned(zone()?).hour() == NIGHT;
    let wasteful = figures.on_disk > figures.in_use().saturating_mul(3) / 2;
    let quick = figures.compacted.is_none_or(|last| last.took_ms < QUICK);
    if is_night && wasteful && quick && app.backups.busy().is_none() {
        let done = tokio::task::spawn_blocking(move || store.compact()).await;
        match done.map_err(|error| StoreError::Failed(error.to_string()))? {
            // The store is being read as a whole; try another night.
            Ok(_) | Err(StoreError::Reading) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Deletes former versions of records that exceed the retention time or number.
async fn former_versions(store: &Store, keep: Keeping, now: Timestamp) -> Result<(), StoreError> {
    let gone = audit::queries::enforce(store, &keep, now).await?;
    if gone > 0 {
        tracing::info!(gone, "former versions of records were dropped");
    }
    Ok(())
}

/// Deletes old notifications, and sends reminders of tasks that are due soon and of pending approvals.
async fn notifications(ws: &Ws) -> Result<(), NotificationError> {
    let by = Actor::System(Part::Timer);
    if ws.is_active() {
        ws.store.write_in(Lane::Second, by, Cause::Timer, keeping::remind).await?;
        ws.store.write_in(Lane::Second, by, Cause::Timer, asked::remind).await?;
    }
    loop {
        let forget = |tx: &mut WriteTx<'_>| keeping::forget(tx, PIECE);
        if ws.store.write_in(Lane::Second, by, Cause::Retention, forget).await? {
            return Ok(());
        }
    }
}

/// Deletes old screenshots of browser actions.
async fn pictures(ws: &Ws) -> Result<(), StoreError> {
    let by = Actor::System(Part::Timer);
    loop {
        let forget = |tx: &mut WriteTx<'_>| browsers::rules::forget_shots(tx, PIECE);
        if ws.store.write_in(Lane::Second, by, Cause::Retention, forget).await? {
            return Ok(());
        }
    }
}

/// Deletes recorded calls that are too old for testing permissions.
async fn judged_calls(ws: &Ws) -> Result<(), StoreError> {
    let (by, now) = (Actor::System(Part::Timer), ws.app.clock.now());
    let before = trust::recent::kept_since(now);
    loop {
        let forget = move |tx: &mut WriteTx<'_>| trust::rules::forget_judged(tx, before, PIECE);
        if ws.store.write_in(Lane::Second, by, Cause::Retention, forget).await? {
            return Ok(());
        }
    }
}

/// Deletes expired sessions or parts of them.
async fn old_sessions(ws: &Ws) -> Result<(), StoreError> {
    let (mut after, mut count) = (None, Count::default());
    loop {
        let now = ws.app.clock.now();
        let (looked, over) = ws.read(|snap| -> Result<_, StoreError> {
            let looked = runs::queries::sessions_made(snap, after, PIECE)?;
            let keep = runs::queries::preferences::of_workspace(snap)?;
            let mut over = Vec::new();
            for one in &looked {
                over.extend(forget::goes(snap, one, &keep, now)?.map(|_| one.id));
            }
            Ok((looked, over))
        })?;
        looked.iter().filter(|one| !over.contains(&one.id)).for_each(|one| count.take(one));
        for id in over {
            forget_one(ws, id, Why::Age).await?;
        }
        match looked.last() {
            Some(last) if looked.len() == PIECE => after = Some(last.id),
            _ => break,
        }
    }
    for id in count.too_many() {
        forget_one(ws, id, Why::Number).await?;
    }
    Ok(())
}

/// Deletes a session in batches.
async fn forget_one(ws: &Ws, id: SessionId, why: Why) -> Result<(), StoreError> {
    let by = Actor::System(Part::Timer);
    loop {
        let forgotten = ws.store.write_in(Lane::Second, by, Cause::Retention, move |tx| {
            forget::forget(tx, id, why, PIECE)
        });
        match forgotten.await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(RunError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(session = %id, "it could not be removed: {error}");
                return Ok(());
            }
        }
    }
}
