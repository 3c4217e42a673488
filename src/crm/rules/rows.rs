//! Rows: made, changed cell by cell, put out of the way, removed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use entity::{AgentsMay, Cell, Cells, Column, FieldValue, Kind, Origin, Source, value_in};
use features::tasks::queries::people::{People, assignee_of};
use kernel::{Actor, FieldError, RowAct, TypedId as _};
use serde_json::{Map, Value};
use store::{Range, Read, StoreError, WriteTx};
use uuid::Uuid;

use super::several;
use super::suggestions::{suggest, void};
use super::tags::{new_tags, tagged};
use crate::columns::{self, ORGANIZATION, STAGE, TAGS};
use crate::error::CrmError;
use crate::model::{CollectionId, EntryId, Home, NAME, Row, RowKind, identity_key};
use crate::names::{Known, rows_named};

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
    /// The columns of the row, when they were read before and no value can add to them.
    pub columns: Option<Arc<Vec<Column>>>,
}

impl Sent {
    /// Values without sources.
    #[must_use]
    pub fn of(values: Map<String, Value>) -> Self {
        Self { values, ..Self::default() }
    }

    /// The columns of a row of a home.
    fn columns(&self, read: &dyn Read, home: Home) -> Result<Arc<Vec<Column>>, StoreError> {
        match &self.columns {
            Some(columns) => Ok(Arc::clone(columns)),
            None => Ok(Arc::new(columns::of(read, home)?)),
        }
    }

    /// One value.
    pub fn one(key: &str, value: impl Into<Value>) -> Self {
        Self::of(Map::from_iter([(key.to_owned(), value.into())]))
    }
}

/// A row after a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The row as it is now.
    pub row: Row,
    /// The keys of cells that took a new value.
    pub written: Vec<String>,
    /// The keys of cells where the new value is a suggestion.
    pub suggested: Vec<String>,
    /// Those of them whose field agents only suggest values for; in the others a person's value stays.
    pub closed: Vec<String>,
}

impl Changed {
    /// What to tell an agent of its values that became suggestions; nothing when none did.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let stays = self.suggested.iter().filter(|key| !self.closed.contains(key));
        let stays: Vec<&str> = stays.map(String::as_str).collect();
        let mut told = Vec::new();
        if !stays.is_empty() {
            told.push(format!(
                "A person stands for {}: what is there stays, and yours waits for a person.",
                stays.join(", ")
            ));
        }
        if !self.closed.is_empty() {
            told.push(format!(
                "Agents only suggest {}: yours waits for a person.",
                self.closed.join(", ")
            ));
        }
        (!told.is_empty()).then(|| told.join(" "))
    }
}

/// Makes a row.
pub fn create(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    collection: Option<CollectionId>,
    sent: &Sent,
) -> Result<Row, CrmError> {
    add(kind, tx, collection, sent).map(|added| added.row)
}

/// Makes a row, and tells what of it is only suggested. A row without a stage begins in the first one.
///
/// # Errors
/// When a value is wrong, a required one is missing, or an address is another row's already.
pub fn add(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    collection: Option<CollectionId>,
    sent: &Sent,
) -> Result<Changed, CrmError> {
    let now = tx.now();
    let row = Row {
        kind,
        id: tx.new_id::<EntryId>().uuid(),
        collection,
        created_at: now,
        updated_at: now,
        archived_at: None,
        cells: Cells::new(),
    };
    let columns = sent.columns(tx, kind.home(collection))?;
    let values = read(tx, (&columns, kind.home(collection)), sent, &row.cells)?;
    let mut draft = Draft::of(tx, &columns, row);
    for (key, value) in values {
        if value.is_some() {
            let origin = origin(tx, sent, &key);
            draft.take(key, value, origin);
        }
    }
    let first = columns.iter().find(|column| column.key == STAGE);
    if let Some(first) = first.and_then(|stage| stage.choices.first())
        && !draft.row.cells.contains_key(STAGE)
    {
        let value = Some(FieldValue::Choice(first.key.clone()));
        draft.row.cells.insert(STAGE.to_owned(), Cell { value, origin: origin(tx, sent, STAGE) });
    }
    let Draft { row, written, suggested, .. } = draft;
    checked(tx, &columns, &row)?;
    row.put(tx)?;
    tx.emit(kind.event(row.id, RowAct::Created));
    kept(tx, &columns, row, (written, suggested))
}

/// Changes cells of a row. Where a person's value stands, an agent's becomes a suggestion.
///
/// # Errors
/// When a value is wrong, the row is archived or gone, or an address is another row's already.
pub fn change(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    id: Uuid,
    sent: &Sent,
) -> Result<Changed, CrmError> {
    let old = get(kind, tx, id)?;
    if old.archived_at.is_some() {
        return Err(CrmError::Archived(old.name().to_owned()));
    }
    let columns = sent.columns(tx, old.home())?;
    let values = read(tx, (&columns, old.home()), sent, &old.cells)?;
    let mut draft = Draft::of(tx, &columns, old.clone());
    for (key, value) in values {
        if value_in(&old.cells, &key) != value.as_ref() {
            let origin = origin(tx, sent, &key);
            draft.take(key, value, origin);
        }
    }
    let Draft { mut row, written, suggested, .. } = draft;
    for key in &written {
        void(tx, row.target(), key)?;
    }
    if !written.is_empty() {
        checked(tx, &columns, &row)?;
        row.updated_at = tx.now();
        row.put(tx)?;
        tx.emit(row.changed_from(&old));
    }
    kept(tx, &columns, row, (written, suggested))
}

/// A row on its way into the store.
struct Draft<'c> {
    by: Actor,
    columns: &'c [Column],
    row: Row,
    written: Vec<String>,
    suggested: Vec<(String, Cell)>,
}

impl<'c> Draft<'c> {
    fn of(tx: &WriteTx<'_>, columns: &'c [Column], row: Row) -> Self {
        Self { by: tx.by(), columns, row, written: Vec::new(), suggested: Vec::new() }
    }

    /// Puts a value into its cell, or among the suggestions.
    fn take(&mut self, key: String, value: Option<FieldValue>, origin: Origin) {
        let column = self.columns.iter().find(|column| column.key == key);
        let cell = Cell { value, origin };
        if column.is_some_and(|column| only_suggests(self.by, column, &self.row.cells)) {
            self.suggested.push((key, cell));
        } else {
            self.row.cells.insert(key.clone(), cell);
            self.written.push(key);
        }
    }
}

/// Whether a value from there only becomes a suggestion: a person stands for what is in the cell, or agents only suggest
/// what stands in the field. One that a row cannot be without is written where there is none.
fn only_suggests(by: Actor, column: &Column, cells: &Cells) -> bool {
    let is_a_persons = cells.get(&column.key).is_some_and(|cell| cell.origin.is_a_persons());
    let is_missing = column.required && value_in(cells, &column.key).is_none();
    let is_closed = column.agents == AgentsMay::Suggest && !is_missing;
    by.agent().is_some() && (is_a_persons || is_closed)
}

/// Keeps what is only suggested for a row, and tells what became of it.
fn kept(
    tx: &mut WriteTx<'_>,
    columns: &[Column],
    row: Row,
    (written, suggested): (Vec<String>, Vec<(String, Cell)>),
) -> Result<Changed, CrmError> {
    let closed = |key: &str| {
        let column = columns.iter().find(|column| column.key == key);
        column.is_some_and(|column| column.agents == AgentsMay::Suggest)
    };
    let keys: Vec<String> = suggested.iter().map(|(key, _)| key.clone()).collect();
    for (key, Cell { value, origin }) in suggested {
        suggest(tx, row.target(), (&key, value), origin)?;
    }
    let closed = keys.iter().filter(|key| closed(key)).cloned().collect();
    Ok(Changed { row, written, suggested: keys, closed })
}

/// Changes the row that has the same value in a field, or makes one; says whether it was made. The name and addresses of every kind (mail,
/// telephone, web, another record) tell rows apart.
///
/// # Errors
/// As [`create`] and [`change`]; when the field tells no rows apart, has no value, or several rows have it.
pub fn upsert(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    (collection, by): (Option<CollectionId>, &str),
    sent: &Sent,
) -> Result<(Row, bool), CrmError> {
    let home = kind.home(collection);
    let columns = columns::of(tx, home)?;
    let column = columns.iter().find(|column| column.key == by);
    let column = column.ok_or_else(|| CrmError::field("by", columns::unknown(by, &columns)))?;
    let nothing = || CrmError::field(by, format!("{} is missing.", column.label));
    let said = sent.values.get(by).ok_or_else(nothing)?.clone();
    let values = read(tx, (&columns, home), &Sent::one(by, said), &Cells::new())?;
    let value = values.into_iter().find_map(|(_, value)| value).ok_or_else(nothing)?;
    let fits: Vec<Row> = match value.identity() {
        Some(identity) => {
            let key = identity_key(collection, &identity);
            let mut fits: Vec<Row> = kind.scan(tx, kind.identity, &Range::prefix(key))?;
            // An address may stand in another field of another row.
            fits.retain(|row| row.value(by).and_then(FieldValue::identity) == value.identity());
            fits
        }
        None if by == NAME => rows_named(kind, tx, collection, value.text().unwrap_or_default())?,
        None => {
            let told = format!(
                "The field \"{}\" does not tell {} apart; take the name or an address.",
                column.label,
                kind.entity().many
            );
            return Err(CrmError::field("by", told));
        }
    };
    match fits.as_slice() {
        [] => create(kind, tx, collection, sent).map(|row| (row, true)),
        [row] => change(kind, tx, row.id, sent).map(|changed| (changed.row, false)),
        more => Err(CrmError::field(
            by,
            format!("{} {} have this value.", more.len(), kind.entity().many),
        )),
    }
}

/// Refuses when the row has changed since the caller read it.
///
/// # Errors
/// `Stale`, or when it is gone.
pub fn check_rev(
    kind: &'static RowKind,
    tx: &WriteTx<'_>,
    id: Uuid,
    rev: Option<u64>,
) -> Result<(), CrmError> {
    let Some(expected) = rev else { return Ok(()) };
    match kind.get_rev(tx, id)? {
        Some((_, now)) if now == expected => Ok(()),
        Some(_) => Err(StoreError::Stale.into()),
        None => Err(CrmError::no(kind.entity().one, &id.to_string())),
    }
}

/// Puts a row out of the way, or brings it back.
pub fn set_archived(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    id: Uuid,
    archived: bool,
) -> Result<Row, CrmError> {
    let old = get(kind, tx, id)?;
    if old.archived_at.is_some() == archived {
        return Ok(old);
    }
    let now = tx.now();
    let row = Row { archived_at: archived.then_some(now), updated_at: now, ..old.clone() };
    row.put(tx)?;
    tx.emit(row.changed_from(&old));
    Ok(row)
}

/// Removes a row with its talks and suggestions; cells that lead to it become empty. An undo brings all of it back.
pub fn remove(kind: &'static RowKind, tx: &mut WriteTx<'_>, id: Uuid) -> Result<Row, CrmError> {
    let row = get(kind, tx, id)?;
    kind.delete(tx, id)?;
    tx.emit(kind.event(id, RowAct::Deleted));
    Ok(row)
}

pub(super) fn get(kind: &'static RowKind, tx: &WriteTx<'_>, id: Uuid) -> Result<Row, CrmError> {
    kind.get(tx, id)?.ok_or_else(|| CrmError::no(kind.entity().one, &id.to_string()))
}

/// Where the value of a cell comes from in this transaction.
fn origin(tx: &WriteTx<'_>, sent: &Sent, key: &str) -> Origin {
    let mut sources = sent.sources.get(key).cloned().unwrap_or_default();
    sources.truncate(entity::MAX_SOURCES);
    for source in &mut sources {
        source.at = kernel::text::ellipsis(&source.at, entity::MAX_SOURCE);
        source.quote = kernel::text::ellipsis(&source.quote, entity::MAX_SOURCE);
    }
    Origin { by: tx.by(), cause: tx.cause(), at: tx.now(), row: sent.row, sources, right: None }
}

/// The values that were sent for a row with these cells, checked; all that is wrong at once. Tags and an organization
/// that are not there yet are made; where they are only suggested their names are kept.
pub(super) fn read(
    tx: &mut WriteTx<'_>,
    (columns, home): (&[Column], Home),
    sent: &Sent,
    cells: &Cells,
) -> Result<Vec<(String, Option<FieldValue>)>, CrmError> {
    let by = tx.by();
    let (mut values, mut wrong) = (Vec::new(), Vec::new());
    let mut open: Vec<(Cow<'_, Column>, &Value)> = Vec::new();
    for (key, value) in &sent.values {
        let Some(column) = columns.iter().find(|column| column.key == *key) else {
            wrong.push(FieldError::new(key, columns::unknown(key, columns)));
            continue;
        };
        if by.agent().is_some() && column.agents == AgentsMay::Read {
            let told = format!("Agents only read the field \"{}\".", column.label);
            wrong.push(FieldError::new(key, told));
            continue;
        }
        let makes = match (key.as_str(), column.kind) {
            (TAGS, Kind::MultiSelect) => new_tags(column, value)?.map(Made::Tags),
            (ORGANIZATION, Kind::Relation) => new_organization(tx, value)?.map(Made::Organization),
            _ => None,
        };
        let column = match makes {
            None => Cow::Borrowed(column),
            Some(_) if only_suggests(by, column, cells) => {
                Cow::Owned(Column { kind: Kind::Text, ..column.clone() })
            }
            Some(Made::Tags(names)) => Cow::Owned(tagged(tx, (home, column), &names)?),
            Some(Made::Organization(name)) => {
                match create(RowKind::ORGANIZATIONS, tx, None, &Sent::one(NAME, name)) {
                    Ok(_) => Cow::Borrowed(column),
                    Err(CrmError::Store(error)) => return Err(error.into()),
                    // What is wrong with an organization is not wrong with the name of who belongs to it.
                    Err(error) => {
                        wrong.push(FieldError::new(key, error.to_string()));
                        continue;
                    }
                }
            }
        };
        open.push((column, value));
    }
    let me = assignee_of(by);
    let known = match &sent.people {
        Some(people) => Known::with(Arc::clone(people), tx, me),
        None => Known::new(tx, me)?,
    };
    let is_filled = |value: &Value| !value.is_null() && value.as_str() != Some("");
    let taken =
        sent.values.iter().filter(|(_, value)| is_filled(value)).map(|(key, _)| key.clone());
    let mut beside = Beside { columns, by, taken: taken.collect(), cells };
    for (column, value) in open {
        match beside.read((&column, value), &known) {
            Ok(all) => values.extend(all),
            Err(message) => wrong.push(FieldError::new(&column.key, message)),
        }
    }
    if wrong.is_empty() { Ok(values) } else { Err(CrmError::Invalid(wrong)) }
}

/// The fields beside those that are sent: what a value holds besides its first address goes there.
struct Beside<'r> {
    columns: &'r [Column],
    by: Actor,
    /// The keys of fields that have values by now.
    taken: Vec<String>,
    cells: &'r Cells,
}

impl Beside<'_> {
    /// A value for its field; of several addresses each for a field of its own, as files have them.
    fn read(
        &mut self,
        (column, value): (&Column, &Value),
        known: &Known<'_>,
    ) -> Result<Vec<(String, Option<FieldValue>)>, String> {
        let pieces = match (column.kind, value) {
            (Kind::Email | Kind::Phone, Value::String(text)) => several::pieces(column.kind, text),
            _ => None,
        };
        let Some(pieces) = pieces.filter(|all| 1 < all.len()) else {
            return Ok(vec![(column.key.clone(), column.read_json(value, known)?)]);
        };
        let mut all: Vec<(String, Option<FieldValue>)> = Vec::new();
        for text in &pieces {
            let value = column.read(text, known)?;
            let identity = value.as_ref().and_then(FieldValue::identity);
            let is_same = |one: &FieldValue| one.identity() == identity;
            if all.iter().any(|(_, other)| other.as_ref().is_some_and(is_same)) {
                continue;
            }
            let key = if all.is_empty() { Some(column.key.clone()) } else { self.free(column) };
            let key = key.ok_or_else(|| {
                format!("{} takes one, and no other field is free for \"{text}\".", column.label)
            })?;
            self.taken.push(key.clone());
            all.push((key, value));
        }
        Ok(all)
    }

    /// The key of a field for what another one holds too much.
    fn free(&self, column: &Column) -> Option<String> {
        let is_free = |other: &&Column| {
            other.kind == column.kind
                && several::stem(&other.key) == several::stem(&column.key)
                && !self.taken.contains(&other.key)
                && value_in(self.cells, &other.key).is_none()
                && !(self.by.agent().is_some() && other.agents == AgentsMay::Read)
        };
        self.columns.iter().find(is_free).map(|other| other.key.clone())
    }
}

/// What comes into being when somebody names it.
enum Made<'v> {
    /// The names of tags that these records have not had yet.
    Tags(Vec<String>),
    /// The name of an organization.
    Organization(&'v str),
}

/// The name of an organization when there is none of that name.
fn new_organization<'v>(tx: &WriteTx<'_>, value: &'v Value) -> Result<Option<&'v str>, StoreError> {
    let name = value.as_str().map(str::trim).unwrap_or_default();
    if name.is_empty() || name.eq_ignore_ascii_case("none") || Uuid::try_parse(name).is_ok() {
        return Ok(None);
    }
    let there = rows_named(RowKind::ORGANIZATIONS, tx, None, name)?;
    Ok(there.is_empty().then_some(name))
}

/// What must be so of a row as a whole.
pub(super) fn checked(tx: &WriteTx<'_>, columns: &[Column], row: &Row) -> Result<(), CrmError> {
    let mut wrong = Vec::new();
    for column in columns.iter().filter(|column| column.required) {
        if row.value(&column.key).is_none() {
            wrong.push(FieldError::new(&column.key, format!("{} is missing.", column.label)));
        }
    }
    if let Some(index) = row.kind.email {
        for (key, cell) in &row.cells {
            let Some((1, address)) = cell.value.as_ref().and_then(FieldValue::identity) else {
                continue;
            };
            let mut at = kernel::key::KeyBuf::new();
            at.text(&address);
            let other: Option<Row> = row.kind.find(tx, index, &at)?;
            if let Some(other) = other.filter(|other| other.id != row.id) {
                let whose = if other.archived_at.is_some() { ", who is archived" } else { "" };
                let told = format!("{address} is the address of {}{whose} already.", other.name());
                wrong.push(FieldError::new(key, told));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(CrmError::Invalid(wrong)) }
}
