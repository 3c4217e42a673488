//! Lists: rows filtered, sorted, grouped and counted by what stands in their cells. The values by which that is done
//! are kept in memory by the store's columns; a page decodes only the rows that it shows.

use std::collections::{BTreeMap, HashMap};

use ::list::figures::Tally;
use ::list::groups::{Group, Grouper};
use entity::{Column, FieldValue, Kind, Names, Stands};
use features::tasks::queries::due::day;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kernel::Timestamp;
use kernel::filter::{Query, Term};
use store::{Read, StoreError};
use uuid::Uuid;

use crate::columns::{self, STAGE};
use crate::cursor::{Cursor, Paging};
use crate::error::CrmError;
use crate::filters::{self, holds};
use crate::list_cache::{Held, Memo, Raw, Shared, Slim, Titles, keys_in};
use crate::model::{CollectionId, ContactId, Home, Row, RowKind};
use crate::order;
use crate::queries;
use crate::touches::{self, Touched};

/// What a list asks.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Conditions: `stage:lead -tag:vip bikes_wanted:>3 rosa`.
    pub q: String,
    /// The key of a field to sort by, with `-` in front from the largest; the newest first when empty.
    pub sort: String,
    pub collection: Option<CollectionId>,
    /// The archived ones in place of the others; so does `is:archived` among the conditions.
    pub archived: bool,
    /// The keys of the columns of which figures are told; an empty one for a column of which none is.
    pub told: Vec<String>,
    /// The key of the field by which rows are put together, and how many of each group are shown.
    pub group: Option<(String, usize)>,
    /// The page of the list; none for all of it.
    pub page: Option<Paging>,
}

/// What stands around a list.
pub struct Around<'a> {
    /// The columns of the rows.
    pub columns: &'a [Column],
    /// Names in filters and for sorting.
    pub names: &'a dyn Names,
    /// Today, where the asker is.
    pub today: Date,
    /// Where the asker is.
    pub zone: TimeZone,
    /// The next follow-up of contacts.
    pub due: BTreeMap<ContactId, Date>,
}

impl<'a> Around<'a> {
    /// What stands around a list of these records, seen at a moment in a zone.
    pub fn new(
        read: &dyn Read,
        home: Home,
        (columns, names): (&'a [Column], &'a dyn Names),
        (now, zone): (Timestamp, TimeZone),
    ) -> Result<Self, StoreError> {
        let due = match home {
            Home::Contacts => queries::follow_ups(read)?,
            _ => BTreeMap::new(),
        };
        Ok(Self { columns, names, today: day(now, &zone), zone, due })
    }
}

/// What a list found.
#[derive(Default)]
pub struct Found {
    /// The ids in order.
    pub ids: Vec<Uuid>,
    /// How many rows there are without conditions.
    pub all: usize,
    /// The conditions as they were understood, each with what is wrong with it, or nothing.
    pub said: Vec<(Term, String)>,
    /// The figures of the columns of which they were asked.
    pub tallies: Vec<Tally>,
    /// The groups in order.
    pub groups: Vec<Group<Uuid>>,
    /// How many days passed from making a record to its being won, in the middle; of stages alone, and none where no
    /// record became won.
    pub days_to_won: Option<i64>,
    /// How many of the ids come before the page that was asked for.
    pub before: usize,
    /// Where that page ends; none when nothing comes behind it.
    pub next: Option<Cursor>,
}

impl Found {
    /// The ids of a page of so many rows.
    #[must_use]
    pub fn page(&self, limit: usize) -> Vec<Uuid> {
        self.ids.iter().skip(self.before).take(limit).copied().collect()
    }
}

impl Found {
    /// Refuses a list with a condition that means nothing.
    ///
    /// # Errors
    /// What the first of them is.
    pub fn understood(self) -> Result<Self, CrmError> {
        match self.said.iter().find(|(_, wrong)| !wrong.is_empty()) {
            Some((_, wrong)) => Err(CrmError::field("q", wrong)),
            None => Ok(self),
        }
    }
}

/// What conditions and the order ask for beside the rows themselves.
pub(crate) struct Seen<'a> {
    /// What stands around the list.
    pub around: &'a Around<'a>,
    /// The names of records that cells lead to.
    pub titles: Titles,
    /// When somebody was in touch with each contact last.
    pub touched: Touched,
}

/// Finds the rows of a list.
pub fn find(
    kind: &'static RowKind,
    read: &dyn Read,
    asked: &ListRequest,
    around: &Around<'_>,
) -> Result<Found, StoreError> {
    let query = Query::parse(&asked.q);
    let Some(kept) = read.columns() else { return Ok(Found::default()) };
    let asks = |key: &str| query.terms.iter().any(|term| term.key == key);
    let touched = match asks(filters::QUIET) {
        true => touches::all(read)?,
        false => Touched::default(),
    };
    let seen = Seen { around, titles: titles(read, (asked, &query), around.columns)?, touched };
    let mut found =
        kind.with_columns(&kept, |rows, shared| gather(rows, shared, (asked, &query), &seen))?;
    if let Some((key, _)) = &asked.group
        && let Some(column) = around.columns.iter().find(|column| column.key == *key)
    {
        in_order(&mut found.groups, column, around.names);
    }
    Ok(found)
}

/// The ids of the rows of a home that have a value in a field, archived ones too, in the order of their keys.
pub(crate) fn filled(read: &dyn Read, home: Home, field: &str) -> Result<Vec<Uuid>, StoreError> {
    let Some(kept) = read.columns() else { return Ok(Vec::new()) };
    let mut ids = home.kind().with_columns(&kept, |rows, shared| {
        let at = shared.find(field);
        let has =
            |row: &&&Slim| row.collection == home.collection() && shared.raw_of(row, at).is_some();
        rows.iter().filter(has).map(|row| row.id).collect::<Vec<Uuid>>()
    })?;
    ids.sort_unstable();
    Ok(ids)
}

/// How many rows in use have each of the choices of a field, by their collection.
pub(crate) type Chosen = BTreeMap<(Option<CollectionId>, String), usize>;

/// How many rows of a kind in use have each of the choices of a field.
pub(crate) fn chosen(
    kind: &'static RowKind,
    read: &dyn Read,
    field: &str,
) -> Result<Chosen, StoreError> {
    let Some(kept) = read.columns() else { return Ok(Chosen::new()) };
    kind.with_columns(&kept, |rows, shared| {
        let (at, mut counts) = (shared.find(field), Chosen::new());
        for row in rows.iter().filter(|row| !row.archived) {
            let Some(Held::Choices(keys)) = shared.value(row, at) else { continue };
            for key in keys_in(keys.text) {
                *counts.entry((row.collection, key.to_owned())).or_default() += 1;
            }
        }
        counts
    })
}

/// Whether rows can be put together by a column.
#[must_use]
pub fn groups_by(column: &Column) -> bool {
    column.kind.has_choices()
        || matches!(column.kind, Kind::Person | Kind::Relation | Kind::Boolean)
}

/// Puts groups into the order of their column: choices as they are kept, others by their names, what has no value last.
fn in_order(groups: &mut [Group<Uuid>], column: &Column, names: &dyn Names) {
    groups.sort_by_cached_key(|group| {
        let place = match &group.value {
            Some(FieldValue::Choice(key)) => {
                column.choices.iter().position(|choice| choice.key == *key)
            }
            Some(FieldValue::YesNo(yes)) => Some(usize::from(!yes)),
            Some(_) => Some(0),
            None => None,
        };
        let name = group.value.as_ref().map(|value| column.shown(value, names).to_lowercase());
        (group.value.is_none(), place.unwrap_or(usize::MAX), name)
    });
}

/// The names that words and the order ask for; none where neither does.
fn titles(
    read: &dyn Read,
    (asked, query): (&ListRequest, &Query),
    columns: &[Column],
) -> Result<Titles, StoreError> {
    let by = asked.sort.trim_start_matches('-');
    let has_words = query.terms.iter().any(Term::is_words);
    let has_term = |column: &Column| {
        let mut of = query.terms.iter().filter_map(|term| filters::column(&term.key, columns));
        of.any(|one| one.key == column.key)
    };
    let asked_for = |column: &&Column| has_words || column.key == by || has_term(column);
    let mut all = Titles::default();
    for column in columns.iter().filter(|column| column.kind == Kind::Relation).filter(asked_for) {
        names(RowKind::of_table(column.to), read, &mut all)?;
    }
    Ok(all)
}

fn names(kind: &'static RowKind, read: &dyn Read, all: &mut Titles) -> Result<(), StoreError> {
    let Some(columns) = read.columns() else { return Ok(()) };
    all.add(kind.with_columns(&columns, |rows, shared| shared.names(rows))?);
    Ok(())
}

fn gather(
    rows: &[&Slim],
    shared: &Shared,
    (asked, query): (&ListRequest, &Query),
    seen: &Seen<'_>,
) -> Found {
    let mut found = Found::default();
    let mut tests = Vec::new();
    for term in &query.terms {
        let wrong = match filters::test(term, shared, seen) {
            Ok(Some(test)) => {
                tests.push((term.not, test));
                String::new()
            }
            Ok(None) => String::new(),
            Err(wrong) => wrong,
        };
        found.said.push((term.clone(), wrong));
    }
    let archived = asked.archived || filters::asks_archived(query);
    let mut fitting: Vec<usize> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        if row.collection == asked.collection && row.archived == archived {
            found.all += 1;
            if tests.iter_mut().all(|(not, test)| holds(test, row, shared, seen) != *not) {
                fitting.push(at);
            }
        }
    }
    let scope = (asked.collection, archived);
    let fitting = order::sorted((rows, fitting), shared, (&asked.sort, scope), seen);
    let told = Told::new(&asked.told, shared);
    found.tallies = vec![Tally::default(); asked.told.len()];
    for row in &fitting {
        told.count(&mut found.tallies, row, shared);
    }
    told.rest(&mut found.tallies, fitting.len());
    if let Some((key, most)) = &asked.group {
        let by = shared.find(key);
        let mut groups = Groups::new(Grouper::new(asked.told.len(), *most));
        for row in &fitting {
            let at = groups.of(shared.raw_of(row, by), shared);
            for place in &groups.met[at].1 {
                told.count(groups.grouper.put(*place, row.id), row, shared);
            }
        }
        found.groups = groups.grouper.groups();
        for group in &mut found.groups {
            told.rest(&mut group.tallies, group.count);
        }
        if key == STAGE {
            found.days_to_won = days_to_won(&fitting, (shared, by), seen.around.columns);
        }
    }
    if let Some(Paging { after, limit }) = &asked.page {
        let place = after.as_ref();
        let before = |place| order::before(&fitting, shared, (&asked.sort, place), seen);
        found.before = place.map_or(0, before);
        let (last, end) = ((found.before + limit).checked_sub(1), found.before + limit);
        let last = last.filter(|_| end < fitting.len()).and_then(|last| fitting.get(last));
        found.next = last.map(|row| order::cursor(row, shared, &asked.sort, seen));
    }
    found.ids = fitting.into_iter().map(|row| row.id).collect();
    found
}

/// The columns of which figures are told.
struct Told {
    /// The columns of which a row has something to tell: their places among all that were asked for, and their fields.
    fields: Vec<(usize, u16)>,
    /// The places of the others.
    others: Vec<usize>,
}

impl Told {
    fn new(keys: &[String], shared: &Shared) -> Self {
        let (mut fields, mut others) = (Vec::new(), Vec::new());
        for (at, key) in keys.iter().enumerate() {
            match shared.find(key) {
                Some(field) => fields.push((at, field)),
                None => others.push(at),
            }
        }
        Self { fields, others }
    }

    /// Counts a row.
    fn count(&self, tallies: &mut [Tally], row: &Slim, shared: &Shared) {
        for (at, field) in &self.fields {
            let tally = &mut tallies[*at];
            match shared.raw_of(row, Some(*field)) {
                None => tally.empty(1),
                Some(raw) => match raw.number() {
                    Some(number) => tally.number(number),
                    None if raw.is_time() => {
                        tally.add(shared.held(raw).map(Held::value).as_ref());
                    }
                    None => tally.filled(),
                },
            }
        }
    }

    /// Counts all rows in the columns that no row has anything in.
    fn rest(&self, tallies: &mut [Tally], rows: usize) {
        for at in &self.others {
            tallies[*at].empty(rows);
        }
    }
}

/// Rows that are put into groups, and the groups of values that were met before.
struct Groups {
    grouper: Grouper<Uuid>,
    met: Vec<(Option<Raw>, Vec<usize>)>,
    /// Where each value is among those that were met.
    places: HashMap<Option<Raw>, usize>,
}

impl Groups {
    /// So many values are looked through one by one.
    const FEW: usize = 16;

    fn new(grouper: Grouper<Uuid>) -> Self {
        Self { grouper, met: Vec::new(), places: HashMap::new() }
    }

    /// Where a value is among those that were met.
    fn of(&mut self, raw: Option<Raw>, shared: &Shared) -> usize {
        let met = match self.met.len() <= Self::FEW {
            true => self.met.iter().position(|(one, _)| *one == raw),
            false => self.places.get(&raw).copied(),
        };
        met.unwrap_or_else(|| {
            let at = self.met.len();
            self.met.push((raw, of_value(raw, shared, &mut self.grouper)));
            self.places.insert(raw, at);
            at
        })
    }
}

/// The groups of a value. A row with several tags stands in the group of each.
fn of_value(raw: Option<Raw>, shared: &Shared, groups: &mut Grouper<Uuid>) -> Vec<usize> {
    let held = raw.and_then(|raw| shared.held(raw));
    if let Some(Held::Choices(keys)) = held {
        let of = |key: &str| {
            let value = FieldValue::Choice(key.to_owned());
            groups.place(Some(&value), || key.to_owned())
        };
        return keys_in(keys.text).map(of).collect();
    }
    let value = held.map(Held::value);
    let key = || value.as_ref().map_or_else(String::new, filters::plain);
    vec![groups.place(value.as_ref(), key)]
}

/// The median of the days from making a record to its being won. What began as won says nothing.
fn days_to_won(
    rows: &[&Slim],
    (shared, stage): (&Shared, Option<u16>),
    columns: &[Column],
) -> Option<i64> {
    /// Milliseconds of a day.
    const DAY: i64 = 86_400_000;
    let column = columns.iter().find(|column| column.key == STAGE)?;
    let wins =
        |key: &str| column.choices.iter().any(|one| one.key == key && one.stands == Stands::Won);
    let mut known = Memo::default();
    let won = rows.iter().filter(|row| match shared.value(row, stage) {
        Some(Held::Choice(said)) => known.of(said, wins),
        _ => false,
    });
    let mut took: Vec<i64> =
        won.map(|row| row.staged - row.created).filter(|took| 0 < *took).collect();
    let middle = took.len() / 2;
    if took.is_empty() {
        return None;
    }
    let (_, median, _) = took.select_nth_unstable(middle);
    Some((*median + DAY / 2) / DAY)
}

/// The key under which lists sort by the next follow-up.
pub const DUE: &str = "due";

/// What is wrong with an order, such as `-name`; nothing when rows can be put into it.
#[must_use]
pub fn unsorted(by: &str, columns: &[Column]) -> Option<String> {
    let key = by.strip_prefix('-').unwrap_or(by);
    let is_known = ["", "created", "updated", DUE].contains(&key)
        || columns.iter().any(|column| column.key == key);
    (!is_known).then(|| columns::unknown(key, columns))
}

/// The rows of some ids, in their order; those that are gone are left out.
pub fn rows(kind: &'static RowKind, read: &dyn Read, ids: &[Uuid]) -> Result<Vec<Row>, StoreError> {
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.extend(kind.get(read, *id)?);
    }
    Ok(all)
}
