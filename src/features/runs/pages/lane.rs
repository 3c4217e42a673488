//! Where the time of a run went, as one bar: its steps in order of time.

use std::time::Duration;

use crate::features::runs::model::Run;
use crate::features::runs::queries::steps::{Step, Steps, What};
use crate::kernel::Timestamp;
use crate::web::format;

use super::tools;

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

/// The bar.
#[derive(Default)]
pub(super) struct Lane {
    pub pieces: Vec<Piece>,
    pub ticks: Vec<(String, String)>,
    pub legend: Vec<(&'static str, &'static str, String)>,
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
        let whole = u32::try_from(end - start).ok().filter(|whole| 0 < *whole)?;
        if spans.len() < 2 {
            return None;
        }
        let percent = |ms: i64| {
            let ms = u32::try_from(ms.clamp(0, i64::from(whole))).unwrap_or(whole);
            f64::from(ms) * 100.0 / f64::from(whole)
        };
        let mut sums = [0_i64; KINDS.len()];
        let mut lane = Self::default();
        for span in &spans {
            let at = KINDS.iter().position(|(kind, _)| *kind == span.kind).unwrap_or(5);
            sums[at] += span.to - span.from;
            let (x, to) = (percent(span.from - start), percent(span.to - start));
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
                (tools::tell(call).kind, at, at + took)
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
    use super::tick_of;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(tick_of(4_000), 1_000);
        assert_eq!(tick_of(213_000), 30_000);
        assert_eq!(tick_of(60_000), 10_000);
    }
}
