//! The settings pages of connections.

mod edit;
mod list;
pub mod new;
pub mod providers;
mod sign_in;
mod turns;

use app::{App, Ws};
use axum::response::Response;
use kernel::Can;
use serde::Deserialize;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::hx::Hx;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::Flash;

use kernel::ConnectionId;

use features::connections::checks::{self, Checked};
use features::connections::logins::Leaving;
use features::connections::provider::forget_key;
use features::connections::queries::{PRACTICE, Pick};
use features::connections::rules::{self, ConnectionError, Effect};

/// Path of these pages.
const HERE: &str = "settings/connections";
/// Key of the settings menu item.
const MENU: &str = "connections";

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/connections", list::show.needs(Can::Read))
        .post("/settings/connections", new::create.needs(Can::Admin))
        .get("/settings/connections/new", new::form.needs(Can::Admin))
        .post("/settings/connections/accounts", sign_in::create.needs(Can::Admin))
        .post("/settings/connections/default", set_default.needs(Can::Admin))
        .post("/settings/connections/practice", use_practice.needs(Can::Admin))
        .post("/settings/connections/thinking", turns::thinking.needs(Can::Admin))
        .post("/settings/connections/fallbacks", turns::fallbacks.needs(Can::Admin))
        .post("/settings/connections/fallbacks/{agent}", turns::of_agent.needs(Can::Agents))
        .get("/settings/connections/{id}", edit::form.needs(Can::Admin))
        .post("/settings/connections/{id}", edit::save.needs(Can::Admin))
        .post("/settings/connections/{id}/test", test.needs(Can::Admin))
        .post("/settings/connections/{id}/models", refresh.needs(Can::Admin))
        .get("/settings/connections/{id}/sign-in", sign_in::show.needs(Can::Admin))
        .post("/settings/connections/{id}/sign-in", sign_in::begin.needs(Can::Admin))
        .post("/settings/connections/{id}/sign-in/answer", sign_in::answer.needs(Can::Admin))
        .post("/settings/connections/{id}/sign-in/cancel", sign_in::cancel.needs(Can::Admin))
        .post("/settings/connections/{id}/sign-out", sign_in::sign_out.needs(Can::Admin))
        .post("/settings/connections/{id}/delete", remove.needs(Can::Admin))
        .post("/settings/connections/{id}/wake", turns::wake.needs(Can::Admin))
        .post("/settings/connections/{id}/keys", turns::add_key.needs(Can::Admin))
        .post("/settings/connections/{id}/keys/{slot}/delete", turns::remove_key.needs(Can::Admin))
}

/// The notice after a test.
fn to_flash(checked: &Checked) -> Flash {
    let name = &checked.connection.name;
    match (checked.tested.ok, checked.effect) {
        (false, _) => {
            Flash::danger(format!("Couldn’t connect to {name}. {}", checked.tested.message))
        }
        (true, Effect::None) => Flash::ok(format!("{name} works: {}.", checked.tested.message)),
        (true, Effect::BecameDefault) => {
            let model = checked.connection.default_model.as_deref().unwrap_or_default();
            Flash::ok(format!("{name} works. Your agents now use {model}."))
        }
    }
}

/// Tests a saved connection. Returns the notice and whether the connection works.
///
/// # Errors
/// The connection was deleted.
async fn try_out(ws: &Ws, who: &Person, id: ConnectionId) -> Result<(Flash, bool), PageError> {
    match checks::test(ws, who, id).await {
        Ok(checked) => Ok((to_flash(&checked), checked.tested.ok)),
        Err(error @ ConnectionError::OverBudget) => {
            let words = format!("Saved, but not tested: {error}.");
            Ok((Flash::danger(words), false))
        }
        Err(error) => Err(error.into()),
    }
}

async fn test(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ConnectionId>,
) -> Result<Response, PageError> {
    let checked = checks::test(&ws, &who, id).await?;
    if hx.is_partial() {
        return list::one(&ws, &who, id);
    }
    Ok(flash::say(&app, to_flash(&checked), hx.go_to(&ws.url(HERE))))
}

async fn refresh(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ConnectionId>,
) -> Result<Response, PageError> {
    let changed = checks::refresh_models(&ws, &who, id).await?;
    if hx.is_partial() {
        return list::one(&ws, &who, id);
    }
    let text = format!("{} offers {} models.", changed.name, changed.models.len());
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&ws.url(HERE))))
}

#[derive(Deserialize)]
struct DefaultForm {
    pick: String,
}

async fn set_default(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<DefaultForm>,
) -> Result<Response, PageError> {
    let (connection, model) = Pick::parse(&form.pick).ok_or(ConnectionError::BadModel)?;
    choose(&app, &ws, &who, &hx, connection, model, HERE).await
}

async fn use_practice(app: App, ws: Ws, who: Person, hx: Hx) -> Result<Response, PageError> {
    choose(&app, &ws, &who, &hx, None, PRACTICE.to_owned(), "agents/new").await
}

async fn choose(
    app: &App,
    ws: &Ws,
    who: &Person,
    hx: &Hx,
    connection: Option<ConnectionId>,
    model: String,
    next: &str,
) -> Result<Response, PageError> {
    let text = format!("Agents without their own model now use {model}.");
    ws.write(who, move |tx| rules::set_default(tx, connection, &model)).await?;
    Ok(flash::say(app, Flash::ok(text), hx.go_to(&ws.url(next))))
}

#[derive(Deserialize)]
struct Removal {
    #[serde(default)]
    replacement: String,
}

async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ConnectionId>,
    Form(form): Form<Removal>,
) -> Result<Response, PageError> {
    let to = match form.replacement.as_str() {
        "" => None,
        id => Some(id.parse().map_err(|_| ConnectionError::BadReplacement)?),
    };
    let leaving = Leaving::of(&ws, id);
    let gone = ws.write(&who, move |tx| rules::removal::delete(tx, id, to)).await?;
    forget_key(&app, id);
    if let Some(leaving) = leaving {
        leaving.tell(&ws);
    }
    let text = format!("Removed {} and its key.", gone.name);
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&ws.url(HERE))))
}
