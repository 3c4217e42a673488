//! Reads of deliverables.

pub mod card;
pub mod diff;

use super::model::{self, Deliverable, Review, VERSIONS_BY_DELIVERABLE, Version};
use super::paged::Paged;
use super::rules::DeliverableError;
use kernel::key::KeyBuf;
use kernel::{AgentId, DeliverableId, DeliverableState, TaskId, Timestamp, TypedId as _, Verdict};
use store::{Range, Read, ReadExt, StoreError};

/// Maximum number of deliverables to search for decided ones.
const LOOK_BACK: usize = 200;

/// A version with its review.
#[derive(Clone, Debug)]
pub struct ReviewedVersion {
    pub version: Version,
    pub review: Option<Review>,
}

/// A deliverable with all its versions, oldest first.
#[derive(Clone, Debug)]
pub struct Piece {
    pub deliverable: Deliverable,
    pub versions: Vec<ReviewedVersion>,
}

impl Piece {
    /// Short id for tools.
    #[must_use]
    pub fn short(&self) -> String {
        self.deliverable.id.short()
    }

    /// Latest version.
    #[must_use]
    pub fn newest(&self) -> Option<&ReviewedVersion> {
        self.versions.last()
    }

    /// Text of the last review, unless it was an approval.
    #[must_use]
    pub fn last_note(&self) -> Option<String> {
        let review = self.versions.iter().rev().find_map(|judged| judged.review.as_ref())?;
        let text = describe(review);
        (review.verdict != Verdict::Approved && !text.is_empty()).then_some(text)
    }
}

/// Note and remarks of a review, for models.
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

/// Requested changes as single items: the lines of the note, then the remarks.
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

/// Strips the list marker from a line.
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

/// Deliverables of a task with their versions, oldest first.
pub fn of_task(read: &dyn Read, task: TaskId) -> Result<Vec<Piece>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&task));
    let all: Vec<Deliverable> = read.scan(model::BY_TASK, &range)?;
    all.into_iter().map(|deliverable| with_versions(read, deliverable)).collect()
}

/// Deliverables of a task, oldest first.
pub fn pieces(read: &dyn Read, task: TaskId) -> Result<Vec<Deliverable>, StoreError> {
    read.scan(model::BY_TASK, &Range::prefix(KeyBuf::of(&task)))
}

/// Latest deliverables, newest first.
pub fn newest(read: &dyn Read, limit: usize) -> Result<Vec<Deliverable>, StoreError> {
    read.list(&Range::all().reverse().limit(limit))
}

pub fn with_versions(read: &dyn Read, deliverable: Deliverable) -> Result<Piece, StoreError> {
    let range = Range::prefix(KeyBuf::of(&deliverable.id));
    let mut versions = Vec::new();
    for version in read.scan::<Version>(VERSIONS_BY_DELIVERABLE, &range)? {
        let review = read.get::<Review>(version.id)?;
        versions.push(ReviewedVersion { version, review });
    }
    Ok(Piece { deliverable, versions })
}

pub fn get(read: &dyn Read, id: DeliverableId) -> Result<Piece, DeliverableError> {
    match read.get::<Deliverable>(id)? {
        Some(piece) => Ok(with_versions(read, piece)?),
        None => Err(DeliverableError::NotFound(id.to_string())),
    }
}

/// Finds a deliverable of a task by short id, full id or exact title.
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

/// Deliverable of a task with this title that was sent back or is in review. A model that submits the same title again
/// means this one.
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

/// The page that the next version of a deliverable updates: the one of its latest version with a page. Without a
/// deliverable, it is the page of the agent's latest deliverable with this title on the task. `None` if a version with
/// that page was approved: it must not change before the next review, so the next version is a page of its own.
pub fn page_to_update(
    read: &dyn Read,
    task: TaskId,
    revised: Option<&Deliverable>,
    (agent, title): (AgentId, &str),
) -> Result<Option<Paged>, StoreError> {
    let all = of_task(read, task)?;
    let is_meant = |Piece { deliverable: one, .. }: &&Piece| match revised {
        Some(revised) => one.id == revised.id,
        None => {
            let is_own = one.submitted_by.agent() == Some(agent);
            is_own && one.title.eq_ignore_ascii_case(title.trim())
        }
    };
    let meant = all.iter().rev().filter(is_meant).flat_map(|piece| piece.versions.iter().rev());
    let mut pages = meant.map(|one| &one.version.content).filter(|one| one.page().is_some());
    let Some(page) = pages.next() else { return Ok(None) };
    let is_approved = all.iter().flat_map(|piece| &piece.versions).any(|one| {
        let verdict = one.review.as_ref().map(|review| review.verdict);
        verdict == Some(Verdict::Approved) && one.version.content.page() == page.page()
    });
    Ok(if is_approved { None } else { Paged::of(page.clone()) })
}

/// Deliverables in review, longest waiting first.
pub fn in_review(read: &dyn Read, limit: usize) -> Result<Vec<Deliverable>, StoreError> {
    read.scan(model::IN_REVIEW, &Range::all().limit(limit))
}

/// Number of deliverables in review, counted up to a thousand.
pub fn in_review_count(read: &dyn Read) -> Result<usize, StoreError> {
    read.len(model::IN_REVIEW, &Range::all().limit(1_000))
}

/// Deliverables that were sent back and not resubmitted, and those decided since a moment. Each last changed first.
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
        let expected =
            ["Please:", "add VAT", "say when", "36 months", "“per month”: Which?", "Shorter"];
        assert_eq!(asks(&review), expected);
        assert!(describe(&review).ends_with("\n- On “per month”: Which?\n- Shorter"));
        assert!(asks(&Review { verdict: Verdict::Rejected, ..review }).is_empty());
    }
}
