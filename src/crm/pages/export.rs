//! Export of a list: matching rows with all fields, as CSV that an import can read, or as JSON. The file is streamed
//! while it is generated, so memory use is bounded.

use app::Ws;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use features::tasks::queries::view_context::ViewContext;
use futures_util::stream::{self, Stream};
use sheet::CsvWriter;
use store::{Read, StoreError};
use uuid::Uuid;
use web::error::PageError;
use web::extract::{Path, Query};
use web::session::{Alive, Person};

use super::Look;
use super::frame::state_of;
use super::state::ListPageParams;
use crate::api::values_json;
use crate::error::CrmError;
use crate::import::ID;
use crate::list;
use crate::model::{CollectionId, Row, RowKind};
use crate::path_kind::PathKind;
use crate::queries;

/// Rows per piece.
const PIECE: usize = 500;

/// Format of a file.
#[derive(Clone, Copy)]
enum Form {
    Csv,
    Json,
}

/// The list of a kind as CSV.
pub(super) async fn csv(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    alive: Alive,
    Query(wish): Query<ListPageParams>,
) -> Result<Response, PageError> {
    file(kind, (ws, who, alive), (None, wish), Form::Csv).await
}

/// The list of a kind as JSON.
pub(super) async fn json(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    alive: Alive,
    Query(wish): Query<ListPageParams>,
) -> Result<Response, PageError> {
    file(kind, (ws, who, alive), (None, wish), Form::Json).await
}

/// A collection as CSV.
pub(super) async fn records_csv(
    ws: Ws,
    who: Person,
    alive: Alive,
    Path(name): Path<String>,
    Query(wish): Query<ListPageParams>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    file(RowKind::RECORDS, (ws, who, alive), (Some(id), wish), Form::Csv).await
}

/// A collection as JSON.
pub(super) async fn records_json(
    ws: Ws,
    who: Person,
    alive: Alive,
    Path(name): Path<String>,
    Query(wish): Query<ListPageParams>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    file(RowKind::RECORDS, (ws, who, alive), (Some(id), wish), Form::Json).await
}

/// A file being sent.
struct Sending {
    kind: &'static RowKind,
    ws: Ws,
    who: Person,
    alive: Alive,
    collection: Option<CollectionId>,
    form: Form,
    ids: Vec<Uuid>,
    /// Number of sent rows; `None` before the beginning of the file is sent.
    sent: Option<usize>,
}

async fn file(
    kind: &'static RowKind,
    (ws, who, alive): (Ws, Person, Alive),
    (collection, wish): (Option<CollectionId>, ListPageParams),
    form: Form,
) -> Result<Response, PageError> {
    let asker = who.clone();
    let ids = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let scene = ViewContext::new(ws, &asker, snap)?;
                let home = kind.home(collection);
                let look = Look::new(&scene, snap, home)?;
                let around = look.around(&scene, snap, home)?;
                let state = state_of(kind, &scene, snap, (collection, &wish))?;
                Ok::<_, CrmError>(
                    list::find(kind, snap, &state.list_request(), &around)?.understood()?.ids,
                )
            })
        })
        .await?;
    let sending = Sending { kind, ws, who, alive, collection, form, ids, sent: None };
    let mut answer = Response::new(Body::from_stream(pieces(sending)));
    let (media, end) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "csv"),
        Form::Json => ("application/json", "json"),
    };
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    // ok: a name of letters is always a valid value.
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{}.{end}\"", kind.path))
    {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(answer)
}

fn pieces(sending: Sending) -> impl Stream<Item = Result<Bytes, CrmError>> + Send + 'static {
    stream::unfold(Some(sending), |sending| async move {
        let mut sending = sending?;
        let from = sending.sent.unwrap_or(0);
        // Check access again before each piece.
        if (sending.sent.is_some() && sending.ids.len() <= from) || !(sending.alive.0)() {
            return None;
        }
        let to = (from + PIECE).min(sending.ids.len());
        let (who, collection, form) = (sending.who.clone(), sending.collection, sending.form);
        let part = Part {
            kind: sending.kind,
            ids: sending.ids[from..to].to_vec(),
            is_first: sending.sent.is_none(),
            is_last: sending.ids.len() <= to,
        };
        let piece =
            sending.ws.read_blocking(move |ws| part.text(ws, &who, (collection, form))).await;
        sending.sent = Some(to);
        let next = piece.is_ok().then_some(sending);
        Some((piece.map(Bytes::from), next))
    })
}

/// Some rows of a file.
struct Part {
    kind: &'static RowKind,
    ids: Vec<Uuid>,
    is_first: bool,
    is_last: bool,
}

impl Part {
    fn text(
        &self,
        ws: &Ws,
        who: &Person,
        (collection, form): (Option<CollectionId>, Form),
    ) -> Result<Vec<u8>, CrmError> {
        ws.read(|snap| {
            let scene = ViewContext::new(ws, who, snap)?;
            let look = Look::new(&scene, snap, self.kind.home(collection))?;
            match form {
                Form::Csv => self.csv(snap, &look),
                Form::Json => self.json(snap, &look),
            }
        })
    }

    fn csv(&self, read: &dyn Read, look: &Look<'_>) -> Result<Vec<u8>, CrmError> {
        let failed = |error: std::io::Error| CrmError::Store(StoreError::Failed(error.to_string()));
        let mut csv = CsvWriter::new(Vec::new());
        if self.is_first {
            let labels = look.columns.iter().map(|column| column.label.as_str());
            csv.row(labels.chain([ID])).map_err(failed)?;
        }
        for row in list::rows(self.kind, read, &self.ids)? {
            let cell = |column: &entity::Column| {
                let value = row.value(&column.key);
                value.map_or_else(String::new, |value| column.written(value, &look.known))
            };
            csv.row(look.columns.iter().map(cell).chain([row.id.to_string()])).map_err(failed)?;
        }
        csv.finish().map_err(failed)
    }

    fn json(&self, read: &dyn Read, look: &Look<'_>) -> Result<Vec<u8>, CrmError> {
        let rows: Vec<Row> = list::rows(self.kind, read, &self.ids)?;
        let row_json = |row: &Row| {
            let mut values = values_json(row, &look.columns, &look.known);
            values.insert(ID.to_owned(), row.id.to_string().into());
            serde_json::Value::from(values).to_string()
        };
        let rows: Vec<String> = rows.iter().map(row_json).collect();
        let mut text = String::from(if self.is_first { "[\n" } else { "" });
        if !self.is_first && !rows.is_empty() {
            text.push_str(",\n");
        }
        text.push_str(&rows.join(",\n"));
        if self.is_last {
            text.push_str("\n]\n");
        }
        Ok(text.into_bytes())
    }
}
