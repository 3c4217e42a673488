//! Actions on a run: stop it, and send it a message while it works.

use std::time::Duration;

use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::runs::queries::silent;
use features::runs::rules::{self, NewInput, RunError};
use kernel::ProblemKind;
use web::error::{Failure, PageError};
use web::extract::{Form, Path};
use web::hx::Hx;
use web::idempotency::Once;
use web::session::Person;

use super::show::find;
use crate::runs::stopping;

/// How long "stop and undo" waits for the run to end.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// What follows the stop.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Then {
    /// `undo` for the undo preview.
    then: String,
}

/// `POST /runs/{name}/stop`
pub(super) async fn stop(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(then): Form<Then>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    let (id, by) = (run.id, Some(who.account));
    // Read before the write: the run ends here at once, and its possible cost is booked then.
    let later = ws.read(|snap| silent::stops_later(&ws, snap, &run))?;
    let result = ws.write(&who, move |tx| rules::request_stop(tx, id, by)).await;
    if then.then == "undo" {
        // The run may have ended in the meantime.
        if !matches!(result, Err(RunError::Ended(_))) {
            result?;
        }
        if !stopping::ended(&ws, id, STOPS_WITHIN).await? {
            let text = format!("{} is still stopping; try undo again in a moment", run.name());
            return Err(PageError(Failure::new(ProblemKind::Conflict, "run_live", text)));
        }
        return Ok(hx.go_to(&ws.url(&format!("undo?run={}", run.name()))));
    }
    result?;
    Ok(hx.done(later.as_deref().unwrap_or("Stopping"), &ws.url(&format!("runs/{}", run.name()))))
}

/// A message to a run.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    pub body: String,
    /// Delivery mode while the run works; empty for the default.
    #[serde(default)]
    pub mode: String,
    /// The last message, as the page showed it.
    #[serde(default)]
    pub leaf: String,
    /// Key that identifies a repeated submission.
    #[serde(default)]
    pub key: String,
}

/// `POST /runs/{name}/say`: sends a message to a working run.
pub(super) async fn say(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<Said>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    let (id, mode) = (run.id, super::queue::mode_of(&form.mode)?);
    let place = format!("steer {}", run.name());
    let once = Once::of_form(&who, &place, &form.key, &[form.body.as_str(), form.mode.as_str()]);
    let new = NewInput { mode, ..NewInput::chat(form.body) };
    let say = once.run(move |tx| rules::talk::say_to_run(tx, id, new));
    let sent = ws.write(&who, say).await?;
    Ok(hx.done(sent.placed.label(), &ws.url(&format!("runs/{name}"))))
}
