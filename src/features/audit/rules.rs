//! What the audit itself writes: how long former versions are kept, and that a verification found something.

use kernel::{About, FieldError, Notice, NoticeKind, Problem, ProblemKind};
use store::{StoreError, WriteTx};

use super::model::Keeping;

/// The longest time that can be set, in days: ten years.
const MAX_DAYS: u16 = 3_650;

/// Why the audit refused.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A field is wrong.
    #[error("{message}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A cursor of another life of the store.
    #[error("the cursor belongs to another life of this store; begin again without it")]
    OtherLife,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuditError {
    /// A refused field.
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

/// Sets how long former versions are kept.
///
/// # Errors
/// When a figure is out of range.
pub fn keep(tx: &mut WriteTx<'_>, keeping: Keeping) -> Result<Keeping, AuditError> {
    if !(1..=MAX_DAYS).contains(&keeping.days) {
        return Err(AuditError::field("days", format!("write 1 to {MAX_DAYS} days")));
    }
    if keeping.megabytes == Some(0) {
        return Err(AuditError::field("megabytes", "write 1 or more, or leave it empty"));
    }
    tx.put(&keeping)?;
    Ok(keeping)
}

/// Tells those who look after a workspace that a verification found what does not fit its hash. What it
/// found is in memory alone, and whoever asked for it may look no more.
pub fn tell_faults(tx: &mut WriteTx<'_>, faults: u64) {
    let title = match faults {
        1 => "Verification: 1 fault in the record".to_owned(),
        n => format!("Verification: {n} faults in the record"),
    };
    let why = "Something was changed behind HQ's back, or the disk has damaged it. Settings, Audit names it, \
               after a restart when it is verified once more.";
    let notice = Notice::new(NoticeKind::OperationFailed, About::Workspace, title);
    tx.emit(notice.body(why).only().admins().event());
}
