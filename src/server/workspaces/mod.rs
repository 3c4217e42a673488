//! Opens workspaces: one folder and one store each, with a common page-cache budget. Operations on a whole workspace
//! (create, archive, delete, move) are in [`life`].

pub mod api;
pub(super) mod arrival;
mod broken;
mod error;
mod folders;
pub mod labels;
pub mod life;
pub mod local;
pub mod pages;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use app::cache::{Cache, Numbers};
use app::downstream::Looks;
use app::finding::Finding;
use app::inputs::Inputs;
use app::live::Hub;
use app::meaning::Vectors;
use app::paths::PathLocks;
use app::{App, Work, Ws, WsParts};
use features::users::model::Workspace;
use features::workspace::model::Settings;
use features::{users, workspace};
use kernel::{Timestamp, TypedId, WorkspaceId, WorkspaceState};
use store::migrate::UpgradeError;
use store::{Blobs, Limits, OpenProgress, Options, Store, StoreError};

use super::upgrade::Upgrader;
use super::{reactions, schema};

/// Prefix of folders that are being deleted and are no longer workspaces.
pub const GONE: &str = ".gone-";

const MB: usize = 1024 * 1024;
/// Page cache of `system.redb`, and the minimum of a workspace.
pub const LEAST_CACHE: usize = 4 * MB;

/// Why a workspace could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the folder {} can't be used: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("{}: {source}", folder.display())]
    Store { folder: PathBuf, source: StoreError },
    /// A store has a format of an older or newer version.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
}

/// Page cache of each of `count` workspaces. The total is a sixteenth of the memory, between 32 and 256 MB.
#[must_use]
pub fn cache_for(count: usize) -> usize {
    let all = (memory() / 16).clamp(32 * MB, 256 * MB);
    ((all - LEAST_CACHE) / count.max(1)).max(LEAST_CACHE)
}

/// Memory of the machine in bytes; 0 if unknown.
fn memory() -> usize {
    // ok: without the figure, the smallest budget is used.
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// Workspace folders in the data directory, sorted.
pub fn folders(data: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let folder = data.join("workspaces");
    let failed = |source| OpenError::Folder { folder: folder.clone(), source };
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let gone = name.is_none_or(|name| name.starts_with(GONE));
        // Also if the store is not a file: an unusable workspace is shown as broken instead of disappearing.
        if !gone && broken::has_store(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Opens all workspaces. One that cannot be opened is recorded as broken and does not block the others, unless there
/// is no other.
///
/// # Errors
/// When no workspace can be opened.
pub(super) fn open_all(app: &App, upgrader: &Upgrader) -> Result<(), OpenError> {
    let listed = listed(app);
    let is_listed = |slug: &str| listed.as_ref().is_none_or(|slugs| slugs.contains(slug));
    if let Err(error) = folders::sweep_begun(&app.config.data, is_listed) {
        tracing::warn!(%error, "what was only begun could not be removed");
    }
    let folders = folders(&app.config.data)?;
    let cache = cache_for(folders.len());
    let mut first = None;
    for folder in folders {
        let slug = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let file = folder.join("hq.redb");
        let opened =
            upgrader.open(&file, schema::workspace, formats, || open(app, folder.clone(), cache));
        let left_out = match opened {
            Ok(ws) => match app.workspace_by_id(ws.id) {
                None => {
                    app.workspaces.write().push(ws);
                    continue;
                }
                Some(other) => {
                    ws.store.close();
                    let copy = "remove one of the two folders";
                    broken::in_the_way(&folder, format!("it is a copy of {}; {copy}", other.slug))
                }
            },
            // Creation was interrupted before the store was complete. A listed workspace is complete even with the
            // marker.
            Err(error) if folders::is_begun(&folder) && !is_listed(&slug) => {
                tracing::info!(%error, "removed {}, which was never finished", folder.display());
                if let Err(error) = folders::take_away(&folder) {
                    tracing::warn!(%error, "it could not be removed");
                }
                continue;
            }
            Err(error) => {
                let left_out = broken::unopened(&folder, &error);
                first.get_or_insert(error);
                left_out
            }
        };
        broken::show(app, left_out);
    }
    match first {
        Some(error) if app.workspaces.read().is_empty() => Err(error),
        _ => Ok(()),
    }
}

/// Slugs of the listed workspaces; `None` if the list cannot be read, in which case any folder may be listed.
fn listed(app: &App) -> Option<BTreeSet<String>> {
    match app.system.read(|snap| users::queries::workspaces(snap)) {
        Ok(rows) => Some(rows.into_iter().map(|row| row.slug).collect()),
        Err(error) => {
            tracing::warn!(%error, "the list of workspaces cannot be read");
            None
        }
    }
}

/// Found and known format, if the error is an unknown format.
fn formats(error: &OpenError) -> Option<(u32, u32)> {
    match error {
        OpenError::Store { source: StoreError::Format { found, known }, .. } => {
            Some((*found, *known))
        }
        _ => None,
    }
}

/// Opens the workspace in a folder; creates it if necessary. Blocking.
pub fn open(app: &App, folder: PathBuf, cache: usize) -> Result<Ws, OpenError> {
    let slug = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let bad = |source| OpenError::Folder { folder: folder.clone(), source };
    fs::create_dir_all(folder.join("agents")).map_err(bad)?;
    let rows = folder.join("hq.redb");
    let blobs = Blobs::open_with(folder.join("blobs"), Arc::clone(&app.faults)).map_err(bad)?;
    let blobs = blobs.beside(rows.clone());
    let failed = |source| OpenError::Store { folder: folder.clone(), source };
    let (looking, name) = (Arc::clone(&app.onlooker), slug.clone().unwrap_or_default());
    let look: Arc<OpenProgress> = Arc::new(move |opening| looking(&name, opening));
    let options = Options {
        path: rows,
        schema: schema::workspace(),
        cache,
        clock: Arc::clone(&app.clock),
        ids: Arc::clone(&app.ids),
        reactor: Some(Arc::new(reactions::react)),
        faults: Arc::clone(&app.faults),
    };
    let store = Store::open_watched(options, Limits::default(), Some(look)).map_err(failed)?;
    let settings = store.read(|snap| workspace::queries::settings(snap)).map_err(failed)?;
    let id = settings.map_or_else(
        || WorkspaceId::from_uuid(app.ids.next(app.clock.now_ms())),
        |settings| settings.id,
    );
    Ok(Ws::new(WsParts {
        app: app.clone(),
        id,
        slug: slug.unwrap_or_default(),
        store,
        blobs,
        live: Hub::default(),
        paths: PathLocks::default(),
        repo: OnceLock::new(),
        work: Work::new(&app.stopping),
        people: Cache::default(),
        numbers: Numbers::default(),
        finding: Finding::at(folder.join("search")),
        vectors: Vectors::at(folder.join("vectors")),
        inputs: Inputs::default(),
        looks: Looks::default(),
        upstream: None,
        folder,
    }))
}

/// Row of a workspace in the list of `system.redb`.
#[must_use]
pub fn row(ws: &Ws, settings: &Settings, created_at: Timestamp) -> Workspace {
    Workspace {
        id: ws.id,
        slug: ws.slug.clone(),
        label: settings.name.clone(),
        emoji: settings.emoji.clone(),
        state: WorkspaceState::Active,
        created_at,
        delete_after: None,
    }
}
