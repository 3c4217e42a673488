//! The reviewer: the model that decides on requests of agents in the mode Auto.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::connections::queries::{self as connections, Pick};
use features::trust::queries;
use features::trust::queries::widening;
use features::trust::rules::{self, TrustError};
use kernel::{Can, ConnectionId};
use store::{Read, StoreError};
use web::error::{ApiError, PageError};
use web::extract::{Form, Json};
use web::flash;
use web::hx::Hx;
use web::idempotency::Once;
use web::parts::Choice;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Flash;

pub(super) fn pages(routes: Routes) -> Routes {
    routes.post("/settings/policy/reviewer", set.needs(Can::Admin))
}

pub(super) fn api(routes: Routes) -> Routes {
    let shown = || Doc::new("The model that reviews requests in Auto mode").returns::<Reviewer>();
    let chosen = || {
        Doc::new("Set it; without a model, people decide").body::<Reviewer>().returns::<Reviewer>()
    };
    routes
        .get("/policy/reviewer", show.needs(Can::Read).doc(shown))
        .put("/policy/reviewer", api_set.needs(Can::Admin).doc(chosen))
}

/// The models to choose from, with the current one selected.
pub(super) fn choices(tx: &dyn Read) -> Result<Vec<Choice>, StoreError> {
    let now = queries::reviewer(tx)?;
    let mut choices = vec![Choice::new("", "None (people decide)", now.is_none())];
    for pick in connections::picks(tx)? {
        if let Some(id) = pick.connection {
            let is_now = now.as_ref().is_some_and(|(of, model)| (*of, model) == (id, &pick.model));
            choices.push(Choice::new(pick.value(), pick.label(), is_now));
        }
    }
    if let Some((id, model)) = now
        && !choices.iter().any(|choice| choice.chosen)
    {
        choices.push(Choice::new(format!("{id}/{model}"), model, true));
    }
    Ok(choices)
}

/// The reviewer form.
#[derive(Debug, Deserialize)]
struct Chosen {
    /// Connection and model; empty for none.
    #[serde(default)]
    reviewer: String,
}

/// `POST /settings/policy/reviewer`
async fn set(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(Chosen { reviewer }): Form<Chosen>,
) -> Result<Response, PageError> {
    let chosen = Pick::parse(&reviewer).and_then(|(connection, model)| Some((connection?, model)));
    if chosen.is_none() && !reviewer.is_empty() {
        return Err(TrustError::Refused("choose a model from the list".to_owned()).into());
    }
    let message = match &chosen {
        Some((_, model)) => format!("{model} now reviews requests in Auto mode."),
        None => "No reviewer. People decide.".to_owned(),
    };
    ws.write(&who, widening::checked(&who, move |tx| rules::set_reviewer(tx, chosen))).await?;
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&ws.url("settings/policy"))))
}

/// The model that reviews.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reviewer {
    /// Its connection; none when nobody reviews.
    connection: Option<ConnectionId>,
    model: Option<String>,
}

async fn show(ws: Ws, _: Person) -> Result<Json<Reviewer>, ApiError> {
    let (connection, model) = ws.read(|snap| queries::reviewer(snap))?.unzip();
    Ok(Json(Reviewer { connection, model }))
}

async fn api_set(
    ws: Ws,
    who: Person,
    once: Once,
    Json(Reviewer { connection, model }): Json<Reviewer>,
) -> Result<Json<Reviewer>, ApiError> {
    let chosen = match (connection, model) {
        (Some(connection), Some(model)) => Some((connection, model)),
        (None, None) => None,
        (_, Some(_)) => return Err(ApiError::invalid("connection", "name the connection")),
        (Some(_), None) => return Err(ApiError::invalid("model", "name the model")),
    };
    let set = once.run(move |tx| rules::set_reviewer(tx, chosen));
    ws.write(&who, widening::checked(&who, set)).await?;
    let (connection, model) = ws.read(|snap| queries::reviewer(snap))?.unzip();
    Ok(Json(Reviewer { connection, model }))
}
