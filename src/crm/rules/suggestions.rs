//! What agents suggest where a person's value stands, and what people make of it.

use kernel::key::KeyBuf;
use kernel::{Actor, RowAct, TypedId as _};
use noun::{Cell, FieldValue, Origin, Target};
use store::{ReadExt as _, StoreError, WriteTx};

use super::rows::get;
use crate::cards::SUGGESTION;
use crate::error::CrmError;
use crate::model::{BY_ROW, Book, Row, Suggestion, SuggestionId, of_table, row_key};

fn cell_key(row: Target, field: &str) -> KeyBuf {
    let mut key = row_key(row);
    key.text(field);
    key
}

/// Keeps a value as a suggestion, in place of an earlier one for the same cell.
///
/// # Errors
/// When the row is gone or the store fails.
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

/// Drops what was suggested for a cell that changes.
pub(super) fn void(tx: &mut WriteTx<'_>, row: Target, field: &str) -> Result<(), StoreError> {
    let gone: Option<Suggestion> = tx.find(BY_ROW, &cell_key(row, field))?;
    if let Some(gone) = gone {
        tx.delete::<Suggestion>(gone.id)?;
        tx.emit(SUGGESTION.event(&gone.id, RowAct::Deleted));
    }
    Ok(())
}

/// Takes a suggestion over into its cell, or drops it. Whoever takes it over stands for the value; its sources stay.
///
/// # Errors
/// When it is gone, or belongs to a row of another kind.
pub fn decide<B: Book>(
    tx: &mut WriteTx<'_>,
    id: SuggestionId,
    take: bool,
) -> Result<Row<B>, CrmError> {
    let gone = || {
        CrmError::Refused(
            "this suggestion is gone: somebody decided, or the value changed".to_owned(),
        )
    };
    let suggestion: Suggestion = tx.get(id)?.ok_or_else(gone)?;
    if suggestion.row.table != B::TABLE.number {
        return Err(gone());
    }
    let old = get::<B>(tx, B::Id::from_uuid(suggestion.row.id))?;
    tx.delete::<Suggestion>(id)?;
    tx.emit(SUGGESTION.event(&id, RowAct::Deleted));
    if !take {
        return Ok(old);
    }
    let origin = Origin {
        by: suggestion.by,
        cause: tx.cause(),
        at: tx.now(),
        row: None,
        sources: suggestion.sources,
        right: tx.by().account(),
    };
    let mut row = old.clone();
    row.cells.insert(suggestion.field, Cell { value: suggestion.value, origin });
    row.updated_at = tx.now();
    tx.put(&row)?;
    tx.emit(B::noun().changed(&old, &row));
    Ok(row)
}

/// Decides on several suggestions. Those that are gone are passed over; returns how many were there.
///
/// # Errors
/// When a value cannot be written any more.
pub fn decide_all(
    tx: &mut WriteTx<'_>,
    ids: &[SuggestionId],
    take: bool,
) -> Result<usize, CrmError> {
    let mut count = 0;
    for id in ids {
        let Some(one) = tx.get::<Suggestion>(*id)? else { continue };
        of_table!(one.row.table, B => decide::<B>(tx, *id, take).map(drop)?);
        count += 1;
    }
    Ok(count)
}

/// Calls the value of a cell right: from now on a person stands for it.
///
/// # Errors
/// When the row is gone or the cell is empty.
pub fn call_right<B: Book>(
    tx: &mut WriteTx<'_>,
    id: B::Id,
    field: &str,
) -> Result<Row<B>, CrmError> {
    let old = get::<B>(tx, id)?;
    let Actor::Person { account, .. } = tx.by() else {
        return Err(CrmError::Refused("only a person can call a value right".to_owned()));
    };
    let mut row = old.clone();
    let cell = row.cells.get_mut(field).filter(|cell| cell.value.is_some());
    let cell = cell.ok_or_else(|| CrmError::no("value of the field", field))?;
    if !cell.origin.is_unchecked() {
        return Ok(old);
    }
    cell.origin.right = Some(account);
    row.updated_at = tx.now();
    tx.put(&row)?;
    tx.emit(B::noun().changed(&old, &row));
    Ok(row)
}
