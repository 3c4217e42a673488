//! Writes of the audit: retention settings and notifications of verification faults.

use kernel::{About, FieldError, Notice, NoticeKind, Problem, ProblemKind};
use store::{StoreError, WriteTx};

use super::model::Keeping;

/// Upper limit of the retention, in days: ten years.
const MAX_DAYS: u16 = 3_650;

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("{message}")]
    Field {
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The cursor is from before a restore of the store.
    #[error("the cursor belongs to an earlier state of this database; start again without it")]
    OtherLife,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuditError {
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Field { field, message: message.into() }
    }
}

impl Problem for AuditError {
    fn code(&self) -> &'static str {
        match self {
            Self::Field { .. } => "invalid",
            Self::OtherLife => "unknown_incarnation",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Field { .. } => ProblemKind::Invalid,
            Self::OtherLife => ProblemKind::Gone,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Field { field, message } => vec![FieldError::new(*field, message)],
            _ => Vec::new(),
        }
    }
}

/// Replaces the retention settings.
///
/// # Errors
/// If a value is out of range.
pub fn keep(tx: &mut WriteTx<'_>, keeping: Keeping) -> Result<Keeping, AuditError> {
    if !(1..=MAX_DAYS).contains(&keeping.days) {
        return Err(AuditError::field("days", format!("enter 1 to {MAX_DAYS} days")));
    }
    if keeping.megabytes == Some(0) {
        return Err(AuditError::field("megabytes", "enter 1 or more, or leave it empty"));
    }
    tx.put(&keeping)?;
    Ok(keeping)
}

/// Notifies the admins of verification faults. The result itself is only in memory, and the person who started the
/// verification may not look again.
pub fn tell_faults(tx: &mut WriteTx<'_>, faults: u64) {
    let title = match faults {
        1 => "Verification found 1 fault".to_owned(),
        n => format!("Verification found {n} faults"),
    };
    let why = "Something outside HQ changed the data, or the disk is damaged. See Settings, Audit. \
        After a restart, verify again to see the details.";
    let notice = Notice::new(NoticeKind::OperationFailed, About::Workspace, title);
    tx.emit(notice.body(why).only().admins().event());
}
