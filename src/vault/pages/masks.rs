//! Forms of mask patterns, below the list of secrets.

use app::{App, Ws};
use axum::response::Response;
use serde::Deserialize;
use web::error::PageError;
use web::extract::Path;
use web::form::Wrong;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::session::Person;
use web::shell::Shell;

use super::{done, list};
use crate::model::MaskId;
use crate::rules;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MaskForm {
    pub name: String,
    pub pattern: String,
}

/// `POST /settings/secrets/masks`
pub(super) async fn add(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    FormOnce(form, once): FormOnce<MaskForm>,
) -> Result<Response, PageError> {
    let MaskForm { name, pattern } = form.clone();
    let added = once.run(move |tx| rules::add_mask(tx, &name, &pattern).map(|mask| mask.name));
    match ws.write(&who, added).await {
        Ok(name) => done(&app, &ws, &hx, format!("HQ now masks {name}.")).await,
        Err(error) => list::redisplay(ws, who, shell, (form, Wrong::of(&error)?)).await,
    }
}

/// `POST /settings/secrets/masks/{id}/remove`
pub(super) async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<MaskId>,
) -> Result<Response, PageError> {
    ws.write(&who, move |tx| rules::remove_mask(tx, id)).await?;
    done(&app, &ws, &hx, "Pattern removed".to_owned()).await
}
