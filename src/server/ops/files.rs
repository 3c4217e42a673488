//! `hq doctor files`: checks that every version of agents' files is present and intact, and repairs them.

use std::iter;

use app::{App, Ws};
use backup::Histories;
use features::agents::queries::repository::{self, Found};
use features::backups::job::Place;
use features::backups::rules::BackupsError;
use git::GitError;
use git::check::Depth;

/// Checks the complete history of these workspaces.
///
/// # Errors
/// The cause, as text.
pub async fn inspect(all: Vec<Ws>) -> Result<Vec<Found>, String> {
    let look = move || all.iter().map(|ws| repository::inspect(ws, Depth::Objects)).collect();
    tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())
}

/// Repairs what is possible, with backups from the configured destination if available.
///
/// # Errors
/// The cause, as text.
pub async fn repair(app: App, all: Vec<Ws>) -> Result<Vec<Found>, String> {
    let repaired = tokio::task::spawn_blocking(move || {
        all.iter().map(|ws| repaired(&app, ws).map_err(|error| error.to_string())).collect()
    });
    repaired.await.unwrap_or_else(|error| Err(error.to_string()))
}

fn repaired(app: &App, ws: &Ws) -> Result<Found, GitError> {
    let looked = repository::inspect(ws, Depth::Objects);
    if looked.faults.is_empty() {
        return Ok(looked);
    }
    let without = match out_of_backups(app, ws) {
        Ok(found) => return found,
        Err(error) => error,
    };
    let mut found = repository::repair(ws, &mut iter::empty())?;
    found.repaired.insert(0, format!("no backup was used: {without}"));
    Ok(found)
}

/// Repairs with the backups of the configured destination. Blocks other backup jobs meanwhile. The outer error says
/// why no backups are available; nothing was changed then.
fn out_of_backups(app: &App, ws: &Ws) -> Result<Result<Found, GitError>, BackupsError> {
    let held = app.backups.take("a repair of agents' files", app.clock.now())?;
    let repo = Place::of_settings(app)?.open(app)?;
    let mut keys: Vec<String> = app.keyring.former_ids().iter().map(ToString::to_string).collect();
    keys.push(app.keyring.key_id().to_string());
    let folder = app.config.data.join("backups").join("history");
    let mut copies = Histories::of(&repo, (&ws.slug, &keys), folder, &held.meter)?;
    Ok(repository::repair(ws, &mut copies))
}

/// Logs unreadable history at start. Checks only the newest versions.
pub async fn at_start(ws: &Ws) {
    let looked =
        ws.read_blocking(|ws| Ok::<_, store::StoreError>(repository::inspect(ws, Depth::Branches)));
    match looked.await {
        Ok(found) => {
            for fault in found.faults {
                tracing::error!(
                    "the agent file history in {}: {fault}; run `hq doctor files`",
                    ws.slug
                );
            }
        }
        Err(error) => tracing::error!(%error, "the history of agents' files was not looked at"),
    }
}

/// Formats the report.
#[must_use]
pub fn lines(found: &[Found]) -> Vec<String> {
    let mut lines = Vec::new();
    for Found { workspace, branches, objects, faults, repaired } in found {
        let state = match faults.len() {
            0 => "no problems found".to_owned(),
            n => format!("{n} DAMAGED"),
        };
        lines.push(format!("{workspace}: {branches} branches, {objects} objects: {state}"));
        lines.extend(repaired.iter().map(|one| format!("  repaired: {one}")));
        lines.extend(faults.iter().map(|one| format!("  {one}")));
        if !faults.is_empty() && repaired.is_empty() {
            lines.push(
                "  `hq doctor files --repair` takes missing data from the newest backups that have \
                 it. If none has it, a history continues from its last complete version, or starts \
                 again from the agent's folder"
                    .to_owned(),
            );
        }
    }
    lines
}
