//! A person's unread notifications about what the person has open or acts on.

use crate::notifications::model::{RECIPIENT_UNREAD, Recipient};
use crate::runs::queries as runs;
use kernel::{About, AccountId, NoticeKind, Timestamp};
use store::{Read, ReadExt as _, StoreError};

use super::{shown_by, view};

/// Number of a person's latest unread notifications to examine.
const LATEST: usize = 300;

/// Returns `true` if opening the subject is not enough: someone has to answer, approve or review.
#[must_use]
pub fn waits_for_decision(kind: NoticeKind) -> bool {
    matches!(
        kind,
        NoticeKind::ApprovalRequested
            | NoticeKind::QuestionAsked
            | NoticeKind::DeliverableSubmitted
    )
}

/// The latest unread rows of a person, newest first.
pub fn latest_unread(
    read: &dyn Read,
    (member, now): (AccountId, Timestamp),
) -> Result<Vec<Recipient>, StoreError> {
    let range = shown_by(member, now).limit(LATEST);
    let hits = read.hits::<Recipient>(RECIPIENT_UNREAD, &range)?;
    Ok(hits.into_iter().map(|hit| hit.record).collect())
}

/// The unread rows of a person that the page at `path` handles: those that lead to it, and on the page of a failed run
/// also the failure of its task. Excludes rows that wait for a decision.
pub fn unread_at(
    read: &dyn Read,
    me: (AccountId, Timestamp),
    path: &str,
) -> Result<Vec<Recipient>, StoreError> {
    let mut rows = latest_unread(read, me)?;
    rows.retain(|row| !waits_for_decision(row.kind));
    if rows.is_empty() {
        return Ok(rows);
    }
    let failed = match path.strip_prefix("runs/") {
        Some(name) => runs::by_name(read, name)?,
        None => None,
    };
    let failed = failed.map(|run| run.task.map_or(About::Agent(run.agent), About::Task));
    let mut found = Vec::new();
    for row in rows {
        let is_failure = row.kind == NoticeKind::WorkFailed && failed == Some(row.about);
        if is_failure || view::path(read, row.about, row.kind)? == path {
            found.push(row);
        }
    }
    Ok(found)
}
