//! What a page shows, as stretches of text with their places, put into lines in the order of reading.

use super::columns::{self, Frame};
use super::rules::Rule;

/// The most stretches of a page that are told apart.
const MOST: usize = 50_000;
/// How wide a gap is that ends a stretch, in heights of the text.
const WIDE: f64 = 1.0;
/// How wide a gap is that stands for a space.
const SPACE: f64 = 0.15;
/// How far back text may begin on its own line.
const BACK: f64 = 2.0;
/// How far apart two texts of one line may stand, across.
const LINE: f64 = 0.5;

/// A point at which text begins or ends, along and across the direction of its line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// Where the line goes, as cosine and sine.
    pub direction: (f64, f64),
    pub along: f64,
    pub across: f64,
    /// How high the text is.
    pub height: f64,
}

impl Place {
    /// The place of a point.
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

    /// Whether the line goes from left to right.
    pub fn is_level(&self) -> bool {
        self.direction.0 > 0.99
    }
}

/// A stretch of text without a wide gap in it.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub text: String,
    pub start: Place,
    pub end: Place,
    /// From where to where its visible letters reach; nothing while there are none.
    pub reach: Option<(f64, f64)>,
}

/// All that a page shows, in the order of its program.
#[derive(Default)]
pub(super) struct Layout {
    stretches: Vec<Stretch>,
    /// Where the last shown text ended.
    end: Option<Place>,
    /// Where the next text begins, if it begins a stretch.
    start: Option<Place>,
    length: usize,
}

impl Layout {
    /// How many bytes of text there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Text comes that begins here.
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

    /// Takes text behind what there is.
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

    /// The text ends here; `reach` is where its visible letters are.
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

    /// The lines of the page; what stands in columns column by column.
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
