//! What is wrong with a form that was sent, for the page that shows it again.

use axum::http::StatusCode;

use crate::error::PageError;
use kernel::text::capitalized;
use kernel::{FieldError, Problem, ProblemKind};

/// Error messages are lower case without a full stop; a person reads a sentence.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut sentence = capitalized(text);
    if !sentence.is_empty() && !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

/// What others have changed in a record while somebody filled in a form about it. Empty when nobody was
/// faster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EditConflict {
    /// The revision that the form is to be sent with next.
    pub rev: String,
    /// Who has changed what, in a sentence.
    pub said: String,
    /// Where the changes can be looked at.
    pub history: String,
}

impl EditConflict {
    /// Whether somebody was faster.
    #[must_use]
    pub fn is_told(&self) -> bool {
        !self.said.is_empty()
    }

    /// The status of a form that comes back.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if self.is_told() { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    /// Gives a form the revision with which it can be saved once more.
    pub fn renew(&self, rev: &mut String) {
        if self.is_told() {
            rev.clone_from(&self.rev);
        }
    }
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
            ProblemKind::Full => {
                "The disk is full, so nothing was saved. What you typed is still here: free some \
                 space, then try again."
                    .to_owned()
            }
            _ => return Err(PageError(crate::error::Failure::of(problem))),
        };
        Ok(Self { fields, whole })
    }

    /// One field, with what would be right.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::from(FieldError::new(field, message))
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

impl From<FieldError> for Wrong {
    fn from(one: FieldError) -> Self {
        Self { fields: vec![one], whole: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::EditConflict;

    #[test]
    fn a_form_gets_the_next_revision_only_when_somebody_was_faster() {
        let (nobody, mut rev) = (EditConflict::default(), "7".to_owned());
        nobody.renew(&mut rev);
        assert_eq!((rev.as_str(), nobody.status().as_u16()), ("7", 422));
        let told = EditConflict { rev: "9".into(), said: "Tom changed it".into(), ..nobody };
        told.renew(&mut rev);
        assert_eq!((rev.as_str(), told.status().as_u16()), ("9", 409));
    }
}
