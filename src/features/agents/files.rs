//! Reads an agent's files for people and the API. The `git` package opens them: it never follows links, and no path
//! leaves the folder.

use app::Ws;
use git::files::AgentFiles;
use git::folder::Kind;
use git::standing::Standing;
use git::{Branch, GitError};
use kernel::text::of_bytes;
use kernel::{Problem, ProblemKind};
use store::StoreError;
use web::file::{self, TELLING};

use super::model::Agent;
use super::{prompted, there};

/// Maximum part of a file that is shown, in bytes.
pub const MAX_SHOWN: u64 = 512 * 1024;
/// Maximum number of names in a tree.
const MAX_NODES: usize = 1_000;
/// Folders up to this depth are expanded.
const OPEN_DEPTH: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("there is no file {0}")]
    NotFound(String),
    #[error("the agent has no files yet; set it up first")]
    NoFolder,
    #[error(transparent)]
    Git(#[from] GitError),
    /// The file is not in that commit.
    #[error("{0} isn't in that commit; choose another one")]
    NotThen(String),
    #[error("the agent is archived; restore it before its files are changed")]
    Archived,
    /// The host with the files is silent.
    #[error("{0}; you can change its files when it's back")]
    Silent(String),
    /// The files changed on their host meanwhile.
    #[error(
        "the files were changed on {0} at the same time; review them and apply your change again"
    )]
    Overtaken(String),
    /// The file cannot be copied from its host, so it must not be overwritten.
    #[error(
        "{path} stays unchanged on {label}: {why}; have its agent fix that there, then make your \
         change again"
    )]
    Stays {
        label: String,
        path: String,
        /// Why the host cannot send the file.
        why: String,
    },
    /// The host with the files refuses the request.
    #[error("the files on {label} can't be reached right now: {why}")]
    There {
        label: String,
        /// Reason given by the host.
        why: String,
    },
    /// Data from a host is malformed.
    #[error("the other machine's response can't be used: {0}")]
    Damaged(String),
    /// The reading task was cancelled.
    #[error("reading was interrupted; try again")]
    CutOff,
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
            Self::Silent(_) => "gateway_offline",
            Self::Overtaken(_) => "file_changed",
            Self::Stays { .. } => "file_stays",
            Self::There { .. } => "gateway_failed",
            Self::Damaged(_) => "gateway_garbled",
            Self::Git(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::CutOff => "files_unavailable",
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) | Self::NoFolder | Self::NotThen(_) => ProblemKind::NotFound,
            Self::Archived | Self::Overtaken(_) | Self::Stays { .. } => ProblemKind::Conflict,
            Self::There { .. } | Self::Damaged(_) => ProblemKind::Upstream,
            Self::Git(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::CutOff | Self::Silent(_) => ProblemKind::Unavailable,
        }
    }
}

/// A file or folder in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub path: String,
    pub is_folder: bool,
    /// Size of a file.
    pub bytes: Option<u64>,
    /// State of a file relative to the newest commit.
    pub standing: Option<Standing>,
}

/// The files of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Each folder comes before its content.
    pub nodes: Vec<Node>,
    /// Whether the list is incomplete.
    pub is_cut: bool,
    /// Files that are part of every prompt, in prompt order.
    pub prompted: Vec<Prompted>,
}

/// A file that is part of every prompt of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompted {
    pub name: &'static str,
    /// Size in bytes.
    pub bytes: u64,
    /// Maximum part included in a prompt.
    pub most: u64,
    /// State relative to the newest commit.
    pub standing: Standing,
}

impl Prompted {
    /// Number of bytes included in a prompt.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.bytes.min(self.most)
    }
}

/// Content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// `None` if the file is not text.
    pub text: Option<String>,
    /// Size in bytes.
    pub total: u64,
    /// Whether only the beginning is included.
    pub is_cut: bool,
    pub executable: bool,
    /// Type detected from the content.
    pub kind: file::Kind,
}

impl Content {
    /// From the beginning of a file that has `total` bytes.
    pub(super) fn of(bytes: Vec<u8>, total: u64, executable: bool) -> Self {
        let is_cut = (bytes.len() as u64) < total;
        let kind = file::Kind::of(&bytes[..bytes.len().min(TELLING)]);
        Self { text: of_bytes(bytes, is_cut), total, is_cut, executable, kind }
    }
}

/// The tree of an agent's files, expanded two levels deep and along `path`.
///
/// # Errors
/// If there is no folder or the disk fails.
pub async fn tree(ws: &Ws, agent: &Agent, path: &str) -> Result<Tree, FilesError> {
    let (own, path, branch) = (ws.clone(), path.to_owned(), Branch::agent(&agent.slug)?);
    in_folder(ws, agent, move |files| {
        let mut tree = Tree::default();
        walk(files, "", (0, 0), &path, &mut tree, &mut 0)?;
        let is_file = |node: &&mut Node| !node.is_folder;
        let paths: Vec<String> =
            tree.nodes.iter_mut().filter(is_file).map(|node| node.path.clone()).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let standings = own.repo()?.standings(&branch, files, &paths)?;
        for (node, standing) in tree.nodes.iter_mut().filter(is_file).zip(standings) {
            node.standing = Some(standing);
        }
        tree.prompted = prompted_of(&tree.nodes);
        Ok(tree)
    })
    .await
}

fn prompted_of(nodes: &[Node]) -> Vec<Prompted> {
    let one = |file: &prompted::File| {
        let node = nodes.iter().find(|node| node.path == file.name)?;
        let (bytes, standing) = (node.bytes?, node.standing?);
        Some(Prompted { name: file.name, bytes, most: file.most as u64, standing })
    };
    prompted::FILES.iter().filter_map(one).collect()
}

/// State of a file relative to the newest commit.
///
/// # Errors
/// If there is no folder or the disk fails.
pub async fn standing(ws: &Ws, agent: &Agent, path: &str) -> Result<Standing, FilesError> {
    let (own, path, branch) = (ws.clone(), path.to_owned(), Branch::agent(&agent.slug)?);
    in_folder(ws, agent, move |files| {
        let all = own.repo()?.standings(&branch, files, &[&path])?;
        Ok(all.first().copied().unwrap_or(Standing::Same))
    })
    .await
}

/// Lists a folder at `depth`. `spent` counts the listed names, `owed` reserves names that follow in the parent
/// folders. Folders along `path` are always listed, and their content does not count.
fn walk(
    files: &AgentFiles,
    folder: &str,
    (depth, owed): (usize, usize),
    path: &str,
    tree: &mut Tree,
    spent: &mut usize,
) -> Result<(), FilesError> {
    let Some(mut items) = files.list(folder)? else { return Ok(()) };
    let leads =
        |at: &str| path.strip_prefix(at).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    let is_asked = depth > 0 && leads(folder);
    if depth > 0 && !is_asked && MAX_NODES < *spent + items.len() + owed {
        tree.is_cut = true;
        return Ok(());
    }
    // Folders come first.
    items.sort_by_key(|item| (item.kind != Kind::Folder, item.name.to_lowercase()));
    let many = items.len();
    for (n, item) in items.into_iter().enumerate() {
        let at = match folder {
            "" => item.name.clone(),
            folder => format!("{folder}/{}", item.name),
        };
        let before = if is_asked { n } else { *spent };
        if MAX_NODES <= before && !leads(&at) {
            tree.is_cut = true;
            continue;
        }
        *spent += usize::from(!is_asked);
        match item.kind {
            Kind::Folder => {
                tree.nodes.push(Node {
                    path: at.clone(),
                    is_folder: true,
                    bytes: None,
                    standing: None,
                });
                // Once a folder did not fit, the others stay collapsed too.
                if leads(&at) || (depth + 1 < OPEN_DEPTH && !tree.is_cut) {
                    walk(files, &at, (depth + 1, owed + many - n - 1), path, tree, spent)?;
                }
            }
            // A `.keep` file only makes git keep the folder.
            Kind::File { .. } if item.name == ".keep" => {}
            Kind::File { bytes, .. } => {
                let bytes = Some(bytes);
                tree.nodes.push(Node { path: at, is_folder: false, bytes, standing: None });
            }
            Kind::Other => {}
        }
    }
    Ok(())
}

/// The beginning of a file as text, at most `most` bytes.
///
/// # Errors
/// If the file does not exist or the path leaves the folder.
pub async fn read(ws: &Ws, agent: &Agent, path: &str, most: u64) -> Result<Content, FilesError> {
    let path = path.to_owned();
    in_folder(ws, agent, move |files| {
        let path = files.relative(&path)?;
        let part = files.read(&path, 0, most)?.ok_or(FilesError::NotFound(path))?;
        Ok(Content::of(part.bytes, part.total, part.executable))
    })
    .await
}

/// Opens a file for download.
///
/// # Errors
/// If the file does not exist or the path leaves the folder.
pub async fn open(ws: &Ws, agent: &Agent, path: &str) -> Result<tokio::fs::File, FilesError> {
    let path = path.to_owned();
    let opened = in_folder(ws, agent, move |files| {
        let path = files.relative(&path)?;
        files.file(&path)?.ok_or(FilesError::NotFound(path))
    });
    Ok(tokio::fs::File::from_std(opened.await?))
}

pub(super) async fn in_folder<T: Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    body: impl FnOnce(&AgentFiles) -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    let folder = there::folder(ws, agent).await?;
    let done = tokio::task::spawn_blocking(move || {
        if !folder.is_dir() {
            return Err(FilesError::NoFolder);
        }
        body(&AgentFiles::open(&folder)?)
    });
    done.await.map_err(|_| FilesError::CutOff)?
}

#[cfg(test)]
mod tests {
    use git::files::AgentFiles;

    use super::{MAX_NODES, Tree, walk};

    #[test]
    fn the_folder_that_is_looked_at_is_listed_however_many_there_are() {
        let dir = tempfile::tempdir().unwrap();
        for folder in 0..12 {
            let folder = dir.path().join(format!("d{folder:02}"));
            std::fs::create_dir(&folder).unwrap();
            for file in 0..100 {
                std::fs::write(folder.join(format!("n{file}.md")), "Note\n").unwrap();
            }
        }
        let files = AgentFiles::open(dir.path()).unwrap();
        let listed = |path: &str| {
            let mut tree = Tree::default();
            walk(&files, "", (0, 0), path, &mut tree, &mut 0).unwrap();
            tree
        };
        let has = |tree: &Tree, path: &str| tree.nodes.iter().any(|node| node.path == path);
        let tree = listed("");
        assert!(tree.is_cut && tree.nodes.len() <= MAX_NODES, "{}", tree.nodes.len());
        assert!(has(&tree, "d00/n0.md") && has(&tree, "d11") && !has(&tree, "d11/n0.md"));
        for path in ["d11", "d11/n42.md"] {
            let tree = listed(path);
            let inside = tree.nodes.iter().filter(|node| node.path.starts_with("d11/")).count();
            assert_eq!(inside, 100, "{path}");
            assert!(has(&tree, "d00/n0.md"), "the others are what they were");
        }
    }
}
