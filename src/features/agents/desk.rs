//! Exclusive work on an agent's folder and branch. Uncommitted work of the agent is committed first, under the
//! agent's name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use app::Ws;
use git::files::AgentFiles;
use git::revert::{Revert, Reverted};
use git::snapshot::{Paths, Refuses};
use git::{Author, Branch, CommitId, Entry, File, GitError};
use kernel::Timestamp;
use store::{Room, StoreError};
use tool::leaks;

use super::files::FilesError;
use super::model::Agent;
use super::there;

/// Maximum number of files named in a commit subject.
const NAMED: usize = 2;

/// An agent's folder and branch, with the changed files locked.
pub(super) struct LockedFolder {
    pub ws: Ws,
    /// The opened folder.
    pub files: AgentFiles,
    /// Path of the folder.
    pub folder: PathBuf,
    pub branch: Branch,
    slug: String,
    author: Author,
    agent: Author,
    agent_name: String,
    time: Timestamp,
}

impl LockedFolder {
    /// Refuses while the disk is nearly full: the store could then not record a commit, and the person would be told
    /// that nothing was saved.
    pub fn disk_has_room(&self) -> Result<(), StoreError> {
        self.ws.store.room().map_or(Ok(()), Room::check)
    }

    /// Commits what the agent left uncommitted.
    pub fn keep(&self, paths: &[&str]) -> Result<(), GitError> {
        let what = match paths.len() {
            0 => return Ok(()),
            few if few <= NAMED => paths.join(" and "),
            many => format!("{many} files"),
        };
        let message =
            format!("Keep {what} as {} left it\n\nAgent: {}\n", self.agent_name, self.slug);
        // Files that contain a key stay uncommitted.
        let redactor = &self.ws.app.redactor;
        let why = |_: &str, bytes: &[u8]| leaks::in_file(redactor, bytes).map(|leak| leak.why);
        self.take(paths, &self.agent, (&message, Some(&why))).map(drop)
    }

    /// Commits these files as they are now; `None` if they are unchanged.
    pub fn commit(&self, paths: &[&str], message: &str) -> Result<Option<CommitId>, GitError> {
        self.take(paths, &self.author, (message, None))
    }

    /// Commits files before they are written to the folder; `None` in the map removes the path. Returns `None` if
    /// nothing differs.
    pub fn commit_files(
        &self,
        files: &BTreeMap<&str, Option<&File>>,
        message: &str,
    ) -> Result<Option<CommitId>, GitError> {
        let entry = Entry { author: &self.author, message, time: self.time };
        self.ws.repo()?.commit_files(&self.branch, files, &entry)
    }

    /// Reverts a commit by the same author: the given files, or all that it changed. The message ends with the mark.
    pub fn go_back(
        &self,
        (commit, only): (CommitId, Option<&[String]>),
        (message, mark): (&str, &str),
    ) -> Result<Reverted, GitError> {
        let what = Revert {
            branch: &self.branch,
            dir: &self.folder,
            commits: &[commit],
            noted: &[],
            only,
            mark,
        };
        let entry = Entry { author: &self.author, message, time: self.time };
        self.ws.repo()?.revert(&what, &entry)
    }

    fn take(
        &self,
        paths: &[&str],
        author: &Author,
        (message, refuses): (&str, Option<Refuses<'_>>),
    ) -> Result<Option<CommitId>, GitError> {
        let only: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let entry = Entry { author, message, time: self.time };
        let repo = self.ws.repo()?;
        let taken = (Paths::Only(&only), refuses);
        Ok(repo.commit_what_may(&self.branch, &self.folder, taken, &entry)?.commit)
    }
}

/// Works on an agent's folder while these files are locked.
///
/// # Errors
/// Those of the work, or a missing folder.
pub(super) async fn at<T: Send + 'static, E: From<FilesError> + Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    author: Author,
    paths: BTreeSet<String>,
    work: impl FnOnce(&LockedFolder) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let (own, slug, agent_name) = (ws.clone(), agent.slug.clone(), agent.name.clone());
    let time = ws.app.clock.now();
    there::at(ws, agent, paths, move |bench| {
        let (folder, branch) = (bench.folder.clone(), bench.branch.clone());
        let files = AgentFiles::open(&folder).map_err(FilesError::from)?;
        let agent = Author::new(&agent_name, &format!("{slug}@agents.hq"));
        let desk =
            LockedFolder { ws: own, files, folder, branch, slug, author, agent, agent_name, time };
        work(&desk)
    })
    .await
}
