//! Copies a file of the agent's folder into the blob store.

use git::files::AgentFiles;
use store::BlobId;

use super::{ToolCx, ToolError};

/// A file that lies in the blobs now.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Its name, without the folders above it.
    pub name: String,
    /// Its content; none before it was taken.
    pub blob: Option<BlobId>,
    /// Its length in bytes.
    pub size: u64,
    /// Its first bytes.
    pub head: Vec<u8>,
}

/// How many bytes tell what a file is.
const TELLING: usize = 64;

/// Puts a file of the agent's folder into the blobs.
///
/// # Errors
/// When it is not there, is larger than `limit` bytes, or cannot be read.
pub async fn take_file(cx: &ToolCx, path: &str, limit: u64) -> Result<Taken, ToolError> {
    let (ws, folder, path) = (cx.ws.clone(), cx.folder.clone(), path.to_owned());
    let taken = tokio::task::spawn_blocking(move || {
        let files = AgentFiles::open(&folder)?;
        let inner = files.relative(&path)?;
        let Some(part) = files.read(&inner, 0, limit)? else {
            let message = format!("there is no file \"{inner}\" in your folder");
            return Err(ToolError::refused("file_not_found", message));
        };
        if limit < part.total {
            let message = format!("a file has at most {} MB", limit >> 20);
            return Err(ToolError::refused("file_too_large", message));
        }
        let blob = ws.blobs.put(&part.bytes).map_err(|error| failed(&error))?;
        let name = inner.rsplit('/').next().unwrap_or(&inner).to_owned();
        let head = part.bytes[..part.bytes.len().min(TELLING)].to_vec();
        Ok(Taken { name, blob: Some(blob), size: part.total, head })
    });
    taken.await.unwrap_or_else(|error| Err(failed(&error)))
}

fn failed(error: &dyn std::fmt::Display) -> ToolError {
    ToolError::Failed { code: "blob", message: format!("storing a file: {error}") }
}
