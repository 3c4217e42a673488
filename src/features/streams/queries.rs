//! Reads of streams, and their limits and errors.

use jiff::civil::Date;

use super::model::{self, Stream};
use kernel::key::KeyBuf;
use kernel::{Error, FieldError, Problem, ProblemKind, StreamId};
use store::{Range, Read, ReadExt as _, StoreError};

/// Maximum name length in characters.
pub const MAX_NAME: usize = 60;
/// Maximum description length in characters.
pub const MAX_DESCRIPTION: usize = 300;
/// Maximum goal length in characters.
pub const MAX_GOAL: usize = 2_000;
/// Maximum number of streams.
pub const MOST: usize = 500;

#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("there is no stream \"{0}\"; choose one from the list of streams")]
    NotFound(String),
    #[error("a stream called \"{0}\" already exists; choose another name")]
    Taken(String),
    #[error("{0} is archived; restore it first")]
    Archived(String),
    #[error("there are already {MOST} streams, the maximum; use labels instead")]
    TooMany,
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<StreamError> for Error {
    fn from(error: StreamError) -> Self {
        Self::of(error)
    }
}

impl Problem for StreamError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "stream_not_found",
            Self::Taken(_) => "stream_taken",
            Self::Archived(_) => "stream_archived",
            Self::TooMany => "too_many_streams",
            Self::Invalid(_) => "invalid",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::Archived(_) | Self::TooMany => ProblemKind::Conflict,
            Self::Taken(_) | Self::Invalid(_) => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) => fields.clone(),
            Self::Taken(_) => vec![FieldError::new("name", self.to_string())],
            _ => Vec::new(),
        }
    }
}

/// Stream and its revision.
pub fn get_rev(read: &dyn Read, id: StreamId) -> Result<(Stream, u64), StreamError> {
    read.get_rev::<Stream>(id)?.ok_or_else(|| StreamError::NotFound(id.to_string()))
}

/// Finds a stream by id, or by case-insensitive name among unarchived ones.
pub fn resolve(read: &dyn Read, text: &str) -> Result<Stream, StreamError> {
    let text = text.trim();
    let found = match text.parse::<StreamId>() {
        Ok(id) => read.get::<Stream>(id)?,
        Err(_) => called(read, text)?,
    };
    found.ok_or_else(|| StreamError::NotFound(text.chars().take(MAX_NAME).collect()))
}

/// The unarchived stream with this name.
pub fn called(read: &dyn Read, name: &str) -> Result<Option<Stream>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&name.to_lowercase());
    read.find::<Stream>(model::BY_NAME, &key)
}

/// Parses a day. Empty and `none` mean no day.
///
/// # Errors
/// If it is no day.
pub fn day(text: &str) -> Result<Option<Date>, StreamError> {
    match text.trim() {
        "" | "none" => Ok(None),
        text => text.parse().map(Some).map_err(|_: jiff::Error| {
            let message = "Enter a date such as 2026-11-20.";
            StreamError::Invalid(vec![FieldError::new("target_date", message)])
        }),
    }
}

/// All streams by rank, including archived ones.
pub fn all(read: &dyn Read) -> Result<Vec<Stream>, StoreError> {
    read.scan::<Stream>(model::BY_RANK, &Range::all())
}

/// Unarchived streams by rank.
pub fn in_use(read: &dyn Read) -> Result<Vec<Stream>, StoreError> {
    let mut all = all(read)?;
    all.retain(|stream| stream.archived_at.is_none());
    Ok(all)
}
