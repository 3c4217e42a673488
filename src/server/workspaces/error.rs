//! Errors of operations on whole workspaces.

use std::io;
use std::path::PathBuf;

use features::users::rules::UsersError;
use features::workspace::rules::WorkspaceError;
use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

use super::OpenError;

/// Maximum number of workspaces per server.
pub(super) const MOST: usize = 200;

/// Why a workspace was not added, archived, deleted or moved.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    #[error("there is no workspace {0}; `hq workspace list` shows all of them")]
    Unknown(String),
    /// The workspace exists and cannot be opened.
    #[error("{words}")]
    Shut {
        /// Indicates whether a backup can restore the workspace.
        code: &'static str,
        /// The reason and the remedy.
        words: String,
    },
    /// The slug is taken.
    #[error("a workspace at /w/{0} already exists; choose another name")]
    Taken(String),
    /// The name was not typed correctly as a confirmation.
    #[error("type the name, {0}, to delete this workspace")]
    NotTyped(String),
    /// Running work does not stop.
    #[error("this workspace's agents are still working; try again in a minute")]
    Busy,
    /// The maximum number of workspaces is reached.
    #[error("this server already has {MOST} workspaces; delete one first")]
    Many,
    /// The target of the move exists.
    #[error("{} already exists; name a new folder", .0.display())]
    Occupied(PathBuf),
    #[error("{}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A field is invalid.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The list rejected the change.
    #[error(transparent)]
    Users(#[from] UsersError),
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
