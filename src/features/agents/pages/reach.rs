//! Which hosts an agent reaches, on the page of its settings.

use axum::response::Response;
use serde::Deserialize;

use crate::app::{App, Ws};
use crate::features::agents::rules;
use crate::features::agents::rules::reach::ReachError;
use crate::web::error::PageError;
use crate::web::extract::{Form, Path};
use crate::web::flash;
use crate::web::form::sentence;
use crate::web::hx::Hx;
use crate::web::session::Person;
use crate::web::shell::Flash;

use super::find;

/// What the form says: a host a line.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    only: String,
}

/// `POST /agents/{slug}/reach`
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| find(snap, &slug))?;
    let lines: Vec<String> = typed.only.lines().map(str::to_owned).collect();
    let done = ws.write(&who, move |tx| rules::reach::set(tx, agent.id, &lines)).await;
    let flash = match done {
        Ok(()) => Flash::ok("Saved."),
        Err(error @ (ReachError::BadHost(_) | ReachError::TooMany)) => {
            Flash::danger(sentence(&error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    let back = ws.url(&format!("agents/{}/settings", agent.slug));
    Ok(flash::say(&app, flash, hx.go_to(&back)))
}
