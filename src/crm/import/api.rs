//! `/api/v1/imports`: a file is sent, its columns are looked at, then its rows come in.

use axum::extract::Request;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use app::Ws;
use kernel::{Can, ImportId};
use store::{Range, ReadExt as _};
use web::error::ApiError;
use web::extract::{Json, Patch, Path, Path2, Query};
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;
use web::upload;

use super::pages::goes;
use super::{MAX_BYTES, found, look_at, preview, start, table, take_back};
use crate::error::CrmError;
use crate::model::{Clash, Goes, Import, ImportState, Mapped};
use crate::pages::{home_of, word_of};
use crate::rules::{self, ImportPatch};

/// Routes below `/api/v1`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/imports", list.needs(Can::Read).doc(|| Doc::new("Imports, newest first").returns::<Imports>()))
        .post(
            "/imports",
            send.needs(Can::Write).doc(|| {
                Doc::new("Send a file (CSV, JSON or XLSX as the body) and see where its columns would go")
                    .query::<Sent>()
                    .returns::<ImportView>()
                    .status(201)
            }),
        )
        .get(
            "/imports/{id}",
            show.needs(Can::Read).doc(|| Doc::new("An import: how far it is, what was wrong").returns::<ImportView>()),
        )
        .patch(
            "/imports/{id}",
            change.needs(Can::Write).doc(|| {
                Doc::new("Say where columns go, before it begins").body::<ChangeBody>().returns::<ImportView>()
            }),
        )
        .post(
            "/imports/{id}/{verb}",
            act.needs(Can::Write).doc(|| {
                Doc::new("`preview` what it would do, `begin`, `cancel` or `undo` it").returns::<ImportView>()
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
    /// `field:email`, `new:number`, or empty for nowhere.
    goes: String,
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
    /// `draft`, `running`, `done`, `cancelled`, `undoing`, `undone`, `failed`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    rows: u32,
    looked_at: u32,
    made: u32,
    changed: u32,
    skipped: u32,
    wrong: u32,
    kept: u32,
    clash: &'static str,
    columns: Vec<ColumnView>,
    problems: Vec<ProblemView>,
}

fn view(import: Import) -> ImportView {
    let goes = |goes: &Goes| match goes {
        Goes::Nowhere => String::new(),
        Goes::Field(key) => format!("field:{key}"),
        Goes::New(kind) => format!("new:{}", kind.word()),
    };
    ImportView {
        id: import.id.to_string(),
        of: word_of(import.home),
        name: import.name,
        state: import.state.word(),
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
        kept: import.kept,
        clash: import.clash.word(),
        columns: import
            .columns
            .iter()
            .map(|one| ColumnView { header: one.header.clone(), goes: goes(&one.goes) })
            .collect(),
        problems: import
            .problems
            .into_iter()
            .map(|one| ProblemView { row: one.row, column: one.column, says: one.says })
            .collect(),
    }
}

async fn list(ws: Ws) -> Result<Json<Imports>, ApiError> {
    /// Imports of an answer.
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
    let (new, _) = ws.look(move |ws| look_at(ws, home, (file.blob, &sent.name))).await?;
    let import = ws.write(&who, move |tx| rules::make_import(tx, new)).await?;
    Ok((StatusCode::CREATED, Json(view(import))))
}

async fn show(ws: Ws, Path(id): Path<ImportId>) -> Result<Json<ImportView>, ApiError> {
    Ok(Json(view(ws.read(|snap| found(snap, id))?)))
}

/// What is to change; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// Where columns go, by their headings: `field:email`, `new:number`, or empty for nowhere.
    columns: Option<BTreeMap<String, String>>,
    /// What becomes of a row whose record is here already: `skip`, `fill`, `overwrite`, `new`.
    clash: Option<String>,
    /// A comma stands before the fraction of a number.
    decimal_comma: Option<bool>,
    /// The month comes first in dates such as 3/4/2026.
    month_first: Option<bool>,
    /// Choices that are not there are added to their fields.
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
            CrmError::field("clash", format!("\"{word}\" is not skip, fill, overwrite or new."))
        })?),
        None => None,
    };
    let columns = match body.columns {
        Some(wanted) => {
            if let Some(odd) =
                wanted.keys().find(|key| !import.columns.iter().any(|one| one.header == **key))
            {
                return Err(CrmError::field(
                    "columns",
                    format!("The file has no column \"{odd}\"."),
                )
                .into());
            }
            let mapped = import.columns.iter().map(|one| Mapped {
                header: one.header.clone(),
                goes: wanted.get(&one.header).map_or_else(|| one.goes.clone(), |word| goes(word)),
            });
            Some(mapped.collect())
        }
        None => None,
    };
    let patch = ImportPatch {
        columns,
        clash,
        decimal_comma: body.decimal_comma,
        month_first: body.month_first,
        add_choices: body.add_choices,
        read: None,
    };
    let import = ws.write(&who, move |tx| rules::change_import(tx, id, patch)).await?;
    Ok(Json(view(import)))
}

async fn act(
    ws: Ws,
    who: Person,
    Path2(id, verb): Path2<ImportId, String>,
) -> Result<Json<ImportView>, ApiError> {
    match verb.as_str() {
        "begin" => start(&ws, &who, id).await?,
        "cancel" => ws.write(&who, move |tx| rules::cancel_import(tx, id)).await.map(drop)?,
        "undo" => take_back(&ws, &who, id).await.map(drop)?,
        "preview" => {
            let seen = ws.look(move |ws| {
                ws.read(|snap| {
                    let import = found(snap, id)?;
                    let table = table(ws, &import)?;
                    let (came, _) = preview(ws, snap, (&import, &table), &who)?;
                    Ok::<_, CrmError>(Import {
                        counts: came.counts,
                        problems: came.problems,
                        ..import
                    })
                })
            });
            return Ok(Json(view(seen.await?)));
        }
        _ => return Err(CrmError::no("act", &verb).into()),
    }
    Ok(Json(view(ws.read(|snap| found(snap, id))?)))
}
