//! Registry of the entity descriptors of all nouns. Lookups by table number start here. A higher package adds its
//! descriptors before the first store is opened: a process has one set of nouns.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::{LazyLock, OnceLock};

use entity::{Entity, Fields};
use kernel::key::KeyBuf;
use kernel::{Can, Event, RowAct};
use serde_json::{Value, json};
use store::schema::id_text;
use store::{Entry, Range, Read, Schema, StoreError, feed};

use crate::browsers::card::{AGENT_BROWSER, BROWSER_POLICY};
use crate::connections::card::VECTOR_SOURCE;
use crate::tasks::card::LABEL;
use crate::trust::card::{AGENT_TRUST, PERMISSION};
use crate::views::card::VIEW;

/// Descriptors of this package.
static OWN: [&Entity; 7] =
    [&LABEL, &VIEW, &AGENT_BROWSER, &BROWSER_POLICY, &AGENT_TRUST, &PERMISSION, &VECTOR_SOURCE];
/// Limit of the count of waiting records per noun.
pub const MOST_WAITING: usize = 1_000;
static MORE: OnceLock<&'static [&'static Entity]> = OnceLock::new();

/// Adds the descriptors of higher packages. Only the first call has an effect.
pub fn install(more: &'static [&'static Entity]) {
    // ok: a second call comes from a second server in the same process, with the same list.
    let _ = MORE.set(more);
}

/// All descriptors, in the order of forms and groups.
pub fn all() -> impl Iterator<Item = &'static Entity> + Clone {
    OWN.into_iter().chain(MORE.get().copied().unwrap_or_default().iter().copied())
}

/// Descriptor of a table's records.
#[must_use]
pub fn of_table(table: u16) -> Option<&'static Entity> {
    all().find(|noun| noun.table == table)
}

/// Returns `true` if records of the table may be private.
#[must_use]
pub fn may_be_own(table: u16) -> bool {
    of_table(table).is_some_and(|noun| noun.own.is_some())
}

#[must_use]
pub fn of_word(word: &str) -> Option<&'static Entity> {
    all().find(|noun| noun.word == word)
}

/// Descriptor with this index number.
#[must_use]
pub fn of_number(number: u8) -> Option<&'static Entity> {
    all().find(|noun| noun.finds.is_some_and(|finds| finds.number == number))
}

/// The nouns with records that wait for approval in Review, of those that the person may read: the number of records,
/// counted up to [`MOST_WAITING`], and the path of the page below the workspace.
pub fn waiting(
    read: &dyn Read,
    may: impl Fn(Can) -> bool,
) -> Result<Vec<(&'static Entity, usize, &'static str)>, StoreError> {
    let mut found = Vec::new();
    for noun in all() {
        let Some(path) = noun.review.filter(|_| may(noun.read)) else { continue };
        let mut count = 0;
        read.raw_scan(noun.table, &Range::all().limit(MOST_WAITING), &mut |_, row| {
            count += usize::from(noun.waits.is_none_or(|waits| waits(row)));
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

/// Adds the tables of all nouns and their doctor checks.
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

/// A record event of a noun with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowEvent<'e> {
    pub noun: &'static Entity,
    /// Key bytes of the record.
    pub id: Cow<'e, [u8]>,
    pub act: RowAct,
    /// Names of the changed fields.
    pub fields: &'e [String],
    /// Title in the event itself.
    pub title: Option<&'e str>,
}

impl RowEvent<'_> {
    /// API form, such as `{"label": "0192…", "fields": ["colour"]}`.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({ (self.noun.word): id_text(&self.id), "fields": self.fields })
    }
}

/// Converts an event to a record event, including event kinds of former HQ versions.
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

/// Name of an event, such as `task.created`.
#[must_use]
pub fn event_name(event: &Event) -> &'static str {
    let named = |row: RowEvent<'_>| name(row.noun, row.act);
    row_of(event).and_then(named).unwrap_or_else(|| event.name())
}

/// Distinct names of an entry's events, in order of first occurrence.
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

/// Names of all events, in the order in which they were introduced.
pub fn event_names() -> impl Iterator<Item = &'static str> + Clone {
    let is_own = |name: &&str| name.contains('.') && !ROW_NAMES.iter().any(|row| row.1 == *name);
    Event::NAMES.into_iter().filter(is_own).chain(ROW_NAMES.iter().map(|row| row.1))
}

fn name(noun: &Entity, act: RowAct) -> Option<&'static str> {
    ROW_NAMES.iter().find(|(of, _)| *of == (noun.table, act)).map(|(_, name)| *name)
}

/// Event names of nouns with descriptors, except nouns with private records, which emit no named events. Built once per
/// process.
static ROW_NAMES: LazyLock<Vec<((u16, RowAct), &'static str)>> = LazyLock::new(|| {
    let named = |noun: &Entity, act: RowAct| {
        let name: &'static str = format!("{}.{}", noun.word, act.word()).leak();
        ((noun.table, act), name)
    };
    let telling = all().filter(|noun| noun.own.is_none());
    telling.flat_map(|noun| RowAct::ALL.iter().map(move |act| named(noun, *act))).collect()
});

/// Fields of a record after a feed entry, or before it if the entry deleted the record.
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
