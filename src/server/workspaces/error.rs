//! Why something that is to be done with a workspace as a whole is refused.

use std::io;
use std::path::PathBuf;

use features::users::rules::UsersError;
use features::workspace::rules::WorkspaceError;
use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

use super::OpenError;

/// How many workspaces a server takes.
pub(super) const MOST: usize = 200;

/// Why a workspace was not added, archived, deleted or moved.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// There is none.
    #[error("there is no workspace {0}; `hq workspace list` shows those that there are")]
    Unknown(String),
    /// It is here and cannot be opened.
    #[error("{words}")]
    Shut {
        /// Whether a backup brings it back.
        code: &'static str,
        /// Why, and what to do.
        words: String,
    },
    /// The address is in use.
    #[error("there is a workspace at /w/{0} already; choose another name")]
    Taken(String),
    /// The name was not typed.
    #[error("type the name of the workspace, {0}, to delete it")]
    NotTyped(String),
    /// Work goes on that does not stop.
    #[error("agents of this workspace are still at work; try again in a minute")]
    Busy,
    /// There are many.
    #[error("this server has {MOST} workspaces already; delete one first")]
    Many,
    /// The place to move it to is taken.
    #[error("{} is there already; name a folder that does not exist yet", .0.display())]
    Occupied(PathBuf),
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A field is wrong.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The list refused.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for LifeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "no_workspace",
            Self::Shut { code, .. } => code,
            Self::Taken(_) => "slug_taken",
            Self::NotTyped(_) => "name_not_typed",
            Self::Busy => "busy",
            Self::Many => "too_many",
            Self::Occupied(_) => "folder_exists",
            Self::Disk { .. } | Self::Open(_) => "disk_failed",
            Self::Workspace(error) => error.code(),
            Self::Users(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Unknown(_) => ProblemKind::NotFound,
            Self::Taken(_) | Self::Many | Self::Occupied(_) => ProblemKind::Conflict,
            Self::NotTyped(_) => ProblemKind::Invalid,
            Self::Busy | Self::Shut { .. } => ProblemKind::Unavailable,
            Self::Disk { .. } | Self::Open(_) => ProblemKind::Internal,
            Self::Workspace(error) => error.kind(),
            Self::Users(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Taken(_) => vec![FieldError::new("workspace", self.to_string())],
            Self::NotTyped(_) => vec![FieldError::new("typed", self.to_string())],
            Self::Workspace(error) => error.fields(),
            Self::Users(error) => error.fields(),
            Self::Store(error) => error.fields(),
            _ => Vec::new(),
        }
    }
}
