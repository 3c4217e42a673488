//! The board: a column for each choice of a field, or for each value that rows have.

use ::list::groups::Group;
use noun::{Column, Decimal, Kind, Stands};
use web::format;

use super::draw;
use super::frame::term_of;
use super::rows::{Line, Mark, Rows, mark};
use super::state::State;
use crate::columns::{self, STAGE};
use crate::error::CrmError;
use crate::list::Found;
use crate::model::Book;
use noun::FieldValue;

/// Cards of a column at once.
pub(super) const CARDS: usize = 50;

/// A column of the board.
pub(super) struct Lane {
    /// What a card gets that is put here.
    pub value: String,
    pub mark: Mark,
    pub tone: &'static str,
    pub total: String,
    pub sum: String,
    pub cards: Vec<Line>,
    pub more: String,
}

/// A number above the board.
pub(super) struct Fact {
    pub label: &'static str,
    pub value: String,
    pub note: String,
}

/// The board.
pub(super) struct Board {
    /// The field that a card gets when it is put into another column.
    pub field: String,
    pub lanes: Vec<Lane>,
    pub facts: Vec<Fact>,
}

/// The board of what a list found.
pub(super) fn board<B: Book>(
    rows: &Rows<'_>,
    state: &State,
    column: &Column,
    found: &Found<B::Id>,
) -> Result<Board, CrmError> {
    let empty: Group<B::Id> =
        Group { value: None, count: 0, tallies: Vec::new(), first: Vec::new() };
    let mut lanes = Vec::new();
    if column.kind == Kind::Select {
        for choice in &column.choices {
            let value = FieldValue::Choice(choice.key.clone());
            let group = found.groups.iter().find(|group| group.value.as_ref() == Some(&value));
            let tone = draw::tone(choice.stands);
            lanes.push(lane::<B>(
                rows,
                state,
                (column, tone),
                (Some(&value), group.unwrap_or(&empty)),
            )?);
        }
    }
    // What is no choice any more, and what has no value, has a column of its own when there is any.
    let known = |group: &&Group<B::Id>| match &group.value {
        Some(FieldValue::Choice(key)) => column.choices.iter().any(|choice| choice.key == *key),
        _ => false,
    };
    for group in found.groups.iter().filter(|group| !known(group)) {
        lanes.push(lane::<B>(rows, state, (column, "info"), (group.value.as_ref(), group))?);
    }
    let is_stages = column.key == STAGE;
    if !is_stages && found.groups.iter().all(|group| group.value.is_some()) {
        lanes.push(lane::<B>(rows, state, (column, "info"), (None, &empty))?);
    }
    Ok(Board {
        field: column.key.clone(),
        lanes,
        facts: if is_stages { facts(column, &rows.look.columns, found) } else { Vec::new() },
    })
}

fn lane<B: Book>(
    rows: &Rows<'_>,
    state: &State,
    (column, tone): (&Column, &'static str),
    (value, group): (Option<&FieldValue>, &Group<B::Id>),
) -> Result<Lane, CrmError> {
    let money = columns::money(&rows.look.columns);
    let sum = group.tallies.first().map(::list::figures::Tally::sum).unwrap_or_default();
    let mark = mark(rows, column, value);
    let cards = rows.of::<B>(&group.first)?;
    let one = state.query.with(term_of(column, &mark.word));
    Ok(Lane {
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

/// What is open, what it is worth, what is likely to come of it, what was won, and how long that took.
fn facts<I>(stage: &Column, columns: &[Column], found: &Found<I>) -> Vec<Fact> {
    let groups = &found.groups;
    let money = columns::money(columns);
    let (mut open, mut won) = ((0, 0), (0, 0));
    let mut likely = 0_i128;
    for choice in &stage.choices {
        let value = FieldValue::Choice(choice.key.clone());
        let Some(at) = groups.iter().find(|group| group.value.as_ref() == Some(&value)) else {
            continue;
        };
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
            label: "Likely",
            value: shown(likely),
            note: "by the chance of each stage".to_owned(),
        });
    }
    let worth = if money.is_some() && won.1 != 0 { shown(won.1) } else { String::new() };
    facts.push(Fact { label: "Won", value: counted(won.0), note: worth });
    if let Some(days) = found.days_to_won {
        facts.push(Fact {
            label: "Days to won",
            value: days.to_string(),
            note: "median".to_owned(),
        });
    }
    facts
}

/// A number of rows as people read it.
fn counted(rows: usize) -> String {
    format::grouped(u64::try_from(rows).unwrap_or(u64::MAX))
}
