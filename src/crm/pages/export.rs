//! Rows of a list as a CSV file: what its conditions find, all fields, as an import reads them again.

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use app::Ws;
use features::tasks::queries::scene::Scene;
use sheet::CsvWriter;
use store::{ReadExt as _, StoreError};
use web::error::PageError;
use web::extract::{Path, Query};
use web::session::Person;

use super::Look;
use super::list::Wish;
use crate::error::CrmError;
use crate::list;
use crate::model::{Book, CollectionId, Records, Row};
use crate::queries;

/// The list of a book as a file.
pub(super) async fn book<B: Book>(
    ws: Ws,
    who: Person,
    Query(wish): Query<Wish>,
) -> Result<Response, PageError> {
    file::<B>(ws, who, (None, wish)).await
}

/// A collection as a file.
pub(super) async fn collection(
    ws: Ws,
    who: Person,
    Path(said): Path<String>,
    Query(wish): Query<Wish>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &said))?.id;
    file::<Records>(ws, who, (Some(id), wish)).await
}

async fn file<B: Book>(
    ws: Ws,
    who: Person,
    (collection, wish): (Option<CollectionId>, Wish),
) -> Result<Response, PageError> {
    let bytes = ws.look(move |ws| rows::<B>(ws, &who, (collection, &wish))).await?;
    let mut answer = bytes.into_response();
    let name = format!("attachment; filename=\"{}.csv\"", B::PATH);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    // ok: a name of letters alone is always a value.
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(answer)
}

fn rows<B: Book>(
    ws: &Ws,
    who: &Person,
    (collection, wish): (Option<CollectionId>, &Wish),
) -> Result<Vec<u8>, CrmError> {
    let failed = |error: std::io::Error| CrmError::Store(StoreError::Failed(error.to_string()));
    ws.read(|snap| {
        let scene = Scene::new(ws, who, snap)?;
        let home = B::home(collection);
        let look = Look::new(&scene, snap, home)?;
        let around = look.around(&scene, snap, home)?;
        let found = list::find::<B>(snap, &wish.asked(collection), &around)?.understood()?;
        let mut csv = CsvWriter::new(Vec::new());
        csv.row(look.columns.iter().map(|column| column.label.as_str())).map_err(failed)?;
        for id in found.ids {
            // The columns of the list may know of a row that this snapshot does not have.
            let Some(row) = snap.get::<Row<B>>(id)? else { continue };
            let cell = |column: &noun::Column| {
                let value = row.value(&column.key);
                value.map_or_else(String::new, |value| column.written(value, &look.known))
            };
            csv.row(look.columns.iter().map(cell)).map_err(failed)?;
        }
        csv.finish().map_err(failed)
    })
}
