//! Diffs between versions of a deliverable, and the answers to requested changes.

use features::deliverables::queries::diff::{self, Line};
use features::deliverables::queries::{self, ReviewedVersion};
use features::tasks::queries::view_context::ViewContext;
use kernel::Assignee;
use web::time::RelTime;

/// A diff to another version.
pub(super) struct Changes {
    pub(super) lines: Vec<Line>,
    pub(super) new: usize,
    pub(super) old: usize,
    /// Number of the other version.
    pub(super) with: u32,
    /// Time of the other version.
    pub(super) of: RelTime,
}

/// The changes requested in the previous version, and the answers to them.
pub(super) struct CompareParams {
    pub(super) head: String,
    pub(super) lines: Vec<CompareLineParams>,
}

/// A requested change.
pub(super) struct CompareLineParams {
    pub(super) ask: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) word: &'static str,
    pub(super) note: String,
}

/// Numbers of the text versions before this one, if this one is a text too.
pub(super) fn texts_before(versions: &[ReviewedVersion], at: usize) -> Vec<u32> {
    let is_text = |judged: &&ReviewedVersion| judged.version.content.text().is_some();
    match is_text(&&versions[at]) {
        true => versions[..at].iter().filter(is_text).map(|one| one.version.number).collect(),
        false => Vec::new(),
    }
}

/// The diff to an earlier text version: the one with number `against`, else the last.
pub(super) fn changes(
    scene: &ViewContext,
    versions: &[ReviewedVersion],
    at: usize,
    against: u32,
) -> Option<Changes> {
    let all = texts_before(versions, at);
    let with = all.iter().copied().find(|n| *n == against).or(all.last().copied())?;
    let before = &versions.iter().find(|judged| judged.version.number == with)?.version;
    let lines = diff::changes(before.content.text()?, versions[at].version.content.text()?);
    let (new, old) = diff::words(&lines);
    Some(Changes { lines, new, old, with, of: scene.time(before.created_at) })
}

/// The changes requested in the previous version, with the answers to them.
pub(super) fn asked_for(
    scene: &ViewContext,
    versions: &[ReviewedVersion],
    at: usize,
) -> Option<CompareParams> {
    let review = versions[at.checked_sub(1)?].review.as_ref()?;
    let asks = queries::asks(review);
    if asks.is_empty() {
        return None;
    }
    let who = match review.by == scene.me {
        true => "You".to_owned(),
        false => scene.people.name(Assignee::Person(review.by)),
    };
    let answers = &versions[at].version.answers;
    let line = |(n, ask): (usize, String)| {
        let answer = answers.get(n);
        let (state, tone, word) = match answer.map(|answer| answer.done) {
            Some(true) => ("done", "", "Done"),
            Some(false) => ("blocked", "warn", "Not done"),
            None => ("todo", "", "Not answered"),
        };
        let note = answer.map(|answer| answer.note.clone()).unwrap_or_default();
        CompareLineParams { ask, state, tone, word, note }
    };
    let head = format!("{who} requested this, {}", scene.time(review.created_at).text);
    Some(CompareParams { head, lines: asks.into_iter().enumerate().map(line).collect() })
}
