//! Rows of a list as a file: what its conditions find, all fields, as CSV that an import reads again, or as JSON. The
//! file is sent while it is made, so that a long list needs no room.

use app::Ws;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use features::tasks::queries::scene::Scene;
use futures_util::stream::{self, Stream};
use sheet::CsvWriter;
use store::{Read, StoreError};
use web::error::PageError;
use web::extract::{Path, Query};
use web::session::{Alive, Person};

use super::Look;
use super::frame::state_of;
use super::state::Wish;
use crate::api::values_json;
use crate::error::CrmError;
use crate::import::ID;
use crate::list;
use crate::model::{Book, CollectionId, Records, Row};
use crate::queries;

/// Rows that are read at once.
const PIECE: usize = 500;

/// The form of a file.
#[derive(Clone, Copy)]
enum Form {
    Csv,
    Json,
}

/// The list of a book as CSV.
pub(super) async fn csv<B: Book>(
    ws: Ws,
    who: Person,
    alive: Alive,
    Query(wish): Query<Wish>,
) -> Result<Response, PageError> {
    file::<B>((ws, who, alive), (None, wish), Form::Csv).await
}

/// The list of a book as JSON.
pub(super) async fn json<B: Book>(
    ws: Ws,
    who: Person,
    alive: Alive,
    Query(wish): Query<Wish>,
) -> Result<Response, PageError> {
    file::<B>((ws, who, alive), (None, wish), Form::Json).await
}

/// A collection as CSV.
pub(super) async fn records_csv(
    ws: Ws,
    who: Person,
    alive: Alive,
    Path(said): Path<String>,
    Query(wish): Query<Wish>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &said))?.id;
    file::<Records>((ws, who, alive), (Some(id), wish), Form::Csv).await
}

/// A collection as JSON.
pub(super) async fn records_json(
    ws: Ws,
    who: Person,
    alive: Alive,
    Path(said): Path<String>,
    Query(wish): Query<Wish>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &said))?.id;
    file::<Records>((ws, who, alive), (Some(id), wish), Form::Json).await
}

/// A file that is being sent.
struct Sending<B: Book> {
    ws: Ws,
    who: Person,
    alive: Alive,
    collection: Option<CollectionId>,
    form: Form,
    ids: Vec<B::Id>,
    /// How many rows are sent; none before the beginning of the file is.
    sent: Option<usize>,
}

async fn file<B: Book>(
    (ws, who, alive): (Ws, Person, Alive),
    (collection, wish): (Option<CollectionId>, Wish),
    form: Form,
) -> Result<Response, PageError> {
    let asker = who.clone();
    let ids = ws
        .look(move |ws| {
            ws.read(|snap| {
                let scene = Scene::new(ws, &asker, snap)?;
                let home = B::home(collection);
                let look = Look::new(&scene, snap, home)?;
                let around = look.around(&scene, snap, home)?;
                let state = state_of::<B>(&scene, snap, (collection, &wish))?;
                Ok::<_, CrmError>(list::find::<B>(snap, &state.asked(), &around)?.understood()?.ids)
            })
        })
        .await?;
    let sending = Sending::<B> { ws, who, alive, collection, form, ids, sent: None };
    let mut answer = Response::new(Body::from_stream(pieces(sending)));
    let (kind, end) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "csv"),
        Form::Json => ("application/json", "json"),
    };
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // ok: a name of letters alone is always a value.
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{}.{end}\"", B::PATH)) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(answer)
}

fn pieces<B: Book>(
    sending: Sending<B>,
) -> impl Stream<Item = Result<Bytes, CrmError>> + Send + 'static {
    stream::unfold(Some(sending), |sending| async move {
        let mut sending = sending?;
        let from = sending.sent.unwrap_or(0);
        // Rights are asked for again before anything more is handed out.
        if (sending.sent.is_some() && sending.ids.len() <= from) || !(sending.alive.0)() {
            return None;
        }
        let to = (from + PIECE).min(sending.ids.len());
        let (who, collection, form) = (sending.who.clone(), sending.collection, sending.form);
        let part = Part::<B> {
            ids: sending.ids[from..to].to_vec(),
            is_first: sending.sent.is_none(),
            is_last: sending.ids.len() <= to,
        };
        let piece = sending.ws.look(move |ws| part.text(ws, &who, (collection, form))).await;
        sending.sent = Some(to);
        let next = piece.is_ok().then_some(sending);
        Some((piece.map(Bytes::from), next))
    })
}

/// Some rows of a file.
struct Part<B: Book> {
    ids: Vec<B::Id>,
    is_first: bool,
    is_last: bool,
}

impl<B: Book> Part<B> {
    fn text(
        &self,
        ws: &Ws,
        who: &Person,
        (collection, form): (Option<CollectionId>, Form),
    ) -> Result<Vec<u8>, CrmError> {
        ws.read(|snap| {
            let scene = Scene::new(ws, who, snap)?;
            let look = Look::new(&scene, snap, B::home(collection))?;
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
        for row in list::rows::<B>(read, &self.ids)? {
            let cell = |column: &entity::Column| {
                let value = row.value(&column.key);
                value.map_or_else(String::new, |value| column.written(value, &look.known))
            };
            csv.row(look.columns.iter().map(cell).chain([row.id.to_string()])).map_err(failed)?;
        }
        csv.finish().map_err(failed)
    }

    fn json(&self, read: &dyn Read, look: &Look<'_>) -> Result<Vec<u8>, CrmError> {
        let rows: Vec<Row<B>> = list::rows::<B>(read, &self.ids)?;
        let told = |row: &Row<B>| {
            let mut values = values_json(row, &look.columns, &look.known);
            values.insert(ID.to_owned(), row.id.to_string().into());
            serde_json::Value::from(values).to_string()
        };
        let rows: Vec<String> = rows.iter().map(told).collect();
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
