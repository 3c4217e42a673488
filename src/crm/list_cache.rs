//! In-memory columns of CRM lists. The values of each field are stored contiguously, a few bytes each, so that a list
//! of 100,000 rows reads only the fields it needs. Words shared by many rows are stored once.

mod once;
mod recall;

use std::collections::HashMap;
use std::sync::Arc;

use entity::{Decimal, FieldValue, Origin, Target};
use features::tasks::queries::people::assignee_of;
use jiff::civil::Date;
use kernel::{Assignee, Timestamp};
use store::{DecodeError, Record as _, codec};
use uuid::Uuid;

use self::once::{Once, Words};
use self::recall::{Names, Recall};
pub(crate) use self::recall::{Order, Places, Titles};
use crate::columns::STAGE;
use crate::model::{CollectionId, Contact, Glance, NAME, Plain, Row, RowKind, View};

/// Maximum bytes of a cell's text in memory; filters see no more.
const KEPT: usize = 400;
/// Number of slots per run. A run belongs to one collection, so a field uses no memory for rows that cannot have it.
const RUN: usize = 256;
/// Separator between the keys of several choices.
const BETWEEN: &str = "\0";

/// Properties of a row other than its values.
pub struct Slim {
    pub(crate) id: Uuid,
    pub(crate) collection: Option<CollectionId>,
    pub(crate) archived: bool,
    pub(crate) unchecked: bool,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// Unix time in milliseconds since when it is in its stage; without a stage, when it was created.
    pub(crate) staged: i64,
    /// Index of the set of people who wrote its values.
    by: u32,
    slot: Slot,
}

/// Position of a row's values in each field.
#[derive(Clone, Copy)]
struct Slot {
    run: u32,
    at: u8,
}

/// How the word of a cell is interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sort {
    Empty,
    Text,
    Number,
    Day,
    At,
    YesNo,
    Choice,
    Choices,
    Email,
    Phone,
    Url,
    Who,
    Refers,
}

/// A value as stored: equal words of one field mean equal values, but equal values may have different words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Raw(pub(crate) Sort, i64);

/// A text with its index, under which results can be memoised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said<'s> {
    pub place: u32,
    pub text: &'s str,
}

/// A value of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held<'s> {
    Text(Said<'s>),
    Number(Decimal),
    Day(Date),
    At(Timestamp),
    YesNo(bool),
    Choice(Said<'s>),
    Choices(Said<'s>),
    Email(Said<'s>),
    Phone(Said<'s>),
    Url(Said<'s>),
    Who(Assignee),
    Refers(Target),
}

impl Held<'_> {
    pub(crate) fn value(self) -> FieldValue {
        let own = |text: Said<'_>| text.text.to_owned();
        match self {
            Self::Text(text) => FieldValue::Text(own(text)),
            Self::Number(number) => FieldValue::Number(number),
            Self::Day(day) => FieldValue::Day(day),
            Self::At(at) => FieldValue::At(at),
            Self::YesNo(yes) => FieldValue::YesNo(yes),
            Self::Choice(text) => FieldValue::Choice(own(text)),
            Self::Choices(text) => {
                FieldValue::Choices(keys_in(text.text).map(str::to_owned).collect())
            }
            Self::Email(text) => FieldValue::Email(own(text)),
            Self::Phone(text) => FieldValue::Phone(own(text)),
            Self::Url(text) => FieldValue::Url(own(text)),
            Self::Who(who) => FieldValue::Who(who),
            Self::Refers(target) => FieldValue::Refers(target),
        }
    }
}

/// The keys of several choices.
pub(crate) fn keys_in(words: &str) -> impl Iterator<Item = &str> {
    words.split(BETWEEN).filter(|key| !key.is_empty())
}

/// Values of one field for the rows of a run.
struct Run {
    sorts: [Sort; RUN],
    words: [i64; RUN],
}

/// The values of a field.
struct Field {
    key: String,
    runs: Vec<Option<Box<Run>>>,
}

impl Field {
    fn get(&self, slot: Slot) -> Raw {
        let run = self.runs.get(slot.run as usize).and_then(Option::as_deref);
        let at = usize::from(slot.at);
        run.map_or(Raw(Sort::Empty, 0), |run| Raw(run.sorts[at], run.words[at]))
    }

    fn set(&mut self, slot: Slot, Raw(sort, word): Raw) {
        let run = slot.run as usize;
        if self.runs.len() <= run {
            self.runs.resize_with(run + 1, || None);
        }
        let new = || Box::new(Run { sorts: [Sort::Empty; RUN], words: [0; RUN] });
        let run = self.runs[run].get_or_insert_with(new);
        let at = usize::from(slot.at);
        (run.sorts[at], run.words[at]) = (sort, word);
    }

    /// Removes and returns the value of a slot.
    fn take(&mut self, slot: Slot) -> Raw {
        let raw = self.get(slot);
        if raw.0 != Sort::Empty {
            self.set(slot, Raw(Sort::Empty, 0));
        }
        raw
    }
}

/// Shared storage of all rows of a kind: the values of their fields.
#[derive(Default)]
pub struct Shared {
    fields: Vec<Field>,
    /// For each field, the field that followed it in the latest row.
    follows: Vec<u16>,
    words: Words,
    people: Once<Assignee>,
    targets: Once<Target>,
    /// Sets of people who wrote the values of a row.
    writers: Once<Box<[u32]>>,
    /// Free slots by collection.
    free: HashMap<Option<CollectionId>, Vec<Slot>>,
    /// Number of allocated runs.
    runs: u32,
    recall: Recall,
}

impl Shared {
    /// Collects garbage if that pays off.
    pub(crate) fn tidy(&mut self) {
        self.words.tidy();
    }

    /// The index of a field.
    pub(crate) fn find(&self, key: &str) -> Option<u16> {
        let at = self.fields.iter().position(|field| field.key == key);
        at.and_then(|at| u16::try_from(at).ok())
    }

    /// Indexes of the texts that contain this part, which is normalised for search.
    pub(crate) fn places_with(&self, part: &str) -> Places {
        self.recall.lower(&self.words).find(part)
    }

    /// The names of all rows, normalised for search.
    pub(crate) fn names(&self, rows: &[&Slim]) -> Arc<Names> {
        let name = self.find(NAME);
        let named = |row: &Slim| {
            let text = match self.value(row, name) {
                Some(Held::Text(cell)) => entity::searched(cell.text),
                _ => String::new(),
            };
            (row.id, text)
        };
        self.recall.names(|| rows.iter().copied().map(named).collect())
    }

    /// Indexes of rows in an order; computed by `make` unless cached.
    pub(crate) fn order(
        &self,
        order: &Order,
        titles: &Titles,
        make: impl FnOnce() -> Vec<u32>,
    ) -> Arc<[u32]> {
        self.recall.order(order, titles, make)
    }

    /// All people in cells, by index.
    pub(crate) fn people(&self) -> &[Assignee] {
        self.people.all()
    }

    /// The index of a person who wrote a value.
    pub(crate) fn writer(&self, who: Assignee) -> Option<u32> {
        self.people.find(&who)
    }

    /// The index of a field, added if new. First tries the field that followed `before` in another row.
    fn field(&mut self, key: &str, before: Option<u16>) -> Option<u16> {
        let guess = before.and_then(|before| self.follows.get(usize::from(before)).copied());
        let is_it = |at: &u16| self.fields.get(usize::from(*at)).is_some_and(|one| one.key == key);
        if let Some(guess) = guess.filter(is_it) {
            return Some(guess);
        }
        let at = match self.find(key) {
            Some(at) => at,
            None => {
                let at = u16::try_from(self.fields.len()).ok()?;
                self.fields.push(Field { key: key.to_owned(), runs: Vec::new() });
                self.follows.push(0);
                at
            }
        };
        if let Some(before) = before {
            self.follows[usize::from(before)] = at;
        }
        Some(at)
    }

    /// Allocates a slot for a row.
    fn slot(&mut self, collection: Option<CollectionId>) -> Slot {
        let free = self.free.entry(collection).or_default();
        if let Some(slot) = free.pop() {
            return slot;
        }
        let run = self.runs;
        self.runs += 1;
        free.extend((1..=u8::MAX).rev().map(|at| Slot { run, at }));
        Slot { run, at: 0 }
    }

    /// Encodes a value.
    fn raw(&mut self, key: &str, value: &View<'_>) -> Raw {
        let words = &mut self.words;
        let (sort, place) = match value {
            View::Number(number) => return Raw(Sort::Number, number.millionths()),
            View::Day(day) => return Raw(Sort::Day, packed(*day)),
            View::At(at) => return Raw(Sort::At, at.as_millisecond()),
            View::YesNo(yes) => return Raw(Sort::YesNo, i64::from(*yes)),
            View::Text(text) => (Sort::Text, words.add(kernel::text::cut(text, KEPT), key != NAME)),
            View::Choice(key) => (Sort::Choice, words.add(key, true)),
            View::Choices(keys) => (Sort::Choices, words.add(&keys.join(BETWEEN), true)),
            View::Email(text) => (Sort::Email, words.add(text, false)),
            View::Phone(text) => (Sort::Phone, words.add(text, false)),
            View::Url(text) => (Sort::Url, words.add(text, false)),
            View::Who(who) => (Sort::Who, self.people.add(*who)),
            View::Refers(target) => (Sort::Refers, self.targets.add(*target)),
        };
        Raw(sort, i64::from(place))
    }

    /// The encoded value of a row in a field; `None` if empty.
    pub(crate) fn raw_of(&self, row: &Slim, field: Option<u16>) -> Option<Raw> {
        let raw = self.fields.get(usize::from(field?))?.get(row.slot);
        (raw.0 != Sort::Empty).then_some(raw)
    }

    /// Decodes a value.
    pub(crate) fn held(&self, Raw(sort, word): Raw) -> Option<Held<'_>> {
        let place = u32::try_from(word).unwrap_or(u32::MAX);
        let text = || Said { place, text: self.words.get(place) };
        Some(match sort {
            Sort::Empty => return None,
            Sort::Text => Held::Text(text()),
            Sort::Number => Held::Number(Decimal::of_millionths(word)),
            Sort::Day => Held::Day(unpacked(word)?),
            Sort::At => Held::At(kernel::time::from_ms(word)),
            Sort::YesNo => Held::YesNo(word != 0),
            Sort::Choice => Held::Choice(text()),
            Sort::Choices => Held::Choices(text()),
            Sort::Email => Held::Email(text()),
            Sort::Phone => Held::Phone(text()),
            Sort::Url => Held::Url(text()),
            Sort::Who => Held::Who(*self.people.get(place)?),
            Sort::Refers => Held::Refers(*self.targets.get(place)?),
        })
    }

    /// The value of a row in a field.
    pub(crate) fn value(&self, row: &Slim, field: Option<u16>) -> Option<Held<'_>> {
        self.raw_of(row, field).and_then(|raw| self.held(raw))
    }

    /// The encoded values of a row, each with its field.
    pub(crate) fn raws(&self, row: &Slim) -> impl Iterator<Item = (u16, Raw)> {
        let slot = row.slot;
        let all = (0_u16..).zip(&self.fields).map(move |(at, field)| (at, field.get(slot)));
        all.filter(|(_, raw)| raw.0 != Sort::Empty)
    }

    /// Whether a person wrote one of the values of a row.
    pub(crate) fn is_by(&self, row: &Slim, writer: u32) -> bool {
        self.writers.get(row.by).is_some_and(|all| all.contains(&writer))
    }
}

impl Raw {
    /// The sort key of values with a natural order: numbers, days, timestamps, booleans.
    pub(crate) fn size(self) -> Option<i64> {
        let Self(sort, word) = self;
        matches!(sort, Sort::Number | Sort::Day | Sort::At | Sort::YesNo).then_some(word)
    }

    pub(crate) fn number(self) -> Option<Decimal> {
        let Self(sort, word) = self;
        (sort == Sort::Number).then(|| Decimal::of_millionths(word))
    }

    /// The index of the value's text, person or record, for kinds with an index.
    pub(crate) fn place(self) -> u32 {
        u32::try_from(self.1).unwrap_or(u32::MAX)
    }

    /// Whether minimum and maximum of such values are shown.
    pub(crate) fn is_time(self) -> bool {
        matches!(self.0, Sort::Day | Sort::At)
    }
}

/// A day as a number in chronological order.
pub(crate) fn packed(day: Date) -> i64 {
    (i64::from(day.year()) * 16 + i64::from(day.month())) * 32 + i64::from(day.day())
}

fn unpacked(word: i64) -> Option<Date> {
    let day = i8::try_from(word.rem_euclid(32)).ok()?;
    let months = word.div_euclid(32);
    let month = i8::try_from(months.rem_euclid(16)).ok()?;
    let year = i16::try_from(months.div_euclid(16)).ok()?;
    Date::new(year, month, day).ok()
}

/// The stored part of a value's origin.
struct Stamp {
    by: Assignee,
    at: i64,
    unchecked: bool,
}

impl Stamp {
    fn of(origin: &Origin) -> Self {
        let (by, at) = (assignee_of(origin.by), origin.at.as_millisecond());
        Self { by, at, unchecked: origin.is_unchecked() }
    }
}

impl Slim {
    /// Stores the values of a row in their fields.
    fn laid<'c, C>(
        row: &Plain<C>,
        cells: impl Iterator<Item = (&'c str, Option<View<'c>>, Stamp)>,
        shared: &mut Shared,
    ) -> Self {
        shared.recall.clear();
        let created = row.created_at.as_millisecond();
        let slot = shared.slot(row.collection);
        let (mut staged, mut unchecked, mut before) = (created, false, None);
        let (mut by, mut last) = (Vec::new(), None);
        for (key, value, stamp) in cells {
            if key == STAGE {
                staged = stamp.at;
            }
            let Some(value) = value else { continue };
            unchecked |= stamp.unchecked;
            // Usually one person wrote all values of a row.
            if last != Some(stamp.by) {
                last = Some(stamp.by);
                let writer = shared.people.add(stamp.by);
                if !by.contains(&writer) {
                    by.push(writer);
                }
            }
            let Some(field) = shared.field(key, before) else { continue };
            let raw = shared.raw(key, &value);
            shared.fields[usize::from(field)].set(slot, raw);
            before = Some(field);
        }
        by.sort_unstable();
        Self {
            id: row.id,
            collection: row.collection,
            archived: row.archived_at.is_some(),
            unchecked,
            created,
            updated: row.updated_at.as_millisecond(),
            staged,
            by: shared.writers.add(by.into()),
            slot,
        }
    }

    pub(crate) fn of(row: &Row, shared: &mut Shared) -> Self {
        let cells = row.cells.iter().map(|(key, cell)| {
            (key.as_str(), cell.value.as_ref().map(View::of), Stamp::of(&cell.origin))
        });
        Self::laid(&row.plain(), cells, shared)
    }

    /// Stores the values of a serialised row.
    pub(crate) fn read(
        kind: &RowKind,
        row: &[u8],
        shared: &mut Shared,
    ) -> Result<Self, DecodeError> {
        let (version, _, body) = codec::unwrap(row)?;
        if version != Contact::VERSION {
            return Ok(Self::of(&kind.decode(row)?, shared));
        }
        let mut plain = codec::view::<Glance<'_>>(body)?;
        let cells = std::mem::take(&mut plain.cells);
        let cells = cells.into_iter().map(|(key, cell)| {
            let stamp = Stamp::of(&cell.origin);
            (key, cell.value, stamp)
        });
        Ok(Self::laid(&plain, cells, shared))
    }

    /// Releases the row's part of the shared storage.
    pub(crate) fn release(&self, shared: &mut Shared) {
        shared.recall.clear();
        let Shared { fields, words, free, .. } = shared;
        for field in fields {
            let Raw(sort, word) = field.take(self.slot);
            if sort.has_words() {
                words.release(u32::try_from(word).unwrap_or(u32::MAX));
            }
        }
        free.entry(self.collection).or_default().push(self.slot);
    }
}

impl Sort {
    /// Whether the word of a cell is the index of a text.
    fn has_words(self) -> bool {
        match self {
            Self::Text | Self::Choice | Self::Choices | Self::Email | Self::Phone | Self::Url => {
                true
            }
            Self::Empty
            | Self::Number
            | Self::Day
            | Self::At
            | Self::YesNo
            | Self::Who
            | Self::Refers => false,
        }
    }
}

/// Memoised results for texts, people or records, by index.
#[derive(Default)]
pub(crate) struct MatchCache(Vec<Option<bool>>);

impl MatchCache {
    /// The memoised result for a text; evaluated at first use.
    pub(crate) fn of(&mut self, text: Said<'_>, holds: impl FnOnce(&str) -> bool) -> bool {
        self.at(text.place, || holds(text.text))
    }

    /// The memoised result for an index; evaluated at first use.
    pub(crate) fn at(&mut self, place: u32, holds: impl FnOnce() -> bool) -> bool {
        let at = place as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        *self.0[at].get_or_insert_with(holds)
    }
}

#[cfg(test)]
mod tests;
