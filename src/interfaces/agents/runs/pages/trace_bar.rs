//! The time of a run as a bar of its steps in order, with a bar for each sub-agent below.

use std::time::Duration;

use features::runs::model::Run;
use features::runs::queries::doing::doing;
use features::runs::queries::steps::{Step, Steps, What};
use features::runs::queries::{self, children};
use kernel::text::ellipsis;
use kernel::{RunId, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::format;

use super::display::Look;

/// The kinds of time, in the order of the legend.
const KINDS: [(&str, &str); 8] = [
    ("think", "Thinking"),
    ("write", "Writing"),
    ("web", "Web"),
    ("exec", "Command"),
    ("file", "Files"),
    ("hq", "HQ"),
    ("retry", "Retry"),
    ("wait", "Waiting"),
];
/// Minimum width of a piece, in percent.
const NARROW: f64 = 0.25;
/// Width of waiting relative to work, in thousandths, if waiting took longer than work.
const SHORTER: i64 = 350;
/// Unit of `Scale::drawn`: waiting drawn at full length.
const WHOLE: i64 = 1_000_000_000;
/// Maximum number of bars of sub-agents, and how many of the newest events of each are read.
const MOST: usize = 12;
const EVENTS: usize = 300;
/// Length of a sub-agent's title, in characters.
const TITLE: usize = 48;

/// The bar.
#[derive(Default)]
pub(super) struct Lane {
    pub pieces: Vec<Piece>,
    pub ticks: Vec<(String, String)>,
    pub legend: Vec<(&'static str, &'static str, String)>,
    /// Whether waiting is drawn shorter than its duration.
    pub squeezed: bool,
    pub below: Vec<Below>,
    /// Number of sub-agents without a bar.
    pub more: usize,
}

/// The bar of a sub-agent.
pub(super) struct Below {
    pub href: String,
    pub name: String,
    pub title: String,
    pub took: String,
    pub pieces: Vec<Piece>,
}

/// Data for the bars of sub-agents.
#[derive(Default)]
pub(super) struct Helpers {
    runs: Vec<(Run, Vec<Span>)>,
    more: usize,
}

impl Helpers {
    /// The sub-agents of a run, each followed by its own sub-agents, in order of creation.
    pub fn of(tx: &dyn Read, run: &Run, now: Timestamp) -> Result<Self, StoreError> {
        let mut helpers = Self::default();
        let mut left = below(tx, run.id)?;
        while let Some(id) = left.pop() {
            let Some(one) = tx.get::<Run>(id)? else { continue };
            if helpers.runs.len() == MOST {
                helpers.more += 1;
                continue;
            }
            left.extend(below(tx, id)?);
            let mut events = queries::last_events(tx, one.session, EVENTS)?;
            events.retain(|event| event.run == Some(id));
            let steps = Steps::fold(one.first_event, events, &|_| None);
            let spans = spans(&steps, one.ended_at.unwrap_or(now).as_millisecond());
            helpers.runs.push((one, spans));
        }
        Ok(helpers)
    }

    /// The periods in which a sub-agent worked.
    fn busy(&self) -> Vec<(i64, i64)> {
        let spans = self.runs.iter().flat_map(|(_, spans)| spans);
        spans.filter(|span| span.kind != "wait").map(|span| (span.from, span.to)).collect()
    }
}

/// The sub-agents that a run created, newest first.
fn below(tx: &dyn Read, run: RunId) -> Result<Vec<RunId>, StoreError> {
    Ok(children::of_parent(tx, run)?.iter().rev().map(|child| child.run).collect())
}

/// A piece of the bar.
pub(super) struct Piece {
    pub href: String,
    pub kind: &'static str,
    pub x: String,
    pub width: String,
    pub title: String,
}

struct Span {
    key: String,
    kind: &'static str,
    from: i64,
    to: i64,
}

impl Span {
    /// Index of the kind in the legend.
    fn place(&self) -> usize {
        KINDS.iter().position(|(kind, _)| *kind == self.kind).unwrap_or(5)
    }
}

impl Lane {
    /// The bar of a run that has started; `None` without steps.
    pub fn of(run: &Run, steps: &Steps, helpers: Helpers, look: &Look<'_>) -> Option<Self> {
        let began = run.started_at?.as_millisecond();
        let end = run.ended_at.unwrap_or(look.now).as_millisecond();
        let spans = spans(steps, end);
        // The time before the first step is not the run's work.
        let start = spans.iter().map(|span| span.from).min().unwrap_or(began);
        let scale = Scale::of(&spans, helpers.busy(), start, end);
        let whole = u32::try_from(scale.at(end)).ok().filter(|whole| 0 < *whole)?;
        if spans.len() < 2 {
            return None;
        }
        let mut sums = [0_i64; KINDS.len()];
        let mut lane = Self { squeezed: scale.squeezed(), more: helpers.more, ..Self::default() };
        for span in &spans {
            sums[span.place()] += span.to - span.from;
            lane.pieces.push(scale.piece(whole, span, String::new()));
        }
        for (one, spans) in helpers.runs {
            let href = look.ws.url(&format!("runs/{}", one.name()));
            // A sub-agent may continue after its parent has ended.
            let within = spans.iter().filter(|span| span.from < end);
            let pieces = within.map(|span| scale.piece(whole, span, href.clone())).collect();
            lane.below.push(Below {
                pieces,
                name: one.name(),
                title: ellipsis(&one.title, TITLE),
                took: look.duration(&one).map(format::duration).unwrap_or_default(),
                href,
            });
        }
        for ((kind, label), sum) in KINDS.iter().zip(sums) {
            if 0 < sum {
                lane.legend.push((kind, label, length(sum)));
            }
        }
        if lane.squeezed {
            return Some(lane);
        }
        let step = tick_of(whole);
        lane.ticks = (0..)
            .map(|n| n * step)
            // A tick at the very end has no room for its label.
            .take_while(|ms| u64::from(*ms) * 100 < u64::from(whole) * 94)
            .map(|ms| {
                let secs = ms / 1000;
                let x = f64::from(ms) * 100.0 / f64::from(whole);
                (format!("{x:.2}%"), format!("{}:{:02}", secs / 60, secs % 60))
            })
            .collect();
        Some(lane)
    }
}

/// Maps times to positions on the bar. A run may wait for days and work for a minute, so long waiting is drawn shorter
/// to keep the work visible.
struct Scale {
    start: i64,
    waits: Vec<(i64, i64)>,
    /// Share of waiting that is drawn, out of [`WHOLE`].
    drawn: i64,
}

impl Scale {
    /// Time in which sub-agents worked does not count as waiting, so that their work stays visible.
    fn of(spans: &[Span], others: Vec<(i64, i64)>, start: i64, end: i64) -> Self {
        let waits = spans.iter().filter(|span| span.kind == "wait");
        let waits: Vec<_> = waits.map(|span| (span.from.max(start), span.to.min(end))).collect();
        let waits = outside(waits, others);
        let waited: i64 = waits.iter().map(|(from, to)| (to - from).max(0)).sum();
        // At least one second, so that a run that only waited has a bar.
        let worked = (end - start - waited).max(1_000);
        let drawn = match waited <= worked {
            true => WHOLE,
            // The product cannot overflow: a run works for hours, not for years.
            false => worked.saturating_mul(SHORTER * (WHOLE / 1_000)) / waited,
        };
        Self { start, waits, drawn }
    }

    fn squeezed(&self) -> bool {
        self.drawn < WHOLE
    }

    /// Milliseconds from the start, as drawn.
    fn at(&self, moment: i64) -> i64 {
        let waited = |(from, to): &(i64, i64)| (moment.min(*to) - from).max(0);
        let waited: i64 = self.waits.iter().map(waited).sum();
        moment - self.start - waited + waited.saturating_mul(self.drawn) / WHOLE
    }

    /// A span as a piece of a bar of `whole` milliseconds, linked to its step on `page`.
    fn piece(&self, whole: u32, span: &Span, page: String) -> Piece {
        let percent = |moment: i64| {
            let ms = self.at(moment).clamp(0, i64::from(whole));
            f64::from(u32::try_from(ms).unwrap_or(whole)) * 100.0 / f64::from(whole)
        };
        let (x, to) = (percent(span.from), percent(span.to));
        Piece {
            href: format!("{page}#s-{}", span.key),
            kind: span.kind,
            x: format!("{x:.2}%"),
            width: format!("{:.2}%", (to - x - 0.15).max(NARROW)),
            title: format!("{}, {}", KINDS[span.place()].1, length(span.to - span.from)),
        }
    }
}

/// The parts of `spans` that no interval of `others` covers.
fn outside(spans: Vec<(i64, i64)>, mut others: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    others.sort_unstable();
    let mut left = Vec::new();
    for (mut from, to) in spans {
        for (begin, end) in &others {
            if *end <= from || to <= *begin {
                continue;
            }
            if from < *begin {
                left.push((from, *begin));
            }
            from = *end;
        }
        if from < to {
            left.push((from, to));
        }
    }
    left
}

fn length(ms: i64) -> String {
    format::duration(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// A round distance between ticks, for at most eight ticks.
fn tick_of(whole: u32) -> u32 {
    const ROUND: [u32; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600];
    let fits = |secs: &&u32| whole / (**secs * 1000) <= 7;
    ROUND.iter().find(fits).map_or(whole / 7 + 1, |secs| secs * 1000)
}

fn spans(steps: &Steps, end: i64) -> Vec<Span> {
    let mut spans = Vec::new();
    for (index, step) in steps.all.iter().enumerate() {
        let at = step.at.as_millisecond();
        if let Some(spent) = step.spent {
            answer(steps, step, i64::try_from(spent.millis).unwrap_or(0), &mut spans);
        }
        let next = steps.all.get(index + 1).map_or(end, |next| next.at.as_millisecond());
        let (kind, from, to) = match &step.what {
            What::Tool(call) => {
                let took = i64::try_from(step.millis.unwrap_or(0)).unwrap_or(0);
                (doing(call).kind, at, at + took)
            }
            What::Compacted(made) => ("write", at - i64::try_from(made.1.millis).unwrap_or(0), at),
            What::Failed { retry_at: Some(_), .. } => ("retry", at, next),
            What::Waiting { .. } => ("wait", at, next),
            _ => continue,
        };
        spans.push(Span { key: step.key.clone(), kind, from, to: to.max(from) });
    }
    spans
}

/// Splits the time of a response between thinking and writing by text length.
fn answer(steps: &Steps, first: &Step, took: i64, spans: &mut Vec<Span>) {
    let end = match &first.what {
        // The time of a call is its start, just after the end of the response.
        What::Tool(_) => first.at.as_millisecond(),
        _ => first.at.as_millisecond(),
    };
    let (mut thought, mut other) = (0_usize, 0_usize);
    let mut written = first.key.clone();
    for step in steps.all.iter().filter(|step| step.event == first.event) {
        match &step.what {
            What::Thought(text) => thought += text.len(),
            What::Said(text) => {
                other += text.len();
                written.clone_from(&step.key);
            }
            What::Tool(call) => other += call.arguments.len() + call.name.len(),
            _ => {}
        }
    }
    let share = i64::try_from(thought * 1000 / (thought + other).max(1)).unwrap_or(0);
    let middle = end - took + took * share / 1000;
    let key = first.key.clone();
    if 0 < thought {
        spans.push(Span { key, kind: "think", from: end - took, to: middle });
    }
    if 0 < other {
        spans.push(Span { key: written, kind: "write", from: middle, to: end });
    }
}

#[cfg(test)]
mod tests {
    use super::{Scale, Span, outside, tick_of};

    #[test]
    fn a_long_wait_is_drawn_shorter_and_the_order_stays() {
        let span = |kind, from, to| Span { key: String::new(), kind, from, to };
        let day = 86_400_000;
        let spans =
            [span("write", 0, 1_000), span("wait", 1_000, day), span("write", day, day + 1_000)];
        let scale = Scale::of(&spans, Vec::new(), 0, day + 1_000);
        assert!(scale.squeezed());
        assert_eq!((scale.at(0), scale.at(1_000)), (0, 1_000));
        assert!((1_690..1_701).contains(&scale.at(day)), "{}", scale.at(day));
        assert_eq!(scale.at(day + 1_000) - scale.at(day), 1_000);
        let short = [span("write", 0, 900), span("wait", 900, 1_000)];
        assert!(!Scale::of(&short, Vec::new(), 0, 1_000).squeezed());
    }

    #[test]
    fn what_sub_agents_work_meanwhile_is_drawn_as_long_as_it_was() {
        assert_eq!(outside(vec![(0, 10)], vec![(6, 8), (2, 4), (3, 5)]), [(0, 2), (5, 6), (8, 10)]);
        assert_eq!(outside(vec![(0, 10), (20, 30)], vec![(-5, 2), (25, 40)]), [(2, 10), (20, 25)]);
        assert_eq!(outside(vec![(0, 10)], vec![(0, 10)]), []);
        let span = |kind, from, to| Span { key: String::new(), kind, from, to };
        let spans =
            [span("write", 0, 100), span("wait", 100, 10_000), span("write", 10_000, 10_100)];
        let scale = Scale::of(&spans, vec![(1_000, 9_000)], 0, 10_100);
        assert!(!scale.squeezed(), "1,900 of 10,100 was waiting");
        let scale = Scale::of(&spans, vec![(1_000, 2_000)], 0, 10_100);
        assert!(scale.squeezed());
        assert_eq!(scale.at(2_000) - scale.at(1_000), 1_000);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(tick_of(4_000), 1_000);
        assert_eq!(tick_of(213_000), 30_000);
        assert_eq!(tick_of(60_000), 10_000);
    }
}
