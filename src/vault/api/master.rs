//! API routes of the master key, `/api/v1/secrets/master-key`: present key, former keys, rotation. No response contains
//! a key.

use app::{App, Who as _, Ws};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use features::rotation::model::Rotation;
use features::rotation::queries;
use kernel::{Can, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::error::ApiError;
use web::extract::Json;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use crate::pages::only_managers;
use crate::rotation;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(
            "/secrets/master-key",
            show.needs(Can::Admin).doc(|| {
                Doc::new("The master key: its ID, former keys and what needs them, the last change")
                    .returns::<MasterKeyView>()
            }),
        )
        .post(
            "/secrets/master-key/rotate",
            rotate.needs(Can::Admin).proved().doc(|| {
                Doc::new(
                    "Replace the master key and re-encrypt everything. /secrets/master-key \
                    shows progress",
                )
                .returns::<MasterKeyView>()
                .status(202)
                .no_key("only one runs at a time")
            }),
        )
        .post(
            "/secrets/master-key/discard",
            discard.needs(Can::Admin).proved().doc(|| {
                Doc::new("Permanently delete a former master key that is no longer needed")
                    .body::<Which>()
                    .returns::<MasterKeyView>()
                    .no_key("a deleted key isn't found")
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct MasterKeyView {
    /// Names the key that seals: eight hex digits, which tell nothing of it.
    key: String,
    /// The keys of before that still read, the last one first.
    formers: Vec<FormerView>,
    /// The last change.
    change: Option<ChangeView>,
}

#[derive(Serialize, JsonSchema)]
struct FormerView {
    key: String,
    /// What needs it, in words; when nothing does, it can be deleted.
    needs: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct ChangeView {
    from: String,
    to: String,
    /// Whether something is still to be sealed anew.
    under_way: bool,
    /// How many rows were sealed anew.
    sealed: u64,
    /// How many values open with no key that is here.
    shut: u64,
    /// The stores that are through.
    through: Vec<String>,
    /// Workspaces that are not open, for which it waits.
    waits: Vec<String>,
    #[schemars(with = "String")]
    begun_at: Timestamp,
    #[schemars(with = "Option<String>")]
    ended_at: Option<Timestamp>,
}

impl ChangeView {
    fn of(one: Rotation, waits: Vec<String>) -> Self {
        Self {
            from: one.from,
            to: one.to,
            under_way: one.ended_at.is_none(),
            sealed: one.sealed,
            shut: one.shut,
            through: one.through,
            waits: if one.ended_at.is_none() { waits } else { Vec::new() },
            begun_at: one.begun_at,
            ended_at: one.ended_at,
        }
    }
}

async fn now(ws: &Ws) -> Result<MasterKeyView, ApiError> {
    let standing = ws.read_blocking(|ws| queries::standing(&ws.app)).await?;
    let waits = standing.waits;
    let formers = standing.formers.into_iter();
    Ok(MasterKeyView {
        key: standing.current,
        formers: formers.map(|one| FormerView { key: one.id, needs: one.needs }).collect(),
        change: standing.last.map(|last| ChangeView::of(last, waits)),
    })
}

async fn show(app: App, ws: Ws, who: Person) -> Result<Json<MasterKeyView>, ApiError> {
    only_managers(&app, &who)?;
    Ok(Json(now(&ws).await?))
}

async fn rotate(app: App, ws: Ws, who: Person) -> Result<Response, ApiError> {
    only_managers(&app, &who)?;
    let by = (who.actor(), who.cause());
    ws.read_blocking(move |ws| rotation::begin(&ws.app, by)).await?;
    Ok((StatusCode::ACCEPTED, Json(now(&ws).await?)).into_response())
}

/// Which key goes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Its id.
    key: String,
}

async fn discard(
    app: App,
    ws: Ws,
    who: Person,
    Json(which): Json<Which>,
) -> Result<Json<MasterKeyView>, ApiError> {
    only_managers(&app, &who)?;
    ws.read_blocking(move |ws| rotation::discard(&ws.app, &which.key)).await?;
    Ok(Json(now(&ws).await?))
}
