//! Lists: filters, sorts, groups and counts rows by the values of their cells. It uses the store's in-memory columns; a
//! page decodes only the rows that it shows.

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
use crate::list_cache::{Held, MatchCache, Raw, Shared, Slim, Titles, keys_in};
use crate::model::{CollectionId, ContactId, Home, Row, RowKind};
use crate::order;
use crate::queries;
use crate::touches::{self, Touched};

/// The request of a list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Conditions: `stage:lead -tag:vip bikes_wanted:>3 rosa`.
    pub q: String,
    /// Field key to sort by, with `-` in front for descending order; empty for newest first.
    pub sort: String,
    pub collection: Option<CollectionId>,
    /// Archived rows instead of the others; equivalent to the condition `is:archived`.
    pub archived: bool,
    /// Keys of the columns with figures; empty for a column without.
    pub figures: Vec<String>,
    /// Key of the field to group by, and the number of rows shown per group.
    pub group: Option<(String, usize)>,
    /// The page of the list; `None` for all of it.
    pub page: Option<Paging>,
}

/// Context of a list.
pub struct Around<'a> {
    /// Columns of the rows.
    pub columns: &'a [Column],
    /// Names for filters and sorting.
    pub names: &'a dyn Names,
    /// Today in the requester's time zone.
    pub today: Date,
    /// The requester's time zone.
    pub zone: TimeZone,
    /// The next follow-up of contacts.
    pub due: BTreeMap<ContactId, Date>,
}

impl<'a> Around<'a> {
    /// The context of a list at a time in a time zone.
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

/// The result of a list.
#[derive(Default)]
pub struct Found {
    /// Ids in order.
    pub ids: Vec<Uuid>,
    /// Number of rows without conditions.
    pub all: usize,
    /// The parsed conditions, each with its error or an empty text.
    pub said: Vec<(Term, String)>,
    /// Figures of the requested columns.
    pub tallies: Vec<Tally>,
    /// Groups in order.
    pub groups: Vec<Group<Uuid>>,
    /// Median days from creation to won; `None` without a stage field or won records.
    pub days_to_won: Option<i64>,
    /// Number of ids before the requested page.
    pub before: usize,
    /// End of the page; `None` if no rows follow.
    pub next: Option<Cursor>,
}

impl Found {
    /// Up to `limit` ids of the page.
    #[must_use]
    pub fn page(&self, limit: usize) -> Vec<Uuid> {
        self.ids.iter().skip(self.before).take(limit).copied().collect()
    }
}

impl Found {
    /// Fails if a condition is invalid.
    ///
    /// # Errors
    /// The first error.
    pub fn understood(self) -> Result<Self, CrmError> {
        match self.said.iter().find(|(_, wrong)| !wrong.is_empty()) {
            Some((_, wrong)) => Err(CrmError::field("q", wrong)),
            None => Ok(self),
        }
    }
}

/// Data for conditions and sorting other than the rows themselves.
pub(crate) struct Seen<'a> {
    /// Context of the list.
    pub around: &'a Around<'a>,
    /// Names of records that cells refer to.
    pub titles: Titles,
    /// Last contact with each contact.
    pub touched: Touched,
}

/// Finds the rows of a list.
pub fn find(
    kind: &'static RowKind,
    read: &dyn Read,
    request: &ListRequest,
    around: &Around<'_>,
) -> Result<Found, StoreError> {
    let query = Query::parse(&request.q);
    let Some(kept) = read.columns() else { return Ok(Found::default()) };
    let asks = |key: &str| query.terms.iter().any(|term| term.key == key);
    let touched = match asks(filters::QUIET) {
        true => touches::all(read)?,
        false => Touched::default(),
    };
    let seen = Seen { around, titles: titles(read, (request, &query), around.columns)?, touched };
    let mut found =
        kind.with_columns(&kept, |rows, shared| gather(rows, shared, (request, &query), &seen))?;
    if let Some((key, _)) = &request.group
        && let Some(column) = around.columns.iter().find(|column| column.key == *key)
    {
        in_order(&mut found.groups, column, around.names);
    }
    Ok(found)
}

/// Ids of the rows of a home with a value in a field, including archived ones, ordered by key.
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

/// Number of active rows per collection and choice.
pub(crate) type Chosen = BTreeMap<(Option<CollectionId>, String), usize>;

/// Number of active rows of a kind per choice of a field.
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

/// Whether rows can be grouped by a column.
#[must_use]
pub fn groups_by(column: &Column) -> bool {
    column.kind.has_choices()
        || matches!(column.kind, Kind::Person | Kind::Relation | Kind::Boolean)
}

/// Sorts groups: choices in their order, others by name, the group without a value last.
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

/// The names that search words and sorting need; empty if neither does.
fn titles(
    read: &dyn Read,
    (request, query): (&ListRequest, &Query),
    columns: &[Column],
) -> Result<Titles, StoreError> {
    let by = request.sort.trim_start_matches('-');
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
    (request, query): (&ListRequest, &Query),
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
    let archived = request.archived || filters::asks_archived(query);
    let mut fitting: Vec<usize> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        if row.collection == request.collection && row.archived == archived {
            found.all += 1;
            if tests.iter_mut().all(|(not, test)| holds(test, row, shared, seen) != *not) {
                fitting.push(at);
            }
        }
    }
    let scope = (request.collection, archived);
    let fitting = order::sorted((rows, fitting), shared, (&request.sort, scope), seen);
    let figures = Told::new(&request.figures, shared);
    found.tallies = vec![Tally::default(); request.figures.len()];
    for row in &fitting {
        figures.count(&mut found.tallies, row, shared);
    }
    figures.rest(&mut found.tallies, fitting.len());
    if let Some((key, most)) = &request.group {
        let by = shared.find(key);
        let mut groups = Groups::new(Grouper::new(request.figures.len(), *most));
        for row in &fitting {
            let at = groups.of(shared.raw_of(row, by), shared);
            for place in &groups.met[at].1 {
                figures.count(groups.grouper.put(*place, row.id), row, shared);
            }
        }
        found.groups = groups.grouper.groups();
        for group in &mut found.groups {
            figures.rest(&mut group.tallies, group.count);
        }
        if key == STAGE {
            found.days_to_won = days_to_won(&fitting, (shared, by), seen.around.columns);
        }
    }
    if let Some(Paging { after, limit }) = &request.page {
        let place = after.as_ref();
        let before = |place| order::before(&fitting, shared, (&request.sort, place), seen);
        found.before = place.map_or(0, before);
        let (last, end) = ((found.before + limit).checked_sub(1), found.before + limit);
        let last = last.filter(|_| end < fitting.len()).and_then(|last| fitting.get(last));
        found.next = last.map(|row| order::cursor(row, shared, &request.sort, seen));
    }
    found.ids = fitting.into_iter().map(|row| row.id).collect();
    found
}

/// The columns with figures.
struct Told {
    /// Columns that some rows have values in: position in the request, and field.
    fields: Vec<(usize, u16)>,
    /// Positions of the other columns.
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

    /// Counts all rows for the columns without values.
    fn rest(&self, tallies: &mut [Tally], rows: usize) {
        for at in &self.others {
            tallies[*at].empty(rows);
        }
    }
}

/// Rows by group, with the groups of values seen so far.
struct Groups {
    grouper: Grouper<Uuid>,
    met: Vec<(Option<Raw>, Vec<usize>)>,
    /// Index of each value in `met`.
    places: HashMap<Option<Raw>, usize>,
}

impl Groups {
    /// Up to this many values are searched linearly.
    const FEW: usize = 16;

    fn new(grouper: Grouper<Uuid>) -> Self {
        Self { grouper, met: Vec::new(), places: HashMap::new() }
    }

    /// The index of a value in `met`.
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

/// The groups of a value. A row with several tags is in several groups.
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

/// Median days from creation to won. Records created as won do not count.
fn days_to_won(
    rows: &[&Slim],
    (shared, stage): (&Shared, Option<u16>),
    columns: &[Column],
) -> Option<i64> {
    /// Milliseconds per day.
    const DAY: i64 = 86_400_000;
    let column = columns.iter().find(|column| column.key == STAGE)?;
    let wins =
        |key: &str| column.choices.iter().any(|one| one.key == key && one.stands == Stands::Won);
    let mut known = MatchCache::default();
    let won = rows.iter().filter(|row| match shared.value(row, stage) {
        Some(Held::Choice(text)) => known.of(text, wins),
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

/// The sort key of the next follow-up.
pub const DUE: &str = "due";

/// Why rows cannot be sorted by `by`, such as `-name`; `None` if they can.
#[must_use]
pub fn unsorted(by: &str, columns: &[Column]) -> Option<String> {
    let key = by.strip_prefix('-').unwrap_or(by);
    let is_known = ["", "created", "updated", DUE].contains(&key)
        || columns.iter().any(|column| column.key == key);
    (!is_known).then(|| columns::unknown(key, columns))
}

/// The rows with these ids, in order; deleted ones are left out.
pub fn rows(kind: &'static RowKind, read: &dyn Read, ids: &[Uuid]) -> Result<Vec<Row>, StoreError> {
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.extend(kind.get(read, *id)?);
    }
    Ok(all)
}
