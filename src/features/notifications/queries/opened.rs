//! A person's unread notifications about the page that the person has open.

use crate::notifications::model::{RECIPIENT_UNREAD, Recipient};
use crate::runs::queries::{self as runs, words};
use crate::tasks::queries::standing;
use kernel::{About, AccountId, NoticeKind, Timestamp};
use store::{Read, ReadExt as _, StoreError};

use super::{shown_by, view};

/// Number of a person's latest unread notifications to examine.
const LATEST: usize = 300;

/// The unread rows of a person that the page at `path` shows: those that lead to it, and on the page of a failed run
/// also the failure. An agent's page shows only its failures. Excludes rows that wait for a decision.
pub fn unread_at(
    read: &dyn Read,
    (member, now): (AccountId, Timestamp),
    path: &str,
) -> Result<Vec<Recipient>, StoreError> {
    let range = shown_by(member, now).limit(LATEST);
    let mut rows: Vec<Recipient> = read.scan(RECIPIENT_UNREAD, &range)?;
    rows.retain(|row| !waits_for_decision(row.kind));
    if rows.is_empty() || path.is_empty() {
        return Ok(Vec::new());
    }
    let failed = failed_at(read, path)?;
    let mut found = Vec::new();
    for row in rows {
        let is_failure = row.kind == NoticeKind::WorkFailed && failed == Some(row.about);
        let is_page = view::path(read, row.about, row.kind)? == path;
        if is_failure || (is_page && shows(&row)) {
            found.push(row);
        }
    }
    Ok(found)
}

/// Returns `true` if opening the subject is not enough: someone has to answer, approve or review.
fn waits_for_decision(kind: NoticeKind) -> bool {
    matches!(
        kind,
        NoticeKind::ApprovalRequested
            | NoticeKind::QuestionAsked
            | NoticeKind::DeliverableSubmitted
    )
}

/// Returns `true` if the page to which a row leads also shows its matter.
fn shows(row: &Recipient) -> bool {
    match row.about {
        About::Agent(_) => matches!(row.kind, NoticeKind::WorkFailed | NoticeKind::AgentStalled),
        _ => true,
    }
}

/// What has failed in the run of this page: its task, if the run is the latest one of the task, else its agent.
fn failed_at(read: &dyn Read, path: &str) -> Result<Option<About>, StoreError> {
    let Some(name) = path.strip_prefix("runs/") else { return Ok(None) };
    let Some(run) = runs::by_name(read, name)? else { return Ok(None) };
    let is_bad = run.outcome.as_ref().is_some_and(words::is_bad);
    if !is_bad {
        return Ok(None);
    }
    let Some(task) = run.task else { return Ok(Some(About::Agent(run.agent))) };
    let latest = standing::newest_runs(read, task, 1)?;
    Ok(latest.iter().any(|one| one.id == run.id).then_some(About::Task(task)))
}
