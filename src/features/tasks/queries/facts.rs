//! Small facts of a timeline, whoever's it is: an icon, a sentence, a time; and the days between them.

use std::time::Duration;

use jiff::civil::Date;

use super::view_context::ViewContext;
use crate::runs::model::Run;
use kernel::{Assignee, Outcome};
use web::format;
use web::html::{SafeHtml, escape};
use web::md;
use web::time::RelTime;

/// The longest result of a run that stands in its line, in characters.
const MAX_RESULT: usize = 160;

/// A small fact: an icon and a sentence.
pub struct FactView {
    /// Icon.
    pub glyph: &'static str,
    /// State word that colours it, or empty.
    pub state: &'static str,
    /// The sentence.
    pub words: SafeHtml,
    pub at: RelTime,
}

/// The name of a day between facts.
#[must_use]
pub fn day_label(date: Date, today: Date) -> String {
    if date == today {
        return "Today".to_owned();
    }
    if date.tomorrow().is_ok_and(|next| next == today) {
        return "Yesterday".to_owned();
    }
    let form = if date.year() == today.year() { "%A, %-d %B" } else { "%A, %-d %B %Y" };
    date.strftime(form).to_string()
}

/// Words in bold, as markup.
#[must_use]
pub fn bold(text: &str) -> String {
    format!("<b>{}</b>", escape(text))
}

/// A run in a line, with what came of it in the agent's words, or nothing.
#[must_use]
pub fn run_fact(scene: &ViewContext, run: &Run, result: &str) -> FactView {
    let by = bold(&scene.people.name(Assignee::Agent(run.agent)));
    let (glyph, state, verb) = match &run.outcome {
        Some(Outcome::Done) => ("done", "done", "finished a run"),
        Some(Outcome::Stopped { .. }) => ("stop", "", "was stopped"),
        Some(Outcome::Snoozed { .. }) => ("clock", "", "put the work off"),
        Some(_) => ("warn", "failed", "failed in a run"),
        None => ("play", "", "waits with a run"),
    };
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
    FactView { glyph, state, words: SafeHtml::vouched(words), at: scene.time(at) }
}

/// How long a run has worked, in words.
#[must_use]
pub fn took(scene: &ViewContext, run: &Run) -> Option<String> {
    let end = run.ended_at.unwrap_or(scene.today.now);
    let ms = end.as_millisecond() - run.started_at?.as_millisecond();
    Some(format::duration(Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}
