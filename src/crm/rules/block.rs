//! Pasting a block of cells: some rows and fields, one change.

use std::sync::Arc;

use features::tasks::queries::people::People;
use kernel::text::capitalized;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::WriteTx;
use uuid::Uuid;

use super::rows::{Sent, change};
use crate::columns;
use crate::error::CrmError;
use crate::model::RowKind;

/// Maximum number of cells in a block.
const MOST: usize = 2_000;

/// A block of cells.
#[derive(Clone, Debug)]
pub struct Block {
    pub kind: &'static RowKind,
    /// The rows, from the first one.
    pub rows: Vec<Uuid>,
    /// The keys of the fields, from the first one.
    pub fields: Vec<String>,
    /// The values by row and field; null and the empty text clear a cell.
    pub cells: Vec<Vec<Value>>,
}

/// A cell that could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCell {
    /// Index of row and field in the block, from 0.
    pub at: (usize, usize),
    /// Name of the row.
    pub row: String,
    /// Label of the field.
    pub field: String,
    /// Why its new value is invalid.
    pub message: String,
}

/// The result of pasting a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pasted {
    /// Number of changed cells.
    pub cells: usize,
    /// Number of rows with changed cells.
    pub rows: usize,
    /// Number of values that became suggestions, because a person's value is there.
    pub suggested: usize,
    /// Cells whose new value is invalid.
    pub refused: Vec<RefusedCell>,
}

/// Writes a block with the validation of each field; invalid cells are reported and the others written.
///
/// # Errors
/// When it is empty, has more than 2,000 cells, or more rows or fields than are named.
pub fn paste(tx: &mut WriteTx<'_>, block: &Block) -> Result<Pasted, CrmError> {
    let count: usize = block.cells.iter().map(Vec::len).sum();
    if count == 0 {
        return Err(CrmError::field("cells", "There’s nothing to paste."));
    }
    if MOST < count {
        let message = format!("Paste at most 2,000 cells at once. These are {count}.");
        return Err(CrmError::field("cells", message));
    }
    let width = block.cells.iter().map(Vec::len).max().unwrap_or_default();
    if block.rows.len() < block.cells.len() || block.fields.len() < width {
        let message = "There are more cells than rows and fields.";
        return Err(CrmError::field("cells", message));
    }
    let people = Arc::new(People::read(tx)?);
    let mut pasted = Pasted::default();
    for (n, id) in block.rows.iter().take(block.cells.len()).enumerate() {
        paste_row(tx, (block, n, *id), &people, &mut pasted)?;
    }
    Ok(pasted)
}

/// Writes the cells of a row, leaving out invalid ones until the rest can be written.
fn paste_row(
    tx: &mut WriteTx<'_>,
    (block, n, id): (&Block, usize, Uuid),
    people: &Arc<People>,
    pasted: &mut Pasted,
) -> Result<(), CrmError> {
    let keys = block.fields.iter().cloned();
    let mut values: Map<String, Value> = keys.zip(block.cells[n].iter().cloned()).collect();
    while !values.is_empty() {
        let people = Some(Arc::clone(people));
        let sent = Sent { people, ..Sent::of(values.clone()) };
        let wrong: Vec<(String, String)> = match change(block.kind, tx, id, &sent) {
            Ok(changed) => {
                pasted.cells += changed.written.len();
                pasted.rows += usize::from(!changed.written.is_empty());
                pasted.suggested += changed.suggested.len();
                return Ok(());
            }
            Err(CrmError::Invalid(wrong)) => {
                let ours = wrong.iter().filter(|one| values.contains_key(&one.field));
                let ours: Vec<_> =
                    ours.map(|one| (one.field.clone(), one.message.clone())).collect();
                match ours.is_empty() {
                    true => all(&values, &CrmError::Invalid(wrong)),
                    false => ours,
                }
            }
            Err(error @ CrmError::Store(_)) => return Err(error),
            Err(error) => all(&values, &error),
        };
        let row = block.kind.get(tx, id)?;
        let columns =
            columns::of(tx, block.kind.home(row.as_ref().and_then(|row| row.collection)))?;
        for (key, message) in wrong {
            if values.remove(&key).is_none() {
                continue;
            }
            let column = columns.iter().find(|column| column.key == key);
            pasted.refused.push(RefusedCell {
                at: (n, block.fields.iter().position(|one| *one == key).unwrap_or_default()),
                row: row.as_ref().map_or_else(|| id.to_string(), |row| row.name().to_owned()),
                field: column.map_or_else(|| key.clone(), |column| column.label.clone()),
                message,
            });
        }
    }
    Ok(())
}

/// Reports the same error for each cell of a row.
fn all(values: &Map<String, Value>, error: &CrmError) -> Vec<(String, String)> {
    let message = format!("{}.", capitalized(error.to_string().trim_end_matches('.')));
    values.keys().map(|key| (key.clone(), message.clone())).collect()
}
