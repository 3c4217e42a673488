//! API routes of mask patterns.

use app::Ws;
use axum::http::StatusCode;
use kernel::Can;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use crate::given::follow;
use crate::model::{Mask, MaskId};
use crate::{queries, rules};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(
            "/secrets/masks",
            list.needs(Can::Admin).doc(|| Doc::new("Custom masked patterns").returns::<Masks>()),
        )
        .post(
            "/secrets/masks",
            add.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Mask matches of a regular expression in tool output, errors, email and logs",
                )
                .body::<MaskBody>()
                .returns::<MaskView>()
                .status(201)
            }),
        )
        .delete(
            "/secrets/masks/{id}",
            remove.needs(Can::Admin).doc(|| Doc::new("Remove a pattern").status(204)),
        )
}

#[derive(Serialize, JsonSchema)]
struct Masks {
    items: Vec<MaskView>,
}

/// A pattern of one's own.
#[derive(Serialize, JsonSchema)]
struct MaskView {
    id: MaskId,
    /// What it finds.
    name: String,
    /// A regular expression.
    pattern: String,
    created_at: String,
}

impl From<Mask> for MaskView {
    fn from(mask: Mask) -> Self {
        let Mask { id, name, pattern, created_at, .. } = mask;
        Self { id, name, pattern, created_at: created_at.to_string() }
    }
}

/// A pattern to be added.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MaskBody {
    /// What it finds.
    name: String,
    /// A regular expression; it must not match nothing.
    pattern: String,
}

async fn list(ws: Ws, _: Person) -> Result<Json<Masks>, ApiError> {
    let all = ws.read(|snap| queries::masks(snap))?;
    Ok(Json(Masks { items: all.into_iter().map(MaskView::from).collect() }))
}

async fn add(
    ws: Ws,
    who: Person,
    once: Once,
    Json(MaskBody { name, pattern }): Json<MaskBody>,
) -> Result<(StatusCode, Json<MaskView>), ApiError> {
    let made = once.run(move |tx| rules::add_mask(tx, &name, &pattern));
    let mask = ws.write(&who, made).await?;
    follow(&ws).await?;
    Ok((StatusCode::CREATED, Json(mask.into())))
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<MaskId>,
) -> Result<StatusCode, ApiError> {
    ws.write(&who, once.run(move |tx| rules::remove_mask(tx, id))).await?;
    follow(&ws).await?;
    Ok(StatusCode::NO_CONTENT)
}
