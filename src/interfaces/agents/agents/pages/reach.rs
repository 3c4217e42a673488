//! Allowed hosts in the settings.

use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::ReachOf;
use features::agents::rules;
use features::agents::rules::reach::ReachError;
use features::trust::queries::widening::{self, Refused};
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::form::sentence;
use web::hx::Hx;
use web::session::Person;
use web::shell::Flash;

use crate::agents::at::At;

/// The form: one host per line.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReachForm {
    hosts: String,
}

/// `POST /agents/{slug}/reach`
pub(super) async fn save(
    app: App,
    At { ws, who, agent, .. }: At<PageError>,
    hx: Hx,
    Form(form): Form<ReachForm>,
) -> Result<Response, PageError> {
    let flash = set(&ws, &who, ReachOf::Agent(agent.id), &form).await?;
    let back = ws.url(&format!("agents/{}/settings", agent.slug));
    Ok(flash::say(&app, flash, hx.go_to(&back)))
}

/// `POST /settings/reach`
pub(super) async fn save_opened(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<ReachForm>,
) -> Result<Response, PageError> {
    let flash = set(&ws, &who, ReachOf::Workspace, &form).await?;
    Ok(flash::say(&app, flash, hx.go_to(&ws.url("settings/general"))))
}

async fn set(ws: &Ws, who: &Person, of: ReachOf, form: &ReachForm) -> Result<Flash, PageError> {
    let lines: Vec<String> = form.hosts.lines().map(str::to_owned).collect();
    let set = widening::checked(who, move |tx| rules::reach::set(tx, of, &lines));
    match ws.write(who, set).await {
        Ok(()) => Ok(Flash::ok("Saved.")),
        Err(
            error @ (Refused::NoProof(_)
            | Refused::Rule(ReachError::NotFound(_) | ReachError::Store(_))),
        ) => Err(error.into()),
        Err(error) => Ok(Flash::danger(sentence(&error.to_string()))),
    }
}
