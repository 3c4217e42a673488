//! Text of files for the index: files of tasks and deliverables, and agents' files. Reads only the start of a file, and
//! only text files and documents. Other files are found by name.

use std::io::{self, Read as _};

use crate::agents::model::Agent;
use app::Ws;
use git::files::AgentFiles;
use git::{Branch, CommitId, GitError, history};
use kernel::text;
use store::{BlobId, Blobs, StoreError};
use tool::document;
use web::file::Kind;

/// Maximum number of bytes to read per file.
pub const MOST: usize = 256 * 1024;
/// Maximum number of bytes to read for one query.
const ASKED: usize = 16 * 1024 * 1024;
/// Maximum size of a PDF to index, in bytes. A PDF must be read whole, because its index is at the end.
const LARGEST_PDF: u64 = 16 * 1024 * 1024;
/// The same for a query.
const ASKED_PDF: u64 = 1024 * 1024;
/// Error codes `ENFILE` and `EMFILE`: too many open files, a temporary condition.
const TOO_MANY: [Option<i32>; 2] = [Some(23), Some(24)];

pub struct Contents<'a> {
    ws: &'a Ws,
    left: usize,
    largest_pdf: u64,
}

impl<'a> Contents<'a> {
    /// For the index: no total limit.
    #[must_use]
    pub fn all(ws: &'a Ws) -> Self {
        Self { ws, left: usize::MAX, largest_pdf: LARGEST_PDF }
    }

    /// For a query: limited in total. Files beyond the limit are matched by name only.
    #[must_use]
    pub fn some(ws: &'a Ws) -> Self {
        Self { ws, left: ASKED, largest_pdf: ASKED_PDF }
    }

    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.ws.blobs
    }

    /// Start of the text of a blob. `None` if it has no text or is missing.
    ///
    /// # Errors
    /// If reading may succeed later.
    pub fn of_blob(&mut self, blob: BlobId) -> Result<Option<String>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        let file = self.ws.blobs.open_blob(blob);
        match file.and_then(|file| self.of_file(file.metadata()?.len(), file)) {
            Ok(text) => Ok(text),
            Err(error) if TOO_MANY.contains(&error.raw_os_error()) => {
                Err(StoreError::Failed(error.to_string()))
            }
            Err(error) => {
                tracing::debug!(%blob, %error, "a file is found by its name alone");
                Ok(None)
            }
        }
    }

    fn of_file(&mut self, total: u64, mut file: impl io::Read) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        file.by_ref().take(MOST as u64).read_to_end(&mut bytes)?;
        let mut failed = Ok(());
        let text = self.took(bytes, total, |bytes| {
            failed = file.take(LARGEST_PDF).read_to_end(bytes).map(drop);
        });
        failed.map(|()| text)
    }

    /// Start of the text of an agent's file, and its last change in seconds since 1970. `None` if it has no text or is
    /// missing.
    pub fn of_agent(&mut self, agent: &Agent, path: &str) -> Option<(String, i64)> {
        let folder = self.ws.agent_folder(&agent.slug);
        let most = if self.left == 0 { 0 } else { MOST as u64 };
        // ok: an agent without files, a folder, or a link has no text.
        let files = AgentFiles::open(&folder).ok()?;
        let part = files.read(path, 0, most).ok()??;
        let changed = folder.join(path).symlink_metadata().and_then(|meta| meta.modified()).ok();
        let at = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let at = at.and_then(|at| i64::try_from(at.as_secs()).ok()).unwrap_or(0);
        if most == 0 {
            return Some((String::new(), at));
        }
        let text = self.took(part.bytes, part.total, |bytes| {
            // ok: an incompletely read file yields no text.
            let rest = files.read(path, bytes.len() as u64, LARGEST_PDF).ok().flatten();
            bytes.extend(rest.into_iter().flat_map(|part| part.bytes));
        })?;
        (!text.trim().is_empty()).then_some((text, at))
    }

    /// Text of a file. `bytes` are the first of `total` bytes; `rest` appends the others.
    fn took(
        &mut self,
        mut bytes: Vec<u8>,
        total: u64,
        rest: impl FnOnce(&mut Vec<u8>),
    ) -> Option<String> {
        let is_cut = (bytes.len() as u64) < total;
        match Kind::of(&bytes) {
            Kind::Other if !bytes.starts_with(b"PK") => {
                self.left = self.left.saturating_sub(bytes.len());
                text::of_bytes(bytes, is_cut)
            }
            Kind::Image(_) => None,
            // Compressed files may be office documents.
            Kind::Pdf | Kind::Other if self.largest_pdf < total => None,
            Kind::Pdf | Kind::Other => {
                if is_cut {
                    rest(&mut bytes);
                }
                self.left = self.left.saturating_sub(bytes.len());
                if !document::is_one(&bytes) {
                    return None;
                }
                // ok: an unreadable or scanned document is found by name.
                let words = document::words(&bytes, MOST).ok()?;
                Some(words.text).filter(|text| !text.is_empty())
            }
        }
    }
}

/// Paths of all files on an agent's branch.
///
/// # Errors
/// If the repository cannot be read.
pub fn paths(ws: &Ws, agent: &Agent) -> Result<Vec<String>, GitError> {
    let (repo, branch) = (ws.repo()?, Branch::agent(&agent.slug)?);
    if repo.head(&branch)?.is_none() {
        return Ok(Vec::new());
    }
    let files = repo.tree(&history::At::Branch(branch))?;
    Ok(files.into_iter().map(|file| file.path).collect())
}

/// Paths that a commit changed.
///
/// # Errors
/// If the repository does not have the commit or cannot be read.
pub fn changed(ws: &Ws, commit: &str) -> Result<Vec<String>, GitError> {
    ws.repo()?.changed_by(&[CommitId::parse(commit)?])
}
