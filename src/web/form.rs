//! Validation errors of a submitted form, for the page that shows it again.

use axum::http::StatusCode;

use crate::error::PageError;
use kernel::text::capitalized;
use kernel::{FieldError, Problem, ProblemKind};
use store::{Read, ReadExt as _, Record, StoreError};

/// Converts an error message (lower case, no full stop) to a sentence.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut sentence = capitalized(text);
    if !sentence.is_empty() && !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

/// Changes by others to a record while a person edited it. Empty without a conflict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EditConflict {
    /// The revision for the next submit.
    pub rev: String,
    /// A sentence: who changed what.
    pub message: String,
    /// URL of the record's history.
    pub history: String,
}

impl EditConflict {
    /// Whether there is a conflict.
    #[must_use]
    pub fn is_told(&self) -> bool {
        !self.message.is_empty()
    }

    /// The status of the redisplayed form.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if self.is_told() { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    /// Updates the revision of a form after a conflict, so that the form can be saved again.
    pub fn renew(&self, rev: &mut String) {
        if self.is_told() {
            rev.clone_from(&self.rev);
        }
    }
}

/// The revision of a record, for the hidden field `rev` of its form. `0` if there is none.
pub fn rev_of<R: Record>(read: &dyn Read, id: R::Id) -> Result<String, StoreError> {
    Ok(read.get_rev::<R>(id)?.map_or(0, |(_, rev)| rev).to_string())
}

/// Fails if the record has changed since its form was drawn with `rev`. A form without it is not checked.
///
/// # Errors
/// `Stale`.
pub fn check_rev<R: Record>(read: &dyn Read, id: R::Id, rev: &str) -> Result<(), StoreError> {
    match rev.is_empty() || rev == rev_of::<R>(read, id)? {
        true => Ok(()),
        false => Err(StoreError::Stale),
    }
}

/// Errors of single fields and of the whole form.
#[derive(Clone, Debug, Default)]
pub struct Wrong {
    fields: Vec<FieldError>,
    whole: String,
    is_stale: bool,
}

impl Wrong {
    /// No errors.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Converts an error that the person can fix in the form. Returns any other error.
    ///
    /// # Errors
    /// The problem, if the input did not cause it.
    pub fn of(problem: &dyn Problem) -> Result<Self, PageError> {
        let fields = problem.fields();
        let whole = match problem.kind() {
            ProblemKind::Invalid | ProblemKind::Conflict | ProblemKind::TooLarge => {
                if fields.is_empty() { problem.to_string() } else { String::new() }
            }
            ProblemKind::Stale => {
                "Someone else changed this while you were typing. Check it again, then save."
                    .to_owned()
            }
            ProblemKind::Full => {
                "The disk is full, so nothing was saved. What you typed is still here: free some \
                 space, then try again."
                    .to_owned()
            }
            _ => return Err(PageError(crate::error::Failure::of(problem))),
        };
        Ok(Self { fields, whole, is_stale: problem.kind() == ProblemKind::Stale })
    }

    /// Whether somebody else has changed the record since the form was drawn.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// The status of the redisplayed form. By 412, the script knows that it can send the form again.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.is_stale {
            true => StatusCode::PRECONDITION_FAILED,
            false => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// An error of one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::from(FieldError::new(field, message))
    }

    /// An error of the whole form.
    pub fn message(whole: impl Into<String>) -> Self {
        Self { whole: whole.into(), ..Self::default() }
    }

    /// Returns the value, or collects the error, so that a form reports all errors at once.
    pub fn note<T>(&mut self, checked: Result<T, impl Problem>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(problem) => {
                self.fields.extend(problem.fields());
                None
            }
        }
    }

    /// Like [`Self::note`], for errors that are already a [`Wrong`].
    pub fn join<T>(&mut self, checked: Result<T, Self>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.fields.extend(wrong.fields);
                None
            }
        }
    }

    /// Whether a field has an error.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// The error of a field, or empty.
    #[must_use]
    pub fn at(&self, field: &str) -> &str {
        self.fields.iter().find(|wrong| wrong.field == field).map_or("", |wrong| &wrong.message)
    }

    /// The error of the whole form, or empty.
    #[must_use]
    pub fn whole(&self) -> &str {
        &self.whole
    }
}

impl From<FieldError> for Wrong {
    fn from(one: FieldError) -> Self {
        Self { fields: vec![one], ..Self::default() }
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
        let conflict = EditConflict { rev: "9".into(), message: "Tom changed it".into(), ..nobody };
        conflict.renew(&mut rev);
        assert_eq!((rev.as_str(), conflict.status().as_u16()), ("9", 409));
    }
}
