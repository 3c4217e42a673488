//! Text of a page as positioned stretches, joined into lines in reading order.

use super::columns::{self, Frame};
use super::rules::Rule;

/// Limit of stretches per page.
const MOST: usize = 50_000;
/// Width of a gap that ends a stretch, in text heights.
const WIDE: f64 = 1.0;
/// Width of a gap that counts as a space, in text heights.
const SPACE: f64 = 0.15;
/// How far text may step back within its line, in text heights.
const BACK: f64 = 2.0;
/// Largest distance of baselines within one line, in text heights.
const LINE: f64 = 0.5;

/// Start or end point of text, in coordinates along and across its line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// Direction of the line as cosine and sine.
    pub direction: (f64, f64),
    pub along: f64,
    pub across: f64,
    /// Height of the text.
    pub height: f64,
}

impl Place {
    /// Converts a point of the page.
    pub fn of(x: f64, y: f64, direction: (f64, f64), height: f64) -> Self {
        let (cos, sin) = direction;
        Self { direction, along: x * cos + y * sin, across: y * cos - x * sin, height }
    }

    fn is_same_line(&self, next: &Self) -> bool {
        let (one, other) = (self.direction, next.direction);
        let is_parallel = one.0 * other.0 + one.1 * other.1 > 0.99;
        let apart = (next.across - self.across).abs();
        is_parallel && apart <= LINE * self.height.max(next.height)
    }

    /// Whether the line runs from left to right.
    pub fn is_level(&self) -> bool {
        self.direction.0 > 0.99
    }
}

/// Text without a wide gap.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub text: String,
    pub start: Place,
    pub end: Place,
    /// Extent of its visible letters; `None` if there are none.
    pub reach: Option<(f64, f64)>,
}

/// Text of a page in program order.
#[derive(Default)]
pub(super) struct Layout {
    stretches: Vec<Stretch>,
    /// End of the last text.
    end: Option<Place>,
    /// Start of the next text, if it starts a stretch.
    start: Option<Place>,
    length: usize,
}

impl Layout {
    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Announces text that starts at `at`.
    pub fn begin(&mut self, at: Place) {
        let Some(end) = self.end else {
            self.start = Some(at);
            return;
        };
        let gap = at.along - end.along;
        if !end.is_same_line(&at) || WIDE * at.height < gap || gap < -BACK * at.height {
            if self.stretches.len() < MOST {
                self.start = Some(at);
            } else {
                self.push(if end.is_same_line(&at) { " " } else { "\n" });
            }
        } else if SPACE * at.height < gap && self.start.is_none() {
            self.space();
        }
    }

    pub fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.length += text.len();
        match (self.stretches.last_mut(), self.start.take()) {
            (Some(last), None) => last.text.push_str(text),
            (_, start) => {
                let nowhere = Place::of(0.0, 0.0, (1.0, 0.0), 1.0);
                let start = start.or(self.end).unwrap_or(nowhere);
                let text = text.to_owned();
                self.stretches.push(Stretch { text, start, end: start, reach: None });
            }
        }
    }

    /// Ends the text at `at`; `reach` is the extent of its visible letters.
    pub fn finish(&mut self, at: Place, reach: Option<(f64, f64)>) {
        self.end = Some(at);
        if let Some(last) = self.stretches.last_mut()
            && self.start.is_none()
        {
            last.end = at;
            last.reach = match (last.reach, reach) {
                (Some((from, to)), Some((begin, end))) => Some((from.min(begin), to.max(end))),
                (known, new) => known.or(new),
            };
        }
    }

    /// The page's lines in reading order, with columns one after the other.
    pub fn into_text(self, rules: &[Rule], frame: Frame) -> String {
        let order = columns::order(&self.stretches, rules, frame);
        let mut out = String::with_capacity(self.length + self.stretches.len());
        let mut last: Option<&Stretch> = None;
        for at in order {
            let next = &self.stretches[at];
            if let Some(last) = last {
                let is_same_line = last.end.is_same_line(&next.start);
                if !is_same_line {
                    end_line(&mut out);
                } else if out.ends_with(|sign: char| !sign.is_whitespace()) {
                    out.push(' ');
                }
            }
            out.push_str(&next.text);
            last = Some(next);
        }
        end_line(&mut out);
        out
    }

    fn space(&mut self) {
        if let Some(last) = self.stretches.last_mut()
            && last.text.ends_with(|sign: char| !sign.is_whitespace())
        {
            last.text.push(' ');
            self.length += 1;
        }
    }
}

fn end_line(out: &mut String) {
    let kept = out.trim_end_matches(' ').len();
    out.truncate(kept);
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}
