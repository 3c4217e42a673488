//! `hq doctor blobs`: checks that every referenced blob is present and intact.

use serde::{Deserialize, Serialize};

use app::Ws;
use store::blob::check::{self, Report};

/// Report of a workspace.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    pub workspace: String,
    pub report: Report,
}

/// Checks these workspaces. Reads every blob.
///
/// # Errors
/// The cause, as text.
pub async fn inspect(all: Vec<Ws>) -> Result<Vec<Found>, String> {
    let looked = tokio::task::spawn_blocking(move || {
        let found = all.iter().map(|ws| {
            let report = check::check(&ws.store, &ws.blobs).map_err(|error| error.to_string())?;
            Ok(Found { workspace: ws.slug.clone(), report })
        });
        found.collect()
    });
    looked.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Formats the report.
#[must_use]
pub fn lines(found: &[Found]) -> Vec<String> {
    let mut lines = Vec::new();
    for Found { workspace, report } in found {
        let Report { files, bytes, missing, corrupt, unreferenced, .. } = report;
        lines.push(format!(
            "{workspace}: {files} files, {} KB; {missing} missing, {corrupt} damaged, \
             {unreferenced} unreferenced",
            bytes.div_ceil(1024)
        ));
        for fault in &report.faults {
            let holders = fault.holders.join(", ");
            lines.push(format!("  {}: {}, used by {holders}", fault.what, fault.blob));
        }
        if !report.is_fine() {
            lines.push(format!(
                "  upload the same files again, or take them from a backup: `hq restore PLACE \
                 --workspace {workspace} --into NEW-FOLDER` (with --at for a backup from before \
                 the damage), then copy blobs/<first 2 characters>/<the rest> from there to \
                 workspaces/{workspace}/blobs in this data folder"
            ));
        }
    }
    lines
}
