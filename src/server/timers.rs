//! What happens once an hour: old answers of `once`, what is over of sessions, calls that were judged long ago, former
//! versions of records, old sign-ins and links go, in pieces; so do files that nobody needs (`tidy`). A store that
//! refuses keeps no other from its turn.

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

/// How often.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// How long answers of `once` are kept.
const ONCE: SignedDuration = SignedDuration::from_hours(24);
/// How much goes in one transaction.
const PIECE: usize = 500;
/// How long columns are kept that nobody uses.
const COLUMNS: Duration = Duration::from_secs(600);
/// The longest sleep, so that a clock that was set forward is noticed and memory that nobody uses is given back.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// A block that the allocator takes from the system's memory and not from one of its pages.
const PURGING: usize = 8 << 20;

/// Runs until the program ends. What was cut off is finished first.
pub async fn run(app: App) {
    for (name, store) in stores(&app) {
        note(&name, "redactions", redactions(&store).await);
    }
    let mut due = app.clock.now() + EVERY;
    loop {
        // Before the clock is read, so that no move in between is missed.
        let moved = app.clock_moved.notified();
        let now = app.clock.now();
        // A clock that was set back puts the next time off by an hour and no more.
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
                    // Looks that are closer tell nothing.
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

/// Lets the allocator return to the system what was freed more than a second ago. mimalloc does so only when something
/// large is freed, and a program at rest frees nothing large: it kept 200 MB of a burst for good.
fn purge_freed_memory() {
    // Never touched, so it takes no memory itself.
    drop(black_box(Vec::<u8>::with_capacity(PURGING)));
}

/// Withdraws tokens of people who left, deletes workspaces whose time of grace is over, keeps copies
/// of names true.
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

/// The stores, by name.
fn stores(app: &App) -> Vec<(String, Store)> {
    let all = app.workspaces.read();
    let own = all.iter().map(|ws| (ws.slug.clone(), ws.store.clone()));
    std::iter::once(("system.redb".to_owned(), app.system.clone())).chain(own).collect()
}

/// Says what could not be done; the next hour tries again, and everything else goes on.
fn note<T>(place: &str, work: &str, done: Result<T, impl std::fmt::Display>) {
    if let Err(error) = done {
        tracing::warn!(%error, "{work}: {place} could not be looked after");
    }
}

/// Brings a change of the master key to its end that was cut off, and seals anew what came in late under a former one.
pub(super) async fn master_key(app: &App) -> Result<(), String> {
    let here = app.clone();
    let gone_on = tokio::task::spawn_blocking(move || {
        vault::rotation::go_on(&here).map_err(|error| error.to_string())
    });
    gone_on.await.map_err(|error| error.to_string()).flatten()
}

/// Sweeps all stores once.
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
    // The machine has no clock of its own; people's workspaces have.
    let night = || Ok(TimeZone::UTC);
    note("system.redb", "its size", keep_small(app, &app.system, night).await);
    note("system.redb", "old sign-ins", sign_ins(app).await);
}

/// Old sign-ins and links.
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

/// Redactions that were cut off.
async fn redactions(store: &Store) -> Result<(), StoreError> {
    let removed = keep::finish_redactions(store, Actor::System(Part::Retention)).await?;
    if removed > 0 {
        tracing::info!(removed, "finished a redaction that was cut off");
    }
    Ok(())
}

/// Files above this are measured, so that the next start knows whether they are worth compacting.
const WORTH_MEASURING: u64 = 256 * 1024 * 1024;
/// The hour of the night in which a store is compacted, by its workspace's clock; the system's by UTC.
const NIGHT: i8 = 3;
/// The longest that compaction may have taken the last time, in milliseconds.
const QUICK: u64 = 2_000;

/// By which clock it is night in a workspace.
fn night_of(ws: &Ws) -> Result<TimeZone, StoreError> {
    let settings = ws.read(|snap| features::workspace::queries::settings(snap))?;
    let zone = settings.and_then(|settings| TimeZone::get(&settings.zone).ok());
    Ok(zone.unwrap_or(TimeZone::UTC))
}

/// Measures a large file once an hour; at night makes it smaller, if that is worth it, was quick the
/// last time and disturbs no backup.
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
            // Somebody reads the whole of it just now; there are other nights.
            Ok(_) | Err(StoreError::Reading) => {}
            Err(error) => return Err(error),
        }
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

/// Old notifications go; tasks that are due soon are told of.
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

/// Old pictures of what was done in browsers go.
async fn pictures(ws: &Ws) -> Result<(), StoreError> {
    let by = Actor::System(Part::Timer);
    loop {
        let forget = |tx: &mut WriteTx<'_>| browsers::rules::forget_shots(tx, PIECE);
        if ws.store.write_in(Lane::Second, by, Cause::Retention, forget).await? {
            return Ok(());
        }
    }
}

/// Forgets calls that no permission is tried on any more.
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

/// What goes of sessions.
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

/// Removes what goes of a session, piece by piece.
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
