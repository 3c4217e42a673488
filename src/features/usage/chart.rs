//! The chart of what each day cost, drawn here: stacked bars by agent, with the same as a table.

use std::collections::BTreeMap;

use crate::kernel::AgentId;
use crate::web::format;

use super::period::Month;

const WIDTH: u32 = 880;
const LEFT: u32 = 44;
const TOP: u32 = 12;
/// Height of the part that stands for money.
const HEIGHT: i64 = 156;
const BASE: u32 = 168;

/// A horizontal line with its amount.
pub struct Line {
    /// Its place from the top.
    pub y: u32,
    /// Where its words stand.
    pub text_y: u32,
    /// Its words.
    pub label: String,
}

/// A piece of a bar.
pub struct Piece {
    /// The agent's colour.
    pub colour: u8,
    /// Place from the top.
    pub y: u32,
    /// Height.
    pub height: u32,
}

/// A day.
pub struct Bar {
    /// Place from the left.
    pub x: u32,
    /// Width.
    pub width: u32,
    /// What it says when it is pointed at.
    pub title: String,
    /// Its pieces, from the bottom.
    pub pieces: Vec<Piece>,
    /// The day's number below some of the bars; empty below the others.
    pub label: String,
    /// Where the number stands.
    pub label_x: u32,
}

/// What an agent cost in the month.
pub struct Key {
    /// Its colour.
    pub colour: u8,
    /// Its name.
    pub name: String,
    /// Its sum.
    pub sum: String,
}

/// A line of the table.
pub struct Entry {
    /// The day.
    pub date: String,
    /// By agent, in words.
    pub by: String,
    /// The sum.
    pub sum: String,
}

/// The chart and its table.
pub struct Chart {
    /// Lines with amounts.
    pub lines: Vec<Line>,
    /// Days.
    pub bars: Vec<Bar>,
    /// Which colour is whose.
    pub keys: Vec<Key>,
    /// The same as a table: days with a cost.
    pub entries: Vec<Entry>,
    /// In words.
    pub words: String,
    /// Right end of the lines.
    pub right: u32,
    /// Left end of the lines.
    pub left: u32,
    /// Right end of the amounts.
    pub text_x: u32,
}

/// Draws `count` days from day `first` on, of which `past` have begun.
#[must_use]
pub fn draw(
    first: u32,
    count: u32,
    past: u32,
    days: &BTreeMap<u32, Vec<(AgentId, i64)>>,
    names: &[(AgentId, String, u8)],
) -> Chart {
    let sum_of = |parts: &[(AgentId, i64)]| parts.iter().map(|(_, micros)| *micros).sum::<i64>();
    let most = days.values().map(|parts| sum_of(parts)).max().unwrap_or(0);
    let (step, steps) = scale(most);
    let whole = (step * steps).max(1);
    let high =
        |micros: i64| u32::try_from((micros.max(0) * HEIGHT + whole / 2) / whole).unwrap_or(0);
    let lines = (0..=steps).map(|n| {
        let y = BASE - high(step * n);
        Line { y, text_y: y + 4, label: short(step * n) }
    });
    let slot = (WIDTH - LEFT) / count.max(1);
    let bars = (0..count).map(|n| {
        let parts = days.get(&(first + n)).map_or(&[][..], Vec::as_slice);
        let date = Month::date_of(first + n);
        let x = LEFT + n * slot + 3;
        let label = match n + 1 {
            day if day == past => day.to_string(),
            day if day == 1 || day % 5 == 0 => day.to_string(),
            _ => String::new(),
        };
        Bar {
            x,
            width: slot.saturating_sub(6).max(2),
            title: format!("{}: {}", date.strftime("%-d %B"), format::money(sum_of(parts))),
            pieces: pieces(parts, names, high),
            label,
            label_x: x + slot.saturating_sub(6) / 2,
        }
    });
    let mut sums: BTreeMap<AgentId, i64> = BTreeMap::new();
    for (agent, micros) in days.values().flatten() {
        *sums.entry(*agent).or_default() += micros;
    }
    let mut sums: Vec<(AgentId, i64)> = sums.into_iter().collect();
    sums.sort_by_key(|(agent, micros)| (std::cmp::Reverse(*micros), *agent));
    let total: i64 = sums.iter().map(|(_, micros)| micros).sum();
    Chart {
        lines: lines.collect(),
        bars: bars.collect(),
        keys: sums
            .iter()
            .map(|(agent, micros)| {
                let (name, colour) = named(names, *agent);
                Key { colour, name, sum: format::money(*micros) }
            })
            .collect(),
        entries: days.iter().map(|(day, parts)| entry(*day, parts, names)).collect(),
        words: format!(
            "{} in {}, at most {} a day",
            format::money(total),
            format::count(u64::from(past), "day", "days"),
            format::money(most)
        ),
        right: WIDTH,
        left: LEFT,
        text_x: LEFT - 8,
    }
}

fn named(names: &[(AgentId, String, u8)], agent: AgentId) -> (String, u8) {
    let found = names.iter().find(|(id, ..)| *id == agent);
    found.map_or_else(|| ("an agent that is gone".to_owned(), 8), |(_, name, c)| (name.clone(), *c))
}

fn pieces(
    parts: &[(AgentId, i64)],
    names: &[(AgentId, String, u8)],
    high: impl Fn(i64) -> u32,
) -> Vec<Piece> {
    let mut before = 0;
    let mut pieces = Vec::with_capacity(parts.len());
    for (agent, micros) in parts {
        let bottom = high(before);
        before += micros;
        // A cost too small to see is shown as a hair: it was no day without a cost.
        let height = (high(before) - bottom).max(u32::from(*micros > 0));
        let y = BASE.saturating_sub(bottom + height).max(TOP);
        pieces.push(Piece { colour: named(names, *agent).1, y, height });
    }
    pieces
}

fn entry(day: u32, parts: &[(AgentId, i64)], names: &[(AgentId, String, u8)]) -> Entry {
    let by = parts
        .iter()
        .map(|(agent, micros)| format!("{} {}", named(names, *agent).0, format::money(*micros)));
    Entry {
        date: Month::date_of(day).strftime("%-d %B").to_string(),
        by: by.collect::<Vec<_>>().join(", "),
        sum: format::money(parts.iter().map(|(_, micros)| micros).sum()),
    }
}

/// The step between two lines, a round amount, and how many steps hold `most`.
fn scale(most: i64) -> (i64, i64) {
    let mut step = 10_000;
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

/// An amount beside a line.
fn short(micros: i64) -> String {
    if micros % 1_000_000 == 0 {
        format!("${}", format::grouped((micros / 1_000_000).unsigned_abs()))
    } else {
        format!("${}.{:02}", micros / 1_000_000, micros / 10_000 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::{draw, scale};
    use crate::kernel::{AgentId, TypedId};
    use std::collections::BTreeMap;

    #[test]
    fn steps_are_round_and_few() {
        assert_eq!(scale(0), (10_000, 1));
        assert_eq!(scale(60_000), (20_000, 3));
        assert_eq!(scale(4_700_000), (1_000_000, 5));
        assert_eq!(scale(5_100_000), (2_000_000, 3));
        assert_eq!(scale(48_000_000), (10_000_000, 5));
        for most in (0..2_000_000_000).step_by(7_654_321) {
            let (step, steps) = scale(most);
            assert!(step * steps >= most && (1..=5).contains(&steps), "{most}: {step} {steps}");
        }
    }

    #[test]
    fn pieces_stand_on_each_other_and_stay_in_the_picture() {
        let agent = |n| AgentId::from_bytes([n; 16]);
        let names = [(agent(1), "Ada".to_owned(), 1), (agent(2), "Kit".to_owned(), 2)];
        let days = BTreeMap::from([(
            20_000,
            vec![(agent(1), 3_000_000), (agent(2), 1_700_000), (agent(3), 1)],
        )]);
        let chart = draw(20_000, 30, 1, &days, &names);
        let bar = &chart.bars[0];
        assert_eq!(bar.pieces[0].y + bar.pieces[0].height, 168);
        assert_eq!(bar.pieces[1].y + bar.pieces[1].height, bar.pieces[0].y);
        assert_eq!(bar.pieces[2].height, 1);
        assert!(chart.bars.iter().all(|bar| bar.x + bar.width <= 880));
        assert_eq!(chart.keys[0].name, "Ada");
        assert!(chart.entries[0].by.ends_with("an agent that is gone $0.0000"));
        assert_eq!(draw(20_000, 31, 0, &BTreeMap::new(), &names).entries.len(), 0);
    }
}
