//! Copies of workspace names in the list of all workspaces. A workspace is renamed in its own store first.

use app::{App, Ws};
use features::users::model::Workspace;
use features::users::rules::workspaces as listed;
use features::{users, workspace};
use kernel::{Actor, Cause, Part};
use store::StoreError;

use super::broken;
use super::life::LifeError;

/// Updates the copy of a workspace's name.
pub(super) async fn note(app: &App, ws: &Ws, rows: &[Workspace]) -> Result<(), LifeError> {
    let Some(now) = ws.read(|snap| workspace::queries::settings(snap))? else { return Ok(()) };
    let row = rows.iter().find(|row| row.id == ws.id);
    if row.is_some_and(|row| (&row.label, &row.emoji) != (&now.name, &now.emoji)) {
        let (by, id) = (Actor::System(Part::Timer), ws.id);
        let write =
            move |tx: &mut store::WriteTx<'_>| listed::relabel(tx, id, &now.name, &now.emoji);
        app.system.write(by, Cause::Timer, write).await?;
    }
    Ok(())
}

/// Updates the copies of all names. An unreadable workspace does not block the others.
///
/// # Errors
/// When the list cannot be read.
pub async fn note_all(app: &App) -> Result<(), LifeError> {
    let rows = app.system.read(|snap| users::queries::workspaces(snap))?;
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in &all {
        if let Err(error) = note(app, ws, &rows).await {
            tracing::warn!(workspace = ws.slug, %error, "its name could not be noted");
        }
        note_people(ws).await;
    }
    Ok(())
}

/// Updates the copy of the member list beside the store. If the store is damaged, the copy determines who is
/// notified.
pub(crate) async fn note_people(ws: &Ws) {
    let own = ws.clone();
    let noted = tokio::task::spawn_blocking(move || {
        let crew = workspace::queries::crew(&own)?;
        if crew.settings.is_none() {
            return Ok(());
        }
        let people = crew.members.keys().copied().collect();
        broken::note_people(&own.folder, people)
            .map_err(|error| StoreError::Failed(error.to_string()))
    });
    let noted = noted.await.map_err(|error| StoreError::Panicked(error.to_string())).flatten();
    if let Err(error) = noted {
        tracing::warn!(workspace = ws.slug, %error, "its people could not be noted");
    }
}
