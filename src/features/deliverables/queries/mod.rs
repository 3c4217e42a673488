//! Reads of delivered work.

pub mod card;
pub mod diff;

use super::model::{self, Deliverable, Review, VERSIONS_BY_DELIVERABLE, Version};
use super::rules::DeliverableError;
use kernel::key::KeyBuf;
use kernel::{DeliverableId, DeliverableState, TaskId, Timestamp, TypedId as _, Verdict};
use store::{Range, Read, ReadExt, StoreError};

/// How many pieces the list of decided work looks back at.
const LOOK_BACK: usize = 200;

/// A version with what was said of it.
#[derive(Clone, Debug)]
pub struct ReviewedVersion {
    pub version: Version,
    /// What a person said of it.
    pub review: Option<Review>,
}

/// A piece of work with all its versions, oldest first.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The piece.
    pub deliverable: Deliverable,
    pub versions: Vec<ReviewedVersion>,
}

impl Piece {
    /// What tools call it.
    #[must_use]
    pub fn short(&self) -> String {
        self.deliverable.id.short()
    }

    /// The version that counts.
    #[must_use]
    pub fn newest(&self) -> Option<&ReviewedVersion> {
        self.versions.last()
    }

    /// What a person last said of it, if that was not only a yes.
    #[must_use]
    pub fn last_note(&self) -> Option<String> {
        let review = self.versions.iter().rev().find_map(|judged| judged.review.as_ref())?;
        let told = describe(review);
        (review.verdict != Verdict::Approved && !told.is_empty()).then_some(told)
    }
}

/// The note of a review with its remarks, as a model reads them.
#[must_use]
pub fn describe(review: &Review) -> String {
    let mut text = review.note.clone();
    for remark in &review.remarks {
        if !text.is_empty() {
            text.push('\n');
        }
        match remark.quote.as_str() {
            "" => text.push_str(&format!("- {}", remark.text)),
            quote => text.push_str(&format!("- On \u{201c}{quote}\u{201d}: {}", remark.text)),
        }
    }
    text
}

/// What was asked for, one thing after the other: the lines of the note, then the remarks.
#[must_use]
pub fn asks(review: &Review) -> Vec<String> {
    if review.verdict != Verdict::ChangesRequested {
        return Vec::new();
    }
    let remarks = review.remarks.iter().map(|remark| match remark.quote.as_str() {
        "" => remark.text.clone(),
        quote => format!("\u{201c}{quote}\u{201d}: {}", remark.text),
    });
    let lines = review.note.lines().map(ask).filter(|line| !line.is_empty());
    lines.map(str::to_owned).chain(remarks).collect()
}

/// A line without the mark of a list before it.
fn ask(line: &str) -> &str {
    let line = line.trim();
    let line = ["- [ ] ", "- ", "* ", "+ "]
        .iter()
        .find_map(|mark| line.strip_prefix(mark))
        .unwrap_or(line);
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &line[digits..];
    match rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")) {
        Some(rest) if 0 < digits => rest.trim(),
        _ => line.trim(),
    }
}

/// The delivered work of a task, oldest first.
pub fn of_task(read: &dyn Read, task: TaskId) -> Result<Vec<Piece>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&task));
    let all: Vec<Deliverable> = read.scan(model::BY_TASK, &range)?;
    all.into_iter().map(|deliverable| with_versions(read, deliverable)).collect()
}

/// The delivered work of a task without its versions, oldest first.
pub fn pieces(read: &dyn Read, task: TaskId) -> Result<Vec<Deliverable>, StoreError> {
    read.scan(model::BY_TASK, &Range::prefix(KeyBuf::of(&task)))
}

/// The newest pieces, the youngest first.
pub fn newest(read: &dyn Read, limit: usize) -> Result<Vec<Deliverable>, StoreError> {
    read.list(&Range::all().reverse().limit(limit))
}

/// A piece of work with its versions.
pub fn with_versions(read: &dyn Read, deliverable: Deliverable) -> Result<Piece, StoreError> {
    let range = Range::prefix(KeyBuf::of(&deliverable.id));
    let mut versions = Vec::new();
    for version in read.scan::<Version>(VERSIONS_BY_DELIVERABLE, &range)? {
        let review = read.get::<Review>(version.id)?;
        versions.push(ReviewedVersion { version, review });
    }
    Ok(Piece { deliverable, versions })
}

/// A piece of work by its id.
pub fn get(read: &dyn Read, id: DeliverableId) -> Result<Piece, DeliverableError> {
    match read.get::<Deliverable>(id)? {
        Some(piece) => Ok(with_versions(read, piece)?),
        None => Err(DeliverableError::NotFound(id.to_string())),
    }
}

/// A piece of a task by what models call it: its short or whole id, or its exact title.
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
pub fn in_review(read: &dyn Read, limit: usize) -> Result<Vec<Deliverable>, StoreError> {
    read.scan(model::IN_REVIEW, &Range::all().limit(limit))
}

/// How many pieces wait for a person, counted up to a thousand.
pub fn in_review_count(read: &dyn Read) -> Result<usize, StoreError> {
    read.len(model::IN_REVIEW, &Range::all().limit(1_000))
}

/// What was sent back and is not delivered anew, and what was decided since a moment; each the
/// last changed first.
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

#[cfg(test)]
mod tests {
    use super::{asks, describe};
    use crate::deliverables::model::{Remark, Review};
    use kernel::Verdict;
    use store::Record as _;

    #[test]
    fn what_is_asked_for_are_the_lines_of_the_note_and_the_remarks() {
        let remark = |quote: &str, text: &str| Remark { quote: quote.into(), text: text.into() };
        let review = Review {
            note: "Please:\n\n- [ ] add VAT\n2. say when\n* 36 months".into(),
            remarks: vec![remark("per month", "Which?"), remark("", "Shorter")],
            ..Review::sample()
        };
        let asked =
            ["Please:", "add VAT", "say when", "36 months", "“per month”: Which?", "Shorter"];
        assert_eq!(asks(&review), asked);
        assert!(describe(&review).ends_with("\n- On “per month”: Which?\n- Shorter"));
        assert!(asks(&Review { verdict: Verdict::Rejected, ..review }).is_empty());
    }
}
