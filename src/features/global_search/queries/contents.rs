//! The text of files, for the index: of those on tasks and in delivered work, and of agents' own. Only the beginning of
//! a file is read, and only where its bytes are text or a PDF; an image is found by its name.

use std::io::{self, Read as _};

use crate::agents::model::Agent;
use app::Ws;
use git::files::AgentFiles;
use git::{Branch, CommitId, GitError, history};
use kernel::text;
use store::{BlobId, Blobs, StoreError};
use tool::document;
use web::file::Kind;

/// How much of a file is looked at, in bytes.
pub const MOST: usize = 256 * 1024;
/// How much of all files together is read for one question, in bytes.
const ASKED: usize = 16 * 1024 * 1024;
/// The largest PDF that is read for the index, in bytes: what its beginning says, its end tells.
const LARGEST_PDF: u64 = 16 * 1024 * 1024;
/// The same for a question.
const ASKED_PDF: u64 = 1024 * 1024;
/// The errors of a program that has too many files open: later it has not.
const TOO_MANY: [Option<i32>; 2] = [Some(23), Some(24)];

/// Reads the text of files.
pub struct Contents<'a> {
    ws: &'a Ws,
    left: usize,
    largest_pdf: u64,
}

impl<'a> Contents<'a> {
    /// For the index: as much as there is.
    #[must_use]
    pub fn all(ws: &'a Ws) -> Self {
        Self { ws, left: usize::MAX, largest_pdf: LARGEST_PDF }
    }

    /// For a question, which waits: of some files. Those behind them are told by their names.
    #[must_use]
    pub fn some(ws: &'a Ws) -> Self {
        Self { ws, left: ASKED, largest_pdf: ASKED_PDF }
    }

    /// Where files lie.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.ws.blobs
    }

    /// The text with which a file on a task or in delivered work begins; nothing when it is no text, or
    /// is not there.
    ///
    /// # Errors
    /// When it may be read later.
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

    /// The text with which a file of an agent begins, and when it changed last, in seconds since 1970; nothing when
    /// it is no text, or is not there.
    pub fn of_agent(&mut self, agent: &Agent, path: &str) -> Option<(String, i64)> {
        let folder = self.ws.agent_folder(&agent.slug);
        let most = if self.left == 0 { 0 } else { MOST as u64 };
        // ok: an agent that is not set up, a folder or a link in its place have no words.
        let files = AgentFiles::open(&folder).ok()?;
        let part = files.read(path, 0, most).ok()??;
        let changed = folder.join(path).symlink_metadata().and_then(|meta| meta.modified()).ok();
        let at = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let at = at.and_then(|at| i64::try_from(at.as_secs()).ok()).unwrap_or(0);
        if most == 0 {
            return Some((String::new(), at));
        }
        let text = self.took(part.bytes, part.total, |bytes| {
            // ok: what cannot be read to its end is no PDF with words.
            let rest = files.read(path, bytes.len() as u64, LARGEST_PDF).ok().flatten();
            bytes.extend(rest.into_iter().flat_map(|part| part.bytes));
        })?;
        (!text.trim().is_empty()).then_some((text, at))
    }

    /// The text of a file of which these are the first bytes of so many; `rest` adds the others.
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
            // What is packed may be a document of an office.
            Kind::Pdf | Kind::Other if self.largest_pdf < total => None,
            Kind::Pdf | Kind::Other => {
                if is_cut {
                    rest(&mut bytes);
                }
                self.left = self.left.saturating_sub(bytes.len());
                if !document::is_one(&bytes) {
                    return None;
                }
                // ok: of what cannot be read, or is a picture of a page, the name is known.
                let words = document::words(&bytes, MOST).ok()?;
                Some(words.text).filter(|text| !text.is_empty())
            }
        }
    }
}

/// The paths of all files that an agent's branch has.
///
/// # Errors
/// When the repository cannot be read.
pub fn paths(ws: &Ws, agent: &Agent) -> Result<Vec<String>, GitError> {
    let (repo, branch) = (ws.repo()?, Branch::agent(&agent.slug)?);
    if repo.head(&branch)?.is_none() {
        return Ok(Vec::new());
    }
    let files = repo.tree(&history::At::Branch(branch))?;
    Ok(files.into_iter().map(|file| file.path).collect())
}

/// The paths that a commit changed.
///
/// # Errors
/// When the repository does not have it, or cannot be read.
pub fn changed(ws: &Ws, commit: &str) -> Result<Vec<String>, GitError> {
    ws.repo()?.changed_by(&[CommitId::parse(commit)?])
}
