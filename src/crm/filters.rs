//! Conditions of a list: their names, completion, and their evaluation.

use entity::{Column, Decimal, FieldValue, Kind, Names};
use features::tasks::queries::people::People;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kernel::filter::{self, Days, Key, Kind as Values, Numbers, Query, Term, Words};
use kernel::{Assignee, TypedId as _};

use crate::columns::{self, ORGANIZATION, OWNER, STAGE, TAGS};
use crate::list::{Around, Seen};
use crate::list_cache::{Held, MatchCache, Places, Raw, Shared, Slim, Sort, keys_in};
use crate::model::{ContactId, Home};
use crate::touches;

/// The field with the date of the last contact before HQ.
const LAST_CONTACT: &str = "last_contact_date";
/// The condition on the days since the last contact.
pub(crate) const QUIET: &str = "quiet";
const ARCHIVED: &str = "archived";
const UNCHECKED: &str = "unchecked";
const NONE_OR_ANY: Words = &[("none", "None"), ("any", "Any")];
const STATES: Words = &[(UNCHECKED, "Unchecked values"), (ARCHIVED, "Archived")];
const DUE_WORDS: Words =
    &[("overdue", "Overdue"), ("none", "No follow-up"), ("any", "Any follow-up")];
const SOMEBODY: Words = &[("me", "Me"), ("none", "No one"), ("any", "Anyone")];
const NEVER: Words = &[("never", "Never contacted"), ("any", "Contacted before")];

/// The keys of the conditions of a list: the fields of its rows, and derived keys.
#[must_use]
pub fn keys(home: Home, columns: &[Column]) -> Vec<Key> {
    let of = |column: &Column| {
        let kind = match column.kind {
            Kind::Number => Values::Number,
            Kind::Date | Kind::Datetime => Values::Date,
            Kind::Person => Values::Names(SOMEBODY),
            Kind::Boolean => Values::Words(&[("yes", "Yes"), ("no", "No"), ("none", "Not set")]),
            Kind::Select | Kind::MultiSelect | Kind::Relation => Values::Names(NONE_OR_ANY),
            _ => Values::Text(NONE_OR_ANY),
        };
        Key::made(short(&column.key), kind, &column.label)
    };
    let mut keys: Vec<Key> = columns.iter().map(of).collect();
    keys.push(Key::of("is", Values::Words(STATES), "In this state"));
    if home == Home::Contacts {
        keys.push(Key::of("due", Values::Date, "Follow-up date"));
        keys.push(Key::of(QUIET, Values::Text(NEVER), "Days since last contact"));
    }
    keys.push(Key::of("by", Values::Names(&[("me", "Me")]), "Author of a value"));
    keys.push(Key::of("created", Values::Date, "Created"));
    keys.push(Key::of("updated", Values::Date, "Last changed"));
    keys
}

/// The names that may follow a key, each with its label.
#[must_use]
pub fn names(
    key: &str,
    columns: &[Column],
    people: &People,
    records: &[String],
) -> Vec<(String, String)> {
    if key == "by" {
        return people.names();
    }
    let Some(column) = column(key, columns) else { return Vec::new() };
    match column.kind {
        Kind::Person => people.names(),
        Kind::Relation => records.iter().map(|name| (name.clone(), String::new())).collect(),
        _ if columns::are_labels(column) => {
            column.choices.iter().map(|one| (one.label.clone(), String::new())).collect()
        }
        _ => column.choices.iter().map(|one| (one.key.clone(), one.label.clone())).collect(),
    }
}

/// Whether the conditions ask for archived rows.
#[must_use]
pub fn asks_archived(query: &Query) -> bool {
    let archived = |term: &Term| {
        term.key == "is" && !term.not && term.values.iter().any(|one| one == ARCHIVED)
    };
    query.terms.iter().any(archived)
}

/// A condition in words: its subject and its values.
#[must_use]
pub fn told_of(term: &Term, columns: &[Column], names: &dyn Names) -> (String, String) {
    if term.is_words() {
        return ("Words".to_owned(), term.values.join(" "));
    }
    let column = column(&term.key, columns);
    let label = match (column, term.key.as_str()) {
        (Some(column), _) => column.label.clone(),
        (None, "due") => "Follow-up".to_owned(),
        (None, "by") => "Author".to_owned(),
        (None, key) => kernel::text::capitalized(key),
    };
    let word = |value: &String| {
        let known = |words: Words| words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
        let fixed = match term.key.as_str() {
            "is" => known(STATES),
            "due" => known(DUE_WORDS),
            QUIET => known(NEVER),
            _ => known(NONE_OR_ANY),
        };
        if let Some((_, label)) = fixed {
            return (*label).to_owned();
        }
        let person = || names.who(value).map_or_else(|_| value.clone(), |who| names.name_of(who));
        match column {
            None if term.key == "by" => person(),
            Some(column) => match (column.kind, column.read(value, names)) {
                (Kind::Number | Kind::Date | Kind::Datetime, _) => value.clone(),
                (_, Ok(Some(read))) => column.shown(&read, names),
                _ => value.clone(),
            },
            None => value.clone(),
        }
    };
    (label, term.values.iter().map(word).collect::<Vec<_>>().join(", "))
}

/// The short name of a field in filters.
#[must_use]
pub fn short(key: &str) -> &str {
    match key {
        TAGS => "tag",
        ORGANIZATION => "org",
        key => key,
    }
}

/// The field key for a name in filters.
pub(crate) fn called(key: &str) -> &str {
    match key {
        "tag" | "label" => TAGS,
        "org" => ORGANIZATION,
        "assignee" => OWNER,
        "status" => STAGE,
        key => key,
    }
}

/// The field of a condition: one with this key, else one with this name in filters.
pub(crate) fn column<'c>(key: &str, columns: &'c [Column]) -> Option<&'c Column> {
    let with = |key: &str| columns.iter().find(|column| column.key == key);
    with(key).or_else(|| with(called(key)))
}

/// A search word, normalised for search.
pub(crate) struct Word {
    text: String,
    /// Texts of cells that contain the word.
    places: Places,
    /// Its digits, if it may be part of a phone number.
    phone: Option<String>,
    /// Whether numbers and timestamps may match: they contain no letters.
    has_no_letters: bool,
    /// Memoised results for phone numbers, people and records.
    known: [MatchCache; 3],
    /// Choices whose labels contain the word: field index and key.
    choices: Vec<(u16, String)>,
}

impl Word {
    fn of(word: &str, shared: &Shared, columns: &[Column]) -> Self {
        let text = entity::searched(word);
        let mut choices = Vec::new();
        for column in columns {
            let Some(at) = shared.find(&column.key) else { continue };
            let called = column.choices.iter();
            let called = called.filter(|one| entity::searched(&one.label).contains(&text));
            choices.extend(called.map(|one| (at, one.key.clone())));
        }
        Self {
            places: shared.places_with(&text),
            phone: part_of_phone(&text),
            has_no_letters: !text.chars().any(char::is_alphabetic),
            known: Default::default(),
            text,
            choices,
        }
    }

    /// Whether a value contains the word. Only values that `places` does not cover are examined.
    fn is_in(&mut self, at: u16, raw: Raw, (shared, seen): (&Shared, &Seen<'_>)) -> bool {
        let [phones, people, records] = &mut self.known;
        let (text, place) = (self.text.as_str(), raw.place());
        match raw.0 {
            Sort::Empty => false,
            Sort::Text | Sort::Email | Sort::Url => self.places.has(place),
            Sort::Phone => {
                let digits = |part: &str| match shared.held(raw) {
                    Some(Held::Phone(cell)) => {
                        phones.of(cell, |text| entity::digits(text).contains(part))
                    }
                    _ => false,
                };
                self.places.has(place) || self.phone.as_deref().is_some_and(digits)
            }
            Sort::Who => people.at(place, || {
                shared.held(raw).is_some_and(|held| plain(&held.value()).contains(text))
            }),
            Sort::Refers => records.at(place, || match shared.held(raw) {
                Some(Held::Refers(to)) => {
                    seen.titles.get(&to.id).is_some_and(|title| title.contains(text))
                }
                _ => false,
            }),
            Sort::Choice | Sort::Choices => match shared.held(raw) {
                Some(Held::Choice(cell)) => self.calls(at, cell.text),
                Some(Held::Choices(cell)) => keys_in(cell.text).any(|key| self.calls(at, key)),
                _ => false,
            },
            Sort::YesNo => shared.held(raw).is_some_and(|held| plain(&held.value()).contains(text)),
            Sort::Number | Sort::Day | Sort::At => {
                let has = |held: Held<'_>| plain(&held.value()).contains(text);
                self.has_no_letters && shared.held(raw).is_some_and(has)
            }
        }
    }

    /// Whether the label of a choice contains the word.
    fn calls(&self, field: u16, key: &str) -> bool {
        self.choices.iter().any(|(at, one)| *at == field && one == key)
    }
}

/// Compiles a condition; `None` if it is evaluated elsewhere.
///
/// # Errors
/// A sentence that says why the condition is invalid.
pub(crate) fn test(term: &Term, shared: &Shared, seen: &Seen<'_>) -> Result<Option<Test>, String> {
    if term.is_words() {
        let word = |word: &String| Word::of(word, shared, seen.around.columns);
        return Ok(Some(Test::Words(term.values.iter().map(word).collect())));
    }
    let (around, is) = (seen.around, |word: &str| is(term, word));
    let test = match term.key.as_str() {
        "is" if term.values.iter().all(|one| one == ARCHIVED) => return Ok(None),
        "is" if is(UNCHECKED) => Test::Unchecked,
        "is" => return Err("Use is:unchecked or is:archived.".to_owned()),
        "due" if is("none") => Test::HasDue(false),
        "due" if is("any") => Test::HasDue(true),
        "due" if is("overdue") => Test::Due(days(&["<today".to_owned()], around)?),
        "due" => Test::Due(days(&term.values, around)?),
        QUIET if is("any") => Test::Touched(shared.find(LAST_CONTACT)),
        QUIET => {
            let days = term.values.iter().filter(|value| !value.eq_ignore_ascii_case("never"));
            Test::Quiet {
                days: days.map(quiet).collect::<Result<_, _>>()?,
                never: is("never"),
                noted: shared.find(LAST_CONTACT),
            }
        }
        "created" => Test::Created(days(&term.values, around)?),
        "updated" => Test::Updated(days(&term.values, around)?),
        "by" => {
            let who = |value: &String| around.names.who(value);
            let all: Vec<Assignee> = term.values.iter().map(who).collect::<Result<_, _>>()?;
            Test::By(all.into_iter().filter_map(|who| shared.writer(who)).collect())
        }
        key => of_field(term, key, shared, seen)?,
    };
    Ok(Some(test))
}

fn is(term: &Term, word: &str) -> bool {
    term.values.iter().any(|value| value.eq_ignore_ascii_case(word))
}

fn days(values: &[String], around: &Around<'_>) -> Result<Vec<Days>, String> {
    let read = |value: &String| {
        filter::days(value, around.today)
            .ok_or_else(|| format!("\"{value}\" isn't a date. Use today, 2026-12-24 or <7d."))
    };
    values.iter().map(read).collect()
}

fn numbers(values: &[String]) -> Result<Vec<Numbers>, String> {
    let read = |value: &String| {
        filter::numbers(value)
            .ok_or_else(|| format!("\"{value}\" isn't a number. Use 5, >5 or 2..5."))
    };
    values.iter().map(read).collect()
}

/// Days since the last contact: `>10d`.
fn quiet(value: &String) -> Result<Numbers, String> {
    filter::numbers(value.trim_end_matches(['d', 'D']))
        .ok_or_else(|| format!("\"{value}\" isn't a number of days. Use >10d, <7d or never."))
}

/// Compiles the condition of a field.
fn of_field(term: &Term, name: &str, shared: &Shared, seen: &Seen<'_>) -> Result<Test, String> {
    let around = seen.around;
    let Some(column) = column(name, around.columns) else {
        return Err(columns::unknown(called(name), around.columns));
    };
    let key = shared.find(&column.key);
    let with = |test: &dyn Fn(u16) -> Test| key.map_or(Test::Nothing, test);
    if is(term, "none") {
        return Ok(key.map_or(Test::Words(Vec::new()), |key| Test::Empty(key, true)));
    }
    if is(term, "any") {
        return Ok(with(&|key| Test::Empty(key, false)));
    }
    Ok(match column.kind {
        Kind::Number => {
            let all = numbers(&term.values)?;
            with(&|key| Test::Numbers(key, all.clone()))
        }
        Kind::Date | Kind::Datetime => {
            let all = days(&term.values, around)?;
            with(&|key| Test::Days(key, all.clone()))
        }
        Kind::Relation => {
            let meant = |value: &String| meant(column, value, seen);
            let all: Vec<Vec<String>> = term.values.iter().map(meant).collect::<Result<_, _>>()?;
            with(&|key| Test::Texts(key, all.concat(), MatchCache::default()))
        }
        _ => {
            let describe = |value: &String| describe_value(column, value, around.names);
            let wanted: Vec<String> = term.values.iter().map(describe).collect::<Result<_, _>>()?;
            with(&|key| Test::Texts(key, wanted.clone(), MatchCache::default()))
        }
    })
}

/// A compiled condition. Text conditions memoise results for values that many rows share.
pub(crate) enum Test {
    Words(Vec<Word>),
    Empty(u16, bool),
    Texts(u16, Vec<String>, MatchCache),
    Numbers(u16, Vec<Numbers>),
    Days(u16, Vec<Days>),
    Due(Vec<Days>),
    HasDue(bool),
    Created(Vec<Days>),
    Updated(Vec<Days>),
    Unchecked,
    /// One of these people wrote a value.
    By(Vec<u32>),
    /// Days since the last contact, or no contact at all. `noted` is the field with the last contact before HQ.
    Quiet {
        days: Vec<Numbers>,
        never: bool,
        noted: Option<u16>,
    },
    /// There was a contact.
    Touched(Option<u16>),
    Nothing,
}

/// The form of a condition's value as it is stored in cells.
fn describe_value(column: &Column, value: &str, names: &dyn Names) -> Result<String, String> {
    Ok(match column.kind {
        Kind::Select | Kind::MultiSelect | Kind::Person | Kind::Relation | Kind::Boolean => {
            column.read(value, names)?.map(|value| plain(&value)).unwrap_or_default()
        }
        _ => entity::searched(value),
    })
}

/// The ids of the records that a condition's value names: the one with this name, else all whose names contain it.
fn meant(column: &Column, value: &str, seen: &Seen<'_>) -> Result<Vec<String>, String> {
    let none = match describe_value(column, value, seen.around.names) {
        Ok(one) => return Ok(vec![one]),
        Err(none) => none,
    };
    let part = entity::searched(value.trim());
    let fits = seen.titles.iter().filter(|(_, title)| title.contains(&part));
    let all: Vec<String> = fits.map(|(id, _)| id.to_string()).collect();
    if all.is_empty() { Err(none) } else { Ok(all) }
}

/// The text form of a value for comparisons.
pub(crate) fn plain(value: &FieldValue) -> String {
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

/// Whether a value is one of those that a condition asks for.
fn is_wanted(wanted: &[String], held: Held<'_>, memo: &mut MatchCache) -> bool {
    match held {
        Held::Choice(cell) => wanted.iter().any(|one| one == cell.text),
        Held::Choices(cell) => wanted
            .iter()
            .any(|wanted| wanted.split(',').all(|one| keys_in(cell.text).any(|key| key == one))),
        Held::YesNo(_) | Held::Who(_) | Held::Refers(_) => wanted.contains(&plain(&held.value())),
        Held::Text(cell) | Held::Email(cell) | Held::Phone(cell) | Held::Url(cell) => {
            memo.of(cell, |text| wanted.iter().any(|one| has(text, one)))
        }
        Held::Number(_) | Held::Day(_) | Held::At(_) => {
            let plain = plain(&held.value());
            wanted.iter().any(|one| plain.contains(one.as_str()))
        }
    }
}

/// Whether a text contains a part that is normalised for search.
fn has(text: &str, part: &str) -> bool {
    if !text.is_ascii() {
        return entity::searched(text).contains(part);
    }
    let part = part.as_bytes();
    part.is_empty() || text.as_bytes().windows(part.len()).any(|at| at.eq_ignore_ascii_case(part))
}

/// Whether a condition holds for a row.
pub(crate) fn holds(test: &mut Test, row: &Slim, shared: &Shared, seen: &Seen<'_>) -> bool {
    let around = seen.around;
    match test {
        Test::Nothing => false,
        Test::Unchecked => row.unchecked,
        Test::Words(words) => words
            .iter_mut()
            .all(|word| shared.raws(row).any(|(at, raw)| word.is_in(at, raw, (shared, seen)))),
        Test::Texts(key, wanted, memo) => {
            let held = shared.value(row, Some(*key));
            held.is_some_and(|held| is_wanted(wanted, held, memo))
        }
        Test::Empty(key, empty) => shared.raw_of(row, Some(*key)).is_none() == *empty,
        Test::Numbers(key, all) => {
            let number = shared.raw_of(row, Some(*key)).and_then(Raw::number);
            number.is_some_and(|number| all.iter().any(|one| one.contains(as_f64(number))))
        }
        Test::Days(key, all) => shared.value(row, Some(*key)).is_some_and(|held| {
            let day = match held {
                Held::Day(day) => day,
                Held::At(at) => at.to_zoned(around.zone.clone()).date(),
                _ => return false,
            };
            all.iter().any(|days| within(*days, day))
        }),
        Test::Due(all) => {
            due_of(row, around).is_some_and(|day| all.iter().any(|days| within(*days, day)))
        }
        Test::HasDue(any) => due_of(row, around).is_some() == *any,
        Test::Created(all) => at_any(all, row.created, around),
        Test::Updated(all) => at_any(all, row.updated, around),
        Test::By(writers) => writers.iter().any(|writer| shared.is_by(row, *writer)),
        Test::Quiet { days, never, noted } => match quiet_days(row, *noted, shared, seen) {
            Some(quiet) => days.iter().any(|numbers| numbers.contains(quiet)),
            None => *never,
        },
        Test::Touched(noted) => quiet_days(row, *noted, shared, seen).is_some(),
    }
}

/// Days since the last contact; `None` if there was none.
fn quiet_days(
    row: &Slim,
    noted: Option<u16>,
    shared: &Shared,
    Seen { around, touched, .. }: &Seen<'_>,
) -> Option<f64> {
    let talked = touched.get(&ContactId::from_uuid(row.id));
    let talked = talked.map(|at| touches::days_since(*at, around));
    let noted = match shared.value(row, noted) {
        Some(Held::Day(day)) => Some(touches::days_between(day, around)),
        _ => None,
    };
    match (talked, noted) {
        (Some(talked), Some(noted)) => Some(talked.min(noted)),
        (talked, noted) => talked.or(noted),
    }
}

/// The digits of a word that may be part of a phone number: at least three, and no letters.
fn part_of_phone(word: &str) -> Option<String> {
    let fits = word.chars().all(|c| c.is_ascii_digit() || "+-/().".contains(c));
    let digits = entity::digits(word);
    (fits && 3 <= digits.len()).then_some(digits)
}

fn at_any(all: &[Days], at: i64, around: &Around<'_>) -> bool {
    all.iter().any(|days| {
        let (from, to) = days.span(&around.zone);
        (from..to).contains(&at)
    })
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

pub(crate) fn due_of(row: &Slim, around: &Around<'_>) -> Option<Date> {
    around.due.get(&ContactId::from_uuid(row.id)).copied()
}

#[cfg(test)]
mod tests {
    use super::has;

    #[test]
    fn words_are_found_in_any_case() {
        for (text, part, is) in [
            ("Rosa Marlow", "sa ma", true),
            ("Rosa", "rosario", false),
            ("Rosa", "", true),
            ("Rosa", "ö", false),
            ("Bäckerei Öl", "ol", true),
            ("BÄCKEREI", "back", true),
            ("Straße", "strasse", true),
        ] {
            assert_eq!(has(text, part), is, "{part} in {text}");
        }
    }
}
