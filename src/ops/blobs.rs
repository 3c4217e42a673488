//! `hq doctor blobs`: whether every file that a record holds is there and whole.

use serde::{Deserialize, Serialize};

use crate::app::{App, Ws};
use crate::store::blob::check::{self, Report};

/// What was found in a workspace.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    /// The workspace.
    pub workspace: String,
    /// Its files.
    pub report: Report,
}

/// Looks through all workspaces; reads every file.
///
/// # Errors
/// What stood in the way, in words.
pub async fn look(app: &App) -> Result<Vec<Found>, String> {
    let all: Vec<Ws> = app.workspaces.read().clone();
    let looked = tokio::task::spawn_blocking(move || {
        let found = all.iter().map(|ws| {
            let report = check::check(&ws.store, &ws.blobs).map_err(|error| error.to_string())?;
            Ok(Found { workspace: ws.slug.clone(), report })
        });
        found.collect()
    });
    looked.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// What people read.
#[must_use]
pub fn lines(found: &[Found]) -> Vec<String> {
    let mut lines = Vec::new();
    for Found { workspace, report } in found {
        let Report { files, bytes, missing, corrupt, unreferenced, .. } = report;
        lines.push(format!(
            "{workspace}: {files} files, {} KB; {missing} missing, {corrupt} damaged, \
             {unreferenced} that nothing holds",
            bytes.div_ceil(1024)
        ));
        for fault in &report.faults {
            let holders = fault.holders.join(", ");
            lines.push(format!("  {}: {}, held by {holders}", fault.what, fault.blob));
        }
        if !report.is_fine() {
            lines.push("  put these files back from a backup, below blobs/<2 letters>/".to_owned());
        }
    }
    lines
}
