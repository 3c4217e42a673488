//! What lists keep of rows in memory. The values of each field stand beside each other, a few bytes each, so that a
//! list of a hundred thousand rows reads the fields that it asks for and no others; words that many rows have are kept
//! once.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};

use features::tasks::queries::people::assignee_of;
use jiff::civil::Date;
use kernel::{Assignee, Timestamp};
use noun::{Decimal, FieldValue, Origin, Target};
use store::columns::Column as Kept;
use store::{DecodeError, Record as _, codec, record};

use crate::columns::STAGE;
use crate::model::{Book, CollectionId, Glance, NAME, Plain, Row, View};

/// The longest text of a cell that is kept in memory, in bytes: filters look no further.
const KEPT: usize = 400;
/// Longer words, in bytes, are hardly ever those of two rows.
const SHARED: usize = 64;
/// So many slots lie together. Rows of one collection share them with no others, so that a field takes no room for
/// rows that cannot have it.
const RUN: usize = 256;
/// What stands between the keys of several choices.
const BETWEEN: &str = "\0";

/// What is kept of a row beside its values.
pub struct Slim<B: Book> {
    pub(crate) id: B::Id,
    pub(crate) collection: Option<CollectionId>,
    pub(crate) archived: bool,
    pub(crate) unchecked: bool,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// When it came into the stage in which it is; when it was made, where it has none.
    pub(crate) staged: i64,
    /// The place of those who wrote a value or more.
    by: u32,
    slot: Slot,
}

/// Where the values of a row stand in each field.
#[derive(Clone, Copy)]
struct Slot {
    run: u32,
    at: u8,
}

/// How the word of a cell is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sort {
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

/// A value as it is kept: equal ones of one field mean the same, which different ones may do too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Raw(Sort, i64);

/// Words with their place, by which what was found out of them can be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said<'s> {
    /// Their place.
    pub place: u32,
    /// The words.
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
    /// The value.
    pub(crate) fn value(self) -> FieldValue {
        let own = |said: Said<'_>| said.text.to_owned();
        match self {
            Self::Text(said) => FieldValue::Text(own(said)),
            Self::Number(number) => FieldValue::Number(number),
            Self::Day(day) => FieldValue::Day(day),
            Self::At(at) => FieldValue::At(at),
            Self::YesNo(yes) => FieldValue::YesNo(yes),
            Self::Choice(said) => FieldValue::Choice(own(said)),
            Self::Choices(said) => {
                FieldValue::Choices(keys_in(said.text).map(str::to_owned).collect())
            }
            Self::Email(said) => FieldValue::Email(own(said)),
            Self::Phone(said) => FieldValue::Phone(own(said)),
            Self::Url(said) => FieldValue::Url(own(said)),
            Self::Who(who) => FieldValue::Who(who),
            Self::Refers(target) => FieldValue::Refers(target),
        }
    }
}

/// The keys of several choices.
pub(crate) fn keys_in(words: &str) -> impl Iterator<Item = &str> {
    words.split(BETWEEN).filter(|key| !key.is_empty())
}

/// The values of the rows of a run.
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

    /// Takes the value of a slot out.
    fn take(&mut self, slot: Slot) -> Raw {
        let raw = self.get(slot);
        if raw.0 != Sort::Empty {
            self.set(slot, Raw(Sort::Empty, 0));
        }
        raw
    }
}

/// Where words stand among all, and how many cells have them.
struct Word {
    at: u32,
    len: u32,
    count: u32,
}

/// The words of all cells, one behind the other.
#[derive(Default)]
struct Words {
    all: String,
    places: Vec<Word>,
    /// Places that have no words any more.
    free: Vec<u32>,
    /// The places of words that several cells may have, by their hashes. Of two with one hash the first is here.
    known: HashMap<u64, u32>,
    hasher: RandomState,
    /// How many bytes no cell has any more.
    lost: usize,
}

impl Words {
    /// So many bytes may be lost before they are taken out, if that is as many as are left.
    const SPARED: usize = 64 << 10;

    fn get(&self, place: u32) -> &str {
        let Some(word) = self.places.get(place as usize) else { return "" };
        let at = word.at as usize;
        self.all.get(at..at + word.len as usize).unwrap_or_default()
    }

    /// The place of words; those that several cells may have are looked up.
    fn add(&mut self, text: &str, shared: bool) -> u32 {
        let hash = (shared && text.len() <= SHARED).then(|| self.hasher.hash_one(text));
        let known = hash.and_then(|hash| self.known.get(&hash).copied());
        if let Some(place) = known.filter(|place| self.get(*place) == text) {
            self.places[place as usize].count += 1;
            return place;
        }
        let word = match (u32::try_from(self.all.len()), u32::try_from(text.len())) {
            (Ok(at), Ok(len)) => {
                self.all.push_str(text);
                Word { at, len, count: 1 }
            }
            // There is no room for more: a cell with these words is found by none of them.
            _ => Word { at: 0, len: 0, count: 1 },
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = word;
                place
            }
            None => {
                self.places.push(word);
                u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(hash) = hash {
            self.known.entry(hash).or_insert(place);
        }
        place
    }

    /// A cell has these words no more.
    fn leave(&mut self, place: u32) {
        let Some(word) = self.places.get_mut(place as usize) else { return };
        word.count = word.count.saturating_sub(1);
        if 0 < word.count {
            return;
        }
        let hash = self.hasher.hash_one(self.get(place));
        if self.known.get(&hash) == Some(&place) {
            self.known.remove(&hash);
        }
        self.lost += self.get(place).len();
        self.places[place as usize].len = 0;
        self.free.push(place);
    }

    fn tidy(&mut self) {
        let left = self.all.len() - self.lost;
        if self.lost < left.max(Self::SPARED) {
            return;
        }
        let mut all = String::with_capacity(left);
        for word in &mut self.places {
            let at = word.at as usize;
            let own = self.all.get(at..at + word.len as usize).unwrap_or_default();
            word.at = u32::try_from(all.len()).unwrap_or(u32::MAX);
            all.push_str(own);
        }
        (self.all, self.lost) = (all, 0);
    }
}

/// Things of which each is kept once.
struct Once<T> {
    all: Vec<T>,
    places: HashMap<T, u32>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { all: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Once<T> {
    fn add(&mut self, one: T) -> u32 {
        if let Some(at) = self.places.get(&one) {
            return *at;
        }
        let at = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(one.clone());
        self.places.insert(one, at);
        at
    }

    fn get(&self, at: u32) -> Option<&T> {
        self.all.get(at as usize)
    }
}

/// What the rows of a book have in one place: the values of their fields.
#[derive(Default)]
pub struct Shared {
    fields: Vec<Field>,
    /// The field that stood behind each in the row that came last.
    follows: Vec<u16>,
    words: Words,
    people: Once<Assignee>,
    targets: Once<Target>,
    /// Those who wrote the values of a row, by their places among people.
    writers: Once<Box<[u32]>>,
    /// The slots that are free, by collections.
    free: HashMap<Option<CollectionId>, Vec<Slot>>,
    /// How many runs of slots were given away.
    runs: u32,
}

impl Shared {
    /// The place of a field.
    pub(crate) fn find(&self, key: &str) -> Option<u16> {
        let at = self.fields.iter().position(|field| field.key == key);
        at.and_then(|at| u16::try_from(at).ok())
    }

    /// The place of somebody who wrote a value.
    pub(crate) fn writer(&self, who: Assignee) -> Option<u32> {
        self.people.places.get(&who).copied()
    }

    /// The place of a field, a new one where there is none: mostly the one that stood behind the field before in
    /// another row.
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

    /// A slot for a row.
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

    /// A value as it is kept.
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

    /// The value of a row in a field as it is kept; none where it has none.
    pub(crate) fn raw_of<B: Book>(&self, row: &Slim<B>, field: Option<u16>) -> Option<Raw> {
        let raw = self.fields.get(usize::from(field?))?.get(row.slot);
        (raw.0 != Sort::Empty).then_some(raw)
    }

    /// The value that is kept so.
    pub(crate) fn held(&self, Raw(sort, word): Raw) -> Option<Held<'_>> {
        let place = u32::try_from(word).unwrap_or(u32::MAX);
        let said = || Said { place, text: self.words.get(place) };
        Some(match sort {
            Sort::Empty => return None,
            Sort::Text => Held::Text(said()),
            Sort::Number => Held::Number(Decimal::of_millionths(word)),
            Sort::Day => Held::Day(unpacked(word)?),
            Sort::At => Held::At(kernel::time::from_ms(word)),
            Sort::YesNo => Held::YesNo(word != 0),
            Sort::Choice => Held::Choice(said()),
            Sort::Choices => Held::Choices(said()),
            Sort::Email => Held::Email(said()),
            Sort::Phone => Held::Phone(said()),
            Sort::Url => Held::Url(said()),
            Sort::Who => Held::Who(*self.people.get(place)?),
            Sort::Refers => Held::Refers(*self.targets.get(place)?),
        })
    }

    /// The value of a row in a field.
    pub(crate) fn value<B: Book>(&self, row: &Slim<B>, field: Option<u16>) -> Option<Held<'_>> {
        self.raw_of(row, field).and_then(|raw| self.held(raw))
    }

    /// The values of a row, each with its field.
    pub(crate) fn values<B: Book>(&self, row: &Slim<B>) -> impl Iterator<Item = (u16, Held<'_>)> {
        let slot = row.slot;
        (0_u16..)
            .zip(&self.fields)
            .filter_map(move |(at, field)| self.held(field.get(slot)).map(|held| (at, held)))
    }

    /// Whether somebody wrote one of the values of a row.
    pub(crate) fn is_by<B: Book>(&self, row: &Slim<B>, writer: u32) -> bool {
        self.writers.get(row.by).is_some_and(|all| all.contains(&writer))
    }
}

impl Raw {
    /// What puts values into order where their size does: numbers, days, moments, yes and no.
    pub(crate) fn size(self) -> Option<i64> {
        let Self(sort, word) = self;
        matches!(sort, Sort::Number | Sort::Day | Sort::At | Sort::YesNo).then_some(word)
    }

    /// The number.
    pub(crate) fn number(self) -> Option<Decimal> {
        let Self(sort, word) = self;
        (sort == Sort::Number).then(|| Decimal::of_millionths(word))
    }

    /// Whether the value has a least and a most that are told of.
    pub(crate) fn is_time(self) -> bool {
        matches!(self.0, Sort::Day | Sort::At)
    }
}

/// A day in a number, in the order of days.
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

/// What is kept of where a value comes from.
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

impl<B: Book> Slim<B> {
    /// Puts the values of a row into their fields.
    fn laid<'c, C>(
        row: &Plain<B::Id, C>,
        cells: impl Iterator<Item = (&'c str, Option<View<'c>>, Stamp)>,
        shared: &mut Shared,
    ) -> Self {
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
            // Mostly all values of a row were written by one.
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
}

impl<B: Book> Kept for Slim<B> {
    type Of = Row<B>;
    type Shared = Shared;

    fn of(row: &Row<B>, shared: &mut Shared) -> Self {
        let plain = Plain {
            id: row.id,
            collection: row.collection,
            created_at: row.created_at,
            updated_at: row.updated_at,
            archived_at: row.archived_at,
            cells: (),
        };
        let cells = row.cells.iter().map(|(key, cell)| {
            (key.as_str(), cell.value.as_ref().map(View::of), Stamp::of(&cell.origin))
        });
        Self::laid(&plain, cells, shared)
    }

    fn read(row: &[u8], shared: &mut Shared) -> Result<Self, DecodeError> {
        let (version, _, body) = codec::unwrap(row)?;
        if version != Row::<B>::VERSION {
            let (row, _) = record::read::<Row<B>>(row)?;
            return Ok(Self::of(&row, shared));
        }
        let mut plain = codec::view::<Glance<'_, B::Id>>(body)?;
        let cells = std::mem::take(&mut plain.cells);
        let cells = cells.into_iter().map(|(key, cell)| {
            let stamp = Stamp::of(&cell.origin);
            (key, cell.value, stamp)
        });
        Ok(Self::laid(&plain, cells, shared))
    }

    fn id(&self) -> B::Id {
        self.id
    }

    fn leave(&self, shared: &mut Shared) {
        let Shared { fields, words, free, .. } = shared;
        for field in fields {
            let Raw(sort, word) = field.take(self.slot);
            if sort.has_words() {
                words.leave(u32::try_from(word).unwrap_or(u32::MAX));
            }
        }
        free.entry(self.collection).or_default().push(self.slot);
    }

    fn tidy(_: &mut [Self], shared: &mut Shared) {
        shared.words.tidy();
    }
}

impl Sort {
    /// Whether the word of a cell is a place of words.
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

/// What was found out of words before, by their places.
#[derive(Default)]
pub(crate) struct Memo(Vec<Option<bool>>);

impl Memo {
    /// Whether it holds for words; found out when they are met first.
    pub(crate) fn of(&mut self, said: Said<'_>, holds: impl FnOnce(&str) -> bool) -> bool {
        let at = said.place as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        *self.0[at].get_or_insert_with(|| holds(said.text))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use kernel::TypedId as _;
    use noun::{Cell, FieldValue};
    use store::columns::Column as _;
    use store::{Record as _, codec};

    use super::{Shared, Slim, packed, unpacked};
    use crate::model::{CollectionId, ContactId, Contacts, EntryId, Records, Row};

    /// A row with these values.
    fn row(id: u8, values: &[(&str, FieldValue)]) -> Row<Contacts> {
        let mut row = Row::<Contacts>::sample();
        let origin = row.cells["name"].origin.clone();
        row.id = ContactId::from_bytes([id; 16]);
        let cell = |value: &FieldValue| Cell { value: Some(value.clone()), origin: origin.clone() };
        row.cells = values.iter().map(|(key, value)| ((*key).to_owned(), cell(value))).collect();
        row
    }

    fn value(shared: &Shared, row: &Slim<Contacts>, key: &str) -> Option<FieldValue> {
        shared.value(row, shared.find(key)).map(super::Held::value)
    }

    #[test]
    fn a_row_keeps_its_values_whether_it_is_read_as_a_whole_or_looked_at() {
        let mut shared = Shared::default();
        let tags = FieldValue::Choices(vec!["north".into(), "vip".into()]);
        let long = FieldValue::Text("ü".repeat(300));
        let values = [
            ("day", FieldValue::Day(date(-44, 3, 15))),
            ("long", long),
            ("none", FieldValue::Choices(Vec::new())),
            ("stage", FieldValue::Choice("lead".into())),
            ("tags", tags),
            ("yes", FieldValue::YesNo(false)),
        ];
        let row = row(1, &values);
        let bytes = codec::encode_row(Row::<Contacts>::VERSION, 1, &row).expect("a row has bytes");
        let one = Slim::<Contacts>::of(&row, &mut shared);
        let other = Slim::<Contacts>::read(&bytes, &mut shared).expect("its bytes can be read");
        for slim in [&one, &other] {
            for (key, is) in values.iter().filter(|(key, _)| *key != "long") {
                assert_eq!(value(&shared, slim, key).as_ref(), Some(is), "{key}");
            }
            let long = value(&shared, slim, "long");
            assert_eq!(long, Some(FieldValue::Text("ü".repeat(200))), "its beginning is kept");
            assert_eq!(value(&shared, slim, "name"), None);
            assert_eq!(shared.values(slim).count(), values.len());
        }
        assert_eq!((one.created, one.staged, one.unchecked), (other.created, other.staged, false));
        assert_eq!(
            shared.raw_of(&one, shared.find("tags")),
            shared.raw_of(&other, shared.find("tags"))
        );
    }

    #[test]
    fn what_a_row_leaves_is_used_again() {
        let mut shared = Shared::default();
        let text = |words: &str| FieldValue::Text(words.to_owned());
        let stays = Slim::<Contacts>::of(&row(1, &[("city", text("Berlin"))]), &mut shared);
        let mut goes = Slim::<Contacts>::of(&row(2, &[("city", text("Berlin"))]), &mut shared);
        let (places, runs) = (shared.words.places.len(), shared.runs);
        for n in 0..5_000 {
            goes.leave(&mut shared);
            assert_eq!(value(&shared, &goes, "city"), None);
            let city = text(&format!("{n} {}", "x".repeat(50)));
            goes = Slim::of(&row(2, &[("city", city.clone())]), &mut shared);
            Slim::<Contacts>::tidy(&mut [], &mut shared);
            assert_eq!(value(&shared, &goes, "city"), Some(city));
        }
        assert_eq!(value(&shared, &stays, "city"), Some(text("Berlin")));
        assert_eq!((shared.words.places.len(), shared.runs), (places + 1, runs));
        assert!(shared.words.all.len() <= 2 * super::Words::SPARED, "lost words are taken out");
        assert_eq!(shared.words.known.len(), 2);
    }

    #[test]
    fn rows_of_collections_share_no_run() {
        let mut shared = Shared::default();
        let mut of = |id: u8, home: u8, key: &str| {
            let mut row = Row::<Records>::sample();
            let cell = row.cells["name"].clone();
            row.id = EntryId::from_bytes([id; 16]);
            row.collection = Some(CollectionId::from_bytes([home; 16]));
            row.cells = [(key.to_owned(), cell)].into();
            Slim::<Records>::of(&row, &mut shared)
        };
        let rows = [of(1, 1, "one"), of(2, 2, "other"), of(3, 1, "one")];
        let runs = rows.map(|row| row.slot.run);
        assert_eq!(runs, [0, 1, 0]);
        let one = shared.find("one").expect("a field");
        let runs = &shared.fields[usize::from(one)].runs;
        assert_eq!(runs.iter().flatten().count(), 1, "no room for rows that cannot have it");
    }

    #[test]
    fn days_are_in_the_order_of_their_numbers() {
        let days = [
            date(-9999, 1, 1),
            date(-1, 12, 31),
            date(0, 1, 1),
            date(2026, 2, 28),
            date(9999, 12, 31),
        ];
        assert!(days.is_sorted_by_key(|day| packed(*day)));
        assert!(days.iter().all(|day| unpacked(packed(*day)) == Some(*day)));
    }
}
