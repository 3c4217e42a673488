//! Daily usage chart: stacked bars, and the same data as a table.

use std::collections::BTreeMap;

use kernel::display;
use web::format;

use super::period::Month;
use super::queries::report::Of;
use super::span::{Kind, Span};

const WIDTH: u32 = 880;
const LEFT: u32 = 44;
const TOP: u32 = 12;
/// Height of the bar area.
const HEIGHT: i64 = 156;
const BASE: u32 = 168;
/// Above this number of days, bars show weeks.
const MAX_BARS: u32 = 92;
/// Number of series with their own colour.
const COLOURS: usize = 8;

/// A grid line with its amount.
pub struct Line {
    /// Distance from the top.
    pub y: u32,
    /// Baseline of the label.
    pub text_y: u32,
    pub label: String,
}

/// Segment of a bar.
pub struct Piece {
    /// Colour of its series.
    pub colour: u8,
    /// Distance from the top.
    pub y: u32,
    pub height: u32,
}

/// Bar of a day or a week.
pub struct Bar {
    /// Distance from the left.
    pub x: u32,
    pub width: u32,
    /// Tooltip.
    pub title: String,
    /// From bottom to top.
    pub pieces: Vec<Piece>,
    /// Date label; empty below most bars.
    pub label: String,
    /// Position of the date label.
    pub label_x: u32,
}

/// Legend entry of a series.
pub struct Key {
    pub colour: u8,
    pub name: String,
    pub sum: String,
}

/// Row of the table.
pub struct Entry {
    /// The day or week.
    pub date: String,
    /// Amounts by series, as text.
    pub by: String,
    pub sum: String,
}

pub struct Chart {
    pub lines: Vec<Line>,
    pub bars: Vec<Bar>,
    /// The legend.
    pub keys: Vec<Key>,
    /// Table rows; days without an amount are omitted.
    pub entries: Vec<Entry>,
    pub words: String,
    /// Right end of the grid lines.
    pub right: u32,
    /// Left end of the grid lines.
    pub left: u32,
    /// Right end of the amount labels.
    pub text_x: u32,
}

/// A series of the chart.
pub struct Series {
    /// Key of its amounts.
    pub key: String,
    pub name: String,
}

/// Draws a bar per day, or per week for long spans. `series` is ordered by amount, highest first; those beyond the
/// available colours are merged.
#[must_use]
pub fn draw(
    span: Span,
    past: u32,
    days: &BTreeMap<u32, BTreeMap<String, i64>>,
    series: &[Series],
    of: Of,
) -> Chart {
    let palette = Palette::of(series);
    let step_days = if MAX_BARS < span.count() { 7 } else { 1 };
    let slots = slots(span, step_days, days, &palette);
    let most = slots.iter().map(Slot::sum).max().unwrap_or(0);
    let (step, steps) = scale(most, of);
    let whole = (step * steps).max(1);
    let high =
        |micros: i64| u32::try_from((micros.max(0) * HEIGHT + whole / 2) / whole).unwrap_or(0);
    let lines = (0..=steps).map(|n| {
        let y = BASE - high(step * n);
        Line { y, text_y: y + 4, label: short(step * n, of) }
    });
    let count = u32::try_from(slots.len()).unwrap_or(1).max(1);
    let wide = (WIDTH - LEFT) / count;
    let gap = if 12 < wide { 3 } else { 1 };
    let bars = (0..).zip(&slots).map(|(n, slot): (u32, &Slot)| {
        let (x, width) = (LEFT + n * wide + gap, wide.saturating_sub(2 * gap).max(2));
        Bar {
            x,
            width,
            title: format!("{}: {}", slot.words, words(slot.sum(), of)),
            pieces: pieces(&slot.parts, high),
            label: label(span, n, count, past),
            label_x: x + width / 2,
        }
    });
    let mut sums: BTreeMap<u8, i64> = BTreeMap::new();
    for (colour, micros) in slots.iter().flat_map(|slot| &slot.parts) {
        *sums.entry(*colour).or_default() += micros;
    }
    let mut sums: Vec<(u8, i64)> = sums.into_iter().collect();
    sums.sort_by_key(|(colour, micros)| (std::cmp::Reverse(*micros), *colour));
    let total: i64 = sums.iter().map(|(_, micros)| micros).sum();
    let keys = sums.iter().map(|(colour, micros)| Key {
        colour: *colour,
        name: palette.name(*colour).to_owned(),
        sum: words(*micros, of),
    });
    Chart {
        lines: lines.collect(),
        bars: bars.collect(),
        keys: keys.collect(),
        entries: slots
            .iter()
            .filter(|slot| !slot.parts.is_empty())
            .map(|s| s.entry(&palette, of))
            .collect(),
        words: format!(
            "{} in {}, at most {} per {}",
            words(total, of),
            format::count(u64::from(past), "day", "days"),
            words(most, of),
            if step_days == 1 { "day" } else { "week" },
        ),
        right: WIDTH,
        left: LEFT,
        text_x: LEFT - 8,
    }
}

/// Assigns colours in key order, so that a series keeps its colour while the same series are shown.
struct Palette<'a> {
    /// Keys and names of colours 1, 2, …
    shown: Vec<(&'a str, &'a str)>,
}

impl<'a> Palette<'a> {
    fn of(series: &'a [Series]) -> Self {
        let most = if COLOURS < series.len() { COLOURS - 1 } else { COLOURS };
        let shown = series.iter().take(most).map(|one| (one.key.as_str(), one.name.as_str()));
        let mut shown: Vec<_> = shown.collect();
        shown.sort_unstable();
        Self { shown }
    }

    fn colour(&self, key: &str) -> u8 {
        let at = self.shown.iter().position(|(own, _)| *own == key);
        u8::try_from(at.unwrap_or(COLOURS - 1)).unwrap_or(0) + 1
    }

    fn name(&self, colour: u8) -> &str {
        let own = self.shown.get(usize::from(colour).saturating_sub(1));
        own.map_or("All others", |(_, name)| name)
    }
}

/// Content of one bar.
struct Slot {
    words: String,
    /// Colours with their amounts.
    parts: Vec<(u8, i64)>,
}

impl Slot {
    fn sum(&self) -> i64 {
        self.parts.iter().map(|(_, micros)| micros).sum()
    }

    fn entry(&self, palette: &Palette<'_>, of: Of) -> Entry {
        let by = self.parts.iter();
        let by = by.map(|(colour, n)| format!("{} {}", palette.name(*colour), words(*n, of)));
        Entry {
            date: self.words.clone(),
            by: by.collect::<Vec<_>>().join(", "),
            sum: words(self.sum(), of),
        }
    }
}

fn slots(
    span: Span,
    step: u32,
    days: &BTreeMap<u32, BTreeMap<String, i64>>,
    palette: &Palette<'_>,
) -> Vec<Slot> {
    let firsts = (span.first..=span.last).step_by(usize::try_from(step).unwrap_or(1));
    let slot = |first: u32| {
        let last = (first + step - 1).min(span.last);
        let mut parts: BTreeMap<u8, i64> = BTreeMap::new();
        for (key, micros) in days.range(first..=last).flat_map(|(_, parts)| parts) {
            let part = parts.entry(palette.colour(key)).or_default();
            *part = part.saturating_add(*micros);
        }
        let date = |day: u32| display::long_day_of_year(Month::date_of(day));
        let words = match first == last {
            true => date(first),
            false => format!("{} to {}", date(first), date(last)),
        };
        Slot { words, parts: parts.into_iter().collect() }
    };
    firsts.map(slot).collect()
}

/// Label below a bar: in a month, every fifth day and the last day that has begun; otherwise as many dates as fit.
fn label(span: Span, n: u32, count: u32, past: u32) -> String {
    if matches!(span.kind, Kind::Month(_)) {
        return match n + 1 {
            day if day == past || day == 1 || day % 5 == 0 => day.to_string(),
            _ => String::new(),
        };
    }
    if !n.is_multiple_of(count.div_ceil(10).max(1)) {
        return String::new();
    }
    let step = if MAX_BARS < span.count() { 7 } else { 1 };
    display::day_of_year(Month::date_of(span.first + n * step))
}

fn pieces(parts: &[(u8, i64)], high: impl Fn(i64) -> u32) -> Vec<Piece> {
    let mut before = 0;
    let mut pieces = Vec::with_capacity(parts.len());
    for (colour, micros) in parts {
        let bottom = high(before);
        before += micros;
        // A non-zero amount is at least one pixel high.
        let height = (high(before) - bottom).max(u32::from(*micros > 0));
        let y = BASE.saturating_sub(bottom + height).max(TOP);
        pieces.push(Piece { colour: *colour, y, height });
    }
    pieces
}

/// A round step between grid lines, and the number of steps that covers `most`.
fn scale(most: i64, of: Of) -> (i64, i64) {
    // A cent, or a hundred tokens.
    let mut step = if of == Of::Tokens { 100 } else { 10_000 };
    for factor in [2, 5, 10].iter().cycle().take(60) {
        if most <= step * 5 {
            break;
        }
        // 1, 2, 5, 10, 20, 50, …
        step = match factor {
            2 => step * 2,
            5 => step / 2 * 5,
            _ => step * 2,
        };
    }
    (step, ((most + step - 1) / step).max(1))
}

/// Display form of an amount.
fn words(amount: i64, of: Of) -> String {
    match of {
        Of::Billed | Of::List => format::money(amount),
        Of::Tokens => format!("{} tokens", format::tokens(amount.max(0).unsigned_abs())),
    }
}

/// Label of a grid line.
fn short(micros: i64, of: Of) -> String {
    if of == Of::Tokens {
        format::tokens(micros.max(0).unsigned_abs())
    } else if micros % 1_000_000 == 0 {
        format!("${}", format::grouped((micros / 1_000_000).unsigned_abs()))
    } else {
        format::money(micros / 10_000 * 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::{COLOURS, Series, draw, scale};
    use crate::usage::period::Month;
    use crate::usage::queries::report::Of;
    use crate::usage::span::{Span, SpanParams, read};
    use std::collections::BTreeMap;

    fn days(query: &str) -> Span {
        let (month, range) = if query.contains('-') { (query, "") } else { ("", query) };
        let params =
            SpanParams { month: month.into(), range: range.into(), ..SpanParams::default() };
        read(&params, 20_000).unwrap()
    }

    fn series(keys: &[&str]) -> Vec<Series> {
        keys.iter().map(|key| Series { key: (*key).into(), name: key.to_uppercase() }).collect()
    }

    fn parts(parts: &[(&str, i64)]) -> BTreeMap<String, i64> {
        parts.iter().map(|(key, micros)| ((*key).to_owned(), *micros)).collect()
    }

    #[test]
    fn steps_are_round_and_few() {
        assert_eq!(scale(0, Of::Billed), (10_000, 1));
        assert_eq!(scale(60_000, Of::Billed), (20_000, 3));
        assert_eq!(scale(4_700_000, Of::Billed), (1_000_000, 5));
        assert_eq!(scale(5_100_000, Of::Billed), (2_000_000, 3));
        assert_eq!(scale(48_000_000, Of::Billed), (10_000_000, 5));
        for most in (0..2_000_000_000).step_by(7_654_321) {
            let (step, steps) = scale(most, Of::Billed);
            assert!(step * steps >= most && (1..=5).contains(&steps), "{most}: {step} {steps}");
        }
    }

    #[test]
    fn pieces_stand_on_each_other_and_stay_in_the_picture() {
        let span = days("2026-11");
        let cost = parts(&[("a", 3_000_000), ("b", 1_700_000), ("c", 1)]);
        let chart = draw(
            span,
            1,
            &BTreeMap::from([(span.first, cost)]),
            &series(&["b", "a", "c"]),
            Of::Billed,
        );
        let bar = &chart.bars[0];
        assert_eq!(bar.pieces[0].y + bar.pieces[0].height, 168);
        assert_eq!(bar.pieces[1].y + bar.pieces[1].height, bar.pieces[0].y);
        assert_eq!((bar.pieces[2].height, bar.pieces[2].colour), (1, 3));
        assert!(chart.bars.len() == 30 && chart.bars.iter().all(|bar| bar.x + bar.width <= 880));
        assert_eq!((chart.keys[0].name.as_str(), chart.keys[0].colour), ("A", 1));
        assert_eq!(chart.entries[0].date, "1 November");
        assert!(chart.entries[0].by.ends_with("C $0.00"), "{}", chart.entries[0].by);
        let labels: Vec<_> = chart.bars.iter().filter(|bar| !bar.label.is_empty()).collect();
        assert_eq!(labels.len(), 7, "the first, and each fifth");
        assert_eq!(draw(span, 0, &BTreeMap::new(), &[], Of::Billed).entries.len(), 0);
    }

    #[test]
    fn many_days_are_drawn_as_weeks_and_many_series_end_in_one() {
        let keys: Vec<String> = (0..12).map(|n| format!("k{n:02}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let cost = parts(&keys.iter().map(|key| (*key, 1_000_000)).collect::<Vec<_>>());
        let params = SpanParams {
            from: "2023-10-07".into(),
            to: "2024-10-04".into(),
            ..SpanParams::default()
        };
        let span = read(&params, 20_000).unwrap();
        let all = BTreeMap::from([(span.first, cost.clone()), (span.first + 6, cost)]);
        let chart = draw(span, span.count(), &all, &series(&keys), Of::Billed);
        assert_eq!(chart.bars.len(), span.count().div_ceil(7) as usize);
        assert!(chart.bars.iter().all(|bar| bar.x + bar.width <= 880));
        assert!(chart.bars.iter().filter(|bar| !bar.label.is_empty()).count() <= 10);
        assert_eq!(chart.keys.len(), COLOURS);
        assert_eq!(
            (chart.keys[0].name.as_str(), chart.keys[0].sum.as_str()),
            ("All others", "$10.00")
        );
        assert_eq!(chart.entries.len(), 1, "both days are in one week");
        assert!(chart.entries[0].date.starts_with("7 October to"), "{}", chart.entries[0].date);
        let ninety = draw(days("90"), 90, &BTreeMap::new(), &[], Of::Billed);
        assert_eq!(ninety.bars.len(), 90);
        assert_eq!(ninety.bars[0].label, Month::date_of(19_911).strftime("%-d %b").to_string());
    }

    #[test]
    fn tokens_are_drawn_like_money() {
        let span = days("2026-11");
        let used = BTreeMap::from([(span.first, parts(&[("a", 1_200), ("b", 300)]))]);
        let chart = draw(span, 1, &used, &series(&["a", "b"]), Of::Tokens);
        let labels: Vec<&str> = chart.lines.iter().map(|line| line.label.as_str()).collect();
        assert_eq!(labels, ["0", "500", "1.0K", "1.5K"]);
        assert_eq!(chart.bars[0].pieces.iter().map(|piece| piece.height).sum::<u32>(), 156);
        assert_eq!(chart.keys[0].sum, "1.2K tokens");
        assert!(chart.words.starts_with("1.5K tokens in 1 day"), "{}", chart.words);
        assert_eq!(chart.entries[0].by, "A 1.2K tokens, B 300 tokens");
    }
}
