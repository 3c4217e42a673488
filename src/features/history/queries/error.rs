//! What reading history, or undoing, refuses.

use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

use crate::trust::queries::widening::Refused;

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// No such table, or none that this person may look into.
    #[error("nothing is known here of the history of \"{0}\"")]
    NoHistory(String),
    /// No such record.
    #[error("\"{0}\" was never here; give the id as it came")]
    NotFound(String),
    /// No such entry.
    #[error("there is no entry {0}")]
    NoEntry(u64),
    /// The entry did not change that record.
    #[error("entry {0} did not change this record; take a version from its history")]
    NotThere(u64),
    /// A page cursor that fits nothing.
    #[error("give back the `next` of the page before")]
    BadCursor,
    /// A page cursor of another life of the store.
    #[error("this workspace was restored since; begin again without `before`")]
    OtherLife,
    /// No such run, or none that this person may look at.
    #[error("run {0} was not found")]
    NoRun(String),
    /// The run goes on.
    #[error("{0} has not ended; stop it first, then undo it")]
    RunLive(String),
    /// It is not said what is to be undone.
    #[error("say what to undo: one of `change`, `entry` or `run`")]
    Unclear,
    /// A basis that was not given out here.
    #[error("give back the `basis` of the preview as it came")]
    BadBasis,
    /// Nothing is left that could go back.
    #[error("there is nothing to undo here; the preview says why")]
    Nothing,
    /// An order that failed, and whose undo was undone since.
    #[error("this undo was undone since; undo the run again to take its files back")]
    FilesUndone,
    /// Something changed since the preview.
    #[error("something changed since you looked: {0}; look again and confirm")]
    Differs(String),
    /// What was made ready rests on what others have written since; it is made ready anew.
    #[error("others change what this undo is about; try again")]
    Moved,
    /// More than one transaction may change.
    #[error(
        "this undo would change {count} records, with the work that goes along, and one undo can change at most {limit}; undo its transactions or records one by one"
    )]
    TooMany {
        count: usize,
        /// How many may.
        limit: usize,
    },
    /// It would let agents do more without asking, which this person may not.
    #[error("{0}: only an owner or admin can do that")]
    Widens(&'static str),
    /// The same, where a proof of who it is would do.
    #[error(
        "{0}: confirm that it is you first, as with /api/v1/proof; that counts for ten minutes"
    )]
    NoProof(&'static str),
    /// The store refused.
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
