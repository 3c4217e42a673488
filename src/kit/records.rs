//! Reads of a noun's records as programs see them, and what an id or a name means.

use std::ops::ControlFlow;

use entity::{Fields, Names, Values, shown};
use kernel::{AccountId, Assignee, Error};
use store::{Range, Read, StoreError, codec};

use crate::names::for_fields;
use crate::{ExtraOf, Noun};

/// Who reads: whose own records are seen, and who is meant by "me".
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    pub account: Option<AccountId>,
    pub me: Assignee,
}

impl Reader {
    /// A person.
    pub fn person(account: AccountId) -> Self {
        Self { account: Some(account), me: Assignee::Person(account) }
    }

    /// An agent: it sees what nobody keeps for themselves.
    pub fn agent(agent: kernel::AgentId) -> Self {
        Self { account: None, me: Assignee::Agent(agent) }
    }

    /// Whether a stored row is everybody's or this reader's own.
    fn may_see(&self, noun: &Noun, row: &[u8]) -> bool {
        noun.entity.owner(row).is_none_or(|owner| Some(owner) == self.account)
    }
}

/// One record for programs, with its revision.
pub(crate) struct Shown {
    pub key: Vec<u8>,
    pub rev: u64,
    /// As it is stored.
    pub record: Fields,
    /// As programs see it.
    pub fields: Fields,
}

/// Draws records of a noun for one reader.
pub(crate) struct Show<'r> {
    noun: &'static Noun,
    names: Box<dyn Names>,
    extra: Option<ExtraOf<'r>>,
}

impl<'r> Show<'r> {
    /// Reads what rows of a noun need.
    pub fn new(
        noun: &'static Noun,
        read: &'r dyn Read,
        reader: Reader,
        in_list: bool,
    ) -> Result<Self, StoreError> {
        let names = for_fields(noun.entity.fields, read, reader.me)?;
        let extra = noun.extra.filter(|extra| in_list || !extra.in_lists);
        let extra = extra.map(|extra| (extra.prepare)(read)).transpose()?;
        Ok(Self { noun, names, extra })
    }

    fn row(&self, key: Vec<u8>, row: &[u8]) -> Result<Shown, StoreError> {
        let rev = codec::unwrap(row)?.1;
        let record = (self.noun.entity.rows.fields)(row).unwrap_or_default();
        let mut fields = shown(self.noun.entity.fields, &record, &*self.names);
        if let Some(extra) = &self.extra {
            fields.extend(extra(&record)?);
        }
        Ok(Shown { key, rev, record, fields })
    }
}

/// A record by its key, as this reader may see it.
pub(crate) fn one(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    key: &[u8],
) -> Result<Shown, Error> {
    let row = read.raw_get(noun.entity.table, key)?.filter(|row| reader.may_see(noun, row));
    let row = row.ok_or_else(|| noun.entity.not_found(&store::schema::id_text(key)))?;
    Ok(Show::new(noun, read, reader, false)?.row(key.to_vec(), &row)?)
}

/// The title of a record; empty when it is gone.
pub(crate) fn title(noun: &Noun, read: &dyn Read, key: &[u8]) -> Result<String, StoreError> {
    let record = noun.entity.get(read, key)?;
    Ok(record.map(|record| (noun.entity.title)(&record)).unwrap_or_default())
}

/// A page of a list.
pub(crate) struct Listed {
    pub items: Vec<Shown>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// What a list is asked for.
#[derive(Default)]
pub(crate) struct PageRequest<'a> {
    /// The cursor that it goes on behind.
    pub after: Option<&'a str>,
    /// Words that the texts of records have.
    pub words: &'a str,
    /// The most records; 0 for all.
    pub limit: usize,
    /// The parameters of [`crate::Select`].
    pub params: Values,
}

/// Records in the order of the noun.
pub(crate) fn list(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    asked: &PageRequest<'_>,
) -> Result<Listed, Error> {
    let words: Vec<String> =
        asked.words.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let limit = if asked.limit == 0 { usize::MAX } else { asked.limit };
    let places = match noun.select {
        Some(select) => {
            let keys = (select.keys)(read, &asked.params)?;
            keys.into_iter().map(|key| (Vec::new(), key)).collect()
        }
        None => {
            // Words and somebody's own are looked for behind this, so that all places may be needed.
            let is_all = words.is_empty() && noun.entity.own.is_none();
            places(noun, read, asked.after, if is_all { limit } else { usize::MAX })?
        }
    };
    let show = Show::new(noun, read, reader, true)?;
    let (mut items, mut last, mut next) = (Vec::new(), Vec::new(), None);
    for (place, key) in places {
        if items.len() == limit {
            next = Some(store::read::key_cursor(&last));
            break;
        }
        let Some(row) = read.raw_get(noun.entity.table, &key)? else { continue };
        if !reader.may_see(noun, &row) {
            continue;
        }
        let shown = show.row(key, &row)?;
        if has_words(&shown.fields, &words) {
            items.push(shown);
        }
        last = place;
    }
    Ok(Listed { items, next })
}

/// The place of a record in the order of a list, and its key.
type Place = (Vec<u8>, Vec<u8>);

/// The places of records behind a cursor with their keys, one more than `limit`.
fn places(
    noun: &'static Noun,
    read: &dyn Read,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Place>, Error> {
    let mut range = Range::all();
    if let Some(after) = after {
        let cursor = store::read::cursor_key(after)
            .ok_or_else(|| Error::field("after", "Give the `next` of the page before."))?;
        range = range.after(&cursor);
    }
    let mut places: Vec<Place> = Vec::new();
    let table = noun.order.map_or(noun.entity.table, |index| index.number);
    read.raw_scan(table, &range, &mut |key, value| {
        let id = if noun.order.is_some() { value } else { key };
        places.push((key.to_vec(), id.to_vec()));
        match limit < places.len() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    Ok(places)
}

fn has_words(fields: &Fields, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let texts = fields.values().filter_map(serde_json::Value::as_str);
    let text = texts.collect::<Vec<_>>().join("\n").to_lowercase();
    words.iter().all(|word| text.contains(word))
}

/// The key of the record that an id or a name means.
///
/// # Errors
/// When there is none that this reader may see.
pub(crate) fn find(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    said: &str,
) -> Result<Vec<u8>, Error> {
    let said = said.trim();
    let found = match (noun.entity.rows.key)(said) {
        Some(key) => Some(key),
        None if said.is_empty() => None,
        None => match noun.find {
            Some(find) => find(read, said)?,
            None => called(noun, read, reader, said)?,
        },
    };
    let Some(key) = found else { return Err(noun.entity.not_found(said)) };
    check(noun, read, reader, &key).map_err(|_| noun.entity.not_found(said))?;
    Ok(key)
}

/// Refuses a record that is not there, or not for this reader.
///
/// # Errors
/// When it is not.
pub(crate) fn check(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    key: &[u8],
) -> Result<(), Error> {
    match read.raw_get(noun.entity.table, key)? {
        Some(row) if reader.may_see(noun, &row) => Ok(()),
        _ => Err(noun.entity.not_found(&store::schema::id_text(key))),
    }
}

/// The key of the first record with this title, in any case, that the reader may see. A noun with many records has a
/// `find` of its own.
fn called(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    said: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let wanted = said.to_lowercase();
    let mut found = None;
    read.raw_scan(noun.entity.table, &Range::all(), &mut |key, row| {
        let fields = (noun.entity.rows.fields)(row).unwrap_or_default();
        if (noun.entity.title)(&fields).to_lowercase() == wanted && reader.may_see(noun, row) {
            found = Some(key.to_vec());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
