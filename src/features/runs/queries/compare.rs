//! Comparison of two runs: results, usage, and their steps from the point where they diverge.

use std::time::Duration;

use crate::deliverables::model::{BY_TASK, Deliverable, VERSIONS_BY_DELIVERABLE, Version};
use crate::runs::model::{Body, Branch, CallStatus, Run};
use crate::usage::queries as usage;
use kernel::key::KeyBuf;
use kernel::text::ellipsis;
use kernel::{RunState, Timestamp};
use store::{Range, Read, ReadExt, StoreError};
use web::md;

use super::branches;
use super::doing::doing;
use super::steps::{self, CallState, Step, Steps, What};
use super::words;

/// Maximum number of deliverables of a task, and of versions of each, that are searched.
const PIECES: usize = 50;
/// Maximum length of a step's text in characters.
const LONG: usize = 200;

/// Usage of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Tokens sent, cached or not.
    pub sent: u64,
    /// Tokens sent that were read from the provider's cache.
    pub cached: u64,
    /// Tokens received.
    pub received: u64,
    /// Cost in micro-dollars.
    pub micros: i64,
    /// Whether the price of every call is known.
    pub priced: bool,
    /// Work time in milliseconds, without waits.
    pub worked_ms: i64,
    /// Elapsed time from the beginning to the end, or to now.
    pub took: Duration,
}

/// One step in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Step key on the run's page.
    pub key: String,
    pub icon: &'static str,
    pub text: String,
    pub failed: bool,
}

/// One of the compared runs.
pub struct Side {
    pub run: Run,
    pub figures: Figures,
    /// Its last text.
    pub answer: String,
    /// Title and text of its last deliverable.
    pub delivered: Option<(String, String)>,
    /// Steps after the point of divergence, grouped by response.
    pub turns: Vec<Vec<Line>>,
    /// Number of steps before the point of divergence.
    pub before: usize,
}

pub struct Compared {
    /// The first run; if one was started again from the other, the older one.
    pub a: Side,
    pub b: Side,
    /// The branch through which `b` was started from `a`, if any.
    pub branch: Option<Branch>,
}

impl Compared {
    /// Whether both did the same in this turn.
    #[must_use]
    pub fn is_same(&self, turn: usize) -> bool {
        let words = |side: &Side| {
            let turn = side.turns.get(turn)?;
            Some(turn.iter().map(|line| line.text.clone()).collect::<Vec<_>>())
        };
        words(&self.a).is_some_and(|a| Some(a) == words(&self.b))
    }
}

/// Compares two runs. `whole` reads a body that is not inline.
pub fn read(
    tx: &dyn Read,
    (a, b): (Run, Run),
    whole: &dyn Fn(&Body) -> Option<String>,
    now: Timestamp,
) -> Result<Compared, StoreError> {
    let came_of = |run: &Run, of: &Run| {
        Ok::<_, StoreError>(branches::of_run(tx, run)?.filter(|branch| branch.of == of.id))
    };
    let (a, b, branch) = match came_of(&b, &a)? {
        Some(branch) => (a, b, Some(branch)),
        None => match came_of(&a, &b)? {
            Some(branch) => (b, a, Some(branch)),
            None => (a, b, None),
        },
    };
    let parted = branch.as_ref().map_or(0, |branch| branch.upto);
    Ok(Compared { a: side(tx, a, parted, whole, now)?, b: side(tx, b, 0, whole, now)?, branch })
}

fn side(
    tx: &dyn Read,
    run: Run,
    from: u32,
    whole: &dyn Fn(&Body) -> Option<String>,
    now: Timestamp,
) -> Result<Side, StoreError> {
    let steps = Steps::fold(run.first_event, steps::events_of(tx, &run)?, whole);
    let answer = steps.all.iter().rev().find_map(|step| match &step.what {
        What::Said(text) => Some(text.clone()),
        _ => None,
    });
    let shared = steps.all.iter().filter(|step| step.event < from).count();
    let own = steps.all.iter().filter(|step| from <= step.event);
    Ok(Side {
        figures: figures(tx, &run, now)?,
        answer: answer
            .filter(|text| !text.trim().is_empty())
            .unwrap_or_else(|| run.summary.clone()),
        delivered: delivered(tx, &run)?,
        turns: turns(own),
        before: shared,
        run,
    })
}

/// Usage of a run.
pub fn figures(tx: &dyn Read, run: &Run, now: Timestamp) -> Result<Figures, StoreError> {
    let used = usage::of_run(tx, run.id)?;
    let mut figures = Figures {
        micros: usage::run_cost(tx, run.id)?,
        priced: used.iter().all(|call| call.billed_micros.is_some()),
        worked_ms: run.worked(now),
        ..Figures::default()
    };
    for call in &used {
        figures.sent += call.input + call.cache_read + call.cache_write;
        figures.cached += call.cache_read;
        figures.received += call.output;
    }
    if let Some(began) = run.started_at {
        let end = match run.state {
            RunState::Ended => run.ended_at.unwrap_or(now),
            _ => now,
        };
        let ms = end.as_millisecond().saturating_sub(began.as_millisecond());
        figures.took = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    }
    Ok(figures)
}

/// The last text that a run delivered, with its title.
fn delivered(tx: &dyn Read, run: &Run) -> Result<Option<(String, String)>, StoreError> {
    let Some(task) = run.task else { return Ok(None) };
    let range = Range::prefix(KeyBuf::of(&task)).reverse().limit(PIECES);
    let pieces: Vec<Deliverable> = tx.scan(BY_TASK, &range)?;
    let mut newest: Option<(Timestamp, String, String)> = None;
    for piece in pieces {
        let range = Range::prefix(KeyBuf::of(&piece.id)).reverse().limit(PIECES);
        let versions: Vec<Version> = tx.scan(VERSIONS_BY_DELIVERABLE, &range)?;
        let own = versions.into_iter().find(|version| version.run == Some(run.id));
        if let Some(Version { content, created_at, .. }) = own
            && let Some(text) = content.text()
            && newest.as_ref().is_none_or(|(at, ..)| *at < created_at)
        {
            newest = Some((created_at, piece.title, text.to_owned()));
        }
    }
    Ok(newest.map(|(_, title, text)| (title, text)))
}

/// Groups steps by response. Steps without a comparable text are omitted.
fn turns<'s>(steps: impl Iterator<Item = &'s Step>) -> Vec<Vec<Line>> {
    let mut turns: Vec<Vec<Line>> = Vec::new();
    for step in steps {
        let Some(line) = line(step) else { continue };
        let begins = step.spent.is_some() || turns.is_empty();
        match turns.last_mut().filter(|_| !begins) {
            Some(turn) => turn.push(line),
            None => turns.push(vec![line]),
        }
    }
    turns
}

fn line(step: &Step) -> Option<Line> {
    let (icon, text, failed) = match &step.what {
        What::Thought(text) => ("thought", md::excerpt(text, LONG), false),
        What::Said(text) => ("comment", md::excerpt(text, LONG), false),
        What::Tool(call) => {
            let action = doing(call);
            let failed = matches!(call.state, CallState::Ended(status) if status != CallStatus::Ok);
            (action.icon, format!("{} {}", action.verb, action.what), failed)
        }
        What::Input { text, steered: true, .. } => {
            ("comment", md::excerpt(text.head(), LONG), false)
        }
        What::Failed { class, message, .. } => match words::cut_off(class) {
            Some(ending) => ("stop", ending.to_owned(), false),
            None => ("refresh", format!("The model call failed: {message}"), true),
        },
        What::Waiting { waits_for, .. } => {
            ("clock", format!("Waited for {}", waits_for.label()), false)
        }
        What::Interrupted(what) => ("warn", format!("Interrupted: {what}"), false),
        What::Switched { to, .. } => ("refresh", format!("Answered by {to}"), false),
        What::Ended { outcome, .. } => {
            let text = match words::reason(outcome) {
                Some(reason) => format!("{}: {reason}", words::end(outcome)),
                None => words::end(outcome).to_owned(),
            };
            ("done", text, words::reason(outcome).is_some())
        }
        What::Input { .. }
        | What::Began { .. }
        | What::Notice(_)
        | What::Committed { .. }
        | What::Compacted(_)
        | What::NotCompacted(_)
        | What::Prompted(_)
        | What::Looked(_)
        | What::Late { .. }
        | What::LeftOut(_)
        | What::Remembered { .. } => return None,
    };
    Some(Line { key: step.key.clone(), icon, text: ellipsis(text.trim(), LONG), failed })
}
