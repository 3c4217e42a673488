//! Rows: create, change cell by cell, archive, delete.

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
use super::tags::{create_tags, new_tags};
use crate::columns::{self, ORGANIZATION, STAGE, TAGS};
use crate::error::CrmError;
use crate::model::{CollectionId, EntryId, Home, NAME, Row, RowKind, identity_key};
use crate::names::{Known, rows_named};

/// Values sent for a row by field key, with their sources.
#[derive(Clone, Default)]
pub struct Sent {
    /// Values as JSON; `null` clears a cell.
    pub values: Map<String, Value>,
    /// Sources of the values.
    pub sources: BTreeMap<String, Vec<Source>>,
    /// Number of the row in the imported file.
    pub row: Option<u32>,
    /// Members and agents, if already read: an import creates thousands of rows.
    pub people: Option<Arc<People>>,
    /// Columns of the row, if already read and no value can add to them.
    pub columns: Option<Arc<Vec<Column>>>,
}

impl Sent {
    /// Values without sources.
    #[must_use]
    pub fn of(values: Map<String, Value>) -> Self {
        Self { values, ..Self::default() }
    }

    /// The columns of a row in a home.
    fn columns(&self, read: &dyn Read, home: Home) -> Result<Arc<Vec<Column>>, StoreError> {
        match &self.columns {
            Some(columns) => Ok(Arc::clone(columns)),
            None => Ok(Arc::new(columns::of(read, home)?)),
        }
    }

    /// A single value.
    pub fn one(key: &str, value: impl Into<Value>) -> Self {
        Self::of(Map::from_iter([(key.to_owned(), value.into())]))
    }
}

/// A row after a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The row in its new state.
    pub row: Row,
    /// Keys of cells with a new value.
    pub written: Vec<String>,
    /// Keys of cells whose new value became a suggestion.
    pub suggested: Vec<String>,
    /// Those of them whose field accepts only suggestions from agents; in the others a person's value stays.
    pub closed: Vec<String>,
}

impl Changed {
    /// The note to an agent about values that became suggestions; `None` if there are none.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let stays = self.suggested.iter().filter(|key| !self.closed.contains(key));
        let stays: Vec<&str> = stays.map(String::as_str).collect();
        let mut message = Vec::new();
        if !stays.is_empty() {
            message.push(format!(
                "A person entered {}. Their value stays, and yours waits for approval.",
                stays.join(", ")
            ));
        }
        if !self.closed.is_empty() {
            message.push(format!(
                "Agents can only suggest {}. Yours waits for approval.",
                self.closed.join(", ")
            ));
        }
        (!message.is_empty()).then(|| message.join(" "))
    }
}

/// Creates a row.
pub fn create(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    collection: Option<CollectionId>,
    sent: &Sent,
) -> Result<Row, CrmError> {
    add(kind, tx, collection, sent).map(|added| added.row)
}

/// Creates a row and reports which values became suggestions. A row without a stage gets the first one.
///
/// # Errors
/// When a value is invalid, a required one is missing, or another row has an address.
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

/// Changes cells of a row. An agent's value for a cell with a person's value becomes a suggestion.
///
/// # Errors
/// When a value is invalid, the row is archived or deleted, or another row has an address.
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

/// A row before it is stored.
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

    /// Stores a value in its cell or as a suggestion.
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

/// Whether a value from `by` becomes a suggestion: a person vouches for the present value, or the field accepts only
/// suggestions from agents. A missing required value is written directly.
fn only_suggests(by: Actor, column: &Column, cells: &Cells) -> bool {
    let is_a_persons = cells.get(&column.key).is_some_and(|cell| cell.origin.is_a_persons());
    let is_missing = column.required && value_in(cells, &column.key).is_none();
    let is_closed = column.agents == AgentsMay::Suggest && !is_missing;
    by.agent().is_some() && (is_a_persons || is_closed)
}

/// Stores the suggestions for a row and returns the result.
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

/// Changes the row with the same value in a field, or creates one; returns whether it was created. The field must be
/// the name or an address of any kind (email, phone, web, relation).
///
/// # Errors
/// As [`create`] and [`change`]; when the field does not identify rows or has no value, or several rows match.
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
    let sent_value = sent.values.get(by).ok_or_else(nothing)?.clone();
    let values = read(tx, (&columns, home), &Sent::one(by, sent_value), &Cells::new())?;
    let value = values.into_iter().find_map(|(_, value)| value).ok_or_else(nothing)?;
    let fits: Vec<Row> = match value.identity() {
        Some(identity) => {
            let key = identity_key(collection, &identity);
            let mut fits: Vec<Row> = kind.scan(tx, kind.identity, &Range::prefix(key))?;
            // The address may be in another field of the other row.
            fits.retain(|row| row.value(by).and_then(FieldValue::identity) == value.identity());
            fits
        }
        None if by == NAME => rows_named(kind, tx, collection, value.text().unwrap_or_default())?,
        None => {
            let message = format!(
                "The field \"{}\" doesn't identify {}. Use the name or an address.",
                column.label,
                kind.entity().many
            );
            return Err(CrmError::field("by", message));
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

/// Checks that the row has not changed since the caller read it.
///
/// # Errors
/// `Stale`, or when the row is deleted.
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

/// Archives or restores a row.
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

/// Deletes a row with its interactions and suggestions; cells that refer to it become empty. An undo restores all of
/// it.
pub fn remove(kind: &'static RowKind, tx: &mut WriteTx<'_>, id: Uuid) -> Result<Row, CrmError> {
    let row = get(kind, tx, id)?;
    kind.delete(tx, id)?;
    tx.emit(kind.event(id, RowAct::Deleted));
    Ok(row)
}

pub(super) fn get(kind: &'static RowKind, tx: &WriteTx<'_>, id: Uuid) -> Result<Row, CrmError> {
    kind.get(tx, id)?.ok_or_else(|| CrmError::no(kind.entity().one, &id.to_string()))
}

/// The origin of a cell's value in this transaction.
fn origin(tx: &WriteTx<'_>, sent: &Sent, key: &str) -> Origin {
    let mut sources = sent.sources.get(key).cloned().unwrap_or_default();
    sources.truncate(entity::MAX_SOURCES);
    for source in &mut sources {
        source.at = kernel::text::ellipsis(&source.at, entity::MAX_SOURCE);
        source.quote = kernel::text::ellipsis(&source.quote, entity::MAX_SOURCE);
    }
    Origin { by: tx.by(), cause: tx.cause(), at: tx.now(), row: sent.row, sources, right: None }
}

/// Validates the values sent for a row with these cells; reports all errors at once. Creates missing tags and a missing
/// organization; for suggestions their names are stored instead.
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
            let sentence = format!("Agents can only read the field \"{}\".", column.label);
            wrong.push(FieldError::new(key, sentence));
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
            Some(Made::Tags(names)) => Cow::Owned(create_tags(tx, (home, column), &names)?),
            Some(Made::Organization(name)) => {
                match create(RowKind::ORGANIZATIONS, tx, None, &Sent::one(NAME, name)) {
                    Ok(_) => Cow::Borrowed(column),
                    Err(CrmError::Store(error)) => return Err(error.into()),
                    // An error about an organization must not be reported for the name of its member.
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

/// The neighbouring fields for further addresses of a value.
struct Beside<'r> {
    columns: &'r [Column],
    by: Actor,
    /// Keys of fields that have a value by now.
    taken: Vec<String>,
    cells: &'r Cells,
}

impl Beside<'_> {
    /// Reads a value for its field. Several addresses are distributed over several fields, as files have them.
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
                format!(
                    "{} holds one value, and no other field is free for \
                    \"{text}\".",
                    column.label
                )
            })?;
            self.taken.push(key.clone());
            all.push((key, value));
        }
        Ok(all)
    }

    /// The key of a free field for a surplus address of another field.
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

/// What a value creates by naming it.
enum Made<'v> {
    /// Names of tags that these records do not have yet.
    Tags(Vec<String>),
    /// Name of an organization.
    Organization(&'v str),
}

/// The name of an organization if none has that name.
fn new_organization<'v>(tx: &WriteTx<'_>, value: &'v Value) -> Result<Option<&'v str>, StoreError> {
    let name = value.as_str().map(str::trim).unwrap_or_default();
    if name.is_empty() || name.eq_ignore_ascii_case("none") || Uuid::try_parse(name).is_ok() {
        return Ok(None);
    }
    let there = rows_named(RowKind::ORGANIZATIONS, tx, None, name)?;
    Ok(there.is_empty().then_some(name))
}

/// Checks the constraints on a row as a whole.
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
                let message = format!("{address} already belongs to {}{whose}.", other.name());
                wrong.push(FieldError::new(key, message));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(CrmError::Invalid(wrong)) }
}
