//! What is wrong with a form that was sent, for the page that shows it again.

use crate::kernel::text::capitalized;
use crate::kernel::{FieldError, Problem, ProblemKind};
use crate::web::error::PageError;

/// Error messages are lower case without a full stop; a person reads a sentence.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut sentence = capitalized(text);
    if !sentence.is_empty() && !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

/// What is wrong: field by field, and as a whole.
#[derive(Clone, Debug, Default)]
pub struct Wrong {
    fields: Vec<FieldError>,
    whole: String,
}

impl Wrong {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What a rule refused, if a person can mend it in the form; else the error goes on.
    ///
    /// # Errors
    /// When it is not about what was typed.
    pub fn of(problem: &dyn Problem) -> Result<Self, PageError> {
        let fields = problem.fields();
        let whole = match problem.kind() {
            ProblemKind::Invalid | ProblemKind::Conflict | ProblemKind::TooLarge => {
                if fields.is_empty() { problem.to_string() } else { String::new() }
            }
            ProblemKind::Stale => {
                "Somebody else changed this while you were typing. Look at it again, then save."
                    .to_owned()
            }
            _ => return Err(PageError(crate::web::error::Failure::of(problem))),
        };
        Ok(Self { fields, whole })
    }

    /// One field, with what would be right.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self { fields: vec![FieldError::new(field, message)], whole: String::new() }
    }

    /// The form as a whole.
    pub fn said(whole: impl Into<String>) -> Self {
        Self { fields: Vec::new(), whole: whole.into() }
    }

    /// The value of a field, or none with what is wrong noted, so that a form says all at once.
    pub fn note<T>(&mut self, checked: Result<T, impl Problem>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(problem) => {
                self.fields.extend(problem.fields());
                None
            }
        }
    }

    /// The same for what was found wrong already.
    pub fn join<T>(&mut self, checked: Result<T, Self>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.fields.extend(wrong.fields);
                None
            }
        }
    }

    /// Whether a field is wrong.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// What is wrong with a field; empty if nothing is.
    #[must_use]
    pub fn at(&self, field: &str) -> &str {
        self.fields.iter().find(|wrong| wrong.field == field).map_or("", |wrong| &wrong.message)
    }

    /// What is wrong with the form as a whole; empty if nothing is.
    #[must_use]
    pub fn whole(&self) -> &str {
        &self.whole
    }
}
