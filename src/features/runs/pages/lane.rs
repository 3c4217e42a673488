//! Where the time of a run went, as one bar: its steps in order of time.

use std::time::Duration;

use crate::features::runs::model::Run;
use crate::features::runs::queries::doing::doing;
use crate::features::runs::queries::steps::{Step, Steps, What};
use crate::kernel::Timestamp;
use crate::web::format;

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
/// The narrowest piece, in percent.
const NARROW: f64 = 0.25;
/// What share of the time at work waiting is drawn as, in thousandths, when it took longer than the work.
const SHORTER: i64 = 350;
/// All of waiting.
const WHOLE: i64 = 1_000_000_000;

/// The bar.
#[derive(Default)]
pub(super) struct Lane {
    pub pieces: Vec<Piece>,
    pub ticks: Vec<(String, String)>,
    pub legend: Vec<(&'static str, &'static str, String)>,
    /// Whether waiting is drawn shorter than it was.
    pub squeezed: bool,
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

impl Lane {
    /// The bar of a run that has begun; nothing for one without steps.
    pub fn of(run: &Run, steps: &Steps, now: Timestamp) -> Option<Self> {
        let start = run.started_at?.as_millisecond();
        let end = run.ended_at.unwrap_or(now).as_millisecond();
        let spans = spans(steps, end);
        let scale = Scale::of(&spans, start, end);
        let whole = u32::try_from(scale.at(end)).ok().filter(|whole| 0 < *whole)?;
        if spans.len() < 2 {
            return None;
        }
        let percent = |ms: i64| {
            let ms = u32::try_from(ms.clamp(0, i64::from(whole))).unwrap_or(whole);
            f64::from(ms) * 100.0 / f64::from(whole)
        };
        let mut sums = [0_i64; KINDS.len()];
        let mut lane = Self { squeezed: scale.squeezed(), ..Self::default() };
        for span in &spans {
            let at = KINDS.iter().position(|(kind, _)| *kind == span.kind).unwrap_or(5);
            sums[at] += span.to - span.from;
            let (x, to) = (percent(scale.at(span.from)), percent(scale.at(span.to)));
            lane.pieces.push(Piece {
                href: format!("#s-{}", span.key),
                kind: span.kind,
                x: format!("{x:.2}%"),
                width: format!("{:.2}%", (to - x - 0.15).max(NARROW)),
                title: format!("{}, {}", KINDS[at].1, length(span.to - span.from)),
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
            .take_while(|ms| *ms < whole)
            .map(|ms| {
                let secs = ms / 1000;
                let x = f64::from(ms) * 100.0 / f64::from(whole);
                (format!("{x:.2}%"), format!("{}:{:02}", secs / 60, secs % 60))
            })
            .collect();
        Some(lane)
    }
}

/// Where a moment lies on the bar. A run may wait for days and work for a minute: then waiting is drawn
/// shorter, so that the work can be seen.
struct Scale {
    start: i64,
    waits: Vec<(i64, i64)>,
    /// What of waiting is drawn, of [`WHOLE`].
    drawn: i64,
}

impl Scale {
    fn of(spans: &[Span], start: i64, end: i64) -> Self {
        let waits = spans.iter().filter(|span| span.kind == "wait");
        let waits: Vec<_> = waits.map(|span| (span.from.max(start), span.to.min(end))).collect();
        let waited: i64 = waits.iter().map(|(from, to)| (to - from).max(0)).sum();
        let worked = (end - start - waited).max(1);
        let drawn = match waited <= worked {
            true => WHOLE,
            // The product stays small: a run works for hours, not for years.
            false => worked.saturating_mul(SHORTER * (WHOLE / 1_000)) / waited,
        };
        Self { start, waits, drawn }
    }

    fn squeezed(&self) -> bool {
        self.drawn < WHOLE
    }

    /// Milliseconds from the start, as they are drawn.
    fn at(&self, moment: i64) -> i64 {
        let waited = |(from, to): &(i64, i64)| (moment.min(*to) - from).max(0);
        let waited: i64 = self.waits.iter().map(waited).sum();
        moment - self.start - waited + waited.saturating_mul(self.drawn) / WHOLE
    }
}

fn length(ms: i64) -> String {
    format::duration(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// A round distance of ticks, at most eight in the whole.
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

/// The time of an answer, shared between thinking and writing by their lengths.
fn answer(steps: &Steps, first: &Step, took: i64, spans: &mut Vec<Span>) {
    let end = match &first.what {
        // A call's time is when it began, which the answer's end comes just before.
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
    use super::{Scale, Span, tick_of};

    #[test]
    fn a_long_wait_is_drawn_shorter_and_the_order_stays() {
        let span = |kind, from, to| Span { key: String::new(), kind, from, to };
        let day = 86_400_000;
        let spans =
            [span("write", 0, 1_000), span("wait", 1_000, day), span("write", day, day + 1_000)];
        let scale = Scale::of(&spans, 0, day + 1_000);
        assert!(scale.squeezed());
        assert_eq!((scale.at(0), scale.at(1_000)), (0, 1_000));
        assert!((1_690..1_701).contains(&scale.at(day)), "{}", scale.at(day));
        assert_eq!(scale.at(day + 1_000) - scale.at(day), 1_000);
        let short = [span("write", 0, 900), span("wait", 900, 1_000)];
        assert!(!Scale::of(&short, 0, 1_000).squeezed());
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(tick_of(4_000), 1_000);
        assert_eq!(tick_of(213_000), 30_000);
        assert_eq!(tick_of(60_000), 10_000);
    }
}
