//! Reading an agent's files for people and the API. Links are never followed, and no path leaves
//! the folder: the leaf that opens them sees to that.

use app::Ws;
use git::GitError;
use git::files::AgentFiles;
use git::folder::Kind;
use kernel::text::of_bytes;
use kernel::{Problem, ProblemKind};
use store::StoreError;

use super::model::Agent;

/// The most of one file that is shown, in bytes.
pub const MAX_SHOWN: u64 = 512 * 1024;
/// The most names in a tree.
const MAX_NODES: usize = 1_000;
/// Folders up to this depth are open by themselves.
const OPEN_DEPTH: usize = 2;

/// What reading files refuses.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// No such file or folder.
    #[error("there is no file {0}")]
    NotFound(String),
    /// The folder is not there yet.
    #[error("the agent has no files yet; set it up first")]
    NoFolder,
    /// The leaf refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A commit in which the file is not.
    #[error("{0} is not in that commit; choose one in which it is")]
    NotThen(String),
    /// Nobody works with the files any more.
    #[error("the agent is archived; restore it before its files are changed")]
    Archived,
    /// The task that read was ended.
    #[error("reading was cut off; try again")]
    CutOff,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for FilesError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "file_not_found",
            Self::NoFolder => "agent_files_missing",
            Self::NotThen(_) => "file_not_in_commit",
            Self::Archived => "agent_archived",
            Self::Git(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::CutOff => "files_unavailable",
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) | Self::NoFolder | Self::NotThen(_) => ProblemKind::NotFound,
            Self::Archived => ProblemKind::Conflict,
            Self::Git(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::CutOff => ProblemKind::Unavailable,
        }
    }
}

/// A file or folder in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its path.
    pub path: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Its size, if it is a file.
    pub bytes: Option<u64>,
}

/// The files of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Files and folders, each folder before what is in it.
    pub nodes: Vec<Node>,
    /// Whether there are more than are listed.
    pub is_cut: bool,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its text; none when it is no text.
    pub text: Option<String>,
    /// Its size.
    pub total: u64,
    /// Whether only its beginning is given.
    pub is_cut: bool,
    /// Whether it is a program.
    pub executable: bool,
}

impl Content {
    /// The beginning of a file that has `total` bytes.
    pub(super) fn of(bytes: Vec<u8>, total: u64, executable: bool) -> Self {
        let is_cut = (bytes.len() as u64) < total;
        Self { text: of_bytes(bytes, is_cut), total, is_cut, executable }
    }
}

/// The tree of an agent's files: open two folders deep, and along `path`.
///
/// # Errors
/// When there is no folder or the disk fails.
pub async fn tree(ws: &Ws, agent: &Agent, path: &str) -> Result<Tree, FilesError> {
    let path = path.to_owned();
    in_folder(ws, agent, move |files| {
        let mut tree = Tree::default();
        walk(files, "", 0, &path, &mut tree)?;
        Ok(tree)
    })
    .await
}

fn walk(
    files: &AgentFiles,
    folder: &str,
    depth: usize,
    path: &str,
    tree: &mut Tree,
) -> Result<(), FilesError> {
    let Some(mut items) = files.list(folder)? else { return Ok(()) };
    // Folders first, as people expect it.
    items.sort_by_key(|item| (item.kind != Kind::Folder, item.name.to_lowercase()));
    for item in items {
        if tree.nodes.len() >= MAX_NODES {
            tree.is_cut = true;
            return Ok(());
        }
        let at = match folder {
            "" => item.name.clone(),
            folder => format!("{folder}/{}", item.name),
        };
        match item.kind {
            Kind::Folder => {
                tree.nodes.push(Node { path: at.clone(), is_folder: true, bytes: None });
                let on_the_way = path == at || path.starts_with(&format!("{at}/"));
                if depth + 1 < OPEN_DEPTH || on_the_way {
                    walk(files, &at, depth + 1, path, tree)?;
                }
            }
            // Kept so that git keeps the folder; nothing for people.
            Kind::File { .. } if item.name == ".keep" => {}
            Kind::File { bytes, .. } => {
                tree.nodes.push(Node { path: at, is_folder: false, bytes: Some(bytes) });
            }
            Kind::Other => {}
        }
    }
    Ok(())
}

/// The beginning of a file as text.
///
/// # Errors
/// When there is no such file or the path leaves the folder.
pub async fn read(ws: &Ws, agent: &Agent, path: &str) -> Result<Content, FilesError> {
    let path = path.to_owned();
    in_folder(ws, agent, move |files| {
        let path = files.relative(&path)?;
        let part = files.read(&path, 0, MAX_SHOWN)?.ok_or(FilesError::NotFound(path))?;
        Ok(Content::of(part.bytes, part.total, part.executable))
    })
    .await
}

async fn in_folder<T: Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    body: impl FnOnce(&AgentFiles) -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    let folder = ws.agent_folder(&agent.slug);
    let done = tokio::task::spawn_blocking(move || {
        if !folder.is_dir() {
            return Err(FilesError::NoFolder);
        }
        body(&AgentFiles::open(&folder)?)
    });
    done.await.map_err(|_| FilesError::CutOff)?
}
