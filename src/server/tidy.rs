//! Deletes unused files: copies kept by upgrades for 14 days, and unreferenced blobs.

use std::time::SystemTime;

use app::{App, Ws};
use store::blob::sweep::{Age, GRACE, SweepError, Swept};
use store::migrate::Kept;

use super::upgrade;

/// Runs once for all workspaces, a few files at a time, on a blocking thread.
pub async fn tidy(app: &App) {
    let all: Vec<Ws> = app.workspaces.read().clone();
    let own = app.clone();
    let tidied = tokio::task::spawn_blocking(move || {
        if let Err(error) = upgrade::expire(&own) {
            tracing::warn!(%error, "old copies of stores could not be taken away");
        }
        for ws in all {
            match blobs(&ws) {
                Ok(Swept { removed: 0, .. }) => {}
                Ok(swept) => tracing::info!(
                    "swept {} files ({} bytes) that nothing in {} held",
                    swept.removed,
                    swept.bytes,
                    ws.slug
                ),
                Err(error) => {
                    tracing::warn!(%error, "the files of {} could not be swept", ws.slug);
                }
            }
        }
    });
    if let Err(error) = tidied.await {
        tracing::error!(%error, "tidying was cut off");
    }
}

/// Deletes unreferenced blobs of a workspace, folder by folder. Deletes nothing while a store from before an upgrade,
/// or one set aside by a downgrade, is kept: such a store needs its blobs.
///
/// # Errors
/// When the disk or the store fails; the next run continues.
pub fn blobs(ws: &Ws) -> Result<Swept, SweepError> {
    let mut all = Swept::default();
    if !Kept::beside(&ws.folder.join("hq.redb"))?.is_empty() {
        return Ok(Swept { held: true, ..all });
    }
    let age = Age { now: SystemTime::from(ws.app.clock.now()), grace: GRACE };
    for folder in 0..=u8::MAX {
        if ws.app.stopping.is_cancelled() {
            break;
        }
        all += ws.blobs.sweep_folder(&ws.store, folder, age)?;
        if all.held {
            break;
        }
    }
    Ok(all)
}
