//! Copies attachments of messages into the agent's folder for its tools. They are in a part that is not committed, and
//! are copied again if they are missing, because the message has them.

use std::path::Path;

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{Attachment, MAX_ATTACHED_BYTES};
use git::File;
use git::files::AgentFiles;
use kernel::AgentId;
use store::ReadExt as _;

/// Copies missing files into the folder of an agent.
pub(super) fn lay(ws: &Ws, agent: AgentId, files: &[Attachment]) {
    let slug = match ws.read(|snap| snap.get::<Agent>(agent)) {
        Ok(Some(agent)) => agent.slug,
        _ => return,
    };
    for file in files {
        if let Err(error) = one(ws, &ws.agent_folder(&slug), file) {
            // The model was told about the file and can ask for it in another way.
            tracing::warn!(agent.id = %agent, %error, "a file of a message was not laid into the folder of {slug}");
        }
    }
}

fn one(ws: &Ws, folder: &Path, file: &Attachment) -> Result<(), String> {
    let (files, path) = (AgentFiles::open(folder).map_err(|e| e.to_string())?, file.place());
    let there = files.read(&path, 0, 0).map_err(|e| e.to_string())?;
    if there.is_some_and(|part| part.total == file.len) {
        return Ok(());
    }
    let bytes = ws.blobs.get(file.blob, MAX_ATTACHED_BYTES).map_err(|e| e.to_string())?;
    files.write(&File { path, bytes, executable: false }).map_err(|e| e.to_string())
}
