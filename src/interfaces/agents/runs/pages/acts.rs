//! What people do with one run: stop it, and talk to it while it works.

use std::time::Duration;

use axum::response::Response;
use serde::Deserialize;

use app::Ws;
use features::runs::rules::{self, NewInput, RunError};
use kernel::ProblemKind;
use web::error::{Failure, PageError};
use web::extract::{Form, Path};
use web::hx::Hx;
use web::idempotency::Once;
use web::session::Person;

use super::show::find;
use crate::runs::{stopping, taking};

/// How long "stop and undo" waits for the stop.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// What is to follow a stop.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Then {
    /// `undo`: the preview of an undo.
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
    // Asked first: the run ends here at once, and what it may cost is booked then.
    let later = ws.read(|snap| taking::stops_later(&ws, snap, &run))?;
    let asked = ws.write(&who, move |tx| rules::request_stop(tx, id, by)).await;
    if then.then == "undo" {
        // It may have ended by itself meanwhile.
        if !matches!(asked, Err(RunError::Ended(_))) {
            asked?;
        }
        if !stopping::ended(&ws, id, STOPS_WITHIN).await? {
            let text = format!("{} is still stopping; undo it in a moment", run.name());
            return Err(PageError(Failure::new(ProblemKind::Conflict, "run_live", text)));
        }
        return Ok(hx.go_to(&ws.url(&format!("undo?run={}", run.name()))));
    }
    asked?;
    Ok(hx.done(later.as_deref().unwrap_or("Stopping"), &ws.url(&format!("runs/{}", run.name()))))
}

/// What is said to a run.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    pub body: String,
    /// What it does while a run works; empty for what is usual.
    #[serde(default)]
    pub mode: String,
    /// What was said last, as it was seen.
    #[serde(default)]
    pub leaf: String,
    /// What a second press is known by.
    #[serde(default)]
    pub key: String,
    /// `dashboard` for who answers there.
    #[serde(default)]
    pub from: String,
}

/// `POST /runs/{name}/say`: a word to a run that works.
pub(super) async fn say(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(said): Form<Said>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    let (id, mode) = (run.id, super::queue::mode_of(&said.mode)?);
    let place = format!("steer {}", run.name());
    let once = Once::of_form(&who, &place, &said.key, &[said.body.as_str(), said.mode.as_str()]);
    let new = NewInput { mode, ..NewInput::chat(said.body) };
    let say = once.run(move |tx| rules::talk::say_to_run(tx, id, new));
    let sent = ws.write(&who, say).await?;
    Ok(hx.done(sent.placed.label(), &ws.url(&format!("runs/{name}"))))
}
