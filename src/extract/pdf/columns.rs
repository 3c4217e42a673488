//! Detects text columns, so that they are read one after the other. Tables stay in row order.
//!
//! A page is cut at a gutter: a vertical strip that no text crosses for at least [`LINES`] lines on both sides. Text
//! that crosses it, such as a heading, divides the page into bands. A band is read in columns if it looks like prose or
//! like an evenly divided page, and if the page's program jumps between the columns.

use super::layout::Stretch;
use super::rules::Rule;

/// Fewest lines of a column.
const LINES: usize = 3;
const COLUMNS: usize = 4;
/// Largest number of stretches for which columns are searched.
const MOST: usize = 20_000;
/// Deepest recursion of cuts.
const DEPTH: usize = 4;
/// Horizontal positions at which a gutter is searched.
const PLACES: usize = 300;
/// Smallest width of a gutter, in text heights.
const GUTTER: f64 = 0.8;
/// Smallest share of letters among the characters of a column.
const LETTERS: f64 = 0.7;
/// Smallest median length of a prose line, in characters.
const PROSE: usize = 18;
/// Smallest share of the column width that the median prose line fills.
const FILLED: f64 = 0.6;
/// Smallest share of prose lines that continue a sentence.
const GOES_ON: f64 = 0.2;
/// Width of the gutter between even columns, as a share of the page width.
const EVEN_GUTTER: std::ops::Range<f64> = 0.02..0.1;
/// Tolerance for the starts of even columns, as a share of the page width.
const UNEVEN: f64 = 0.02;
/// Largest distance of lines of one text, in text heights.
const LEADING: f64 = 1.7;
/// Longest bullet or item number, in characters.
const BULLET: usize = 3;
/// Horizontal rules across the columns that make a table.
const TABLE: usize = 2;

/// Left and right edge of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub from: f64,
    pub to: f64,
}

/// Indexes of the stretches in reading order.
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
    // A stretch without a group follows its predecessor.
    let mut group = 0;
    let groups = page.groups.iter().map(|own| {
        group = own.unwrap_or(group);
        group
    });
    let mut order: Vec<(usize, usize)> = groups.zip(0..).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

/// Segments of each column, from left to right.
type Columns = Vec<Vec<Segment>>;

/// A stretch with the properties that column detection needs.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Index in the program of the page.
    at: usize,
    from: f64,
    to: f64,
    y: f64,
    height: f64,
    signs: usize,
    letters: usize,
    /// Starts within a sentence.
    goes_on: bool,
    is_label: bool,
}

impl Segment {
    fn of(at: usize, stretch: &Stretch) -> Option<Self> {
        let (from, to) = stretch.reach.filter(|_| stretch.start.is_level())?;
        let text = stretch.text.trim();
        let signs = text.chars().filter(|sign| !sign.is_whitespace()).count();
        let letters = text.chars().filter(|sign| sign.is_alphabetic()).count();
        // In scripts without capitals, the start of a sentence is unknown.
        let goes_on = text.starts_with(|sign: char| sign.is_alphabetic() && !sign.is_uppercase());
        let is_label = text.ends_with(':');
        let (y, height) = (stretch.start.across, stretch.start.height);
        (signs > 0).then_some(Self { at, from, to, y, height, signs, letters, goes_on, is_label })
    }
}

/// A line of a column or page.
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

/// Groups segments, sorted from top to bottom, into lines: index ranges.
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
    /// Reading group of each stretch.
    groups: Vec<Option<usize>>,
    next: usize,
    /// Whether a cut was made.
    cut: bool,
}

impl Page<'_> {
    /// Assigns each segment its group.
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
            // A column is read downwards, even if its program starts elsewhere, for example with a footer.
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

    /// Assigns the next group to these segments; within a group, the program's order applies.
    fn group(&mut self, segments: &[Segment]) {
        for segment in segments {
            self.groups[segment.at] = Some(self.next);
        }
        self.next += 1;
    }

    /// Whether the columns are read one after the other instead of line by line.
    fn are_read_down(&self, columns: &Columns) -> bool {
        let has_columns = (2..=COLUMNS).contains(&columns.len())
            && columns.iter().all(|column| has_lines(column) && is_in_letters(column));
        if !has_columns || !jumps(columns) || self.is_ruled(columns) {
            return false;
        }
        let columns: Vec<Vec<Line>> = columns.iter().map(|column| lines(column)).collect();
        columns.iter().all(|column| is_prose(column)) || self.is_even(&columns)
    }

    /// Whether horizontal rules cross all columns between the lines of text.
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
        // Both edges of a drawn bar count as one rule.
        let is_near = |a: &Rule, b: &Rule| b.y - a.y < 3.0;
        let across = within.chunk_by(is_near).filter(|level| {
            middles.iter().all(|x| level.iter().any(|rule| rule.from < *x && *x < rule.to))
        });
        TABLE <= across.count()
    }

    /// Whether the page is evenly divided: equal distances between column starts, a gutter between columns, and closely
    /// spaced lines.
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

/// The best cut: the position with most lines on both sides and none across.
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
    // The middle of the widest such range.
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

/// Number of lines on both sides of `x`, counted in bands of at least [`LINES`] lines.
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

/// Splits the segments from top to bottom: lines that cross the gutter, and the bands between them.
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

/// Columns of a band from left to right; between them the whole band is empty.
fn columns(band: &[Segment]) -> Columns {
    let mut sorted = band.to_vec();
    sorted.sort_by(|a, b| a.from.total_cmp(&b.from));
    let mut columns = Columns::new();
    let (mut end, mut is_bullets) = (f64::MIN, false);
    for segment in sorted {
        let is_bullet = segment.signs <= BULLET;
        match columns.last_mut() {
            // Text to the right of a column of bullets or numbers belongs to it.
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

/// Whether the program changes the column with most lines; otherwise its own order is right.
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

/// Whether lines are long, fill their column and continue sentences.
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
