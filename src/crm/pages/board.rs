//! The board: a column per choice of a field, or per value of the rows.

use ::list::figures::Tally;
use ::list::groups::Group;
use entity::{Choice, Column, Decimal, FieldValue, Kind, Stands};
use uuid::Uuid;
use web::{format, ink};

use super::draw;
use super::frame::term_of;
use super::list::GROUPS;
use super::rows::{Line, Mark, Rows, mark};
use super::state::State;
use crate::columns::{self, STAGE};
use crate::error::CrmError;
use crate::list::Found;
use crate::model::RowKind;

/// Cards per column if there are few columns.
pub(super) const CARDS: usize = 50;
/// Minimum number of cards per column.
const FEW_CARDS: usize = 10;
/// Approximate number of cards of all columns.
const ALL_CARDS: usize = 250;

/// A column of the board.
pub(super) struct Lane {
    /// The value that a card gets when it is moved here.
    pub value: String,
    pub mark: Mark,
    pub tone: &'static str,
    pub total: String,
    pub sum: String,
    pub cards: Vec<Line>,
    pub more: String,
    /// The form of a new record in this column; empty if none.
    pub add: String,
}

/// A number above the board.
pub(super) struct Fact {
    pub label: &'static str,
    pub value: String,
    pub note: String,
}

/// The share of an open stage in the total value, or in the number of rows if there is no value.
pub(super) struct Part {
    pub colour: String,
    /// Start and width in thousandths of the whole.
    pub at: u128,
    pub width: u128,
    /// The stage with its value.
    pub said: String,
}

pub(super) struct Board {
    /// The field that changes when a card is moved.
    pub field: String,
    pub lanes: Vec<Lane>,
    /// Stages of closed deals: drop targets without cards.
    pub closed: Vec<Lane>,
    pub facts: Vec<Fact>,
    pub parts: Vec<Part>,
    /// Whether there are more columns on a further page.
    pub has_more: bool,
}

impl Board {
    /// The shares in words.
    pub fn parts_said(&self) -> String {
        let all: Vec<&str> = self.parts.iter().map(|part| part.said.as_str()).collect();
        all.join(", ")
    }
}

/// Builds the board of a list's result.
pub(super) fn board(
    kind: &'static RowKind,
    rows: &Rows<'_>,
    state: &State,
    column: &Column,
    found: &Found,
) -> Result<Board, CrmError> {
    let empty: Group<Uuid> =
        Group { value: None, count: 0, tallies: Vec::new(), first: Vec::new() };
    let is_stages = column.key == STAGE;
    // Values that are no longer choices, and rows without a value, get their own columns.
    let known = |group: &&Group<Uuid>| match &group.value {
        Some(FieldValue::Choice(key)) => column.choices.iter().any(|choice| choice.key == *key),
        _ => false,
    };
    let others = || found.groups.iter().filter(|group| !known(group));
    let count = column.choices.len() + others().count().min(GROUPS);
    let most = (ALL_CARDS / count.max(1)).clamp(FEW_CARDS, CARDS);
    let (mut lanes, mut closed) = (Vec::new(), Vec::new());
    if column.kind == Kind::Select {
        let is_over = |stands: Stands| is_stages && stands != Stands::Open;
        // If a list finds only closed deals, these are shown as cards.
        let is_open =
            |choice: &Choice| !is_over(choice.stands) && group_of(found, choice).is_some();
        let folds = found.ids.is_empty() || column.choices.iter().any(is_open);
        for choice in &column.choices {
            let value = FieldValue::Choice(choice.key.clone());
            let group = group_of(found, choice).unwrap_or(&empty);
            let tone = draw::tone(choice.stands);
            let folded = Group {
                value: None,
                count: group.count,
                tallies: group.tallies.clone(),
                first: Vec::new(),
            };
            let (to, group) = match folds && is_over(choice.stands) {
                true => (&mut closed, &folded),
                false => (&mut lanes, group),
            };
            to.push(lane(kind, rows, state, (column, tone), (Some(&value), group, most))?);
        }
    }
    for group in others().skip(state.from).take(GROUPS) {
        lanes.push(lane(kind, rows, state, (column, "info"), (group.value.as_ref(), group, most))?);
    }
    if !is_stages && found.groups.iter().all(|group| group.value.is_some()) {
        lanes.push(lane(kind, rows, state, (column, "info"), (None, &empty, most))?);
    }
    Ok(Board {
        field: column.key.clone(),
        lanes,
        closed,
        facts: if is_stages { facts(column, &rows.look.columns, found) } else { Vec::new() },
        parts: if is_stages { parts(column, &rows.look.columns, found) } else { Vec::new() },
        has_more: state.from + GROUPS < others().count(),
    })
}

fn lane(
    kind: &'static RowKind,
    rows: &Rows<'_>,
    state: &State,
    (column, tone): (&Column, &'static str),
    (value, group, most): (Option<&FieldValue>, &Group<Uuid>, usize),
) -> Result<Lane, CrmError> {
    let money = columns::money(&rows.look.columns);
    let sum = group.tallies.first().map(Tally::sum).unwrap_or_default();
    let mark = mark(rows, column, value);
    let cards = rows.of(kind, &group.first[..group.first.len().min(most)])?;
    let one = state.query.with(term_of(column, &mark.word));
    let begins = value.and_then(FieldValue::text).filter(|key| column.choice(key).is_some());
    Ok(Lane {
        add: begins.filter(|_| column.kind == Kind::Select).map_or_else(String::new, |key| {
            format!("{}/new?{}={}", state.base, column.key, format::query_value(key))
        }),
        more: match cards.len() < group.count {
            true => state.url_with(|look| {
                look.layout.clear();
                look.q = one.to_string();
            }),
            false => String::new(),
        },
        value: if value.is_some() { mark.word.clone() } else { String::new() },
        mark,
        tone,
        total: counted(group.count),
        sum: money
            .filter(|_| sum != Decimal::default())
            .map_or_else(String::new, |one| one.look.shown(sum)),
        cards,
    })
}

/// The group of a choice, if it has rows.
fn group_of<'f>(found: &'f Found, choice: &Choice) -> Option<&'f Group<Uuid>> {
    let value = FieldValue::Choice(choice.key.clone());
    found.groups.iter().find(|group| group.value.as_ref() == Some(&value))
}

/// Numbers above the board: open deals, their value, the weighted value, won deals, and the days to win.
fn facts(stage: &Column, columns: &[Column], found: &Found) -> Vec<Fact> {
    let money = columns::money(columns);
    let (mut open, mut won) = ((0, 0), (0, 0));
    let mut likely = 0_i128;
    for choice in &stage.choices {
        let Some(at) = group_of(found, choice) else { continue };
        let sum = at.tallies.first().map_or(0, |tally| tally.sum().millionths());
        match choice.stands {
            Stands::Open => {
                open = (open.0 + at.count, open.1 + sum);
                likely += i128::from(sum) * i128::from(choice.chance) / 100;
            }
            Stands::Won => won = (won.0 + at.count, won.1 + sum),
            Stands::Lost => {}
        }
    }
    let shown = |millionths: i64| {
        money
            .map(|column| column.look.shown(Decimal::of_millionths(millionths)))
            .unwrap_or_default()
    };
    let note = money.map_or_else(String::new, |column| column.label.clone());
    let mut facts = vec![Fact { label: "Open", value: counted(open.0), note: String::new() }];
    if money.is_some() {
        facts.push(Fact { label: "Value", value: shown(open.1), note: note.clone() });
        let likely = i64::try_from(likely).unwrap_or(i64::MAX);
        facts.push(Fact {
            label: "Weighted",
            value: shown(likely),
            note: "weighted by stage probability".to_owned(),
        });
    }
    let worth = if money.is_some() && won.1 != 0 { shown(won.1) } else { String::new() };
    facts.push(Fact { label: "Won", value: counted(won.0), note: worth });
    if let Some(days) = found.days_to_won {
        facts.push(Fact {
            label: "Days to win",
            value: days.to_string(),
            note: "median".to_owned(),
        });
    }
    facts
}

/// The value of each open stage as a share of the whole.
fn parts(stage: &Column, columns: &[Column], found: &Found) -> Vec<Part> {
    let money = columns::money(columns);
    let open = stage.choices.iter().filter(|choice| choice.stands == Stands::Open);
    let all: Vec<(&Choice, usize, Decimal)> = open
        .filter_map(|choice| {
            let at = group_of(found, choice)?;
            let sum = at.tallies.first().map_or_else(Decimal::default, Tally::sum);
            Some((choice, at.count, sum))
        })
        .collect();
    let is_worth = money.is_some() && all.iter().any(|(_, _, sum)| 0 < sum.millionths());
    let weight = |count: usize, sum: Decimal| match is_worth {
        true => u128::try_from(sum.millionths()).unwrap_or(0),
        false => u128::try_from(count).unwrap_or(0),
    };
    let whole: u128 = all.iter().map(|(_, count, sum)| weight(*count, *sum)).sum();
    let (mut before, mut parts) = (0_u128, Vec::new());
    for (choice, count, sum) in all {
        let weight = weight(count, sum);
        if weight == 0 {
            continue;
        }
        let at = before * 1000 / whole;
        before += weight;
        let worth = money.filter(|_| is_worth).map(|column| column.look.shown(sum));
        parts.push(Part {
            colour: ink::named(choice.colour),
            at,
            width: before * 1000 / whole - at,
            said: format!("{}: {}", choice.label, worth.unwrap_or_else(|| counted(count))),
        });
    }
    parts
}

/// A formatted number of rows.
fn counted(rows: usize) -> String {
    format::grouped(u64::try_from(rows).unwrap_or(u64::MAX))
}
