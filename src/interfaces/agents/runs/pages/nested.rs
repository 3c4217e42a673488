//! A sub-agent's run inside the step that created it: state and steps, one line each.

use std::time::Duration;

use features::runs::model::{CHILDREN, CallStatus, Child, RUNS, Run};
use features::runs::queries::doing::doing;
use features::runs::queries::questions::{self, Card};
use features::runs::queries::steps::{CallState, Step, Steps, What};
use features::runs::queries::{self, children, words};
use features::usage::queries as usage;
use kernel::{Outcome, RunId, RunState};
use store::{Read, ReadExt, StoreError};
use web::format;
use web::live::Live;
use web::md;
use web::parts::Dot;

use super::display::Look;
use super::waits;

/// How many of the last events are read.
const EVENTS: usize = 60;
/// Number of last steps shown.
const LINES: usize = 6;
/// Length of an excerpt, in characters.
const PEEK: usize = 160;

/// A sub-agent's run inside the step that created it.
pub(super) struct Nested {
    pub name: String,
    pub href: String,
    pub title: String,
    pub state: Dot,
    /// Duration and cost.
    pub facts: String,
    /// Why the run waits.
    pub waits: String,
    pub asks: Option<Card>,
    pub lines: Vec<Line>,
}

/// A step.
pub(super) struct Line {
    pub icon: &'static str,
    pub tone: &'static str,
    pub verb: String,
    pub what: String,
    pub took: String,
}

/// The first sub-agent of `parent` that the text names. The text may also name runs of others, because a parent chooses
/// its sub-agents' titles.
pub(super) fn named(tx: &dyn Read, parent: RunId, text: &str) -> Result<Option<Run>, StoreError> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    for word in words.filter(|word| word.starts_with("R-")) {
        let Some(run) = queries::by_name(tx, word)? else { continue };
        if tx.get::<Child>(run.id)?.is_some_and(|child| child.parent == parent) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// The view of a sub-agent's run.
pub(super) fn of(tx: &dyn Read, look: &Look<'_>, run: &Run) -> Result<Nested, StoreError> {
    let mut events = queries::last_events(tx, run.session, EVENTS)?;
    events.retain(|event| event.run == Some(run.id));
    let steps = Steps::fold(run.first_event, events, &|body| look.whole(body));
    let mut lines: Vec<Line> = steps.all.iter().filter_map(line).collect();
    lines.drain(..lines.len().saturating_sub(LINES));
    let state = words::seen(look.ws, tx, run)?;
    let mut facts: Vec<String> = look.duration(run).map(format::duration).into_iter().collect();
    let cost = usage::run_cost(tx, run.id)?;
    if 0 < cost {
        facts.push(format::money(cost));
    }
    let asks = questions::card(tx, &look.reader(), run)?;
    let why = match run.state {
        RunState::Waiting if asks.is_none() => waits::of(tx, look, run, None)?,
        _ => None,
    };
    Ok(Nested {
        href: look.ws.url(&format!("runs/{}", run.name())),
        title: run.title.clone(),
        state: state.into(),
        facts: facts.join(", "),
        waits: why.map(|why| why.text).unwrap_or_default(),
        asks,
        lines,
        name: run.name(),
    })
}

/// Subscribes a region to all sub-agents of a run.
pub(super) fn hears(tx: &dyn Read, run: &Run, live: Live) -> Result<Live, StoreError> {
    let live = live.table(CHILDREN.name);
    Ok(children::of_parent(tx, run.id)?
        .iter()
        .fold(live, |live, child| live.record(RUNS.name, child.run)))
}

/// A step as one line; `None` for a step that only its own page shows.
fn line(step: &Step) -> Option<Line> {
    let took = step.millis.map(|ms| format::duration(Duration::from_millis(ms)));
    let (icon, tone, verb, what) = match &step.what {
        What::Thought(text) => ("thought", "", "Thought".to_owned(), md::excerpt(text, PEEK)),
        What::Said(text) => ("comment", "", "Wrote".to_owned(), md::excerpt(text, PEEK)),
        What::Tool(call) => {
            let action = doing(call);
            let tone = match call.state {
                CallState::Ended(CallStatus::Error | CallStatus::Timeout) => "danger",
                CallState::Ended(CallStatus::Stopped | CallStatus::Unknown) => "warn",
                CallState::Running => "info",
                CallState::Planned | CallState::Ended(_) => "",
            };
            (action.icon, tone, action.verb, action.what)
        }
        What::Failed { class, message, .. } => match words::cut_off(class) {
            Some(reason) => ("stop", "", reason.to_owned(), String::new()),
            None => ("refresh", "warn", "The model call failed.".to_owned(), message.clone()),
        },
        What::Waiting { waits_for, detail, .. } => {
            ("clock", "warn", format!("Waited for {}.", waits_for.label()), detail.clone())
        }
        What::Switched { to, why } => {
            ("refresh", "warn", format!("Answered by {to}"), format!("because {why}"))
        }
        What::Ended { outcome, .. } if *outcome != Outcome::Done => {
            let why = words::reason(outcome).unwrap_or_default();
            ("warn", "warn", words::end(outcome).to_owned(), why)
        }
        _ => return None,
    };
    Some(Line { icon, tone, verb, what, took: took.unwrap_or_default() })
}
