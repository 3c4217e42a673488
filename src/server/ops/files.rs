//! `hq doctor files`: whether every version of agents' files is there and whole, and the repair.

use app::Ws;
use features::agents::queries::repository::{self, Found};
use git::check::Depth;

/// Looks through the history in these workspaces, or puts right what can be; reads all of it.
///
/// # Errors
/// What stood in the way, in words.
pub async fn look(all: Vec<Ws>, repairs: bool) -> Result<Vec<Found>, String> {
    let looked = tokio::task::spawn_blocking(move || {
        let found = all.iter().map(|ws| match repairs {
            true => repository::repair(ws).map_err(|error| error.to_string()),
            false => Ok(repository::look(ws, Depth::Objects)),
        });
        found.collect()
    });
    looked.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Says at the start what of the history cannot be read; looks at the newest versions alone.
pub async fn at_start(ws: &Ws) {
    let looked = ws.look(|ws| Ok::<_, store::StoreError>(repository::look(ws, Depth::Branches)));
    match looked.await {
        Ok(found) => {
            for fault in found.faults {
                tracing::error!(
                    "the history of agents' files in {}: {fault}; run `hq doctor files`",
                    ws.slug
                );
            }
        }
        Err(error) => tracing::error!(%error, "the history of agents' files was not looked at"),
    }
}

/// What people read.
#[must_use]
pub fn lines(found: &[Found]) -> Vec<String> {
    let mut lines = Vec::new();
    for Found { workspace, branches, objects, faults, repaired } in found {
        let state = match faults.len() {
            0 => "everything fits".to_owned(),
            n => format!("{n} DAMAGED"),
        };
        lines.push(format!("{workspace}: {branches} branches, {objects} objects: {state}"));
        lines.extend(repaired.iter().map(|one| format!("  repaired: {one}")));
        lines.extend(faults.iter().map(|one| format!("  {one}")));
        if !faults.is_empty() && repaired.is_empty() {
            lines.push(format!(
                "  `hq doctor files --repair` begins such a branch anew with what lies in the agent's folder. To keep \
                 the history, stop HQ, run `hq restore PLACE --workspace {workspace} --into NEW-FOLDER` of a backup \
                 from before, and put agents.git from there in place of workspaces/{workspace}/agents.git"
            ));
        }
    }
    lines
}
