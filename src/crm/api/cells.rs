//! `PATCH …/cells`: a block of cells at once.

use app::Ws;
use kernel::FieldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::WriteTx;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::Doc;
use web::session::Person;

use crate::error::CrmError;
use crate::model::{CollectionId, RowKind};
use crate::pages::rehearsed;
use crate::path_kind::PathKind;
use crate::queries;
use crate::rules::{self, Block, Pasted, RefusedCell};

/// A block of cells.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CellsBody {
    /// The rows: ids, names or addresses of mail.
    rows: Vec<String>,
    /// The keys of the fields.
    fields: Vec<String>,
    /// A list for each row with a value for each field, 2,000 cells at most; `null` takes a value away.
    cells: Vec<Vec<Value>>,
    /// Whether the other cells are written where some are refused; without it nothing is.
    #[serde(default)]
    partly: bool,
    /// Whether it is only told what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// What became of a block.
#[derive(Serialize, JsonSchema)]
pub(super) struct CellsView {
    /// How many cells took a new value.
    cells: usize,
    /// How many rows these stand in.
    rows: usize,
    /// How many values were suggested.
    suggested: usize,
    refused: Vec<RefusedView>,
    dry_run: bool,
}

/// A cell that keeps what it had.
#[derive(Serialize, JsonSchema)]
struct RefusedView {
    /// What its row is called.
    row: String,
    /// What its field is called.
    field: String,
    message: String,
}

pub(super) fn doc() -> Doc {
    Doc::new("Change a block of cells with one undo").body::<CellsBody>().returns::<CellsView>()
}

/// Changes a block of cells of a kind.
pub(super) async fn cells(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<CellsBody>,
) -> Result<Json<CellsView>, ApiError> {
    paste(kind, (ws, who, once), None, body).await
}

/// Changes a block of cells of a collection.
pub(super) async fn record_cells(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<CellsBody>,
) -> Result<Json<CellsView>, ApiError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    paste(RowKind::RECORDS, (ws, who, once), Some(id), body).await
}

async fn paste(
    kind: &'static RowKind,
    (ws, who, once): (Ws, Person, Once),
    collection: Option<CollectionId>,
    body: CellsBody,
) -> Result<Json<CellsView>, ApiError> {
    let CellsBody { rows, fields, cells, partly, dry_run } = body;
    let rows = ws.read(|snap| {
        let here = |name: &String| {
            let row = queries::resolve(kind, snap, name)?;
            match row.collection == collection {
                true => Ok(row.id),
                false => Err(CrmError::no(kind.entity().one, name)),
            }
        };
        rows.iter().map(here).collect::<Result<Vec<_>, CrmError>>()
    })?;
    let block = Block { kind, rows, fields, cells };
    let pasted = match dry_run {
        true => ws.read(|snap| rehearsed((&ws, &who), snap, &block))?,
        false => {
            let done = once.run(move |tx: &mut WriteTx<'_>| {
                let pasted = rules::paste(tx, &block)?;
                match partly || pasted.refused.is_empty() {
                    true => Ok(pasted),
                    false => Err(refused(pasted)),
                }
            });
            ws.write(&who, done).await?
        }
    };
    let refused = pasted.refused.into_iter();
    Ok(Json(CellsView {
        cells: pasted.cells,
        rows: pasted.rows,
        suggested: pasted.suggested,
        refused: refused
            .map(|one| RefusedView { row: one.row, field: one.field, message: one.message })
            .collect(),
        dry_run,
    }))
}

/// Errors of cells by their position in the request.
fn refused(pasted: Pasted) -> CrmError {
    let wrong = |one: RefusedCell| {
        let (row, field) = one.at;
        let message = format!("{}, {}: {}", one.row, one.field, one.message);
        FieldError::new(format!("cells[{row}][{field}]"), message)
    };
    CrmError::Invalid(pasted.refused.into_iter().map(wrong).collect())
}
