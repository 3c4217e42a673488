//! Rows: made, changed cell by cell, put out of the way, removed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use features::tasks::queries::people::{People, assignee_of};
use kernel::{FieldError, RowAct, TypedId as _};
use noun::{AgentsMay, Cell, Column, FieldValue, Kind, Origin, Source, Target, value_in};
use serde_json::{Map, Value};
use store::{Range, ReadExt as _, StoreError, WriteTx};

use super::suggestions::{suggest, void};
use crate::columns::{self, ORGANIZATION, STAGE, TAGS};
use crate::error::CrmError;
use crate::model::{
    Book, CollectionId, FieldDef, Home, NAME, Organizations, Row, identity_key, name_key,
};
use crate::names::Known;

/// What somebody sends for a row: values by the keys of fields, and what each stands on.
#[derive(Clone, Default)]
pub struct Sent {
    /// Values as JSON; `null` takes one away.
    pub values: Map<String, Value>,
    /// What a value stands on.
    pub sources: BTreeMap<String, Vec<Source>>,
    /// The row of the file that it comes from.
    pub row: Option<u32>,
    /// Members and agents, when they were read before: an import makes thousands of rows.
    pub people: Option<Arc<People>>,
}

impl Sent {
    /// Values without sources.
    #[must_use]
    pub fn of(values: Map<String, Value>) -> Self {
        Self { values, ..Self::default() }
    }

    /// One value.
    pub fn one(key: &str, value: impl Into<Value>) -> Self {
        Self::of(Map::from_iter([(key.to_owned(), value.into())]))
    }
}

/// A row after a change.
#[derive(Clone, Debug)]
pub struct Changed<B: Book> {
    /// The row as it is now.
    pub row: Row<B>,
    /// The keys of cells that took a new value.
    pub written: Vec<String>,
    /// The keys of cells where a person's value stays and the new one is a suggestion.
    pub suggested: Vec<String>,
}

/// Makes a row.
///
/// # Errors
/// When a value is wrong, a required one is missing, or an address is another row's already.
pub fn create<B: Book>(
    tx: &mut WriteTx<'_>,
    collection: Option<CollectionId>,
    sent: &Sent,
) -> Result<Row<B>, CrmError> {
    let now = tx.now();
    let mut row = Row {
        id: tx.new_id(),
        collection,
        created_at: now,
        updated_at: now,
        archived_at: None,
        cells: BTreeMap::new(),
    };
    let columns = columns::of(tx, B::home(collection))?;
    let mut sent = sent.clone();
    if let Some(stage) = columns.iter().find(|column| column.key == STAGE)
        && sent.values.get(STAGE).is_none_or(|value| value.is_null() || value == "")
        && let Some(first) = stage.choices.first()
    {
        sent.values.insert(STAGE.to_owned(), Value::String(first.key.clone()));
    }
    let values = read(tx, (&columns, B::home(collection)), &sent)?;
    for (key, value) in values {
        if let Some(value) = value {
            let origin = origin(tx, &sent, &key);
            row.cells.insert(key, Cell { value: Some(value), origin });
        }
    }
    checked(tx, &columns, &row)?;
    tx.put(&row)?;
    tx.emit(B::noun().event(&row.id, RowAct::Created));
    Ok(row)
}

/// Changes cells of a row. Where a person's value stands, an agent's becomes a suggestion.
///
/// # Errors
/// When a value is wrong, the row is archived or gone, or an address is another row's already.
pub fn change<B: Book>(
    tx: &mut WriteTx<'_>,
    id: B::Id,
    sent: &Sent,
) -> Result<Changed<B>, CrmError> {
    let old = get::<B>(tx, id)?;
    if old.archived_at.is_some() {
        return Err(CrmError::Archived(old.name().to_owned()));
    }
    let columns = columns::of(tx, B::home(old.collection))?;
    let values = read(tx, (&columns, B::home(old.collection)), sent)?;
    let mut row = old.clone();
    let (mut written, mut suggested) = (Vec::new(), Vec::new());
    let by_agent = tx.by().agent().is_some();
    let target = Target { table: B::TABLE.number, id: id.uuid() };
    for (key, value) in values {
        if value_in(&row.cells, &key) == value.as_ref() {
            continue;
        }
        let may = columns.iter().find(|column| column.key == key).map(|column| column.agents);
        let is_a_persons = row.cells.get(&key).is_some_and(|cell| cell.origin.is_a_persons());
        let origin = origin(tx, sent, &key);
        if by_agent && (is_a_persons || may == Some(AgentsMay::Suggest)) {
            suggest(tx, target, (&key, value), origin)?;
            suggested.push(key);
            continue;
        }
        void(tx, target, &key)?;
        row.cells.insert(key.clone(), Cell { value, origin });
        written.push(key);
    }
    if !written.is_empty() {
        checked(tx, &columns, &row)?;
        row.updated_at = tx.now();
        tx.put(&row)?;
        tx.emit(B::noun().changed(&old, &row));
    }
    Ok(Changed { row, written, suggested })
}

/// Changes the row that has the same value in a field, or makes one; says whether it was made. The name and addresses of every kind (mail,
/// telephone, web, another record) tell rows apart.
///
/// # Errors
/// As [`create`] and [`change`]; when the field tells no rows apart, has no value, or several rows have it.
pub fn upsert<B: Book>(
    tx: &mut WriteTx<'_>,
    (collection, by): (Option<CollectionId>, &str),
    sent: &Sent,
) -> Result<(Row<B>, bool), CrmError> {
    let home = B::home(collection);
    let columns = columns::of(tx, home)?;
    let column = columns.iter().find(|column| column.key == by);
    let column = column.ok_or_else(|| CrmError::field("by", columns::unknown(by, &columns)))?;
    let nothing = || CrmError::field(by, format!("{} is missing.", column.label));
    let said = sent.values.get(by).ok_or_else(nothing)?.clone();
    let values = read(tx, (&columns, home), &Sent::one(by, said))?;
    let value = values.into_iter().find_map(|(_, value)| value).ok_or_else(nothing)?;
    let key = match value.identity() {
        Some(identity) => identity_key(collection, &identity),
        None if by == NAME => name_key(collection, value.text().unwrap_or_default()),
        None => {
            let told = format!(
                "The field \"{}\" does not tell {} apart; take the name or an address.",
                column.label,
                B::noun().many
            );
            return Err(CrmError::field("by", told));
        }
    };
    let mut fits: Vec<Row<B>> = tx.scan(B::IDENTITY, &Range::prefix(key))?;
    // An address may stand in another field of another row.
    fits.retain(|row| {
        by == NAME || row.value(by).and_then(FieldValue::identity) == value.identity()
    });
    match fits.as_slice() {
        [] => create::<B>(tx, collection, sent).map(|row| (row, true)),
        [row] => change::<B>(tx, row.id, sent).map(|changed| (changed.row, false)),
        more => {
            Err(CrmError::field(by, format!("{} {} have this value.", more.len(), B::noun().many)))
        }
    }
}

/// Refuses when the row has changed since the caller read it.
///
/// # Errors
/// `Stale`, or when it is gone.
pub fn expect_rev<B: Book>(tx: &WriteTx<'_>, id: B::Id, rev: Option<u64>) -> Result<(), CrmError> {
    let Some(expected) = rev else { return Ok(()) };
    match tx.get_rev::<Row<B>>(id)? {
        Some((_, now)) if now == expected => Ok(()),
        Some(_) => Err(StoreError::Stale.into()),
        None => Err(CrmError::no(B::noun().one, &id.to_string())),
    }
}

/// Puts a row out of the way, or brings it back.
///
/// # Errors
/// When it is gone.
pub fn set_archived<B: Book>(
    tx: &mut WriteTx<'_>,
    id: B::Id,
    archived: bool,
) -> Result<Row<B>, CrmError> {
    let old = get::<B>(tx, id)?;
    if old.archived_at.is_some() == archived {
        return Ok(old);
    }
    let now = tx.now();
    let row = Row { archived_at: archived.then_some(now), updated_at: now, ..old.clone() };
    tx.put(&row)?;
    tx.emit(B::noun().changed(&old, &row));
    Ok(row)
}

/// Removes a row with its talks and suggestions; cells that lead to it become empty. An undo brings all of it back.
///
/// # Errors
/// When it is gone.
pub fn remove<B: Book>(tx: &mut WriteTx<'_>, id: B::Id) -> Result<Row<B>, CrmError> {
    let row = get::<B>(tx, id)?;
    tx.delete::<Row<B>>(id)?;
    tx.emit(B::noun().event(&id, RowAct::Deleted));
    Ok(row)
}

pub(super) fn get<B: Book>(tx: &WriteTx<'_>, id: B::Id) -> Result<Row<B>, CrmError> {
    tx.get(id)?.ok_or_else(|| CrmError::no(B::noun().one, &id.to_string()))
}

/// Where the value of a cell comes from in this transaction.
fn origin(tx: &WriteTx<'_>, sent: &Sent, key: &str) -> Origin {
    let mut sources = sent.sources.get(key).cloned().unwrap_or_default();
    sources.truncate(noun::MAX_SOURCES);
    for source in &mut sources {
        source.at = kernel::text::ellipsis(&source.at, noun::MAX_SOURCE);
        source.quote = kernel::text::ellipsis(&source.quote, noun::MAX_SOURCE);
    }
    Origin { by: tx.by(), cause: tx.cause(), at: tx.now(), row: sent.row, sources, right: None }
}

/// The values that were sent, checked; all that is wrong at once.
fn read(
    tx: &mut WriteTx<'_>,
    (columns, home): (&[Column], Home),
    sent: &Sent,
) -> Result<Vec<(String, Option<FieldValue>)>, CrmError> {
    let by_agent = tx.by().agent().is_some();
    let (mut values, mut wrong) = (Vec::new(), Vec::new());
    let mut open: Vec<(Cow<'_, Column>, &Value)> = Vec::new();
    for (key, value) in &sent.values {
        let Some(column) = columns.iter().find(|column| column.key == *key) else {
            wrong.push(FieldError::new(key, columns::unknown(key, columns)));
            continue;
        };
        if by_agent && column.agents == AgentsMay::Read {
            let told = format!("Agents only read the field \"{}\".", column.label);
            wrong.push(FieldError::new(key, told));
            continue;
        }
        open.push(match (key.as_str(), column.kind) {
            (TAGS, _) => (Cow::Owned(with_tags(tx, home, column, value)?), value),
            (ORGANIZATION, Kind::Relation) => {
                found_or_made(tx, value)?;
                (Cow::Borrowed(column), value)
            }
            _ => (Cow::Borrowed(column), value),
        });
    }
    let me = assignee_of(tx.by());
    let known = match &sent.people {
        Some(people) => Known::with(Arc::clone(people), tx, me),
        None => Known::new(tx, me)?,
    };
    for (column, value) in open {
        match column.read_json(value, &known) {
            Ok(value) => values.push((column.key.clone(), value)),
            Err(message) => wrong.push(FieldError::new(&column.key, message)),
        }
    }
    if wrong.is_empty() { Ok(values) } else { Err(CrmError::Invalid(wrong)) }
}

/// The column of tags with those that are new among its choices.
fn with_tags(
    tx: &mut WriteTx<'_>,
    home: Home,
    column: &Column,
    value: &Value,
) -> Result<Column, CrmError> {
    let all: Vec<String> = match value {
        Value::String(text) => text.split([',', ';']).map(str::to_owned).collect(),
        Value::Array(all) => all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let mut column = column.clone();
    let mut grew = false;
    for tag in all.iter().map(|tag| kernel::text::one_line(tag)).filter(|tag| !tag.is_empty()) {
        if column.choice(&tag).is_none() {
            if noun::key_of(&tag).is_empty() || 60 < tag.chars().count() || tag.contains([',', ';'])
            {
                return Err(CrmError::field(
                    TAGS,
                    format!("\"{}\" cannot be a tag.", kernel::text::ellipsis(&tag, 60)),
                ));
            }
            column.choices.push(noun::Choice::called(&tag));
            grew = true;
        }
    }
    if grew {
        let def: FieldDef = super::fields::def_of(tx, home, &column)?;
        tx.put(&def)?;
    }
    Ok(column)
}

/// Makes the organization that somebody names when there is none of that name.
fn found_or_made(tx: &mut WriteTx<'_>, value: &Value) -> Result<(), CrmError> {
    let Some(name) = value.as_str().map(str::trim).filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    if uuid::Uuid::try_parse(name).is_ok() {
        return Ok(());
    }
    let named = crate::model::name_key(None, name);
    if tx
        .ids::<Row<Organizations>>(Organizations::IDENTITY, &store::Range::prefix(named))?
        .is_empty()
    {
        create::<Organizations>(tx, None, &Sent::one(NAME, name))?;
    }
    Ok(())
}

/// What must be so of a row as a whole.
fn checked<B: Book>(tx: &WriteTx<'_>, columns: &[Column], row: &Row<B>) -> Result<(), CrmError> {
    let mut wrong = Vec::new();
    for column in columns.iter().filter(|column| column.required) {
        if row.value(&column.key).is_none() {
            wrong.push(FieldError::new(&column.key, format!("{} is missing.", column.label)));
        }
    }
    if let Some(index) = B::EMAIL {
        for (key, cell) in &row.cells {
            let Some((1, address)) = cell.value.as_ref().and_then(FieldValue::identity) else {
                continue;
            };
            let mut at = kernel::key::KeyBuf::new();
            at.text(&address);
            let other: Option<Row<B>> = tx.find(index, &at)?;
            if let Some(other) = other.filter(|other| other.id != row.id) {
                let whose = if other.archived_at.is_some() { ", who is archived" } else { "" };
                let told = format!("{address} is the address of {}{whose} already.", other.name());
                wrong.push(FieldError::new(key, told));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(CrmError::Invalid(wrong)) }
}
