//! Life cycle of a workspace, from creation to deletion.
//!
//! Two stores record a workspace: its own, and the list in `system.redb`. No transaction spans both. A new workspace
//! is first created in its folder and then listed. A removed one is first renamed, then removed from the list, then
//! deleted from disk. [`complete`] finishes interrupted steps at start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exports;
use app::{App, Broken, Standing, Ws, blocking};
use features::backups::queries::damaged;
use features::users::model::Account;
use features::users::rules::{UsersError, workspaces as listed};
use features::workspace::rules::{Founding, WorkspaceError};
use features::{connections, onboarding, users, workspace};
use kernel::{Actor, Cause, Part, WorkspaceState, text};
use store::{StoreError, WriteTx};
use web::idempotency::Once;

pub use super::error::LifeError;
use super::error::MOST;
use super::{arrival, broken, folders, labels};

/// How long running work may take to stop.
const REST: Duration = Duration::from_secs(10);

/// Parameters of a new workspace.
#[derive(Clone, Debug)]
pub struct NewWorkspace {
    /// Display name; the slug is derived from it.
    pub name: String,
    pub emoji: Option<String>,
    /// IANA time zone.
    pub zone: String,
    pub owner: Account,
    /// Whether the onboarding steps are shown to the owner.
    pub guided: bool,
}

/// Creates a workspace: its folder, settings and owner, its row in the list, and its background work. Like every
/// operation on a whole workspace, it completes even if the caller disconnects.
///
/// # Errors
/// When a field is invalid, the slug is taken, or the disk fails.
pub async fn add(app: &App, by: (Actor, Cause), new: NewWorkspace) -> Result<Ws, LifeError> {
    add_once(app, by, new, Once::without_key()).await
}

/// Like [`add`], for a form. A repeated submit returns the workspace that the first one created.
///
/// # Errors
/// As [`add`], and when that workspace no longer exists.
pub async fn add_once(
    app: &App,
    by: (Actor, Cause),
    new: NewWorkspace,
    once: Once,
) -> Result<Ws, LifeError> {
    let own = app.clone();
    app.see_through("add a workspace", async move { make(&own, by, new, once).await }).await?
}

/// Number of workspaces including one more.
///
/// # Errors
/// When the server has the maximum number of workspaces.
pub fn count_with_one_more(app: &App) -> Result<usize, LifeError> {
    let count = app.workspaces.read().len() + 1;
    if MOST < count { Err(LifeError::Many) } else { Ok(count) }
}

async fn make(
    app: &App,
    by: (Actor, Cause),
    new: NewWorkspace,
    once: Once,
) -> Result<Ws, LifeError> {
    let _turn = app.list_turn.lock().await;
    // The result is stored together with the row in the list. An attempt that was interrupted before has left nothing
    // permanent.
    if let Some(slug) = app.system.read(|snap| once.answered::<String>(snap))? {
        return find(app, &slug);
    }
    workspace::queries::checked_name(&new.name)?;
    workspace::queries::checked_zone(&new.zone)?;
    let slug = free_slug(app, &new.name)?;
    let count = count_with_one_more(app)?;
    let (own, place) = (app.clone(), app.config.data.join("workspaces").join(slug));
    let cache = super::cache_for(count);
    let open = move || {
        folders::begin(&place)?;
        // From here on, the folder belongs to this call, which may delete it.
        super::open(&own, place.clone(), cache).or_else(|error| {
            folders::take_away(&place)?;
            Err(LifeError::from(error))
        })
    };
    let ws = blocking(open, panicked).await??;
    let guided = new.guided;
    let founding = Founding {
        id: ws.id,
        name: new.name,
        emoji: new.emoji,
        zone: new.zone,
        owner: new.owner.id,
        owner_name: new.owner.name,
        owner_email: new.owner.email,
    };
    let found = move |tx: &mut WriteTx<'_>| {
        let founded = workspace::rules::found(tx, founding)?;
        if guided {
            onboarding::rules::begin(tx, false)?;
        }
        Ok::<_, WorkspaceError>(founded)
    };
    let founded = ws.write(&by, found).await;
    let (settings, _) = match founded {
        Ok(founded) => founded,
        Err(error) => {
            discard(&ws).await?;
            return Err(error.into());
        }
    };
    let row = super::row(&ws, &settings, app.clock.now());
    let note = once.run(move |tx| listed::list(tx, &row).map(|()| row.slug));
    let noted = app.system.write(by.0, by.1, note).await;
    if let Err(error) = noted {
        // Not if the row may have been saved: the next start must not find a workspace whose creation was reported as
        // failed.
        if !matches!(error, UsersError::Store(StoreError::Unknown(_))) {
            discard(&ws).await?;
        }
        return Err(error.into());
    }
    finish(&ws).await;
    share_cache(app, count);
    app.add_workspace(&ws);
    tracing::info!(workspace = ws.slug, "added the workspace {}", ws.slug);
    Ok(ws)
}

/// Removes the marker file of a listed workspace. The marker does not prevent use, and the next start tries again.
async fn finish(ws: &Ws) {
    let folder = ws.folder.clone();
    let finished = blocking(move || folders::finish(&folder), panicked).await;
    if let Err(error) = finished.flatten() {
        tracing::warn!(workspace = ws.slug, %error, "its folder stays marked as begun");
    }
}

/// Opens a workspace whose folder was just put in place, and adds it to the list.
///
/// # Errors
/// When the workspace cannot be opened, or a store fails.
pub async fn take_in(app: &App, by: (Actor, Cause), slug: &str) -> Result<Ws, LifeError> {
    let (own, slug) = (app.clone(), slug.to_owned());
    app.see_through("take a workspace in", async move { bring_in(&own, by, &slug).await }).await?
}

async fn bring_in(app: &App, by: (Actor, Cause), slug: &str) -> Result<Ws, LifeError> {
    let _turn = app.list_turn.lock().await;
    let count = app.workspaces.read().len() + 1;
    let folder = app.config.data.join("workspaces").join(slug);
    let ws = open(app, folder, super::cache_for(count)).await?;
    let settings = ws.read(|snap| workspace::queries::settings(snap))?;
    let settings = settings.ok_or(workspace::rules::WorkspaceError::NotFounded)?;
    let row = super::row(&ws, &settings, app.clock.now());
    app.system.write(by.0, by.1, move |tx| listed::list(tx, &row)).await?;
    share_cache(app, count);
    prepare(app, &ws).await;
    app.add_workspace(&ws);
    tracing::info!(workspace = ws.slug, "took in the workspace {}", ws.slug);
    Ok(ws)
}

/// Divides the page cache budget among the open workspaces.
fn share_cache(app: &App, count: usize) {
    let share = super::cache_for(count);
    app.workspaces.read().iter().for_each(|ws| ws.store.set_cache(share));
}

async fn open(app: &App, folder: PathBuf, cache: usize) -> Result<Ws, LifeError> {
    let app = app.clone();
    let open = move || super::open(&app, folder, cache);
    blocking(open, panicked).await?.map_err(LifeError::from)
}

fn panicked(why: String) -> LifeError {
    LifeError::Store(StoreError::Panicked(why))
}

/// A free slug for a name. A name without ASCII letters gets a number.
fn free_slug(app: &App, name: &str) -> Result<String, LifeError> {
    let rows = app.system.read(|snap| users::queries::workspaces(snap))?;
    let folder = app.config.data.join("workspaces");
    let is_taken = |slug: &str| {
        rows.iter().any(|row| row.slug == slug) || fs::symlink_metadata(folder.join(slug)).is_ok()
    };
    let slug = text::slug(name, 40);
    if slug.is_empty() {
        let numbered = (1..).map(|n| format!("workspace-{n}"));
        return Ok(numbered.into_iter().find(|slug| !is_taken(slug)).unwrap_or_default());
    }
    if is_taken(&slug) { Err(LifeError::Taken(slug)) } else { Ok(slug) }
}

/// Closes and deletes an unfinished workspace.
async fn discard(ws: &Ws) -> Result<(), LifeError> {
    let (store, folder) = (ws.store.clone(), ws.folder.clone());
    let discarded = move || {
        store.close();
        folders::take_away(&folder)
    };
    blocking(discarded, panicked).await?
}

/// Deletes folders of workspaces that are no longer listed. A failed deletion is retried later.
async fn sweep_leftovers(data: &Path) -> Result<(), LifeError> {
    for folder in folders::leftovers(data)? {
        let name = folder.display().to_string();
        if let Err(error) = blocking(move || folders::remove(&folder), panicked).await? {
            tracing::error!(%error, "{name} cannot be removed");
        }
    }
    Ok(())
}

/// Removes a workspace from the list whose folder is gone.
///
/// # Errors
/// When the folder exists, or the workspace was never listed.
pub async fn forget_missing(app: &App, by: (Actor, Cause), slug: &str) -> Result<(), LifeError> {
    let _turn = app.list_turn.lock().await;
    let rows = app.system.read(|snap| users::queries::workspaces(snap))?;
    let row = rows.into_iter().find(|row| row.slug == slug);
    let is_gone = !app.config.data.join("workspaces").join(slug).exists();
    let row = row.filter(|_| is_gone).ok_or_else(|| LifeError::Unknown(slug.to_owned()))?;
    app.system.write(by.0, by.1, move |tx| listed::forget(tx, row.id)).await?;
    app.broken.write().retain(|one| one.slug != slug);
    Ok(())
}

/// Finds an open workspace by slug.
///
/// # Errors
/// When the workspace does not exist or cannot be opened.
pub fn find(app: &App, slug: &str) -> Result<Ws, LifeError> {
    if let Some(ws) = app.workspace(slug) {
        return Ok(ws);
    }
    Err(match damaged::named(app, slug)? {
        Some(one) => LifeError::Shut { code: one.code(), words: one.words() },
        None => LifeError::Unknown(slug.to_owned()),
    })
}

/// Archives a workspace: it becomes read-only and its work stops.
///
/// # Errors
/// When the workspace is not listed.
pub async fn archive(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    halt(app, by, ws, WorkspaceState::Archived).await
}

/// Schedules a workspace for deletion. Until the grace period ends, it is treated as archived.
///
/// # Errors
/// When `confirmation` is not the name of the workspace.
pub async fn delete(
    app: &App,
    by: (Actor, Cause),
    ws: &Ws,
    confirmation: &str,
) -> Result<(), LifeError> {
    let settings = ws.read(|snap| workspace::queries::settings(snap))?;
    let name = settings.map_or_else(|| ws.slug.clone(), |settings| settings.name);
    if confirmation.trim() != name {
        return Err(LifeError::NotTyped(name));
    }
    halt(app, by, ws, WorkspaceState::Deleting).await
}

async fn halt(app: &App, by: (Actor, Cause), ws: &Ws, to: WorkspaceState) -> Result<(), LifeError> {
    let (own, ws) = (app.clone(), ws.clone());
    app.see_through("halt a workspace", async move { come_to_rest(&own, by, &ws, to).await })
        .await?
}

async fn come_to_rest(
    app: &App,
    by: (Actor, Cause),
    ws: &Ws,
    to: WorkspaceState,
) -> Result<(), LifeError> {
    let _turn = app.list_turn.lock().await;
    let id = ws.id;
    let set = app.system.write(by.0, by.1, move |tx| listed::set_state(tx, id, to)).await;
    // Also after an error: the state may have been saved, and memory must match it.
    let rows = app.system.read(|snap| users::queries::workspaces(snap))?;
    if let Some(row) = rows.iter().find(|row| row.id == id) {
        ws.stand(Standing { state: row.state, delete_after: row.delete_after });
    }
    set?;
    let _shown = ws.shows("its agents are stopping");
    if !ws.rest(REST).await {
        tracing::warn!(workspace = ws.slug, "some work of {} is slow to stop", ws.slug);
    }
    Ok(())
}

/// Restores an archived workspace, or cancels its scheduled deletion.
///
/// # Errors
/// When earlier work is still stopping.
pub async fn restore(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    let (own, ws) = (app.clone(), ws.clone());
    app.see_through("restore a workspace", async move { bring_back(&own, by, &ws).await }).await?
}

async fn bring_back(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    let _turn = app.list_turn.lock().await;
    if ws.is_active() {
        return Ok(());
    }
    let _shown = ws.shows("it is being restored");
    if !ws.rest(REST).await {
        return Err(LifeError::Busy);
    }
    let id = ws.id;
    let active = WorkspaceState::Active;
    app.system.write(by.0, by.1, move |tx| listed::set_state(tx, id, active)).await?;
    ws.stand(Standing::default());
    ws.wake();
    prepare(app, ws).await;
    app.begin_work(ws);
    Ok(())
}

/// Moves a workspace's folder out of the data directory. Its members are accounts of this HQ, and its secrets are
/// sealed with this server's master key. Another HQ imports the folder as foreign content.
///
/// # Errors
/// When the target exists, the work does not stop, or the disk fails.
pub async fn move_to(
    app: &App,
    by: (Actor, Cause),
    ws: &Ws,
    target: PathBuf,
) -> Result<(), LifeError> {
    let (own, ws) = (app.clone(), ws.clone());
    let work = async move { move_away(&own, by, &ws, target).await };
    app.see_through("move a workspace away", work).await?
}

async fn move_away(
    app: &App,
    by: (Actor, Cause),
    ws: &Ws,
    target: PathBuf,
) -> Result<(), LifeError> {
    let _turn = app.list_turn.lock().await;
    if fs::symlink_metadata(&target).is_ok() {
        return Err(LifeError::Occupied(target));
    }
    let _shown = ws.shows("it is being moved away");
    if !ws.rest(REST).await {
        go_on_later(app, ws);
        return Err(LifeError::Busy);
    }
    take_out(app, by, ws, Some(target)).await
}

/// Resumes work once all slow tasks have stopped.
fn go_on_later(app: &App, ws: &Ws) {
    let (own, ws) = (app.clone(), ws.clone());
    app.spawn("begin work again", async move {
        while !own.stopping.is_cancelled() && !ws.rest(REST).await {}
        ws.wake();
        own.begin_work(&ws);
    });
}

/// Closes a workspace and moves its folder to `target`, or deletes it.
async fn take_out(
    app: &App,
    by: (Actor, Cause),
    ws: &Ws,
    target: Option<PathBuf>,
) -> Result<(), LifeError> {
    app.drop_workspace(ws.id);
    let (store, from) = (ws.store.clone(), ws.folder.clone());
    let aside = from.with_file_name(format!("{}{}-{}", super::GONE, ws.slug, ws.id));
    let (to, id) = (aside.clone(), ws.id);
    let part = move || {
        store.close();
        match target {
            Some(target) => {
                folders::note_move(&from, id).and_then(|()| folders::carry(&from, &target, &to))
            }
            None => folders::part(&from, &to),
        }
    };
    if let Err(error) = blocking(part, panicked).await.flatten() {
        folders::forget_move(&ws.folder, id);
        stay(app, ws).await;
        return Err(error);
    }
    app.system.write(by.0, by.1, move |tx| listed::forget(tx, id)).await?;
    folders::forget_move(&ws.folder, id);
    share_cache(app, app.workspaces.read().len());
    // The slug may be reused from now on.
    app.jobs.forget(&ws.slug);
    tracing::info!(workspace = ws.slug, "the workspace {} is not here any more", ws.slug);
    let own = app.clone();
    let remove = move || {
        exports::sweep(&own);
        folders::remove(&aside)
    };
    blocking(remove, panicked).await?
}

/// Reopens a workspace whose removal failed. A workspace that does not open is listed as broken; otherwise nobody
/// would see it before the next start.
async fn stay(app: &App, ws: &Ws) {
    if !broken::has_store(&ws.folder) {
        // Opening would create an empty store.
        return broken::show(app, broken::no_store(&ws.folder));
    }
    match open(app, ws.folder.clone(), super::cache_for(1)).await {
        Ok(reopened) => {
            reopened.stand(ws.standing());
            app.add_workspace(&reopened);
            share_cache(app, app.workspaces.read().len());
        }
        Err(error) => broken::show(app, broken::left_out(&ws.folder, &error)),
    }
}

/// Deletes the workspaces whose grace period has ended.
///
/// # Errors
/// When a store or the disk fails; the next hour tries again.
pub async fn end_graces(app: &App) -> Result<(), LifeError> {
    let now = app.clock.now();
    let by = (Actor::System(Part::Timer), Cause::Timer);
    let all: Vec<Ws> = app.workspaces.read().clone();
    let due = |ws: &&Ws| ws.standing().delete_after.is_some_and(|at| at <= now);
    for ws in all.iter().filter(due) {
        let _turn = app.list_turn.lock().await;
        // The workspace may have been restored meanwhile. The list decides, not the state in memory.
        let rows = app.system.read(|snap| users::queries::workspaces(snap))?;
        let row = rows.into_iter().find(|row| row.id == ws.id);
        let listed = row.is_some_and(|row| {
            row.state == WorkspaceState::Deleting && row.delete_after.is_some_and(|at| at <= now)
        });
        if listed
            && due(&ws)
            && ws.rest(REST).await
            && let Err(error) = take_out(app, by, ws, None).await
        {
            tracing::error!(workspace = ws.slug, %error, "it could not be deleted");
        }
    }
    sweep_leftovers(&app.config.data.join("workspaces")).await
}

/// Reconciles the list with the folders at start: adds folders that were moved here or left by an interrupted
/// creation, finishes interrupted removals, and sets the state of each workspace.
///
/// # Errors
/// When a store or the disk fails.
pub async fn complete(app: &App, owned: bool) -> Result<(), LifeError> {
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let data = app.config.data.join("workspaces");
    sweep_leftovers(&data).await?;
    let rows = app.system.read(|snap| users::queries::workspaces(snap))?;
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in &all {
        // If another workspace is listed with this slug, the files beside the store belong to that workspace.
        let is_own = !rows.iter().any(|row| row.slug == ws.slug);
        match rows.iter().find(|row| row.id == ws.id) {
            Some(row) => ws.stand(Standing { state: row.state, delete_after: row.delete_after }),
            None => match adopt(app, by, ws, owned, is_own).await {
                Ok(true) => {}
                Ok(false) => continue,
                // Continue with the other workspaces.
                Err(error) => {
                    leave_out(app, ws, broken::left_out(&ws.folder, &error));
                    continue;
                }
            },
        }
        folders::forget_move(&ws.folder, ws.id);
        finish(ws).await;
        if owned {
            arrival::take_over(app, by, ws).await;
        }
        if let Err(error) = labels::note(app, ws, &rows).await {
            tracing::warn!(workspace = ws.slug, %error, "its name could not be noted");
        }
        labels::note_people(ws).await;
    }
    for row in rows.iter().filter(|row| !all.iter().any(|ws| ws.id == row.id)) {
        let (folder, id) = (data.join(&row.slug), row.id);
        if folder.exists() {
            // Not if another folder has taken its place or the workspace is already shown.
            if app.broken_workspace(&row.slug).is_none() && app.workspace(&row.slug).is_none() {
                broken::show(app, broken::no_store(&folder));
            }
            continue;
        }
        if row.state == WorkspaceState::Deleting || folders::was_moving(&folder, id) {
            app.system.write(by.0, by.1, move |tx| listed::forget(tx, id)).await?;
            folders::forget_move(&folder, id);
        } else {
            let reason = format!("its folder {} is missing", folder.display());
            broken::show(app, broken::damaged(&folder, reason));
        }
    }
    Ok(())
}

/// Closes an unusable workspace and lists it as broken.
fn leave_out(app: &App, ws: &Ws, left_out: Broken) {
    app.drop_workspace(ws.id);
    ws.store.close();
    broken::show(app, left_out);
}

/// Adds a completely created workspace to the list. An incomplete one is deleted, unless another workspace has its
/// slug or the set-up page still waits for it. Returns whether the workspace stays.
async fn adopt(
    app: &App,
    by: (Actor, Cause),
    ws: &Ws,
    owned: bool,
    is_own: bool,
) -> Result<bool, LifeError> {
    match ws.read(|snap| workspace::queries::settings(snap))? {
        Some(settings) => {
            arrival::quieten(app, by, ws, owned).await?;
            let row = super::row(ws, &settings, app.clock.now());
            app.system.write(by.0, by.1, move |tx| listed::list(tx, &row)).await?;
            tracing::info!(workspace = ws.slug, "took in the workspace {}", ws.slug);
        }
        None if owned && ws.store.head().seq == 0 => {
            let folder = ws.folder.clone();
            if is_own && blocking(move || folders::was_never_used(&folder), panicked).await? {
                app.drop_workspace(ws.id);
                discard(ws).await?;
            } else {
                let reason = "its store is empty although its folder was in use; restore a backup, \
                              or remove the folder";
                leave_out(app, ws, broken::damaged(&ws.folder, reason));
            }
            return Ok(false);
        }
        None => {}
    }
    Ok(true)
}

/// Prepares agents of a new or restored workspace, and registers its secrets for redaction.
pub async fn prepare(app: &App, ws: &Ws) {
    if let Err(error) = connections::provider::watch_keys(app, ws) {
        tracing::error!(%error, "keys of connections could not be read");
    }
    if let Err(error) = vault::watch(ws) {
        tracing::error!(%error, "secrets could not be read");
    }
    if !ws.is_active() {
        return;
    }
    if let Err(error) = crate::people::join::settle(app, ws).await {
        tracing::error!(error = ?error.0, "who was joining could not be let in");
    }
    if let Err(error) = crate::people::handover::complete(ws).await {
        tracing::error!(%error, "work could not be handed over");
    }
    if let Err(error) = crate::onboarding::owed::complete(ws).await {
        tracing::error!(%error, "what the set-up owes could not be prepared");
    }
    if let Err(error) = features::agents::provision::complete_provisioning(ws).await {
        tracing::error!(%error, "agents could not be set up");
    }
}
