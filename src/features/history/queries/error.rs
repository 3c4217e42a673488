//! Errors of history and undo.

use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

use crate::trust::queries::widening::Refused;

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The table is unknown or invisible to this person.
    #[error("there is no history for \"{0}\"")]
    NoHistory(String),
    #[error("no record has the id \"{0}\"; send the id exactly as you received it")]
    NotFound(String),
    #[error("there is no entry {0}")]
    NoEntry(u64),
    /// The entry did not change the record.
    #[error("entry {0} did not change this record; take a version from its history")]
    NotThere(u64),
    #[error("send the `next` of the previous page")]
    BadCursor,
    /// The cursor is from before a restore of the store.
    #[error("this workspace has been restored since; start again without `before`")]
    OtherLife,
    /// The run is unknown or invisible to this person.
    #[error("run {0} was not found")]
    NoRun(String),
    /// The run has not ended.
    #[error("{0} is still running; stop it first, then undo it")]
    RunLive(String),
    /// The target of the undo is missing or ambiguous.
    #[error("say what to undo: one of `change`, `entry` or `run`")]
    Unclear,
    /// The basis was not issued here.
    #[error("send the `basis` of the preview unchanged")]
    BadBasis,
    /// Nothing can be undone.
    #[error("there is nothing to undo; see the preview for the reason")]
    Nothing,
    /// The undo of a failed revert order was undone since.
    #[error("this undo has been undone since; undo the run again to restore its files")]
    FilesUndone,
    /// Something changed since the preview.
    #[error("something changed since the preview: {0}; check it again and confirm")]
    Differs(String),
    /// The prepared undo depends on data that has changed since. Prepare it again.
    #[error("others are changing the same records; try again")]
    Moved,
    /// The undo exceeds the limit of one transaction.
    #[error(
        "this undo would change {count} records, including related work, and one undo can change \
         at most {limit}; undo its transactions or records one by one"
    )]
    TooMany {
        count: usize,
        /// Limit of one transaction.
        limit: usize,
    },
    /// The undo would widen agents' permissions, which needs an admin.
    #[error("{0}: only an owner or admin can do that")]
    Widens(&'static str),
    /// The undo would widen agents' permissions, which needs a recent proof of identity.
    #[error("{0}: confirm it's you first, as with /api/v1/proof; that lasts ten minutes")]
    NoProof(&'static str),
    #[error(transparent)]
    Store(StoreError),
}

impl From<Refused<Self>> for HistoryError {
    fn from(error: Refused<Self>) -> Self {
        match error {
            Refused::NotAdmin(what) => Self::Widens(what),
            Refused::NoProof(what) => Self::NoProof(what),
            Refused::Rule(error) => error,
        }
    }
}

impl From<StoreError> for HistoryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooMany { count, limit } => Self::TooMany { count, limit },
            other => Self::Store(other),
        }
    }
}

impl Problem for HistoryError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoHistory(_) => "no_history",
            Self::NotFound(_) => "record_not_found",
            Self::NoEntry(_) => "entry_not_found",
            Self::NotThere(_) => "change_not_found",
            Self::BadCursor => "bad_cursor",
            Self::OtherLife => "unknown_incarnation",
            Self::NoRun(_) => "run_not_found",
            Self::RunLive(_) => "run_live",
            Self::Unclear => "undo_unclear",
            Self::BadBasis => "bad_basis",
            Self::Nothing => "nothing_to_undo",
            Self::FilesUndone => "undo_undone",
            Self::Differs(_) => "undo_differs",
            Self::Moved => "undo_moved",
            Self::TooMany { .. } => "undo_too_large",
            Self::Widens(_) => "forbidden",
            Self::NoProof(_) => web::session::PROOF_REQUIRED,
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NoHistory(_)
            | Self::NotFound(_)
            | Self::NoEntry(_)
            | Self::NotThere(_)
            | Self::NoRun(_) => ProblemKind::NotFound,
            Self::BadCursor | Self::Unclear | Self::BadBasis => ProblemKind::Invalid,
            Self::OtherLife => ProblemKind::Gone,
            Self::Widens(_) | Self::NoProof(_) => ProblemKind::Forbidden,
            Self::RunLive(_)
            | Self::Nothing
            | Self::FilesUndone
            | Self::Differs(_)
            | Self::Moved
            | Self::TooMany { .. } => ProblemKind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::BadCursor => vec![FieldError::new("before", self.to_string())],
            Self::BadBasis => vec![FieldError::new("basis", self.to_string())],
            _ => Vec::new(),
        }
    }
}
