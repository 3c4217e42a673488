//! A workspace from its making to its end.
//!
//! Two stores know of it: its own, and the list in `system.redb`. Nothing writes to both at once. A new
//! workspace is founded in its folder first and listed second; one that goes leaves its place by a
//! rename first, then the list, then the disk. [`complete`] finishes at start what was cut off between.

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

/// How long running work may take to come to rest.
const REST: Duration = Duration::from_secs(10);

/// A workspace that somebody wants.
#[derive(Clone, Debug)]
pub struct NewWorkspace {
    /// Its name; its address comes from it.
    pub name: String,
    pub emoji: Option<String>,
    /// IANA time zone.
    pub zone: String,
    /// Who will own it.
    pub owner: Account,
    /// Whether its owner is led through the steps of a set-up.
    pub guided: bool,
}

/// Adds a workspace: its folder, its settings and owner, its line in the list, its work. As all that is
/// done with a workspace as a whole, it goes on when whoever asked for it goes away.
///
/// # Errors
/// When a field is wrong, the address is taken, or the disk refuses.
pub async fn add(app: &App, by: (Actor, Cause), new: NewWorkspace) -> Result<Ws, LifeError> {
    add_once(app, by, new, Once::without_key()).await
}

/// The same by a form: sent again, it gets the workspace that it made.
///
/// # Errors
/// As [`add`]; also when that workspace is not here any more.
pub async fn add_once(
    app: &App,
    by: (Actor, Cause),
    new: NewWorkspace,
    once: Once,
) -> Result<Ws, LifeError> {
    let own = app.clone();
    app.see_through("add a workspace", async move { make(&own, by, new, once).await }).await?
}

/// How many workspaces there are with one more.
///
/// # Errors
/// When a server does not take so many.
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
    // The answer is kept with the line in the list: what was cut off before has made nothing that stays.
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
        // Only from here on is the folder this call's own, and may be taken away by it.
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
        // Unless it may be on the list: nobody shall find at the next start what was refused now.
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

/// Takes the mark off a workspace that is on the list. It can be used with the mark, too, and the next start
/// tries again.
async fn finish(ws: &Ws) {
    let folder = ws.folder.clone();
    let finished = blocking(move || folders::finish(&folder), panicked).await;
    if let Err(error) = finished.flatten() {
        tracing::warn!(workspace = ws.slug, %error, "its folder stays marked as begun");
    }
}

/// Opens a workspace whose folder was put in its place just now, and lists it.
///
/// # Errors
/// When it cannot be opened, or a store refuses.
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

/// Gives each open workspace its part of the one budget.
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

/// The address for a name. A name without plain letters gets a number.
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

/// Closes and removes what was only begun.
async fn discard(ws: &Ws) -> Result<(), LifeError> {
    let (store, folder) = (ws.store.clone(), ws.folder.clone());
    let discarded = move || {
        store.close();
        folders::take_away(&folder)
    };
    blocking(discarded, panicked).await?
}

/// Takes what was taken out of the list off the disk. What cannot be removed is tried again later.
async fn sweep_leftovers(data: &Path) -> Result<(), LifeError> {
    for folder in folders::leftovers(data)? {
        let name = folder.display().to_string();
        if let Err(error) = blocking(move || folders::remove(&folder), panicked).await? {
            tracing::error!(%error, "{name} cannot be removed");
        }
    }
    Ok(())
}

/// Takes a workspace off the list that is not on the disk any more.
///
/// # Errors
/// When it is there, or was never on the list.
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

/// An open workspace by its address.
///
/// # Errors
/// When there is none, or it cannot be opened.
pub fn find(app: &App, slug: &str) -> Result<Ws, LifeError> {
    if let Some(ws) = app.workspace(slug) {
        return Ok(ws);
    }
    Err(match damaged::named(app, slug)? {
        Some(one) => LifeError::Shut { code: one.code(), words: one.words() },
        None => LifeError::Unknown(slug.to_owned()),
    })
}

/// Archives a workspace: it can be looked at, and nothing happens in it any more.
///
/// # Errors
/// When it is not on the list.
pub async fn archive(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    halt(app, by, ws, WorkspaceState::Archived).await
}

/// Marks a workspace for deletion; until the time of grace is over it is as if archived.
///
/// # Errors
/// When its name was not typed.
pub async fn delete(app: &App, by: (Actor, Cause), ws: &Ws, typed: &str) -> Result<(), LifeError> {
    let settings = ws.read(|snap| workspace::queries::settings(snap))?;
    let name = settings.map_or_else(|| ws.slug.clone(), |settings| settings.name);
    if typed.trim() != name {
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
    // Also after an error: it may have been saved, and then memory must not say otherwise.
    let rows = app.system.read(|snap| users::queries::workspaces(snap))?;
    if let Some(row) = rows.iter().find(|row| row.id == id) {
        ws.stand(Standing { state: row.state, delete_after: row.delete_after });
    }
    set?;
    let _shown = ws.shows("its agents are coming to rest");
    if !ws.rest(REST).await {
        tracing::warn!(workspace = ws.slug, "some work of {} is slow to stop", ws.slug);
    }
    Ok(())
}

/// Brings back a workspace that is archived or waits for its deletion.
///
/// # Errors
/// When work from before is still stopping.
pub async fn restore(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    let (own, ws) = (app.clone(), ws.clone());
    app.see_through("restore a workspace", async move { bring_back(&own, by, &ws).await }).await?
}

async fn bring_back(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    let _turn = app.list_turn.lock().await;
    if ws.is_active() {
        return Ok(());
    }
    let _shown = ws.shows("it is being brought back");
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

/// Moves a workspace's folder out of the data folder. Its people are accounts of this HQ, and its secrets are
/// sealed with this server's master key: another HQ takes it in as the work of strangers.
///
/// # Errors
/// When the target is there, its work does not stop, or the disk refuses.
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

/// Lets work begin again as soon as what is slow to stop has stopped.
fn go_on_later(app: &App, ws: &Ws) {
    let (own, ws) = (app.clone(), ws.clone());
    app.spawn("begin work again", async move {
        while !own.stopping.is_cancelled() && !ws.rest(REST).await {}
        ws.wake();
        own.begin_work(&ws);
    });
}

/// Closes a workspace and takes it away: to `target`, or for good.
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
    // Another one may have its name from now on.
    app.jobs.forget(&ws.slug);
    tracing::info!(workspace = ws.slug, "the workspace {} is not here any more", ws.slug);
    let own = app.clone();
    let remove = move || {
        exports::sweep(&own);
        folders::remove(&aside)
    };
    blocking(remove, panicked).await?
}

/// Opens a workspace again that could not be taken out: it stays what it was. One that does not open is shown
/// as such, or nobody would find it before the next start.
async fn stay(app: &App, ws: &Ws) {
    if !broken::has_store(&ws.folder) {
        // Opening would make a new one.
        return broken::show(app, broken::no_store(&ws.folder));
    }
    match open(app, ws.folder.clone(), super::cache_for(1)).await {
        Ok(again) => {
            again.stand(ws.standing());
            app.add_workspace(&again);
            share_cache(app, app.workspaces.read().len());
        }
        Err(error) => broken::show(app, broken::left_out(&ws.folder, &error)),
    }
}

/// Takes away the workspaces whose time of grace is over.
///
/// # Errors
/// When a store or the disk refuses; the next hour tries again.
pub async fn end_graces(app: &App) -> Result<(), LifeError> {
    let now = app.clock.now();
    let by = (Actor::System(Part::Timer), Cause::Timer);
    let all: Vec<Ws> = app.workspaces.read().clone();
    let due = |ws: &&Ws| ws.standing().delete_after.is_some_and(|at| at <= now);
    for ws in all.iter().filter(due) {
        let _turn = app.list_turn.lock().await;
        // Somebody may have kept it meanwhile; the list decides, not what memory holds.
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

/// Brings the list and the folders together: takes in folders that were moved here or founded by a
/// start that was cut off, finishes what was going, says how each workspace stands.
///
/// # Errors
/// When a store or the disk refuses.
pub async fn complete(app: &App, owned: bool) -> Result<(), LifeError> {
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let data = app.config.data.join("workspaces");
    sweep_leftovers(&data).await?;
    let rows = app.system.read(|snap| users::queries::workspaces(snap))?;
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in &all {
        // Where another is on the list under its name, what lies beside the store is that one's.
        let is_own = !rows.iter().any(|row| row.slug == ws.slug);
        match rows.iter().find(|row| row.id == ws.id) {
            Some(row) => ws.stand(Standing { state: row.state, delete_after: row.delete_after }),
            None => match adopt(app, by, ws, owned, is_own).await {
                Ok(true) => {}
                Ok(false) => continue,
                // The others go on.
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
            // Not one whose place another folder has taken, or that is shown already.
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

/// Closes a workspace that cannot be used and shows it as such.
fn leave_out(app: &App, ws: &Ws, left_out: Broken) {
    app.drop_workspace(ws.id);
    ws.store.close();
    broken::show(app, left_out);
}

/// Puts a founded workspace on the list; one that was never founded is taken away again if nobody else has its
/// place, unless the set-up page still waits for it. Says whether it stays.
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
                let reason = "its store is empty although its folder was in use; restore a backup, or \
                              take the folder away";
                leave_out(app, ws, broken::damaged(&ws.folder, reason));
            }
            return Ok(false);
        }
        None => {}
    }
    Ok(true)
}

/// Makes agents of a new or restored workspace ready, and hides its keys from texts.
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
