//! Open items that prevent completion of a task.

use crate::deliverables::model::{self, Deliverable};
use kernel::key::KeyBuf;
use kernel::{DeliverableState, TaskId};
use store::{Range, Read, ReadExt, StoreError};
use web::format;

/// Open items of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenEnds {
    /// Titles of deliverables in review.
    pub in_review: Vec<String>,
    /// Titles of deliverables that were sent back.
    pub sent_back: Vec<String>,
    /// Numbers of open subtasks.
    pub parts: Vec<u32>,
    /// Number of approved deliverables.
    pub approved: usize,
}

impl OpenEnds {
    pub fn of(read: &dyn Read, task: TaskId) -> Result<Self, StoreError> {
        let mut ends = Self::default();
        let range = Range::prefix(KeyBuf::of(&task));
        for piece in read.scan::<Deliverable>(model::BY_TASK, &range)? {
            match piece.state {
                DeliverableState::InReview | DeliverableState::Draft => {
                    ends.in_review.push(piece.title);
                }
                DeliverableState::ChangesRequested => ends.sent_back.push(piece.title),
                DeliverableState::Approved => ends.approved += 1,
                DeliverableState::Rejected => {}
            }
        }
        let parts = super::children(read, task)?;
        ends.parts = parts.iter().filter(|part| part.status.is_open()).map(|p| p.number).collect();
        Ok(ends)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_review.is_empty() && self.sent_back.is_empty() && self.parts.is_empty()
    }

    /// Suffix for a message that the task is done, such as `, with 2 open subtasks`. Empty if nothing is open.
    #[must_use]
    pub fn describe(&self) -> String {
        let pieces = self.in_review.len() + self.sent_back.len();
        let counts = [
            (self.parts.len(), "open subtask", "open subtasks"),
            (pieces, "unapproved deliverable", "unapproved deliverables"),
        ];
        let some = counts.into_iter().filter(|(count, ..)| 0 < *count);
        let all: Vec<String> =
            some.map(|(n, one, many)| format::count(n as u64, one, many)).collect();
        if all.is_empty() { String::new() } else { format!(", with {}", all.join(" and ")) }
    }

    /// What is open and what to do, in one line. `None` if the task can be completed.
    #[must_use]
    pub fn why(&self, key: &str) -> Option<String> {
        let quoted = |titles: &[String]| {
            titles.iter().map(|title| format!("\"{title}\"")).collect::<Vec<_>>().join(", ")
        };
        let mut why = Vec::new();
        if !self.in_review.is_empty() {
            why.push(format!("{} still needs review", quoted(&self.in_review)));
        }
        if !self.sent_back.is_empty() {
            let titles = quoted(&self.sent_back);
            why.push(format!("changes were requested in {titles}: deliver a new version"));
        }
        if !self.parts.is_empty() {
            let parts: Vec<_> = self.parts.iter().map(|n| format!("{key}-{n}")).collect();
            why.push(format!("these subtasks are open: {}", parts.join(", ")));
        }
        (!why.is_empty()).then(|| why.join("; "))
    }
}
