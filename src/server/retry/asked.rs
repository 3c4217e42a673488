//! Repeats a request for a call that was denied or not answered in time: a message tells the agent to make the call
//! again. The new call is authorised like any other, so people are asked again.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::runs::model::Run;
use features::runs::queries::talk;
use features::runs::rules::{self, NewInput, RunError, Sent};
use features::trust::rules::TrustError;
use interfaces_agents::trust;
use kernel::text::one_line;
use kernel::{ApprovalAnswer, ApprovalId, Can};
use store::ReadExt as _;
use web::error::{ApiError, PageError};
use web::extract::{Json, Path};
use web::flash;
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Flash;

pub(super) fn pages(routes: Routes) -> Routes {
    routes.post("/approvals/{id}/again", repeat_call.needs(Can::Chat))
}

pub(super) fn api(routes: Routes) -> Routes {
    routes.post(
        "/approvals/{id}/again",
        api_again.needs(Can::Chat).doc(|| {
            Doc::new("Tell an agent to repeat a call that was denied or expired").returns::<Told>()
        }),
    )
}

/// The run of such a call, and the message to its agent.
fn words(ws: &Ws, who: &Person, id: ApprovalId) -> Result<(Run, String), TrustError> {
    let (approval, run) = trust::find(ws, who, id)?;
    if !trust::may_be_made_again(&approval, &run) {
        let message = "only denied or expired requests can be repeated, and not for a sub-run";
        return Err(TrustError::Refused(message.to_owned()));
    }
    let why = match approval.answer.map(|answer| answer.answer) {
        Some(ApprovalAnswer::Denied) => "It was refused",
        _ => "No one answered in time",
    };
    let line = one_line(&approval.plan.line(&approval.tool)).replace('`', "'");
    let text = format!(
        "{why}: `{line}`. Make this call to {} again with the same arguments; people will decide \
         again.",
        approval.tool
    );
    Ok((run, text))
}

/// Sends the message. [`words`] has already checked that the person may see the run.
async fn tell(
    ws: &Ws,
    who: &Person,
    (run, text): (Run, String),
    once: Once,
) -> Result<Sent, RunError> {
    let by = who.account;
    let say = once.run(move |tx| {
        if !talk::may_speak(tx, &run, by)? {
            return Err(RunError::Private);
        }
        rules::queue(tx, run.session, NewInput::chat(text))
    });
    ws.write(who, say).await
}

/// A form with only its idempotency key.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Nothing {}

/// `POST /approvals/{id}/again`
async fn repeat_call(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<ApprovalId>,
    FormOnce(_, once): FormOnce<Nothing>,
) -> Result<Response, PageError> {
    let text = words(&ws, &who, id)?;
    tell(&ws, &who, text, once).await?;
    let flash = Flash::ok("Sent. It asks again when it makes the call.");
    Ok(flash::say(&app, flash, hx.go_to(&ws.url("approvals"))))
}

/// The run that makes the call again.
#[derive(Serialize, JsonSchema)]
struct Told {
    run: String,
}

async fn api_again(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ApprovalId>,
) -> Result<Json<Told>, ApiError> {
    let text = words(&ws, &who, id)?;
    let sent = tell(&ws, &who, text, once).await?;
    let run = ws.read(|snap| snap.get::<Run>(sent.run))?;
    Ok(Json(Told { run: run.map(|run| run.name()).unwrap_or_default() }))
}
