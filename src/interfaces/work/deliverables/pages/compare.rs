//! Comparisons of a version with those before it, and the answers to what was asked for.

use features::deliverables::queries::diff::{self, Line};
use features::deliverables::queries::{self, ReviewedVersion};
use features::tasks::queries::view_context::ViewContext;
use kernel::Assignee;
use web::time::RelTime;

/// A comparison with another version.
pub(super) struct Changes {
    pub(super) lines: Vec<Line>,
    pub(super) new: usize,
    pub(super) old: usize,
    /// The number of the other version.
    pub(super) with: u32,
    /// When that was delivered.
    pub(super) of: RelTime,
}

/// What was asked for in the version before, and what its maker says to it now.
pub(super) struct CompareParams {
    pub(super) head: String,
    pub(super) lines: Vec<CompareLineParams>,
}

/// One thing that was asked for.
pub(super) struct CompareLineParams {
    pub(super) ask: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) word: &'static str,
    pub(super) note: String,
}

/// The numbers of the texts before a version, if it is one itself.
pub(super) fn texts_before(versions: &[ReviewedVersion], at: usize) -> Vec<u32> {
    let is_text = |judged: &&ReviewedVersion| judged.version.content.text().is_some();
    match is_text(&&versions[at]) {
        true => versions[..at].iter().filter(is_text).map(|one| one.version.number).collect(),
        false => Vec::new(),
    }
}

/// What changed in a text since one of those before it: the one that is named, else the last.
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

/// What was asked for in the version before, with what its maker says to it.
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
    let head = format!("{who} asked for, {}", scene.time(review.created_at).text);
    Some(CompareParams { head, lines: asks.into_iter().enumerate().map(line).collect() })
}
