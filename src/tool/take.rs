//! Copies a file of the agent's folder into the blob store.

use git::files::AgentFiles;
use store::BlobId;

use super::{ToolCx, ToolError};

/// A file copied to the blob store.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// File name without folders.
    pub name: String,
    /// Content; `None` before the copy.
    pub blob: Option<BlobId>,
    /// Its length in bytes.
    pub size: u64,
    /// The first bytes.
    pub head: Vec<u8>,
}

/// Number of bytes used to detect the file type.
const TELLING: usize = 64;

/// Copies a file of the agent's folder into the blob store.
///
/// # Errors
/// If the file is missing, larger than `limit` bytes or unreadable.
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
            let message = format!("a file can have at most {} MB", limit >> 20);
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
