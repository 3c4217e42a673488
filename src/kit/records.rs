//! Reads a noun's records for the API and tools, and resolves ids and names.

use std::ops::ControlFlow;

use entity::{Fields, Names, Values, shown};
use kernel::{AccountId, Assignee, Error, ProblemKind};
use store::{Range, Read, StoreError, codec};

use crate::names::for_fields;
use crate::{ExtraOf, Noun};

/// The reader, who determines which private records are visible and what "me" means.
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    pub account: Option<AccountId>,
    pub me: Assignee,
}

impl Reader {
    pub fn person(account: AccountId) -> Self {
        Self { account: Some(account), me: Assignee::Person(account) }
    }

    /// An agent. It sees no private records.
    pub fn agent(agent: kernel::AgentId) -> Self {
        Self { account: None, me: Assignee::Agent(agent) }
    }

    /// Returns `true` if the row is shared or the reader's own.
    fn may_see(&self, noun: &Noun, row: &[u8]) -> bool {
        noun.entity.owner(row).is_none_or(|owner| Some(owner) == self.account)
    }
}

/// A record with its revision.
pub(crate) struct Shown {
    pub key: Vec<u8>,
    pub rev: u64,
    /// As stored.
    pub record: Fields,
    /// As shown in the API.
    pub fields: Fields,
}

/// Renders records of a noun for one reader.
pub(crate) struct Show<'r> {
    noun: &'static Noun,
    names: Box<dyn Names>,
    extra: Option<ExtraOf<'r>>,
}

impl<'r> Show<'r> {
    /// Reads the data that rows of the noun need.
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

/// Reads a record by key, if the reader may see it.
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

/// The title of a record; empty if it was deleted.
pub(crate) fn title(noun: &Noun, read: &dyn Read, key: &[u8]) -> Result<String, StoreError> {
    let record = noun.entity.get(read, key)?;
    Ok(record.map(|record| (noun.entity.title)(&record)).unwrap_or_default())
}

/// A page of a list.
pub(crate) struct Listed {
    pub items: Vec<Shown>,
    /// Cursor of the next page.
    pub next: Option<String>,
}

/// Parameters of a list request.
#[derive(Default)]
pub(crate) struct PageRequest<'a> {
    /// Cursor of the last record of the previous page.
    pub after: Option<&'a str>,
    /// Search words.
    pub words: &'a str,
    /// Maximum number of records; 0 for all.
    pub limit: usize,
    /// The parameters of [`crate::Select`].
    pub params: Values,
}

/// Records in the noun's order.
pub(crate) fn list(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    request: &PageRequest<'_>,
) -> Result<Listed, Error> {
    let words: Vec<String> =
        request.words.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let limit = if request.limit == 0 { usize::MAX } else { request.limit };
    let places = match noun.select {
        Some(select) => {
            let keys = (select.keys)(read, &request.params)?;
            keys.into_iter().map(|key| (Vec::new(), key)).collect()
        }
        None => {
            // Search and ownership filters apply afterwards, so all positions may be needed.
            let is_all = words.is_empty() && noun.entity.own.is_none();
            places(noun, read, request.after, if is_all { limit } else { usize::MAX })?
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

/// The position of a record in the list order, and its key.
type Place = (Vec<u8>, Vec<u8>);

/// Up to `limit` + 1 record positions after a cursor.
fn places(
    noun: &'static Noun,
    read: &dyn Read,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Place>, Error> {
    let mut range = Range::all();
    if let Some(after) = after {
        let cursor = store::read::cursor_key(after)
            .ok_or_else(|| Error::field("after", "Use the `next` of the previous page."))?;
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

/// Resolves an id or a name to a record key.
///
/// # Errors
/// If no visible record matches.
pub(crate) fn find(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    name: &str,
) -> Result<Vec<u8>, Error> {
    let name = name.trim();
    let found = match (noun.entity.rows.key)(name) {
        Some(key) => Some(key),
        None if name.is_empty() => None,
        None => match noun.find {
            Some(find) => find(read, name)?,
            None => called(noun, read, reader, name)?,
        },
    };
    let Some(key) = found else { return Err(noun.entity.not_found(name)) };
    match visible_rev(noun, read, reader, &key)? {
        Some(_) => Ok(key),
        None => Err(noun.entity.not_found(name)),
    }
}

/// The revision of a record; `None` if it does not exist or is not visible to the reader.
fn visible_rev(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    key: &[u8],
) -> Result<Option<u64>, StoreError> {
    match read.raw_get(noun.entity.table, key)? {
        Some(row) if reader.may_see(noun, &row) => Ok(Some(codec::unwrap(&row)?.1)),
        _ => Ok(None),
    }
}

/// Rejects a record that does not exist, is not visible to the reader, or changed since revision `rev`.
///
/// # Errors
/// In these cases.
pub(crate) fn check(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    key: &[u8],
    rev: Option<u64>,
) -> Result<(), Error> {
    match visible_rev(noun, read, reader, key)? {
        None => Err(noun.entity.not_found(&store::schema::id_text(key))),
        Some(now) if rev.is_some_and(|rev| rev != now) => Err(StoreError::Stale.into()),
        Some(_) => Ok(()),
    }
}

/// The key of the first visible record with this title, case-insensitively. A noun with many records sets its own
/// `find`.
fn called(
    noun: &'static Noun,
    read: &dyn Read,
    reader: Reader,
    name: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let wanted = name.to_lowercase();
    let mut found: Option<Vec<u8>> = None;
    let mut is_ambiguous = false;
    read.raw_scan(noun.entity.table, &Range::all(), &mut |key, row| {
        let fields = (noun.entity.rows.fields)(row).unwrap_or_default();
        if (noun.entity.title)(&fields).to_lowercase() == wanted && reader.may_see(noun, row) {
            if found.is_some() {
                is_ambiguous = true;
                return ControlFlow::Break(());
            }
            found = Some(key.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    if is_ambiguous {
        let message = format!("several {} are called “{name}”; use an id", noun.entity.many);
        return Err(Error::new(ProblemKind::Conflict, "ambiguous_name", message));
    }
    Ok(found)
}
