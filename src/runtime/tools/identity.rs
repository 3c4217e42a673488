//! Identity files around a program. They change only with an approval, which is requested before a file tool. A
//! program's changes are reverted; the new version is kept beside the file for the file tool.

use app::Ws;
use features::agents::queries::drafts::PROPOSED;
use features::trust::authorize::IDENTITY;
use git::files::AgentFiles;
use git::history::At;
use git::{Branch, File, GitError};
use tool::{ToolCx, ToolError};

use super::folder::{self, MAX_FILE};

/// The identity files before a program starts; `None` for a missing one.
pub(crate) struct Before(Vec<(&'static str, Option<File>)>);

impl Before {
    /// Reads the files. Programs of a sub-agent cannot write to them.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) async fn of(cx: &ToolCx) -> Result<Self, ToolError> {
        let root = cx.folder.clone();
        folder::blocking(move || {
            let files = folder::open(&root)?;
            let mut all = Vec::with_capacity(IDENTITY.len());
            for name in IDENTITY {
                let file = read(&files, name)?;
                // Something else of this name stays as it is.
                if file.is_some() || files.kind(name)?.is_none() {
                    all.push((name, file));
                }
            }
            Ok(Self(all))
        })
        .await
    }

    /// Reverts changed files. Returns a note for the model, empty without changes.
    ///
    /// # Errors
    /// If a file cannot be restored.
    pub(super) async fn put_back(self, cx: &ToolCx) -> Result<String, ToolError> {
        let root = cx.folder.clone();
        let changed = folder::blocking(move || {
            let files = folder::open(&root)?;
            let mut changed = Vec::new();
            for (name, before) in self.0 {
                if put_back(&files, name, before)? {
                    changed.push(name);
                }
            }
            Ok(changed)
        });
        Ok(words(&changed.await?))
    }
}

fn words(changed: &[&str]) -> String {
    if changed.is_empty() {
        return String::new();
    }
    let (names, first) = (changed.join(", "), changed.first().copied().unwrap_or_default());
    let (says, is, it) = match changed.len() {
        1 => ("defines", "was", "it"),
        _ => ("define", "were", "them"),
    };
    format!(
        "\n[{names} {says} your identity and {is} restored: programs can't change {it}. What the program wrote is in \
         {PROPOSED}/{first}{more}; people review the change in Review, so leave it there]",
        more = if changed.len() == 1 { "" } else { " and next to it" },
    )
}

/// Reads one file. `None` if it is missing, a link, a folder or too large for tools.
fn read(files: &AgentFiles, name: &str) -> Result<Option<File>, GitError> {
    let part = match files.read_up_to(name, MAX_FILE) {
        Ok(Some(part)) => part,
        Ok(None) | Err(GitError::Path { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let whole = part.total <= MAX_FILE;
    let (path, bytes, executable) = (name.to_owned(), part.bytes, part.executable);
    Ok(whole.then_some(File { path, bytes, executable }))
}

/// Reverts a file. Returns whether it had changed.
fn put_back(files: &AgentFiles, name: &str, before: Option<File>) -> Result<bool, GitError> {
    // A file that can no longer be read has changed, too.
    let now = read(files, name)?;
    let is_there = files.kind(name)?.is_some();
    if now == before && (now.is_some() || !is_there) {
        return Ok(false);
    }
    match before {
        Some(before) => files.write(&before)?,
        None => {
            files.remove(name)?;
        }
    }
    if let Some(now) = now {
        files.write(&File { path: format!("{PROPOSED}/{name}"), executable: false, ..now })?;
    }
    Ok(true)
}

/// Resets identity files to the last commit, except for those that a file tool has written, because a program without
/// supervision may have changed them. Blocking.
///
/// # Errors
/// If the repository or the folder cannot be read or written.
pub(crate) fn as_committed(
    ws: &Ws,
    slug: &str,
    is_written: impl Fn(&str) -> bool,
) -> Result<(), GitError> {
    let (repo, branch) = (ws.repo()?, Branch::agent(slug)?);
    let Some(head) = repo.head(&branch)? else { return Ok(()) };
    let files = AgentFiles::open(&ws.agent_folder(slug))?;
    for name in IDENTITY.into_iter().filter(|name| !is_written(name)) {
        let kept = repo.read_file(&At::Commit(head), name)?;
        match put_back(&files, name, kept) {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(agent = slug, "a program has changed {name}; it is as it was again");
            }
            // A folder has this name; it does not prevent other files from being committed.
            Err(error) => tracing::warn!(agent = slug, %error, "{name} is not as it was"),
        }
    }
    Ok(())
}
