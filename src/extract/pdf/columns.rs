//! Finds text that stands in columns, so that it is read column by column and not across. Tables stay as they are.
//!
//! A page is cut at a gutter: a place that no text crosses over at least [`LINES`] lines on both sides. What crosses it,
//! such as a heading, divides the page into bands. A band is read in columns if it looks like prose or like a page
//! that was divided evenly, and if the program of the page jumps between the columns.

use super::layout::Stretch;
use super::rules::Rule;

/// How many lines a column has at least.
const LINES: usize = 3;
/// The most columns.
const COLUMNS: usize = 4;
/// The most stretches of a page in which columns are looked for.
const MOST: usize = 20_000;
/// How often a page is cut within what was cut.
const DEPTH: usize = 4;
/// In how many places a gutter is looked for.
const PLACES: usize = 300;
/// How wide a gutter is at least, in heights of the text.
const GUTTER: f64 = 0.8;
/// The share of letters among the signs of a column.
const LETTERS: f64 = 0.7;
/// How long the usual line of prose is, in signs.
const PROSE: usize = 18;
/// How much of its column the usual line of prose fills.
const FILLED: f64 = 0.6;
/// The share of lines of prose that go on a sentence.
const GOES_ON: f64 = 0.2;
/// How wide the space between even columns is, as a share of the page.
const EVEN_GUTTER: std::ops::Range<f64> = 0.02..0.1;
/// How far the beginnings of even columns may be off, as a share of the page.
const UNEVEN: f64 = 0.02;
/// How far apart lines of one text stand at most, in heights of the text.
const LEADING: f64 = 1.7;
/// The longest bullet or number of a point, in signs.
const BULLET: usize = 3;
/// So many level lines across the columns make a table.
const TABLE: usize = 2;

/// From where to where a page reaches, left and right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub from: f64,
    pub to: f64,
}

/// The stretches in the order of reading.
pub(super) fn order(stretches: &[Stretch], rules: &[Rule], frame: Frame) -> Vec<usize> {
    let plain = || (0..stretches.len()).collect();
    let segments: Vec<Segment> =
        (0..).zip(stretches).filter_map(|(at, stretch)| Segment::of(at, stretch)).collect();
    if !(2 * LINES..=MOST).contains(&segments.len()) || segments.len() * 5 < stretches.len() * 4 {
        return plain();
    }
    let mut rules = rules.to_vec();
    rules.sort_by(|a, b| a.y.total_cmp(&b.y));
    let rules = rules.as_slice();
    let mut page = Page { rules, frame, groups: vec![None; stretches.len()], next: 0, cut: false };
    page.divide(segments, 0, false);
    if !page.cut {
        return plain();
    }
    // What has no place of its own goes with what it follows.
    let mut group = 0;
    let groups = page.groups.iter().map(|own| {
        group = own.unwrap_or(group);
        group
    });
    let mut order: Vec<(usize, usize)> = groups.zip(0..).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

/// The segments of each column, from left to right.
type Columns = Vec<Vec<Segment>>;

/// A stretch with what is asked of it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Its place in the program of the page.
    at: usize,
    from: f64,
    to: f64,
    y: f64,
    height: f64,
    signs: usize,
    letters: usize,
    /// Whether it begins within a sentence.
    goes_on: bool,
    is_label: bool,
}

impl Segment {
    fn of(at: usize, stretch: &Stretch) -> Option<Self> {
        let (from, to) = stretch.reach.filter(|_| stretch.start.is_level())?;
        let text = stretch.text.trim();
        let signs = text.chars().filter(|sign| !sign.is_whitespace()).count();
        let letters = text.chars().filter(|sign| sign.is_alphabetic()).count();
        // Scripts without capitals do not tell where a sentence begins.
        let goes_on = text.starts_with(|sign: char| sign.is_alphabetic() && !sign.is_uppercase());
        let is_label = text.ends_with(':');
        let (y, height) = (stretch.start.across, stretch.start.height);
        (signs > 0).then_some(Self { at, from, to, y, height, signs, letters, goes_on, is_label })
    }
}

/// A line of a column or of a page.
#[derive(Clone, Copy, Debug)]
struct Line {
    y: f64,
    height: f64,
    from: f64,
    to: f64,
    signs: usize,
    goes_on: bool,
    is_label: bool,
}

/// Segments from top to bottom as lines: for each the range of its segments.
fn line_ranges(segments: &[Segment]) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        match ranges.last_mut() {
            Some(range) if segments[range.start].y - segment.y < 0.5 * segment.height => {
                range.end = at + 1;
            }
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}

fn lines(segments: &[Segment]) -> Vec<Line> {
    let line = |range: std::ops::Range<usize>| {
        let all = &segments[range];
        let first = all.iter().min_by(|a, b| a.from.total_cmp(&b.from)).copied();
        let last = all.iter().max_by(|a, b| a.to.total_cmp(&b.to)).copied();
        first.zip(last).map(|(first, last)| Line {
            y: first.y,
            height: first.height,
            from: first.from,
            to: last.to,
            signs: all.iter().map(|one| one.signs).sum(),
            goes_on: first.goes_on,
            is_label: last.is_label,
        })
    };
    line_ranges(segments).into_iter().filter_map(line).collect()
}

struct Page<'r> {
    /// From bottom to top.
    rules: &'r [Rule],
    frame: Frame,
    /// For each stretch its place among the groups that are read one after the other.
    groups: Vec<Option<usize>>,
    next: usize,
    /// Whether anything was cut into columns.
    cut: bool,
}

impl Page<'_> {
    /// Gives each segment its group.
    fn divide(&mut self, mut segments: Vec<Segment>, depth: usize, is_column: bool) {
        segments.sort_by(|a, b| b.y.total_cmp(&a.y).then(a.at.cmp(&b.at)));
        let bands = match gutter(&segments) {
            Some(gutter) if depth < DEPTH => bands(&segments, gutter),
            _ => Vec::new(),
        };
        let bands: Vec<(Vec<Segment>, Option<Columns>)> = bands
            .into_iter()
            .map(|band| {
                let columns = Some(columns(&band)).filter(|columns| self.are_read_down(columns));
                (band, columns)
            })
            .collect();
        if bands.iter().all(|(_, columns)| columns.is_none()) {
            // A column is read downwards, whatever was written first, such as a foot.
            match is_column {
                true => {
                    line_ranges(&segments).into_iter().for_each(|line| self.group(&segments[line]))
                }
                false => self.group(&segments),
            }
            return;
        }
        self.cut = true;
        for (band, columns) in bands {
            let is_column = is_column || columns.is_some();
            for part in columns.unwrap_or_else(|| vec![band]) {
                self.divide(part, depth + 1, is_column);
            }
        }
    }

    /// Reads these one after the other, in the order of the program.
    fn group(&mut self, segments: &[Segment]) {
        for segment in segments {
            self.groups[segment.at] = Some(self.next);
        }
        self.next += 1;
    }

    /// Whether what stands side by side is read one after the other, and not line by line.
    fn are_read_down(&self, columns: &Columns) -> bool {
        let has_columns = (2..=COLUMNS).contains(&columns.len())
            && columns.iter().all(|column| has_lines(column) && is_in_letters(column));
        if !has_columns || !jumps(columns) || self.is_ruled(columns) {
            return false;
        }
        let columns: Vec<Vec<Line>> = columns.iter().map(|column| lines(column)).collect();
        columns.iter().all(|column| is_prose(column)) || self.is_even(&columns)
    }

    /// Whether level lines stand between the lines of text, across all columns.
    fn is_ruled(&self, columns: &Columns) -> bool {
        let all = || columns.iter().flatten();
        let top = all().map(|one| one.y + one.height).fold(f64::MIN, f64::max);
        let bottom = all().map(|one| one.y - one.height).fold(f64::MAX, f64::min);
        let middle = |column: &Vec<Segment>| {
            let from = column.iter().map(|one| one.from).fold(f64::MAX, f64::min);
            let to = column.iter().map(|one| one.to).fold(f64::MIN, f64::max);
            f64::midpoint(from, to)
        };
        let middles: Vec<f64> = columns.iter().map(middle).collect();
        let from = self.rules.partition_point(|rule| rule.y <= bottom);
        let to = self.rules.partition_point(|rule| rule.y < top);
        let within = self.rules.get(from..to).unwrap_or_default();
        // The sides of one drawn bar are one line.
        let is_near = |a: &Rule, b: &Rule| b.y - a.y < 3.0;
        let across = within.chunk_by(is_near).filter(|level| {
            middles.iter().all(|x| level.iter().any(|rule| rule.from < *x && *x < rule.to))
        });
        TABLE <= across.count()
    }

    /// Whether the page was divided evenly: each column begins as far from the last, with a gutter between, and its
    /// lines follow close on each other.
    fn is_even(&self, columns: &[Vec<Line>]) -> bool {
        let start =
            |column: &Vec<Line>| column.iter().map(|line| line.from).fold(f64::MAX, f64::min);
        let starts: Vec<f64> = columns.iter().map(start).collect();
        let width = self.frame.to - self.frame.from;
        let count = columns.len() as f64;
        let pitch = (starts[columns.len() - 1] - starts[0]) / (count - 1.0);
        let is_off = |two: &[f64]| UNEVEN * width < (two[1] - two[0] - pitch).abs();
        let inner = width - 2.0 * (starts[0] - self.frame.from);
        let gutter = pitch * count - inner;
        if width <= 0.0 || starts.windows(2).any(is_off) || !EVEN_GUTTER.contains(&(gutter / width))
        {
            return false;
        }
        columns.iter().all(|column| {
            let is_close = |two: &&[Line]| two[0].y - two[1].y <= LEADING * two[1].height;
            let close = column.windows(2).filter(is_close).count();
            let labels = column.iter().filter(|line| line.is_label).count();
            (column.len() - 1) * 4 <= close * 5 && labels * 2 < column.len()
        })
    }
}

/// Where the page is best cut: where most lines stand on both sides without crossing.
fn gutter(segments: &[Segment]) -> Option<f64> {
    let from = segments.iter().map(|one| one.from).fold(f64::MAX, f64::min);
    let to = segments.iter().map(|one| one.to).fold(f64::MIN, f64::max);
    let step = (to - from) / PLACES as f64;
    let lines = line_ranges(segments);
    let place = |at: usize| from + step * at as f64;
    let scores: Vec<usize> = (0..PLACES)
        .map(|at| match (PLACES / 10..PLACES - PLACES / 10).contains(&at) {
            true => score(segments, &lines, place(at)),
            false => 0,
        })
        .collect();
    let best = scores.iter().copied().max().filter(|best| *best >= LINES)?;
    // In the middle of the widest such place.
    let mut widest = 0..0;
    let mut at = 0;
    for run in scores.chunk_by(|a, b| a == b) {
        if run[0] == best && widest.len() < run.len() {
            widest = at..at + run.len();
        }
        at += run.len();
    }
    Some(place(widest.start) + step * (widest.len() - 1) as f64 / 2.0)
}

/// How many lines stand on both sides of a place, in bands that are high enough.
fn score(segments: &[Segment], lines: &[std::ops::Range<usize>], x: f64) -> usize {
    let (mut score, mut left, mut right) = (0, 0, 0);
    let counted = |left: usize, right: usize| match left.min(right) {
        both if both >= LINES => both,
        _ => 0,
    };
    for line in lines {
        let all = &segments[line.clone()];
        if all.iter().any(|one| one.from < x && x < one.to) {
            score += counted(left, right);
            (left, right) = (0, 0);
        } else {
            left += usize::from(all.iter().any(|one| one.to <= x));
            right += usize::from(all.iter().any(|one| x <= one.from));
        }
    }
    score + counted(left, right)
}

/// The segments from top to bottom: lines that cross the gutter by themselves, and what stands between them.
fn bands(segments: &[Segment], x: f64) -> Vec<Vec<Segment>> {
    let mut bands: Vec<(bool, Vec<Segment>)> = Vec::new();
    for line in line_ranges(segments) {
        let all = &segments[line];
        let crosses = all.iter().any(|one| one.from < x && x < one.to);
        match bands.last_mut() {
            Some((same, band)) if *same == crosses => band.extend(all),
            _ => bands.push((crosses, all.to_vec())),
        }
    }
    bands.into_iter().map(|(_, band)| band).collect()
}

/// The columns of a band from left to right: between them nothing stands anywhere in the band.
fn columns(band: &[Segment]) -> Columns {
    let mut sorted = band.to_vec();
    sorted.sort_by(|a, b| a.from.total_cmp(&b.from));
    let mut columns = Columns::new();
    let (mut end, mut is_bullets) = (f64::MIN, false);
    for segment in sorted {
        let is_bullet = segment.signs <= BULLET;
        match columns.last_mut() {
            // Where only bullets and numbers stand, the text on their right belongs to them.
            Some(column) if is_bullets || segment.from - end < GUTTER * segment.height => {
                end = end.max(segment.to);
                is_bullets &= is_bullet;
                column.push(segment);
            }
            _ => {
                (end, is_bullets) = (segment.to, is_bullet);
                columns.push(vec![segment]);
            }
        }
    }
    for column in &mut columns {
        column.sort_by(|a, b| b.y.total_cmp(&a.y).then(a.at.cmp(&b.at)));
    }
    columns
}

fn has_lines(column: &[Segment]) -> bool {
    LINES <= line_ranges(column).len()
}

fn is_in_letters(column: &[Segment]) -> bool {
    let (letters, signs) =
        column.iter().fold((0, 0), |(l, s), one| (l + one.letters, s + one.signs));
    LETTERS * signs as f64 <= letters as f64
}

/// Whether the program of the page goes from column to column with most lines; otherwise its own order is right.
fn jumps(columns: &Columns) -> bool {
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (number, column) in columns.iter().enumerate() {
        order.extend(column.iter().map(|segment| (segment.at, number)));
    }
    order.sort_unstable();
    let jumps = order.windows(2).filter(|two| two[0].1 != two[1].1).count();
    let shortest = columns.iter().map(|column| line_ranges(column).len()).min().unwrap_or(0);
    shortest <= jumps && columns.len() < jumps
}

/// Whether lines are long, fill their column and go on sentences.
fn is_prose(column: &[Line]) -> bool {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let from = column.iter().map(|line| line.from).fold(f64::MAX, f64::min);
    let to = column.iter().map(|line| line.to).fold(f64::MIN, f64::max);
    let wide = (to - from).max(1.0);
    let goes_on = column.iter().filter(|line| line.goes_on).count();
    PROSE as f64 <= median(column.iter().map(|line| line.signs as f64).collect())
        && FILLED <= median(column.iter().map(|line| (line.to - line.from) / wide).collect())
        && GOES_ON * column.len() as f64 <= goes_on as f64
}
