//! Files that nobody needs: what upgrades have kept for 14 days, blobs that nothing holds any more.

use std::time::SystemTime;

use app::{App, Ws};
use store::blob::sweep::{Age, GRACE, SweepError, Swept};
use store::migrate::Kept;

use super::upgrade;

/// Tidies everything once: a few files at a time, on a thread where waiting harms nobody.
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

/// Sweeps the blobs of a workspace, folder by folder. While a store of before an upgrade is kept, or one of
/// after it that was set aside, nothing goes: who goes back, or on again, must find its files.
///
/// # Errors
/// When the disk or the store fails; the next sweep goes on.
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
