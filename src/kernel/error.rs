//! The error type of rules: kind, stable code, message and rejected fields.

use std::fmt;

use crate::{FieldError, Problem, ProblemKind};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A rejection or failure of a rule. One pointer wide, so that results stay small.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ProblemKind,
    code: &'static str,
    message: String,
    fields: Vec<FieldError>,
    source: Option<Source>,
}

impl Error {
    /// An error without fields. `message` is lower case and says what is wrong and what to do next.
    #[must_use]
    pub fn new(kind: ProblemKind, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner { kind, code, message, fields: Vec::new(), source: None }))
    }

    /// Rejects several fields; at least one is expected. The message joins their messages.
    #[must_use]
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let messages: Vec<&str> = fields.iter().map(|field| field.message.as_str()).collect();
        let mut error = Self::new(ProblemKind::Invalid, "invalid", messages.join(" "));
        error.0.fields = fields;
        error
    }

    /// Rejects one field.
    #[must_use]
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, message)])
    }

    /// Converts another error type, with its kind, code and fields.
    #[must_use]
    pub fn of(problem: impl Problem) -> Self {
        let (kind, code) = (problem.kind(), problem.code());
        let (message, fields) = (problem.to_string(), problem.fields());
        Self(Box::new(Inner { kind, code, message, fields, source: Some(Box::new(problem)) }))
    }

    /// Replaces the code.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.0.code = code;
        self
    }

    /// Returns `true` if the error has this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.0.code == code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl Problem for Error {
    fn code(&self) -> &'static str {
        self.0.code
    }

    fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    fn fields(&self) -> Vec<FieldError> {
        self.0.fields.clone()
    }
}
