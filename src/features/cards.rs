//! The cards of all nouns that have one. Questions about a record by the number of its table come here first.
//! A package above this one adds its cards before the first store is opened: a process has one set of nouns, as it has
//! one bundle of style and script.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::{LazyLock, OnceLock};

use entity::{Entity, Fields};
use kernel::key::KeyBuf;
use kernel::{Event, RowAct};
use serde_json::{Value, json};
use store::schema::id_text;
use store::{Entry, Range, Read, Schema, StoreError, feed};

use crate::browsers::card::{AGENT_BROWSER, BROWSER_POLICY};
use crate::connections::card::VECTOR_SOURCE;
use crate::tasks::card::LABEL;
use crate::trust::card::{AGENT_TRUST, PERMISSION};
use crate::views::card::VIEW;

/// The cards of this package.
static OWN: [&Entity; 7] =
    [&LABEL, &VIEW, &AGENT_BROWSER, &BROWSER_POLICY, &AGENT_TRUST, &PERMISSION, &VECTOR_SOURCE];
/// So many waiting records of a noun are counted.
pub const MOST_WAITING: usize = 1_000;
static MORE: OnceLock<&'static [&'static Entity]> = OnceLock::new();

/// Adds the cards of packages above this one; only the first call counts.
pub fn install(more: &'static [&'static Entity]) {
    // ok: a second call comes from a second server in the same process, with the same list.
    let _ = MORE.set(more);
}

/// All cards, in the order of forms and groups.
pub fn all() -> impl Iterator<Item = &'static Entity> + Clone {
    OWN.into_iter().chain(MORE.get().copied().unwrap_or_default().iter().copied())
}

/// The card of the records of a table.
#[must_use]
pub fn of_table(table: u16) -> Option<&'static Entity> {
    all().find(|noun| noun.table == table)
}

/// Whether records of a table may be somebody's own.
#[must_use]
pub fn may_be_own(table: u16) -> bool {
    of_table(table).is_some_and(|noun| noun.own.is_some())
}

/// The card with this word.
#[must_use]
pub fn of_word(word: &str) -> Option<&'static Entity> {
    all().find(|noun| noun.word == word)
}

/// The card whose records have this number in indexes.
#[must_use]
pub fn of_number(number: u8) -> Option<&'static Entity> {
    all().find(|noun| noun.finds.is_some_and(|finds| finds.number == number))
}

/// The nouns whose records wait in Review for a person's yes or no, each with how many do, counted up to
/// [`MOST_WAITING`], and the page below the workspace.
pub fn waiting(read: &dyn Read) -> Result<Vec<(&'static Entity, usize, &'static str)>, StoreError> {
    let mut found = Vec::new();
    for noun in all() {
        let Some(path) = noun.review else { continue };
        let mut count = 0;
        read.raw_scan(noun.table, &Range::all().limit(MOST_WAITING), &mut |_, _| {
            count += 1;
            match count < MOST_WAITING {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        if 0 < count {
            found.push((noun, count, path));
        }
    }
    Ok(found)
}

/// Adds the tables of all nouns, and doctor's questions to them.
#[must_use]
pub fn tables(schema: Schema) -> Schema {
    all().fold(schema, |schema, noun| {
        let schema = (noun.tables)(schema);
        match noun.check {
            Some(check) => schema.checked(noun.many, check),
            None => schema,
        }
    })
}

/// An event of a record of a noun with a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowEvent<'e> {
    /// The card.
    pub noun: &'static Entity,
    /// The bytes of the record's key.
    pub id: Cow<'e, [u8]>,
    pub act: RowAct,
    /// The names of the fields that changed.
    pub fields: &'e [String],
    /// The name that the event itself gives it.
    pub title: Option<&'e str>,
}

impl RowEvent<'_> {
    /// The event for programs: `{"label": "0192…", "fields": ["colour"]}`.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({ (self.noun.word): id_text(&self.id), "fields": self.fields })
    }
}

/// An event as that of a record of a noun with a card, also in the words of former programs.
#[must_use]
pub fn row_of(event: &Event) -> Option<RowEvent<'_>> {
    let former = |id, act| RowEvent {
        noun: &LABEL,
        id: Cow::Owned(KeyBuf::of(id).into_bytes()),
        act,
        fields: &[],
        title: None,
    };
    match event {
        Event::Row { table, id, act, fields } => {
            let noun = of_table(*table)?;
            Some(RowEvent { noun, id: Cow::Borrowed(id), act: *act, fields, title: None })
        }
        Event::LabelCreated(label) => Some(former(label, RowAct::Created)),
        Event::LabelChanged(label) => Some(former(label, RowAct::Changed)),
        Event::LabelDeleted { label, name } => {
            Some(RowEvent { title: Some(name), ..former(label, RowAct::Deleted) })
        }
        _ => None,
    }
}

/// The name of an event: `task.created`.
#[must_use]
pub fn event_name(event: &Event) -> &'static str {
    let named = |row: RowEvent<'_>| name(row.noun, row.act);
    row_of(event).and_then(named).unwrap_or_else(|| event.name())
}

/// The names of an entry's events, each once, in the order in which they come first.
#[must_use]
pub fn event_kinds(entry: &Entry) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for name in entry.events.iter().map(event_name) {
        if !kinds.contains(&name) {
            kinds.push(name);
        }
    }
    kinds
}

/// The names of all events, in the order in which they came to HQ.
pub fn event_names() -> impl Iterator<Item = &'static str> + Clone {
    let is_own = |name: &&str| name.contains('.') && !ROW_NAMES.iter().any(|row| row.1 == *name);
    Event::NAMES.into_iter().filter(is_own).chain(ROW_NAMES.iter().map(|row| row.1))
}

fn name(noun: &Entity, act: RowAct) -> Option<&'static str> {
    ROW_NAMES.iter().find(|(of, _)| *of == (noun.table, act)).map(|(_, name)| *name)
}

/// The names of the events of nouns with cards, but for those that somebody may keep for themselves: of these no event
/// tells. Made once, for the life of the process.
static ROW_NAMES: LazyLock<Vec<((u16, RowAct), &'static str)>> = LazyLock::new(|| {
    let named = |noun: &Entity, act: RowAct| {
        let name: &'static str = format!("{}.{}", noun.word, act.word()).leak();
        ((noun.table, act), name)
    };
    let telling = all().filter(|noun| noun.own.is_none());
    telling.flat_map(|noun| RowAct::ALL.iter().map(move |act| named(noun, *act))).collect()
});

/// The fields of a record as an entry left it; of one that it deleted, as they were.
pub fn fields_in(
    read: &dyn Read,
    entry: &Entry,
    (noun, key): (&Entity, &[u8]),
) -> Result<Option<Fields>, StoreError> {
    if let Some(now) = noun.get(read, key)? {
        return Ok(Some(now));
    }
    let is_it = |change: &store::Change| change.table == noun.table && change.key == key;
    let n = entry.changes.iter().position(is_it).and_then(|n| u16::try_from(n).ok());
    let row = n.map(|n| feed::before_image(read, entry.seq, n)).transpose()?.flatten();
    Ok(row.and_then(|row| (noun.rows.fields)(&row)))
}
