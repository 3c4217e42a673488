//! Errors of knowledge.

use features::connections::queries::vectors::VectorError;
use features::tasks::queries::error::TaskError;
use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// No such record.
    #[error("there is no {what} \"{said}\"")]
    NotFound {
        /// The kind of record.
        what: &'static str,
        /// The name or id in the request.
        said: String,
    },
    /// No such model.
    #[error("there is no model \"{said}\"; {}", match .known.as_slice() {
        [] => "none is available".to_owned(),
        known => format!("use {}", known.join(" or ")),
    })]
    NoModel {
        /// The name or id in the request.
        said: String,
        /// The accepted names.
        known: Vec<String>,
    },
    /// The item is archived.
    #[error("\"{0}\" is archived; restore it first")]
    Archived(String),
    /// An agent may not write it.
    #[error("{0}")]
    NotYours(String),
    /// The current state forbids it.
    #[error("{0}")]
    Refused(String),
    /// A conflicting concurrent change.
    #[error(
        "someone else changed the same lines; read it again and apply your change to the current \
            version"
    )]
    Clash(Box<tool::merge::Clash>),
    /// A mask would replace the current value.
    #[error("{0}")]
    Mask(tool::masks::Masked),
    /// Changed between read and write; retry.
    #[error("it has just changed; try again")]
    Moved,
    /// Invalid input.
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KnowledgeError {
    /// An error of one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// A missing record.
    #[must_use]
    pub fn no(what: &'static str, name: &str) -> Self {
        Self::NotFound { what, said: kernel::text::ellipsis(name, 60) }
    }

    /// A missing model; `known` are the accepted names.
    pub fn no_model(name: &str, known: impl IntoIterator<Item = String>) -> Self {
        let name = kernel::text::ellipsis(name, 60);
        Self::NoModel { said: name, known: known.into_iter().collect() }
    }

    /// A disk error.
    #[must_use]
    pub fn disk(error: &std::io::Error) -> Self {
        Self::Store(StoreError::of_file(error))
    }
}

impl From<TaskError> for KnowledgeError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<VectorError> for KnowledgeError {
    fn from(error: VectorError) -> Self {
        match error {
            VectorError::Store(error) => Self::Store(error),
            VectorError::NoConnection(name) => Self::NotFound { what: "connection", said: name },
            VectorError::NoModel => Self::field("model", web::form::sentence(&error.to_string())),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Problem for KnowledgeError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } | Self::NoModel { .. } => "knowledge_not_found",
            Self::Archived(_) => "knowledge_archived",
            Self::NotYours(_) => "not_yours",
            Self::Refused(_) => "refused",
            Self::Clash(_) => "text_clash",
            Self::Mask(_) => "text_holds_mask",
            Self::Moved => "changed_meanwhile",
            Self::Invalid(_) => "invalid",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound { .. } | Self::NoModel { .. } => ProblemKind::NotFound,
            Self::NotYours(_) => ProblemKind::Forbidden,
            Self::Archived(_) | Self::Refused(_) | Self::Clash(_) | Self::Moved => {
                ProblemKind::Conflict
            }
            Self::Invalid(_) | Self::Mask(_) => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) => fields.clone(),
            Self::Mask(_) => vec![FieldError::new("text", self.to_string())],
            _ => Vec::new(),
        }
    }
}
