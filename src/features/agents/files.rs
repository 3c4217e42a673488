//! Reading an agent's files for people and the API. Links are never followed, and no path leaves
//! the folder: the leaf that opens them sees to that.

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
    /// They lie on another machine, of which nothing is heard.
    #[error("{0}; the files can be changed when it is back")]
    Silent(String),
    /// They lie on another machine, and were changed there meanwhile.
    #[error(
        "the files were changed on {0} at the same moment; look at them again and put your change on top"
    )]
    Overtaken(String),
    /// One of them lies on another machine as nobody may have it here, so that nothing is written over it.
    #[error(
        "{path} stays on {label} as it is: {why}; have its agent put that right there, and then make your change \
         again"
    )]
    Stays {
        /// The machine.
        label: String,
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The machine on which they lie does not do what is asked of it.
    #[error("the files on {label} cannot be reached now: {why}")]
    There {
        /// The machine.
        label: String,
        /// What it says.
        why: String,
    },
    /// What came from another machine is not as it should be.
    #[error("what came from the other machine cannot be used: {0}")]
    Damaged(String),
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
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Its size, if it is a file.
    pub bytes: Option<u64>,
    /// How it stands to the newest commit, if it is a file.
    pub standing: Option<Standing>,
}

/// The files of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Files and folders, each folder before what is in it.
    pub nodes: Vec<Node>,
    /// Whether there are more than are listed.
    pub is_cut: bool,
    /// Those that each prompt holds, as it reads them.
    pub prompted: Vec<Prompted>,
}

/// A file that each prompt of the agent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompted {
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
    /// How much of it a prompt holds at most.
    pub most: u64,
    /// How it stands to the newest commit.
    pub standing: Standing,
}

impl Prompted {
    /// How many bytes of it a prompt holds.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.bytes.min(self.most)
    }
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
    /// What its bytes say it is.
    pub kind: file::Kind,
}

impl Content {
    /// The beginning of a file that has `total` bytes.
    pub(super) fn of(bytes: Vec<u8>, total: u64, executable: bool) -> Self {
        let is_cut = (bytes.len() as u64) < total;
        let kind = file::Kind::of(&bytes[..bytes.len().min(TELLING)]);
        Self { text: of_bytes(bytes, is_cut), total, is_cut, executable, kind }
    }
}

/// The tree of an agent's files: open two folders deep, and along `path`.
///
/// # Errors
/// When there is no folder or the disk fails.
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

/// How a file stands to the newest commit.
///
/// # Errors
/// When there is no folder or the disk fails.
pub async fn standing(ws: &Ws, agent: &Agent, path: &str) -> Result<Standing, FilesError> {
    let (own, path, branch) = (ws.clone(), path.to_owned(), Branch::agent(&agent.slug)?);
    in_folder(ws, agent, move |files| {
        let all = own.repo()?.standings(&branch, files, &[&path])?;
        Ok(all.first().copied().unwrap_or(Standing::Same))
    })
    .await
}

/// Lists a folder, so deep below the top, with so many places `spent` and so many owed to what comes behind it in the
/// folders around it. What lies on the way to `path` is always listed, and what is in those folders takes no place.
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
    // Folders first, as people expect it.
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
                // Where one did not fit the others stay shut, too.
                if leads(&at) || (depth + 1 < OPEN_DEPTH && !tree.is_cut) {
                    walk(files, &at, (depth + 1, owed + many - n - 1), path, tree, spent)?;
                }
            }
            // Kept so that git keeps the folder; nothing for people.
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

/// The beginning of a file as text: at most `most` bytes of it.
///
/// # Errors
/// When there is no such file or the path leaves the folder.
pub async fn read(ws: &Ws, agent: &Agent, path: &str, most: u64) -> Result<Content, FilesError> {
    let path = path.to_owned();
    in_folder(ws, agent, move |files| {
        let path = files.relative(&path)?;
        let part = files.read(&path, 0, most)?.ok_or(FilesError::NotFound(path))?;
        Ok(Content::of(part.bytes, part.total, part.executable))
    })
    .await
}

/// A file, opened to be handed out.
///
/// # Errors
/// When there is no such file or the path leaves the folder.
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
