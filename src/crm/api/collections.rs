//! `/api/v1/collections`.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use store::{Range, Read, ReadExt as _, WriteTx};
use web::error::ApiError;
use web::extract::{Json, Patch, Path};
use web::idempotency::Once;
use web::session::Person;

use super::fields::{FieldView, field_view};
use crate::columns;
use crate::error::CrmError;
use crate::model::{Collection, Home};
use crate::queries;
use crate::rules::{self, CollectionPatch};

#[derive(Serialize, JsonSchema)]
pub(super) struct Collections {
    items: Vec<CollectionView>,
}

/// A collection.
#[derive(Serialize, JsonSchema)]
pub(super) struct CollectionView {
    id: String,
    name: String,
    icon: String,
    description: String,
    /// How many records it has.
    records: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldView>,
    archived: bool,
}

pub(super) fn collection_view(
    read: &dyn Read,
    one: Collection,
    whole: bool,
) -> Result<CollectionView, CrmError> {
    let mut key = kernel::key::KeyBuf::new();
    key.part(one.id);
    let fields = if whole { columns::of(read, Home::Collection(one.id))? } else { Vec::new() };
    Ok(CollectionView {
        id: one.id.to_string(),
        name: one.name,
        icon: one.icon,
        description: one.description,
        records: read.len(crate::model::RECORDS_BY_HOME, &Range::prefix(key))?,
        fields: fields.iter().map(field_view).collect(),
        archived: one.archived_at.is_some(),
    })
}

pub(super) async fn collections(ws: Ws) -> Result<Json<Collections>, ApiError> {
    let items = ws.read(|snap| {
        let all = queries::collections(snap)?;
        all.into_iter()
            .map(|one| collection_view(snap, one, false))
            .collect::<Result<Vec<_>, CrmError>>()
    })?;
    Ok(Json(Collections { items }))
}

pub(super) async fn show_collection(
    ws: Ws,
    Path(name): Path<String>,
) -> Result<Json<CollectionView>, ApiError> {
    let view = ws.read(|snap| collection_view(snap, queries::collection(snap, &name)?, true))?;
    Ok(Json(view))
}

/// What a collection is to be; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CollectionBody {
    name: Option<String>,
    /// One emoji.
    icon: Option<String>,
    description: Option<String>,
    archived: Option<bool>,
}

impl CollectionBody {
    fn patch(self) -> CollectionPatch {
        CollectionPatch {
            name: self.name,
            icon: self.icon,
            description: self.description,
            archived: self.archived,
        }
    }
}

pub(super) async fn make_collection(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<CollectionBody>,
) -> Result<(StatusCode, Json<CollectionView>), ApiError> {
    let patch = body.patch();
    let made =
        once.run(move |tx: &mut WriteTx<'_>| rules::make_collection(tx, patch).map(|one| one.id));
    let id = ws.write(&who, made).await?;
    let view =
        ws.read(|snap| collection_view(snap, queries::collection(snap, &id.to_string())?, true))?;
    Ok((StatusCode::CREATED, Json(view)))
}

pub(super) async fn change_collection(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Patch(body): Patch<CollectionBody>,
) -> Result<Json<CollectionView>, ApiError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    let one = ws.write(&who, move |tx| rules::change_collection(tx, id, body.patch())).await?;
    Ok(Json(ws.read(|snap| collection_view(snap, one, true))?))
}

pub(super) async fn remove_collection(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    ws.write(&who, move |tx| rules::remove_collection(tx, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
