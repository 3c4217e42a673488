//! Why a source of skills cannot be read.

use kernel::{Problem, ProblemKind};
use net::error::NetError;
use skill::SkillError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Skill(#[from] SkillError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("{host} answered with status {status}; check that the address is publicly accessible")]
    Status { host: String, status: u16 },
    #[error("{host} has no index of skills; enter the address of an archive or a repository")]
    NoIndex { host: String },
    /// The repository, or git itself, failed.
    #[error("the repository can't be read: {reason}")]
    Git { reason: String },
    /// The machine cannot run git in the jail.
    #[error("git can't be started: {reason}")]
    NoGit { reason: String },
    /// A thread of this process failed.
    #[error("the files can't be read; try again")]
    Broken,
}

impl Problem for FetchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Skill(error) => error.code(),
            Self::Net(error) => error.code(),
            Self::Status { .. } => "skill_source_status",
            Self::NoIndex { .. } => "skill_no_index",
            Self::Git { .. } => "skill_git",
            Self::NoGit { .. } => "skill_no_git",
            Self::Broken => "skill_fetch",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Skill(error) => error.kind(),
            Self::Net(error) => error.kind(),
            Self::Status { .. } | Self::Git { .. } => ProblemKind::Upstream,
            Self::NoIndex { .. } => ProblemKind::NotFound,
            Self::NoGit { .. } => ProblemKind::Unavailable,
            Self::Broken => ProblemKind::Internal,
        }
    }
}
