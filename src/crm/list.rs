//! Lists: rows filtered, sorted, grouped and counted by what stands in their cells. The few values by which that is
//! done are kept in memory by the store's columns; a page decodes only the rows that it shows.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use ::list::figures::Tally;
use ::list::groups::{Group, Grouper};
use features::tasks::queries::due::day;
use features::tasks::queries::people::assignee_of;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kernel::filter::{Query, Term};
use kernel::{Assignee, Timestamp, TypedId as _};
use noun::{Column, FieldValue, Kind, Names, Stands};
use store::columns::Column as Kept;
use store::{Read, ReadExt as _, StoreError};
use uuid::Uuid;

use crate::columns::{self, STAGE};
use crate::error::CrmError;
use crate::filters::{self, holds};
use crate::model::{Book, CollectionId, ContactId, Home, NAME, Row, of_table};
use crate::queries;
use crate::touches::{self, Touched};

/// The longest text of a cell that is kept in memory, in bytes: filters look no further.
const KEPT: usize = 400;

/// The values of a row.
pub struct Slim<B: Book> {
    pub(crate) id: B::Id,
    collection: Option<CollectionId>,
    archived: bool,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// When it came into the stage in which it is; when it was made, where it has none.
    staged: i64,
    pub(crate) unchecked: bool,
    pub(crate) values: Box<[(u16, FieldValue)]>,
    /// Who wrote one of the values or more, by their places in [`Shared`].
    by: Box<[u16]>,
}

/// What rows have in one place: the keys of fields and everybody who wrote a value, each once.
#[derive(Default)]
pub struct Shared {
    keys: Vec<String>,
    writers: Vec<Assignee>,
}

impl Shared {
    /// The place of a key.
    pub(crate) fn find(&self, key: &str) -> Option<u16> {
        self.keys.iter().position(|one| one == key).and_then(|at| u16::try_from(at).ok())
    }

    /// The place of somebody who wrote a value.
    pub(crate) fn writer(&self, who: Assignee) -> Option<u16> {
        self.writers.iter().position(|one| *one == who).and_then(|at| u16::try_from(at).ok())
    }

    fn add(&mut self, key: &str) -> Option<u16> {
        if let Some(at) = self.find(key) {
            return Some(at);
        }
        self.keys.push(key.to_owned());
        u16::try_from(self.keys.len() - 1).ok()
    }

    fn add_writer(&mut self, who: Assignee) -> Option<u16> {
        if let Some(at) = self.writer(who) {
            return Some(at);
        }
        self.writers.push(who);
        u16::try_from(self.writers.len() - 1).ok()
    }
}

impl<B: Book> Kept for Slim<B> {
    type Of = Row<B>;
    type Shared = Shared;
    fn of(row: &Row<B>, shared: &mut Shared) -> Self {
        let kept = |value: &FieldValue| match value {
            FieldValue::Text(text) if KEPT < text.len() => {
                FieldValue::Text(kernel::text::cut(text, KEPT).to_owned())
            }
            value => value.clone(),
        };
        let filled = row.cells.iter().filter_map(|(key, cell)| Some((key, cell.value.as_ref()?)));
        let values =
            filled.filter_map(|(key, value)| Some((shared.add(key)?, kept(value)))).collect();
        let written = row.cells.values().filter(|cell| cell.value.is_some());
        let mut by: Vec<u16> =
            written.filter_map(|cell| shared.add_writer(assignee_of(cell.origin.by))).collect();
        by.sort_unstable();
        by.dedup();
        Self {
            id: row.id,
            collection: row.collection,
            archived: row.archived_at.is_some(),
            created: row.created_at.as_millisecond(),
            updated: row.updated_at.as_millisecond(),
            staged: row
                .cells
                .get(STAGE)
                .map_or(row.created_at, |cell| cell.origin.at)
                .as_millisecond(),
            unchecked: row
                .cells
                .values()
                .any(|cell| cell.value.is_some() && cell.origin.is_unchecked()),
            values,
            by: by.into(),
        }
    }
    fn id(&self) -> B::Id {
        self.id
    }
}

impl<B: Book> Slim<B> {
    /// Whether somebody wrote one of its values.
    pub(crate) fn is_by(&self, writer: u16) -> bool {
        self.by.contains(&writer)
    }

    pub(crate) fn value(&self, key: Option<u16>) -> Option<&FieldValue> {
        let key = key?;
        self.values.iter().find(|(one, _)| *one == key).map(|(_, value)| value)
    }
}

/// What a list asks.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Conditions: `stage:lead -tag:vip bikes_wanted:>3 rosa`.
    pub q: String,
    /// The key of a field to sort by, with `-` in front from the largest; the newest first when empty.
    pub sort: String,
    /// The collection.
    pub collection: Option<CollectionId>,
    /// The archived ones in place of the others; so does `is:archived` among the conditions.
    pub archived: bool,
    /// The keys of the columns of which figures are told.
    pub told: Vec<String>,
    /// The key of the field by which rows are put together, and how many of each group are shown.
    pub group: Option<(String, usize)>,
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
    ///
    /// # Errors
    /// When the store fails.
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
pub struct Found<I> {
    /// The ids in order.
    pub ids: Vec<I>,
    /// How many rows there are without conditions.
    pub all: usize,
    /// The conditions as they were understood, each with what is wrong with it, or nothing.
    pub said: Vec<(Term, String)>,
    /// The figures of the columns of which they were asked.
    pub tallies: Vec<Tally>,
    /// The groups in order.
    pub groups: Vec<Group<I>>,
    /// How many days passed from making a record to its being won, in the middle; of stages alone, and none where no
    /// record became won.
    pub days_to_won: Option<i64>,
}

impl<I> Default for Found<I> {
    fn default() -> Self {
        Self {
            ids: Vec::new(),
            all: 0,
            said: Vec::new(),
            tallies: Vec::new(),
            groups: Vec::new(),
            days_to_won: None,
        }
    }
}

impl<I> Found<I> {
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
///
/// # Errors
/// When the store fails.
pub fn find<B: Book>(
    read: &dyn Read,
    asked: &Asked,
    around: &Around<'_>,
) -> Result<Found<B::Id>, StoreError> {
    let query = Query::parse(&asked.q);
    let Some(kept) = read.columns() else { return Ok(Found::default()) };
    let asks = |key: &str| query.terms.iter().any(|term| term.key == key);
    let touched = match asks(filters::QUIET) {
        true => touches::all(read)?,
        false => Touched::default(),
    };
    let seen = Seen { around, titles: titles(read, (asked, &query), around.columns)?, touched };
    let mut found =
        kept.with::<Slim<B>, _>(|rows, shared| gather(rows, shared, (asked, &query), &seen))?;
    if let Some((key, _)) = &asked.group
        && let Some(column) = around.columns.iter().find(|column| column.key == *key)
    {
        in_order(&mut found.groups, column, around.names);
    }
    Ok(found)
}

/// The ids of the rows of a home that have a value in a field, archived ones too, in the order of their keys.
///
/// # Errors
/// When the store fails.
pub(crate) fn filled<B: Book>(
    read: &dyn Read,
    home: Home,
    field: &str,
) -> Result<Vec<Uuid>, StoreError> {
    let Some(kept) = read.columns() else { return Ok(Vec::new()) };
    let mut ids = kept.with::<Slim<B>, _>(|rows, shared| {
        let at = shared.find(field);
        let has = |row: &&Slim<B>| row.collection == home.collection() && row.value(at).is_some();
        rows.iter().filter(has).map(|row| row.id.uuid()).collect::<Vec<Uuid>>()
    })?;
    ids.sort_unstable();
    Ok(ids)
}

/// How many rows in use have each of the choices of a field, by their collection.
pub(crate) type Chosen = BTreeMap<(Option<CollectionId>, String), usize>;

/// How many rows of a book in use have each of the choices of a field.
///
/// # Errors
/// When the store fails.
pub(crate) fn chosen<B: Book>(read: &dyn Read, field: &str) -> Result<Chosen, StoreError> {
    let Some(kept) = read.columns() else { return Ok(Chosen::new()) };
    kept.with::<Slim<B>, _>(|rows, shared| {
        let (at, mut counts) = (shared.find(field), Chosen::new());
        for row in rows.iter().filter(|row| !row.archived) {
            let Some(FieldValue::Choices(keys)) = row.value(at) else { continue };
            for key in keys {
                *counts.entry((row.collection, key.clone())).or_default() += 1;
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
fn in_order<I>(groups: &mut [Group<I>], column: &Column, names: &dyn Names) {
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

/// Names of records that cells lead to, in small letters.
pub(crate) type Titles = HashMap<Uuid, String>;

/// The names that words and the order ask for; none where neither does.
fn titles(
    read: &dyn Read,
    (asked, query): (&Asked, &Query),
    columns: &[Column],
) -> Result<Titles, StoreError> {
    let by = asked.sort.trim_start_matches('-');
    let has_words = query.terms.iter().any(Term::is_words);
    let has_term = |column: &Column| {
        let mut of = query.terms.iter().filter_map(|term| filters::column(&term.key, columns));
        of.any(|one| one.key == column.key)
    };
    let asked_for = |column: &&Column| has_words || column.key == by || has_term(column);
    let mut all = HashMap::new();
    for column in columns.iter().filter(|column| column.kind == Kind::Relation).filter(asked_for) {
        of_table!(column.to, B => names::<B>(read, &mut all)?);
    }
    Ok(all)
}

fn names<B: Book>(read: &dyn Read, all: &mut Titles) -> Result<(), StoreError> {
    let Some(columns) = read.columns() else { return Ok(()) };
    columns.with::<Slim<B>, _>(|rows, shared| {
        let name = shared.find(NAME);
        let named = |row: &Slim<B>| {
            let text = row.value(name).and_then(FieldValue::text).unwrap_or_default();
            (row.id.uuid(), text.to_lowercase())
        };
        all.extend(rows.iter().map(named));
    })
}

fn gather<B: Book>(
    rows: &[Slim<B>],
    shared: &Shared,
    (asked, query): (&Asked, &Query),
    seen: &Seen<'_>,
) -> Found<B::Id> {
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
    let here = |row: &&Slim<B>| row.collection == asked.collection && row.archived == archived;
    let fits = |row: &&Slim<B>| tests.iter().all(|(not, test)| holds(test, row, seen) != *not);
    found.all = rows.iter().filter(here).count();
    let mut fitting: Vec<&Slim<B>> = rows.iter().filter(here).filter(fits).collect();
    sort(&mut fitting, shared, &asked.sort, seen);
    let told: Vec<Option<u16>> = asked.told.iter().map(|key| shared.find(key)).collect();
    found.tallies = vec![Tally::default(); told.len()];
    for row in &fitting {
        count(&mut found.tallies, row, &told);
    }
    if let Some((key, most)) = &asked.group {
        let by = shared.find(key);
        let mut groups = Grouper::new(told.len(), *most);
        for row in &fitting {
            match row.value(by) {
                // A row with several tags stands in the group of each.
                Some(FieldValue::Choices(keys)) => {
                    for key in keys {
                        let value = FieldValue::Choice(key.clone());
                        count(groups.add(Some(&value), || key.clone(), row.id), row, &told);
                    }
                }
                value => {
                    let key = || value.map_or_else(String::new, filters::plain);
                    count(groups.add(value, key, row.id), row, &told);
                }
            }
        }
        found.groups = groups.groups();
        if key == STAGE {
            found.days_to_won = days_to_won(&fitting, by, seen.around.columns);
        }
    }
    found.ids = fitting.into_iter().map(|row| row.id).collect();
    found
}

/// The median of the days from making a record to its being won. What began as won says nothing.
fn days_to_won<B: Book>(rows: &[&Slim<B>], stage: Option<u16>, columns: &[Column]) -> Option<i64> {
    /// Milliseconds of a day.
    const DAY: i64 = 86_400_000;
    let column = columns.iter().find(|column| column.key == STAGE)?;
    let wins =
        |key: &str| column.choices.iter().any(|one| one.key == key && one.stands == Stands::Won);
    let won = rows.iter().filter(|row| match row.value(stage) {
        Some(FieldValue::Choice(key)) => wins(key),
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

fn count<B: Book>(tallies: &mut [Tally], row: &Slim<B>, told: &[Option<u16>]) {
    for (tally, key) in tallies.iter_mut().zip(told) {
        tally.add(row.value(*key));
    }
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

fn sort<B: Book>(
    rows: &mut [&Slim<B>],
    shared: &Shared,
    by: &str,
    Seen { around, titles, .. }: &Seen<'_>,
) {
    let (down, key) = by.strip_prefix('-').map_or((false, by), |key| (true, key));
    let turned = |order: Ordering| if down { order.reverse() } else { order };
    match key {
        "" | "created" if by.is_empty() || down => rows.reverse(),
        "created" => {}
        "updated" => rows.sort_by(|a, b| turned(a.updated.cmp(&b.updated))),
        DUE => rows.sort_by(|a, b| {
            last_empty(filters::due_of(a, around), filters::due_of(b, around), |a, b| {
                turned(a.cmp(b))
            })
        }),
        key => {
            let column = around.columns.iter().find(|column| column.key == key);
            let at = shared.find(key);
            let place = |value: &FieldValue| match value {
                FieldValue::Choice(one) => column
                    .and_then(|column| column.choices.iter().position(|choice| choice.key == *one)),
                _ => None,
            };
            let named = |value: &FieldValue| match value {
                FieldValue::Refers(target) => titles.get(&target.id).cloned(),
                FieldValue::Who(who) => Some(around.names.name_of(*who).to_lowercase()),
                _ => None,
            };
            let order = |a: &&FieldValue, b: &&FieldValue| match column.map(|column| column.kind) {
                Some(Kind::Select) => place(a).cmp(&place(b)),
                Some(Kind::Person | Kind::Relation) => named(a).cmp(&named(b)),
                _ => a.order(b),
            };
            rows.sort_by(|a, b| last_empty(a.value(at), b.value(at), |a, b| turned(order(a, b))));
        }
    }
}

/// What has no value comes last, whichever way the others stand.
fn last_empty<T>(a: Option<T>, b: Option<T>, order: impl Fn(&T, &T) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => order(&a, &b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// The rows of some ids, in their order; those that are gone are left out.
///
/// # Errors
/// When the store fails.
pub fn rows<B: Book>(read: &dyn Read, ids: &[B::Id]) -> Result<Vec<Row<B>>, StoreError> {
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.extend(read.get::<Row<B>>(*id)?);
    }
    Ok(all)
}
