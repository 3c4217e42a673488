//! Sorts the rows of a list. Expensive orders are cached until a row changes.

use std::collections::{HashMap, HashSet};

use entity::{Column, Kind};

use crate::cursor::{Cursor, Mark};
use crate::filters;
use crate::list::{DUE, Seen};
use crate::list_cache::{Held, Order, Raw, Shared, Slim, packed};
use crate::model::CollectionId;

/// Up to this many rows are sorted directly; more are looked up in the order of all rows.
const FEW: usize = 1_000;

/// Sorts the rows at these ascending indexes by `by`. The scope is what they have in common: collection, and whether
/// they are archived.
pub(crate) fn sorted<'r>(
    (rows, fitting): (&[&'r Slim], Vec<usize>),
    shared: &Shared,
    (by, scope): (&str, (Option<CollectionId>, bool)),
    seen: &Seen<'_>,
) -> Vec<&'r Slim> {
    let around = seen.around;
    let (down, key) = by.strip_prefix('-').map_or((false, by), |key| (true, key));
    let mut found: Vec<&Slim> = fitting.iter().map(|at| rows[*at]).collect();
    let order = match key {
        "" | "created" => {
            if by.is_empty() || down {
                found.reverse();
            }
            return found;
        }
        "updated" => in_order(&found, down, |row| Some(row.updated)),
        DUE => in_order(&found, down, |row| filters::due_of(row, around).map(packed)),
        key => {
            let at = shared.find(key);
            let column = around.columns.iter().find(|column| column.key == key);
            let sizes = [Kind::Number, Kind::Date, Kind::Datetime, Kind::Boolean];
            let is_quick = column.is_none_or(|column| sizes.contains(&column.kind));
            match at {
                Some(at) if !is_quick && FEW < found.len() => {
                    let order = of_all(rows, shared, (at, down, scope), (column, seen));
                    let mut fits = vec![false; rows.len()];
                    fitting.iter().for_each(|at| fits[*at] = true);
                    let places = order.iter().map(|at| *at as usize);
                    return places.filter(|at| fits[*at]).map(|at| rows[at]).collect();
                }
                _ => by_values(&found, shared, (at, down), (column, seen)),
            }
        }
    };
    order.into_iter().map(|at| found[at]).collect()
}

/// Number of these rows, sorted by `by`, up to a cursor.
pub(crate) fn before(
    sorted: &[&Slim],
    shared: &Shared,
    (by, place): (&str, &Cursor),
    seen: &Seen<'_>,
) -> usize {
    let (is_down, key) = by.strip_prefix('-').map_or((false, by), |key| (true, key));
    let newest_first = by.is_empty() || by == "-created";
    sorted.partition_point(|row| {
        let order = match key {
            "" | "created" if newest_first => place.id.cmp(&row.id),
            _ => place.compare(&cursor(row, shared, by, seen), is_down),
        };
        order != std::cmp::Ordering::Greater
    })
}

/// The cursor of a row in the order of `by`.
pub(crate) fn cursor(
    row: &Slim,
    shared: &Shared,
    by: &str,
    Seen { around, titles, .. }: &Seen<'_>,
) -> Cursor {
    let mark = match by.trim_start_matches('-') {
        "" | "created" => None,
        "updated" => Some(Mark::Number(row.updated)),
        DUE => filters::due_of(row, around).map(packed).map(Mark::Number),
        key => shared.raw_of(row, shared.find(key)).map(|raw| {
            let column = around.columns.iter().find(|column| column.key == key);
            let kind = column.map(|column| column.kind);
            let held = shared.held(raw);
            let words = match (kind, &held) {
                (Some(Kind::Select), Some(Held::Choice(text))) => {
                    let all = column.into_iter().flat_map(|column| &column.choices);
                    let at = all.enumerate().find(|(_, choice)| choice.key == text.text);
                    let at = at.and_then(|(at, _)| i64::try_from(at).ok());
                    return Mark::Number(at.unwrap_or(-1));
                }
                (Some(Kind::Select), _) => return Mark::Number(-1),
                (Some(Kind::Person | Kind::Relation), Some(Held::Refers(target))) => {
                    titles.get(&target.id).cloned()
                }
                (Some(Kind::Person | Kind::Relation), Some(Held::Who(who))) => {
                    Some(around.names.name_of(*who).to_lowercase())
                }
                (Some(Kind::Person | Kind::Relation), _) => None,
                _ if raw.size().is_some() => return Mark::Number(raw.size().unwrap_or_default()),
                _ => held.and_then(|held| held.value().text().map(str::to_lowercase)),
            };
            words.map_or(Mark::Number(i64::MIN), Mark::Words)
        }),
    };
    Cursor { mark, id: row.id }
}

/// Indexes of all rows of a scope, sorted by a field.
fn of_all(
    rows: &[&Slim],
    shared: &Shared,
    (field, down, (collection, archived)): (u16, bool, (Option<CollectionId>, bool)),
    (column, seen): (Option<&Column>, &Seen<'_>),
) -> std::sync::Arc<[u32]> {
    let kind = column.map(|column| column.kind);
    let choices = column.filter(|column| column.kind == Kind::Select);
    let choices = choices.into_iter().flat_map(|column| &column.choices);
    let people = match kind {
        Some(Kind::Person | Kind::Relation) => shared.people(),
        _ => &[],
    };
    let order = Order {
        collection,
        archived,
        field,
        down,
        kind,
        choices: choices.map(|choice| choice.key.clone()).collect(),
        people: people.iter().map(|who| seen.around.names.name_of(*who)).collect(),
    };
    shared.order(&order, &seen.titles, || {
        let is_in = |row: &Slim| row.collection == collection && row.archived == archived;
        let (places, all): (Vec<u32>, Vec<&Slim>) =
            (0_u32..).zip(rows.iter().copied()).filter(|(_, row)| is_in(row)).unzip();
        let order = by_values(&all, shared, (Some(field), down), (column, seen));
        order.into_iter().map(|at| places[at]).collect()
    })
}

/// Indexes into these rows, sorted by a field.
fn by_values(
    rows: &[&Slim],
    shared: &Shared,
    (field, down): (Option<u16>, bool),
    (column, seen): (Option<&Column>, &Seen<'_>),
) -> Vec<usize> {
    let places = places(rows, (shared, field), (column, seen));
    in_order(rows, down, |row| {
        let raw = shared.raw_of(row, field)?;
        places.get(&raw).copied().or_else(|| raw.size())
    })
}

/// Indexes of rows sorted by a number. Stable; rows without a number come last in both directions.
fn in_order(rows: &[&Slim], down: bool, number: impl Fn(&Slim) -> Option<i64>) -> Vec<usize> {
    let (mut filled, mut empty) = (Vec::with_capacity(rows.len()), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        match number(row) {
            // Bitwise negation reverses the order.
            Some(number) => filled.push((if down { !number } else { number }, at)),
            None => empty.push(at),
        }
    }
    filled.sort_unstable();
    filled.into_iter().map(|(_, at)| at).chain(empty).collect()
}

/// Ranks of values without a natural order: choices in their order, others by text, ignoring case. Each distinct value
/// is examined once.
fn places(
    rows: &[&Slim],
    (shared, at): (&Shared, Option<u16>),
    (column, Seen { around, titles, .. }): (Option<&Column>, &Seen<'_>),
) -> HashMap<Raw, i64> {
    let kind = column.map(|column| column.kind);
    let by_place = |held: Held<'_>| match held {
        Held::Choice(text) => column
            .and_then(|column| column.choices.iter().position(|choice| choice.key == text.text)),
        _ => None,
    };
    let by_words = |held: Held<'_>| match (kind, held) {
        (Some(Kind::Person | Kind::Relation), Held::Refers(target)) => {
            titles.get(&target.id).cloned()
        }
        (Some(Kind::Person | Kind::Relation), Held::Who(who)) => {
            Some(around.names.name_of(who).to_lowercase())
        }
        (Some(Kind::Person | Kind::Relation), _) => None,
        (_, held) => held.value().text().map(str::to_lowercase),
    };
    let sorts_by_size = |raw: &Raw| {
        let has_places = matches!(kind, Some(Kind::Select | Kind::Person | Kind::Relation));
        !has_places && raw.size().is_some()
    };
    let all = rows.iter().filter_map(|row| shared.raw_of(row, at));
    let all: HashSet<Raw> = all.filter(|raw| !sorts_by_size(raw)).collect();
    let held = all.into_iter().filter_map(|raw| Some((shared.held(raw)?, raw)));
    if kind == Some(Kind::Select) {
        let place = |held| by_place(held).and_then(|at| i64::try_from(at).ok()).unwrap_or(-1);
        return held.map(|(held, raw)| (raw, place(held))).collect();
    }
    let mut named: Vec<(Option<String>, Raw)> =
        held.map(|(held, raw)| (by_words(held), raw)).collect();
    named.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let mut places = HashMap::with_capacity(named.len());
    let mut place = 0;
    for (n, (name, raw)) in named.iter().enumerate() {
        if 0 < n && named[n - 1].0 != *name {
            place += 1;
        }
        places.insert(*raw, place);
    }
    places
}
