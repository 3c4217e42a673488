//! `/api/v1/imports`: send a file, review its columns, start the import.

use axum::extract::Request;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use app::Ws;
use entity::Column;
use features::cards;
use kernel::{Can, ImportId};
use sheet::Table;
use sheet::encoding::{self, EncodingError};
use store::{Range, ReadExt as _};
use web::error::ApiError;
use web::extract::{Json, Patch, Path, Path2, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;
use web::upload;

use super::guess::is_filled;
use super::mapping::{becomes, choose, left_out, moved, target, word_of as word_of_choice};
use super::{
    MAX_BYTES, Preview, found, listing, look_at, order, read_anew, start, take_back, trial,
};
use crate::columns;
use crate::error::CrmError;
use crate::model::back::{self, Turn};
use crate::model::{Clash, DateOrder, Goes, Import, ImportState, Mapped};
use crate::pages::{home_of, word_of};
use crate::rules::{self, CellSeen, FileRead, ImportPatch, RowSeen};

/// Routes below `/api/v1`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/imports",
            list.needs(Can::Read).doc(|| Doc::new("Imports, newest first").returns::<Imports>()),
        )
        .post(
            "/imports",
            send.needs(Can::Write).doc(|| {
                Doc::new("Upload a CSV, JSON or XLSX file as the body and get a column mapping")
                    .query::<Sent>()
                    .returns::<ImportView>()
                    .status(201)
            }),
        )
        .get(
            "/imports/{id}",
            show.needs(Can::Read).doc(|| {
                Doc::new(
                    "An import with its progress and \
                problems",
                )
                .returns::<ImportView>()
            }),
        )
        .patch(
            "/imports/{id}",
            change.needs(Can::Write).doc(|| {
                Doc::new(
                    "Change the column mapping of an import that hasn't \
                    started",
                )
                .body::<ChangeBody>()
                .returns::<ImportView>()
            }),
        )
        .post(
            "/imports/{id}/{verb}",
            act.needs(Can::Write).doc(|| {
                Doc::new(
                    "`preview`, `begin`, `cancel`, `undo` or `redo` an import. A long `undo` or \
                        `redo` continues in the background, in state `undoing` or `redoing`",
                )
                .returns::<ImportView>()
            }),
        )
}

/// What a file is to become.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Sent {
    /// `contacts`, `organizations`, or the name or id of a collection.
    of: String,
    /// The name of the file.
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct Imports {
    items: Vec<ImportView>,
}

/// A column of the file.
#[derive(Serialize, JsonSchema)]
struct ColumnView {
    header: String,
    /// `field:email`, `new:number`, `key:sku` for the field by which rows find their records, `id` for the ids of these
    /// records, or empty for nowhere.
    goes: String,
    /// The order of day and month in dates such as 3/4/2026: `day_first` or `month_first`. Absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    dates: Option<&'static str>,
    /// How that order was found: `proven` by the dates, `assumed` as all of them read either way, `mixed` where most
    /// decided, `chosen` by somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    dates_basis: Option<&'static str>,
    /// What was chosen for words that are no choices of the field: `add`, `choice:` with the key of a choice, or empty to
    /// leave them out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    choices: BTreeMap<String, String>,
}

/// A record, or a field of one, that stayed when the import was taken back.
#[derive(Serialize, JsonSchema)]
struct StayedView {
    /// `contact`, `organization`, `record`, `field`.
    kind: &'static str,
    id: String,
    /// Empty when it is the record as a whole.
    field: String,
    says: String,
}

/// What is wrong with a row or a cell.
#[derive(Serialize, JsonSchema)]
struct ProblemView {
    row: u32,
    column: String,
    says: String,
}

/// An import.
#[derive(Serialize, JsonSchema)]
struct ImportView {
    id: String,
    of: String,
    name: String,
    /// `draft`, `running`, `done`, `cancelled`, `undoing`, `redoing`, `undone`, `failed`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    rows: u32,
    looked_at: u32,
    made: u32,
    changed: u32,
    skipped: u32,
    wrong: u32,
    /// Cells of rows that came in which stay empty, as they cannot be read.
    cells: u32,
    /// Steps that were taken back or restored, and how many there are; while that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<(usize, usize)>,
    /// Records that stayed when it was taken back.
    kept: u32,
    /// Single fields that stayed then.
    kept_fields: u32,
    clash: &'static str,
    decimal_comma: bool,
    /// The encoding that a text is read by, such as `windows-1251`; absent of workbooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    /// The sheet of a workbook that somebody chose, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    sheet: Option<u32>,
    /// The row with the headings that somebody chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    header_row: Option<u32>,
    columns: Vec<ColumnView>,
    problems: Vec<ProblemView>,
    stayed: Vec<StayedView>,
    /// What is not clear in the file, in sentences, and in a preview what was odd in it; not in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// What it adds to the fields, in sentences; of a preview alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    adds: Vec<String>,
    /// What becomes of the first 100 rows; of a preview alone. Its counts are those of all rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seen: Vec<SeenView>,
}

/// What becomes of a row.
#[derive(Serialize, JsonSchema)]
struct SeenView {
    row: u32,
    /// `new`, `fills`, `overwrites`, `skipped` or `wrong`.
    becomes: &'static str,
    /// Values of its record that change, by the keys of fields.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    cells: BTreeMap<String, ChangeView>,
    /// The record that the row met, if one is here already.
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<MetView>,
}

#[derive(Serialize, JsonSchema)]
struct MetView {
    id: String,
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct ChangeView {
    old: String,
    new: String,
}

/// Maximum number of rows in a preview.
const SEEN: usize = 100;

fn seen_view((number, row): (&usize, RowSeen)) -> SeenView {
    let change = |one: CellSeen| (one.key, ChangeView { old: one.old, new: one.new });
    SeenView {
        row: u32::try_from(*number).unwrap_or(u32::MAX),
        becomes: row.fate.word(),
        cells: row.cells.into_iter().map(change).collect(),
        met: row.met.map(|met| MetView { id: met.record.id.to_string(), name: met.name }),
    }
}

fn view(import: Import) -> ImportView {
    let goes = |goes: &Goes| match goes {
        Goes::Nowhere => String::new(),
        Goes::Field(key) => format!("field:{key}"),
        Goes::New(kind) => format!("new:{}", kind.word()),
        Goes::Key(key) => format!("key:{key}"),
        Goes::Id => "id".to_owned(),
    };
    ImportView {
        id: import.id.to_string(),
        of: word_of(import.home),
        name: import.name,
        state: import.state.word(&import.entries),
        failed: match import.state {
            ImportState::Failed(why) => Some(why),
            _ => None,
        },
        rows: import.rows,
        looked_at: import.next,
        made: import.counts.made,
        changed: import.counts.changed,
        skipped: import.counts.skipped,
        wrong: import.counts.wrong,
        cells: import.counts.cells,
        steps: back::turn(&import.entries).map(|_| back::done_of(&import.entries)),
        kept: import.kept,
        kept_fields: import.kept_fields,
        clash: import.clash.word(),
        decimal_comma: import.decimal_comma,
        encoding: import.encoding,
        sheet: Some(import.sheet).filter(|sheet| 0 < *sheet),
        header_row: import.header_row,
        columns: import
            .columns
            .iter()
            .map(|one| ColumnView {
                header: one.header.clone(),
                goes: goes(&one.goes),
                dates: one.dates.map(DateOrder::word),
                dates_basis: one.dates.map(|order| order.basis.word()),
                choices: one
                    .words
                    .iter()
                    .map(|(word, becomes)| (word.clone(), word_of_choice(becomes)))
                    .collect(),
            })
            .collect(),
        problems: import
            .problems
            .into_iter()
            .map(|one| ProblemView { row: one.row, column: one.column, says: one.says })
            .collect(),
        stayed: import
            .stayed
            .into_iter()
            .map(|one| StayedView {
                kind: cards::of_table(one.record.table).map_or("", |noun| noun.word),
                id: one.record.id.to_string(),
                field: one.field,
                says: one.says,
            })
            .collect(),
        notes: Vec::new(),
        adds: Vec::new(),
        seen: Vec::new(),
    }
}

async fn list(ws: Ws) -> Result<Json<Imports>, ApiError> {
    /// Maximum number of imports in a response.
    const MOST: usize = 200;
    let all: Vec<Import> =
        ws.read(|snap| snap.list(&Range::all().reverse().limit(MOST))).map_err(CrmError::from)?;
    Ok(Json(Imports { items: all.into_iter().map(view).collect() }))
}

async fn send(
    ws: Ws,
    who: Person,
    Query(sent): Query<Sent>,
    request: Request,
) -> Result<(StatusCode, Json<ImportView>), ApiError> {
    let home = ws.read(|snap| home_of(snap, &sent.of))?;
    let (parts, body) = request.into_parts();
    let file = upload::body(&ws, (&parts.headers, body), &sent.name, MAX_BYTES).await?;
    let (new, _) = ws.read_blocking(move |ws| look_at(ws, home, (file.blob, &sent.name))).await?;
    let import = ws.write(&who, move |tx| rules::make_import(tx, new)).await?;
    Ok((StatusCode::CREATED, Json(view(import))))
}

async fn show(ws: Ws, Path(id): Path<ImportId>) -> Result<Json<ImportView>, ApiError> {
    Ok(Json(describe(&ws, id)?))
}

/// An import with notes about unclear parts of its file.
fn describe(ws: &Ws, id: ImportId) -> Result<ImportView, CrmError> {
    ws.read(|snap| {
        let import = found(snap, id)?;
        let notes = listing::notes(snap, &import, None)?;
        Ok(ImportView { notes, ..view(import) })
    })
}

/// What is to change; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// Where columns go, by their headings: `field:email`, `new:number`, or empty for nowhere. In a collection a row finds
    /// its record by the one column that goes to `key:` with the key of a field; without one every row is added. A column
    /// that goes to `id` has the ids of the records, as exports of HQ do.
    columns: Option<BTreeMap<String, String>>,
    /// What becomes of words that are no choices of the field, by headings: `add`, `choice:` with the key of a choice, or
    /// empty to leave them out.
    choices: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// What becomes of a row whose record is here already: `skip`, `fill`, `overwrite`, `new`.
    clash: Option<String>,
    /// A comma stands before the fraction of a number.
    decimal_comma: Option<bool>,
    /// The order of day and month in the dates of columns, by their headings: `day_first` or `month_first`.
    dates: Option<BTreeMap<String, String>>,
    /// The month comes first in dates such as 3/4/2026, in all columns.
    month_first: Option<bool>,
    /// The encoding of a text, such as `windows-1251`; empty to have it found again. Like `sheet` and `header_row`, it
    /// makes the columns anew.
    encoding: Option<String>,
    /// The sheet of a workbook, from 1.
    sheet: Option<u32>,
    /// The row with the headings, from 1; 0 when there is none.
    header_row: Option<u32>,
    /// Choices that are not there are added to their fields. Stages are only added where `choices` says so.
    add_choices: Option<bool>,
}

async fn change(
    ws: Ws,
    who: Person,
    Path(id): Path<ImportId>,
    Patch(body): Patch<ChangeBody>,
) -> Result<Json<ImportView>, ApiError> {
    let import = ws.read(|snap| found(snap, id))?;
    let clash = match body.clash.as_deref() {
        Some(word) => Some(word.parse::<Clash>().map_err(|_| {
            CrmError::field(
                "clash",
                format!(
                    "Use skip, fill, overwrite or new instead of \
                \"{word}\"."
                ),
            )
        })?),
        None => None,
    };
    let how = how_read(&import, &body)?;
    let read = match how == import.read_as() && body.encoding.as_deref() != Some("") {
        true => ImportPatch::default(),
        false => read_anew(&ws, &import, how).await?,
    };
    let says_columns = body.columns.is_some() || body.choices.is_some() || body.dates.is_some();
    // A request without columns must not revert concurrent changes of the columns.
    let columns = match read.columns {
        None if !says_columns && body.month_first.is_none() => None,
        read => {
            let all = read.unwrap_or(import.columns);
            let all = match body.month_first {
                Some(month_first) => rules::in_order(all, month_first),
                None => all,
            };
            let fields = ws.read(|snap| columns::of(snap, import.home)).map_err(CrmError::from)?;
            Some(mapped(&all, &body, &fields)?)
        }
    };
    let patch = ImportPatch {
        columns,
        clash,
        decimal_comma: body.decimal_comma.or(read.decimal_comma),
        month_first: body.month_first,
        add_choices: body.add_choices,
        read: read.read,
    };
    let import = ws.write(&who, move |tx| rules::change_import(tx, id, patch)).await?;
    Ok(Json(view(import)))
}

/// How a request wants the file of an import to be read.
fn how_read(import: &Import, body: &ChangeBody) -> Result<FileRead, CrmError> {
    let now = import.read_as();
    let encoding = match body.encoding.as_deref() {
        None => now.encoding,
        Some("") => None,
        Some(name) => Some(encoding::known(name).map(str::to_owned).ok_or_else(|| {
            let error = EncodingError::NoSuch(name.to_owned());
            CrmError::field("encoding", web::form::sentence(&error.to_string()))
        })?),
    };
    Ok(FileRead {
        sheet: body.sheet.unwrap_or(now.sheet),
        header_row: body.header_row.or(now.header_row),
        encoding,
    })
}

/// The columns of an import as a request wants them.
fn mapped(all: &[Mapped], body: &ChangeBody, fields: &[Column]) -> Result<Vec<Mapped>, CrmError> {
    let (columns, choices) = (body.columns.as_ref(), body.choices.as_ref());
    let dates = body.dates.as_ref();
    let unknown = |field: &'static str, headers: Vec<&String>| {
        let odd = headers.into_iter().find(|key| !all.iter().any(|one| one.header == **key));
        odd.map(|odd| CrmError::field(field, format!("The file has no column \"{odd}\".")))
    };
    let odd = unknown("columns", columns.into_iter().flatten().map(|(key, _)| key).collect())
        .or_else(|| unknown("choices", choices.into_iter().flatten().map(|(key, _)| key).collect()))
        .or_else(|| unknown("dates", dates.into_iter().flatten().map(|(key, _)| key).collect()));
    if let Some(odd) = odd {
        return Err(odd);
    }
    let mut made = Vec::new();
    for old in all {
        let to = columns.and_then(|columns| columns.get(&old.header));
        let to = to.map_or_else(|| Ok(old.goes.clone()), |word| target(word, fields))?;
        let mut mapped = moved(old, to);
        if let Some(word) = dates.and_then(|dates| dates.get(&old.header)) {
            mapped = order::with(mapped, word).ok_or_else(|| {
                CrmError::field(
                    "dates",
                    format!(
                        "Use day_first or month_first instead of \
                    \"{word}\"."
                    ),
                )
            })?;
        }
        for (word, unknown) in choices.and_then(|all| all.get(&old.header)).into_iter().flatten() {
            let chosen = becomes(unknown).ok_or_else(|| {
                CrmError::field(
                    "choices",
                    format!(
                        "Use add, choice: with a key, or an empty text instead of \"{unknown}\"."
                    ),
                )
            })?;
            choose(&mut mapped, word, chosen);
        }
        made.push(mapped);
    }
    Ok(made)
}

async fn act(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(id, verb): Path2<ImportId, String>,
) -> Result<Json<ImportView>, ApiError> {
    match verb.as_str() {
        "begin" => start(&ws, &who, id, once).await?,
        "cancel" => {
            ws.write(&who, once.run(move |tx| rules::cancel_import(tx, id).map(drop))).await?;
        }
        "undo" => take_back(&ws, &who, (id, Turn::Back), once).await.map(drop)?,
        "redo" => take_back(&ws, &who, (id, Turn::Forth), once).await.map(drop)?,
        "preview" => {
            let import = ws.read(|snap| found(snap, id))?;
            let fields = ws.read(|snap| columns::of(snap, import.home)).map_err(CrmError::from)?;
            let answer = move |import: Import, table: &Table, seen: Preview| {
                let notes = table.notes.iter().cloned();
                let notes = notes.chain(order::notes(&import.columns, &fields));
                let is_told = |n: usize| is_filled(&table.rows, n);
                let notes = notes.chain(left_out(&import.columns, is_told)).collect();
                let (counts, problems) = (seen.came.counts, seen.came.problems);
                let rows = table.numbers.iter().zip(seen.came.rows).take(SEEN);
                let rows = rows.map(seen_view).collect();
                let view = view(Import { counts, problems, ..import });
                ImportView { notes, adds: seen.adds, seen: rows, ..view }
            };
            return Ok(Json(trial::whole(&ws, (&who, id), answer).await?));
        }
        _ => return Err(CrmError::no("act", &verb).into()),
    }
    Ok(Json(describe(&ws, id)?))
}
