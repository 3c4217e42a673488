//! Lists: rows filtered, sorted and counted by what stands in their cells. The few values by which that is done are
//! kept in memory by the store's columns; a page decodes only the rows that it shows.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use features::tasks::queries::due::day;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kernel::filter::{self, Days, Numbers, Query, Term};
use kernel::{Timestamp, TypedId as _};
use noun::{Column, Decimal, FieldValue, Kind, Names};
use store::columns::Column as Kept;
use store::{Read, ReadExt as _, StoreError};
use uuid::Uuid;

use crate::columns::{self, ORGANIZATION, OWNER, STAGE, TAGS};
use crate::error::CrmError;
use crate::model::{Book, CollectionId, ContactId, Home, NAME, Row, of_table};

use crate::queries;

/// The longest text of a cell that is kept in memory, in bytes: filters look no further.
const KEPT: usize = 400;

/// The values of a row.
pub struct Slim<B: Book> {
    id: B::Id,
    collection: Option<CollectionId>,
    archived: bool,
    created: i64,
    updated: i64,
    unchecked: bool,
    values: Box<[(u16, FieldValue)]>,
}

/// The keys of fields, each once.
#[derive(Default)]
pub struct Keys(Vec<String>);

impl Keys {
    fn find(&self, key: &str) -> Option<u16> {
        self.0.iter().position(|one| one == key).and_then(|at| u16::try_from(at).ok())
    }

    fn add(&mut self, key: &str) -> Option<u16> {
        if let Some(at) = self.find(key) {
            return Some(at);
        }
        self.0.push(key.to_owned());
        u16::try_from(self.0.len() - 1).ok()
    }
}

impl<B: Book> Kept for Slim<B> {
    type Of = Row<B>;
    type Shared = Keys;
    fn of(row: &Row<B>, keys: &mut Keys) -> Self {
        let kept = |value: &FieldValue| match value {
            FieldValue::Text(text) if KEPT < text.len() => {
                FieldValue::Text(kernel::text::cut(text, KEPT).to_owned())
            }
            value => value.clone(),
        };
        let filled = row.cells.iter().filter_map(|(key, cell)| Some((key, cell.value.as_ref()?)));
        let values =
            filled.filter_map(|(key, value)| Some((keys.add(key)?, kept(value)))).collect();
        Self {
            id: row.id,
            collection: row.collection,
            archived: row.archived_at.is_some(),
            created: row.created_at.as_millisecond(),
            updated: row.updated_at.as_millisecond(),
            unchecked: row
                .cells
                .values()
                .any(|cell| cell.value.is_some() && cell.origin.is_unchecked()),
            values,
        }
    }
    fn id(&self) -> B::Id {
        self.id
    }
}

impl<B: Book> Slim<B> {
    fn value(&self, key: Option<u16>) -> Option<&FieldValue> {
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
    /// The archived ones in place of the others.
    pub archived: bool,
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

/// Cards of a column of the board at once.
const CARDS: usize = 50;

/// The rows of a list that stand at one stage.
pub struct AtStage<I> {
    /// How many.
    pub count: usize,
    /// What they are worth together.
    pub sum: Decimal,
    /// The first of them in the order of the list, as many as the board shows at once.
    pub first: Vec<I>,
}

impl<I> Default for AtStage<I> {
    fn default() -> Self {
        Self { count: 0, sum: Decimal::default(), first: Vec::new() }
    }
}

/// What a list found.
pub struct Found<I> {
    /// The ids in order.
    pub ids: Vec<I>,
    /// How many rows there are without conditions.
    pub all: usize,
    /// Conditions that mean nothing, in sentences.
    pub problems: Vec<String>,
    /// Rows by choices of the stage.
    pub stages: BTreeMap<String, AtStage<I>>,
    /// The sum of each field of numbers, with how many rows have one.
    pub sums: BTreeMap<String, (usize, Decimal)>,
}

impl<I> Found<I> {
    /// Refuses a list with a condition that means nothing.
    ///
    /// # Errors
    /// What the first of them is.
    pub fn understood(self) -> Result<Self, CrmError> {
        match self.problems.first() {
            Some(problem) => Err(CrmError::field("q", problem)),
            None => Ok(self),
        }
    }
}

/// One condition, ready to be asked.
enum Test {
    Words(Vec<String>),
    Empty(u16, bool),
    Texts(u16, Vec<String>),
    Numbers(u16, Vec<Numbers>),
    Days(u16, Vec<Days>),
    Due(Vec<Days>),
    HasDue(bool),
    Created(Vec<Days>),
    Unchecked,
    Nothing,
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
    let Some(columns) = read.columns() else {
        return Ok(Found {
            ids: Vec::new(),
            all: 0,
            problems: Vec::new(),
            stages: BTreeMap::new(),
            sums: BTreeMap::new(),
        });
    };
    let titles = titles(read, (asked, &query), around.columns)?;
    columns.with::<Slim<B>, _>(|rows, keys| gather(rows, keys, (asked, &query), (around, &titles)))
}

/// Names of records that cells lead to, in small letters.
type Titles = HashMap<Uuid, String>;

/// The names that words and the order ask for; none where neither does.
fn titles(
    read: &dyn Read,
    (asked, query): (&Asked, &Query),
    columns: &[Column],
) -> Result<Titles, StoreError> {
    let by = asked.sort.trim_start_matches('-');
    let has_words = query.terms.iter().any(Term::is_words);
    let asked_for = |column: &&Column| has_words || column.key == by;
    let mut all = HashMap::new();
    for column in columns.iter().filter(|column| column.kind == Kind::Relation).filter(asked_for) {
        of_table!(column.to, B => names::<B>(read, &mut all)?);
    }
    Ok(all)
}

fn names<B: Book>(read: &dyn Read, all: &mut Titles) -> Result<(), StoreError> {
    let Some(columns) = read.columns() else { return Ok(()) };
    columns.with::<Slim<B>, _>(|rows, keys| {
        let name = keys.find(NAME);
        let named = |row: &Slim<B>| {
            let text = row.value(name).and_then(FieldValue::text).unwrap_or_default();
            (row.id.uuid(), text.to_lowercase())
        };
        all.extend(rows.iter().map(named));
    })
}

fn gather<B: Book>(
    rows: &[Slim<B>],
    keys: &Keys,
    (asked, query): (&Asked, &Query),
    (around, titles): (&Around<'_>, &Titles),
) -> Found<B::Id> {
    let mut problems = Vec::new();
    let mut tests = Vec::new();
    for term in &query.terms {
        match test(term, keys, around) {
            Ok(test) => tests.push((term.not, test)),
            Err(problem) => problems.push(problem),
        }
    }
    let here =
        |row: &&Slim<B>| row.collection == asked.collection && row.archived == asked.archived;
    let all = rows.iter().filter(here).count();
    let fits =
        |row: &&Slim<B>| tests.iter().all(|(not, test)| holds(test, row, (around, titles)) != *not);
    let mut found: Vec<&Slim<B>> = rows.iter().filter(here).filter(fits).collect();
    sort(&mut found, keys, &asked.sort, (around, titles));
    let numbers: Vec<(&Column, Option<u16>)> = around
        .columns
        .iter()
        .filter(|column| column.kind.is_number())
        .map(|column| (column, keys.find(&column.key)))
        .collect();
    let mut sums: BTreeMap<String, (usize, Decimal)> = BTreeMap::new();
    let mut stages: BTreeMap<String, AtStage<B::Id>> = BTreeMap::new();
    let stage = keys.find(STAGE);
    let money = columns::money(around.columns).and_then(|column| keys.find(&column.key));
    for row in &found {
        for (column, key) in &numbers {
            let Some(FieldValue::Number(number)) = row.value(*key) else { continue };
            let sum = sums.entry(column.key.clone()).or_default();
            *sum = (sum.0 + 1, sum.1.plus(*number));
        }
        let Some(FieldValue::Choice(at)) = row.value(stage) else { continue };
        let at = stages.entry(at.clone()).or_default();
        at.count += 1;
        if let Some(FieldValue::Number(number)) = row.value(money) {
            at.sum = at.sum.plus(*number);
        }
        if at.first.len() < CARDS {
            at.first.push(row.id);
        }
    }
    Found { ids: found.into_iter().map(|row| row.id).collect(), all, problems, stages, sums }
}

/// The key of a field that filters call otherwise.
fn called(key: &str) -> &str {
    match key {
        "tag" | "label" => TAGS,
        "org" => ORGANIZATION,
        "by" | "assignee" => OWNER,
        "status" => STAGE,
        key => key,
    }
}

fn test(term: &Term, keys: &Keys, around: &Around<'_>) -> Result<Test, String> {
    if term.is_words() {
        return Ok(Test::Words(term.values.iter().map(|word| word.to_lowercase()).collect()));
    }
    let days = |values: &[String]| -> Result<Vec<Days>, String> {
        let read = |value: &String| {
            filter::days(value, around.today)
                .ok_or_else(|| format!("\"{value}\" is no day; write today, 2026-12-24 or <7d."))
        };
        values.iter().map(read).collect()
    };
    let is = |word: &str| term.values.iter().any(|value| value.eq_ignore_ascii_case(word));
    match term.key.as_str() {
        "is" if is("unchecked") => return Ok(Test::Unchecked),
        "is" => return Err("After is: stands unchecked.".to_owned()),
        "due" if is("none") => return Ok(Test::HasDue(false)),
        "due" if is("any") => return Ok(Test::HasDue(true)),
        "due" if is("overdue") => return days(&["<today".to_owned()]).map(Test::Due),
        "due" => return days(&term.values).map(Test::Due),
        "created" => return days(&term.values).map(Test::Created),
        _ => {}
    }
    let name = called(&term.key);
    let Some(column) = around.columns.iter().find(|column| column.key == name) else {
        return Err(columns::unknown(name, around.columns));
    };
    let key = keys.find(name);
    if is("none") || is("any") {
        return Ok(key
            .map_or(if is("none") { Test::Words(Vec::new()) } else { Test::Nothing }, |key| {
                Test::Empty(key, is("none"))
            }));
    }
    let wanted = match column.kind {
        Kind::Number => {
            let read = |value: &String| {
                filter::numbers(value)
                    .ok_or_else(|| format!("\"{value}\" is no number; write 5, >5 or 2..5."))
            };
            let all: Vec<Numbers> = term.values.iter().map(read).collect::<Result<_, _>>()?;
            return Ok(key.map_or(Test::Nothing, |key| Test::Numbers(key, all)));
        }
        Kind::Date | Kind::Datetime => {
            let all = days(&term.values)?;
            return Ok(key.map_or(Test::Nothing, |key| Test::Days(key, all)));
        }
        _ => term
            .values
            .iter()
            .map(|value| told(column, value, around.names))
            .collect::<Result<_, _>>()?,
    };
    Ok(key.map_or(Test::Nothing, |key| Test::Texts(key, wanted)))
}

/// What a value of a condition is in cells.
fn told(column: &Column, value: &str, names: &dyn Names) -> Result<String, String> {
    Ok(match column.kind {
        Kind::Select | Kind::MultiSelect | Kind::Person | Kind::Relation | Kind::Boolean => {
            column.read(value, names)?.map(|value| plain(&value)).unwrap_or_default()
        }
        _ => value.to_lowercase(),
    })
}

/// A value in letters by which conditions compare.
fn plain(value: &FieldValue) -> String {
    match value {
        FieldValue::Choice(key) => key.clone(),
        FieldValue::Choices(keys) => keys.join(","),
        FieldValue::YesNo(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        FieldValue::Who(who) => format!("{who:?}"),
        FieldValue::Refers(target) => target.id.to_string(),
        FieldValue::Number(number) => number.to_string(),
        FieldValue::Day(day) => day.to_string(),
        FieldValue::At(at) => at.to_string(),
        other => other.text().unwrap_or_default().to_lowercase(),
    }
}

fn holds<B: Book>(test: &Test, row: &Slim<B>, (around, titles): (&Around<'_>, &Titles)) -> bool {
    match test {
        Test::Nothing => false,
        Test::Unchecked => row.unchecked,
        Test::Words(words) => words.iter().all(|word| {
            row.values.iter().any(|(_, value)| match value {
                FieldValue::Phone(number) => {
                    plain(value).contains(word)
                        || (word.bytes().any(|byte| byte.is_ascii_digit())
                            && noun::digits(number).contains(&noun::digits(word)))
                }
                FieldValue::Refers(target) => {
                    titles.get(&target.id).is_some_and(|title| title.contains(word))
                }
                value => plain(value).contains(word),
            })
        }),
        Test::Empty(key, empty) => row.value(Some(*key)).is_none() == *empty,
        Test::Texts(key, wanted) => row.value(Some(*key)).is_some_and(|value| match value {
            FieldValue::Choices(keys) => wanted
                .iter()
                .any(|wanted| wanted.split(',').all(|one| keys.iter().any(|key| key == one))),
            FieldValue::Choice(_)
            | FieldValue::YesNo(_)
            | FieldValue::Who(_)
            | FieldValue::Refers(_) => wanted.contains(&plain(value)),
            value => wanted.iter().any(|wanted| plain(value).contains(wanted)),
        }),
        Test::Numbers(key, all) => matches!(row.value(Some(*key)), Some(FieldValue::Number(number))
            if all.iter().any(|numbers| numbers.contains(as_f64(*number)))),
        Test::Days(key, all) => row.value(Some(*key)).is_some_and(|value| {
            let day = match value {
                FieldValue::Day(day) => *day,
                FieldValue::At(at) => at.to_zoned(around.zone.clone()).date(),
                _ => return false,
            };
            all.iter().any(|days| within(*days, day))
        }),
        Test::Due(all) => {
            due_of(row, around).is_some_and(|day| all.iter().any(|days| within(*days, day)))
        }
        Test::HasDue(any) => due_of(row, around).is_some() == *any,
        Test::Created(all) => all.iter().any(|days| {
            let (from, to) = days.span(&around.zone);
            (from..to).contains(&row.created)
        }),
    }
}

#[expect(clippy::cast_precision_loss, reason = "conditions compare as people read numbers")]
fn as_f64(number: Decimal) -> f64 {
    number.millionths() as f64 / 1_000_000.0
}

fn within(days: Days, day: Date) -> bool {
    let (from, to) = days.span(&TimeZone::UTC);
    let at = day.to_zoned(TimeZone::UTC).map_or(i64::MIN, |day| day.timestamp().as_millisecond());
    (from..to).contains(&at)
}

fn due_of<B: Book>(row: &Slim<B>, around: &Around<'_>) -> Option<Date> {
    around.due.get(&ContactId::from_uuid(row.id.uuid())).copied()
}

/// The key under which lists sort by the next follow-up.
pub const DUE: &str = "due";

fn sort<B: Book>(
    rows: &mut [&Slim<B>],
    keys: &Keys,
    by: &str,
    (around, titles): (&Around<'_>, &Titles),
) {
    let (down, key) = by.strip_prefix('-').map_or((false, by), |key| (true, key));
    let turned = |order: Ordering| if down { order.reverse() } else { order };
    match key {
        "" | "created" if by.is_empty() || down => rows.reverse(),
        "created" => {}
        "updated" => rows.sort_by(|a, b| turned(a.updated.cmp(&b.updated))),
        DUE => rows.sort_by(|a, b| {
            last_empty(due_of(a, around), due_of(b, around), |a, b| turned(a.cmp(b)))
        }),
        key => {
            let column = around.columns.iter().find(|column| column.key == key);
            let at = keys.find(key);
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
