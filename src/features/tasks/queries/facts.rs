//! Timeline entries: icon, sentence and time, and the day headings between them.

use std::time::Duration;

use super::view_context::ViewContext;
use crate::runs::model::Run;
use crate::runs::queries::words;
use kernel::{Assignee, Outcome};
use store::{Read, StoreError};
use web::format;
use web::html::{SafeHtml, escape};
use web::md;
use web::time::RelTime;

/// Maximum length of a run's result in an entry, in characters.
const MAX_RESULT: usize = 160;

pub struct FactView {
    pub glyph: &'static str,
    /// State word for the colour, or empty.
    pub state: &'static str,
    pub words: SafeHtml,
    pub at: RelTime,
}

/// HTML of escaped bold text.
#[must_use]
pub fn bold(text: &str) -> String {
    format!("<b>{}</b>", escape(text))
}

/// Entry of a run, with its result in the agent's words, if any.
pub fn run_fact(
    scene: &ViewContext,
    read: &dyn Read,
    run: &Run,
    result: &str,
) -> Result<FactView, StoreError> {
    let by = bold(&scene.people.name(Assignee::Agent(run.agent)));
    let verb = match &run.outcome {
        Some(Outcome::Done) => "finished a run",
        Some(Outcome::Stopped { .. }) => "was stopped",
        Some(Outcome::Snoozed { .. }) => "postponed the work",
        Some(Outcome::NoOutcome) => "ended a run without a result",
        Some(Outcome::Limit { .. }) => "reached a limit in a run",
        Some(Outcome::Interrupted) => "was interrupted in a run",
        Some(Outcome::Failed { .. } | Outcome::CrashLoop) => "failed a run",
        None => "is waiting in a run",
    };
    let shown = words::seen(&scene.ws, read, run)?;
    let mut words =
        format!("{by} {verb}: {}", format::count(u64::from(run.steps), "step", "steps"));
    if let Some(took) = took(scene, run) {
        words.push_str(&format!(", {took}"));
    }
    words.push('.');
    if !result.is_empty() {
        words.push_str(&format!(" “{}”", escape(&md::excerpt(result, MAX_RESULT))));
    }
    let href = escape(&scene.run_href(run.number));
    words.push_str(&format!(" <a class=\"link\" href=\"{href}\">Show steps</a>"));
    let at = run.ended_at.unwrap_or(run.created_at);
    Ok(FactView {
        glyph: shown.icon,
        state: shown.word,
        words: SafeHtml::vouched(words),
        at: scene.time(at),
    })
}

/// Duration of a run, in words.
#[must_use]
pub fn took(scene: &ViewContext, run: &Run) -> Option<String> {
    let end = run.ended_at.unwrap_or(scene.today.now);
    let ms = end.as_millisecond() - run.started_at?.as_millisecond();
    Some(format::duration(Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}
