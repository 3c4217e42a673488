//! Reads of delivered work.

pub mod card;
pub mod diff;

use super::model::{self, Deliverable, Review, VERSIONS_BY_DELIVERABLE, Version};
use super::rules::DeliverableError;
use crate::kernel::{DeliverableId, DeliverableState, TaskId, Timestamp, TypedId as _, Verdict};
use crate::store::{KeyBuf, Range, Read, ReadExt, StoreError};

/// How many pieces the list of decided work looks back at.
const LOOK_BACK: usize = 200;

/// A version with what was said of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The version.
    pub version: Version,
    /// What a person said of it.
    pub review: Option<Review>,
}

/// A piece of work with all its versions, oldest first.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The piece.
    pub deliverable: Deliverable,
    /// Its versions.
    pub versions: Vec<Judged>,
}

impl Piece {
    /// What tools call it.
    #[must_use]
    pub fn short(&self) -> String {
        self.deliverable.id.short()
    }

    /// The version that counts.
    #[must_use]
    pub fn newest(&self) -> Option<&Judged> {
        self.versions.last()
    }

    /// What a person last said of it, if that was not only a yes.
    #[must_use]
    pub fn last_note(&self) -> Option<&str> {
        let review = self.versions.iter().rev().find_map(|judged| judged.review.as_ref())?;
        let matters = review.verdict != Verdict::Approved && !review.note.is_empty();
        matters.then_some(review.note.as_str())
    }
}

/// The delivered work of a task, oldest first.
///
/// # Errors
/// When the store fails.
pub fn of_task(read: &dyn Read, task: TaskId) -> Result<Vec<Piece>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&task));
    let all: Vec<Deliverable> = read.scan(model::BY_TASK, &range)?;
    all.into_iter().map(|deliverable| with_versions(read, deliverable)).collect()
}

/// A piece of work with its versions.
///
/// # Errors
/// When the store fails.
pub fn with_versions(read: &dyn Read, deliverable: Deliverable) -> Result<Piece, StoreError> {
    let range = Range::prefix(KeyBuf::of(&deliverable.id));
    let mut versions = Vec::new();
    for version in read.scan::<Version>(VERSIONS_BY_DELIVERABLE, &range)? {
        let review = read.get::<Review>(version.id)?;
        versions.push(Judged { version, review });
    }
    Ok(Piece { deliverable, versions })
}

/// A piece of work by its id.
///
/// # Errors
/// When there is none.
pub fn get(read: &dyn Read, id: DeliverableId) -> Result<Piece, DeliverableError> {
    match read.get::<Deliverable>(id)? {
        Some(piece) => Ok(with_versions(read, piece)?),
        None => Err(DeliverableError::NotFound(id.to_string())),
    }
}

/// A piece of a task by what models call it: its short or whole id, or its exact title.
///
/// # Errors
/// When there is none.
pub fn resolve(read: &dyn Read, task: TaskId, text: &str) -> Result<Deliverable, DeliverableError> {
    let text = text.trim();
    let range = Range::prefix(KeyBuf::of(&task));
    let all: Vec<Deliverable> = read.scan(model::BY_TASK, &range)?;
    let fits = |piece: &&Deliverable| {
        piece.id.short() == text
            || piece.id.to_string() == text
            || piece.title.eq_ignore_ascii_case(text)
    };
    let found = all.iter().rev().find(fits).cloned();
    found.ok_or_else(|| DeliverableError::NotFound(text.chars().take(60).collect()))
}

/// A piece of a task that was sent back or still waits, with this title: what a model means that
/// delivers the same again without saying so.
///
/// # Errors
/// When the store fails.
pub fn unfinished(
    read: &dyn Read,
    task: TaskId,
    title: &str,
) -> Result<Option<Deliverable>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&task));
    let all: Vec<Deliverable> = read.scan(model::BY_TASK, &range)?;
    let open =
        |state| matches!(state, DeliverableState::InReview | DeliverableState::ChangesRequested);
    let same =
        |piece: &Deliverable| open(piece.state) && piece.title.eq_ignore_ascii_case(title.trim());
    Ok(all.into_iter().find(same))
}

/// What waits for a person, longest waiting first.
///
/// # Errors
/// When the store fails.
pub fn in_review(read: &dyn Read, limit: usize) -> Result<Vec<Deliverable>, StoreError> {
    read.scan(model::IN_REVIEW, &Range::all().limit(limit))
}

/// How many pieces wait for a person, counted up to a thousand.
///
/// # Errors
/// When the store fails.
pub fn in_review_count(read: &dyn Read) -> Result<usize, StoreError> {
    read.len(model::IN_REVIEW, &Range::all().limit(1_000))
}

/// What was sent back and is not delivered anew, and what was decided since a moment; each the
/// last changed first.
///
/// # Errors
/// When the store fails.
pub fn decided(
    read: &dyn Read,
    since: Timestamp,
) -> Result<(Vec<Deliverable>, Vec<Deliverable>), StoreError> {
    let mut all: Vec<Deliverable> = read.list(&Range::all().reverse().limit(LOOK_BACK))?;
    all.sort_by_key(|piece| std::cmp::Reverse(piece.updated_at));
    let mut back = Vec::new();
    let mut decided = Vec::new();
    for piece in all {
        match piece.state {
            DeliverableState::ChangesRequested => back.push(piece),
            DeliverableState::Approved | DeliverableState::Rejected
                if since <= piece.updated_at =>
            {
                decided.push(piece);
            }
            _ => {}
        }
    }
    Ok((back, decided))
}
