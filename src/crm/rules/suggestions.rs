//! Suggestions by agents for cells with a person's value, and decisions about them.

use entity::{Cell, Column, FieldValue, Origin, Target};
use features::tasks::queries::people::assignee_of;
use kernel::key::KeyBuf;
use kernel::text::capitalized;
use kernel::{Actor, RowAct};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Range, ReadExt as _, StoreError, WriteTx};
use uuid::Uuid;

use super::rows::{Sent, checked, get, read};
use crate::cards::SUGGESTION;
use crate::columns;
use crate::error::CrmError;
use crate::model::{BY_ROW, Home, Row, RowKind, Suggestion, SuggestionId, row_key};
use crate::names::{Known, title_of};

fn cell_key(row: Target, field: &str) -> KeyBuf {
    let mut key = row_key(row);
    key.text(field);
    key
}

/// Stores a value as a suggestion, replacing an earlier one for the same cell.
///
/// # Errors
/// When the row is deleted.
pub fn suggest(
    tx: &mut WriteTx<'_>,
    row: Target,
    (field, value): (&str, Option<FieldValue>),
    origin: Origin,
) -> Result<(), StoreError> {
    let before: Option<Suggestion> = tx.find(BY_ROW, &cell_key(row, field))?;
    let suggestion = Suggestion {
        id: before.map_or_else(|| tx.new_id(), |before| before.id),
        row,
        field: field.to_owned(),
        value,
        sources: origin.sources,
        by: origin.by,
        created_at: origin.at,
    };
    tx.put(&suggestion)?;
    tx.emit(SUGGESTION.event(&suggestion.id, RowAct::Created));
    Ok(())
}

/// Drops the suggestion for a cell that changes.
pub(super) fn void(tx: &mut WriteTx<'_>, row: Target, field: &str) -> Result<(), StoreError> {
    let gone: Option<Suggestion> = tx.find(BY_ROW, &cell_key(row, field))?;
    gone.map_or(Ok(()), |gone| forget(tx, gone.id))
}

/// Drops the suggestions for a removed field.
pub(super) fn void_field(tx: &mut WriteTx<'_>, home: Home, field: &str) -> Result<(), StoreError> {
    let all: Vec<Suggestion> = tx.list(&Range::all())?;
    for one in all.into_iter().filter(|one| one.field == field) {
        let row = RowKind::of_table(one.row.table).get(tx, one.row.id)?;
        if row.is_some_and(|row| row.home() == home) {
            forget(tx, one.id)?;
        }
    }
    Ok(())
}

fn forget(tx: &mut WriteTx<'_>, id: SuggestionId) -> Result<(), StoreError> {
    tx.delete::<Suggestion>(id)?;
    tx.emit(SUGGESTION.event(&id, RowAct::Deleted));
    Ok(())
}

/// Accepts a suggestion into its cell, or drops it. The person who accepts it vouches for the value; its sources stay.
///
/// # Errors
/// When it is gone, belongs to a row of another kind, or its value is no longer valid: then it stays.
pub fn decide(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    id: SuggestionId,
    take: bool,
) -> Result<Row, CrmError> {
    let gone = || {
        CrmError::Refused(
            "someone has already decided on this suggestion, or the value changed".to_owned(),
        )
    };
    let suggestion: Suggestion = tx.get(id)?.ok_or_else(gone)?;
    if suggestion.row.table != kind.table.number {
        return Err(gone());
    }
    let old = get(kind, tx, suggestion.row.id)?;
    if !take {
        forget(tx, id)?;
        return Ok(old);
    }
    if old.archived_at.is_some() {
        return Err(CrmError::Archived(old.name().to_owned()));
    }
    let home = old.home();
    let columns = columns::of(tx, home)?;
    let column = columns.iter().find(|column| column.key == suggestion.field);
    let column = column.ok_or_else(|| CrmError::no("field", &suggestion.field))?;
    let sent = as_sent(tx, column, suggestion.value.as_ref())?;
    let values = read(tx, (&columns, home), &Sent::one(&column.key, sent), &old.cells)?;
    let value = values.into_iter().find_map(|(_, value)| value);
    let origin = Origin {
        by: suggestion.by,
        cause: tx.cause(),
        at: tx.now(),
        row: None,
        sources: suggestion.sources,
        right: tx.by().account(),
    };
    let mut row = old.clone();
    row.cells.insert(suggestion.field, Cell { value, origin });
    checked(tx, &columns, &row)?;
    forget(tx, id)?;
    row.updated_at = tx.now();
    row.put(tx)?;
    tx.emit(row.changed_from(&old));
    Ok(row)
}

/// A suggested value in the form of a request, so that it is validated by the current rules.
fn as_sent(
    tx: &WriteTx<'_>,
    column: &Column,
    value: Option<&FieldValue>,
) -> Result<Value, CrmError> {
    Ok(match value {
        None => Value::Null,
        Some(FieldValue::Choice(key)) => json!(key),
        Some(FieldValue::Choices(keys)) if columns::are_labels(column) => {
            json!(columns::labels_of(column, keys))
        }
        Some(FieldValue::Choices(keys)) => json!(keys),
        Some(FieldValue::Refers(to)) if title_of(tx, *to).is_empty() => {
            return Err(CrmError::Refused("the linked record no longer exists".to_owned()));
        }
        Some(FieldValue::Refers(to)) => json!(to.id),
        Some(value) => json!(column.written(value, &Known::new(tx, assignee_of(tx.by()))?)),
    })
}

/// The result of a decision about several suggestions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Number of decided suggestions.
    pub count: usize,
    /// Suggestions that still wait.
    pub stayed: Vec<Undecided>,
}

/// A suggestion that cannot be accepted at present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecided {
    pub id: SuggestionId,
    /// Why, as a sentence.
    pub why: String,
}

/// Decides on several suggestions. Missing ones are skipped; those that cannot be accepted stay.
pub fn decide_all(
    tx: &mut WriteTx<'_>,
    ids: &[SuggestionId],
    take: bool,
) -> Result<Decided, CrmError> {
    let mut decided = Decided::default();
    for id in ids {
        let Some(one) = tx.get::<Suggestion>(*id)? else { continue };
        let done = tx.attempt(|tx| {
            let kind = RowKind::of_table(one.row.table);
            decide(kind, tx, *id, take).map(drop)
        });
        match done {
            Ok(()) => decided.count += 1,
            Err(CrmError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let why = format!("{}.", capitalized(error.to_string().trim_end_matches('.')));
                decided.stayed.push(Undecided { id: *id, why });
            }
        }
    }
    Ok(decided)
}

/// Confirms the value of a cell: from now on a person vouches for it.
///
/// # Errors
/// When the row is deleted or the cell is empty.
pub fn call_right(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    id: Uuid,
    field: &str,
) -> Result<Row, CrmError> {
    let old = get(kind, tx, id)?;
    let Actor::Person { account, .. } = tx.by() else {
        return Err(CrmError::Refused("only a person can confirm a value".to_owned()));
    };
    let mut row = old.clone();
    let cell = row.cells.get_mut(field).filter(|cell| cell.value.is_some());
    let cell = cell.ok_or_else(|| CrmError::no("value of the field", field))?;
    if !cell.origin.is_unchecked() {
        return Ok(old);
    }
    cell.origin.right = Some(account);
    row.updated_at = tx.now();
    row.put(tx)?;
    tx.emit(row.changed_from(&old));
    Ok(row)
}

/// Restores the previous value of a cell with its origin.
///
/// # Errors
/// When the row is archived or deleted, the cell has changed meanwhile, or the previous value is no longer valid.
pub fn put_back(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    (id, field): (Uuid, &str),
    (now, before): (Option<&Cell>, Option<Cell>),
) -> Result<Row, CrmError> {
    let old = get(kind, tx, id)?;
    if old.archived_at.is_some() {
        return Err(CrmError::Archived(old.name().to_owned()));
    }
    if old.cells.get(field) != now {
        return Err(CrmError::Refused("the value has changed; check it again".to_owned()));
    }
    let mut row = old.clone();
    match before {
        Some(cell) => row.cells.insert(field.to_owned(), cell),
        None => row.cells.remove(field),
    };
    checked(tx, &columns::of(tx, old.home())?, &row)?;
    void(tx, kind.target(id), field)?;
    row.updated_at = tx.now();
    row.put(tx)?;
    tx.emit(row.changed_from(&old));
    Ok(row)
}
